//! Numbers and axes as people read them.

/// Four significant digits at most: `0.8231`, `12,300`, `1e-5`, `2.5e7`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.2e}");
        let Some((digits, power)) = text.split_once('e') else { return text };
        return format!("{}e{power}", trimmed(digits));
    }
    let places = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.places$}");
    let text = trimmed(&text);
    let (whole, rest) = text.split_once('.').map_or((text, ""), |(whole, rest)| (whole, rest));
    let whole = grouped(whole);
    if rest.is_empty() { whole } else { format!("{whole}.{rest}") }
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// `12,300`.
pub fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.5 GiB`.
pub fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = ((value.max(1.0).log2() / 10.0) as usize).min(units.len() - 1);
    let scaled = value / 1024f64.powi(unit as i32);
    if unit == 0 { format!("{scaled:.0} B") } else { format!("{scaled:.1} {}", units[unit]) }
}

/// `34 s`, `2 min 05 s`, `3 h 20 min`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// An axis: its ends, and the marks on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<(f64, String)>,
    log: bool,
}

impl Axis {
    /// An axis of about `wanted` marks at round numbers that holds all values; `log`: of powers, where all values are above zero.
    pub fn new(values: impl Iterator<Item = f64> + Clone, wanted: usize, log: bool) -> Self {
        let (mut low, mut high) = values
            .clone()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // So that their difference is a number.
        (low, high) = (low.max(-1e300), high.min(1e300));
        if log && low > 0.0 && high / low > 20.0 {
            return Self::powers(low, high);
        }
        if low == high {
            let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - margin, high + margin);
        }
        // Nearly from zero: from zero.
        if low > 0.0 && low < 0.35 * high {
            low = 0.0;
        }
        let step = round_step((high - low) / wanted.max(1) as f64);
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        let ticks: Vec<(f64, String)> = (first..=last).map(|index| index as f64 * step).map(|value| (value, number(value))).collect();
        Self { low: first as f64 * step, high: last as f64 * step, ticks, log: false }
    }

    fn powers(low: f64, high: f64) -> Self {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let every = ((last - first) / 6).max(0) + 1;
        let ticks = (first..=last).step_by(every as usize).map(|power| (10f64.powi(power), number(10f64.powi(power)))).collect();
        Self { low: 10f64.powi(first), high: 10f64.powi(last), ticks, log: true }
    }

    /// Where a value lies, from 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let share =
            if self.log { (value / self.low).ln() / (self.high / self.low).ln() } else { (value - self.low) / (self.high - self.low) };
        share.clamp(0.0, 1.0)
    }
}

/// The first of 1, 2, 5 times a power of ten that is not below.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|round| round * power).find(|round| *round >= step * 0.999_999).unwrap_or(10.0 * power);
    if step.is_normal() { step } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.823_149, 12_345.6, 999_999.9, 1e-5, 25_000_000.0, -0.5, f64::NAN].map(number);
        assert_eq!(shown, ["0", "0.8231", "12,346", "1,000,000", "1e-5", "2.5e7", "-0.5", "–"]);
        assert_eq!([bytes(100.0), bytes(1536.0), bytes(3.0 * 1024.0 * 1024.0)], ["100 B", "1.5 KiB", "3.0 MiB"]);
        assert_eq!([duration(1.23), duration(59.0), duration(125.0), duration(12_000.0)], ["1.2 s", "59 s", "2 min 05 s", "3 h 20 min"]);
    }

    #[test]
    fn marks_are_round_and_hold_all_values() {
        let axis = Axis::new([0.31, 0.69, 1.12].into_iter(), 5, false);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "0.5", "1", "1.5"]);
        assert_eq!((axis.place(0.0), axis.place(1.5)), (0.0, 1.0));
        for values in [vec![], vec![3.0], vec![0.0, 0.0], vec![-2.0, 1e12], vec![f64::NAN], vec![1e-300, 2e-300], vec![-1e299, 1e299]] {
            let axis = Axis::new(values.iter().copied(), 5, false);
            assert!(axis.low < axis.high && !axis.ticks.is_empty() && axis.ticks.len() < 20, "{values:?}: {axis:?}");
            assert!(
                values.iter().filter(|value| value.is_finite()).all(|value| (axis.low..=axis.high).contains(value)),
                "{values:?}: {axis:?}"
            );
        }
        let axis = Axis::new([f64::MIN, f64::MAX].into_iter(), 5, false);
        assert!(axis.ticks.len() < 20 && axis.place(f64::MAX) == 1.0);
        let axis = Axis::new([0.01, 300.0].into_iter(), 5, true);
        assert_eq!((axis.low, axis.high, axis.place(3.162_277_660_168_379_5)), (0.01, 1000.0, 0.5));
    }
}
