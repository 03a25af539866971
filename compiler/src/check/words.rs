//! The words that the language knows in each place: what the specification shows by example, and editors offer.

use std::collections::BTreeMap;

use super::arguments::{TENSOR_TYPES, TYPES};
use super::backbone::{BACKBONE_FIELDS, BACKBONE_OPTIONS};
use super::builtins;
use super::data::{ALIGNMENT_OPTIONS, COLUMNS, SEQUENCE_OPTIONS};
use super::data_source::{FORMATS, SOURCES, STRUCTURE_OPTIONS, VARIANT_OPTIONS};
use super::experiment::PRECISIONS;
use super::rewrite::REWRITE_OPTIONS;
use super::settings::{EXPERIMENT_BLOCKS, PREDICT_FIELDS, TRAIN_FIELDS};
use super::split::{FOLD_OPTIONS, RANDOM_OPTIONS};
use super::task_members::METRICS;
use super::{counts, fill, structures, tokenizer};

/// The words of the language by the places where they stand.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// The fields of each kind of braces, by the word before them: `train`, `tokenizer`, `backbone`, …
    pub fields: BTreeMap<&'static str, Vec<&'static str>>,
    /// The options of calls and of types of columns, by their names. Those of every backbone and every rewrite stand under `backbone` and `rewrite`.
    pub options: BTreeMap<&'static str, Vec<&'static str>>,
    /// The words among which a field or an option chooses.
    pub choices: BTreeMap<&'static str, Vec<&'static str>>,
    /// Types of parameters without axes.
    pub types: Vec<&'static str>,
    /// Types with axes.
    pub tensor_types: Vec<&'static str>,
    /// Types of columns.
    pub columns: Vec<&'static str>,
    /// Sources of rows.
    pub sources: Vec<&'static str>,
    /// Kinds of metrics.
    pub metrics: Vec<&'static str>,
    /// Names that stand for a value.
    pub constants: Vec<&'static str>,
    /// Functions of the language.
    pub functions: Vec<&'static str>,
}

/// All words of the language that stand for themselves.
pub fn words() -> Words {
    let mut options = BTreeMap::from([
        ("alignment", ALIGNMENT_OPTIONS.to_vec()),
        ("backbone", BACKBONE_OPTIONS.to_vec()),
        ("base_pairs", structures::OPTIONS.to_vec()),
        ("class", vec!["each"]),
        ("contacts", vec!["each"]),
        ("counts", counts::OPTIONS.to_vec()),
        ("folds", FOLD_OPTIONS.to_vec()),
        ("random", RANDOM_OPTIONS.to_vec()),
        ("real", vec!["count"]),
        ("refill", fill::OPTIONS.to_vec()),
        ("repeat", vec!["index"]),
        ("rewrite", REWRITE_OPTIONS.to_vec()),
        ("structures", STRUCTURE_OPTIONS.to_vec()),
        ("table", vec!["format"]),
        ("variants", VARIANT_OPTIONS.to_vec()),
    ]);
    options.extend(["dna", "rna", "protein", "text"].map(|sequence| (sequence, SEQUENCE_OPTIONS.to_vec())));
    options.extend(builtins::NAMES.iter().map(|name| (*name, builtins::signature(name).0.to_vec())).filter(|(_, own)| !own.is_empty()));
    Words {
        fields: BTreeMap::from([
            ("backbone", BACKBONE_FIELDS.to_vec()),
            ("data", vec!["split"]),
            ("experiment", ["seed", "precision", "task"].into_iter().chain(EXPERIMENT_BLOCKS).collect()),
            ("predict", PREDICT_FIELDS.to_vec()),
            ("tokenizer", tokenizer::FIELDS.into_iter().chain(tokenizer::GENE_FIELDS).collect()),
            ("train", TRAIN_FIELDS.to_vec()),
        ]),
        options,
        choices: BTreeMap::from([
            ("format", FORMATS.iter().map(|(word, _)| *word).collect()),
            ("kind", tokenizer::KINDS.to_vec()),
            ("precision", PRECISIONS.iter().map(|(word, _)| *word).collect()),
        ]),
        types: TYPES.to_vec(),
        tensor_types: TENSOR_TYPES.to_vec(),
        columns: COLUMNS.to_vec(),
        sources: SOURCES.to_vec(),
        metrics: METRICS.iter().map(|(word, _)| *word).chain(["ratio"]).collect(),
        constants: builtins::CONSTANTS.to_vec(),
        functions: builtins::NAMES.to_vec(),
    }
}
