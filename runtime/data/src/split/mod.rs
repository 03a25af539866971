//! Divides the rows of a table into train, valid and test.
//!
//! The result depends on the specification and the values of the columns it names, on nothing else. The generators are
//! specified in `docs/data.md` and fixed for good; the values in this module's tests are part of that specification.

mod assign;
mod folds;
mod mt19937;
mod numpy;

use mgx_diag::{Diagnostic, nearest};
use mgx_ir::plan::{ColumnKind, Generator, SplitSpec};

use crate::table::{Column, Table, Values, shown};
use assign::Fractions;

/// A part of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Train,
    Valid,
    Test,
}

impl Part {
    /// `train`, `valid` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// The rows of each part, in ascending order. With `SplitSpec::None` every row is in every part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<u64>,
    pub valid: Vec<u64>,
    pub test: Vec<u64>,
}

impl Split {
    /// The rows of a part that a stage needs.
    ///
    /// # Errors
    /// E0522 if it has none.
    pub fn rows(&self, part: Part) -> Result<&[u64], Diagnostic> {
        let rows = match part {
            Part::Train => &self.train,
            Part::Valid => &self.valid,
            Part::Test => &self.test,
        };
        if rows.is_empty() {
            return Err(Diagnostic::error("E0522", format!("the {} part of the split has no rows", part.name()))
                .help(format!("give the {} part a share of the rows", part.name())));
        }
        Ok(rows)
    }
}

/// Divides the rows of a table.
///
/// # Errors
/// E0512 for a column that is not there, E0522 if a part with a positive fraction gets no row, E0526 for a value of the split
/// column that names no part, E0527 for a split and E0567 for folds that cannot be made.
pub fn split(table: &Table, spec: &SplitSpec) -> Result<Split, Diagnostic> {
    match spec {
        SplitSpec::None => {
            let rows: Vec<u64> = (0..table.rows()).collect();
            Ok(Split { train: rows.clone(), valid: rows.clone(), test: rows })
        }
        SplitSpec::Column { header } => by_column(table, header),
        SplitSpec::Folds(spec) => folds::split(table, spec),
        SplitSpec::Random { train, valid, test, seed, stratify, group, like } => {
            let fractions = Fractions::new(*train, *valid, *test)?;
            let parts = match like {
                Generator::Mgx => {
                    let strata = stratify.as_deref().map(|name| strata(table, name)).transpose()?;
                    let groups = group.as_deref().map(|name| table.require(name).map(groups)).transpose()?;
                    assign::assign(table.rows(), &fractions, *seed, strata.as_deref(), groups.as_deref())
                }
                Generator::Numpy if stratify.is_some() || group.is_some() => {
                    return Err(Diagnostic::error("E0527", "a split like NumPy's can be neither stratified nor grouped")
                        .help("remove `like = numpy`, or remove `stratify` and `group`"));
                }
                Generator::Numpy => numpy::split(table.rows(), *train, *valid, *test, *seed),
            };
            check_parts(table, &parts, [*train, *valid, *test])?;
            Ok(parts)
        }
    }
}

fn check_parts(table: &Table, split: &Split, fractions: [f64; 3]) -> Result<(), Diagnostic> {
    for (part, fraction) in [Part::Train, Part::Valid, Part::Test].into_iter().zip(fractions) {
        if fraction > 0.0 && split.rows(part).is_err() {
            let rows = table.rows();
            return Err(Diagnostic::error("E0522", format!("the {} part of the split has no rows", part.name()))
                .note(format!("{fraction} of {rows} rows of {} is no whole row, or its groups are too large", table.places().file()))
                .help(format!("raise `{}`, set it to 0, or use more data", part.name())));
        }
    }
    Ok(())
}

/// The class of each row.
fn strata(table: &Table, name: &str) -> Result<Vec<u64>, Diagnostic> {
    match &table.require(name)?.values {
        Values::Class(values) => Ok(values.values().iter().map(|class| *class as u64).collect()),
        Values::Text(_)
        | Values::Alignment(_)
        | Values::Real(_)
        | Values::Counts(_)
        | Values::Numbers(_)
        | Values::TokenLabels(_)
        | Values::Contacts(_) => {
            let found = Diagnostic::error("E0527", format!("the split is stratified by `{name}`, which is not a class column"));
            Err(found.help("stratify by a class column; rows with equal text are kept together by `group`"))
        }
    }
}

/// The group of each row: rows with equal values have equal groups, numbered in the order of their first rows.
fn groups(column: &Column) -> Vec<u64> {
    fn number<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> Vec<u64> {
        let mut numbers = std::collections::HashMap::new();
        keys.map(|key| {
            let next = numbers.len() as u64;
            *numbers.entry(key).or_insert(next)
        })
        .collect()
    }
    match &column.values {
        Values::Text(values) => number(values.iter()),
        Values::Alignment(alignments) => number(alignments.texts.iter()),
        Values::Class(values) => number(values.iter()),
        Values::Real(values) => number(values.values().iter().map(|value| value.to_bits())),
        Values::Numbers(numbers) => {
            number(numbers.values.chunks(numbers.width).map(|row| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>()))
        }
        Values::TokenLabels(labels) => number((0..labels.rows() as u64).map(|row| labels.row(row))),
        Values::Contacts(contacts) => number((0..contacts.rows() as u64).map(|row| contacts.row(row))),
        // Cells with the same counts.
        Values::Counts(counts) => {
            number((0..counts.rows()).map(|row| counts.row(row).map(|(gene, count)| (gene, count.to_bits())).collect::<Vec<_>>()))
        }
    }
}

fn by_column(table: &Table, header: &str) -> Result<Split, Diagnostic> {
    let Some(values) = table.split_values() else {
        return Err(Diagnostic::error("E0512", format!("the split column `{header}` of table `{}` was not read", table.name)));
    };
    let mut split = Split::default();
    for (row, value) in values.iter().enumerate() {
        let row = row as u64;
        match value.unwrap_or_default() {
            "train" => split.train.push(row),
            "valid" | "validation" => split.valid.push(row),
            "test" => split.test.push(row),
            other => {
                let place = table.places().describe(row);
                let found = Diagnostic::error("E0526", format!("{place}, column `{header}`: `{}` is not a part of a split", shown(other)));
                let near = nearest(other, ["train", "valid", "validation", "test"]);
                return Err(found.note("the parts are `train`, `valid` (or `validation`) and `test`").help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if matches!(other, "val" | "dev" | "Val" | "VAL") => "write `valid`".to_owned(),
                    None => "write the name of a part in every row".to_owned(),
                }));
            }
        }
    }
    Ok(split)
}

/// Checks that every class column has at least two classes among the rows that are trained on.
///
/// # Errors
/// E0521 if a column has only one.
pub fn check_training_classes(table: &Table, train: &[u64]) -> Result<(), Diagnostic> {
    for column in table.columns() {
        let (Values::Class(values), ColumnKind::Class { names }) = (&column.values, &column.spec.kind) else { continue };
        let Some(first) = train.first().map(|row| values.value(*row as usize)) else { continue };
        if names.len() < 2 || train.iter().any(|row| values.value(*row as usize) != first) {
            continue;
        }
        let name = names.get(first as usize).map_or("", String::as_str);
        let elsewhere = values.values().iter().any(|class| *class != first);
        let message = format!("all {} training rows have `{name}` in column `{}`", train.len(), column.spec.header);
        return Err(Diagnostic::error("E0521", message).help(if elsewhere {
            format!("the other classes are in other parts of the split: add `stratify = {}`", column.spec.name)
        } else {
            "no other class is in the file: there is nothing to learn; check the file".to_owned()
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, LargeStringArray};
    use mgx_ir::plan::ColumnSpec;
    use proptest::prelude::*;

    use super::*;
    pub(super) use crate::table::table_of;

    pub(super) fn class_column(classes: &[i32]) -> Column {
        let names = (0..=classes.iter().copied().max().unwrap_or(0)).map(|class| format!("class {class}")).collect();
        Column {
            spec: ColumnSpec { name: "label".into(), header: "label".into(), kind: ColumnKind::Class { names }, conversion: None },
            values: Values::Class(Int32Array::from(classes.to_vec())),
        }
    }

    pub(super) fn text_column(texts: &[String]) -> Column {
        Column {
            spec: ColumnSpec { name: "id".into(), header: "id".into(), kind: ColumnKind::Text, conversion: None },
            values: Values::Text(LargeStringArray::from_iter_values(texts)),
        }
    }

    fn random(fractions: [f64; 3], seed: u64, stratify: bool, group: bool) -> SplitSpec {
        let [train, valid, test] = fractions;
        let name = |used: bool, name: &str| used.then(|| name.to_owned());
        SplitSpec::Random { train, valid, test, seed, stratify: name(stratify, "label"), group: name(group, "id"), like: Generator::Mgx }
    }

    /// These rows are part of the specification in `docs/data.md`.
    #[test]
    fn values_are_fixed() {
        let classes: Vec<i32> = (0..20).map(|row| i32::from(row >= 12)).collect();
        let texts: Vec<String> = (0..20).map(|row| format!("g{}", row / 2)).collect();
        let table = table_of(vec![class_column(&classes), text_column(&texts)]);
        let parts = |stratify, group| {
            let parts = split(&table, &random([0.6, 0.2, 0.2], 42, stratify, group)).unwrap();
            (parts.valid, parts.test)
        };
        assert_eq!(parts(false, false), (vec![0, 14, 16, 17], vec![4, 6, 9, 15]));
        assert_eq!(parts(true, false), (vec![7, 9, 11, 15], vec![2, 10, 17, 19]));
        assert_eq!(parts(false, true), (vec![8, 9, 18, 19], vec![10, 11, 14, 15]));
        assert_eq!(parts(true, true), (vec![0, 1, 16, 17], vec![2, 3, 14, 15]));
    }

    #[test]
    fn a_part_without_rows_is_an_error() {
        let table = table_of(vec![class_column(&[0, 1, 0, 1])]);
        let found = split(&table, &random([0.98, 0.01, 0.01], 1, false, false)).unwrap_err();
        assert_eq!(found.code.0, "E0522");
        assert!(found.message.contains("valid"), "{}", found.message);
    }

    #[test]
    fn one_training_class_is_an_error() {
        let table = table_of(vec![class_column(&[0, 0, 0, 1])]);
        let found = check_training_classes(&table, &[0, 1, 2]).unwrap_err();
        assert_eq!(found.code.0, "E0521");
        assert!(found.help.unwrap().contains("stratify = label"));
        assert!(check_training_classes(&table, &[0, 3]).is_ok());
    }

    #[test]
    fn impossible_splits_are_refused() {
        let table = table_of(vec![class_column(&[0, 1]), text_column(&["a".into(), "b".into()])]);
        let mut spec = random([0.9, 0.2, 0.1], 1, false, false);
        assert_eq!(split(&table, &spec).unwrap_err().code.0, "E0527");
        spec = SplitSpec::Random {
            train: 0.5,
            valid: 0.0,
            test: 0.5,
            seed: 1,
            stratify: Some("id".into()),
            group: None,
            like: Generator::Mgx,
        };
        assert_eq!(split(&table, &spec).unwrap_err().code.0, "E0527");
        spec = SplitSpec::Random {
            train: 0.5,
            valid: 0.0,
            test: 0.5,
            seed: 1,
            stratify: Some("lable".into()),
            group: None,
            like: Generator::Mgx,
        };
        let found = split(&table, &spec).unwrap_err();
        assert_eq!((found.code.0, found.help.as_deref()), ("E0512", Some("did you mean `label`?")));
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_part_and_groups_stay_together(
            rows in prop::collection::vec((0..3i32, 0..40u32), 30..200), seed: u64, stratify: bool, group: bool,
        ) {
            let classes: Vec<i32> = rows.iter().map(|(class, _)| *class).collect();
            let texts: Vec<String> = rows.iter().map(|(_, text)| text.to_string()).collect();
            let table = table_of(vec![class_column(&classes), text_column(&texts)]);
            let spec = random([0.6, 0.2, 0.2], seed, stratify, group);
            let parts = split(&table, &spec);
            prop_assume!(parts.is_ok());
            let parts = parts.unwrap();
            prop_assert_eq!(&parts, &split(&table, &spec).unwrap());
            let mut part_of = vec![usize::MAX; rows.len()];
            for (number, part) in [&parts.train, &parts.valid, &parts.test].into_iter().enumerate() {
                prop_assert!(part.is_sorted());
                for row in part {
                    prop_assert_eq!(part_of[*row as usize], usize::MAX);
                    part_of[*row as usize] = number;
                }
            }
            prop_assert!(part_of.iter().all(|part| *part != usize::MAX));
            if group {
                for (row, text) in texts.iter().enumerate() {
                    let first = texts.iter().position(|other| other == text).unwrap();
                    prop_assert_eq!(part_of[row], part_of[first]);
                }
            }
            if stratify && !group {
                for class in 0..3 {
                    let of_class = classes.iter().filter(|other| **other == class).count() as f64;
                    let trained = parts.train.iter().filter(|row| classes[**row as usize] == class).count() as f64;
                    prop_assert!((trained - 0.6 * of_class).abs() < 3.0, "{trained} of {of_class}");
                }
            }
            if !group {
                let wanted = 0.6 * rows.len() as f64;
                prop_assert!((parts.train.len() as f64 - wanted).abs() < 3.0, "{} for {wanted}", parts.train.len());
            }
        }
    }
}
