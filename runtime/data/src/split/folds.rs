//! Cross-validation: rows in as many folds as it takes, one of which is tested, one watched, and the others trained on.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{FoldSpec, FoldValid, Generator};
use mgx_ir::random::derive_name;

use super::{Split, assign, mt19937};
use crate::table::{Table, shown};

/// The parts of the fold that the specification names.
///
/// # Errors
/// E0567 for folds that cannot be made of these rows, E0512 for a column that is not there.
pub(super) fn split(table: &Table, spec: &FoldSpec) -> Result<Split, Diagnostic> {
    let folds = folds(table, spec)?;
    let count = spec.count as usize;
    let test = spec.fold as usize % count.max(1);
    let fold = |number: usize| folds.get(number).cloned().unwrap_or_default();
    let watched = match spec.valid {
        FoldValid::Fold { offset } => Some((test as i64 + offset).rem_euclid(count.max(1) as i64) as usize),
        FoldValid::Test => Some(test),
        FoldValid::None => None,
    };
    let trained = (0..count).filter(|number| *number != test && Some(*number) != watched).flat_map(fold);
    let mut split = Split { train: trained.collect(), valid: watched.map(fold).unwrap_or_default(), test: fold(test) };
    for part in [&mut split.train, &mut split.valid, &mut split.test] {
        part.sort_unstable();
    }
    Ok(split)
}

fn folds(table: &Table, spec: &FoldSpec) -> Result<Vec<Vec<u64>>, Diagnostic> {
    let rows = table.rows();
    if spec.count > rows {
        return Err(Diagnostic::error(
            "E0567",
            format!("{} folds cannot be made of the {rows} rows of {}", spec.count, table.places().file()),
        )
        .help(format!("every fold needs a row: give `k = {}` or fewer, or use more data", rows.min(10))));
    }
    if let Some(header) = &spec.column {
        return by_column(table, header, spec.count);
    }
    if spec.like == Generator::Numpy {
        return Ok(like_numpy(rows, spec.count, spec.seed));
    }
    let strata = spec.stratify.as_deref().map(|name| super::strata(table, name)).transpose()?;
    let groups = spec.group.as_deref().map(|name| table.require(name).map(super::groups)).transpose()?;
    let shares = vec![1; spec.count as usize];
    let folds = assign::divide(rows, &shares, derive_name(spec.seed, "folds"), strata.as_deref(), groups.as_deref());
    match folds.iter().position(Vec::is_empty) {
        Some(empty) => Err(Diagnostic::error("E0567", format!("fold {empty} of {} would have no rows", spec.count))
            .note("rows with equal values in the column of `group` stay together, and there are fewer groups than folds")
            .help("give a smaller `k`, or leave out `group`")),
        None => Ok(folds),
    }
}

/// The reference's rule: of a permutation of all rows, by NumPy's legacy generator, ⌊rows / count⌋ for each fold, and the rest for the last.
fn like_numpy(rows: u64, count: u64, seed: u64) -> Vec<Vec<u64>> {
    let order = mt19937::shuffled(seed as u32, rows);
    let each = (rows / count) as usize;
    let last = count as usize - 1;
    let mut folds: Vec<Vec<u64>> = order.chunks(each).take(last).map(<[u64]>::to_vec).collect();
    folds.push(order[each * last..].to_vec());
    folds
}

/// Each row's fold stands in a column: whole numbers from 0, all of which occur.
fn by_column(table: &Table, header: &str, count: u64) -> Result<Vec<Vec<u64>>, Diagnostic> {
    let Some(values) = table.split_values() else {
        return Err(Diagnostic::error("E0512", format!("the column of folds `{header}` of table `{}` was not read", table.name)));
    };
    let mut folds = vec![Vec::new(); count as usize];
    for (row, value) in values.iter().enumerate() {
        let text = value.unwrap_or_default();
        // Tables that were once read as numbers have `3.0`.
        let number = text.trim().parse::<u64>().ok().or_else(|| text.trim().strip_suffix(".0")?.parse().ok());
        match number.and_then(|number| folds.get_mut(usize::try_from(number).ok()?)) {
            Some(fold) => fold.push(row as u64),
            None => {
                let place = table.places().describe(row as u64);
                return Err(Diagnostic::error("E0567", format!("{place}, column `{header}`: `{}` is no fold", shown(text)))
                    .help(format!("with `k = {count}` folds are the numbers 0 to {}", count - 1)));
            }
        }
    }
    match folds.iter().position(Vec::is_empty) {
        Some(empty) => Err(Diagnostic::error("E0567", format!("no row of column `{header}` is in fold {empty}"))
            .help(format!("folds are the numbers 0 to {}, and each needs a row: is `k` right?", count - 1))),
        None => Ok(folds),
    }
}

#[cfg(test)]
mod tests {
    use mgx_diag::Diagnostic;

    use super::super::tests::{class_column, table_of, text_column};
    use super::*;

    fn spec(count: u64, fold: u64) -> FoldSpec {
        FoldSpec {
            count,
            fold,
            seed: 42,
            column: None,
            stratify: None,
            group: None,
            like: Generator::Mgx,
            valid: FoldValid::Fold { offset: 1 },
        }
    }

    fn classes(rows: i32) -> Table {
        table_of(vec![class_column(&(0..rows).map(|row| row % 3).collect::<Vec<_>>())])
    }

    fn code(result: Result<Split, Diagnostic>) -> &'static str {
        result.unwrap_err().code.0
    }

    #[test]
    fn every_row_is_tested_once_and_watched_once() {
        let table = classes(23);
        for (like, stratify) in [(Generator::Mgx, None), (Generator::Mgx, Some("label".to_owned())), (Generator::Numpy, None)] {
            let parts: Vec<Split> =
                (0..5).map(|fold| split(&table, &FoldSpec { like, stratify: stratify.clone(), ..spec(5, fold) }).unwrap()).collect();
            for part in [|split: &Split| split.test.clone(), |split: &Split| split.valid.clone()] {
                let mut all: Vec<u64> = parts.iter().flat_map(part).collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..23));
            }
            for (number, own) in parts.iter().enumerate() {
                assert_eq!(own.valid, parts[(number + 1) % 5].test);
                let mut all: Vec<u64> = own.train.iter().chain(&own.valid).chain(&own.test).copied().collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..23) && own.train.is_sorted());
            }
        }
    }

    #[test]
    fn what_is_watched_can_be_chosen() {
        let table = classes(10);
        let with = |valid| split(&table, &FoldSpec { valid, ..spec(5, 0) }).unwrap();
        assert_eq!(with(FoldValid::Fold { offset: -1 }).valid, split(&table, &spec(5, 4)).unwrap().test);
        assert!(with(FoldValid::None).valid.is_empty() && with(FoldValid::None).train.len() == 8);
        assert_eq!(with(FoldValid::Test).valid, with(FoldValid::Test).test);
    }

    /// `generate_kfold_split` of the reference for 10 rows, 3 folds and seed 42: NumPy's order is 8 1 5 0 7 2 9 4 3 6.
    #[test]
    fn folds_like_numpy_are_those_of_the_reference() {
        assert_eq!(like_numpy(10, 3, 42), [vec![8, 1, 5], vec![0, 7, 2], vec![9, 4, 3, 6]]);
    }

    #[test]
    fn impossible_folds_are_refused() {
        assert_eq!(code(split(&classes(4), &spec(5, 0))), "E0567");
        let table = table_of(vec![text_column(&["a".into(), "a".into(), "b".into(), "b".into(), "b".into()])]);
        assert_eq!(code(split(&table, &FoldSpec { group: Some("id".to_owned()), ..spec(3, 0) })), "E0567");
    }
}
