//! Where values of frozen networks are kept between runs.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use mgx_diag::Diagnostic;
use mgx_runtime::Cache;

/// Bytes of the cache where nothing else is said.
const LIMIT: u64 = 20_000_000_000;

/// The cache, by the environment: `MGX_CACHE` is its folder (`off`: none), `MGX_CACHE_GB` its largest size in 10⁹ bytes. Without them it is `mgx` in the user's folder of
/// caches (`XDG_CACHE_HOME`, `~/.cache`); where there is none, nothing is kept.
///
/// # Errors
/// E0970 for a size that is no number.
pub fn cache() -> Result<Option<Cache>, Diagnostic> {
    let limit = match set("MGX_CACHE_GB") {
        None => LIMIT,
        Some(text) => bytes(&text)?,
    };
    let folder = match set("MGX_CACHE") {
        Some(folder) if folder == "off" => return Ok(None),
        Some(folder) => Some(PathBuf::from(folder)),
        None => folder_of_caches().map(|caches| caches.join("mgx")),
    };
    Ok(folder.map(|folder| Cache { folder, limit }))
}

/// A variable that is set to something.
fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The user's folder of caches: `XDG_CACHE_HOME`, else `~/.cache`.
pub fn folder_of_caches() -> Option<PathBuf> {
    set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
}

fn bytes(text: &OsString) -> Result<u64, Diagnostic> {
    let number = text.to_str().and_then(|text| text.trim().parse::<f64>().ok()).filter(|number| number.is_finite() && *number >= 0.0);
    number.map(|number| (number * 1e9) as u64).ok_or_else(|| {
        Diagnostic::error("E0970", format!("`MGX_CACHE_GB` is `{}`, which is no size", text.to_string_lossy()))
            .help("give a number of gigabytes, such as `MGX_CACHE_GB=50`, or `MGX_CACHE=off`")
    })
}
