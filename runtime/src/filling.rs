//! Masks that are filled in: a program is run, the tokens that it is surest of are put in, and again, until no mask is left.

use mgx_data::{FilledColumns, FilledRow, FilledToken, Tokenizer};
use mgx_diag::Diagnostic;
use mgx_ir::plan::{Batch, FillSpec, InputData, InputSpec, Plan};
use mgx_ir::random::{derive, derive_name};

use crate::memory::fault;

/// Stands for a true token that is not known.
const UNKNOWN: i32 = -1;

/// What one task has filled in for some rows.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The output's name.
    pub name: String,
    /// In the order of the stage's rows.
    pub rows: Vec<FilledRow>,
    /// The true tokens at the masks of each row; -1 where they are not known. Empty where the task has no such label.
    pub truth: Vec<Vec<i32>>,
    spec: FillSpec,
}

impl Filled {
    /// For `rows` rows.
    pub fn new(name: &str, spec: &FillSpec, rows: usize) -> Self {
        Self { name: name.to_owned(), rows: vec![FilledRow::default(); rows], truth: vec![Vec::new(); rows], spec: spec.clone() }
    }

    /// Of each row the share of its masks that became the true token, and 1 for a row in which there was one to be found, else 0.
    pub fn recovered(&self) -> (Vec<f32>, Vec<f64>) {
        let share = |(row, truth): (&FilledRow, &Vec<i32>)| {
            let known = row.masks.iter().zip(truth).filter(|(_, truth)| **truth >= 0);
            let (mut right, mut count) = (0.0f64, 0.0f64);
            for (mask, truth) in known {
                count += 1.0;
                right += f64::from(u8::from(row.ids.get(mask.place as usize) == Some(truth)));
            }
            ((right / count.max(1.0)) as f32, count.min(1.0))
        };
        self.rows.iter().zip(&self.truth).map(share).unzip()
    }

    /// As columns of the predictions.
    ///
    /// # Errors
    /// E0941 if the plan has no such tokenizer; those of [`Tokenizer::new`].
    pub fn columns(&self, plan: &Plan) -> Result<FilledColumns<'_>, Diagnostic> {
        let tokenizer = plan.tokenizers.get(self.spec.tokenizer as usize);
        let tokenizer = tokenizer.ok_or_else(|| fault(format_args!("it has no tokenizer {}", self.spec.tokenizer)))?;
        let (best, in_steps, words) = (self.spec.best as usize, self.spec.steps > 1, self.spec.words);
        Ok(FilledColumns { name: &self.name, rows: &self.rows, tokenizer: Tokenizer::new(tokenizer)?, words, best, in_steps })
    }
}

/// A batch whose masks are being filled in.
pub(crate) struct Filling<'p> {
    spec: &'p FillSpec,
    samples: Vec<Filler>,
    /// Steps that were done.
    done: u64,
}

/// A sample of it.
struct Filler {
    key: u64,
    row: FilledRow,
    truth: Vec<i32>,
    /// Masks that are filled in a step.
    quota: usize,
}

impl Filler {
    /// Are there masks that were not filled in? One that became a mask again was.
    fn is_masked(&self) -> bool {
        self.row.masks.iter().any(|token| token.step == 0)
    }

    /// For each token whether it is a mask that was not filled in.
    fn hidden(&self) -> Vec<i32> {
        let mut hidden = vec![0; self.row.ids.len()];
        for token in self.row.masks.iter().filter(|token| token.step == 0) {
            hidden[token.place as usize] = 1;
        }
        hidden
    }
}

impl<'p> Filling<'p> {
    /// Of a batch that the program has not run on yet; `inputs` are the plan's.
    ///
    /// # Errors
    /// E0941 if the plan's input is none of token ids.
    pub fn new(spec: &'p FillSpec, inputs: &[InputSpec], batch: &Batch) -> Result<Self, Diagnostic> {
        let wrong = || fault(format_args!("it fills in masks of `{}`, which has no tokens", spec.input));
        let source = inputs.iter().find(|input| input.name == spec.input).map(|input| &input.source).ok_or_else(wrong)?;
        let Some(InputData::I32(ids)) = batch.inputs.get(&spec.input) else { return Err(wrong()) };
        let truth = match spec.target.as_ref().and_then(|target| batch.inputs.get(target)) {
            Some(InputData::I32(truth)) => Some(truth),
            _ => None,
        };
        let mut samples = Vec::with_capacity(batch.samples.len());
        let mut start = 0;
        for sample in &batch.samples {
            let own = start..start + source.elements(&sample.lengths) as usize;
            start = own.end;
            let ids = ids.get(own.clone()).ok_or_else(wrong)?.to_vec();
            let places = (0..ids.len()).filter(|place| ids[*place] == spec.mask);
            let masks: Vec<FilledToken> = places.map(|place| FilledToken { place: place as u64, ..FilledToken::default() }).collect();
            let known = truth.and_then(|truth| truth.get(own));
            let true_token = |truth: i32| if truth == spec.mask { UNKNOWN } else { truth };
            let truth = known.map_or_else(Vec::new, |truth| masks.iter().map(|mask| true_token(truth[mask.place as usize])).collect());
            let quota = masks.len() / spec.steps.max(1) as usize + 1;
            samples.push(Filler { key: sample.key, row: FilledRow { ids, masks }, truth, quota });
        }
        Ok(Self { spec, samples, done: 0 })
    }

    /// Which samples have a mask.
    pub fn masked(&self) -> Vec<bool> {
        self.samples.iter().map(|sample| sample.is_masked()).collect()
    }

    /// Takes the scores of a step: those of all tokens of the vocabulary at each token, one token after another. Puts the tokens of the next step into the
    /// batch; `false` if there is none.
    ///
    /// # Errors
    /// E0941 if there are not as many scores.
    pub fn step(&mut self, scores: &InputData, batch: &mut Batch) -> Result<bool, Diagnostic> {
        let tokens: usize = self.samples.iter().map(|sample| sample.row.ids.len()).sum();
        let InputData::F32(scores) = scores else { return Err(fault("tokens are chosen by whole numbers")) };
        let width = scores.len() / tokens.max(1);
        if width * tokens != scores.len() {
            return Err(fault(format_args!("{} scores for {tokens} tokens", scores.len())));
        }
        self.done += 1;
        let key = derive(derive_name(self.spec.seed, "fill"), self.done);
        let mut rest = scores.as_slice();
        for sample in &mut self.samples {
            let (own, others) = rest.split_at(sample.row.ids.len() * width);
            rest = others;
            fill(sample, own, width, self.spec, (self.done, derive(key, sample.key)));
        }
        if self.done >= self.spec.steps || !self.masked().contains(&true) {
            return Ok(false);
        }
        let ids = self.samples.iter().flat_map(|sample| sample.row.ids.iter().copied()).collect();
        batch.inputs.insert(self.spec.input.clone(), InputData::I32(ids));
        if let Some(hidden) = batch.inputs.get_mut(&self.spec.hidden) {
            *hidden = InputData::I32(self.samples.iter().flat_map(Filler::hidden).collect());
        }
        Ok(true)
    }

    /// Puts what was filled in at the places of the samples among all rows.
    pub fn finish(self, places: &[usize], filled: &mut Filled) {
        for (sample, place) in self.samples.into_iter().zip(places) {
            if let (Some(row), Some(truth)) = (filled.rows.get_mut(*place), filled.truth.get_mut(*place)) {
                (*row, *truth) = (sample.row, sample.truth);
            }
        }
    }
}

/// One step for one sample.
fn fill(sample: &mut Filler, scores: &[f32], width: usize, spec: &FillSpec, (step, key): (u64, u64)) {
    let FilledRow { ids, masks } = &mut sample.row;
    let mut open: Vec<(f32, usize, i32)> = Vec::new();
    for (number, token) in masks.iter_mut().enumerate().filter(|(_, token)| token.step == 0) {
        let own = &scores[token.place as usize * width..][..width];
        let allowed = || own.iter().zip(0..).filter(|(_, id)| spec.never.binary_search(id).is_err()).map(|(score, id)| (id, *score));
        token.best = greatest(allowed(), spec.best.max(1) as usize);
        let Some((best, score)) = token.best.first().copied() else { continue };
        let chosen = if spec.sample { drawn(allowed(), uniform(derive(key, token.place))).unwrap_or(best) } else { best };
        token.best.truncate(spec.best as usize);
        open.push((score, number, chosen));
    }
    open.sort_by(|(a, first, _), (b, second, _)| b.total_cmp(a).then(first.cmp(second)));
    for (_, number, chosen) in open.into_iter().take(sample.quota) {
        let token = &mut masks[number];
        token.step = step;
        ids[token.place as usize] = chosen;
    }
}

/// The tokens with the greatest scores, from the greatest on; of equal ones the first comes first.
fn greatest(scores: impl Iterator<Item = (i32, f32)>, count: usize) -> Vec<(i32, f32)> {
    let mut best: Vec<(i32, f32)> = Vec::with_capacity(count + 1);
    for (id, score) in scores {
        let place = best.partition_point(|(_, other)| other.total_cmp(&score).is_ge());
        if place < count {
            best.insert(place, (id, score));
            best.truncate(count);
        }
    }
    best
}

/// The token that a number in [0, 1) falls on, where each has as large a share as its score.
fn drawn(scores: impl Iterator<Item = (i32, f32)> + Clone, number: f64) -> Option<i32> {
    let total: f64 = scores.clone().map(|(_, score)| f64::from(score.max(0.0))).sum();
    let mut left = number * total;
    let mut last = None;
    for (id, score) in scores.filter(|(_, score)| *score > 0.0) {
        last = Some(id);
        left -= f64::from(score);
        if left < 0.0 {
            break;
        }
    }
    last
}

fn uniform(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

#[cfg(test)]
mod tests {
    use mgx_ir::plan::Sample;

    use super::*;

    const MASK: i32 = 1;

    fn spec(steps: u64) -> FillSpec {
        FillSpec {
            input: "ids".into(),
            hidden: "ids.hidden".into(),
            words: false,
            target: None,
            tokenizer: 0,
            mask: MASK,
            steps,
            best: 2,
            sample: false,
            never: vec![0, 1],
            seed: 3,
        }
    }

    fn filler(ids: &[i32], spec: &FillSpec) -> Filler {
        let places = (0..ids.len()).filter(|place| ids[*place] == spec.mask);
        let masks: Vec<FilledToken> = places.map(|place| FilledToken { place: place as u64, ..FilledToken::default() }).collect();
        let quota = masks.len() / spec.steps as usize + 1;
        Filler { key: 0, row: FilledRow { ids: ids.to_vec(), masks }, truth: Vec::new(), quota }
    }

    #[test]
    fn the_surest_masks_are_filled_first_and_of_equal_ones_the_first() {
        let spec = spec(4);
        let mut sample = filler(&[0, 1, 1, 1, 2], &spec);
        // Token 1 has the greatest score nowhere that counts: it is never filled in.
        let scores = [[0.0; 4], [0.9, 0.9, 0.3, 0.2], [0.0, 0.0, 0.1, 0.5], [0.0, 0.0, 0.5, 0.5], [0.0; 4]].concat();
        let mut step = |number| fill(&mut sample, &scores, 4, &spec, (number, 0));
        step(1);
        step(2);
        assert_eq!(sample.row.ids, [0, 1, 3, 2, 2]);
        assert_eq!(sample.row.masks.iter().map(|token| token.step).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(sample.row.masks[1].best, [(3, 0.5), (2, 0.1)]);
        assert_eq!(sample.row.masks[2].best, [(2, 0.5), (3, 0.5)]);
        assert!(sample.is_masked());
    }

    #[test]
    fn in_one_step_all_masks_are_filled() {
        let spec = spec(1);
        let mut sample = filler(&[1, 1, 1, 1], &spec);
        fill(&mut sample, &[0.0, 0.0, 0.3, 0.2].repeat(4), 4, &spec, (1, 0));
        assert_eq!(sample.row.ids, [2; 4]);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_their_scores_say() {
        let spec = FillSpec { sample: true, ..spec(1) };
        let count = 4000;
        let mut sample = filler(&vec![1; count], &spec);
        fill(&mut sample, &[0.3, 0.3, 0.1, 0.3].repeat(count), 4, &spec, (1, 9));
        let share = sample.row.ids.iter().filter(|id| **id == 2).count() as f64 / count as f64;
        assert!((share - 0.25).abs() < 0.03, "{share}");
        assert!(sample.row.ids.iter().all(|id| [2, 3].contains(id)));
    }

    #[test]
    fn a_sample_is_filled_alike_whatever_stands_beside_it() {
        let spec = FillSpec { sample: true, ..spec(3) };
        let source = mgx_ir::plan::InputSource::Tokens { length: mgx_ir::graph::LengthId(0) };
        let plan_inputs = vec![mgx_ir::plan::InputSpec { name: "ids".into(), source }];
        let scores = |tokens: usize| InputData::F32((0..tokens * 4).map(|number| ((number * 7) % 5) as f32).collect());
        let run = |rows: &[u64]| {
            let samples = rows.iter().map(|row| Sample { key: *row, lengths: vec![20] }).collect();
            let ids = InputData::I32(vec![1; 20 * rows.len()]);
            let mut batch = Batch { samples, inputs: [("ids".to_owned(), ids)].into(), random: 0 };
            let mut filling = Filling::new(&spec, &plan_inputs, &batch).unwrap();
            while filling.step(&scores(20 * rows.len()), &mut batch).unwrap() {}
            filling.samples.into_iter().map(|sample| sample.row).collect::<Vec<_>>()
        };
        let together = run(&[4, 5]);
        assert_eq!(run(&[4])[0], together[0]);
        assert_eq!(run(&[5])[0], together[1]);
        assert_ne!(together[0].ids, together[1].ids);
    }
}
