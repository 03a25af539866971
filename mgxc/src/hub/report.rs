//! What the hub refuses, in words.

use std::io;

use hf_hub::api::sync::ApiError;
use mgx_diag::Diagnostic;

use super::Place;
use super::environment::Environment;

/// Nothing is fetched, and it is not in the cache.
pub fn absent_offline(place: &Place, what: &str) -> Diagnostic {
    Diagnostic::error("E0553", format!("`{place}` of the hub is not in the cache with {what}, and HF_HUB_OFFLINE is set"))
        .help("fetch it once without HF_HUB_OFFLINE, or give a folder: `weights = folder(\"…\")`")
}

/// What is written is no name of a repository or revision.
pub fn not_a_name(place: &Place) -> Diagnostic {
    let message = format!("`{}` at revision `{}` is no repository of the hub", place.repository, place.revision);
    Diagnostic::error("E0554", message).help("write `hub(\"organisation/name\")`, and a branch, tag or commit for `revision`")
}

/// The repository holds nothing to load.
pub fn no_weights(place: &Place) -> Diagnostic {
    Diagnostic::error("E0901", format!("`{place}` of the hub holds no checkpoint under a standard name"))
        .help("expected model.safetensors or pytorch_model.bin (or one of them with .index.json)")
}

/// The repository lacks the file that the program names.
pub fn no_such_file(place: &Place, file: &str, names: &[String]) -> Diagnostic {
    let diagnostic = Diagnostic::error("E0554", format!("`{place}` of the hub has no file `{file}`"));
    match mgx_diag::nearest(file, names.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("name a file as the repository's page lists it, with its folder"),
    }
}

/// A request or transfer that failed. `file` is empty where the repository itself was asked for; `has_main` finds out whether the repository
/// exists at another revision.
pub fn failed(place: &Place, environment: &Environment, file: &str, error: &ApiError, has_main: &dyn Fn() -> bool) -> Diagnostic {
    let what = if file.is_empty() { format!("`{place}`") } else { format!("`{file}` of `{place}`") };
    if let Some(error) = io_error(error) {
        return mgx_weights::cannot_write(&environment.cache, error);
    }
    match status(error) {
        Some(404) if file.is_empty() && has_main() => {
            Diagnostic::error("E0554", format!("the repository `{}` of the hub has no revision `{}`", place.repository, place.revision))
                .help("a revision is a branch, a tag or a commit of the repository; without one, `main` is taken")
        }
        Some(404) => Diagnostic::error("E0554", format!("the hub has no {what}"))
            .help("check the name on the hub's page of the repository; `weights = folder(\"…\")` takes files of this machine"),
        Some(status @ (401 | 403)) => {
            let diagnostic = Diagnostic::error("E0555", format!("the hub does not give {what} to this user (status {status})"));
            if environment.token.is_some() {
                diagnostic.help("ask for access on the repository's page, and give HF_TOKEN a token of the account that has it")
            } else {
                diagnostic
                    .note("the hub says the same of a repository that does not exist")
                    .help("check the name; if it is right, set HF_TOKEN to a token of an account that has access")
            }
        }
        _ => Diagnostic::error("E0556", format!("cannot fetch {what} from {}: {error}", environment.endpoint))
            .help("try again, or set HF_HUB_OFFLINE=1 and fetch the repository into the cache by other means"),
    }
}

/// An error of this machine's disk rather than of the hub.
fn io_error(error: &ApiError) -> Option<&io::Error> {
    match error {
        ApiError::IoError(error) => Some(error).filter(|error| {
            use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
            matches!(
                error.kind(),
                IsADirectory | NotADirectory | NotFound | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull
            )
        }),
        ApiError::TooManyRetries(error) => io_error(error),
        _ => None,
    }
}

/// The status of a refused request. The client's error type is not one that this crate depends on, so it is read from its text; the tests with a
/// server hold that.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => error.to_string().strip_prefix("http status: ")?.parse().ok(),
        ApiError::TooManyRetries(error) => status(error),
        _ => None,
    }
}
