//! A sample's results do not depend on what it is batched with, bit for bit: its output and the gradient of its own input are the same alone,
//! packed with others, in any order; and everything (the gradients of the parameters too) is the same for any number of threads.
//!
//! Also with dropout, whose masks belong to the sample; with sequences of one token; and where no residue is left between the special tokens.

mod subject;

use mgx_tests::Outcome;
use rayon::ThreadPoolBuilder;

use subject::{Compiled, Reads, Subject, all_bits, numbered, own_bits};

/// From one token to more than a tile of any kernel.
const LENGTHS: [u64; 9] = [7, 1, 2, 33, 1, 18, 130, 64, 5];
/// Without the one that has no room for both special tokens.
const FRAMED: [u64; 8] = [7, 2, 3, 33, 2, 18, 130, 64];

const RNABERT: &str = "RnaBert(hidden = 64, layers = 2, heads = 4, ffn = 128)";
const RNABERT_DROPOUT: &str = "RnaBert(hidden = 64, layers = 2, heads = 4, ffn = 128, hidden_dropout = 0.1, attention_dropout = 0.2)";
const BERT: &str = "Bert(vocab = 16, hidden = 48, layers = 2, heads = 3, ffn = 96)";

fn rnabert(part: &'static str, training: bool) -> Subject {
    let reads = Reads::Ids { embeddings: "RnaBert.embeddings" };
    Subject { imports: "std::backbones::rnabert::RnaBert", part, reads, training, mixed: false }
}

fn mixture(training: bool) -> Subject {
    let reads = Reads::Ids { embeddings: "Fm4Bio.embeddings" };
    let part = "Fm4Bio(vocab = 16, hidden = 64, layers = 2, heads = 4, ffn = 96, experts = 5, chosen = 2)";
    Subject { imports: "std::backbones::fm4bio::Fm4Bio", part, reads, training, mixed: false }
}

fn bert(training: bool) -> Subject {
    Subject { imports: "std::backbones::bert::Bert", part: BERT, reads: Reads::Ids { embeddings: "Bert.word" }, training, mixed: false }
}

fn adapter(imports: &'static str, part: &'static str, training: bool) -> Subject {
    Subject { imports, part, reads: Reads::Hidden { features: 24 }, training, mixed: false }
}

fn conv_pool(training: bool) -> Subject {
    adapter("std::adapters::conv_pool", "conv_pool(outputs = 3, channels = 20, hidden = 12)", training)
}

fn conv_flatten(training: bool) -> Subject {
    let reads = Reads::Fixed { length: 30, features: 16 };
    Subject { imports: "std::adapters::conv_flatten", part: "conv_flatten(outputs = 3, channels = 20)", reads, training, mixed: false }
}

/// Packed, alone, in other orders and with other neighbours; on one, two and three threads.
fn check(subject: Subject, lengths: &[u64]) -> Outcome<()> {
    let (training, mixed) = (subject.training, subject.mixed);
    let compiled = subject.compile(lengths)?;
    let samples = numbered(lengths);
    let packed = compiled.run(&samples)?;
    let outputs = all_bits(&packed);
    assert!(outputs.iter().any(|bits| f64::from_bits(*bits) != 0.0), "all results are zero: the comparison proves nothing");
    assert!(outputs.iter().all(|bits| f64::from_bits(*bits).is_finite()), "a result is not finite");

    let mut turned = samples.clone();
    turned.rotate_left(samples.len() / 2);
    let backwards: Vec<(u64, u64)> = samples.iter().rev().copied().collect();
    let every_other: Vec<(u64, u64)> = samples.iter().step_by(2).copied().collect();
    let alone = samples.iter().map(|sample| vec![*sample]);
    for batch in [turned, backwards, every_other].into_iter().chain(alone) {
        let results = compiled.run(&batch)?;
        for (place, (key, length)) in batch.iter().enumerate() {
            let same = own_bits(&results, place)? == own_bits(&packed, *key as usize)?;
            assert!(
                same,
                "sample {key} of {length} tokens has other bits among {} samples at place {place} than packed with all",
                batch.len()
            );
        }
    }
    let other_masks = all_bits(&compiled.run_as(&samples, 78)?);
    assert_eq!(other_masks != outputs, training, "random numbers matter in training and nowhere else");
    for threads in [1, 2, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| error.to_string())?;
        let results = pool.install(|| compiled.run(&samples))?;
        assert!(all_bits(&results) == outputs, "{threads} threads give other bits");
    }
    // Where a number lies on the edge between two of bfloat16, f32 and f64 fall to different sides.
    agrees(&compiled, lengths, if mixed { 3e-2 } else { 1e-4 })
}

/// The results are those of the evaluator: bits that are always the same could always be wrong.
fn agrees(compiled: &Compiled, lengths: &[u64], share: f64) -> Outcome<()> {
    let few: Vec<(u64, u64)> = numbered(lengths).into_iter().take(3).collect();
    let (found, expected) = (compiled.run(&few)?, compiled.evaluate(&few));
    for (name, lists) in &expected.outputs {
        let (found, expected) = (found.output(name)?.concat(), lists.concat());
        let largest = expected.iter().fold(1.0_f64, |largest, value| largest.max(value.abs()));
        let close = found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < share * largest);
        assert!(close, "{name} is {found:?}, the evaluator says {expected:?}");
    }
    Ok(())
}

#[test]
fn rnabert_in_evaluation() -> Outcome<()> {
    check(rnabert(RNABERT, false), &LENGTHS)
}

#[test]
fn products_of_rounded_numbers() -> Outcome<()> {
    check(Subject { mixed: true, ..rnabert(RNABERT, false) }, &LENGTHS)?;
    check(Subject { mixed: true, ..mixture(false) }, &LENGTHS)
}

#[test]
fn a_mixture_of_experts() -> Outcome<()> {
    check(mixture(false), &LENGTHS)
}

#[test]
fn rnabert_with_dropout() -> Outcome<()> {
    check(rnabert(RNABERT_DROPOUT, true), &LENGTHS)
}

#[test]
fn bert_in_evaluation() -> Outcome<()> {
    check(bert(false), &LENGTHS)
}

#[test]
fn bert_with_dropout() -> Outcome<()> {
    check(bert(true), &LENGTHS)
}

#[test]
fn convolutions_and_pooling_in_evaluation() -> Outcome<()> {
    check(conv_pool(false), &LENGTHS)
}

#[test]
fn convolutions_and_pooling_with_dropout() -> Outcome<()> {
    check(conv_pool(true), &LENGTHS)
}

#[test]
fn sequences_of_one_length_in_evaluation() -> Outcome<()> {
    check(conv_flatten(false), &[30; 7])
}

#[test]
fn sequences_of_one_length_with_dropout() -> Outcome<()> {
    check(conv_flatten(true), &[30; 7])
}

#[test]
fn average_of_the_residues() -> Outcome<()> {
    check(adapter("std::adapters::linear_mean_pool", "linear_mean_pool(outputs = 3, over = residues)", false), &FRAMED)
}

#[test]
fn greatest_of_the_tokens() -> Outcome<()> {
    check(adapter("std::adapters::linear_max_pool", "linear_max_pool(outputs = 3)", false), &LENGTHS)
}

#[test]
fn layers_on_the_average_with_dropout() -> Outcome<()> {
    check(
        adapter("std::adapters::mlp_pool", "mlp_pool(outputs = 2, hidden = [17, 5], pooling = residues, dropout_rate = 0.3)", true),
        &FRAMED,
    )
}

#[test]
fn layers_on_each_token_with_dropout() -> Outcome<()> {
    check(adapter("std::adapters::mlp", "mlp(outputs = 2, hidden = [40], activation = gelu, dropout_rate = 0.3)", true), &LENGTHS)
}
