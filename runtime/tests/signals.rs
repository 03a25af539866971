//! Ctrl-C: the first asks, the second ends the process.

use std::process::Command;

use mgx_runtime::Interrupt;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::raise;

const CHILD: &str = "MGX_TEST_SIGNALS";

/// The same test is the child process: it raises the signals, and if the second did not end it, its status is 0.
#[test]
fn the_first_signal_asks_and_the_second_ends_the_process() {
    if std::env::var_os(CHILD).is_some() {
        let interrupt = Interrupt::on_signals().unwrap();
        assert!(!interrupt.is_requested());
        raise(SIGINT).unwrap();
        assert!(interrupt.is_requested(), "the first signal asks");
        raise(SIGINT).unwrap();
        return;
    }
    let test = "the_first_signal_asks_and_the_second_ends_the_process";
    let status = Command::new(std::env::current_exe().unwrap()).args(["--exact", test]).env(CHILD, "1").status().unwrap();
    assert_eq!(status.code(), Some(130));
}
