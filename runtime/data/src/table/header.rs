//! Column names and formats of files, without reading their rows.

use std::path::Path;

use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

use super::{delimited, fasta, parquet, structures_folder};

/// The names of the columns of a file, from its first line (CSV, TSV) or its footer (Parquet).
///
/// # Errors
/// E0510 if the file cannot be read, E0520 if it is empty, E0523 if the header is not UTF-8, E0524 if it is damaged.
pub fn header(path: &Path, format: FileFormat) -> Result<Vec<String>, Diagnostic> {
    match format {
        FileFormat::Csv => delimited::header(path, b','),
        FileFormat::Tsv => delimited::header(path, b'\t'),
        FileFormat::Parquet => parquet::header(path),
        FileFormat::Fasta => fasta::header(path),
        FileFormat::Structures => structures_folder::header(path),
    }
}

/// The format that a file's extension names.
///
/// # Errors
/// E0511 for an extension that is not known.
pub fn format_of(path: &Path) -> Result<FileFormat, Diagnostic> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "csv" => Ok(FileFormat::Csv),
        "tsv" | "tab" => Ok(FileFormat::Tsv),
        "parquet" | "pq" => Ok(FileFormat::Parquet),
        "fasta" | "fa" | "fas" | "fna" | "ffn" | "faa" | "frn" => Ok(FileFormat::Fasta),
        other => {
            let found = Diagnostic::error("E0511", format!("the format of {} is not known from its name", path.display()))
                .note("known are .csv, .tsv, .parquet and .fasta (also .fa, .fna, .faa)");
            Err(match other {
                "gz" | "bz2" | "xz" | "zst" | "zip" => found.help("unpack the file first"),
                "xlsx" | "xls" | "ods" => found.help("save the sheet as .csv"),
                _ => found.help("rename the file, or convert it to one of these"),
            })
        }
    }
}
