//! Checks the rows of a table before anything runs: every value, the split, and what makes results look better than they are (the same sequence in
//! several parts of the split, classes that training never sees).

mod lints;

use std::fs;
use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, ColumnSpec, DataSpec, FileFormat, SplitSpec};

use crate::split::{check_training_classes, split};
use crate::table::{Table, structure_files};

/// Files of a table that together have more bytes are not read to be checked: a check takes a moment, and a run checks them all the same.
pub const MOST_BYTES_CHECKED: u64 = 32 << 20;

/// What of a table's declaration a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The column of this name in the program.
    Column(String),
    Split,
    Source,
}

/// A finding about the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFinding {
    pub place: Place,
    pub diagnostic: Diagnostic,
}

/// How many bytes the files of a table have; files that are not there count nothing.
pub fn bytes_of(spec: &DataSpec, folder: &Path) -> u64 {
    let path = folder.join(&spec.path);
    let table = if spec.format == FileFormat::Structures { structure_files(&path).unwrap_or_default() } else { vec![path] };
    let genome = spec.windows.iter().map(|windows| folder.join(&windows.genome));
    table.into_iter().chain(genome).filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
}

/// Everything that is wrong with the rows of a table; nothing of columns of counts, of which an experiment says what is read.
pub fn check_rows(spec: &DataSpec, folder: &Path) -> Vec<RowFinding> {
    let is_checked = |column: &ColumnSpec| !matches!(column.kind, ColumnKind::Counts { .. });
    match Table::read_columns(spec, folder, is_checked) {
        Ok(table) => check_table(spec, &table),
        Err(first) => {
            let each = spec.columns.iter().filter(|column| is_checked(column)).filter_map(|column| check_column(spec, column, folder));
            let each: Vec<RowFinding> = each.collect();
            if each.is_empty() { vec![RowFinding { place: Place::Source, diagnostic: first }] } else { each }
        }
    }
}

/// What is wrong with the values of a column, read alone, or with the sequences that its labels are of.
fn check_column(spec: &DataSpec, column: &ColumnSpec, folder: &Path) -> Option<RowFinding> {
    let each = match &column.kind {
        ColumnKind::TokenClass { each, .. } | ColumnKind::Contacts { each } => Some(each),
        _ => None,
    };
    let alone = DataSpec { split: SplitSpec::None, ..spec.clone() };
    let read = |wanted: &dyn Fn(&ColumnSpec) -> bool| Table::read_columns(&alone, folder, |other| wanted(other)).err();
    // What is wrong with the sequences is said of them.
    if each.is_some_and(|each| read(&|other| other.name == *each).is_some()) {
        return None;
    }
    let diagnostic = read(&|other| other.name == column.name || Some(&other.name) == each)?;
    // A file that cannot be read is so for all columns.
    let of_file = ["E0510", "E0519", "E0520", "E0524", "E0587"].contains(&diagnostic.code.0);
    let place = if of_file { Place::Source } else { Place::Column(column.name.clone()) };
    Some(RowFinding { place, diagnostic })
}

fn check_table(spec: &DataSpec, table: &Table) -> Vec<RowFinding> {
    let at_split = |diagnostic| RowFinding { place: Place::Split, diagnostic };
    let parts = match split(table, &spec.split) {
        Ok(parts) => parts,
        Err(diagnostic) => return vec![at_split(diagnostic)],
    };
    let mut findings = Vec::new();
    let in_column = spec.split.header().is_some();
    if spec.split != SplitSpec::None && !parts.train.is_empty() {
        match check_training_classes(table, &parts.train) {
            Ok(()) => findings.extend(lints::absent_classes(table, &parts, in_column)),
            Err(diagnostic) => findings.push(at_split(diagnostic)),
        }
        findings.extend(lints::shared_sequences(table, &parts, in_column).map(at_split));
    }
    findings.extend(lints::contradicting_labels(table));
    findings
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mgx_ir::plan::{Alphabet, EmptyPolicy};

    use super::*;

    /// The codes of the findings of a table, and what each is about; parts of the split stand in its column `part`.
    fn findings(name: &str, rows: &str) -> Vec<(String, Place)> {
        let folder = std::env::temp_dir().join(format!("mgx-rows-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rows.tsv"), format!("sequence\tlabel\tpart\n{rows}")).unwrap();
        let column = |name: &str, kind| ColumnSpec { name: name.to_owned(), header: name.to_owned(), kind, conversion: None };
        let spec = DataSpec {
            name: "rows".to_owned(),
            path: "rows.tsv".to_owned(),
            format: FileFormat::Tsv,
            columns: vec![
                column("sequence", ColumnKind::Sequence { alphabet: Alphabet::Dna, length: None, empty: EmptyPolicy::Error }),
                column("label", ColumnKind::Class { names: vec!["a".to_owned(), "b".to_owned()] }),
            ],
            split: SplitSpec::Column { header: "part".to_owned() },
            windows: None,
            letters: None,
        };
        let found = check_rows(&spec, &folder);
        fs::remove_dir_all(&folder).unwrap();
        found.into_iter().map(|found| (found.diagnostic.code.0.to_owned(), found.place)).collect()
    }

    fn column(code: &str, name: &str) -> (String, Place) {
        (code.to_owned(), Place::Column(name.to_owned()))
    }

    fn split_finding(code: &str) -> (String, Place) {
        (code.to_owned(), Place::Split)
    }

    #[test]
    fn sound_rows_have_no_findings() {
        assert_eq!(findings("sound", "ACG\ta\ttrain\nCCG\tb\ttrain\nTTT\ta\ttest\n"), []);
    }

    #[test]
    fn each_column_has_its_own_first_finding() {
        assert_eq!(findings("columns", "ACX\ta\ttrain\nCCG\tc\ttrain\n"), [column("E0513", "sequence"), column("E0516", "label")]);
    }

    #[test]
    fn sequences_are_not_in_several_parts_on_either_strand() {
        let train = "AACG\ta\ttrain\nGGGA\tb\ttrain\n";
        assert_eq!(findings("equal", &format!("{train}AACG\ta\ttest\n")), [split_finding("W0557")]);
        assert_eq!(findings("strand", &format!("{train}CGTT\ta\tvalid\n")), [split_finding("W0558")]);
        // ACGT is its own other strand.
        assert_eq!(findings("palindrome", "ACGT\ta\ttrain\nGG\tb\ttrain\nACGT\ta\ttest\n"), [split_finding("W0557")]);
        assert_eq!(findings("one part", &format!("{train}AACG\ta\ttrain\nCGTT\ta\ttrain\nTT\ta\ttest\n")), []);
    }

    #[test]
    fn classes_are_trained_and_labels_agree() {
        assert_eq!(findings("single", "AA\ta\ttrain\nCC\ta\ttrain\nAG\tb\ttest\n"), [split_finding("E0521")]);
        let contradiction = "AA\ta\ttrain\nAA\tb\ttrain\nGG\tb\ttest\n";
        assert_eq!(findings("contradiction", contradiction), [column("W0559", "label")]);
        assert_eq!(findings("part", "AA\ta\ttraining\nCC\ta\ttest\n"), [split_finding("E0526")]);
    }
}
