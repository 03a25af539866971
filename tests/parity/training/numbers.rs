//! What a training came to, number by number, beside what was recorded.

use mgx_tests::compare::{Account, Tolerance};

/// Numbers that were recorded together, and those found.
pub struct Numbers {
    pub what: String,
    pub found: Vec<f64>,
    pub recorded: Vec<f64>,
    pub tolerance: Tolerance,
}

impl Numbers {
    /// Are they farther from what was recorded than is allowed?
    pub fn differ(&self) -> bool {
        let mut account = Account::default();
        account.close(&self.what, &self.found, &self.recorded, self.tolerance);
        account.finish().is_err()
    }

    /// Compares with what was recorded, or with the same numbers of the exact training where the recording is farther from those than what was found is.
    /// Gives if it was the exact ones.
    pub fn judge(&self, account: &mut Account, exact: Option<&Self>) -> bool {
        let better = |exact: &&Self| distance(&self.found, &exact.found) < distance(&self.recorded, &exact.found);
        match exact.filter(|_| self.differ()).filter(better) {
            Some(exact) => account.close(&format!("{}, in doubles", self.what), &self.found, &exact.found, self.tolerance),
            None => account.close(&self.what, &self.found, &self.recorded, self.tolerance),
        }
        exact.filter(|_| self.differ()).filter(better).is_some()
    }
}

/// The largest difference of two elements; of lists that are not equally long there is none.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::NAN;
    }
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
