//! The page of the backbones (`docs/backbones.md`) names each backbone of the standard library, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_page_names_the_backbones_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut declared = BTreeSet::new();
    for file in fs::read_dir(root.join("stdlib/backbones")).expect("a folder") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("a text");
        for line in text.lines().filter_map(|line| line.strip_prefix("backbone ")) {
            declared.insert(line.split(['(', ':']).next().expect("a name").trim().to_owned());
        }
    }
    let page = fs::read_to_string(root.join("docs/backbones.md")).expect("the page");
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let last = page.split("## Any encoder of Hugging Face").nth(1).expect("the last chapter");
    let named: BTreeSet<String> = cells
        .chain([last])
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .filter(|name| {
            name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_') && *name != "model_type"
        })
        .map(str::to_owned)
        .collect();
    assert_eq!(named, declared);
}
