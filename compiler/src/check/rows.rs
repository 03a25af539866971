//! The rows of tables: what is wrong with them is asked of the [`World`](super::World) and said where the table is declared.

use mgx_diag::{Diagnostic, Label, Span};
use mgx_ir::plan::{ColumnKind, ColumnSpec, SplitSpec};

use super::Checker;
use super::data::Table;
use super::world::RowPlace;

impl Checker<'_> {
    /// Takes note of a table without findings; `used` is how an experiment sees it, with its seed and its genes.
    pub fn keep_sound(&mut self, table: &Table, used: bool) {
        match self.sound_tables.iter_mut().find(|(_, other)| other.item == table.item) {
            None => self.sound_tables.push((used, table.clone())),
            Some(kept) if used && !kept.0 => *kept = (true, table.clone()),
            Some(_) => {}
        }
    }

    /// Reports what is wrong with the rows of all tables whose declarations are sound.
    pub fn check_rows(&mut self) {
        if !self.world.needs_labels() {
            return;
        }
        for (_, table) in std::mem::take(&mut self.sound_tables) {
            for (place, diagnostic) in self.world.row_findings(&table.spec) {
                let (span, text) = table.place(&place);
                self.report(labelled(diagnostic, span, text));
            }
        }
    }
}

impl Table {
    /// The table with what its file has of it; `None` where the file cannot be read.
    pub fn readable(&self) -> Option<Table> {
        let header = self.header.as_ref()?;
        let has = |wanted: &str| header.iter().any(|header| header == wanted);
        let is_whole = |column: &ColumnSpec| match &column.kind {
            ColumnKind::TokenClass { each, .. } | ColumnKind::Contacts { each } => {
                has(&column.header) && self.spec.columns.iter().any(|other| other.name == *each && has(&other.header))
            }
            _ => column.headers().into_iter().all(|header| has(header)),
        };
        let mut table = self.clone();
        let kept = self.spec.columns.iter().zip(&self.column_spans).filter(|(column, _)| is_whole(column));
        (table.spec.columns, table.column_spans) = kept.map(|(column, span)| (column.clone(), *span)).unzip();
        let named: Vec<&str> = table.spec.columns.iter().map(|column| column.name.as_str()).collect();
        let splits = self.spec.split.header().is_none_or(has) && self.spec.split.columns().all(|name| named.contains(&name.as_str()));
        if !splits {
            table.spec.split = SplitSpec::None;
        }
        Some(table)
    }

    /// Where a part of the table is declared, and what is said there.
    fn place(&self, place: &RowPlace) -> (Span, &'static str) {
        let column = |name: &String| self.spec.columns.iter().position(|column| column.name == *name);
        match place {
            RowPlace::Column(name) => match column(name).and_then(|index| self.column_spans.get(index)) {
                Some(span) => (*span, "this column"),
                None => (self.source_span, "this table"),
            },
            RowPlace::Split => (self.split_span.unwrap_or(self.source_span), "this split"),
            RowPlace::Source => (self.source_span, "this table"),
        }
    }
}

fn labelled(mut diagnostic: Diagnostic, span: Span, text: &str) -> Diagnostic {
    diagnostic.labels.insert(0, Label { span, text: text.to_owned() });
    diagnostic
}
