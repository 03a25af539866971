//! The language server under a real editor: headless Neovim with the configuration of `editors/neovim`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn neovim_shows_findings_hover_and_fixes() {
    let has_neovim = Command::new("nvim").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_neovim {
        eprintln!("SKIPPED: there is no `nvim` here (Debian: apt-get install neovim); the server is not tested under a real editor");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("größe.mgx");
    let program = "// 🧬 e\u{301}\n\n/// A module.\nmodule Same(n: dim) {\n  fn forward(input: f[n]) -> f[n] { inptu }\n}\n";
    std::fs::write(&file, program).expect("written");
    let answers = folder.path().join("answers.json");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let configuration = root.join("../editors/neovim/mgx.lua");
    let script = root.join("tests/lsp/neovim.lua");
    let status = Command::new("nvim")
        .args(["--headless", "-u", "NONE", "-i", "NONE", "--cmd"])
        .arg(format!("let g:mgx_command = ['{}', 'lsp']", env!("CARGO_BIN_EXE_mgxc")))
        .arg("-c")
        .arg(format!("luafile {}", configuration.display()))
        .arg("-c")
        .arg(format!("luafile {}", script.display()))
        .env("HOME", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .env("MGX_TEST_FILE", &file)
        .env("MGX_TEST_ANSWERS", &answers)
        .status()
        .expect("nvim starts");
    assert!(status.success());
    let answers: Value = serde_json::from_str(&std::fs::read_to_string(&answers).expect("answers")).expect("JSON");
    assert_eq!(answers["failed"], Value::Null, "{answers}");
    assert_eq!(answers["findings"], "E0204", "{answers}");
    assert_eq!(answers["column"], "  fn forward(input: f[n]) -> f[n] { ".len(), "{answers}");
    assert_eq!(answers["hover"], "```mgx\nn: int (n)\n```\n\nof `Same`", "{answers}");
    assert_eq!(answers["definition"], 3, "{answers}");
    assert_eq!(answers["fixed"], "  fn forward(input: f[n]) -> f[n] { input }", "{answers}");
    assert_eq!(answers["typed"], "E0204", "{answers}");
}
