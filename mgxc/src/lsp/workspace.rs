//! Files of the folders that the editor has open, for what is asked of all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mgx_compiler::check::Analysis;

use super::server::Session;

/// Files that are looked at at most: a folder of many more is a disk.
const MOST_FILES: usize = 2000;
/// Folders within folders that are looked into.
const DEPTH: u32 = 12;

impl Session {
    /// The user's own `.mgx` files: those of the open folders, those that are open, and those beside them.
    pub fn own_files(&self) -> Vec<PathBuf> {
        let mut found: BTreeSet<PathBuf> = self.documents.0.keys().filter(|path| !self.library.contains(path)).cloned().collect();
        let beside: Vec<PathBuf> =
            found.iter().filter_map(|path| path.parent()).filter(|folder| folder.is_absolute()).map(Path::to_owned).collect();
        for folder in &self.folders {
            collect(folder, DEPTH, &mut found);
        }
        for folder in beside {
            collect(&folder, 1, &mut found);
        }
        found.into_iter().collect()
    }

    /// The programs that see a file: its own, and those of the user's files that import it.
    pub fn programs_with(&self, file: &Path) -> Vec<(PathBuf, Rc<Analysis>)> {
        let mut programs = Vec::new();
        for path in self.own_files() {
            let is_open = self.documents.0.contains_key(&path);
            if path != file && !is_open && !self.may_import(&path, file) {
                continue;
            }
            let analysis = self.analysis(&path);
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let sees = path == file || analysis.read.iter().any(|read| super::convert::normal(&folder.join(read)) == file);
            if sees {
                programs.push((path, analysis));
            }
        }
        programs
    }

    /// Does a file on the disk name another at all?
    fn may_import(&self, path: &Path, other: &Path) -> bool {
        let name = other.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("use ") && text.contains(&name))
    }
}

fn collect(folder: &Path, depth: u32, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if found.len() >= MOST_FILES {
            return;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        let hidden = name.to_string_lossy().starts_with('.');
        if kind.is_dir() && depth > 1 && !hidden && name != "target" && name != "node_modules" {
            collect(&path, depth - 1, found);
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "mgx") {
            found.insert(super::convert::normal(&path));
        }
    }
}
