//! Which cases are held against, by which test, and which wait for what they need.

use mgx_tests::Outcome;
use mgx_tests::golden::Case;

use crate::{
    adapters, cells, checkpoint, contacts, diffusion, genomic, heads, huggingface, inference, masked_lm, metrics, multimolecule, onehot,
    pretrained, program, retrieval, rewrites, scaled_regression, schedules, training, zeroshot,
};

/// What a case is for this version.
#[derive(Clone, Copy)]
pub enum Standing {
    /// It is run by this function.
    Owned(fn(&Case) -> Outcome<String>),
    /// What it needs is not built yet.
    NotYet(&'static str),
    /// Nobody has looked at it: a failure.
    Unknown,
}

/// Cases that wait, by the beginning of their names, each with what it waits for. The first line that fits counts.
const NOT_YET: &[(&str, &str)] = &[("data_modules", "the reference's data modules")];

/// Decides by what the case says it is, then by its name.
pub fn standing(case: &Case) -> Standing {
    match case.text("/family") {
        "cellfoundation" => return Standing::Owned(cells::aido_cell::run),
        "geneformer" => return Standing::Owned(cells::geneformer::run),
        "scfoundation" => return Standing::Owned(cells::scfoundation::run),
        "scimilarity" => return Standing::Owned(cells::scimilarity::run),
        "cellspatialfoundation" => return Standing::Owned(cells::aido_tissue::run),
        "checkpoint" => return Standing::Owned(checkpoint::run),
        "cell_preprocessing" => return Standing::Owned(cells::alignment::run),
        "rnabert" => return Standing::Owned(masked_lm::rnabert),
        "diffusion" => return Standing::Owned(diffusion::run),
        "fm4bio" if case.spec.get("rag").is_some() => return Standing::Owned(retrieval::run),
        "fm4bio" => return Standing::Owned(masked_lm::fm4bio),
        "esm_contacts" => return Standing::Owned(contacts::run),
        "esm2" => return Standing::Owned(masked_lm::esm),
        "program" => return Standing::Owned(program::run),
        "borzoi" => return Standing::Owned(genomic::borzoi),
        "enformer" => return Standing::Owned(genomic::enformer),
        "heads" if case.spec.get("fit_labels").is_some() => return Standing::Owned(scaled_regression::run),
        "heads" if case.spec.get("runs").is_some() => return Standing::Owned(heads::run),
        "inference" => return Standing::Owned(inference::run),
        "metrics" => return Standing::Owned(metrics::run),
        "multimolecule_aido_rna" => return Standing::Owned(multimolecule::run),
        "rewrites" => return Standing::Owned(rewrites::run),
        "sentences" => return Standing::Owned(pretrained::minilm),
        "onehot" => return Standing::Owned(onehot::run),
        "bert" if case.text("/weights").contains("AntiBERTy") => return Standing::Owned(pretrained::antiberty),
        "huggingface" => return Standing::Owned(huggingface::run),
        "adapters" if adapters::is_known(case) => return Standing::Owned(adapters::run),
        "zeroshot" => return Standing::Owned(zeroshot::run),
        "schedulers" => return Standing::Owned(schedules::run),
        "training" if training::is_known(case) => return Standing::Owned(training::run),
        _ => {}
    }
    let name = case.name.rsplit('/').next().unwrap_or(&case.name);
    NOT_YET.iter().find(|(pattern, _)| name.starts_with(pattern)).map_or(Standing::Unknown, |(_, reason)| Standing::NotYet(reason))
}
