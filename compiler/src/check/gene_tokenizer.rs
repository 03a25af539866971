//! Tokenizers of counts of genes: which genes of a cell become tokens.

use mgx_diag::Diagnostic;
use mgx_ir::plan::{GeneOrder, TokenizerKind};

use super::Checker;
use super::expr::Scope;
use super::tokenizer::{field, field_value};
use super::value::Value;
use crate::syntax::ast::Body;

impl Checker<'_> {
    /// The kind of a tokenizer whose vocabulary is a list of `genes` genes.
    pub fn gene_kind(&mut self, kind: &str, body: &Body, genes: usize, scope: &mut Scope) -> Option<TokenizerKind> {
        let known: &[&str] = match kind {
            "all_genes" => &["kind", "vocabulary", "names", "expression"],
            "expressed_genes" => &["kind", "vocabulary", "names", "expression", "appended", "appended_above", "multiple", "round", "total"],
            _ => &["kind", "vocabulary", "names", "expression", "scale", "prefix", "suffix", "special"],
        };
        if let Some(other) = body.fields.iter().find(|field| !known.contains(&field.name.text.as_str())) {
            self.unknown_option(kind, &other.name, known.iter().copied());
            return None;
        }
        let names = self.texts(body, "names", scope)?;
        self.of_every_gene(body, "names", names.len(), genes)?;
        let order = match kind {
            "all_genes" => GeneOrder::All,
            "expressed_genes" => self.expressed(body, scope)?,
            _ => {
                let scale = self.scale(body, scope)?;
                self.of_every_gene(body, "scale", scale.len(), genes)?;
                GeneOrder::Ranked { scale }
            }
        };
        let normalized = self.word(body, "expression", &["counts", "normalized"], scope)?.as_deref() == Some("normalized");
        Some(TokenizerKind::Genes { order, names, normalized })
    }

    fn expressed(&mut self, body: &Body, scope: &mut Scope) -> Option<GeneOrder> {
        let mut whole = |checker: &mut Self, name: &str, default: u32| match field_value(body, name) {
            None => Some(default),
            Some(expr) => checker.whole(expr, scope).map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
        };
        let (appended, multiple) = (whole(self, "appended", 0)?, whole(self, "multiple", 1)?);
        let appended_above = match field_value(body, "appended_above") {
            None => 0.0,
            Some(expr) => self.number_in(expr, scope, 0.0, f64::MAX)?,
        };
        let bf16 = self.word(body, "round", &["bf16"], scope)?.is_some();
        let total = match field_value(body, "total") {
            None => None,
            Some(expr) => Some(self.text_of(expr, scope)?),
        };
        Some(GeneOrder::Expressed { appended, appended_above, multiple, bf16, total })
    }

    /// The numbers that counts are divided by.
    fn scale(&mut self, body: &Body, scope: &mut Scope) -> Option<Vec<f64>> {
        let Some(expr) = field_value(body, "scale") else { return Some(Vec::new()) };
        let value = self.eval(expr, scope);
        if value.is_error() {
            return None;
        }
        let numbers: Option<Vec<f64>> = match &value {
            Value::List(items) => items.iter().map(|item| self.as_number(item).filter(|number| *number > 0.0)).collect(),
            _ => None,
        };
        if numbers.is_none() {
            self.report(Diagnostic::error("E0301", "`scale` is a list of numbers above 0").label(expr.span, "this value"));
        }
        numbers
    }

    /// A field with something for every gene of the list has as many entries, or is not there.
    fn of_every_gene(&mut self, body: &Body, name: &str, entries: usize, genes: usize) -> Option<()> {
        if entries == 0 || entries == genes {
            return Some(());
        }
        let place = field(body, name).map_or(body.span, |field| field.span);
        let message = format!("`{name}` has {entries} entries for {genes} genes");
        self.report(Diagnostic::error("E0316", message).label(place, "one entry for each gene of `vocabulary`, in its order"));
        None
    }
}
