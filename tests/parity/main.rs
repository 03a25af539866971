//! Parity with recorded results of public implementations.
//!
//! Every folder with a `case.json` below `MGX_GOLDENS` (`tests/goldens` where that is not set) is a test. A case that waits for something that
//! is not built yet is shown as ignored with what it waits for; a case that nobody knows fails. Nothing here depends on the sizes, seeds or
//! inputs of the recorded cases.

mod adapters;
mod cells;
mod checkpoint;
mod contacts;
mod denoising;
mod diffusion;
mod encoder;
mod genomic;
mod heads;
mod huggingface;
mod inference;
mod masked_lm;
mod metrics;
mod multimolecule;
mod old_names;
mod onehot;
mod owned;
mod pretrained;
mod program;
mod retrieval;
mod rewrites;
mod scaled_regression;
mod schedules;
mod sessions;
mod tokens;
mod training;
mod zeroshot;

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use mgx_tests::golden::{Case, discover};

use owned::{Standing, standing};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = std::env::var_os("MGX_GOLDENS").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens"), PathBuf::from);
    let cases = match discover(&root) {
        Ok(cases) if !cases.is_empty() => cases,
        Ok(_) => {
            eprintln!("there is no case in {}", root.display());
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    libtest_mimic::run(&arguments, cases.into_iter().map(trial).collect()).exit_code()
}

fn trial(case: Case) -> Trial {
    let name = case.name.clone();
    match standing(&case) {
        Standing::Owned(_) if unset_variable(&case).is_some() => {
            let variable = unset_variable(&case).unwrap_or_default();
            eprintln!("SKIPPED {name}: its weights are not part of the repository; set {variable} (see tests/goldens/README.md)");
            let run = move || Err(Failed::from(format!("{variable} is not set")));
            Trial::test(name, run).with_kind(format!("skipped without {variable}")).with_ignored_flag(true)
        }
        Standing::Owned(run) => Trial::test(name.clone(), move || {
            let line = run(&case).map_err(Failed::from)?;
            println!("{name}: {line}");
            Ok(())
        }),
        Standing::NotYet(reason) => {
            let run = move || Err(Failed::from(format!("not yet owned: it waits for {reason}")));
            Trial::test(name, run).with_kind(format!("not yet owned: {reason}")).with_ignored_flag(true)
        }
        Standing::Unknown => {
            let family = case.text("/family").to_owned();
            Trial::test(name, move || Err(Failed::from(format!("no test knows this case (family `{family}`): see tests/parity/owned.rs"))))
        }
    }
}

/// The variable that names the case's pretrained weights, where it is not set.
fn unset_variable(case: &Case) -> Option<&'static str> {
    let variable = match case.text("/family") {
        "bert" => pretrained::ANTIBERTY,
        "sentences" => pretrained::MINILM,
        _ => return None,
    };
    std::env::var_os(variable).is_none().then_some(variable)
}
