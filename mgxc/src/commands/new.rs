//! `mgxc new`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mgx_diag::{Diagnostic, SourceMap};

use crate::cli::NewOptions;
use crate::report;

/// The files of a starter project: paths, and what is in them.
const FILES: [(&str, &str); 4] = [
    ("boxes.mgx", include_str!("../../starter/boxes.mgx")),
    ("data/sequences.tsv", include_str!("../../starter/data/sequences.tsv")),
    ("README.md", include_str!("../../starter/README.md")),
    (".gitignore", "/runs/\n"),
];

/// Makes a folder with an experiment that runs as it is.
pub fn run(options: &NewOptions) -> ExitCode {
    match write(&options.folder) {
        Ok(()) => {
            let folder = options.folder.display();
            report::line(format_args!(
                "made {folder}, an experiment with its data; go on with:\n\n  cd {folder}\n  mgxc run {}",
                FILES[0].0
            ));
            ExitCode::SUCCESS
        }
        Err(diagnostic) => report::fail(&diagnostic, &SourceMap::default()),
    }
}

fn write(folder: &Path) -> Result<(), Diagnostic> {
    let taken = |what: &str| {
        Diagnostic::error("E0972", format!("`{}` {what}", folder.display())).help("name a folder that is new or empty; nothing was written")
    };
    // Whether a folder can be made, or written to, shows when it is.
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(taken("has something in it")),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Err(taken("is a file")),
        _ => {}
    }
    for (path, text) in FILES {
        mgx_data::write_atomically(&folder.join(path), |file| file.write_all(text.as_bytes()))?;
    }
    Ok(())
}
