//! Searches for programs that the checker cannot take: `cargo run -p mgx-compiler --example fuzz -- MINUTES [SEED]`.
//!
//! Programs are made by changing known ones: the examples, the standard library, the tests of messages and what earlier runs found worth keeping, in
//! `tests/corpus`. Worth keeping is what leads to a finding that no other program leads to, cut down to the lines that it takes. A program that panics, takes
//! longer than [`MOST_TIME`] or leads to a wrong graph is written to `target/fuzz` and ends the search with exit code 1. Each program is there before it is tried,
//! so that one which kills the process is not lost.

#[path = "../tests/mutations/mod.rs"]
mod mutations;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mgx_compiler::check::Override;
use mutations::{Mutator, examine, programs};

/// No program of this size takes longer, even unoptimised.
const MOST_TIME: Duration = Duration::from_secs(60);
/// The corpus stays small enough to read.
const MOST_FILES: usize = 250;
const MOST_BYTES: usize = 250 << 10;
/// Tries to make a program smaller before it is kept.
const REDUCTIONS: usize = 60;

type Job = (String, Vec<Override>);
type Verdict = Result<BTreeSet<String>, String>;

/// A thread that examines programs, so that one which does not end can be noticed.
struct Examiner {
    jobs: Sender<Job>,
    verdicts: Receiver<Verdict>,
    current: PathBuf,
}

impl Examiner {
    fn start(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (jobs, todo) = channel::<Job>();
        let (done, verdicts) = channel();
        std::thread::Builder::new().name("examiner".to_owned()).spawn(move || {
            for (text, overrides) in todo {
                let verdict = std::panic::catch_unwind(|| examine(&text, &overrides)).unwrap_or_else(|_| Err("it panics".to_owned()));
                if done.send(verdict).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, verdicts, current: folder.join("current.mgx") })
    }

    fn examine(&self, text: &str, overrides: &[Override]) -> Verdict {
        let shown: String = overrides.iter().map(|one| format!("\n// --set {}={}", one.path, one.value.replace('\n', " "))).collect();
        fs::write(&self.current, format!("{text}{shown}\n"))
            .map_err(|error| format!("cannot write {}: {error}", self.current.display()))?;
        self.jobs.send((text.to_owned(), overrides.to_vec())).map_err(|_| "the examiner is gone".to_owned())?;
        match self.verdicts.recv_timeout(MOST_TIME) {
            Ok(verdict) => verdict,
            Err(RecvTimeoutError::Timeout) => Err(format!("it takes longer than {MOST_TIME:?}")),
            Err(RecvTimeoutError::Disconnected) => Err("it ends the thread".to_owned()),
        }
    }

    /// The program without the lines that its feature does not take.
    fn reduce(&self, text: &str, feature: &str) -> String {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (mut length, mut tries) = (lines.len().div_ceil(2), 0);
        while length > 0 && tries < REDUCTIONS {
            let mut at = 0;
            while at < lines.len() && tries < REDUCTIONS {
                let end = (at + length).min(lines.len());
                let shorter: String = [&lines[..at], &lines[end..]].concat().concat();
                tries += 1;
                if self.examine(&shorter, &[]).is_ok_and(|features| features.contains(feature)) {
                    lines.drain(at..end);
                } else {
                    at = end;
                }
            }
            length /= 2;
        }
        lines.concat()
    }
}

fn corpus_size(folder: &Path) -> (usize, usize) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.fold((0, 0), |(count, bytes), file| (count + 1, bytes + file.metadata().map_or(0, |data| data.len() as usize)))
}

fn search(end: Instant, seed: u64) -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = root.join("tests/corpus");
    fs::create_dir_all(&kept).map_err(|error| format!("cannot make {}: {error}", kept.display()))?;
    let examiner = Examiner::start(&root.join("../target/fuzz")).map_err(|error| format!("cannot start: {error}"))?;
    let mut mutator = Mutator::new(programs(root), seed);
    let mut seen = BTreeSet::new();
    for text in mutator.corpus.clone() {
        seen.extend(examiner.examine(&text, &[])?);
    }
    let known = seen.len();
    let (mut count, mut found) = (0u64, 0);
    while Instant::now() < end {
        let (text, overrides) = (mutator.program(), mutator.overrides());
        count += 1;
        let features = examiner.examine(&text, &overrides)?;
        let new: Vec<String> = features.difference(&seen).cloned().collect();
        seen.extend(features);
        let (files, bytes) = corpus_size(&kept);
        // A value from the command line is not part of the program, so what needs one is only remembered.
        let Some(feature) = new.first().filter(|feature| files < MOST_FILES && !overrides_only(feature)) else { continue };
        if !examiner.examine(&text, &[])?.contains(feature) {
            continue;
        }
        let small = examiner.reduce(&text, feature);
        if bytes + small.len() < MOST_BYTES && small.len() < 8 << 10 {
            let name = format!("{}_{:016x}.mgx", feature.split(' ').next().unwrap_or("found"), mgx_ir::random::derive_name(0, feature));
            fs::write(kept.join(name), &small).map_err(|error| format!("cannot keep a program: {error}"))?;
            mutator.corpus.push(small);
            found += 1;
        }
    }
    Ok(format!("{count} programs, {known} kinds of findings known, {} now, {found} programs kept", seen.len()))
}

/// Is it a finding about a value from the command line?
fn overrides_only(feature: &str) -> bool {
    feature.starts_with("E0212")
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(minutes), seed) = (args.next().and_then(|text| text.parse::<f64>().ok()), args.next().and_then(|text| text.parse().ok()))
    else {
        eprintln!("usage: fuzz MINUTES [SEED]");
        return ExitCode::from(2);
    };
    match search(Instant::now() + Duration::from_secs_f64(minutes.clamp(0.0, 1e6) * 60.0), seed.unwrap_or(1)) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{fault}\nthe program is target/fuzz/current.mgx");
            ExitCode::FAILURE
        }
    }
}
