//! How many parameters a backbone has: those of a small experiment with it.

use std::collections::BTreeSet;

use mgx_diag::Diagnostic;
use mgx_ir::plan::FileFormat;

use super::{Page, PageKind};
use crate::check::{World, check};
use crate::stdlib;

/// The one file there is.
struct OneFile(String);

impl World for OneFile {
    fn source(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }

    /// Some genes of every list, for networks of cells.
    fn table_header(&self, _: &str, _: FileFormat) -> Result<Vec<String>, Diagnostic> {
        let lists = stdlib::gene_lists().filter_map(stdlib::gene_list);
        let genes: BTreeSet<&str> =
            lists.flat_map(|list| list.lines().skip(1).take(GENES).filter_map(|line| line.split('\t').next())).collect();
        Ok(["x", "across", "down", "total"].into_iter().chain(genes).map(str::to_owned).collect())
    }

    fn folder_text(&self, _: &str, _: &str) -> Result<Option<String>, Diagnostic> {
        Ok(None)
    }
}

/// The length of a sequence, in letters, for networks that take one length alone. Borzoi's own.
const LENGTH: u64 = 524_288;

/// How many genes of a list stand in the table; a network has places for all of them in any case.
const GENES: usize = 20;

/// How many parameters a backbone has with its defaults; `None` for what is no backbone, and where a checkpoint decides. Evaluates its network, which takes
/// milliseconds; [`Page::parameters`] is for those who keep it.
pub fn count_parameters(page: &Page) -> Option<u64> {
    if page.kind != PageKind::Backbone {
        return None;
    }
    let import = page.import.as_ref()?;
    let input = &page.takes.first()?.ty;
    let columns = match input.as_str() {
        "counts" => vec!["counts".to_owned(), "counts(neighbors = 1, x = \"across\", y = \"down\")".to_owned()],
        _ => vec![input.clone(), format!("{input}(length = {LENGTH})")],
    };
    let results = ["y", "y.hidden"];
    columns.iter().flat_map(|column| results.map(|result| (column, result))).find_map(|(column, result)| {
        let text = format!(
            "{import}\nuse std::tasks::embed\ndata t = table(\"t.tsv\") {{ x: {column} }}\nexperiment e {{\n  y = t.x |> {}(from_scratch = true)\n  task = embed({result})\n}}\n",
            page.name
        );
        let checked = check(&OneFile(text), "main.mgx", &[]);
        let experiment = checked.experiments.first().filter(|_| checked.is_ok())?;
        let sizes = experiment.params.iter().filter(|param| !param.state).map(|param| param.shape.iter().product::<u64>());
        Some(sizes.sum())
    })
}
