//! Alignments in files of their own: A3M and aligned FASTA, as the rows between `|` that a column of alignments has.

use std::io::Read;
use std::path::Path;

use arrow::array::{LargeStringArray, LargeStringBuilder};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{AlignmentFormat, EmptyPolicy};

use super::places::Places;
use super::raw::{not_utf8, open, shown, unreadable};

/// Records of HH-suite that say something of the query, and are no proteins.
const ANNOTATIONS: [&str; 6] = ["aa_dssp", "aa_pred", "sa_dssp", "ss_conf", "ss_dssp", "ss_pred"];

/// Reads the file that each value names, relative to `folder`; `header` is the column's.
///
/// # Errors
/// E0510 for a file that is not there, E0514 for a value that names none, E0523 for one that is not text, E0543 for one that is no alignment; each with the row
/// that names the file.
pub(super) fn read(
    paths: &LargeStringArray,
    format: AlignmentFormat,
    empty: EmptyPolicy,
    folder: &Path,
    (places, header): (&Places, &str),
) -> Result<LargeStringArray, Diagnostic> {
    let mut alignments = LargeStringBuilder::new();
    for (row, path) in paths.iter().enumerate() {
        let place = || format!("{}, column `{header}`", places.describe(row as u64));
        match path.unwrap_or_default().trim() {
            "" if empty == EmptyPolicy::Allow => alignments.append_value(""),
            "" => {
                return Err(Diagnostic::error("E0514", format!("{}: no file is named", place()))
                    .help("name the file of the alignment, or declare the column with `empty = allow`"));
            }
            path => {
                let read = file(&folder.join(path), format).map_err(|diagnostic| diagnostic.note(format!("named in {}", place())))?;
                alignments.append_value(read);
            }
        }
    }
    Ok(alignments.finish())
}

fn file(path: &Path, format: AlignmentFormat) -> Result<String, Diagnostic> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        not_utf8(path, &format!("line {line} of {}", path.display()))
    })?;
    parse(text, format).map_err(|Problem { line, message, help }| {
        Diagnostic::error("E0543", format!("line {line} of {}: {message}", path.display())).help(help)
    })
}

/// What is wrong with a file, and where; lines count from 1.
#[derive(Debug)]
struct Problem {
    line: usize,
    message: String,
    help: &'static str,
}

/// One record.
struct Row<'a> {
    line: usize,
    name: &'a str,
    letters: String,
}

/// The rows of a file, the query first, with `|` between them.
fn parse(text: &str, format: AlignmentFormat) -> Result<String, Problem> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let (number, line) = (number + 1, line.trim());
        if let Some(definition) = line.strip_prefix('>') {
            rows.push(Row { line: number, name: definition.split_whitespace().next().unwrap_or_default(), letters: String::new() });
        } else if let Some(row) = rows.last_mut() {
            push_letters(&mut row.letters, line, format).map_err(|letter| Problem {
                line: number,
                message: format!("{letter:?} is not a letter of an alignment of proteins"),
                help: "residues are letters, gaps `-` or `.`; other formats (Stockholm, Clustal) have to be converted",
            })?;
        } else if !line.is_empty() && !line.starts_with('#') {
            let message = format!("a definition line (`>name`) is wanted, not `{}`", shown(line));
            return Err(Problem { line: number, message, help: "write the alignment as A3M or aligned FASTA, the query first" });
        }
    }
    rows.retain(|row| !ANNOTATIONS.contains(&row.name));
    let Some(query) = rows.first() else {
        return Err(Problem { line: 1, message: "there is no sequence".to_owned(), help: "the first sequence is the query" });
    };
    let width = query.letters.len();
    if let Some(row) = rows.iter().find(|row| row.letters.is_empty() || row.letters.len() != width) {
        let message = format!("`{}` has {} columns, and the query has {width}", shown(row.name), row.letters.len());
        let help = match format {
            AlignmentFormat::A3m => "in A3M every row has as many upper-case letters and `-` as the query; the file may have been cut off",
            AlignmentFormat::Fasta => {
                "in aligned FASTA all rows are equally long; a file with insertions in lower case is A3M: `files = a3m`"
            }
        };
        return Err(Problem { line: row.line, message, help });
    }
    Ok(rows.into_iter().map(|row| row.letters).collect::<Vec<_>>().join("|"))
}

/// Adds a line to a row. In A3M lower-case letters are residues that the query has no column for, and `.` fills such columns: both are left out.
///
/// # Errors
/// The first character that stands in no alignment.
fn push_letters(row: &mut String, line: &str, format: AlignmentFormat) -> Result<(), char> {
    for letter in line.chars().filter(|letter| !letter.is_whitespace()) {
        match (letter, format) {
            ('.', AlignmentFormat::Fasta) => row.push('-'),
            ('a'..='z' | '.', AlignmentFormat::A3m) => {}
            ('A'..='Z' | 'a'..='z' | '-' | '*', _) => row.push(letter),
            _ => return Err(letter),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertions_of_a3m_are_left_out() {
        let text = "#4\t1\n>query first\nMK\nVL\n\n>a\nM-abV..L\r\n>ss_pred\nCCHHHCC\n>b\nmKVLwww\n";
        assert!(
            parse(text, AlignmentFormat::A3m).is_err_and(|problem| problem.line == 10 && problem.message.contains("`b` has 3 columns"))
        );
        let text = text.replace("mKVLwww", "-KVLwww");
        assert_eq!(parse(&text, AlignmentFormat::A3m).ok().as_deref(), Some("MKVL|M-VL|-KVL"));
    }

    #[test]
    fn rows_of_aligned_fasta_are_equally_long() {
        assert_eq!(parse(">q\nMK.L\n>a\nMkVL\n", AlignmentFormat::Fasta).ok().as_deref(), Some("MK-L|MkVL"));
        let problem = |text: &str| parse(text, AlignmentFormat::Fasta).err().map(|problem| (problem.line, problem.message));
        assert_eq!(problem(">q\nMKL\n>a\nMKabL\n").map(|found| found.0), Some(3));
        assert_eq!(problem(">q\nMKL\n>a\n").map(|found| found.0), Some(3));
        assert_eq!(problem("# STOCKHOLM 1.0\nq MKL\n").map(|found| found.0), Some(2));
        assert!(problem(">q\nMK1\n").is_some_and(|(line, message)| line == 2 && message.contains("'1'")));
        assert!(problem("").is_some_and(|(line, message)| line == 1 && message.contains("no sequence")));
    }
}
