//! A client of the language server that speaks to the built binary over pipes.

pub mod answers;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running server.
pub struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next_id: i64,
    /// Findings by the URI they were last reported for, with the number of reports.
    pub reported: std::collections::BTreeMap<String, (Value, usize)>,
    /// The versions that findings were last reported for.
    versions: std::collections::BTreeMap<String, i64>,
    /// What the server logged.
    pub logged: Vec<String>,
}

/// The URI of a file.
pub fn uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let encoded: String = text
        .bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect();
    format!("file://{encoded}")
}

impl Server {
    /// Starts a server for a folder, with the client's capabilities.
    pub fn start(folder: &Path, cache: &Path, capabilities: &Value) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mgxc"))
            .arg("lsp")
            .env("XDG_CACHE_HOME", cache)
            .env("HF_HOME", cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let (input, output) = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let mut server = Self {
            child,
            input,
            output,
            next_id: 0,
            reported: std::collections::BTreeMap::new(),
            versions: std::collections::BTreeMap::new(),
            logged: Vec::new(),
        };
        let root = uri(folder);
        let params = json!({ "processId": null, "rootUri": root, "capabilities": capabilities,
            "workspaceFolders": [{ "uri": root, "name": "folder" }] });
        server.request("initialize", &params).expect("a server that starts");
        server.notify("initialized", &json!({}));
        server
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server reads");
        self.input.flush().expect("the server reads");
    }

    pub fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request without waiting for its answer; gives its number.
    pub fn send_request(&mut self, method: &str, params: &Value) -> i64 {
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params }));
        self.next_id
    }

    /// The next message of the server.
    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).expect("the server writes") > 0, "the server has ended");
            if line.trim().is_empty() {
                break;
            }
            if let Some(number) = line.strip_prefix("Content-Length:") {
                length = number.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("the server writes");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Takes note of a message that answers no request.
    fn note(&mut self, message: &Value) {
        match message["method"].as_str() {
            Some("textDocument/publishDiagnostics") => {
                let uri = message["params"]["uri"].as_str().expect("a URI").to_owned();
                if let Some(version) = message["params"]["version"].as_i64() {
                    self.versions.insert(uri.clone(), version);
                }
                let count = self.reported.get(&uri).map_or(0, |(_, count)| *count);
                self.reported.insert(uri, (message["params"]["diagnostics"].clone(), count + 1));
            }
            Some("window/logMessage") => self.logged.push(message["params"]["message"].to_string()),
            _ => {}
        }
    }

    /// Waits for the answer to a request.
    pub fn wait_for(&mut self, id: i64) -> Result<Value, Value> {
        loop {
            let message = self.receive();
            if message["id"] == id {
                return if message["error"].is_null() { Ok(message["result"].clone()) } else { Err(message["error"].clone()) };
            }
            self.note(&message);
        }
    }

    /// The answer to a request.
    pub fn request(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.send_request(method, params);
        self.wait_for(id)
    }

    pub fn open(&mut self, path: &Path, text: &str) {
        let document = json!({ "uri": uri(path), "languageId": "mgx", "version": 1, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    /// Gives the whole text anew.
    pub fn change(&mut self, path: &Path, version: i64, text: &str) {
        let document = json!({ "uri": uri(path), "version": version });
        self.notify("textDocument/didChange", &json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
    }

    /// Waits until findings are reported for a file once more; gives them.
    pub fn findings(&mut self, path: &Path) -> Value {
        let uri = uri(path);
        let before = self.reported.get(&uri).map_or(0, |(_, count)| *count);
        loop {
            let message = self.receive();
            self.note(&message);
            if let Some((found, count)) = self.reported.get(&uri).filter(|(_, count)| *count > before) {
                let _ = count;
                return found.clone();
            }
        }
    }

    /// Waits until findings are reported for a version of a file; gives them.
    pub fn last_findings(&mut self, path: &Path, version: i64) -> Value {
        let uri = uri(path);
        while self.versions.get(&uri).is_none_or(|reported| *reported < version) {
            let message = self.receive();
            self.note(&message);
        }
        self.reported[&uri].0.clone()
    }

    /// Ends as an editor does; did the server end well?
    pub fn stop(mut self) -> bool {
        let answered = self.request("shutdown", &Value::Null).is_ok();
        self.notify("exit", &Value::Null);
        drop(self.input);
        answered && self.child.wait().is_ok_and(|status| status.success())
    }
}

/// The line and UTF-16 column of a byte of a text.
pub fn position(text: &str, offset: usize) -> Value {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    json!({ "line": before.matches('\n').count(), "character": text[start..offset].encode_utf16().count() })
}

/// The examples of the repository.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize().expect("the examples")
}
