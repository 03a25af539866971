//! The variables by which all tools of Hugging Face are set up: <https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>.

use std::env;
use std::path::{Path, PathBuf};

/// Where the hub is when `HF_ENDPOINT` does not say.
const ENDPOINT: &str = "https://huggingface.co";

/// How the hub is reached.
#[derive(Debug, Default)]
pub struct Environment {
    /// The cache of the hub: `HF_HUB_CACHE`, else `hub` in the home of Hugging Face (`HF_HOME`, else `~/.cache/huggingface`).
    pub cache: PathBuf,
    /// `HF_ENDPOINT`, without a slash at its end.
    pub endpoint: String,
    /// `HF_TOKEN`, else the text of the file `token` in the home of Hugging Face.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE`: nothing is fetched.
    pub offline: bool,
}

impl Environment {
    /// The environment of this process.
    pub fn read() -> Self {
        let home = home();
        let token = text("HF_TOKEN").or_else(|| written_token(&home));
        Self {
            cache: text("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            endpoint: text("HF_ENDPOINT").map_or_else(|| ENDPOINT.to_owned(), |endpoint| endpoint.trim_end_matches('/').to_owned()),
            token,
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        }
    }
}

/// A variable that is set to something.
fn text(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// As `huggingface_hub` reads its switches.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

fn home() -> PathBuf {
    let cache = || {
        let user = env::home_dir().unwrap_or_else(|| PathBuf::from("."));
        text("XDG_CACHE_HOME").map_or_else(|| user.join(".cache"), PathBuf::from).join("huggingface")
    };
    text("HF_HOME").map_or_else(cache, PathBuf::from)
}

fn written_token(home: &Path) -> Option<String> {
    let token = std::fs::read_to_string(home.join("token")).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}
