//! Columns of counts of genes: their declaration, and how they become inputs of a backbone.

use std::collections::HashSet;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::genes::GeneNames;
use mgx_ir::graph::{DType, Length, LengthId, Op};
use mgx_ir::plan::{CellNumber, ColumnKind, CountSource, GeneOrder, InputSource, InputSpec, LengthSpec, NeighborSpec, TokenizerKind};

use super::Checker;
use super::expr::Scope;
use super::size::{Atom, Size};
use super::value::{AppliedBackbone, AxisRef, Column, Tensor, TokenLayout};
use crate::syntax::ast::{Arg, Name};

pub(super) const OPTIONS: [&str; 7] = ["long", "cell", "gene", "count", "neighbors", "x", "y"];

impl Checker<'_> {
    /// `counts`, `counts(long = "triples.tsv", cell = "cell", gene = "gene", count = "count")`, `counts(neighbors = 10, x = "x", y = "y")`.
    pub fn counts_kind(&mut self, args: &[Arg], span: Span, scope: &mut Scope) -> Option<ColumnKind> {
        let mut texts: Vec<(&str, String)> = Vec::new();
        let mut count = None;
        for arg in args {
            match arg.name.as_ref().map(|name| name.text.as_str()) {
                Some("neighbors") => count = Some((self.whole(&arg.value, scope)?, arg.value.span)),
                Some(name) if OPTIONS.contains(&name) => {
                    let text = self.text_of(&arg.value, scope)?;
                    texts.extend(OPTIONS.iter().find(|option| **option == name).map(|option| (*option, text)));
                }
                _ => {
                    let name = arg.name.clone().unwrap_or(Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option("counts", &name, OPTIONS.into_iter());
                    return None;
                }
            }
        }
        let text = |name: &str| texts.iter().find(|(other, _)| *other == name).map(|(_, text)| text.clone());
        let source = match text("long") {
            Some(path) => {
                let format = self.format_of(&path, span)?;
                let header = |name: &str| text(name).unwrap_or_else(|| name.to_owned());
                CountSource::Long { path, format, cell: header("cell"), gene: header("gene"), count: header("count") }
            }
            None => {
                if let Some(name) = ["cell", "gene", "count"].into_iter().find(|name| text(name).is_some()) {
                    let diagnostic = Diagnostic::error("E0317", format!("`{name}` names a column of a file of triples, and there is none"));
                    self.report(diagnostic.label(span, "in this type").help("name the file: `counts(long = \"triples.tsv\")`"));
                    return None;
                }
                CountSource::Wide { genes: Vec::new() }
            }
        };
        let neighbors = match (count, text("x"), text("y")) {
            (None, None, None) => None,
            (Some((count, _)), x, y) => {
                let header = |given: Option<String>, name: &str| given.unwrap_or_else(|| name.to_owned());
                Some(NeighborSpec { count, x: header(x, "x"), y: header(y, "y") })
            }
            _ => {
                let diagnostic = Diagnostic::error("E0317", "coordinates are for the neighbours of a cell, and none are asked for");
                self.report(diagnostic.label(span, "in this type").help("say how many: `counts(neighbors = 10, x = \"x\", y = \"y\")`"));
                return None;
            }
        };
        Some(ColumnKind::Counts { source, neighbors })
    }

    /// The inputs that a column of counts gives a backbone, by name; where there may be several, those that are `wanted`.
    pub fn count_inputs(
        &mut self,
        column: &Column,
        applied: &AppliedBackbone,
        wanted: &[String],
        place: Span,
    ) -> Option<Vec<(String, Tensor)>> {
        self.read_genes(column, applied, place)?;
        let spec = &self.experiment.tables[column.data].spec.columns[column.column];
        let (name, kind) = (spec.name.clone(), spec.kind.clone());
        let tokenizer = &self.experiment.tokenizers[applied.tokenizer];
        let TokenizerKind::Genes { order, .. } = tokenizer.kind.clone() else { return None };
        let genes = tokenizer.vocabulary.len() as u64;
        let with_neighbors = matches!(kind, ColumnKind::Counts { neighbors: Some(_), .. });
        if with_neighbors && !matches!(order, GeneOrder::Expressed { .. }) {
            let diagnostic = Diagnostic::error("E0320", format!("`{}` reads one cell, and `{name}` has neighbours", applied.name));
            self.report(diagnostic.label(place, "cells with their neighbours").label(column.span, "declared here"));
            return None;
        }
        let path = |what: &str| format!("{}.{name}.{what}", applied.name);
        match order {
            GeneOrder::All => {
                if applied.max_length.is_some() {
                    let diagnostic = Diagnostic::error("E0317", format!("`{}` reads all genes: it has no `max_length`", applied.name));
                    self.report(diagnostic.label(place, "given to it"));
                    return None;
                }
                let axis = self.new_axis("genes", Size::constant(genes as i64));
                self.axes[axis.0 as usize].layout = Some(TokenLayout { prefix: 0, suffix: 0 });
                let source =
                    InputSource::AllCounts { data: column.data as u32, column: name.clone(), tokenizer: applied.tokenizer as u32, genes };
                Some(vec![("counts".to_owned(), self.input(path("counts"), source, DType::F32, axis))])
            }
            GeneOrder::Ranked { .. } => {
                let layout = TokenLayout { prefix: tokenizer.prefix.len() as u64, suffix: tokenizer.suffix.len() as u64 };
                let (length, axis) = self.token_axis("seq", &name, column, applied, layout, false);
                Some(vec![("ids".to_owned(), self.input(path("ids"), InputSource::Tokens { length }, DType::I32, axis))])
            }
            GeneOrder::Expressed { appended, .. } => {
                Some(self.expressed_inputs(column, applied, wanted, &name, (genes as i32, appended, !with_neighbors)))
            }
        }
    }

    /// The inputs of expressed genes that are `wanted`; the last argument is the number of genes of the list, that of appended tokens, and
    /// whether samples are single cells.
    fn expressed_inputs(
        &mut self,
        column: &Column,
        applied: &AppliedBackbone,
        wanted: &[String],
        name: &str,
        (genes, appended, alone): (i32, u32, bool),
    ) -> Vec<(String, Tensor)> {
        let layout = TokenLayout { prefix: 0, suffix: u64::from(appended) };
        let (length, axis) = self.token_axis("seq", name, column, applied, layout, false);
        let cell = |what, fill| (InputSource::TokenCells { length, what, fill }, DType::I32);
        let mut inputs = Vec::new();
        for what in wanted {
            let (source, dtype) = match what.as_str() {
                "counts" => (InputSource::TokenCounts { length }, DType::F32),
                "totals" => (InputSource::TokenTotals { length }, DType::F32),
                "genes" => (InputSource::Tokens { length }, DType::I32),
                // What fills up a sample of one cell counts as that cell.
                "cells" => cell(CellNumber::Index, if alone { 0 } else { genes + appended as i32 }),
                "x" => cell(CellNumber::X, 0),
                "y" => cell(CellNumber::Y, 0),
                "centre" => {
                    let (length, own) = self.token_axis("own", name, column, applied, layout, true);
                    let source = InputSource::Tokens { length };
                    inputs.push((what.clone(), self.input(format!("{}.{name}.{what}", applied.name), source, DType::I32, own)));
                    continue;
                }
                _ => continue,
            };
            inputs.push((what.clone(), self.input(format!("{}.{name}.{what}", applied.name), source, dtype, axis)));
        }
        inputs
    }

    pub(super) fn input(&mut self, name: String, source: InputSource, dtype: DType, axis: AxisRef) -> Tensor {
        self.experiment.inputs.push(InputSpec { name: name.clone(), source });
        self.emit(Op::Input { name }, &[], dtype, vec![axis], true)
    }

    /// The axis of a column's tokens, as long as each sample has them.
    pub(super) fn token_axis(
        &mut self,
        name: &str,
        column_name: &str,
        column: &Column,
        applied: &AppliedBackbone,
        layout: TokenLayout,
        own_cell: bool,
    ) -> (LengthId, AxisRef) {
        let length = LengthId(self.experiment.lengths.len() as u32);
        self.experiment.lengths.push(LengthSpec {
            name: column_name.to_owned(),
            data: column.data as u32,
            column: column_name.to_owned(),
            tokenizer: applied.tokenizer as u32,
            max_length: applied.max_length,
            policy: applied.policy,
            own_cell,
        });
        self.experiment.length_spans.push(applied.span);
        if let Some(emission) = self.emission.as_mut() {
            emission.graph.lengths.push(Length { name: column_name.to_owned() });
        }
        let axis = self.new_axis(name, Size::atom(Atom::Length(length, column_name.to_owned())));
        self.axes[axis.0 as usize].layout = Some(layout);
        (length, axis)
    }

    /// Adds to what a wide column reads the headers that the backbone's list of genes knows.
    fn read_genes(&mut self, column: &Column, applied: &AppliedBackbone, place: Span) -> Option<()> {
        let table = &self.experiment.tables[column.data];
        let spec = &table.spec.columns[column.column];
        let ColumnKind::Counts { source: CountSource::Wide { genes }, .. } = &spec.kind else { return Some(()) };
        let tokenizer = &self.experiment.tokenizers[applied.tokenizer];
        let mut declared: HashSet<&str> =
            table.spec.columns.iter().flat_map(mgx_ir::plan::ColumnSpec::headers).map(String::as_str).collect();
        if let Some(header) = table.spec.split.header() {
            declared.insert(header);
        }
        let names = GeneNames::new(tokenizer);
        let total = match &tokenizer.kind {
            TokenizerKind::Genes { order: GeneOrder::Expressed { total, .. }, .. } => total.clone(),
            _ => None,
        };
        // Without its header, or of a table with columns that are not understood, nothing is known of the others.
        let Some(header) = table.header.as_ref().filter(|_| table.unknown.is_empty()) else { return Some(()) };
        let free: Vec<&String> = header.iter().filter(|header| !declared.contains(header.as_str())).collect();
        let found: Vec<String> = free.iter().filter(|header| names.find(header).is_some()).map(|header| (*header).clone()).collect();
        let (name, declaration, free_count, found_count) = (spec.name.clone(), column.span, free.len(), found.len());
        let example = free.first().map(|header| (*header).clone());
        let missing_total = total.as_ref().filter(|total| !free.contains(total)).cloned();
        let mut all: Vec<String> = genes.clone();
        for gene in found.into_iter().chain(total) {
            if !all.contains(&gene) {
                all.push(gene);
            }
        }
        if let Some(total) = missing_total {
            let diagnostic = Diagnostic::error("E0512", format!("the table has no column `{total}` with the total of each cell"));
            self.report(diagnostic.label(declaration, "declared here").label(place, format!("`{}` reads it", applied.name)));
            return None;
        }
        if found_count == 0 {
            let list = self.experiment.tokenizers[applied.tokenizer].vocabulary.last().cloned().unwrap_or_default();
            let diagnostic = Diagnostic::error("E0535", format!("none of the table's columns is a gene that `{}` knows", applied.name))
                .label(place, format!("`{}` has no gene of its list", name))
                .label(declaration, "declared here");
            let diagnostic = match example {
                Some(example) => diagnostic.note(format!("the table has a column `{example}`, the list a gene `{list}`")),
                None => diagnostic.note("all columns of the table are declared as something else"),
            };
            self.report(diagnostic.help("name the columns of genes as the list does: by symbol or by Ensembl identifier"));
            return None;
        }
        if found_count * 2 < free_count {
            let message = format!("`{}` knows {found_count} of the {free_count} columns of genes", applied.name);
            let diagnostic = Diagnostic::warning("W0553", message).label(place, "the others are not read");
            self.report(
                diagnostic.help("columns of something else are declared with their type; genes need the names of the backbone's list"),
            );
        }
        if let ColumnKind::Counts { source: CountSource::Wide { genes }, .. } =
            &mut self.experiment.tables[column.data].spec.columns[column.column].kind
        {
            *genes = all;
        }
        Some(())
    }
}
