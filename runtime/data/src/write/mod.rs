//! Results as files: predictions as TSV and Parquet, embeddings as Parquet.
//!
//! Rows stand in ascending order of the table, each with its number. A file appears whole or not at all: it is written under
//! another name in the same folder, flushed to the disk and renamed.

mod atomic;
mod embeddings;
mod filled;
mod predictions;

pub use atomic::write_atomically;
pub use embeddings::{Embeddings, write_embeddings};
pub use filled::{FilledColumns, FilledRow, FilledToken};
pub use predictions::{OutputValues, PredictionColumns, prediction_columns};

use std::path::Path;

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use mgx_diag::Diagnostic;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Writes record batches as one Parquet file (zstd).
fn write_parquet(path: &Path, schema: &Schema, batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>) -> Result<(), Diagnostic> {
    write_atomically(path, |file| {
        let mut properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        // A dictionary of numbers that are all different takes many times their memory and makes the file larger.
        for column in ArrowSchemaConverter::new().convert(schema).map_err(to_io)?.columns() {
            if column.physical_type() == Type::FLOAT {
                properties = properties.set_column_dictionary_enabled(column.path().clone(), false);
            }
        }
        let mut writer = ArrowWriter::try_new(file, schema.clone().into(), Some(properties.build())).map_err(to_io)?;
        for batch in batches {
            writer.write(&batch.map_err(std::io::Error::other)?).map_err(to_io)?;
        }
        writer.close().map_err(to_io)?;
        Ok(())
    })
}

/// Keeps the kind of an I/O error inside a Parquet error, by which a full disk is told from other causes.
fn to_io(error: ParquetError) -> std::io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => *io,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_still_told_after_parquet() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(to_io(ParquetError::from(full)).kind(), std::io::ErrorKind::StorageFull);
    }
}
