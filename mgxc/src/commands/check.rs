//! `mgxc check`.

use std::process::ExitCode;

use crate::cli::CheckOptions;
use crate::report;
use crate::world::Folder;

/// Checks files; exit code 1 if any has an error.
pub fn run(options: &CheckOptions) -> ExitCode {
    let mut ok = true;
    for file in &options.files {
        let (folder, name) = Folder::of(file);
        let mut checked = mgx_compiler::check::check(&folder, &name, &options.overrides);
        if checked.is_ok() {
            for experiment in checked.experiments.iter().chain(&checked.others) {
                checked.diagnostics.extend(super::prepare::check_weights(&folder, experiment));
                checked.diagnostics.extend(super::prepare::check_tokenizers(experiment));
            }
            // Members of a sweep read the same rows; once is enough.
            if checked.is_ok() {
                let tokens = |experiment| super::prepare::check_tokens(&folder, experiment);
                checked.diagnostics.extend(checked.experiments.iter().flat_map(tokens).collect::<Vec<_>>());
            }
        }
        ok &= checked.is_ok();
        if options.json {
            report::print_json(&checked.diagnostics, &checked.sources);
        } else {
            report::print(&checked.diagnostics, &checked.sources);
            if checked.is_ok() {
                report::line(format_args!("{}: ok ({})", file.display(), describe(&checked.names)));
            }
        }
        // What was read is thousands of small pieces; with one file the process ends now, and handing them back takes a tenth of all its time.
        if options.files.len() == 1 {
            std::mem::forget(checked);
        }
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn describe(names: &[String]) -> String {
    match names {
        [] => "no experiments".to_owned(),
        [one] => format!("experiment {one}"),
        many => format!("experiments {}", many.join(", ")),
    }
}
