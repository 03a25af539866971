//! The test stage of a run: the best parameters on rows that training never saw.

use mgx_data::Part;
use mgx_diag::Diagnostic;
use serde_json::{Map, Value, json};

use crate::run::RunFolder;
use crate::session::{Session, Source};
use crate::stage::Evaluation;

const TEST: &str = "test.json";

impl Session {
    /// Evaluates the test part with the parameters as they are: the best ones after [`Session::fit`] or [`Session::restore`]. Writes `test.json`,
    /// which says whose parameters they were, and an event.
    ///
    /// # Errors
    /// As [`Session::evaluate`]; E0920 to E0922, E0955.
    pub fn test(&mut self, run: &RunFolder) -> Result<Evaluation, Diagnostic> {
        let evaluation = self.evaluate(Part::Test)?;
        let metrics = evaluation.metrics.to_json();
        let mut report = Map::new();
        report.insert("rows".to_owned(), evaluation.metrics.rows.into());
        report.insert("parameters".to_owned(), json!(self.source()));
        report.insert("metrics".to_owned(), Value::Object(metrics.clone()));
        report.append(&mut evaluation.metrics.details());
        run.write_json(TEST, &report)?;
        let step = match self.source() {
            Some(Source::Checkpoint { step, .. } | Source::Training { step }) => (*step).into(),
            _ => Value::Null,
        };
        let mut events = run.events(None, &self.plan)?;
        events.write("test", [("step", step), ("rows", evaluation.metrics.rows.into())], metrics)?;
        events.sync()?;
        Ok(evaluation)
    }
}
