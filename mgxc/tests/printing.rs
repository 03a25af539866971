//! What is printed to a stream without a reader.

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_mgxc")).arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mgxc starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("mgxc ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
