//! Weights of the hub: files of a repository, from the cache that all tools of Hugging Face share, or fetched into it.
//!
//! What is in the cache is taken without asking the hub, so that a run says the same tomorrow. What is not is fetched, unless `HF_HUB_OFFLINE`
//! is set. All files of one call are of one commit. Variables: see [`environment`].

mod environment;
mod report;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hf_hub::api::RepoInfo;
use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};
use mgx_compiler::check::HUB_PREFIX;
use mgx_diag::Diagnostic;

use environment::Environment;
use report::{absent_offline, failed, no_such_file, no_weights, not_a_name};

/// How often a transfer is tried again.
const RETRIES: usize = 3;
/// The branch of a repository that is meant where no revision is given.
const MAIN: &str = "main";

/// The hub as this process sees it.
#[derive(Default)]
pub struct Hub {
    environment: Environment,
    /// What the hub said of a repository, so that it is asked once.
    known: RefCell<HashMap<String, Rc<RepoInfo>>>,
}

/// A repository at a revision.
struct Place {
    repository: String,
    revision: String,
    /// The file that holds the weights, where the program names it.
    file: Option<String>,
}

impl Hub {
    /// The hub that the environment's variables name.
    pub fn from_env() -> Self {
        Self { environment: Environment::read(), known: RefCell::default() }
    }

    /// The hub of which nothing is fetched, whatever the environment says.
    pub fn cached_only() -> Self {
        let environment = Environment { offline: true, ..Environment::read() };
        Self { environment, known: RefCell::default() }
    }

    /// Is this the folder of weights of the hub?
    pub fn names(folder: &str) -> bool {
        folder.starts_with(HUB_PREFIX)
    }

    /// The text of a small file (`config.json`); none if the repository has no such file. Fetched if it is not in the cache.
    ///
    /// # Errors
    /// `E0553` to `E0556` of the hub; `E0920`, `E0921` of the cache; `E0900` if the file cannot be read.
    pub fn text(&self, folder: &str, file: &str) -> Result<Option<String>, Diagnostic> {
        let place = Place::parse(folder)?;
        let is_beside = file.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_beside {
            return Ok(None);
        }
        let cached = self.snapshot(&place).map(|snapshot| (snapshot.join(file), snapshot));
        let path = match cached {
            Some((path, _)) if path.is_file() => path,
            // Offline, what the cache has of a repository is all that there is of it.
            Some((_, snapshot)) if self.environment.offline && file != "config.json" && snapshot.is_dir() => return Ok(None),
            _ if self.environment.offline => return Err(absent_offline(&place, file)),
            _ => {
                let info = self.info(&place)?;
                if !info.siblings.iter().any(|sibling| sibling.rfilename == file) {
                    return Ok(None);
                }
                self.fetch(&place, &info, &[file])?.join(file)
            }
        };
        std::fs::read_to_string(&path)
            .map(Some)
            .map_err(|error| Diagnostic::error("E0900", format!("cannot read `{}`: {error}", path.display())))
    }

    /// The folder of the weights, or the file that the program names, if all of their files are in the cache.
    ///
    /// # Errors
    /// `E0554` if the repository's name is none; `E0904` if the index of its shards is none.
    pub fn cached_weights(&self, folder: &str) -> Result<Option<PathBuf>, Diagnostic> {
        let place = Place::parse(folder)?;
        let Some(snapshot) = self.snapshot(&place) else { return Ok(None) };
        if let Some(file) = &place.file {
            return Ok(Some(snapshot.join(file)).filter(|file| file.is_file()));
        }
        let Some(file) = mgx_weights::weight_file(&names_in(&snapshot)).map(str::to_owned) else { return Ok(None) };
        let shards = if is_index(&file) { mgx_weights::shard_names(&snapshot.join(&file))? } else { vec![file] };
        Ok(shards.iter().all(|shard| snapshot.join(shard).is_file()).then_some(snapshot))
    }

    /// The folder of the weights, or the file that the program names. Fetched if they are not in the cache.
    ///
    /// # Errors
    /// As [`Hub::text`] and [`Hub::cached_weights`]; `E0901` if the repository has no weights that can be read.
    pub fn weights(&self, folder: &str) -> Result<PathBuf, Diagnostic> {
        if let Some(cached) = self.cached_weights(folder)? {
            return Ok(cached);
        }
        let place = Place::parse(folder)?;
        if self.environment.offline {
            return Err(absent_offline(&place, "its weights"));
        }
        let info = self.info(&place)?;
        let names: Vec<String> = info.siblings.iter().map(|sibling| sibling.rfilename.clone()).collect();
        if let Some(file) = place.file.as_deref() {
            if !names.iter().any(|name| name == file) {
                return Err(no_such_file(&place, file, &names));
            }
            return Ok(self.fetch(&place, &info, &[file])?.join(file));
        }
        let Some(file) = mgx_weights::weight_file(&names) else { return Err(no_weights(&place)) };
        let snapshot = self.fetch(&place, &info, &[file])?;
        if is_index(file) {
            let shards = mgx_weights::shard_names(&snapshot.join(file))?;
            self.fetch(&place, &info, &shards.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(snapshot)
    }

    /// The folder of the cache that holds files of the revision, if there is one.
    fn snapshot(&self, place: &Place) -> Option<PathBuf> {
        let repository = self.environment.cache.join(place.repo().folder_name());
        let commit = match std::fs::read_to_string(repository.join("refs").join(&place.revision)) {
            Ok(commit) => commit.trim().to_owned(),
            // A commit is its own revision.
            Err(_) => place.revision.clone(),
        };
        Some(repository.join("snapshots").join(commit)).filter(|snapshot| snapshot.is_dir())
    }

    fn api(&self) -> Result<Api, Diagnostic> {
        ApiBuilder::from_cache(Cache::new(self.environment.cache.clone()))
            .with_endpoint(self.environment.endpoint.clone())
            .with_token(self.environment.token.clone())
            .with_progress(std::io::stderr().is_terminal())
            .with_retries(RETRIES)
            .with_user_agent("mgx", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| Diagnostic::error("E0556", format!("cannot use the hub: {error}")))
    }

    /// What the hub says of a repository: its commit and its files.
    fn info(&self, place: &Place) -> Result<Rc<RepoInfo>, Diagnostic> {
        let key = place.to_string();
        if let Some(known) = self.known.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let asked = self.api()?.repo(place.repo()).info();
        let info = asked.map_err(|error| {
            let elsewhere = || {
                let main = Place { revision: MAIN.to_owned(), ..place.copy() };
                place.revision != MAIN && self.api().is_ok_and(|api| api.repo(main.repo()).info().is_ok())
            };
            failed(place, &self.environment, "", &error, &elsewhere)
        })?;
        let info = Rc::new(info);
        self.known.borrow_mut().insert(key, Rc::clone(&info));
        Ok(info)
    }

    /// Brings files of a commit into the cache, those that are not there. Gives the folder they are in.
    fn fetch(&self, place: &Place, info: &RepoInfo, files: &[&str]) -> Result<PathBuf, Diagnostic> {
        // By the commit and not by the branch, which may move between two files.
        let commit = Place { revision: info.sha.clone(), ..place.copy() }.checked()?;
        let cache = Cache::new(self.environment.cache.clone());
        let snapshot = cache.repo(commit.repo()).pointer_path(&commit.revision);
        let api = self.api()?.repo(commit.repo());
        for file in files {
            if !snapshot.join(file).is_file() {
                api.download(file).map_err(|error| failed(place, &self.environment, file, &error, &|| false))?;
            }
        }
        let reference = cache.repo(place.repo()).create_ref(&commit.revision);
        reference.map_err(|error| mgx_weights::cannot_write(&self.environment.cache, &error))?;
        Ok(snapshot)
    }
}

impl Place {
    /// Of a folder `hub://organisation/name@revision`, or a file of it after `#`. `E0554` if that cannot be a repository: names go into paths and addresses.
    fn parse(folder: &str) -> Result<Self, Diagnostic> {
        let text = folder.strip_prefix(HUB_PREFIX).unwrap_or(folder);
        let (text, file) = text.split_once('#').map_or((text, None), |(text, file)| (text, Some(file.to_owned())));
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        Self { repository: repository.to_owned(), revision: revision.to_owned(), file }.checked()
    }

    fn checked(self) -> Result<Self, Diagnostic> {
        let is_name = |part: &str| {
            let letters = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            letters && !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains("..")
        };
        let parts: Vec<&str> = self.repository.split('/').collect();
        let is_path = |text: &str| text.split('/').all(is_name);
        let fits = is_path(&self.revision) && self.file.as_deref().is_none_or(is_path);
        if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) || !fits {
            return Err(not_a_name(&self));
        }
        Ok(self)
    }

    fn copy(&self) -> Self {
        Self { repository: self.repository.clone(), revision: self.revision.clone(), file: self.file.clone() }
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, self.revision.clone())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.revision.as_str() {
            MAIN => f.write_str(&self.repository),
            revision => write!(f, "{}@{revision}", self.repository),
        }
    }
}

fn is_index(file: &str) -> bool {
    file.ends_with(".json")
}

/// The files of a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_repository_are_refused() {
        for name in ["a/b/c", "../x", "a/..", "a b", "", "a/", "/a", "a@../b", "a@", "a/.b", "-a", "a@x/../y", "a%2fb"] {
            assert_eq!(Place::parse(&format!("hub://{name}")).err().map(|error| error.code.0), Some("E0554"), "{name}");
        }
        for (name, revision) in [("gpt2", MAIN), ("genbio-ai/AIDO.RNA-1.6B", MAIN), ("a/b@refs/pr/1", "refs/pr/1"), ("a/b@v1.0", "v1.0")] {
            let place = Place::parse(&format!("hub://{name}")).ok();
            assert_eq!(place.map(|place| place.revision).as_deref(), Some(revision), "{name}");
        }
    }
}
