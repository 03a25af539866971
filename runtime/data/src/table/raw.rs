//! What the readers of all formats give: wanted columns as text or numbers, not yet checked.

use std::fs::File;
use std::io;
use std::path::Path;

use arrow::array::{Float64Array, LargeListArray, LargeStringArray};
use mgx_diag::{Diagnostic, nearest};

use super::places::Places;

/// A column that a reader is asked for.
pub(super) struct Wanted {
    /// Its name in the file.
    pub header: String,
    pub form: Form,
}

/// What is wanted of a column. Formats that have no such values give text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// Numbers, as far as the format stores them as such.
    Numbers,
    /// Lists of lists of numbers, as far as the format has lists.
    Lists,
    /// Lists as text between brackets, as far as the format has lists.
    ListText,
}

/// Unchecked values; null where the file has none.
pub(super) enum RawColumn {
    Text(LargeStringArray),
    Number(Float64Array),
    /// Lists of `LargeList` of `f32`.
    Lists(LargeListArray),
}

impl RawColumn {
    pub fn into_text(self) -> Option<LargeStringArray> {
        match self {
            Self::Text(values) => Some(values),
            Self::Number(_) | Self::Lists(_) => None,
        }
    }
}

pub(super) struct RawTable {
    pub rows: u64,
    /// In the order in which they were asked for.
    pub columns: Vec<RawColumn>,
    pub places: Places,
}

/// Tables of measurements may have thousands of columns; a message names so many.
const NAMES_SHOWN: usize = 20;

/// A value from a file as a message shows it: on one line, and not all of a long one.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Opens a data file. E0510 if that fails.
pub(super) fn open(path: &Path) -> Result<File, Diagnostic> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(Diagnostic::error("E0510", format!("{} is a folder, not a file", path.display()))
            .help("name the file in it that holds the table")),
        Ok(_) => Ok(file),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The diagnostic for a file that cannot be opened or read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    if error.kind() != io::ErrorKind::NotFound {
        return Diagnostic::error("E0510", format!("cannot read {}: {error}", path.display()))
            .help("check the file's permissions and the disk it is on");
    }
    let found = Diagnostic::error("E0510", format!("there is no file {}", path.display()));
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return found };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found.help(format!("there is no folder {} either; paths are relative to the experiment's file", folder.display()));
    };
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match nearest(&name.to_string_lossy(), names.iter().map(String::as_str)) {
        Some(near) => found.help(format!("did you mean `{near}`, which is in the same folder?")),
        None => found.help("paths are relative to the experiment's file"),
    }
}

/// Finds the wanted columns among a file's headers. E0512 for one that is missing, E0525 for one that is there twice.
pub(super) fn locate(path: &Path, headers: &[String], wanted: &[Wanted]) -> Result<Vec<usize>, Diagnostic> {
    let find = |wanted: &Wanted| {
        let mut places = headers.iter().enumerate().filter(|(_, header)| **header == wanted.header).map(|(index, _)| index);
        match (places.next(), places.next()) {
            (Some(index), None) => Ok(index),
            (Some(_), Some(_)) => {
                Err(Diagnostic::error("E0525", format!("{} has more than one column `{}`", path.display(), wanted.header))
                    .help("rename all but one of them in the file"))
            }
            (None, _) => Err(missing(path, headers, &wanted.header)),
        }
    };
    wanted.iter().map(find).collect()
}

fn missing(path: &Path, headers: &[String], name: &str) -> Diagnostic {
    let found = Diagnostic::error("E0512", format!("{} has no column `{name}`", path.display()));
    let found = match headers {
        [] => found.note("the file has no columns at all"),
        [only] => found.note(format!("its only column is `{}`", shown(only))),
        _ => {
            let names: Vec<String> = headers.iter().take(NAMES_SHOWN).map(|header| format!("`{}`", shown(header))).collect();
            let more = headers.len().saturating_sub(NAMES_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            found.note(format!("its columns are {}{more}", names.join(", ")))
        }
    };
    if let Some(near) = nearest(name, headers.iter().map(String::as_str)) {
        return found.help(format!("did you mean `{near}`?"));
    }
    match headers {
        [only] if only.contains('\t') => found.help("the header has tabs in it: read the file as tsv"),
        [only] if only.contains(',') => found.help("the header has commas in it: read the file as csv"),
        _ => found.help("name one of the file's columns, or check that its first line is the header"),
    }
}

/// E0523 for bytes that are not UTF-8; `place` says where.
pub(super) fn not_utf8(path: &Path, place: &str) -> Diagnostic {
    Diagnostic::error("E0523", format!("{place}: the text is not UTF-8"))
        .help(format!("convert the file, for example with `iconv -f latin1 -t utf-8 {}`", path.display()))
}

/// E0524 for a file whose content does not follow its format.
pub(super) fn damaged(path: &Path, format: &str, reason: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("E0524", format!("{} is not a readable {format} file: {reason}", path.display()))
}
