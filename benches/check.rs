//! How long `mgxc check` takes as a whole process, from its start to its end: `check FILE [ROUNDS]`. Exit code 1 if the median is above [`LIMIT`].
//!
//! The binary is the `mgxc` beside this one, or the one that `MGXC` names.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What nobody notices.
const LIMIT: Duration = Duration::from_millis(20);
/// Rounds that are not counted, until the files are in memory.
const WARM_UP: usize = 10;

fn binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MGXC") {
        return Some(named.into());
    }
    Some(std::env::current_exe().ok()?.with_file_name("mgxc"))
}

/// The time of one process; `None` if it finds something or cannot be started.
fn once(binary: &PathBuf, file: &str) -> Option<Duration> {
    let started = Instant::now();
    let status = Command::new(binary).args(["check", file]).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    status.success().then(|| started.elapsed())
}

fn measure(file: &str, rounds: usize) -> Option<Vec<Duration>> {
    let binary = binary()?;
    for _ in 0..WARM_UP {
        once(&binary, file)?;
    }
    let mut times: Vec<Duration> = (0..rounds).map(|_| once(&binary, file)).collect::<Option<_>>()?;
    times.sort();
    Some(times)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(file), rounds) = (args.next(), args.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(200usize).max(1)) else {
        eprintln!("usage: check FILE [ROUNDS]");
        return ExitCode::from(2);
    };
    let Some(times) = measure(&file, rounds) else {
        eprintln!("`mgxc check {file}` does not pass: build mgxc, and check the file by hand");
        return ExitCode::FAILURE;
    };
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("mgxc check {file}: median {:.1} ms, least {:.1} ms, 99th percentile {:.1} ms of {rounds}", at(50), at(0), at(99));
    if times[(times.len() - 1) / 2] < LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
