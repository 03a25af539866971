//! Weights of the hub, through the binary: a small server plays the hub, and a folder its cache.

mod letters;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use letters::{FilesByName, Workspace, assert_passed, assert_refused, sharded, tensors};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPOSITORY: &str = "lab/tiny";

/// The part of the hub's interface that fetching uses. Serves until the process ends.
struct Server {
    endpoint: String,
    /// `METHOD path` and the token of each request, in order.
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn start(files: FilesByName, only_with_token: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is not the server's concern.
                let _ = answer(stream, &files, only_with_token, &log);
            }
        });
        Self { endpoint, requests }
    }

    fn paths(&self) -> Vec<String> {
        self.requests.lock().expect("no thread failed").iter().map(|(path, _)| path.clone()).collect()
    }
}

fn answer(stream: TcpStream, files: &FilesByName, token: Option<&str>, log: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let (mut range, mut bearer) = (None, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "range" => range = value.trim().strip_prefix("bytes=").map(str::to_owned),
            "authorization" => bearer = value.trim().trim_start_matches("Bearer ").to_owned(),
            _ => {}
        }
    }
    log.lock().expect("no thread failed").push((path.clone(), bearer.clone()));
    let (status, headers, body) = if token.is_some_and(|token| token != bearer) {
        ("403 Forbidden", String::new(), Vec::new())
    } else {
        content(&path, range.as_deref(), files).unwrap_or(("404 Not Found", String::new(), Vec::new()))
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len())?;
    stream.write_all(&body)
}

/// Status, headers and body for a path that exists.
fn content(path: &str, range: Option<&str>, files: &FilesByName) -> Option<(&'static str, String, Vec<u8>)> {
    if let Some(revision) = path.strip_prefix(&format!("/api/models/{REPOSITORY}/revision/")) {
        let names: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let known = ["main", COMMIT].contains(&revision);
        return known.then(|| ("200 OK", String::new(), serde_json::json!({ "sha": COMMIT, "siblings": names }).to_string().into_bytes()));
    }
    let name = path.strip_prefix(&format!("/{REPOSITORY}/resolve/{COMMIT}/"))?;
    let bytes = files.get(name)?;
    let (first, last) = range?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let end = last.parse().map_or(bytes.len(), |last: usize| last + 1).min(bytes.len());
    let headers = format!(
        "X-Repo-Commit: {COMMIT}\r\nETag: \"etag-of-{name}\"\r\nContent-Range: bytes {first}-{}/{}\r\n",
        end.saturating_sub(1),
        bytes.len()
    );
    Some(("206 Partial Content", headers, bytes.get(first..end)?.to_vec()))
}

const HUB: &str = r#"hub("lab/tiny")"#;

#[test]
fn weights_are_fetched_once_and_then_found_offline() {
    let server = Server::start(sharded(), None);
    let workspace = Workspace::new(HUB);
    assert_passed(&workspace.mgxc(&["check", "embedding.mgx"], &server.endpoint));
    let files = server.paths().iter().filter(|path| path.contains("/resolve/") && !path.ends_with("/config.json")).count();
    assert_eq!(files, 0, "checking fetches the configuration alone: {:?}", server.paths());
    assert_passed(&workspace.mgxc(&["run", "embedding.mgx"], &server.endpoint));
    assert!(server.paths().iter().all(|path| !path.contains("README")), "only what is needed");
    let snapshot = workspace.path("hf/hub/models--lab--tiny/snapshots").join(COMMIT);
    for file in ["config.json", "model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"] {
        assert_eq!(fs::read(snapshot.join(file)).expect("a file of the cache"), sharded()[file], "{file}");
    }
    assert_eq!(fs::read_to_string(workspace.path("hf/hub/models--lab--tiny/refs/main")).expect("a reference"), COMMIT);
    let asked = server.paths().len();
    assert_passed(&workspace.mgxc(&["run", "embedding.mgx"], &server.endpoint));
    assert_eq!(server.paths().len(), asked, "what is in the cache is not asked for");
    let offline =
        workspace.command(&["run", "embedding.mgx"], "http://127.0.0.1:9").env("HF_HUB_OFFLINE", "1").output().expect("it starts");
    assert_passed(&offline);
}

#[test]
fn a_prepared_cache_serves_branches_and_commits_offline() {
    for revision in [None, Some("main"), Some(COMMIT)] {
        let weights = revision.map_or_else(|| HUB.to_owned(), |revision| format!(r#"hub("lab/tiny", revision = "{revision}")"#));
        let workspace = Workspace::new(&weights);
        let repository = workspace.path("elsewhere/models--lab--tiny");
        write_cache(&repository, &sharded());
        let run = |arguments: &[&str]| {
            let mut command = workspace.command(arguments, "http://127.0.0.1:9");
            command.env("HF_HUB_OFFLINE", "yes").env("HF_HUB_CACHE", workspace.path("elsewhere")).output().expect("mgxc starts")
        };
        assert_passed(&run(&["check", "embedding.mgx"]));
        assert_passed(&run(&["run", "embedding.mgx"]));
        fs::remove_file(repository.join("snapshots").join(COMMIT).join("model-2.safetensors")).expect("a shard");
        fs::remove_dir_all(workspace.path("runs")).expect("the runs");
        assert_refused(&workspace, &run(&["run", "embedding.mgx"]), "E0553", &["lab/tiny", "HF_HUB_OFFLINE"]);
    }
}

fn write_cache(repository: &Path, files: &FilesByName) {
    let snapshot = repository.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).expect("a folder");
    fs::create_dir_all(repository.join("refs")).expect("a folder");
    fs::write(repository.join("refs/main"), format!("{COMMIT}\n")).expect("a file");
    for (name, bytes) in files {
        fs::write(snapshot.join(name), bytes).expect("a file");
    }
}

#[test]
fn shapes_of_cached_weights_are_checked_from_their_headers() {
    let workspace = Workspace::new(HUB);
    let mut files = sharded();
    files.insert("model-1.safetensors".to_owned(), tensors(&[("table.weight", &[5, 2])]));
    write_cache(&workspace.path("hf/hub/models--lab--tiny"), &files);
    let output = workspace.mgxc(&["check", "embedding.mgx"], "http://127.0.0.1:9");
    assert_refused(&workspace, &output, "E0916", &["table.weight", "[5, 2]", "[4, 2]", "these weights"]);
}

#[test]
fn what_the_hub_does_not_have_is_said() {
    let server = Server::start(sharded(), None);
    let cases = [
        (r#"hub("lab/other")"#, "E0554", "lab/other"),
        (r#"hub("lab/tiny", revision = "v9")"#, "E0554", "no revision `v9`"),
        (r#"hub("lab/../../tiny")"#, "E0554", "no repository of the hub"),
    ];
    for (weights, code, text) in cases {
        let workspace = Workspace::new(weights);
        for command in ["check", "run"] {
            assert_refused(&workspace, &workspace.mgxc(&[command, "embedding.mgx"], &server.endpoint), code, &[text]);
        }
    }
    let mut files = sharded();
    files.retain(|name, _| name == "config.json" || name == "README.md");
    let empty = Server::start(files, None);
    let workspace = Workspace::new(HUB);
    assert_refused(&workspace, &workspace.mgxc(&["run", "embedding.mgx"], &empty.endpoint), "E0901", &["lab/tiny"]);
}

#[test]
fn a_gated_repository_needs_its_token() {
    let server = Server::start(sharded(), Some("hf_right"));
    let workspace = Workspace::new(HUB);
    assert_refused(&workspace, &workspace.mgxc(&["run", "embedding.mgx"], &server.endpoint), "E0555", &["HF_TOKEN", "403"]);
    fs::create_dir_all(workspace.path("hf")).expect("a folder");
    fs::write(workspace.path("hf/token"), "hf_right\n").expect("a file");
    let wrong = workspace.command(&["run", "embedding.mgx"], &server.endpoint).env("HF_TOKEN", "hf_wrong").output().expect("it starts");
    assert_refused(&workspace, &wrong, "E0555", &["access"]);
    assert_passed(&workspace.mgxc(&["run", "embedding.mgx"], &server.endpoint));
}

#[test]
fn without_a_connection_or_a_cache_nothing_starts() {
    let workspace = Workspace::new(HUB);
    let output = workspace.mgxc(&["run", "embedding.mgx"], "http://127.0.0.1:9");
    assert_refused(&workspace, &output, "E0556", &["lab/tiny", "http://127.0.0.1:9"]);
    let offline =
        workspace.command(&["check", "embedding.mgx"], "http://127.0.0.1:9").env("HF_HUB_OFFLINE", "1").output().expect("it starts");
    assert_refused(&workspace, &offline, "E0553", &["config.json", "lab/tiny"]);
    let server = Server::start(sharded(), None);
    fs::write(workspace.path("hf"), "a file where the cache should be").expect("a file");
    let blocked = workspace.mgxc(&["run", "embedding.mgx"], &server.endpoint);
    assert_refused(&workspace, &blocked, "E0920", &["hf"]);
}

#[test]
fn a_shard_that_is_cut_off_is_refused() {
    let mut files = sharded();
    files.entry("model-1.safetensors".to_owned()).and_modify(|bytes| bytes.truncate(bytes.len() - 4));
    let server = Server::start(files, None);
    let workspace = Workspace::new(HUB);
    assert_refused(&workspace, &workspace.mgxc(&["run", "embedding.mgx"], &server.endpoint), "E0903", &["table.weight"]);
}
