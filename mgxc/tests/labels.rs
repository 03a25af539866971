//! Labels that do not fit are refused before training starts, and before there is a folder of the run.

use std::fs;
use std::process::Command;

/// A program with a label of this type, so many outputs, and this task.
fn program(label: &str, outputs: u64, task: &str) -> String {
    format!(
        "use std::adapters::{{linear, linear_mean_pool}}\nuse std::backbones::dna_onehot\nuse std::optimizers::adamw\n\
         use std::tasks::{{classification, multilabel_classification, regression, scaled_regression, token_classification}}\n\
         data rows = table(\"rows.tsv\") {{\n  sequence: dna\n  y: {label}\n}}\n\
         experiment e {{\n  values = rows.sequence |> dna_onehot |> linear_mean_pool(outputs = {outputs})\n  task = {task}\n\
         \x20 train {{\n    epochs = 1\n    optimizer = adamw(lr = 1e-3)\n  }}\n}}\n"
    )
}

/// Runs a program on rows with these labels; gives the errors.
fn run(program: &str, labels: &[&str]) -> String {
    stage(program, labels, &[])
}

/// [`run`] with further arguments.
fn stage(program: &str, labels: &[&str], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows: String = labels.iter().map(|label| format!("ACGT\t{label}\n")).collect();
    fs::write(folder.path().join("rows.tsv"), format!("sequence\ty\n{rows}")).expect("a table");
    fs::write(folder.path().join("e.mgx"), program).expect("a program");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mgxc"));
    let output = command.args(["run", "e.mgx", "--out", "out"]).args(arguments).current_dir(folder.path()).output().expect("mgxc starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(!folder.path().join("out").exists(), "a folder was made: {errors}");
    errors
}

#[test]
fn labels_that_do_not_fit_are_refused_before_training() {
    let number = program("real", 1, "regression(values, rows.y)");
    let class = program("class(\"a\", \"b\")", 2, "classification(values, rows.y)");
    let cases: &[(&str, &[&str], &str, &str)] = &[
        // The shape of the label against the task.
        (&program("real(count = 3)", 1, "regression(values, rows.y)"), &["1,2,3"], "E0501", "1 outputs for 3 numbers"),
        (&program("real(count = 3)", 3, "regression(values, rows.y)"), &["1,2"], "E0560", "2 numbers"),
        (&program("real", 2, "classification(values, rows.y)"), &["1"], "E0319", "is a number"),
        (&program("class(\"a\", \"b\")", 1, "regression(values, rows.y)"), &["a"], "E0319", "is a class"),
        (&program("labels(\"a\", \"b\")", 2, "multilabel_classification(values, rows.y)"), &["1,0,1"], "E0560", "3 numbers"),
        (&program("class(\"a\", \"b\", each = sequence)", 2, "classification(values, rows.y)"), &["abab"], "E0319", "each letter"),
        // More classes than outputs, or than the column declares.
        (&program("class(\"a\", \"b\", \"c\")", 2, "classification(values, rows.y)"), &["a", "b", "c"], "E0501", "2 outputs for 3 classes"),
        (&class, &["a", "b", "c"], "E0516", "row 3"),
        // Numbers that are none.
        (&number, &["1", "nan"], "E0518", "row 2"),
        (&number, &["1", "-inf"], "E0518", "row 2"),
        (&number, &["1", "1e39"], "E0518", "too large"),
        (&number, &["1", ""], "E0517", "row 2"),
        (&program("real(count = 2)", 2, "regression(values, rows.y)"), &["1,2", "3,nan"], "E0518", "row 2"),
        (&program("labels(\"a\", \"b\")", 2, "multilabel_classification(values, rows.y)"), &["1,0", "1,0.5"], "E0561", "row 2"),
        // What tasks compute of all labels.
        (&program("real", 1, "scaled_regression(values, rows.y)"), &["2", "2", "2"], "E0584", "same number"),
        (&program("class(\"a\", \"b\", \"c\")", 3, "classification(values, rows.y, balanced = true)"), &["a", "b", "a"], "E0585", "`c`"),
        (&program("class(\"a\", \"b\")", 2, "classification(values, rows.y, weights = [1, 2, 3])"), &["a", "b"], "E0401", "3 numbers"),
    ];
    for (program, labels, code, part) in cases {
        let errors = run(program, labels);
        assert!(errors.contains(&format!("[{code}]")) && errors.contains(part), "{code}, {part}:\n{errors}");
    }
}

#[test]
fn weights_are_given_once() {
    let errors = run(&program("class(\"a\", \"b\")", 2, "classification(values, rows.y, balanced = true, weights = [1, 2])"), &["a", "b"]);
    assert!(errors.contains("balanced"), "{errors}");
}

#[test]
fn predictions_in_units_that_nobody_knows_are_refused() {
    let program = program("real", 1, "scaled_regression(values, rows.y)");
    let untrained = format!("{}}}\n", program.split("  train {").next().expect("the rest"));
    let errors = stage(&untrained, &["", ""], &["--stage", "predict"]);
    assert!(errors.contains("[E0586]") && errors.contains("`y`"), "{errors}");
}
