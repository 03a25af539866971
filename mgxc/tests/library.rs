//! `mgxc list`, `mgxc doc` and the form of all JSON output, as a user sees them.

use std::process::{Command, Output};

fn mgxc(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgxc")).args(args).output().expect("mgxc starts")
}

fn printed(args: &[&str]) -> String {
    let output = mgxc(args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn names_are_listed_by_kind() {
    let schedules = printed(&["list", "schedules"]);
    let names: Vec<&str> = schedules.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["constant_rate", "cosine", "linear"]);
    assert!(schedules.contains("half a cosine to 0"), "{schedules}");
    let all = printed(&["list"]);
    for title in ["backbones", "adapters", "fusions", "tasks", "rewrites", "tokenizers", "networks", "layers", "functions", "codes"] {
        assert!(all.lines().any(|line| line == title), "no {title} in\n{all}");
    }
    assert!(all.contains("\n  E0101") && all.contains("\n  esm2_8m"), "{all}");
    assert_eq!(mgxc(&["list", "nothing"]).status.code(), Some(2));
}

#[test]
fn a_page_shows_what_is_known() {
    let page = printed(&["doc", "esm2_8m"]);
    for part in [
        "esm2_8m, a backbone\n",
        "use std::backbones::esm2_8m",
        "parameters  7,408,960\n",
        "facebook/esm2_t6_8M_UR50D",
        "Lin et al. 2023",
        "\n  layers: int = 6\n",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    assert!(printed(&["doc", "lora.rank"]).starts_with("lora.rank, an option\n"));
    assert_eq!(printed(&["doc", "e0401"]), printed(&["explain", "E0401"]));
    let two = printed(&["doc", "linear"]);
    assert!(two.contains("linear, an adapter") && two.contains("linear, a schedule"), "{two}");
}

#[test]
fn a_misspelt_name_suggests_the_nearest() {
    let output = mgxc(&["doc", "clasification"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did you mean `classification`?"), "{said}");
}

#[test]
fn json_has_a_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mgx");
    std::fs::write(&file, "experiment a { task = b }\n").expect("a file");
    let name = file.to_string_lossy().into_owned();
    let check = mgxc(&["check", "--json", &name]);
    assert_eq!(check.status.code(), Some(1));
    let lines = [printed(&["doc", "--json", "adamw"]), printed(&["list", "--json"]), String::from_utf8(check.stdout).expect("text")];
    for line in lines.iter().flat_map(|text| text.lines()) {
        let object: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(object["version"], 1, "{line}");
    }
    let page: serde_json::Value = serde_json::from_str(&lines[0]).expect("an object");
    assert_eq!(page["pages"][0]["options"][0], serde_json::json!({ "name": "lr", "type": "float", "default": null, "doc": null }));
}

#[test]
fn colour_is_given_where_it_is_asked_for() {
    let escape = '\u{1b}';
    assert!(!printed(&["explain", "E0401"]).contains(escape), "not on a terminal");
    let shown = printed(&["--color", "always", "explain", "E0401"]);
    assert!(shown.contains(escape) && !shown.contains("```") && shown.contains("    module Net {"), "{shown}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mgx");
    std::fs::write(&file, "experiment a { task = b }\n").expect("a file");
    let name = file.to_string_lossy().into_owned();
    let said = |args: &[&str]| String::from_utf8_lossy(&mgxc(args).stderr).into_owned();
    assert!(said(&["check", &name, "--color", "always"]).contains(escape));
    assert!(!said(&["check", &name]).contains(escape));
    assert!(!said(&["check", &name, "--color=never"]).contains(escape));
}

#[test]
fn shells_complete_commands() {
    for (shell, part) in [
        ("bash", "complete -F _mgxc"),
        ("zsh", "#compdef mgxc"),
        ("fish", "complete -c mgxc"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = printed(&["completions", shell]);
        assert!(script.contains(part) && script.contains("explain"), "{shell}: {script}");
    }
}
