//! `mgxc fmt`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mgx_compiler::check::World;
use mgx_compiler::format::format;
use mgx_diag::{Diagnostic, FileId, SourceMap};

use crate::cli::FmtOptions;
use crate::report;
use crate::world::Folder;

/// The name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Formats files, or says which are not formatted; exit code 1 for those, and for files with mistakes.
pub fn run(options: &FmtOptions) -> ExitCode {
    let mut ok = true;
    for named in &options.files {
        if named.as_os_str() == STANDARD_INPUT {
            ok &= standard_input(options.check);
            continue;
        }
        match programs(named) {
            Ok(files) => ok &= files.iter().filter(|file| !one_file(file, options.check)).count() == 0,
            Err(diagnostic) => {
                report::print(&[diagnostic], &SourceMap::default());
                ok = false;
            }
        }
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The file itself, or the programs in a folder and those below it, in order. Hidden folders are left out.
fn programs(named: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if !named.is_dir() {
        return Ok(vec![named.to_owned()]);
    }
    let mut found = Vec::new();
    let entries = std::fs::read_dir(named).map_err(|error| unreadable(named, &error.to_string()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        // A link to a folder may lead back to where it stands.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !is_hidden {
            found.extend(programs(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "mgx") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, reason: &str) -> Diagnostic {
    Diagnostic::error("E0201", format!("cannot read `{}`: {reason}", path.display()))
}

/// Is the file as it should be (afterwards, unless it is only checked)?
fn one_file(path: &Path, check: bool) -> bool {
    let (folder, name) = Folder::of(path);
    let text = match folder.source(&name) {
        Ok(text) => text,
        Err(reason) => {
            report::print(&[unreadable(path, &reason)], &SourceMap::default());
            return false;
        }
    };
    let Some(formatted) = formatted(&path.display().to_string(), &text) else { return false };
    if formatted == text {
        return true;
    }
    if check {
        report::line(format_args!("{}", path.display()));
        return false;
    }
    match write(path, &formatted) {
        Ok(()) => true,
        Err(diagnostic) => {
            report::print(&[diagnostic], &SourceMap::default());
            false
        }
    }
}

/// Puts the text in the place of a file, which keeps its permissions; of a link, in the place of what it leads to.
fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let failed = |reason: &str| {
        Diagnostic::error("E0540", format!("cannot write {}: {reason}", path.display()))
            .help("check that the file may be written, or format a copy of it")
    };
    let target = path.canonicalize().map_err(|error| failed(&error.to_string()))?;
    let permissions = target.metadata().map_err(|error| failed(&error.to_string()))?.permissions();
    if permissions.readonly() {
        return Err(failed("it is read-only"));
    }
    mgx_data::write_atomically(&target, |file| {
        file.get_ref().set_permissions(permissions)?;
        file.write_all(text.as_bytes())
    })
}

fn standard_input(check: bool) -> bool {
    const NAME: &str = "standard input";
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| error.to_string());
    let text = match read.and_then(|_| String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())) {
        Ok(text) => text,
        Err(reason) => {
            report::print(&[unreadable(Path::new(NAME), &reason)], &SourceMap::default());
            return false;
        }
    };
    let Some(formatted) = formatted(NAME, &text) else { return false };
    if check {
        if formatted != text {
            report::line(format_args!("{NAME}"));
        }
        return formatted == text;
    }
    report::text(&formatted);
    true
}

/// The formatted text; `None` if it has mistakes, which are shown.
fn formatted(name: &str, text: &str) -> Option<String> {
    let mut sources = SourceMap::default();
    let file: FileId = sources.add(name, text);
    match format(file, text) {
        Ok(formatted) => Some(formatted),
        Err(found) => {
            report::print(&found, &sources);
            None
        }
    }
}
