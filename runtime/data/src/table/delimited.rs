//! CSV and TSV: a header line, then rows; quotes as in RFC 4180 in both.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use arrow::array::LargeStringBuilder;
use csv::{ByteRecord, Reader, ReaderBuilder};
use mgx_diag::Diagnostic;

use super::places::{Places, line_at};
use super::raw::{RawColumn, RawTable, Wanted, damaged, locate, not_utf8, open, unreadable};

pub(super) fn header(path: &Path, delimiter: u8) -> Result<Vec<String>, Diagnostic> {
    header_of(&mut reader(path, delimiter)?, path)
}

pub(super) fn read(path: &Path, delimiter: u8, wanted: &[Wanted]) -> Result<RawTable, Diagnostic> {
    let mut reader = reader(path, delimiter)?;
    let headers = header_of(&mut reader, path)?;
    let indices = locate(path, &headers, wanted)?;
    let mut builders: Vec<LargeStringBuilder> = wanted.iter().map(|_| LargeStringBuilder::new()).collect();
    let mut offsets = Vec::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| failed(path, &error))? {
        let offset = record.position().map_or(0, csv::Position::byte);
        if record.len() != headers.len() {
            return Err(ragged(path, delimiter, offsets.len(), offset, record.len(), headers.len()));
        }
        for (builder, index) in builders.iter_mut().zip(&indices) {
            match std::str::from_utf8(&record[*index]) {
                Ok("") => builder.append_null(),
                Ok(text) => builder.append_value(text),
                Err(_) => {
                    offsets.push(offset);
                    let row = offsets.len() as u64 - 1;
                    let place = Places::offsets(path, offsets).describe(row);
                    return Err(not_utf8(path, &format!("{place}, column `{}`", headers[*index])));
                }
            }
        }
        offsets.push(offset);
    }
    Ok(RawTable {
        rows: offsets.len() as u64,
        columns: builders.into_iter().map(|mut builder| RawColumn::Text(builder.finish())).collect(),
        places: Places::offsets(path, offsets),
    })
}

/// Gives each row after the header, by its number and its fields.
pub(super) fn each_record(
    path: &Path,
    delimiter: u8,
    take: &mut dyn FnMut(usize, &ByteRecord) -> Result<(), Diagnostic>,
) -> Result<(), Diagnostic> {
    let mut reader = reader(path, delimiter)?;
    header_of(&mut reader, path)?;
    let mut record = ByteRecord::new();
    let mut row = 0;
    while reader.read_byte_record(&mut record).map_err(|error| failed(path, &error))? {
        take(row, &record)?;
        row += 1;
    }
    Ok(())
}

fn reader(path: &Path, delimiter: u8) -> Result<Reader<BufReader<File>>, Diagnostic> {
    // The header is read as the first record: what the reader would make of it itself cannot be told from a row.
    Ok(ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_reader(BufReader::new(open(path)?)))
}

fn header_of(reader: &mut Reader<BufReader<File>>, path: &Path) -> Result<Vec<String>, Diagnostic> {
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|error| failed(path, &error))? {
        return Err(Diagnostic::error("E0520", format!("{} is empty", path.display()))
            .help("a table begins with a line of column names and has at least one row"));
    }
    match record.get(0) {
        Some([0x1F, 0x8B, ..]) => return Err(damaged(path, "text", "it is compressed (gzip)").help("unpack it with `gunzip`")),
        Some([b'P', b'A', b'R', b'1', ..]) => {
            return Err(damaged(path, "text", "it is a Parquet file").help("name it .parquet, or declare its format"));
        }
        Some([0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) => {
            return Err(Diagnostic::error("E0523", format!("{} is UTF-16, not UTF-8", path.display()))
                .help(format!("convert the file, for example with `iconv -f utf-16 -t utf-8 {}`", path.display())));
        }
        _ => {}
    }
    let name = |field: &[u8]| match std::str::from_utf8(field) {
        Ok(text) => Ok(text.trim_start_matches('\u{FEFF}').to_owned()),
        Err(_) => Err(not_utf8(path, &format!("the header of {}", path.display()))),
    };
    record.iter().map(name).collect()
}

fn failed(path: &Path, error: &csv::Error) -> Diagnostic {
    match error.kind() {
        csv::ErrorKind::Io(io) => unreadable(path, io),
        _ => damaged(path, "text", error),
    }
}

fn ragged(path: &Path, delimiter: u8, row: usize, offset: u64, found: usize, expected: usize) -> Diagnostic {
    let line = line_at(path, offset).map_or_else(String::new, |line| format!(" (line {line})"));
    let fields = |count: usize| if count == 1 { "1 field".to_owned() } else { format!("{count} fields") };
    let what = if delimiter == b'\t' { "tab" } else { "comma" };
    let message = format!("row {}{line} of {} has {} where the header has {expected}", row + 1, Places::rows(path).file(), fields(found));
    let found_more = found > expected;
    Diagnostic::error("E0519", message).help(if found_more {
        format!("a value with a {what} in it must stand in double quotes")
    } else {
        format!("write an empty value as nothing between two {what}s; a row that was cut off must be completed or removed")
    })
}
