//! Data for mgx: tables are read and checked, split, tokenised, batched, measured and written here.
//!
//! The plan says what to do ([`mgx_ir::plan::DataSpec`] and its neighbours); this crate does it and decides nothing that stands
//! in the plan. The order of work: [`Table::read`] reads and validates, [`split`] divides the rows, [`Tokenizer`] turns text into
//! ids, [`InputBuilder`] makes batches of inputs from rows, [`Batching`] and [`evaluation_batches`] decide which rows go
//! together, [`Metric`] scores, [`PredictionColumns`] and [`Embeddings`] are written. `docs/data.md` specifies formats, splits and
//! batches for users.
//!
//! Promises: the same specification and column values give the same rows, splits, batches and files on every machine; no file
//! that it is given makes it panic; a row keeps its number (from 0 in the API, from 1 in messages and written files).

mod alignment;
mod base_pairs;
mod batches;
mod capacity;
mod genes;
mod inputs;
mod masking;
mod metrics;
mod nucleic;
mod profile;
mod rows;
mod split;
mod statistics;
mod table;
mod tokenizer;
mod write;

pub use base_pairs::{Pair, PairScores, base_pairs, connectivity_table, pair_scores};
pub use batches::{Batching, MEGA_BATCH, cost, evaluation_batches};
pub use capacity::capacity;
pub use inputs::{InputBuilder, Truncation};
pub use metrics::{CONFIDENCE, Comparison, Interval, Metric, RESAMPLES, Resamples, Targets, Undefined};
pub use profile::{ClassCount, ColumnProfile, ColumnSummary, DataProfile, LengthCount, LetterCount, profile, profile_table};
pub use rows::{MOST_BYTES_CHECKED, Place, RowFinding, bytes_of, check_rows};
pub use split::{Part, Split, check_training_classes, split};
pub use statistics::statistic;
pub use table::{Column, Contacts, Counts, Numbers, Places, Table, TokenLabels, Values, format_of, header, structure_files};
pub use tokenizer::{Encoding, Limit, Tokenizer, UnknownCharacter, read_vocabulary};
pub use write::{
    Embeddings, FilledColumns, FilledRow, FilledToken, OutputValues, PredictionColumns, prediction_columns, write_atomically,
    write_embeddings,
};
