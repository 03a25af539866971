//! FASTA: records of a definition line and sequence lines.

use std::io::{BufReader, ErrorKind};
use std::path::Path;

use arrow::array::LargeStringBuilder;
use mgx_diag::Diagnostic;
use noodles_fasta as fasta;

use super::places::Places;
use super::raw::{RawColumn, RawTable, Wanted, damaged, locate, not_utf8, open, unreadable};

const COLUMNS: [&str; 3] = ["id", "description", "sequence"];

pub(super) fn header(path: &Path) -> Result<Vec<String>, Diagnostic> {
    open(path)?;
    Ok(COLUMNS.map(str::to_owned).to_vec())
}

pub(super) fn read(path: &Path, wanted: &[Wanted]) -> Result<RawTable, Diagnostic> {
    let indices = locate(path, &header(path)?, wanted)?;
    let mut reader = fasta::io::Reader::new(BufReader::new(open(path)?));
    let mut builders: Vec<LargeStringBuilder> = wanted.iter().map(|_| LargeStringBuilder::new()).collect();
    let mut ids: Vec<String> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| failed(path, ids.len(), &error))?;
        ids.push(String::from_utf8_lossy(record.name()).into_owned());
        for (builder, index) in builders.iter_mut().zip(&indices) {
            let bytes: &[u8] = match COLUMNS[*index] {
                "id" => record.name(),
                "description" => record.description().map_or(&[], |text| text),
                _ => record.sequence().as_ref(),
            };
            match std::str::from_utf8(bytes) {
                Ok("") => builder.append_null(),
                Ok(text) => builder.append_value(text),
                Err(_) => {
                    let row = ids.len() as u64 - 1;
                    return Err(not_utf8(path, &format!("{}, {}", Places::records(path, ids).describe(row), COLUMNS[*index])));
                }
            }
        }
    }
    Ok(RawTable {
        rows: ids.len() as u64,
        columns: builders.into_iter().map(|mut builder| RawColumn::Text(builder.finish())).collect(),
        places: Places::records(path, ids),
    })
}

fn failed(path: &Path, records: usize, error: &std::io::Error) -> Diagnostic {
    if error.kind() != ErrorKind::InvalidData {
        return unreadable(path, error);
    }
    let place = if records == 0 { "its first line".to_owned() } else { format!("what follows record {records}") };
    damaged(path, "FASTA", format!("{place} is not a definition line (`>` and a name)"))
        .help("every sequence begins with a line such as `>name description`; compressed files must be unpacked")
}
