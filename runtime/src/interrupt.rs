//! Ctrl-C: the first asks the run to end well, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mgx_diag::Diagnostic;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit status of a process that the second signal ends, as shells know it from SIGINT.
const STATUS: i32 = 130;

/// A request to end, shared with whoever makes it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// One that only [`Interrupt::request`] sets.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGINT (Ctrl-C) and SIGTERM (job schedulers) set, for the rest of the process's life; either signal, sent again, ends the
    /// process at once with status 130.
    ///
    /// # Errors
    /// E0949 if the system refuses the handlers.
    pub fn on_signals() -> Result<Self, Diagnostic> {
        let interrupt = Self::new();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the shutdown looks at the flag before this signal sets it.
            flag::register_conditional_shutdown(signal, STATUS, Arc::clone(&interrupt.0))
                .and_then(|_| flag::register(signal, Arc::clone(&interrupt.0)))
                .map_err(|error| refused(&error))?;
        }
        Ok(interrupt)
    }

    /// Asks the run to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Has it been asked to?
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The error of a stage that has nothing to keep when it is interrupted.
pub(crate) fn interrupted(what: &str) -> Diagnostic {
    Diagnostic::error("E0947", format!("interrupted during {what}"))
        .note("nothing was written for this stage")
        .help("start the command again")
}

fn refused(error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("E0949", format!("cannot listen for Ctrl-C: {error}"))
        .help("run without changed signal settings, or in another terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_signals_are_refused_is_said() {
        // There is no signal of this number, which the system says of its own.
        let error = flag::register(10_000, Arc::default()).unwrap_err();
        let found = refused(&error);
        assert!(found.code.0 == "E0949" && found.message.contains(&error.to_string()), "{found:?}");
    }
}
