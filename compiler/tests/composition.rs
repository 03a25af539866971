//! Experiments that are made from others: what they come to, what is said of mistakes, and that the program which a run leaves behind is the same experiment.

mod files_world;

use files_world::Files;
use mgx_compiler::check::{Checked, Elaborated, Override, check};
use mgx_diag::Diagnostic;

const HEAD: &str = r#"use std::adapters::{linear_mean_pool, mlp_pool}
use std::backbones::{dna_onehot, protein_onehot}
use std::optimizers::adamw
use std::tasks::classification

data t = table("t.csv") {
  sequence: dna
  label:    class("a", "b")
}

"#;

const BASE: &str = r"experiment base(lr: float = 1e-3, width: int = 8) {
  seed   = 3
  y      = t.sequence |> dna_onehot |> mlp_pool(hidden = [width], outputs = 2)
  task   = classification(y, t.label)
  train {
    epochs     = 2
    batch_size = 16
    optimizer  = adamw(lr = lr)
  }
}
";

fn files(texts: &[(&str, &str)]) -> Files {
    Files(texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

fn checked_with(text: &str, overrides: &[(&str, &str)]) -> Checked {
    let overrides: Vec<Override> =
        overrides.iter().map(|(path, value)| Override { path: (*path).to_owned(), value: (*value).to_owned() }).collect();
    let mut checked = check(&files(&[("main.mgx", text)]), "main.mgx", &overrides);
    // All programs here import the same names.
    checked.diagnostics.retain(|diagnostic| diagnostic.code.0 != "W0201");
    checked
}

fn checked(rest: &str) -> Checked {
    checked_with(&format!("{HEAD}{BASE}{rest}"), &[])
}

fn find<'a>(checked: &'a Checked, name: &str) -> &'a Elaborated {
    let found = checked.experiments.iter().find(|experiment| experiment.name == name);
    found.unwrap_or_else(|| panic!("no experiment `{name}`: {:#?}", checked.diagnostics))
}

/// What tells experiments of these tests apart: seed, epochs, learning rate, parameters.
fn figures(experiment: &Elaborated) -> (u64, Option<u64>, f64, u64) {
    let train = experiment.train.as_ref();
    let elements = experiment.params.iter().map(|param| param.shape.iter().product::<u64>()).sum();
    (experiment.seed, train.and_then(|train| train.epochs), train.map_or(0.0, |train| train.learning_rate), elements)
}

/// The one finding's code and the text that it is about.
fn finding(checked: &Checked) -> (&'static str, String) {
    let [Diagnostic { code, labels, .. }] = checked.diagnostics.as_slice() else { panic!("{:#?}", checked.diagnostics) };
    (code.0, checked.sources.slice(labels[0].span).to_owned())
}

#[test]
fn fields_blocks_options_and_parameters_take_the_place_of_the_bases() {
    let checked = checked(
        r"experiment plain = base
experiment faster = base(lr = 1e-2)
experiment positional = base(1e-2, 4)
experiment changed = base with {
  seed = 4
  width = 16
  train { epochs = 5 }
}
experiment other = changed(lr = 5e-4) with {
  y = t.sequence |> dna_onehot |> linear_mean_pool(outputs = 2)
}
experiment options = base with { y { hidden = [4, 4]  mlp_pool { outputs = 2 } } }
experiment untrained = base with { train = none }
",
    );
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
    let count = |hidden: u64| 16 * hidden + hidden + 2 * hidden + 2;
    let wide = |name: &str| figures(find(&checked, name));
    let elements = wide("base").3;
    assert_eq!(wide("plain"), wide("base"));
    assert_eq!(wide("base"), (3, Some(2), 1e-3, elements));
    assert_eq!(wide("faster"), (3, Some(2), 1e-2, elements));
    let narrow = wide("positional");
    assert_eq!((narrow.0, narrow.1, narrow.2), (3, Some(2), 1e-2));
    assert_eq!(elements - narrow.3, count(8) - count(4), "half as wide");
    let changed = wide("changed");
    assert_eq!((changed.0, changed.1, changed.2), (4, Some(5), 1e-3));
    assert_eq!(changed.3 - elements, count(16) - count(8), "twice as wide");
    let other = wide("other");
    assert_eq!((other.0, other.1, other.2), (4, Some(5), 5e-4));
    assert!(other.3 < narrow.3, "one linear layer");
    assert_ne!(wide("options").3, elements);
    assert!(find(&checked, "untrained").train.is_none());
}

#[test]
fn order_does_not_matter() {
    let checked = checked(
        r"experiment b = c with { seed = 9 }
experiment c = base with {
  y       = t.sequence |> encoder |> linear_mean_pool(outputs = classes)
  encoder = dna_onehot(max_length = length)
  length  = 4 * 16
  classes = 2
}
",
    );
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
    assert_eq!(find(&checked, "b").seed, 9);
    assert_eq!(find(&checked, "b").params, find(&checked, "c").params);
    assert_eq!(find(&checked, "c").lengths[0].max_length, Some(64));
}

#[test]
fn a_base_of_another_file_keeps_its_own_names() {
    let base = format!("{HEAD}{BASE}");
    let main = "use bases::base\n\nexperiment mine = base(width = 4) with { train { epochs = 7 } }\n";
    let checked = check(&files(&[("main.mgx", main), ("bases.mgx", &base)]), "main.mgx", &[]);
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
    assert_eq!(checked.names, ["mine"]);
    assert_eq!(figures(find(&checked, "mine")).1, Some(7));
}

#[test]
fn values_from_the_command_line_change_what_is_made() {
    let text = format!("{HEAD}{BASE}experiment b = base with {{ train {{ epochs = 5 }} }}\n");
    let overrides = [("b.train.epochs", "6"), ("lr", "1e-2"), ("b.y.hidden", "[3]"), ("b.train.max_steps", "9")];
    let changed = checked_with(&text, &overrides);
    assert!(changed.diagnostics.is_empty(), "{:#?}", changed.diagnostics);
    assert_eq!(figures(find(&changed, "base")).1, Some(2));
    assert_eq!(figures(find(&changed, "base")).2, 1e-2);
    let b = figures(find(&changed, "b"));
    assert_eq!((b.1, b.2), (Some(6), 1e-2));

    // The program that is left behind is the same experiment.
    let again = checked_with(&changed.resolved, &[]);
    assert!(again.diagnostics.is_empty(), "{}\n{:#?}", changed.resolved, again.diagnostics);
    for name in ["base", "b"] {
        let (first, second) = (find(&changed, name), find(&again, name));
        assert_eq!((figures(first), &first.graph, &first.params), (figures(second), &second.graph, &second.params), "{}", changed.resolved);
        assert_eq!(first.train.as_ref().map(|train| train.max_steps), second.train.as_ref().map(|train| train.max_steps));
    }

    let wrong = checked_with(&text, &[("b.train.epoch", "6")]);
    assert_eq!(finding(&wrong).0, "E0212");
}

#[test]
fn sweeps_are_inherited_changed_and_taken_away() {
    let text = format!(
        "{HEAD}{BASE}{}",
        r"experiment swept = base with { sweep { lr = [1e-2, 1e-4]  train { epochs = [3, 4] } } }
experiment inherits = swept with { seed = 8 }
experiment single = swept with { sweep = none }
"
    );
    let all = checked_with(&text, &[]);
    assert!(all.diagnostics.is_empty(), "{:#?}", all.diagnostics);
    let members: Vec<(&str, usize)> = all.sweeps.iter().map(|sweep| (sweep.experiment.as_str(), sweep.members.len())).collect();
    assert_eq!(members, [("swept", 4), ("inherits", 4)]);
    let single = figures(find(&all, "single"));
    assert_eq!((single.0, single.1, single.2), (3, Some(2), 1e-3));

    let member = checked_with(&text, &[("inherits.sweep", "3")]);
    let found = figures(find(&member, "inherits"));
    assert_eq!((found.0, found.1, found.2), (8, Some(4), 1e-4));
    let again = checked_with(&member.resolved, &[]);
    assert!(again.diagnostics.is_empty(), "{}\n{:#?}", member.resolved, again.diagnostics);
    assert_eq!(figures(find(&again, "inherits")), found, "{}", member.resolved);
    assert!(again.sweeps.iter().all(|sweep| sweep.experiment != "inherits"), "{}", member.resolved);
}

#[test]
fn experiments_with_missing_values_are_templates() {
    let text = format!("{HEAD}{}", BASE.replace("lr: float = 1e-3", "lr: float"));
    let template = checked_with(&text, &[]);
    assert!(template.diagnostics.is_empty() && template.experiments.is_empty() && template.names.is_empty());
    assert_eq!(template.templates[0].missing[0].text, "lr");
    assert_eq!(template.templates[0].cannot_run().code.0, "E0224");
    let given = checked_with(&text, &[("lr", "2e-3")]);
    assert_eq!(figures(find(&given, "base")).2, 2e-3);
    let again = checked_with(&given.resolved, &[]);
    assert_eq!(figures(find(&again, "base")).2, 2e-3, "{}", given.resolved);
    let made = checked_with(&format!("{text}experiment made = base(lr = 1e-5)\n"), &[]);
    assert_eq!(figures(find(&made, "made")).2, 1e-5);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let cases = [
        ("experiment b = bose with { seed = 1 }\n", "E0221", "bose"),
        ("experiment b = dna_onehot with { seed = 1 }\n", "E0221", "dna_onehot"),
        ("experiment b = b with { seed = 1 }\n", "E0222", "b"),
        ("experiment b = base(rate = 1e-3)\n", "E0206", "rate"),
        ("experiment b = base(1e-3, 8, 9)\n", "E0208", "9"),
        ("experiment b = base(1e-3, lr = 2e-3)\n", "E0208", "2e-3"),
        ("experiment b = base(lr = true)\n", "E0301", "true"),
        ("experiment b = base with { train { epoch = 3 } }\n", "E0206", "epoch"),
        ("experiment b = base with { y { hiden = [3] } }\n", "E0206", "hiden"),
        ("experiment b = base with { seed { x = 3 } }\n", "E0212", "x"),
        ("experiment b = base with { seed = 1  seed = 2 }\n", "E0202", "seed"),
        ("experiment b = base { seed = 1 }\n", "E0107", "{"),
        ("experiment b = with { seed = 1 }\n", "E0106", "with"),
        ("experiment b = base with {\n  p = q + 1\n  q = p + 1\n}\n", "E0223", "q"),
    ];
    for (text, code, place) in cases {
        let checked = checked(text);
        assert_eq!(finding(&checked), (code, place.to_owned()), "{text}{:#?}", checked.diagnostics);
    }
}
