//! What `mgxc list` and `mgxc doc` show, and editors when a name is pointed at: pages about the names of the standard library and of the language.
//!
//! A page of the library is read from its declaration and the comment above it (`declarations`); those of the language's own functions, options and
//! settings from the tables of the specification, `docs/language.md` (`specification`). The numbers of parameters are found by evaluating a backbone (`count`).

mod count;
mod declarations;
mod specification;

use serde::Serialize;

pub use count::count_parameters;
pub use declarations::declaration_page;

use crate::stdlib;
use crate::syntax::ast::{File, Item};
use crate::syntax::parse;
use mgx_diag::FileId;

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PageKind {
    Backbone,
    /// The module of a backbone, or a part of one.
    Network,
    Adapter,
    Fusion,
    Task,
    Optimizer,
    Schedule,
    Rewrite,
    Tokenizer,
    Layer,
    Function,
    /// A declaration of another kind: data, an experiment.
    Declaration,
    /// Of a declaration: `adamw.lr`.
    Option,
    /// A field of a block: `train.epochs`.
    Setting,
}

impl PageKind {
    /// The kinds that the library has names of, in the order of an experiment.
    pub const LISTED: [Self; 11] = [
        Self::Backbone,
        Self::Adapter,
        Self::Fusion,
        Self::Task,
        Self::Optimizer,
        Self::Schedule,
        Self::Rewrite,
        Self::Tokenizer,
        Self::Network,
        Self::Layer,
        Self::Function,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Backbone => "backbone",
            Self::Network => "network",
            Self::Adapter => "adapter",
            Self::Fusion => "fusion",
            Self::Task => "task",
            Self::Optimizer => "optimizer",
            Self::Schedule => "schedule",
            Self::Rewrite => "rewrite",
            Self::Tokenizer => "tokenizer",
            Self::Layer => "layer",
            Self::Function => "function",
            Self::Declaration => "declaration",
            Self::Option => "option",
            Self::Setting => "setting",
        }
    }
}

/// A parameter, an option, an input or an output.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    pub name: String,
    /// As it is written: `int`, `f[seq, hidden]`. Empty where nothing is said.
    #[serde(rename = "type")]
    pub ty: String,
    /// What it is where it is left out; `None` if it has to be given.
    pub default: Option<String>,
    /// What the specification says about it, in Markdown.
    pub doc: Option<String>,
}

/// All that is known about a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    pub name: String,
    pub kind: PageKind,
    /// The head of the declaration on one line, or the forms of a call.
    pub signature: String,
    /// What it is: the comment above the declaration, or the row of the specification. Markdown.
    pub doc: String,
    /// What the file of the declaration is about, with the paper or project that it follows.
    pub about: Option<String>,
    /// Where it stands in the library: `std::backbones::rnabert`. `None` for what belongs to the language.
    pub module: Option<String>,
    /// The line that brings it into a file; `None` for what every file sees.
    pub import: Option<String>,
    /// Options in the order of the declaration, those that have to be given first where the order is free.
    pub options: Vec<Entry>,
    /// Options that everything of the kind has.
    pub common_options: Vec<Entry>,
    /// What flows in.
    pub takes: Vec<Entry>,
    /// What comes out.
    pub gives: Vec<Entry>,
    /// Where its weights are published.
    pub weights: Option<String>,
    /// How many parameters it has with its defaults, once [`count_parameters`] has found it.
    pub parameters: Option<u64>,
}

/// A name with the first sentence of its page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    pub name: String,
    pub kind: PageKind,
    pub summary: String,
    /// Where it stands in the library; `None` for what belongs to the language.
    pub module: Option<String>,
}

/// A file of the library.
struct LibraryFile {
    module: &'static str,
    text: &'static str,
    file: File,
}

/// The files of the library that may declare a name; all of them without one.
fn library(name: Option<&str>) -> impl Iterator<Item = LibraryFile> {
    let modules: Vec<&str> = name.map_or_else(|| stdlib::modules().collect(), |name| stdlib::declaring("std", name));
    modules.into_iter().filter_map(|module| {
        let (_, _, text) = stdlib::source(module)?;
        Some(LibraryFile { module, text, file: parse(FileId(0), text).file })
    })
}

/// The pages of a name: `adamw`, `std::schedules::linear`, `adamw.lr` (an option), `sum` (of the language), `train.epochs` (a setting). Several where it
/// means several things.
pub fn library_pages(name: &str) -> Vec<Page> {
    let (path, last) = name.rsplit_once("::").map_or(("std", name), |(path, last)| (path, last));
    let mut pages = Vec::new();
    if let Some((owner, option)) = last.split_once('.') {
        pages.extend(specification::setting(owner, option));
        for page in library_pages(&name[..name.len() - option.len() - 1]) {
            pages.extend(option_page(page, option));
        }
        return pages;
    }
    for file in
        library(Some(last)).filter(|file| file.module.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    {
        for item in file.file.items.iter().filter(|item| item.name.text == last) {
            pages.push(page_of(&file, item));
        }
    }
    if path == "std" {
        pages.extend(specification::function(last));
    }
    pages
}

/// The page of an option, made of the page of what it belongs to.
fn option_page(owner: Page, option: &str) -> Option<Page> {
    let of = format!("Of the {} `{}`.", owner.kind.word(), owner.name);
    let entry = [&owner.options, &owner.common_options, &owner.takes].into_iter().flatten().find(|entry| entry.name == option)?.clone();
    let ty = if entry.ty.is_empty() { String::new() } else { format!(": {}", entry.ty) };
    let default = entry.default.as_ref().map_or_else(String::new, |default| format!(" = {default}"));
    let doc = entry.doc.map_or_else(|| of.clone(), |doc| format!("{of} {doc}"));
    Some(Page {
        name: format!("{}.{option}", owner.name),
        kind: PageKind::Option,
        about: None,
        signature: format!("{option}{ty}{default}"),
        doc,
        options: Vec::new(),
        common_options: Vec::new(),
        takes: Vec::new(),
        gives: Vec::new(),
        weights: None,
        parameters: None,
        ..owner
    })
}

fn page_of(file: &LibraryFile, item: &Item) -> Page {
    let mut page = declaration_page(item, file.text, &|name| {
        let found = library(Some(name)).flat_map(|file| {
            let modules = file.file.items.into_iter().filter(|item| item.name.text == name);
            modules.map(|item| (item, file.text)).collect::<Vec<_>>()
        });
        found.into_iter().find(|(item, _)| matches!(item.kind, crate::syntax::ast::ItemKind::Module(_)))
    });
    page.kind = kind_in(file.module, page.kind);
    page.about = declarations::about(file.text);
    page.module = Some(file.module.to_owned());
    page.import = (file.module != "std::prelude").then(|| {
        let folder = file.module.split("::").take(2).collect::<Vec<_>>().join("::");
        format!("use {folder}::{}", item.name.text)
    });
    page.common_options = match page.kind {
        PageKind::Backbone => specification::options_of("backbone"),
        PageKind::Rewrite => specification::options_of("rewrite"),
        _ => Vec::new(),
    };
    page
}

/// Modules are called by the folder that they are in.
fn kind_in(module: &str, kind: PageKind) -> PageKind {
    match (kind, module.split("::").nth(1)) {
        (PageKind::Adapter, Some("fusion")) => PageKind::Fusion,
        (PageKind::Layer, Some("backbones")) => PageKind::Network,
        (kind, _) => kind,
    }
}

/// The names of the library and the language, by kind and name.
pub fn library_names() -> Vec<Listed> {
    let mut names: Vec<Listed> = library(None)
        .flat_map(|file| {
            let listed = file.file.items.iter().map(|item| Listed {
                name: item.name.text.clone(),
                kind: kind_in(file.module, declarations::kind(&item.kind)),
                summary: summary(item.doc.as_deref().unwrap_or_default()),
                module: Some(file.module.to_owned()),
            });
            listed.collect::<Vec<_>>()
        })
        .collect();
    names.extend(crate::check::function_names().iter().filter_map(|name| {
        let page = specification::function(name)?;
        Some(Listed { name: page.name, kind: page.kind, summary: summary(&page.doc), module: None })
    }));
    names.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    names
}

/// The first sentence.
fn summary(doc: &str) -> String {
    let text = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = text.match_indices(". ").map(|(at, _)| at).find(|at| {
        // Not the end of `et al.` or `e.g.`, nor within brackets.
        let before = &text[..*at];
        !before.ends_with(" al") && before.matches('(').count() == before.matches(')').count()
    });
    let first = ends.map_or(text.as_str(), |at| &text[..at]);
    first.trim_end_matches('.').to_owned()
}

/// The name that was meant by one that is not there.
pub fn nearest_name(name: &str) -> Option<String> {
    let names = library_names();
    if let Some((owner, option)) = name.split_once('.') {
        let pages = library_pages(owner);
        let entries = pages.iter().flat_map(|page| [&page.options, &page.common_options, &page.takes]).flatten();
        let settings = specification::settings(owner).map(str::to_owned);
        let options: Vec<String> = entries.map(|entry| entry.name.clone()).chain(settings).collect();
        let near = mgx_diag::nearest(option, options.iter().map(String::as_str))?;
        return Some(format!("{owner}.{near}"));
    }
    let last = name.rsplit("::").next().unwrap_or(name);
    mgx_diag::nearest(last, names.iter().map(|listed| listed.name.as_str())).map(str::to_owned)
}
