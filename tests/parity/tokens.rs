//! Texts as batches, and token ids and masks against recorded ones.

use std::collections::BTreeMap;

use mgx_data::{Encoding, Limit, Tokenizer};
use mgx_ir::plan::{Batch, InputData, Sample};
use mgx_tests::Outcome;
use mgx_tests::compare::Account;
use mgx_tests::golden::{Stored, Tensors};
use serde_json::Value as Json;

/// The ids of texts, or what the tokenizer says about the first that it refuses.
pub fn encode(tokenizer: &Tokenizer, texts: &[String], max_length: Option<u64>, add_special: bool) -> Result<Vec<Encoding>, String> {
    let encode = |text: &String| {
        let refused = |unknown: mgx_data::UnknownCharacter| format!("`{text}`: unknown character `{}`", unknown.character);
        tokenizer.encode(text, max_length.map(Limit::first), add_special).map_err(refused)
    };
    texts.iter().map(encode).collect()
}

/// Encoded texts as one ragged batch under the name of the graph's input. Samples have their row as key.
pub fn batch(input: &str, rows: &[Encoding]) -> Batch {
    let sample = |(key, row): (usize, &Encoding)| Sample { key: key as u64, lengths: vec![row.ids.len() as u64] };
    let ids = rows.iter().flat_map(|row| row.ids.iter().copied()).collect();
    Batch {
        samples: rows.iter().enumerate().map(sample).collect(),
        inputs: BTreeMap::from([(input.to_owned(), InputData::I32(ids))]),
        random: 0,
    }
}

/// Token ids and masks of a recorded batch. Recorded rows are padded on the right, ours are not: what stands before the padding is compared,
/// and where the padding begins.
pub fn check_masks(account: &mut Account, expected: &Tensors, prefix: &str, rows: &[Encoding]) -> Outcome<()> {
    check_masks_of(account, expected, &format!("{prefix}."), rows)
}

/// `check_masks` where names begin otherwise: `batch0.dna_seq_` for one of several columns.
pub fn check_masks_of(account: &mut Account, expected: &Tensors, prefix: &str, rows: &[Encoding]) -> Outcome<()> {
    for (name, own) in [("input_ids", true), ("special_tokens_mask", false)] {
        let tensor = expected.get(&format!("{prefix}{name}"))?;
        account.equal(&format!("rows of {prefix}{name}"), &rows.len(), &tensor.shape[0]);
        for (index, row) in rows.iter().enumerate() {
            let found: Vec<f64> = if own {
                row.ids.iter().map(|id| f64::from(*id)).collect()
            } else {
                row.special.iter().map(|mark| f64::from(u8::from(*mark))).collect()
            };
            let recorded = tensor.row(index)?;
            account.equal(&format!("{prefix}{name} of row {index}"), &found.as_slice(), &&recorded[..found.len().min(recorded.len())]);
        }
    }
    for name in ["attention_mask", "out_attention_mask"] {
        let Some(mask) = expected.find(&format!("{prefix}{name}")) else { continue };
        for (index, row) in rows.iter().enumerate() {
            let recorded = mask.row(index)?;
            let found: Vec<f64> = (0..recorded.len()).map(|at| f64::from(u8::from(at < row.ids.len()))).collect();
            account.equal(&format!("{prefix}{name} of row {index}"), &found.as_slice(), &recorded);
        }
    }
    Ok(())
}

/// The recorded tokens of a batch, padded with `padding`, and its decoded texts where there are any: as they are, or (`true`) without the space
/// before punctuation.
pub fn check_tokens(
    account: &mut Account,
    tokenizer: &Tokenizer,
    padding: &str,
    what: &str,
    rows: &[Encoding],
    (tokens, decoded): (&Json, Option<(&Json, bool)>),
) -> Outcome<()> {
    let pad = tokenizer.encode(padding, None, false).map_err(|_| format!("the tokenizer has no {padding}"))?.ids;
    for (index, row) in rows.iter().enumerate() {
        let recorded = mgx_tests::golden::strings(&tokens[index])?;
        let mut ids = row.ids.clone();
        while ids.len() < recorded.len() {
            ids.extend_from_slice(&pad);
        }
        account.equal(&format!("tokens of row {index} of {what}"), &tokenizer.tokens(&ids), &recorded.iter().map(String::as_str).collect());
        if let Some((texts, cleans)) = decoded {
            let text = tokenizer.decode(&ids);
            let text = if cleans { without_space_before_punctuation(text) } else { text };
            account.equal(&format!("text of row {index} of {what}"), &Some(text.as_str()), &texts[index].as_str());
        }
    }
    Ok(())
}

/// What the Hugging Face library's `clean_up_tokenization` does to punctuation.
fn without_space_before_punctuation(text: String) -> String {
    [".", "?", "!", ","].iter().fold(text, |text, mark| text.replace(&format!(" {mark}"), mark))
}

/// What stands in a recorded tensor [rows, positions, ..] before the padding, the rows one after another.
pub fn without_padding(tensor: &Stored, rows: &[Encoding]) -> Outcome<Vec<f64>> {
    let width: usize = tensor.shape.get(2..).map_or(1, |rest| rest.iter().product());
    let mut all = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let recorded = tensor.row(index)?;
        all.extend_from_slice(
            recorded.get(..row.ids.len() * width).ok_or_else(|| format!("row {index} has more tokens than were recorded"))?,
        );
    }
    Ok(all)
}
