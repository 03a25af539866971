//! The standard library as files that an editor can open: read-only copies in the user's folder of caches, one folder for each version of the text.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use mgx_compiler::check::library_files;

/// Where the copies are.
pub struct LibraryFolder(Option<PathBuf>);

impl LibraryFolder {
    /// The folder of this version, which is filled when a file of it is asked for; none where there is no folder of caches.
    pub fn new() -> Self {
        let caches = crate::cache::folder_of_caches();
        let mut version = DefaultHasher::new();
        for file in library_files() {
            (file.shown, file.text).hash(&mut version);
        }
        Self(caches.map(|caches| caches.join("mgx-library").join(format!("{:016x}", version.finish()))))
    }

    /// A file of the library (`std::layers::basic`) as a file.
    pub fn path_of(&self, module: &str) -> Option<PathBuf> {
        let folder = self.0.as_ref()?;
        let file = library_files().find(|file| file.module == module)?;
        let path = folder.join(file.shown);
        if fs::read(&path).ok().as_deref() != Some(file.text.as_bytes()) {
            write(&path, file.text).ok()?;
        }
        Some(path)
    }

    /// Is it one of the copies?
    pub fn contains(&self, path: &Path) -> bool {
        self.0.as_ref().is_some_and(|folder| path.starts_with(folder))
    }
}

/// Writes a whole file or none, and lets nobody write to it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    fs::write(&unfinished, text)?;
    let mut permissions = fs::metadata(&unfinished)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&unfinished, permissions)?;
    fs::rename(&unfinished, path)
}
