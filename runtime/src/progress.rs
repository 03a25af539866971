//! What a run tells while it runs: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How progress is shown, on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// Bars if standard error is a terminal, lines otherwise.
    #[default]
    Auto,
    /// Lines.
    Lines,
    /// Nothing.
    Quiet,
}

/// One bar, or the lines in its place.
pub(crate) struct Progress {
    lines: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar of `total` units, `what` before it.
    pub fn start(mode: ProgressMode, what: &str, total: u64) -> Self {
        if mode != ProgressMode::Auto || !std::io::stderr().is_terminal() {
            return Self { lines: mode != ProgressMode::Quiet, bar: None };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {pos}/{len}  {msg}  ETA {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { lines: true, bar: Some(bar) }
    }

    /// Goes on from a position that an earlier process reached.
    pub fn resume(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.reset_eta();
        }
    }

    /// The text before the bar.
    pub fn stage(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(what.to_owned());
        }
    }

    /// Moves to a position; `message` is only made where it is shown.
    pub fn advance(&self, position: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(message());
        }
    }

    /// A line that stays. Where there is a bar, it goes above it.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.lines => say(text),
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A closed standard error is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Samples in a second, for people.
pub(crate) fn rate(samples: u64, seconds: f64) -> String {
    format!("{:.0} samples/s", samples as f64 / seconds.max(1e-9))
}
