//! Changes that diagnostics offer: put in, they mend what the diagnostic says.

mod files_world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use files_world::Files;
use mgx_compiler::check::{Checked, check};
use mgx_diag::{Diagnostic, Edit};

/// The text with all edits put in.
fn edited(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    for pair in sorted.windows(2) {
        assert!(pair[0].span.end <= pair[1].span.start, "edits overlap: {pair:?}");
    }
    let mut text = text.to_owned();
    for edit in sorted.iter().rev() {
        text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    text
}

fn checked(text: &str) -> Checked {
    check(&Files(BTreeMap::from([("a.mgx".to_owned(), text.to_owned())])), "a.mgx", &[])
}

fn count(checked: &Checked, like: &Diagnostic) -> usize {
    checked.diagnostics.iter().filter(|other| other.code == like.code && other.message == like.message).count()
}

/// Puts in each offered change by itself; gives how many there were, and what the ones that mend nothing say.
fn put_in_all(name: &str, text: &str, failures: &mut Vec<String>) -> usize {
    let before = checked(text);
    let mut offered = 0;
    for diagnostic in &before.diagnostics {
        for fix in &diagnostic.fixes {
            offered += 1;
            assert!(!fix.title.is_empty() && !fix.edits.is_empty(), "{name}: {diagnostic:?}");
            let files: Vec<_> = fix.edits.iter().map(|edit| before.sources.name(edit.span.file)).collect();
            assert!(files.iter().all(|file| *file == "a.mgx"), "{name}: a change of {files:?}");
            let mended = edited(text, &fix.edits);
            // Of several brackets too many on a line one is reported at a time.
            let one_of_several = diagnostic.code.0 == "E0122" && mended.contains(&diagnostic.message[1..2]);
            if count(&checked(&mended), diagnostic) >= count(&before, diagnostic) && !one_of_several {
                failures.push(format!("{name}: {} {}: `{}` does not mend it", diagnostic.code, diagnostic.message, fix.title));
            }
        }
    }
    offered
}

#[test]
fn changes_mend_what_they_are_offered_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (mut offered, mut failures) = (0, Vec::new());
    for part in ["diagnostics", "corpus", "fixes"] {
        let mut paths: Vec<_> =
            fs::read_dir(folder.join(part)).expect("the folder exists").map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "mgx")) {
            let text = fs::read_to_string(path).expect("a program");
            let own = text.split("\n//// ").next().unwrap_or_default();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            offered += put_in_all(&name, own, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(offered > 100, "only {offered} changes were offered");
}

#[test]
fn an_experiment_is_mended_by_what_is_offered() {
    let broken = "use std::backbones::dna_onehot\nuse std::adapters::mlp_pool\nuse std::tasks::classification\n\
        data d = table(\"d.csv\") {\n  sequence: dna(length = 60)\n  label: class(\"a\", \"b\", \"c\")\n  split = random(train = 1.0)\n}\n\
        experiment e {\n  task = classification(d.sequence |> dna_onehot |> mlp_pool(outputs = 2), d.lable)\n  train {\n    epochs = 1; \n  }\n}\n";
    let mut text = broken.to_owned();
    for _ in 0..8 {
        let found = checked(&text);
        let Some(fix) = found.diagnostics.iter().find_map(|diagnostic| diagnostic.fixes.first()) else { break };
        text = edited(&text, &fix.edits);
    }
    let found = checked(&text);
    assert!(found.is_ok(), "{text}\n{:?}", found.diagnostics);
    assert!(text.contains("mlp_pool(outputs = 3), d.label") && text.contains("\n    optimizer = adamw(lr = 1e-3)"), "{text}");
    assert!(text.contains("use std::tasks::classification\nuse std::optimizers::adamw\n"), "{text}");
}
