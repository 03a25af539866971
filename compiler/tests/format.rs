//! The formatter: what it makes of texts, as text beside them (`format/NAME.mgx` and `format/NAME.out`, written anew with `MGX_BLESS=1`), and what holds
//! for every text: formatting twice changes nothing more, and never what the text means.

mod mutations;
mod syntax_text;

use std::fs;
use std::path::{Path, PathBuf};

use mgx_compiler::format::{WIDTH, format};
use mgx_compiler::syntax::{MAX_DEPTH, parse};
use mgx_diag::FileId;
use mutations::Mutator;

const FILE: FileId = FileId(0);

/// Formats a text and checks what must hold for any; `None` if it is not mgx.
fn formatted(text: &str) -> Option<String> {
    let before = parse(FILE, text);
    if !before.diagnostics.is_empty() {
        let refused = format(FILE, text).expect_err("a text with mistakes is not formatted");
        assert_eq!(refused, before.diagnostics);
        return None;
    }
    let once = format(FILE, text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
    let after = parse(FILE, &once);
    assert!(after.diagnostics.is_empty(), "{:?}\n{once}\n==== from\n{text}", after.diagnostics);
    assert_eq!(syntax_text::file(&before.file), syntax_text::file(&after.file), "another meaning:\n{once}\n==== from\n{text}");
    let twice = format(FILE, &once).unwrap_or_else(|found| panic!("{found:#?}\n{once}"));
    assert_eq!(once, twice, "formatted again it changes; from\n{text}");
    Some(once)
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files with an ending below folders.
fn files(folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| project().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder of the project").map(|entry| entry.expect("a readable folder").path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable file")
}

#[test]
fn texts_are_formatted_as_written_beside_them() {
    let bless = std::env::var_os("MGX_BLESS").is_some();
    let inputs = files(&["compiler/tests/format"], "mgx");
    assert!(inputs.len() >= 6, "only {} inputs found", inputs.len());
    let mut differences = Vec::new();
    for input in inputs {
        let found = formatted(&read(&input)).expect("the input is mgx");
        let expected = input.with_extension("out");
        if bless {
            fs::write(&expected, &found).expect("the expected text is writable");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            differences.push(format!("==== {}, found:\n{found}", input.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_library_and_the_examples_are_formatted() {
    let wrong: Vec<PathBuf> =
        files(&["stdlib", "examples", "benches"], "mgx").into_iter().filter(|path| formatted(&read(path)) != Some(read(path))).collect();
    assert!(wrong.is_empty(), "run `cargo run -p mgxc -- fmt stdlib examples benches`; not formatted: {wrong:?}");
}

#[test]
fn every_program_of_the_project_keeps_its_meaning() {
    let mut count = 0;
    for path in files(&["stdlib", "examples", "benches", "tests", "compiler/tests", "mgxc"], "mgx") {
        count += usize::from(formatted(&read(&path)).is_some());
    }
    assert!(count > 150, "only {count} programs");
    let mut blocks = 0;
    for page in files(&["docs"], "md") {
        let text = read(&page);
        let programs = text.split("```mgx").skip(1).filter_map(|rest| rest.split_once('\n')?.1.split("\n```").next());
        blocks += programs.filter(|program| formatted(program).is_some()).count();
    }
    assert!(blocks > 150, "only {blocks} programs in the pages");
}

/// Declarations of the project's programs, each by itself.
fn declarations() -> Vec<String> {
    let mut found = Vec::new();
    for text in mutations::programs(Path::new(env!("CARGO_MANIFEST_DIR"))) {
        let parsed = parse(FILE, &text);
        if parsed.diagnostics.is_empty() {
            let items = parsed.file.items.iter().map(|item| text[item.span.start as usize..item.span.end as usize].to_owned());
            found.extend(items.filter(|item| item.len() < 900));
        }
    }
    found
}

#[test]
fn generated_programs_keep_their_meaning() {
    let mut mutator = Mutator::new(declarations(), 5);
    let (mut tried, mut count) = (0, 0);
    while count < 10_000 {
        tried += 1;
        assert!(tried < 60_000, "only {count} of {tried} programs are mgx");
        let text = if tried % 4 == 0 { mutator.program() } else { mutator.layout() };
        count += usize::from(text.len() < 4_000 && formatted(&text).is_some());
    }
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_go() {
    let text = "\u{feff}// why\r\nexperiment a {\r\n\tx = 1 // é\r\n\r\n\r\n\ty = \"\u{feff}\"\r\n}";
    let expected = "// why\nexperiment a {\n  x = 1  // é\n\n  y = \"\u{feff}\"\n}\n";
    assert_eq!(formatted(text).as_deref(), Some(expected));
    assert_eq!(formatted("").as_deref(), Some(""));
    assert_eq!(formatted("\n\n").as_deref(), Some(""));
}

/// What lies deep in brackets takes neither the stack nor time that doubles with each.
#[test]
fn deep_nesting_is_formatted() {
    let brackets = [
        ("(", ")"),
        ("[", "]"),
        ("f(a, b = ", ")"),
        ("f(a, // c\n b, [", "])"),
        ("if a { ", " } else { 2 }"),
        ("match a { b => { ", " } }"),
    ];
    for (open, close) in brackets {
        let depth = MAX_DEPTH / open.matches(['(', '[', '{', 'i', 'm']).count().max(1) - 2;
        let text = format!("experiment a {{ x = {}1{} }}\n", open.repeat(depth), close.repeat(depth));
        let started = std::time::Instant::now();
        assert!(formatted(&text).is_some(), "{text}");
        assert!(started.elapsed().as_secs() < 10, "{:?} for {open}", started.elapsed());
    }
    let row = format!("experiment a {{ x = {}1 }}\n", "1 + ".repeat(200));
    assert!(formatted(&row).is_some());
}

#[test]
fn a_text_with_mistakes_is_not_formatted() {
    assert_eq!(formatted("experiment a {\n  x = (1\n}\n"), None);
}

/// Lines that could be shorter are not too long.
#[test]
fn lines_are_broken_where_they_can_be() {
    for path in files(&["stdlib", "examples"], "mgx") {
        for line in read(&path).lines().filter(|line| !line.trim_start().starts_with("//")) {
            let longest = line.split(' ').map(str::len).max().unwrap_or(0);
            assert!(line.chars().count() <= WIDTH || longest > WIDTH / 2, "{}: {line}", path.display());
        }
    }
}
