//! The tutorial (`docs/tutorial.md`) can be followed: its programs are written to a folder with the bundled data, its commands are run there one after another, and what is
//! shown of their output is what they print, but for numbers of trainings, which differ between machines.
//!
//! A block ```` ```mgx file=NAME ```` is a file; in a block that begins with `$ ` every such line is a command, with its output below it. `…` stands for lines that are left out, and `^C` for
//! an interruption during the training. `MGX_BLESS=1` writes anew what is shown of `mgxc check` and `mgxc doc`, where nothing is left out; read the difference as a reader would.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Commands whose output does not depend on the machine.
const EXACT: [&str; 2] = ["mgxc check", "mgxc doc"];

/// A block of the page: the words after the fence, and the text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// The commands of a block, each with the lines shown below it.
fn commands(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, Vec::new())),
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => panic!("`{line}` belongs to no command"),
        }
    }
    commands
}

/// What a command prints to both streams, and how it ends; `interrupt` sends it SIGINT when its third epoch has begun.
fn run(folder: &Path, command: &str, interrupt: bool) -> (String, Option<i32>) {
    let program = Path::new(env!("CARGO_BIN_EXE_mgxc")).parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; exec {command}")])
        .current_dir(folder)
        .env("PATH", format!("{program}:{path}"))
        .env("MGX_CACHE", folder.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut output = String::new();
    if interrupt {
        while !output.contains("\nepoch 3/") && lines.read_line(&mut output).is_ok_and(|length| length > 0) {}
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "nothing to interrupt:\n{output}");
    }
    lines.read_to_string(&mut output).expect("text");
    (output, child.wait().expect("an end").code())
}

/// A line without its numbers and the blanks at its end.
fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    for c in line.trim_end().chars() {
        let of_number = c.is_ascii_digit() || (c == '.' || c == ',') && out.ends_with('#');
        if !of_number {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out.replace("-#", "#")
}

/// Are these the lines, where `…` stands for any number of them?
fn stands_for(shown: &[&str], printed: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        ["…", rest @ ..] => (0..=printed.len()).any(|skipped| stands_for(rest, &printed[skipped..])),
        [line, rest @ ..] => printed.first() == Some(line) && stands_for(rest, &printed[1..]),
    }
}

/// Is what is shown what was printed? Findings to the letter; of trainings the lines that tell results.
fn compare(command: &str, shown: &[&str], printed: &str) {
    let is_exact = EXACT.iter().any(|word| command.starts_with(word));
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    if is_exact {
        assert!(stands_for(shown, &printed), "`{command}` does not print\n{}\nbut\n{}", shown.join("\n"), printed.join("\n"));
        return;
    }
    let told: Vec<String> = printed.iter().map(|line| without_numbers(line)).collect();
    let mut compared = 0;
    for line in shown.iter().filter(|line| !["…", "^C"].contains(*line)) {
        // When something gets better, stops or is as fast is the machine's.
        let is_result = ["test", "best:", "results", "all", "wrote", "row", "experiment", "new.csv", "resumed", "stopped after", "member"]
            .iter()
            .any(|word| line.starts_with(word));
        if is_result {
            assert!(told.contains(&without_numbers(line)), "`{line}` of `{command}` is not in\n{}", printed.join("\n"));
            compared += 1;
        }
    }
    assert!(compared > 0 || shown.is_empty(), "nothing is compared of `{command}`");
}

#[test]
fn every_command_works_and_prints_what_is_shown() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial.md")).expect("the tutorial");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data");
    fs::create_dir(folder.path().join("data")).expect("a folder");
    for entry in fs::read_dir(data).expect("bundled data") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), folder.path().join("data").join(entry.file_name())).expect("a copy");
    }
    let bless = std::env::var_os("MGX_BLESS").is_some();
    let mut blessed = page.clone();
    let mut count = 0;
    for (info, text) in blocks(&page) {
        if let Some(name) = info.strip_prefix("mgx file=") {
            fs::write(folder.path().join(name), text.to_owned() + "\n").expect("a program");
        } else if info == "text" && text.starts_with("$ ") {
            for (command, shown) in commands(text) {
                let interrupt = shown.contains(&"^C");
                let (printed, code) = run(folder.path(), command, interrupt);
                let expected = match shown.iter().any(|line| line.starts_with("[E")) {
                    true => 1,
                    false if interrupt => 130,
                    false => 0,
                };
                assert_eq!(code, Some(expected), "`{command}` printed\n{printed}");
                if bless && EXACT.iter().any(|word| command.starts_with(word)) && !shown.contains(&"…") {
                    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
                    let block = |lines: &[&str]| format!("$ {command}\n{}\n", lines.join("\n"));
                    blessed = blessed.replacen(&block(&shown), &block(&lines), 1);
                } else {
                    compare(command, &shown, &printed);
                }
                count += 1;
            }
        } else {
            assert_ne!(info, "mgx", "programs of the tutorial have a name: ```mgx file=NAME");
        }
    }
    if blessed != page {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial.md"), blessed).expect("a page that can be written");
    }
    assert!(count > 20, "only {count} commands");
}
