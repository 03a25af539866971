//! What a run was expected to take, and what it took: `resources.json`.

use serde::Serialize;

/// Figures of the process that ran last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Resources {
    pub parameters: u64,
    pub trainable: u64,
    /// Bytes.
    pub forecast_memory: u64,
    pub forecast_seconds: Option<f64>,
    /// The process's largest resident size in bytes, where the system tells it.
    pub memory: Option<u64>,
    pub seconds: Option<f64>,
    /// Of training.
    pub samples_per_s: Option<f64>,
}

/// The largest resident size of this process so far, in bytes; none where the system does not tell it.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_that_is_touched_counts() {
        let before = peak_memory().unwrap();
        let touched = std::hint::black_box(vec![1u8; before as usize + (64 << 20)]);
        assert!(peak_memory().unwrap() >= before + (32 << 20));
        drop(touched);
    }
}
