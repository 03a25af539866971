//! The pages of the library's and the language's names: there is one for each, and they say what the declarations say.

use mgx_compiler::pages::{Entry, Page, PageKind, count_parameters, library_names, library_pages, nearest_name};

fn page(name: &str) -> Page {
    let mut pages = library_pages(name);
    assert_eq!(pages.len(), 1, "{name}: {pages:?}");
    pages.remove(0)
}

fn option<'a>(entries: &'a [Entry], name: &str) -> &'a Entry {
    entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no `{name}` in {entries:?}"))
}

/// A name without a comment above its declaration, or without a row in the specification, has nothing to show.
#[test]
fn every_name_is_documented() {
    let names = library_names();
    let bare: Vec<_> = names.iter().filter(|listed| listed.summary.len() < 3).map(|listed| &listed.name).collect();
    assert!(bare.is_empty(), "write what these are, in `///` lines above: {bare:?}");
    let listed = |kind: PageKind| names.iter().filter(|listed| listed.kind == kind).count();
    for kind in PageKind::LISTED {
        assert!(listed(kind) > 0, "no {}", kind.word());
    }
    assert!(listed(PageKind::Backbone) > 50 && listed(PageKind::Function) > 80, "{names:?}");
    let functions: Vec<&str> = names.iter().filter(|listed| listed.kind == PageKind::Function).map(|listed| listed.name.as_str()).collect();
    for name in mgx_compiler::check::function_names() {
        assert!(functions.contains(name), "`{name}` has no row in the chapter on functions");
        let pages = library_pages(name);
        let own = pages.iter().find(|page| page.module.is_none()).expect("a page of the language's function");
        assert!(own.signature.starts_with(&format!("{name}(")) && !own.doc.contains("]("), "{own:?}");
    }
}

/// Published networks are documented by their paper or project, in the head of their file.
#[test]
fn every_file_says_what_it_is_about() {
    for listed in library_names() {
        for page in library_pages(&listed.name).into_iter().filter(|page| page.module.is_some()) {
            assert!(page.about.as_ref().is_some_and(|about| about.len() > 20), "{page:?}");
        }
    }
}

#[test]
fn a_backbone_has_the_options_of_its_network() {
    let page = page("esm2_8m");
    assert_eq!(page.kind, PageKind::Backbone);
    assert_eq!(page.import.as_deref(), Some("use std::backbones::esm2_8m"));
    assert_eq!(page.weights.as_deref(), Some("facebook/esm2_t6_8M_UR50D"));
    assert_eq!(page.takes[0].ty, "protein");
    assert_eq!(page.gives[0].ty, "f[seq, hidden]");
    let layers = option(&page.options, "layers");
    assert_eq!((layers.ty.as_str(), layers.default.as_deref()), ("int", Some("6")));
    assert_eq!(option(&page.options, "hidden_dropout").ty, "float");
    assert!(option(&page.common_options, "max_length").doc.as_ref().is_some_and(|doc| doc.contains("tokens")));
    // 33 tokens; in each of 6 layers four maps with offsets, a feed-forward network and two norms; one norm at the end.
    let layer = 4 * (320 * 320 + 320) + (320 * 1280 + 1280) + (1280 * 320 + 320) + 2 * 2 * 320;
    assert_eq!(count_parameters(&page), Some(33 * 320 + 6 * layer + 2 * 320));
}

#[test]
fn most_backbones_have_a_number_of_parameters() {
    let names = library_names();
    let backbones: Vec<_> = names.iter().filter(|listed| listed.kind == PageKind::Backbone).map(|listed| listed.name.as_str()).collect();
    let without = backbones.iter().map(|name| page(name)).filter(|page| page.weights.is_some() && count_parameters(page).is_none());
    // What takes its sizes from a checkpoint has none of its own, and names no published weights.
    let unknown: Vec<String> = without.map(|page| page.name).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn pages_of_other_kinds_say_what_flows() {
    let adamw = page("adamw");
    assert_eq!((option(&adamw.options, "lr").default.as_deref(), option(&adamw.options, "eps").default.as_deref()), (None, Some("1e-8")));
    assert_eq!(option(&adamw.takes, "gradient").ty, "f[n]");
    assert_eq!(option(&adamw.gives, "param").ty, "f[n]");
    assert!(adamw.doc.contains("Loshchilov, Hutter 2017"));
    let task = page("classification");
    assert_eq!(option(&task.takes, "target").ty, "class[classes]");
    assert_eq!((option(&task.gives, "probability").ty.as_str(), option(&task.gives, "mcc").ty.as_str()), ("output", "metric"));
    let lora = page("lora");
    assert_eq!(option(&lora.options, "rank").default.as_deref(), Some("config(\"r\", 16)"));
    assert!(lora.common_options.iter().any(|option| option.name == "targets"));
    assert!(lora.signature.starts_with("rewrite lora(rank: dim = config(\"r\", 16), ") && lora.signature.ends_with("dropout < 1"));
    assert_eq!(page("cross_attention").kind, PageKind::Fusion);
    let sum = page("sum");
    assert!(sum.signature.contains("sum(list)") && sum.signature.contains("sum(x, over = axis)"), "{sum:?}");
    assert_eq!((sum.module, sum.import), (None, None));
}

#[test]
fn options_and_settings_have_pages_and_one_name_may_have_several() {
    let rate = page("adamw.lr");
    assert_eq!((rate.name.as_str(), rate.kind, rate.signature.as_str()), ("adamw.lr", PageKind::Option, "lr: float"));
    assert!(page("esm2_8m.frozen").doc.contains("not trained"));
    assert!(page("train.clip_norm").doc.contains("gradient"));
    let kinds: Vec<PageKind> = library_pages("linear").iter().map(|page| page.kind).collect();
    assert!(kinds.contains(&PageKind::Adapter) && kinds.contains(&PageKind::Schedule), "{kinds:?}");
    assert_eq!(page("std::schedules::linear").kind, PageKind::Schedule);
    assert_eq!(library_pages("no_such_name"), []);
    assert_eq!(nearest_name("adamv").as_deref(), Some("adamw"));
    assert_eq!(nearest_name("adamw.weight_decai").as_deref(), Some("adamw.weight_decay"));
    assert_eq!(nearest_name("train.clip_nrom").as_deref(), Some("train.clip_norm"));
}
