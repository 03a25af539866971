//! Whether what a run monitors can be measured: said before training, not after it.

use mgx_data::{Column, Values};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{ColumnKind, TrainSpec};

use crate::metrics::undefined;
use crate::outputs::Collected;
use crate::session::Session;

/// What is monitored where nothing is said.
const LOSS: &str = "valid_loss";

impl Session {
    /// Checks that the validation rows can say which parameters are the best.
    ///
    /// # Errors
    /// E0946 for early stopping, or a metric to monitor, without validation rows; E0590 for a metric that their labels leave undefined, whatever is predicted.
    pub(super) fn check_monitor(&self, spec: &TrainSpec, valid_rows: &[u64]) -> Result<(), Diagnostic> {
        let monitor = &spec.monitor;
        if valid_rows.is_empty() {
            let (what, setting) = match (&spec.early_stop, monitor.as_str()) {
                (Some(_), _) => ("early stopping watches", "patience"),
                (None, LOSS) => return Ok(()),
                (None, _) => ("the best checkpoint is chosen by", "monitor"),
            };
            return Err(Diagnostic::error("E0946", format!("{what} `{monitor}`, and there are no validation rows"))
                .help(format!("give `valid` a share in the split, or remove `{setting}`")));
        }
        let name = monitor.strip_prefix("valid_").unwrap_or(monitor);
        let Some(metric) = self.plan.metrics.iter().find(|metric| metric.name == name) else { return Ok(()) };
        let Some(column) = self.data.table().column(&metric.target) else { return Ok(()) };
        let Some(perfect) = perfect(column, &metric.prediction, valid_rows) else { return Ok(()) };
        match undefined(metric, column, valid_rows, perfect)? {
            None => Ok(()),
            Some(reason) => Err(Diagnostic::error("E0590", format!("`{monitor}` is not defined for the validation rows: {reason}"))
                .help("monitor another metric (`valid_loss` always is), or give the validation part other rows: `stratify = label`")),
        }
    }
}

/// Predictions that are all right; none for labels that have no such thing.
fn perfect(column: &Column, name: &str, rows: &[u64]) -> Option<Collected> {
    let classes = match &column.spec.kind {
        ColumnKind::Class { names } | ColumnKind::TokenClass { names, .. } => names.len(),
        _ => 0,
    };
    let sure = |class: i32| (0..classes).map(move |other| f32::from(u8::from(usize::try_from(class) == Ok(other))));
    let of_row = |row: &u64| -> Option<Vec<f32>> {
        Some(match &column.values {
            Values::Class(values) => sure(values.value(*row as usize)).collect(),
            Values::Real(values) => vec![values.value(*row as usize) as f32],
            Values::Numbers(values) => values.row(*row).iter().map(|value| *value as f32).collect(),
            Values::TokenLabels(labels) => labels.row(*row).iter().flat_map(|label| sure(*label)).collect(),
            _ => return None,
        })
    };
    let per_token = matches!(column.values, Values::TokenLabels(_));
    let found: Vec<Vec<f32>> = rows.iter().map(of_row).collect::<Option<_>>()?;
    let width = if classes > 0 { classes } else { found.first().map_or(1, Vec::len) };
    Some(Collected { name: name.to_owned(), width, per_token, rows: found })
}
