//! `mgxc report`: what runs left in their folders, as one page that needs nothing besides itself: no network, no other file.
//!
//! Everything shown is read from the files that `docs/runs.md` describes; a file that is missing or damaged is said so in the page, and the rest is shown.
//! All text of a run is escaped: names come from tables and programs that anybody may have written.

mod chart;
mod highlight;
mod html;
mod leaderboard;
pub mod numbers;
mod predictions;
mod record;
mod section;

use std::path::{Path, PathBuf};

use mgx_diag::Diagnostic;

pub use record::Record;

/// Folders below a given one in which runs are looked for: `runs`, the experiment, its number, a member of a
/// sweep, and a fold.
const DEPTH: usize = 5;
const PLAN: &str = "plan.json";

/// The runs in some folders, each a run or a folder with runs in it (`runs/splice_sites`), in the order of their names.
///
/// # Errors
/// E0957 for a folder without one; E0956 if it cannot be read.
pub fn find(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let mut here = Vec::new();
        collect(folder, DEPTH, &mut here)?;
        if here.is_empty() {
            return Err(Diagnostic::error("E0957", format!("`{}` holds no run", folder.display()))
                .help("name the folder of a run (`runs/EXPERIMENT/1`), or a folder with runs in it (`runs/EXPERIMENT`)"));
        }
        here.retain(|path| !found.contains(path));
        found.append(&mut here);
    }
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Diagnostic> {
    if folder.join(PLAN).is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        Diagnostic::error("E0956", format!("cannot read `{}`: {error}", folder.display())).help("check the name, and that you may read it")
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect();
    // Runs are numbered: 10 comes after 9.
    below.sort_by_key(|path| (path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok()), path.clone()));
    if depth > 0 {
        below.iter().try_for_each(|path| collect(path, depth - 1, found))?;
    }
    Ok(())
}

/// The page of some runs.
pub fn page(runs: &[PathBuf]) -> String {
    let records: Vec<Record> = runs.iter().map(|path| Record::read(path)).collect();
    html::page(&records)
}
