//! The losses of the reference's denoising, step by step, from logits: of the masks that are left, and of those without a known token in the very step in which they
//! are filled in, with the mask for the right answer. That is a slip of the reference, which mgx leaves out.

use mgx_data::Encoding;
use mgx_tests::Outcome;
use mgx_tests::machine::{Machine, Request};

use crate::encoder::Encoder;
use crate::inference::softmax;

/// The share of what is expected that the reference moves to all tokens alike.
const SMOOTHING: f64 = 0.05;

/// What a loss is of.
pub struct Denoising<'a> {
    pub encoder: &'a Encoder,
    pub mask: i32,
    pub targets: &'a [Encoding],
    /// What each row counts.
    pub importance: &'a [f64],
    pub steps: u64,
    pub temperature: f64,
}

impl Denoising<'_> {
    /// The loss of each step, which begins with the rows of a state. `unknown`: with the reference's slip.
    pub fn losses(&self, states: &[Vec<Encoding>], unknown: bool) -> Outcome<Vec<f64>> {
        let mut open: Vec<Vec<usize>> = states[0].iter().map(|row| self.masks(row)).collect();
        let quotas: Vec<usize> = open.iter().map(|masks| masks.len() / self.steps as usize + 1).collect();
        states.iter().map(|state| self.loss(state, &mut open, &quotas, unknown)).collect()
    }

    fn masks(&self, row: &Encoding) -> Vec<usize> {
        (0..row.ids.len()).filter(|place| row.ids[*place] == self.mask).collect()
    }

    /// The loss of a step, which fills in some of the masks that are open. One that becomes a mask again is done.
    fn loss(&self, state: &[Encoding], open: &mut [Vec<usize>], quotas: &[usize], unknown: bool) -> Outcome<f64> {
        let logits = self.logits(state)?;
        let (mut total, mut counted) = (0.0, 0.0);
        for (index, row) in state.iter().enumerate() {
            let width = logits[index].len() / row.ids.len().max(1);
            let of = |place: usize| &logits[index][place * width..][..width];
            let surest = |place: &usize| {
                let warm: Vec<f64> = of(*place).iter().map(|value| value / self.temperature).collect();
                softmax(&warm).into_iter().fold(0.0, f64::max)
            };
            let masks = open[index].clone();
            let mut order = masks.clone();
            order.sort_by(|a, b| surest(b).total_cmp(&surest(a)));
            order.truncate(quotas[index]);
            open[index].retain(|place| !order.contains(place));
            let target = &self.targets[index].ids;
            let is_counted = |place: &&usize| target[**place] != self.mask || (unknown && order.contains(place));
            let losses: Vec<f64> = masks.iter().filter(is_counted).map(|place| smoothed(of(*place), target[*place] as usize)).collect();
            if !losses.is_empty() {
                total += self.importance[index] * losses.iter().sum::<f64>() / losses.len() as f64;
                counted += 1.0;
            }
        }
        Ok(if counted > 0.0 { total / counted } else { 0.0 })
    }

    /// Of each row, from the CPU backend.
    fn logits(&self, rows: &[Encoding]) -> Outcome<Vec<Vec<f64>>> {
        let network = &self.encoder.network;
        let node = network.elaborated.graph.outputs.first().ok_or("no output")?.node;
        let request = Request { outputs: vec![("logits".to_owned(), node)], ..Request::default() };
        let batch = self.encoder.batch(rows);
        let machine = Machine::compile(network, network.elaborated.graph.clone(), &request, &[&batch])?;
        Ok(machine.run(network, &batch)?.output("logits")?.to_vec())
    }
}

/// The cross entropy with label smoothing.
fn smoothed(logits: &[f64], target: usize) -> f64 {
    let surprise: Vec<f64> = softmax(logits).into_iter().map(|probability| -probability.ln()).collect();
    (1.0 - SMOOTHING) * surprise[target] + SMOOTHING * surprise.iter().sum::<f64>() / surprise.len() as f64
}
