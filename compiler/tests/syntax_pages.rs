//! The pages of the syntax codes say the truth: the first example of each has that fault, the second has none.

use mgx_compiler::syntax::{MAX_BYTES, parse};
use mgx_diag::{FileId, codes, explain};

/// The texts between fences in a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("```mgx\n").skip(1).filter_map(|rest| rest.split_once("\n```").map(|(example, _)| example)).collect()
}

fn codes_of(text: &str) -> Vec<&'static str> {
    parse(FileId(0), text).diagnostics.iter().map(|one| one.code.0).collect()
}

#[test]
fn examples_have_the_fault_and_its_repair() {
    let mut pages = 0;
    for code in codes().filter(|code| code.starts_with("E01")) {
        let page = explain(code).expect("the code was listed");
        // Too large a file cannot stand on a page.
        if code == "E0123" {
            continue;
        }
        let [wrong, right] = examples(page)[..] else { panic!("{code} needs an example and its repair") };
        assert_eq!(codes_of(wrong), [code], "the example of {code}");
        assert_eq!(codes_of(right), [""; 0], "the repair of {code}");
        pages += 1;
    }
    assert!(pages >= 22, "only {pages} pages");
}

#[test]
fn too_large_a_file_is_refused() {
    assert_eq!(codes_of(&" ".repeat(MAX_BYTES + 1)), ["E0123"]);
}
