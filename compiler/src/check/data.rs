//! `data` declarations: a table's file, its typed columns and its split.

use mgx_diag::{Diagnostic, Span, nearest};
use mgx_ir::plan::{
    AlignmentFormat, Alphabet, ColumnKind, ColumnSpec, CountSource, DataSpec, EmptyPolicy, FileFormat, SplitSpec, StructureSpec, WindowSpec,
};

use super::Checker;
use super::data_source::Source;
use super::expr::Scope;
use super::library::ItemRef;
use super::tokenizer::field_value;
use super::value::{Column, Env, Value};
use crate::syntax::ast::{Arg, Data, Expr, ExprKind, Field, FieldKind, ItemKind, Name, TypeExpr, TypeExprKind};

/// A declared table.
#[derive(Clone, Debug)]
pub struct Table {
    pub item: ItemRef,
    pub spec: DataSpec,
    /// Where the file is named, and where the split is.
    pub source_span: Span,
    pub split_span: Option<Span>,
    /// The place of each column's declaration, in the order of the spec.
    pub column_spans: Vec<Span>,
    /// Columns that are declared, but in a way that nobody understands.
    pub unknown: Vec<String>,
    /// Names of the file's columns, where it can be read.
    pub header: Option<Vec<String>>,
}

impl Table {
    /// A table without columns.
    fn of(item: ItemRef, name: &Name, source: Option<&Source>, source_span: Span) -> Self {
        let spec = DataSpec {
            name: name.text.clone(),
            path: source.map(|source| source.path.clone()).unwrap_or_default(),
            format: source.map_or(FileFormat::Tsv, |source| source.format),
            columns: Vec::new(),
            split: SplitSpec::None,
            windows: source.and_then(|source| source.windows.clone()),
            letters: source.and_then(|source| source.letters),
        };
        Self { item, spec, source_span, split_span: None, column_spans: Vec::new(), unknown: Vec::new(), header: None }
    }
}

/// The types of columns.
pub(super) const COLUMNS: [&str; 11] =
    ["dna", "rna", "protein", "text", "alignment", "class", "labels", "contacts", "real", "counts", "id"];
pub(super) const SEQUENCE_OPTIONS: [&str; 2] = ["length", "empty"];
pub(super) const ALIGNMENT_OPTIONS: [&str; 4] = ["files", "structure", "features", "empty"];
const COLUMN_TYPES: &str = "dna, rna, protein, text, alignment, class(…), labels(…), contacts(…), real, counts, id";

impl Checker<'_> {
    /// The table of a `data` declaration, read once per experiment.
    pub fn table_of(&mut self, item: ItemRef) -> Option<usize> {
        if let Some(index) = self.experiment.tables.iter().position(|table| table.item == item) {
            return Some(index);
        }
        let handle = self.library.item(item);
        let ItemKind::Data(data) = &handle.kind else { return None };
        if self.reading.contains(&item) {
            let name = &handle.name;
            let diagnostic = Diagnostic::error("E0210", format!("the table `{}` is declared with itself", name.text));
            self.report(diagnostic.label(self.span, "named here").label(name.span, "in its own declaration"));
            return None;
        }
        self.reading.push(item);
        let table = self.read_table(item, &handle.name, data);
        self.reading.pop();
        if let Some(readable) = table.readable() {
            self.keep_sound(&readable, false);
        }
        self.experiment.tables.push(table);
        Some(self.experiment.tables.len() - 1)
    }

    /// What is wrong with a table is reported, and does not keep the rest of it from being used: only columns of which nothing is known are left out.
    fn read_table(&mut self, item: ItemRef, name: &Name, data: &Data) -> Table {
        let source = self.table_source(&data.source, item.file);
        self.unique_fields(&data.body);
        let mut table = Table::of(item, name, source.as_ref(), data.source.span);
        let mut split = None;
        for field in &data.body.fields {
            match &field.kind {
                FieldKind::Typed { ty, at } => match self.column_spec(field, ty, at.as_ref(), item.file) {
                    Some(spec) if !self.library.has_errors_in(field.span) => {
                        table.spec.columns.push(spec);
                        table.column_spans.push(field.name.span);
                    }
                    _ => table.unknown.push(field.name.text.clone()),
                },
                FieldKind::Value(expr) if field.name.text == "split" => split = Some(expr),
                FieldKind::Value(_) => {
                    let diagnostic = Diagnostic::error("E0206", format!("`{}` has no option `{}`", name.text, field.name.text));
                    let help = format!("its only option is `split`; a column is written with a colon: `{}: type`", field.name.text);
                    self.report(diagnostic.label(field.name.span, "unknown option").help(help));
                    table.unknown.push(field.name.text.clone());
                }
                FieldKind::Block(_) => self.unknown_option(&name.text, &field.name, std::iter::once("split")),
            }
        }
        self.check_sequences(&table);
        if let Some(expr) = split {
            table.split_span = Some(expr.span);
            table.spec.split = self.split_spec(expr, &table, item.file).unwrap_or(SplitSpec::None);
        }
        if let Some(source) = source {
            self.read_header(&mut table, source.windows.as_ref(), data);
        }
        table
    }

    /// Reads the header of a table's file: its columns must be there.
    fn read_header(&mut self, table: &mut Table, windows: Option<&WindowSpec>, data: &Data) {
        let (path, source) = (table.spec.path.clone(), data.source.span);
        let header = match self.world.table_header(&path, table.spec.format) {
            Ok(header) => header,
            Err(mut diagnostic) => {
                diagnostic.labels.insert(0, mgx_diag::Label { span: source, text: "this table".to_owned() });
                self.report(diagnostic);
                return;
            }
        };
        let header = match windows {
            Some(windows) => self.with_windows(header, windows, &path, source),
            None => Some(header),
        };
        let Some(header) = header else { return };
        let labels = self.world.needs_labels();
        for (column, span) in table.spec.columns.iter().zip(&table.column_spans) {
            for wanted in column.headers().into_iter().filter(|_| labels || !column.kind.is_label()) {
                if !header.contains(wanted) {
                    let name = (*wanted == column.header).then_some(column.name.as_str());
                    self.missing_header(wanted, name, *span, &header, &path, source);
                }
            }
            self.check_triples(column, *span);
        }
        if let (true, Some(wanted), Some(expr)) = (labels, table.spec.split.header(), field_value(&data.body, "split"))
            && !header.iter().any(|header| header == wanted)
        {
            self.missing_header(wanted, None, expr.span, &header, &path, source);
        }
        table.header = Some(header);
    }

    /// The file of triples of a column of counts must have their columns.
    fn check_triples(&mut self, column: &ColumnSpec, span: Span) {
        let ColumnKind::Counts { source: CountSource::Long { path, format, cell, gene, count }, .. } = &column.kind else { return };
        match self.world.table_header(path, *format) {
            Ok(header) => {
                for wanted in [cell, gene, count].into_iter().filter(|wanted| !header.contains(wanted)) {
                    self.missing_header(wanted, None, span, &header, path, span);
                }
            }
            Err(mut diagnostic) => {
                diagnostic.labels.insert(0, mgx_diag::Label { span, text: "its counts are in this file".to_owned() });
                self.report(diagnostic);
            }
        }
    }

    /// A column that the file lacks; `name` is its name in the program, where it has one.
    pub fn missing_header(&mut self, wanted: &str, name: Option<&str>, span: Span, header: &[String], path: &str, source: Span) {
        let diagnostic = Diagnostic::error("E0512", format!("`{path}` has no column `{wanted}`"))
            .label(span, "not in the file")
            .label(source, "this table");
        let diagnostic = diagnostic.note(format!("its columns are: {}", shown_names(header)));
        let near = nearest(wanted, header.iter().map(String::as_str));
        self.report(match (near, name) {
            (Some(near), Some(name)) => {
                let help = format!("did you mean `{near}`? A column under another name is written `{name}: … at \"{near}\"`");
                let text = if self.library.sources.slice(span).starts_with('"') { format!("\"{near}\"") } else { near.to_owned() };
                diagnostic.help(help).change_to(span, &text)
            }
            (Some(near), None) => diagnostic.help(format!("did you mean `{near}`?")).change_to(span, &format!("\"{near}\"")),
            (None, Some(name)) => diagnostic.help(format!("a column under another name is written `{name}: … at \"name in the file\"`")),
            (None, None) => diagnostic.help("name one of them"),
        });
    }

    /// The format that the ending of a table's name stands for.
    pub fn format_of(&mut self, path: &str, span: Span) -> Option<FileFormat> {
        let ending = path.rsplit('.').next().unwrap_or_default().to_lowercase();
        let format = match ending.as_str() {
            "csv" => Some(FileFormat::Csv),
            "tsv" | "tab" => Some(FileFormat::Tsv),
            "parquet" | "pq" => Some(FileFormat::Parquet),
            _ => None,
        };
        if format.is_none() {
            let diagnostic =
                Diagnostic::error("E0511", format!("the format of `{path}` is not known from its name")).label(span, "this table");
            self.report(match ending.as_str() {
                "fasta" | "fa" | "fas" | "fna" | "ffn" | "faa" | "frn" => diagnostic.help(format!("write `fasta(\"{path}\")`")),
                "gz" | "bz2" | "xz" | "zst" | "zip" => diagnostic.help("unpack the file first"),
                "xlsx" | "xls" | "ods" => diagnostic.help("save the sheet as .csv"),
                _ => diagnostic.help("say `table(\"…\", format = tsv)`; formats are csv, tsv and parquet, and `fasta(\"…\")`"),
            });
        }
        format
    }

    fn column_spec(&mut self, field: &Field, ty: &TypeExpr, at: Option<&Expr>, file: usize) -> Option<ColumnSpec> {
        let mut scope = Scope { file, env: Env::default(), experiment: false, instance: None };
        let headers = self.headers(&field.name.text, at, &mut scope)?;
        let TypeExprKind::Named { name, args, axes: None, .. } = &ty.kind else {
            self.report(
                Diagnostic::error("E0314", "this is not the type of a column")
                    .label(ty.span, "unknown type")
                    .help(format!("types of columns are {COLUMN_TYPES}")),
            );
            return None;
        };
        let alphabet = match name.text.as_str() {
            "dna" => Some(Alphabet::Dna),
            "rna" => Some(Alphabet::Rna),
            "protein" => Some(Alphabet::Protein),
            "text" => Some(Alphabet::Text),
            "alignment" => Some(Alphabet::Alignment),
            _ => None,
        };
        let kind = match (alphabet, name.text.as_str()) {
            (Some(Alphabet::Alignment), _) => self.alignment_kind(args, ty.span, &mut scope)?,
            (Some(alphabet), _) => self.sequence_kind(alphabet, &name.text, args, &mut scope)?,
            (None, "class") => self.class_kind(args, ty.span, &mut scope)?,
            (None, "contacts") => self.contacts_kind(args, ty.span)?,
            (None, "labels") => self.labels_kind(args, &headers, ty.span, &mut scope)?,
            (None, "real") => self.real_kind(args, &headers, ty.span, &mut scope)?,
            (None, "counts") => self.counts_kind(args, ty.span, &mut scope)?,
            (None, "id") => ColumnKind::Text,
            (None, other) => {
                let mut diagnostic =
                    Diagnostic::error("E0314", format!("there is no column type `{other}`")).label(name.span, "unknown type");
                diagnostic = match nearest(other, COLUMNS) {
                    Some(near) => diagnostic.did_you_mean(name.span, near),
                    None => diagnostic.help(format!("types of columns are {COLUMN_TYPES}")),
                };
                self.report(diagnostic);
                return None;
            }
        };
        if !matches!(kind, ColumnKind::Reals { .. } | ColumnKind::Labels { .. }) {
            self.one_header(&headers, at.map_or(field.name.span, |expr| expr.span))?;
        }
        Some(ColumnSpec { name: field.name.text.clone(), header: headers.shown(), kind, conversion: None })
    }

    fn sequence_kind(&mut self, alphabet: Alphabet, type_name: &str, args: &[Arg], scope: &mut Scope) -> Option<ColumnKind> {
        let mut length = None;
        let mut empty = EmptyPolicy::Error;
        for arg in args {
            match arg.name.as_ref().map(|name| name.text.as_str()) {
                Some("length") => length = Some(self.whole(&arg.value, scope)?),
                Some("empty") => empty = self.choice(&arg.value, &[("allow", EmptyPolicy::Allow), ("error", EmptyPolicy::Error)])?,
                _ => {
                    let name = arg.name.clone().unwrap_or(Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option(type_name, &name, SEQUENCE_OPTIONS.into_iter());
                    return None;
                }
            }
        }
        Some(ColumnKind::Sequence { alphabet, length, empty })
    }

    /// `alignment`, `alignment(files = a3m)`, `alignment(structure = "str_emb", features = 384)`.
    fn alignment_kind(&mut self, args: &[Arg], span: Span, scope: &mut Scope) -> Option<ColumnKind> {
        let (mut files, mut header, mut features, mut empty) = (None, None, None, EmptyPolicy::Error);
        for arg in args {
            match arg.name.as_ref().map(|name| name.text.as_str()) {
                Some("files") => {
                    files = Some(self.choice(&arg.value, &[("a3m", AlignmentFormat::A3m), ("fasta", AlignmentFormat::Fasta)])?)
                }
                Some("structure") => header = Some(self.text_of(&arg.value, scope)?),
                Some("features") => features = Some(self.whole(&arg.value, scope)?),
                Some("empty") => empty = self.choice(&arg.value, &[("allow", EmptyPolicy::Allow), ("error", EmptyPolicy::Error)])?,
                _ => {
                    let name = arg.name.clone().unwrap_or(Name { text: "this".to_owned(), span: arg.value.span });
                    self.unknown_option("alignment", &name, ALIGNMENT_OPTIONS.into_iter());
                    return None;
                }
            }
        }
        let structure = match (header, features) {
            (None, None) => None,
            (Some(header), Some(features)) if features > 0 => Some(StructureSpec { header, features }),
            _ => {
                let diagnostic = Diagnostic::error("E0317", "structures need the column that has them and the number of their features");
                self.report(diagnostic.label(span, "in this type").help("write `alignment(structure = \"str_emb\", features = 384)`"));
                return None;
            }
        };
        Some(ColumnKind::Alignment { files, structure, empty })
    }

    /// The names of classes or labels; `word` is the type of the column.
    pub fn class_names(&mut self, args: &[Arg], span: Span, word: &str, scope: &mut Scope) -> Option<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for arg in args {
            if let ExprKind::Name(name) = &arg.value.kind {
                let diagnostic =
                    Diagnostic::error("E0505", "the names of classes are texts in quotes").label(arg.value.span, "without quotes");
                self.report(diagnostic.help(format!("write `\"{name}\"`")).change_to(arg.value.span, &format!("\"{name}\"")));
                return None;
            }
            let text = self.text_of(&arg.value, scope)?;
            if let Some(first) = names.iter().position(|name| *name == text) {
                let again = arg.value.span;
                let edit = self.library.without_argument(again);
                let diagnostic = Diagnostic::error("E0505", format!("the class `{text}` is named twice")).label(again, "again here");
                let diagnostic = diagnostic.label(args[first].value.span, "first here").help("remove one of them");
                self.report(diagnostic.fix("Remove the second", edit));
                return None;
            }
            names.push(text);
        }
        if names.len() < 2 {
            self.report(
                Diagnostic::error("E0505", format!("a column `{word}` has two names or more"))
                    .label(span, format!("{} named", names.len()))
                    .help(format!("name them: `{word}(\"negative\", \"positive\")`")),
            );
            return None;
        }
        Some(names)
    }

    /// `table.column`.
    pub fn column(&mut self, table: usize, name: &Name) -> Value {
        let found = self.experiment.tables[table].spec.columns.iter().position(|column| column.name == name.text);
        if let Some(column) = found {
            let span = self.experiment.tables[table].column_spans[column];
            return Value::Column(Column { data: table, column, span, masking: None });
        }
        if self.experiment.tables[table].unknown.contains(&name.text) {
            return Value::Error;
        }
        let spec = self.experiment.tables[table].spec.clone();
        let known: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
        let mut diagnostic =
            Diagnostic::error("E0205", format!("`{}` has no column `{}`", spec.name, name.text)).label(name.span, "not found");
        diagnostic = match nearest(&name.text, known.iter().copied()) {
            Some(near) => diagnostic.did_you_mean(name.span, near),
            None => diagnostic.help(format!("its columns are: {}", known.join(", "))),
        };
        self.report(diagnostic);
        Value::Error
    }
}

/// Names in a message: the first few, and how many more there are.
fn shown_names(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
