//! How close is close, and the account of all comparisons of a case.

use crate::Outcome;

/// `|a − b| ≤ absolute + relative · max |b|`, the maximum over what is compared of the tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

/// Comparisons of a case: all are made, and all that fail are told.
#[derive(Debug, Default)]
pub struct Account {
    count: usize,
    /// The greatest share of its tolerance that a comparison used.
    worst: f64,
    failures: Vec<String>,
}

impl Account {
    /// Is every element within the tolerance?
    pub fn close(&mut self, what: &str, found: &[f64], expected: &[f64], tolerance: Tolerance) {
        let Some(()) = self.same_length(what, found.len(), expected.len()) else { return };
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let allowed = tolerance.absolute + tolerance.relative * largest;
        let errors = found.iter().zip(expected).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
        let Some((at, error)) = greatest(errors) else { return };
        self.judge(what, error, allowed, || format!("{} instead of {} at element {at}", found[at], expected[at]));
    }

    /// Is the norm of the difference of two gradients within `1e-3 ‖b‖ + 1e-6 · largest`? `largest` is the largest norm of a gradient of
    /// the case: some gradients are zero in exact arithmetic.
    pub fn gradient(&mut self, what: &str, found: &[f64], expected: &[f64], largest: f64) {
        let Some(()) = self.same_length(what, found.len(), expected.len()) else { return };
        let difference = norm(found.iter().zip(expected).map(|(a, b)| a - b));
        let allowed = 1e-3 * norm(expected.iter().copied()) + 1e-6 * largest;
        self.judge(what, difference, allowed, || format!("the gradient differs by a norm of {difference:e}, {allowed:e} is allowed"));
    }

    /// Are two values equal?
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        self.count += 1;
        if found != expected {
            self.failures.push(format!("{what}: {found:?} instead of {expected:?}"));
        }
    }

    /// Takes note of something that must hold.
    pub fn check(&mut self, what: &str, holds: bool) {
        self.count += 1;
        if !holds {
            self.failures.push(what.to_owned());
        }
    }

    /// A line about all comparisons.
    ///
    /// # Errors
    /// All comparisons that failed; or that nothing was compared.
    pub fn finish(self) -> Outcome<String> {
        if self.count == 0 {
            return Err("nothing was compared".to_owned());
        }
        if self.failures.is_empty() {
            return Ok(format!("{} comparisons, the largest deviation is {:.1} % of what is allowed", self.count, 100.0 * self.worst));
        }
        const SHOWN: usize = 20;
        let shown = self.failures.iter().take(SHOWN).map(|failure| format!("\n  {failure}")).collect::<String>();
        let more = self.failures.len().saturating_sub(SHOWN);
        let rest = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        Err(format!("{} of {} comparisons failed:{shown}{rest}", self.failures.len(), self.count))
    }

    fn same_length(&mut self, what: &str, found: usize, expected: usize) -> Option<()> {
        if found == expected && expected > 0 {
            return Some(());
        }
        self.count += 1;
        self.failures.push(format!("{what}: {found} elements instead of {expected}"));
        None
    }

    fn judge(&mut self, what: &str, error: f64, allowed: f64, describe: impl FnOnce() -> String) {
        self.count += 1;
        if error.is_nan() || error > allowed {
            self.failures.push(format!("{what}: {}", describe()));
        } else if allowed > 0.0 {
            self.worst = self.worst.max(error / allowed);
        }
    }
}

/// The 2-norm.
pub fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Place and value of the greatest element; a NaN counts as the greatest.
fn greatest(values: impl Iterator<Item = f64>) -> Option<(usize, f64)> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 || next.1.is_nan() { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_close_fails() {
        let tolerance = Tolerance { absolute: 0.1, relative: 0.0 };
        for (found, passes) in [(vec![1.0, 2.05], true), (vec![1.0, 2.2], false), (vec![f64::NAN, 2.0], false), (vec![1.0], false)] {
            let mut account = Account::default();
            account.close("x", &found, &[1.0, 2.0], tolerance);
            assert_eq!(account.finish().is_ok(), passes, "{found:?}");
        }
        assert!(Account::default().finish().is_err(), "an empty account proves nothing");
    }

    #[test]
    fn gradients_are_compared_by_norm() {
        let mut account = Account::default();
        account.gradient("g", &[1.0005, 0.0], &[1.0, 0.0], 1.0);
        account.gradient("zero", &[5e-7], &[0.0], 1.0);
        assert!(account.finish().is_ok());
        let mut account = Account::default();
        account.gradient("g", &[1.01, 0.0], &[1.0, 0.0], 1.0);
        assert!(account.finish().is_err());
    }
}
