//! What training says of itself: events of the run's folder and lines for people.

use std::time::Instant;

use mgx_diag::Diagnostic;
use serde_json::{Map, Value};

use super::Fit;
use super::state::Sums;
use super::step::StepResult;
use crate::metrics::Metrics;
use crate::progress::rate;

impl Fit<'_> {
    /// `epoch 3/20`.
    pub(super) fn epoch_label(&self) -> String {
        match self.spec.epochs {
            Some(epochs) => format!("epoch {}/{epochs}", self.state.epoch + 1),
            None => format!("epoch {}", self.state.epoch + 1),
        }
    }

    /// A step that is logged; the window of the mean loss begins anew.
    pub(super) fn log_train(&mut self, result: &StepResult, learning_rate: f64) -> Result<(), Diagnostic> {
        let seconds = self.window.0.elapsed().as_secs_f64().max(1e-9);
        let window = self.state.window;
        let samples = window.samples - self.window.1;
        let fields = [
            ("step", self.state.step.into()),
            ("epoch", (self.state.epoch + 1).into()),
            ("loss", window.mean().into()),
            ("lr", learning_rate.into()),
            ("grad_norm", result.gradient_norm.into()),
            ("samples_per_s", (samples as f64 / seconds).into()),
            ("tokens_per_s", ((window.tokens - self.window.2) as f64 / seconds).into()),
        ];
        self.events.write("train", fields, Map::new())?;
        let (label, step) = (self.epoch_label(), self.state.step);
        let speed = rate(samples, seconds);
        self.progress.line(&format!("{label}  step {step}  loss {:.4}  lr {learning_rate:.2e}  {speed}", window.mean()));
        self.state.window = Sums::default();
        self.window = (Instant::now(), 0, 0);
        Ok(())
    }

    /// An evaluation after an epoch.
    pub(super) fn log_valid(&mut self, metrics: &Metrics, is_best: bool) -> Result<(), Diagnostic> {
        let mut fields = self.epoch_fields();
        fields.extend([("best", is_best.into()), ("samples_per_s", (metrics.rows as f64 / metrics.seconds.max(1e-9)).into())]);
        self.events.write("valid", fields, metrics.to_json())?;
        let best = if is_best { "  (best)" } else { "" };
        let (label, train) = (self.epoch_label(), self.state.epoch_sums.mean());
        self.progress.line(&format!("{label}  step {}  train loss {train:.4}  valid {}{best}", self.state.step, metrics.line()));
        Ok(())
    }

    /// The end of an epoch without validation rows.
    pub(super) fn log_epoch(&mut self) -> Result<(), Diagnostic> {
        let fields = self.epoch_fields();
        self.events.write("epoch", fields, Map::new())?;
        let (label, train) = (self.epoch_label(), self.state.epoch_sums.mean());
        self.progress.line(&format!("{label}  step {}  train loss {train:.4}", self.state.step));
        Ok(())
    }

    fn epoch_fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("step", self.state.step.into()),
            ("epoch", (self.state.epoch + 1).into()),
            ("train_loss", self.state.epoch_sums.mean().into()),
        ]
    }
}
