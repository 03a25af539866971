//! Commands that cannot be carried out: the code, the exit code, and what to do instead.

use std::path::Path;
use std::process::Command;

/// What a command that fails prints.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let output = Command::new(env!("CARGO_BIN_EXE_mgxc"))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(examples)
        .output()
        .expect("mgxc starts");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn of_several_experiments_one_must_be_chosen() {
    let shown = refused(&["plan", "isoforms.mgx"], &[]);
    assert!(shown.contains("E0214") && shown.contains("isoforms_by_attention, isoforms_by_concatenation"), "{shown}");
}

#[test]
fn the_size_of_the_cache_is_a_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let out = out.to_str().expect("a path in UTF-8");
    let shown = refused(&["run", "splice.mgx", "--out", out], &[("MGX_CACHE_GB", "much")]);
    assert!(shown.contains("E0970") && shown.contains("much"), "{shown}");
    assert!(!Path::new(out).exists(), "nothing is left behind");
}

#[test]
fn runs_that_cannot_be_read_are_no_report() {
    let long = "a".repeat(300);
    let shown = refused(&["report", &long], &[]);
    assert!(shown.contains("E0956"), "{shown}");
}
