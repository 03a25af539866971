//! `mgxc fmt` as a user runs it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const UGLY: &str = "experiment a{ x=1 }\n";
const FINE: &str = "experiment a { x = 1 }\n";

fn mgxc(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc")).current_dir(folder).args(args).output().expect("mgxc starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn folders_are_searched_and_files_written_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    fs::create_dir_all(root.join("below/.hidden")).expect("a folder");
    for name in ["a.mgx", "below/b.mgx", "below/.hidden/c.mgx", "below/text.txt"] {
        fs::write(root.join(name), UGLY).expect("a file");
    }
    fs::write(root.join("fine.mgx"), FINE).expect("a file");

    let checked = mgxc(root, &["fmt", "--check", "."]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(text(&checked.stdout), "./a.mgx\n./below/b.mgx\n");
    assert_eq!(fs::read_to_string(root.join("a.mgx")).expect("the file"), UGLY, "a check writes nothing");

    let written = mgxc(root, &["fmt", "."]);
    assert_eq!((written.status.code(), text(&written.stdout), text(&written.stderr)), (Some(0), String::new(), String::new()));
    let now = |name: &str| fs::read_to_string(root.join(name)).expect("the file");
    assert_eq!([now("a.mgx"), now("below/b.mgx"), now("fine.mgx")], [FINE; 3]);
    assert_eq!([now("below/.hidden/c.mgx"), now("below/text.txt")], [UGLY; 2]);
    assert_eq!(mgxc(root, &["fmt", "--check", "."]).status.code(), Some(0));
}

#[test]
fn standard_input_goes_to_standard_output() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mgxc"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("mgxc starts");
    child.stdin.take().expect("a pipe").write_all(UGLY.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), FINE.to_owned()));
}

#[test]
fn a_file_with_mistakes_stays_and_others_are_formatted() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = "experiment a { x = (1 }\n";
    fs::write(folder.path().join("broken.mgx"), broken).expect("a file");
    fs::write(folder.path().join("ugly.mgx"), UGLY).expect("a file");
    let output = mgxc(folder.path(), &["fmt", "broken.mgx", "missing.mgx", "ugly.mgx"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("E0102") && errors.contains("broken.mgx:1:"), "{errors}");
    assert!(errors.contains("[E0201] Error: cannot read `missing.mgx`: no such file"), "{errors}");
    assert_eq!(fs::read_to_string(folder.path().join("broken.mgx")).expect("the file"), broken);
    assert_eq!(fs::read_to_string(folder.path().join("ugly.mgx")).expect("the file"), FINE);
}

#[cfg(unix)]
#[test]
fn links_lead_to_the_file_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let (file, link) = (folder.path().join("file.mgx"), folder.path().join("link.mgx"));
    fs::write(&file, UGLY).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("permissions");
    symlink("file.mgx", &link).expect("a link");
    assert_eq!(mgxc(folder.path(), &["fmt", "link.mgx"]).status.code(), Some(0));
    assert!(link.symlink_metadata().expect("the link").is_symlink());
    assert_eq!(fs::read_to_string(&file).expect("the file"), FINE);
    assert_eq!(file.metadata().expect("the file").permissions().mode() & 0o777, 0o640);

    fs::write(&file, UGLY).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).expect("permissions");
    let refused = mgxc(folder.path(), &["fmt", "file.mgx"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("[E0540] Error: cannot write file.mgx: it is read-only"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(&file).expect("the file"), UGLY);
}
