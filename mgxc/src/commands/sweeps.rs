//! Sweeps: a run for each member, in folders beside each other, and what they come to in one table.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mgx_compiler::check::{Override, Sweep};
use mgx_diag::Diagnostic;
use mgx_runtime::RunFolder;
use serde_json::{Map, Value, json};

use super::prepare::Prepared;
use super::run::{folder_of_runs, prepared, run_one};
use crate::cli::{RunOptions, Stage};
use crate::report;

/// The files with what all members came to.
const TABLE: &str = "sweep.tsv";
const MEMBERS: &str = "sweep.json";

/// The value of the command line that stands for a member of a sweep.
pub fn choice(experiment: Option<&String>, member: u64) -> Override {
    let path = experiment.map_or_else(|| "sweep".to_owned(), |name| format!("{name}.sweep"));
    Override { path, value: member.to_string() }
}

/// What became of a member: its settings, and the metrics of the test part.
struct Row {
    settings: Vec<(String, String)>,
    test: Map<String, Value>,
}

/// Runs all members, one after another. `first` is the first one; making it has checked them all.
pub fn run(options: &RunOptions, first: Prepared, sweep: &Sweep) -> Result<ExitCode, Diagnostic> {
    let count = sweep.members.len();
    if !matches!(options.stage, None | Some(Stage::Fit)) {
        return Err(Diagnostic::error("E0217", format!("the experiment is a sweep of {count}, and this stage is of one member"))
            .help("choose it with `--member 0`, and its run with `--out RUN/member-0`"));
    }
    let folder = folder_of_runs(options, &first, "member-0")?;
    let mut next = Some(first);
    let mut rows = Vec::new();
    for (member, settings) in (0..).zip(&sweep.members) {
        report::line(format_args!("member {member} of {count}: {}", shown(settings)));
        let out = folder.join(format!("member-{member}"));
        let resume = options.resume && (RunFolder::open(&out).is_ok() || out.join("fold-0").is_dir());
        let own = RunOptions { resume, out: Some(out), ..of_member(options, member) };
        let prepared = match next.take().map_or_else(|| prepared(&own, own.fold), Ok) {
            Ok(prepared) => prepared,
            Err(code) => return Ok(code),
        };
        let done = run_one(&own, prepared)?;
        if done.code != ExitCode::SUCCESS {
            report::note(format_args!("to go on with all members, name `{}` by --out with --resume, without --member", folder.display()));
            return Ok(done.code);
        }
        rows.push(Row { settings: settings.clone(), test: done.test });
    }
    write(&rows, &folder)?;
    print(&rows);
    report::line(format_args!("all members are in {}; mgxc report {} compares them", folder.display(), folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn of_member(options: &RunOptions, member: u64) -> RunOptions {
    RunOptions { member: Some(member), ..options.clone() }
}

/// `seed = 1, encoder = small()`.
fn shown(settings: &[(String, String)]) -> String {
    settings.iter().map(|(path, value)| format!("{path} = {value}")).collect::<Vec<_>>().join(", ")
}

/// All metrics of the rows, in the order in which they come.
fn metrics(rows: &[Row]) -> Vec<&String> {
    let mut names = Vec::new();
    for name in rows.iter().flat_map(|row| row.test.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn print(rows: &[Row]) {
    let names = metrics(rows);
    for (member, row) in rows.iter().enumerate() {
        let value = |name: &&String| Some(format!("{name} {:.4}", row.test.get(*name)?.as_f64()?));
        let values: Vec<String> = names.iter().filter_map(value).collect();
        report::line(format_args!("member {member}: test {}  ({})", values.join("  "), shown(&row.settings)));
    }
}

fn write(rows: &[Row], folder: &Path) -> Result<(), Diagnostic> {
    let members: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(member, row)| {
            let settings: Map<String, Value> = row.settings.iter().map(|(path, value)| (path.clone(), json!(value))).collect();
            json!({ "member": member, "settings": settings, "test": row.test })
        })
        .collect();
    mgx_data::write_atomically(&folder.join(MEMBERS), |file| {
        serde_json::to_writer_pretty(&mut *file, &members)?;
        writeln!(file)
    })?;
    let names = metrics(rows);
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    mgx_data::write_atomically(&folder.join(TABLE), |file| {
        let paths = rows.first().map(|row| row.settings.as_slice()).unwrap_or_default().iter().map(|(path, _)| path.as_str());
        let header: Vec<&str> = ["member"].into_iter().chain(paths).chain(names.iter().map(|name| name.as_str())).collect();
        writeln!(file, "{}", header.join("\t"))?;
        for (member, row) in rows.iter().enumerate() {
            let settings = row.settings.iter().map(|(_, value)| plain(value));
            let values =
                names.iter().map(|name| row.test.get(*name).and_then(Value::as_f64).map_or_else(String::new, |value| value.to_string()));
            let cells: Vec<String> = [member.to_string()].into_iter().chain(settings).chain(values).collect();
            writeln!(file, "{}", cells.join("\t"))?;
        }
        Ok(())
    })
}
