//! Statistics of labels, which tasks scale and weigh by.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, Statistic};

use crate::table::{Column, Values};

/// A statistic of a column over some rows: one number for each number of the column, or for each class.
///
/// # Errors
/// E0584 where a number is the same in all rows and is divided by its deviation, E0585 where a class that is weighed has no row, E0534 for a column of another kind.
pub fn statistic(column: &Column, rows: &[u64], statistic: Statistic) -> Result<Vec<f64>, Diagnostic> {
    let count = rows.len() as f64;
    let numbers: Vec<Vec<f64>> = match (&column.values, statistic) {
        (Values::Class(classes), Statistic::Balance) => {
            let ColumnKind::Class { names } = &column.spec.kind else { return Err(wrong(column)) };
            let mut counts = vec![0u64; names.len()];
            for row in rows.iter().map(|row| *row as usize).filter(|row| *row < classes.len()) {
                if let Some(count) = usize::try_from(classes.value(row)).ok().and_then(|class| counts.get_mut(class)) {
                    *count += 1;
                }
            }
            if let Some(missing) = counts.iter().position(|count| *count == 0) {
                let message =
                    format!("no training row of `{}` is of the class `{}`, so that it has no weight", column.spec.name, names[missing]);
                return Err(Diagnostic::error("E0585", message)
                    .help("leave the class out of the column, or give the weights: `weights = [1, 2.5]`"));
            }
            return Ok(counts.into_iter().map(|own| count / (own as f64 * names.len() as f64)).collect());
        }
        (Values::Real(values), Statistic::Mean | Statistic::Deviation) => {
            vec![rows.iter().map(|row| values.value(*row as usize)).collect()]
        }
        (Values::Numbers(values), Statistic::Mean | Statistic::Deviation) => {
            (0..values.width).map(|place| rows.iter().map(|row| values.row(*row)[place]).collect()).collect()
        }
        _ => return Err(wrong(column)),
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let of_each = |values: &Vec<f64>| {
        let center = mean(values);
        if statistic == Statistic::Mean {
            return Ok(center);
        }
        let deviation = mean(&values.iter().map(|value| (value - center).powi(2)).collect::<Vec<_>>()).sqrt();
        // What is left of equal numbers is rounding.
        if deviation <= 1e-12 * center.abs() {
            let message = format!("all training rows of `{}` have the same number, by which nothing can be scaled", column.spec.name);
            return Err(Diagnostic::error("E0584", message).help("use `regression`, or more data"));
        }
        Ok(deviation)
    };
    numbers.iter().map(of_each).collect()
}

fn wrong(column: &Column) -> Diagnostic {
    Diagnostic::error("E0534", format!("the plan has a statistic of column `{}`, which is not of its kind", column.spec.name))
}
