//! A folder of secondary structures, a file for each RNA: connectivity tables (`.ct`), `.bpseq` and bpRNA's `.st`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow::array::LargeStringBuilder;
use mgx_diag::Diagnostic;

use super::places::Places;
use super::raw::{RawColumn, RawTable, Wanted, locate, shown, unreadable};

const COLUMNS: [&str; 4] = ["name", "part", "sequence", "pairs"];
const ENDINGS: [&str; 3] = ["ct", "bpseq", "st"];

pub(super) fn header(path: &Path) -> Result<Vec<String>, Diagnostic> {
    if path.is_dir() {
        return Ok(COLUMNS.map(str::to_owned).to_vec());
    }
    Err(Diagnostic::error("E0510", format!("there is no folder {}", path.display()))
        .help("`structures` reads a folder of .ct, .bpseq and .st files"))
}

/// The files of a folder and of those in it, in the order of their paths.
///
/// # Errors
/// E0510 for a folder that cannot be read.
pub fn structure_files(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let path = entry.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
            // A link to a folder is not followed: it may lead back here.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if ENDINGS.contains(&ending.as_str()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads all files of a folder; of structures with fewer letters than the first of `letters` or more than the second none.
///
/// # Errors
/// E0510 for what cannot be read, E0587 for a file that is no structure.
pub(super) fn read(folder: &Path, letters: Option<[u64; 2]>, wanted: &[Wanted]) -> Result<RawTable, Diagnostic> {
    let indices = locate(folder, &header(folder)?, wanted)?;
    let mut builders: Vec<LargeStringBuilder> = wanted.iter().map(|_| LargeStringBuilder::new()).collect();
    let mut names = Vec::new();
    for file in structure_files(folder)? {
        let bytes = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        let structure = parse(&file, &text)?;
        let count = structure.sequence.len() as u64;
        if letters.is_some_and(|[least, most]| count < least || count > most) {
            continue;
        }
        let below = file.strip_prefix(folder).unwrap_or(&file);
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let part = if below.components().count() > 1 { below.components().next() } else { None };
        let part = part.map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
        let pairs: Vec<String> = structure.pairs.iter().map(|[a, b]| format!("[{a}, {b}]")).collect();
        names.push(below.to_string_lossy().into_owned());
        for (builder, index) in builders.iter_mut().zip(&indices) {
            match COLUMNS[*index] {
                "name" => builder.append_value(&name),
                "part" => builder.append_value(&part),
                "sequence" => builder.append_value(&structure.sequence),
                _ => builder.append_value(format!("[{}]", pairs.join(", "))),
            }
        }
    }
    Ok(RawTable {
        rows: names.len() as u64,
        columns: builders.into_iter().map(|mut builder| RawColumn::Text(builder.finish())).collect(),
        places: Places::records(folder, names),
    })
}

/// An RNA with its pairs, letters numbered from 0.
#[derive(Debug, PartialEq, Eq)]
struct Structure {
    sequence: String,
    pairs: Vec<[usize; 2]>,
}

fn parse(file: &Path, text: &str) -> Result<Structure, Diagnostic> {
    let wrong = |line: usize, what: &str| {
        let place = format!("{} (line {})", file.display(), line + 1);
        Diagnostic::error("E0587", format!("{place}: {what}"))
            .help("a `.ct` file has a line for each letter with six fields after its title, `.bpseq` three fields, `.st` the sequence and its brackets")
    };
    // Comments and empty lines do not count.
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let Some((first, rest)) = lines.split_first() else { return Err(wrong(0, "the file is empty")) };
    let ending = file.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
    let structure = match ending.as_str() {
        "st" => {
            let Some((number, brackets)) = rest.first() else { return Err(wrong(first.0, "there are no brackets after the sequence")) };
            let pairs = pairs_of_brackets(brackets).map_err(|what| wrong(*number, &what))?;
            if brackets.chars().count() != first.1.chars().count() {
                return Err(wrong(*number, "the brackets are not as many as the letters"));
            }
            (first.1.to_owned(), pairs)
        }
        "ct" => {
            let count: usize = first
                .1
                .split_whitespace()
                .next()
                .and_then(|count| count.parse().ok())
                .ok_or_else(|| wrong(first.0, "the first line has no number of letters"))?;
            // Further structures of the same RNA may follow.
            let own = rest
                .get(..count)
                .ok_or_else(|| wrong(first.0, &format!("{count} letters are promised, and {} lines follow", rest.len())))?;
            let (mut sequence, mut pairs) = (String::new(), Vec::new());
            for (place, (number, line)) in own.iter().enumerate() {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [index, letter, _, .., partner, _] = fields[..] else { return Err(wrong(*number, "a line has six fields")) };
                push(&mut sequence, &mut pairs, (place, count), [index, letter, partner]).map_err(|what| wrong(*number, &what))?;
            }
            (sequence, pairs)
        }
        _ => {
            let (mut sequence, mut pairs) = (String::new(), Vec::new());
            for (place, (number, line)) in lines.iter().enumerate() {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [index, letter, partner] = fields[..] else { return Err(wrong(*number, "a line has three fields")) };
                push(&mut sequence, &mut pairs, (place, lines.len()), [index, letter, partner]).map_err(|what| wrong(*number, &what))?;
            }
            (sequence, pairs)
        }
    };
    let (letters, mut pairs) = structure;
    pairs.sort_unstable();
    pairs.dedup();
    let mut partner = HashMap::new();
    for [a, b] in &pairs {
        if partner.insert(*a, *b).is_some() || partner.insert(*b, *a).is_some() {
            return Err(wrong(first.0, &format!("letter {} or {} is in two pairs", a + 1, b + 1)));
        }
    }
    // T is read as U, and what is none of the four letters as N.
    let letter = |letter: char| match letter.to_ascii_uppercase() {
        'T' => 'U',
        own @ ('A' | 'C' | 'G' | 'U') => own,
        _ => 'N',
    };
    Ok(Structure { sequence: letters.chars().map(letter).collect(), pairs })
}

/// Takes a line: the letter's number from 1, the letter, the number of its partner or 0.
fn push(
    sequence: &mut String,
    pairs: &mut Vec<[usize; 2]>,
    (place, count): (usize, usize),
    [index, letter, partner]: [&str; 3],
) -> Result<(), String> {
    if index.parse() != Ok(place + 1) {
        return Err(format!("letter {} is wanted here, not `{}`", place + 1, shown(index)));
    }
    let mut letters = letter.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => sequence.push(letter),
        _ => return Err(format!("`{}` is not a letter", shown(letter))),
    }
    match partner.parse::<usize>() {
        Ok(0) => Ok(()),
        Ok(partner) if partner <= count && partner != place + 1 => {
            pairs.push([place.min(partner - 1), place.max(partner - 1)]);
            Ok(())
        }
        _ => Err(format!("`{}` is not another letter's number", shown(partner))),
    }
}

/// The pairs of dots and brackets; each kind of brackets nests by itself, so that knots can be written.
fn pairs_of_brackets(text: &str) -> Result<Vec<[usize; 2]>, String> {
    const KINDS: [(char, char); 4] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>')];
    let mut open: [Vec<usize>; 4] = Default::default();
    let mut pairs = Vec::new();
    for (place, sign) in text.chars().enumerate() {
        if let Some(kind) = KINDS.iter().position(|(opening, _)| *opening == sign) {
            open[kind].push(place);
        } else if let Some(kind) = KINDS.iter().position(|(_, closing)| *closing == sign) {
            let first = open[kind].pop().ok_or_else(|| format!("nothing is open before `{sign}` at position {}", place + 1))?;
            pairs.push([first, place]);
        } else if sign != '.' {
            return Err(format!("`{}` at position {} is neither a dot nor a bracket", shown(&sign.to_string()), place + 1));
        }
    }
    match open.iter().flatten().next() {
        Some(place) => Err(format!("the bracket at position {} is not closed", place + 1)),
        None => Ok(pairs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Structure, String> {
        parse(Path::new(name), text).map_err(|diagnostic| diagnostic.message)
    }

    #[test]
    fn all_formats_say_the_same() {
        let wanted = Structure { sequence: "GGNAUCC".to_owned(), pairs: vec![[0, 6], [1, 5]] };
        let ct = "# a comment\n7 RNA of mine\n1 G 0 2 7 1\n2 g 1 3 6 2\n3 X 2 4 0 3\n4 A 3 5 0 4\n5 T 4 6 0 5\n6 C 5 7 2 6\n7 C 6 0 1 7\n";
        let bpseq = "# a comment\n1 G 7\n2 G 6\n3 N 0\n4 A 0\n5 U 0\n6 C 2\n7 C 1\n";
        let st = "#Name: x\nGGNAUCC\n((...))\nSSHHHSS\n";
        for (name, text) in [("a.ct", ct), ("a.bpseq", bpseq), ("a.st", st)] {
            assert_eq!(read(name, text).as_ref(), Ok(&wanted), "{name}");
        }
        // A second structure of a table is another way to fold the same RNA.
        assert_eq!(read("a.ct", &ct.repeat(2)).as_ref(), Ok(&wanted));
        assert_eq!(read("a.st", "AAAAAAAA\n([..)].."), Ok(Structure { sequence: "A".repeat(8), pairs: vec![[0, 4], [1, 5]] }));
    }

    #[test]
    fn what_is_no_structure_is_told_with_its_line() {
        for (name, text, part) in [
            ("a.ct", "", "empty"),
            ("a.ct", "RNA\n", "no number of letters"),
            ("a.ct", "2 x\n1 G 0 2 0 1\n", "2 letters are promised, and 1 lines follow"),
            ("a.ct", "1 x\n1 G 0\n", "(line 2): a line has six fields"),
            ("a.bpseq", "1 G 0\n3 C 0\n", "(line 2): letter 2 is wanted here, not `3`"),
            ("a.bpseq", "1 G 1\n", "`1` is not another letter's number"),
            ("a.bpseq", "1 G 5\n", "`5` is not another letter's number"),
            ("a.bpseq", "1 G 99999999999999999999\n", "is not another letter's number"),
            ("a.bpseq", "1 GC 0\n", "`GC` is not a letter"),
            ("a.bpseq", "1 G 2\n2 C 3\n3 C 0\n", "in two pairs"),
            ("a.st", "GC\n", "no brackets"),
            ("a.st", "GC\n()(\n", "position 3 is not closed"),
            ("a.st", "GC\n)(\n", "nothing is open before `)` at position 1"),
            ("a.st", "GC\nAA\n", "neither a dot nor a bracket"),
            ("a.st", "GCA\n()\n", "not as many"),
        ] {
            let found = read(name, text).unwrap_err();
            assert!(found.contains(part), "{found}");
        }
    }
}
