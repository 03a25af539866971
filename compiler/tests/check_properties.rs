//! What holds for every program, whatever is wrong with it: checking ends soon, in a small stack, and says what is wrong in places that exist; and a program that
//! passes has a graph without faults. `MGX_CASES=5000` searches longer, `MGX_FIRST=17` begins at another seed.

mod mutations;

use std::path::Path;
use std::time::{Duration, Instant};

use mgx_compiler::check::{Override, check};
use mutations::{Everywhere, MAIN, Mutator, examine, programs};

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn changed_programs_are_checked_without_fail() {
    let corpus = programs(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(corpus.len() > 30, "only {} programs found", corpus.len());
    let first = number("MGX_FIRST", 0);
    for seed in first..first + number("MGX_CASES", 150) {
        let mut mutator = Mutator::new(corpus.clone(), seed);
        let (text, overrides) = (mutator.program(), mutator.overrides());
        let started = Instant::now();
        let result = std::panic::catch_unwind(|| examine(&text, &overrides));
        let fault = match result {
            Ok(Ok(_)) if started.elapsed() < Duration::from_secs(30) => continue,
            Ok(Ok(_)) => format!("it took {:?}", started.elapsed()),
            Ok(Err(fault)) => fault,
            Err(_) => "it panics".to_owned(),
        };
        panic!("seed {seed}: {fault}\n{overrides:?}\n{text}");
    }
}

/// The codes of a program, found in a thread with a small stack.
fn codes(text: String) -> Vec<&'static str> {
    let work = move || {
        let found = check(&Everywhere(text), MAIN, &[]).diagnostics;
        // All programs here import the same names.
        found.iter().map(|diagnostic| diagnostic.code.0).filter(|code| *code != "W0201").collect()
    };
    let thread = std::thread::Builder::new().stack_size(1600 << 10).spawn(work).expect("a thread can be started");
    thread.join().expect("checking does not panic")
}

/// An experiment that applies `part` to one-hot letters.
fn applied(part: &str) -> String {
    let uses = "use std::adapters::mlp_pool\nuse std::backbones::{dna_onehot, aido_dna_debug}\nuse std::tasks::embed\n";
    format!("{uses}data t = table(\"t.csv\") {{ sequence: dna }}\nexperiment e {{\n  x = t.sequence |> {part}\n  task = embed(x)\n}}\n")
}

#[test]
fn programs_without_end_are_ended() {
    let forward = "fn forward(x: f[seq, hidden]) -> f[seq, hidden]";
    let endless = [
        format!("module A(hidden: dim) {{ a = A(hidden)\n {forward} {{ a(x) }} }}\n{}", applied("dna_onehot |> A")),
        format!(
            "module A(hidden: dim) {{ a = B(hidden)\n {forward} {{ a(x) }} }}\nmodule B(hidden: dim) {{ a = A(hidden)\n {forward} {{ a(x) }} }}\n{}",
            applied("dna_onehot |> A")
        ),
        format!("module A(hidden: dim) {{ {forward} {{ forward(x) }} }}\n{}", applied("dna_onehot |> A")),
        format!(
            "module A(hidden: dim) {{ {forward} {{ inner(x) }}\n fn inner(x: f[seq, hidden]) -> f[seq, hidden] {{ forward(x) + 1 }} }}"
        ),
        "fn g(x: f[n]) -> f[n] { g(x) }".to_owned(),
        "fn g(x: f[n]) -> f[n] { x |> g |> g |> g }".to_owned(),
        "fn g(x: f[n]) -> f[n] { if training { g(x) + g(x) } else { let y = g(x)\n y * g(y) } }".to_owned(),
        "fn g(x: int) -> int { [1, 2, (3 + g(x + 1))][0] }".to_owned(),
        "fn g(x: int) -> int { match \"a\" { \"a\" => { let y = if true { (((g(x)))) } else { 1 }\n y } } }".to_owned(),
        "fn g(x: int) -> int { max(min(g(x - 1), 3), (a = g(x)).a) }".to_owned(),
        format!(
            "module A(hidden: dim, n: int) {{ a = A(hidden, n - 1) if n > 0\n b = A(hidden, n - 1) if n > 0\n {forward} {{ x }} }}\n{}",
            applied("dna_onehot |> A(n = 70)")
        ),
        applied("aido_dna_debug(layers = 1_000_000_000)"),
        applied("aido_dna_debug(layers = 9223372036854775807)"),
        "module A { a = repeat(1_000_000_000_000) A() }".to_owned(),
        "data t = table(\"t.csv\") { label: class(\"a\", \"b\" + t) }".to_owned(),
        "data t = table(t.path) { label: class(\"a\", \"b\") }\ndata u = table(\"u.csv\") { label: class(\"a\", v.b) }\ndata v = table(\"v.csv\") { b: class(\"a\", u.label) }".to_owned(),
    ];
    for text in endless {
        let started = Instant::now();
        let found = codes(text.clone());
        assert!(found.iter().any(|code| ["E0210", "E0406"].contains(code)) && found.len() < 10, "{found:?} for\n{text}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?} for\n{text}", started.elapsed());
    }
}

/// A module that contains itself for every element of a list: twenty hidden layers are far from the bounds.
#[test]
fn deep_networks_are_within_the_bounds() {
    let text = applied(&format!("dna_onehot |> mlp_pool(outputs = 2, hidden = [{}])", "16, ".repeat(20)));
    assert_eq!(codes(text), Vec::<&str>::new());
}

#[test]
fn what_grows_is_bounded() {
    let doubled = |start: &str, step: &str| {
        let steps = format!("  let s = {step}\n").repeat(80);
        format!("module M(a: dim, b: dim, sizes: [int]) {{\n  let s = {start}\n{steps}}}")
    };
    let wide: String = (0..40).map(|index| format!(" + a{index}")).collect();
    let params: String = (0..40).map(|index| format!("a{index}: dim, ")).collect();
    let conditions: String = (1..40).map(|index| format!("a{index} == a0 * a{} * a{}, ", index - 1, index - 1)).collect();
    let programs = [
        doubled("a + b", "s * s"),
        doubled("a", "s * s"),
        doubled("a", "div(s, s + 1)"),
        doubled("a", "ceil_div(s * b, s + b)"),
        doubled("a", "min(s, s + b) + max(s, b)"),
        doubled("3", "s * s"),
        doubled("3", "0 - s * s"),
        doubled("\"ab\"", "s + s"),
        doubled("[1]", "s + s"),
        doubled("\"ab\"", "\"{s}{s}\""),
        doubled("sizes", "tail(s)"),
        format!("module M({params}) {{\n  let s = 0{wide}\n  let t = s * s * s * s\n  let u = t * t\n}}"),
        format!("module M({params}) where {}a0 > 0 {{\n  let s = a39 * a39\n  fn f(x: f[a39]) -> f[a38] {{ x }}\n}}", conditions),
        format!("module M {{\n  let s = [{}]\n  p: param f[len(s)]\n}}", "1, ".repeat(100_000)),
        format!("module M {{\n{}}}", (0..10_000).map(|index| format!("  let s{index} = {index}\n")).collect::<String>()),
    ];
    for (index, text) in programs.into_iter().enumerate() {
        let started = Instant::now();
        let found = codes(text);
        assert!(found.len() < 100, "program {index}: {} findings", found.len());
        assert!(started.elapsed() < Duration::from_secs(20), "program {index} took {:?}", started.elapsed());
    }
}

#[test]
fn numbers_at_the_ends_of_what_can_be_counted() {
    for number in ["9223372036854775807", "-9223372036854775807 - 1", "1000000000000000000", "-1", "0"] {
        for part in [
            format!("aido_dna_debug(hidden = {number})"),
            format!("aido_dna_debug(max_positions = {number}, position = absolute)"),
            format!("aido_dna_debug(max_length = {number})"),
            format!("dna_onehot(letters = {number})"),
            format!("dna_onehot |> mlp_pool(outputs = {number}, hidden = [{number}, {number}])"),
        ] {
            let text = applied(&part);
            codes(text.clone());
            let overrides = [Override { path: "seed".to_owned(), value: number.to_owned() }];
            assert_eq!(examine(&text, &overrides).err(), None, "{text}");
        }
        let operations = [
            "a + a",
            "a - a - a",
            "a * a",
            "-a",
            "a / -1",
            "a % -1",
            "div(a, -1)",
            "ceil_div(a, 3)",
            "min(a, -a)",
            "max(a, a * a)",
            "int(1.0 * a)",
        ];
        for operation in operations {
            codes(format!(
                "module M {{\n  let a = {number}\n  let s = {operation}\n  p: param f[s]\n  fn f(x: f[s]) -> f[s] {{ x * s + at(x, s = a) }}\n}}"
            ));
        }
    }
}
