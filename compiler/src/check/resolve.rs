//! The program as it is run: the file's text with the values from the command line put in and its paths made absolute, so that running it again from
//! anywhere reproduces the run. Comments and layout stay.

use mgx_diag::{FileId, SourceMap, Span};

use super::World;
use super::library::{Library, LoadedFile};
use crate::syntax::ast::{Arg, Body, Experiment, Expr, ExprKind, Field, FieldKind, File, ItemKind};

/// Calls whose first argument is a path.
const PATH_CALLS: [&str; 5] = ["table", "fasta", "variants", "structures", "folder"];

/// The text of `original` as `changed` has it, which differs by values from the command line.
pub fn resolved_text(world: &dyn World, sources: &SourceMap, file: FileId, original: &File, changed: &File) -> String {
    let mut edits = Edits { world, sources, file, edits: Vec::new() };
    for (old, new) in original.items.iter().zip(&changed.items) {
        match (&old.kind, &new.kind) {
            (ItemKind::Experiment(old), ItemKind::Experiment(new)) => edits.experiment(old, new),
            (ItemKind::Data(old), ItemKind::Data(new)) => {
                edits.expr(&old.source, &new.source);
                edits.body(&old.body, &new.body);
            }
            (ItemKind::Backbone(old), ItemKind::Backbone(new)) => edits.body(&old.body, &new.body),
            _ => {}
        }
    }
    edits.apply()
}

/// The files that the program imports, but for those of the standard library, as a folder beside its resolved text has to hold them.
pub fn imported_texts(world: &dyn World, library: &Library<'_>, program: usize) -> Vec<(String, String)> {
    let imported = library.files.iter().enumerate().filter(|(index, file)| *index != program && !file.is_std);
    let resolved = |file: &LoadedFile| resolved_text(world, &library.sources, file.source, &file.written, &file.written);
    imported.map(|(_, file)| (file.path.clone(), resolved(file))).collect()
}

struct Edits<'a> {
    world: &'a dyn World,
    sources: &'a SourceMap,
    file: FileId,
    /// Bytes from..to of the text become this.
    edits: Vec<(u32, u32, String)>,
}

impl Edits<'_> {
    fn is_given(&self, span: Span) -> bool {
        span.file != self.file
    }

    fn experiment(&mut self, old: &Experiment, new: &Experiment) {
        for (old, new) in old.params.iter().zip(&new.params) {
            match (&old.default, &new.default) {
                (Some(old), Some(new)) => self.expr(old, new),
                (None, Some(new)) => {
                    let end = old.ty.as_ref().map_or(old.name.span, |ty| ty.span).end;
                    self.edits.push((end, end, format!(" = {}", self.value_text(new))));
                }
                _ => {}
            }
        }
        if old.body.span.start < old.body.span.end {
            return self.body(&old.body, &new.body);
        }
        // Nothing was changed in the base so far.
        if !new.body.fields.is_empty() {
            let fields: String = new.body.fields.iter().map(|field| format!("  {}\n", self.field_text(field))).collect();
            self.edits.push((old.body.span.end, old.body.span.end, format!(" with {{\n{fields}}}")));
        }
    }

    fn body(&mut self, old: &Body, new: &Body) {
        // Sweeps: a member has none.
        for gone in old.fields.iter().filter(|field| !new.fields.iter().any(|other| other.name.span == field.name.span)) {
            self.edits.push((gone.span.start, gone.span.end, String::new()));
        }
        for field in &new.fields {
            let before = old.fields.iter().find(|other| other.name.span == field.name.span);
            let Some(before) = before.filter(|_| !self.is_given(field.name.span)) else {
                let text = format!("  {}\n", self.field_text(field));
                self.edits.push((old.span.end - 1, old.span.end - 1, text));
                continue;
            };
            match (&before.kind, &field.kind) {
                (FieldKind::Value(old), FieldKind::Value(new)) => self.expr(old, new),
                (FieldKind::Block(old), FieldKind::Block(new)) => self.body(old, new),
                (FieldKind::Block(_), FieldKind::Value(_)) => {
                    self.edits.push((before.span.start, before.span.end, self.field_text(field)));
                }
                _ => {}
            }
        }
    }

    fn expr(&mut self, old: &Expr, new: &Expr) {
        if new.span != old.span {
            let text = self.value_text(new);
            self.edits.push((old.span.start, old.span.end, text));
            return;
        }
        match (&old.kind, &new.kind) {
            (ExprKind::Call(callee, old_args), ExprKind::Call(_, new_args)) => self.call(callee, old.span, old_args, new_args),
            // A bare name that was given options.
            (ExprKind::Name(_), ExprKind::Call(_, args)) => {
                let options: Vec<String> = args.iter().map(|arg| self.option_text(arg)).collect();
                self.edits.push((old.span.end, old.span.end, format!("({})", options.join(", "))));
            }
            (ExprKind::Pipe(a, b), ExprKind::Pipe(x, y)) | (ExprKind::With(a, b), ExprKind::With(x, y)) => {
                self.expr(a, x);
                self.expr(b, y);
            }
            _ => {}
        }
    }

    fn call(&mut self, callee: &Expr, span: Span, old: &[Arg], new: &[Arg]) {
        let is_path = matches!(&callee.kind, ExprKind::Name(name) if PATH_CALLS.contains(&name.as_str()));
        for (index, arg) in new.iter().enumerate() {
            match old.get(index) {
                Some(before) if is_path && (index == 0 || is_genome(arg)) => self.path(&before.value, &arg.value),
                Some(before) => self.expr(&before.value, &arg.value),
                None => {
                    let separator = if index == 0 { "" } else { ", " };
                    let text = format!("{separator}{}", self.option_text(arg));
                    self.edits.push((span.end - 1, span.end - 1, text));
                }
            }
        }
    }

    /// A path is relative to the folder of the file that it is written in.
    fn path(&mut self, old: &Expr, new: &Expr) {
        let ExprKind::Str(path) = &new.kind else { return };
        let absolute = self.world.absolute(path);
        let quoted = absolute.replace('\\', "\\\\").replace('"', "\\\"");
        self.edits.push((old.span.start, old.span.end, format!("\"{quoted}\"")));
    }

    /// A field that is new, on one line.
    fn field_text(&self, field: &Field) -> String {
        let name = &field.name.text;
        match &field.kind {
            FieldKind::Value(Expr { kind: ExprKind::None, .. }) => format!("{name} = none"),
            FieldKind::Value(value) => format!("{name} = {}", self.value_text(value)),
            FieldKind::Block(inner) => {
                let fields: Vec<String> = inner.fields.iter().map(|field| self.field_text(field)).collect();
                format!("{name} {{ {} }}", fields.join("  "))
            }
            FieldKind::Typed { .. } => String::new(),
        }
    }

    /// A value as it is written, wherever that is, with absolute paths.
    fn value_text(&self, value: &Expr) -> String {
        let mut paths = Edits { edits: Vec::new(), ..*self };
        paths.expr(value, value);
        changed(self.sources.slice(value.span), value.span.start, paths.edits)
    }

    fn option_text(&self, arg: &Arg) -> String {
        match &arg.name {
            Some(name) => format!("{} = {}", name.text, self.value_text(&arg.value)),
            None => self.value_text(&arg.value),
        }
    }

    fn apply(self) -> String {
        changed(self.sources.text(self.file), 0, self.edits)
    }
}

/// A text that begins at byte `start` of its file, with edits of the file.
fn changed(text: &str, start: u32, mut edits: Vec<(u32, u32, String)>) -> String {
    let mut text = text.to_owned();
    // From the end, so that places stay true; insertions at one place in the order they were made.
    edits.reverse();
    edits.sort_by_key(|(from, ..)| std::cmp::Reverse(*from));
    for (from, to, new) in edits {
        text.replace_range((from - start) as usize..(to - start) as usize, &new);
    }
    text
}

/// The other file that a source of rows reads.
fn is_genome(arg: &Arg) -> bool {
    arg.name.as_ref().is_some_and(|name| name.text == "genome")
}
