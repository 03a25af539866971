//! Fenced blocks of documentation pages, and checking them as `mgxc` would.
//!
//! After ```` ```mgx ```` may stand words: `set=PATH=VALUE` and `experiment=NAME` are what the command line would say. A block whose first line names a file
//! (```` ```json file=models/small/config.json ````) is that file for the programs of its page. Tables that are not given have the columns sequence, other,
//! label and value.

use std::collections::BTreeMap;

use mgx_compiler::check::{Override, check, elaborate};
use mgx_diag::{Diagnostic, SourceMap};

use super::files_world::Files;

/// A fenced block: the words after the language, and the text.
pub struct Block {
    pub language: String,
    /// `key=value`, and single words with an empty value.
    pub words: BTreeMap<String, String>,
    pub text: String,
}

/// The blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for line in page.split_inclusive('\n') {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                let mut words = info.split_whitespace();
                let language = words.next().unwrap_or_default().to_owned();
                let words = words.map(|word| word.split_once('=').unwrap_or((word, "")));
                let words = words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                blocks.push(Block { language, words, text: String::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => blocks.last_mut().expect("a block is open").text.push_str(line),
            (None, false) => {}
        }
    }
    blocks
}

/// The files that blocks of a page are.
pub fn files(blocks: &[Block]) -> Files {
    let named = blocks.iter().filter_map(|block| Some((block.words.get("file")?.clone(), block.text.clone())));
    Files(named.collect())
}

/// What `mgxc` finds in a block.
pub fn findings(block: &Block, files: &Files) -> (SourceMap, Vec<Diagnostic>) {
    let mut files = files.clone();
    files.0.insert("example.mgx".to_owned(), block.text.clone());
    let set = block.words.get("set").and_then(|set| set.split_once('='));
    let overrides: Vec<Override> =
        set.into_iter().map(|(path, value)| Override { path: path.to_owned(), value: value.to_owned() }).collect();
    if let Some(experiment) = block.words.get("experiment") {
        return elaborate(&files, "example.mgx", &overrides, experiment, false).err().unwrap_or_default();
    }
    let checked = check(&files, "example.mgx", &overrides);
    (checked.sources, checked.diagnostics)
}
