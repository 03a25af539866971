//! Diagnostics that several modules share: failed reads and writes of files.

use std::io;
use std::path::Path;

use mgx_diag::Diagnostic;

/// A file or folder cannot be read.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Diagnostic {
    let diagnostic = Diagnostic::error("E0900", format!("cannot read `{}`: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound => diagnostic.help("check the path; relative paths start at the folder of the experiment's file"),
        io::ErrorKind::PermissionDenied => diagnostic.help("check that the file is readable by this user"),
        _ => diagnostic,
    }
}

/// A file or folder cannot be written (`E0920` to `E0922`); whatever was there before is unchanged.
pub fn cannot_write(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Diagnostic::error("E0921", format!("no space left to write `{shown}`: {error}"))
                .note("what was there before is unchanged")
                .help("free space on this disk, keep fewer checkpoints, or write to another folder")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Diagnostic::error("E0922", format!("not allowed to write `{shown}`: {error}"))
                .help("write to a folder that this user owns, or change its permissions")
        }
        _ => Diagnostic::error("E0920", format!("cannot write `{shown}`: {error}")).note("what was there before is unchanged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_file_cannot_be_written_decides_the_code() {
        let code = |kind: io::ErrorKind| cannot_write(Path::new("model.safetensors"), &kind.into()).code.0;
        assert_eq!(code(io::ErrorKind::StorageFull), "E0921");
        assert_eq!(code(io::ErrorKind::PermissionDenied), "E0922");
        assert_eq!(code(io::ErrorKind::ReadOnlyFilesystem), "E0922");
        assert_eq!(code(io::ErrorKind::NotADirectory), "E0920");
    }
}
