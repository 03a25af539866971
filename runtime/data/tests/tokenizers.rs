//! Token ids are those of the public tokenizers: recorded ids of reference models, and of the `tokenizers` library for BERT.

use mgx_data::{Limit, Tokenizer};
use mgx_ir::plan::{Casing, TokenizerKind, TokenizerSpec, Unknown};
use serde_json::Value;

const FIXTURE: &str = include_str!("fixtures/tokenizers.json");

fn ids(value: &Value) -> Vec<i32> {
    value.as_array().unwrap().iter().map(|id| id.as_i64().unwrap() as i32).collect()
}

fn spec(value: &Value) -> TokenizerSpec {
    let unknown = value["unknown"].as_i64().map(|id| id as i32);
    let kind = match value["kind"].as_str().unwrap() {
        "greedy" => TokenizerKind::Greedy { unknown: unknown.map_or(Unknown::Error, |id| Unknown::Run { id }), separator: None },
        _ => TokenizerKind::WordPiece { unknown: unknown.unwrap() },
    };
    TokenizerSpec {
        name: "recorded".into(),
        kind,
        casing: if value["casing"] == "lower" { Casing::Lower } else { Casing::Keep },
        replace: vec![],
        vocabulary: value["vocabulary"].as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned()).collect(),
        special: ids(&value["special"]),
        prefix: ids(&value["prefix"]),
        suffix: ids(&value["suffix"]),
    }
}

#[test]
fn ids_are_the_recorded_ones() {
    let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
    assert!(cases.len() > 30);
    for case in &cases {
        let tokenizer = Tokenizer::new(&spec(&case["tokenizer"])).unwrap();
        for expected in case["texts"].as_array().unwrap() {
            let text = expected["text"].as_str().unwrap();
            let found =
                tokenizer.encode(text, case["max_length"].as_u64().map(Limit::first), case["add_special"].as_bool().unwrap()).unwrap();
            assert_eq!(found.ids, ids(&expected["ids"]), "{}: {text:?} gave {:?}", case["name"], tokenizer.tokens(&found.ids));
            let special: Vec<bool> = ids(&expected["special"]).iter().map(|mark| *mark == 1).collect();
            assert_eq!(found.special, special, "{}: {text:?}", case["name"]);
        }
    }
}

fn letters(vocabulary: &[&str], unknown: Unknown) -> TokenizerSpec {
    TokenizerSpec {
        name: "letters".into(),
        kind: TokenizerKind::Greedy { unknown, separator: None },
        casing: Casing::Keep,
        replace: vec![],
        vocabulary: vocabulary.iter().map(|token| (*token).to_owned()).collect(),
        special: vec![],
        prefix: vec![],
        suffix: vec![],
    }
}

#[test]
fn unknown_characters_follow_their_rule() {
    let vocabulary = ["?", "A", "C", "AC", "[M]"];
    let encode =
        |unknown, text: &str| Tokenizer::new(&letters(&vocabulary, unknown)).unwrap().encode(text, None, true).map(|encoding| encoding.ids);
    assert_eq!(encode(Unknown::Run { id: 0 }, "AACxyz xé[M]A[").unwrap(), [1, 3, 0, 0, 4, 1, 0]);
    assert_eq!(encode(Unknown::Each { id: 0 }, "Axéy z").unwrap(), [1, 0, 0, 0, 0]);
    let unknown = encode(Unknown::Error, "A Aé").unwrap_err();
    assert_eq!((unknown.character, unknown.position), ('é', 4));
}

#[test]
fn a_separator_counts_where_it_is_alone() {
    let mut spec = letters(&["?", "A", "[SEP]"], Unknown::Run { id: 0 });
    spec.kind = TokenizerKind::Greedy { unknown: Unknown::Run { id: 0 }, separator: Some(('|', 2)) };
    let tokenizer = Tokenizer::new(&spec).unwrap();
    for (text, expected) in
        [("A|A", vec![1, 2, 1]), ("|", vec![2]), ("| |A", vec![2, 2, 1]), ("A||A", vec![1, 0, 1]), ("x|A|xy", vec![0, 1, 0])]
    {
        assert_eq!(tokenizer.encode(text, None, false).unwrap().ids, expected, "{text}");
    }
}

#[test]
fn case_and_letters_change_except_in_special_tokens() {
    let mut spec = letters(&["?", "A", "U", "[mask]"], Unknown::Run { id: 0 });
    spec.casing = Casing::Upper;
    spec.replace = vec![('T', 'U')];
    spec.special = vec![3];
    let tokenizer = Tokenizer::new(&spec).unwrap();
    let encoding = tokenizer.encode("at[mask]TU[MASK]", None, true).unwrap();
    assert_eq!(tokenizer.decode(&encoding.ids), "A U [mask] U U ? A ?");
    assert_eq!(tokenizer.decode(&[1, 9]), "A [?]");
}

#[test]
fn truncation_keeps_first_tokens_and_suffix() {
    let mut spec = letters(&["A", "C", "[CLS]", "[SEP]"], Unknown::Error);
    spec.prefix = vec![2];
    spec.suffix = vec![3];
    let tokenizer = Tokenizer::new(&spec).unwrap();
    let mut ids = vec![7];
    assert_eq!(tokenizer.encode_into("ACCA", Some(Limit::first(4)), true, &mut ids), Ok(6));
    assert_eq!(ids, [7, 2, 0, 1, 3]);
    assert_eq!(tokenizer.encode("ACCA", Some(Limit::first(1)), true).unwrap().ids, [2, 3]);
    assert_eq!(tokenizer.encode("ACCA", Some(Limit::first(3)), false).unwrap().ids, [0, 1, 1]);
}

#[test]
fn a_window_keeps_the_middle_between_prefix_and_suffix() {
    let mut spec = letters(&["A", "C", "G", "T", "[CLS]", "[SEP]"], Unknown::Error);
    spec.prefix = vec![4];
    spec.suffix = vec![5];
    let tokenizer = Tokenizer::new(&spec).unwrap();
    let window = |text, tokens| tokenizer.encode(text, Some(Limit { tokens, window: true }), true).unwrap().ids;
    assert_eq!(window("ACGTA", 5), [4, 1, 2, 3, 5]);
    assert_eq!(window("ACGTA", 6), [4, 0, 1, 2, 3, 5], "of one letter too many the last goes");
    assert_eq!(window("ACGTA", 7), [4, 0, 1, 2, 3, 0, 5]);
    assert_eq!(window("ACGTA", 2), [4, 5]);
}

#[test]
fn ids_outside_the_vocabulary_are_refused() {
    let mut spec = letters(&["A"], Unknown::Error);
    spec.prefix = vec![1];
    assert_eq!(Tokenizer::new(&spec).unwrap_err().code.0, "E0533");
    let missing = mgx_data::read_vocabulary(std::path::Path::new("no/such/vocab.txt")).unwrap_err();
    assert_eq!(missing.code.0, "E0533");
}

/// Definitions as Hugging Face's library writes them, with ids of its Python package (tokenizers 0.23.3).
#[test]
fn definitions_give_the_ids_of_the_library() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/tokenizer_files.json")).unwrap();
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let mut spec = letters(&["?"; 400], Unknown::Error);
        spec.kind = TokenizerKind::Library { definition: case["definition"].to_string() };
        (spec.prefix, spec.suffix) = (ids(&case["prefix"]), ids(&case["suffix"]));
        let tokenizer = Tokenizer::new(&spec).unwrap();
        for expected in case["texts"].as_array().unwrap() {
            let text = expected["text"].as_str().unwrap();
            let found = tokenizer.encode(text, None, true).unwrap();
            assert_eq!(found.ids, ids(&expected["ids"]), "{}: {text:?}", case["name"]);
            let special: Vec<bool> = ids(&expected["special"]).iter().map(|mark| *mark == 1).collect();
            assert_eq!(found.special, special, "{}: {text:?}", case["name"]);
        }
    }
}

#[test]
fn definitions_that_cannot_be_used_are_refused() {
    let mut spec = letters(&["a"], Unknown::Error);
    for definition in ["", "{}", "{\"model\": {\"type\": \"BPE\"}}", "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}}"] {
        spec.kind = TokenizerKind::Library { definition: definition.to_owned() };
        assert_eq!(Tokenizer::new(&spec).unwrap_err().code.0, "E0533", "{definition}");
    }
    // Without a token for what is unknown, unknown text is an error.
    let model = "{\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}, \"unk_token\": \"[UNK]\"}";
    spec.kind = TokenizerKind::Library {
        definition: format!(
            "{{\"version\": \"1.0\", \"added_tokens\": [], \"pre_tokenizer\": {{\"type\": \"Whitespace\"}}, \"model\": {model}}}"
        ),
    };
    let unknown = Tokenizer::new(&spec).unwrap().encode("a aé", None, true).unwrap_err();
    assert_eq!((unknown.character, unknown.position), ('é', 4));
}

#[test]
fn ids_become_text_again() {
    let mut greedy = letters(&["[CLS]", "[MASK]", "A", "C"], Unknown::Error);
    (greedy.prefix, greedy.suffix) = (vec![0], vec![0]);
    let tokenizer = Tokenizer::new(&greedy).unwrap();
    assert_eq!(tokenizer.text(&[0, 2, 1, 3, 0]), "A[MASK]C");
    assert_eq!(tokenizer.text(&[0]), "", "of fewer tokens than are added, none is left");
    let mut words = letters(&["[CLS]", "kin", "##ase", "the"], Unknown::Error);
    words.kind = TokenizerKind::WordPiece { unknown: 0 };
    assert_eq!(Tokenizer::new(&words).unwrap().text(&[3, 1, 2, 1]), "the kinase kin");
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/tokenizer_files.json")).unwrap();
    let bytes = cases.iter().find(|case| case["name"] == "byte-level BPE").unwrap();
    let mut library = letters(&["<s>", "<pad>", "</s>", "<unk>", "<mask>"], Unknown::Error);
    library.kind = TokenizerKind::Library { definition: bytes["definition"].to_string() };
    (library.prefix, library.suffix) = (vec![0], vec![2]);
    let tokenizer = Tokenizer::new(&library).unwrap();
    for text in ["The kinase phosphorylates its substrate.", "M\u{fc}ller's <mask> caf\u{e9}"] {
        let ids = tokenizer.encode(text, None, true).unwrap().ids;
        assert_eq!(tokenizer.text(&ids), text);
    }
}
