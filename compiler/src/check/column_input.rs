//! Columns as inputs of backbones: what they hold must be what is read, and the number of tokens is an axis.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, LengthId, Op};
use mgx_ir::plan::{AlignedPlace, Alphabet, ColumnKind, ColumnSpec, InputSource, InputSpec, LengthPolicy, StructureSpec};

use super::Checker;
use super::size::Size;
use super::token_columns::TokenInput;
use super::tokenizer::one_token_a_letter;
use super::value::{AppliedBackbone, Column, Instance, PendingBackbone, Reads, Tensor, TokenLayout, Value};
use crate::syntax::ast::{ItemKind, MemberKind, Name};

/// The word of an alphabet in a column's type.
pub fn alphabet_word(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::Dna => "dna",
        Alphabet::Rna => "rna",
        Alphabet::Protein => "protein",
        Alphabet::Text => "text",
        Alphabet::Alignment => "alignment",
    }
}

impl Checker<'_> {
    pub fn apply_backbone(&mut self, backbone: &Rc<PendingBackbone>, column: &Column, place: Span, span: Span) -> Value {
        let existing = backbone.applied.borrow().clone();
        let applied = match existing {
            Some(applied) => applied,
            None => {
                let Some(applied) = self.place_backbone(backbone) else { return Value::Error };
                let applied = Rc::new(applied);
                *backbone.applied.borrow_mut() = Some(Rc::clone(&applied));
                applied
            }
        };
        let spec = self.experiment.tables[column.data].spec.columns[column.column].clone();
        let structure = if let ColumnKind::Alignment { structure, .. } = &spec.kind { structure.as_ref() } else { None };
        let (holds, length) = match spec.kind {
            ColumnKind::Sequence { alphabet, length, .. } => (Reads::Sequence(alphabet), length),
            ColumnKind::Alignment { .. } => (Reads::Sequence(Alphabet::Alignment), None),
            ColumnKind::Counts { .. } => (Reads::Counts, None),
            _ => {
                let table = &self.experiment.tables[column.data].spec;
                let readable = |kind: &ColumnKind| {
                    matches!(kind, ColumnKind::Sequence { .. } | ColumnKind::Alignment { .. } | ColumnKind::Counts { .. })
                };
                let columns = table.columns.iter().filter(|other| readable(&other.kind));
                let columns: Vec<String> = columns.map(|other| format!("`{}.{}`", table.name, other.name)).collect();
                let help = match columns.as_slice() {
                    [] => "declare a column of sequences: `sequence: dna`".to_owned(),
                    columns => format!("give it {}", columns.join(" or ")),
                };
                self.report(
                    Diagnostic::error("E0319", format!("`{}` is neither a sequence nor counts", spec.name))
                        .label(place, "given to a backbone")
                        .label(column.span, "declared here")
                        .help(help),
                );
                return Value::Error;
            }
        };
        if holds != applied.reads {
            self.wrong_alphabet(&spec.name, holds, place, column.span, (&applied, backbone.span));
            return Value::Error;
        }
        if let (Some(masking), Reads::Counts | Reads::Sequence(Alphabet::Alignment)) = (&column.masking, applied.reads) {
            let diagnostic = Diagnostic::error("E0572", format!("`{}` cannot be masked", spec.name)).label(masking.span, "masked here");
            self.report(diagnostic.label(column.span, "declared here").help("sequences are masked, not alignments nor counts"));
            return Value::Error;
        }
        if let (LengthPolicy::Window, Reads::Counts | Reads::Sequence(Alphabet::Alignment)) = (applied.policy, applied.reads) {
            return self.no_window(&spec.name, column.span, &applied);
        }
        let wanted = self.forward_params(&applied.instance);
        if !self.structure_fits(&spec, structure, &applied, place, (column.span, backbone.span)) {
            return Value::Error;
        }
        let inputs = match applied.reads {
            Reads::Sequence(Alphabet::Alignment) => Some(self.alignment_inputs(column, &spec.name, &applied, &wanted, structure)),
            Reads::Sequence(alphabet) => {
                self.token_input(column, &spec.name, (alphabet, length), &applied).map(|ids| vec![("ids".to_owned(), ids)])
            }
            Reads::Counts => self.count_inputs(column, &applied, &wanted, place),
        };
        let Some(inputs) = inputs else { return Value::Error };
        let args = match inputs.as_slice() {
            // What a network calls its only input is its own affair.
            [(_, only)] if wanted.len() <= 1 => vec![(None, Value::Tensor(only.clone()), place)],
            _ => inputs.into_iter().map(|(name, tensor)| (Some(Name { text: name, span: place }), Value::Tensor(tensor), place)).collect(),
        };
        let wanted = backbone.args.iter().find(|(name, ..)| name == "hidden_states").map(|(_, wanted, place)| (wanted.clone(), *place));
        self.recording.asked = wanted.is_some();
        let value = self.call_instance(&applied.instance, "forward", args, span);
        match wanted {
            Some((wanted, place)) => self.with_states(value, &wanted, place),
            None => value,
        }
    }

    /// Has a column the structures that a network takes (its parameter `structure` is their number of features), and no others?
    fn structure_fits(
        &mut self,
        spec: &ColumnSpec,
        structure: Option<&StructureSpec>,
        applied: &AppliedBackbone,
        place: Span,
        (declared, backbone): (Span, Span),
    ) -> bool {
        let taken = match applied.instance.env.borrow().get("structure") {
            Some(Value::Int { size, .. }) => size.as_constant().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            _ => 0,
        };
        let known = structure.map_or(0, |structure| structure.features);
        if taken == known {
            return true;
        }
        let (name, column) = (&applied.name, &spec.name);
        let (message, help) = match (taken, known) {
            (_, 0) => (
                format!("`{name}` takes a structure of {taken} features, and `{column}` has none"),
                format!(
                    "name the column that has it: `{column}: alignment(structure = \"…\", features = {taken})`, or leave `structure` out of the backbone's options"
                ),
            ),
            (0, _) => (
                format!("`{column}` has structures, and `{name}` takes none"),
                format!("if it is a network that can, say `structure = {known}`"),
            ),
            _ => (
                format!("`{name}` takes a structure of {taken} features, and `{column}` has {known}"),
                "take both from the same model".to_owned(),
            ),
        };
        let diagnostic = Diagnostic::error("E0320", message).label(place, "given to it").label(declared, "declared here");
        self.report(diagnostic.label(backbone, "the backbone").help(help));
        false
    }

    /// Names of the parameters of a network's `forward`.
    fn forward_params(&self, instance: &Instance) -> Vec<String> {
        let handle = self.library.item(instance.item);
        let ItemKind::Module(module) = &handle.kind else { return Vec::new() };
        let forward = module.members.iter().find_map(|member| match &member.kind {
            MemberKind::Function(function) if member.name.text == "forward" => Some(function),
            _ => None,
        });
        forward.map(|function| function.params.iter().map(|param| param.name.text.clone()).collect()).unwrap_or_default()
    }

    fn wrong_alphabet(&mut self, name: &str, holds: Reads, place: Span, declared: Span, (applied, backbone): (&AppliedBackbone, Span)) {
        let show = |reads: Reads| match reads {
            Reads::Sequence(Alphabet::Dna) => "DNA",
            Reads::Sequence(Alphabet::Rna) => "RNA",
            Reads::Sequence(Alphabet::Protein) => "protein",
            Reads::Sequence(Alphabet::Text) => "text",
            Reads::Sequence(Alphabet::Alignment) => "alignment",
            Reads::Counts => "counts",
        };
        let (has, reads) = (show(holds), show(applied.reads));
        // Where the backbone is one of the standard library, the user's naming of it says more than its declaration.
        let reader = if self.is_std_span(applied.reads_span) { backbone } else { applied.reads_span };
        let article = if matches!(reads, "RNA" | "alignment") { "an" } else { "a" };
        self.report(
            Diagnostic::error("E0320", format!("{article} {reads} backbone cannot read the {has} column `{name}`"))
                .label(place, format!("this is {has}"))
                .label(reader, format!("`{}` reads {reads}", applied.name))
                .label(declared, format!("declared {has} here"))
                .help(match (holds, applied.reads) {
                    (Reads::Sequence(Alphabet::Dna), Reads::Sequence(Alphabet::Rna)) => {
                        "use a backbone for DNA, or make RNA of the coding strand: `|> transcribe`".to_owned()
                    }
                    (Reads::Sequence(Alphabet::Dna | Alphabet::Rna), Reads::Sequence(Alphabet::Protein)) => {
                        format!("use a backbone for {has}, or make protein of a coding sequence: `|> translate`")
                    }
                    _ => format!("use a backbone for {has}, or a column of {reads}"),
                }),
        );
    }

    /// Adds to a finding about sizes that differ from sample to sample which columns could promise their length.
    pub fn promise_lengths(&self, mut diagnostic: Diagnostic, sizes: &[Size]) -> Diagnostic {
        let lengths: Vec<LengthId> = sizes.iter().flat_map(Size::lengths).collect();
        for (name, word, place) in self.ragged_columns(Some(&lengths)) {
            diagnostic = diagnostic.label(place, format!("the sequences of `{name}` may differ in length"));
            diagnostic = diagnostic.help(format!(
                "the network needs sequences of one length that fits it: promise it in the column, `{name}: {word}(length = 524288)` for example"
            ));
        }
        diagnostic
    }

    /// The sequence columns of some lengths (of all, where none are named) that promise no length: name, word of the alphabet, and where they are declared.
    pub fn ragged_columns(&self, lengths: Option<&[LengthId]>) -> Vec<(String, &'static str, Span)> {
        let mut columns: Vec<(String, &'static str, Span)> = Vec::new();
        for (id, length) in self.experiment.lengths.iter().enumerate() {
            let table = self.experiment.tables.get(length.data as usize);
            let Some(table) = table.filter(|_| lengths.is_none_or(|wanted| wanted.contains(&LengthId(id as u32)))) else { continue };
            for (column, span) in table.spec.columns.iter().zip(&table.column_spans) {
                if let ColumnKind::Sequence { alphabet, length: None, .. } = &column.kind
                    && column.name == length.column
                    && column.conversion.is_none()
                    && !columns.iter().any(|(_, _, other)| other == span)
                {
                    columns.push((column.name.clone(), alphabet_word(*alphabet), *span));
                }
            }
        }
        columns
    }

    /// The inputs of an alignment that are `wanted`: the tokens of all its rows without gaps, the column and the row of each, the tokens of the query, which
    /// come first, and what is known of their structure.
    fn alignment_inputs(
        &mut self,
        column: &Column,
        name: &str,
        applied: &AppliedBackbone,
        wanted: &[String],
        structure: Option<&StructureSpec>,
    ) -> Vec<(String, Tensor)> {
        let tokenizer = &self.experiment.tokenizers[applied.tokenizer];
        let layout = TokenLayout { prefix: tokenizer.prefix.len() as u64, suffix: tokenizer.suffix.len() as u64 };
        let (length, axis) = self.token_axis("seq", name, column, applied, layout, false);
        let mut inputs = Vec::new();
        let needs_query = |what: &String| what == "query" || (what == "features" && structure.is_some());
        let query = TokenLayout { suffix: 0, ..layout };
        let own = wanted.iter().any(needs_query).then(|| self.token_axis("own", name, column, applied, query, true));
        for what in wanted {
            let (source, axis) = match what.as_str() {
                "ids" => (InputSource::Tokens { length }, axis),
                "column" => (InputSource::TokenPlaces { length, what: AlignedPlace::Column }, axis),
                "row" => (InputSource::TokenPlaces { length, what: AlignedPlace::Row }, axis),
                "query" => match own {
                    Some((length, own)) => (InputSource::Tokens { length }, own),
                    None => continue,
                },
                "features" => {
                    if let (Some((length, own)), Some(StructureSpec { features, .. })) = (own, structure) {
                        let axis = self.new_axis("structure", Size::constant(*features as i64));
                        let input = format!("{}.{name}.{what}", applied.name);
                        let source = InputSource::TokenStructures { length, features: *features };
                        self.experiment.inputs.push(InputSpec { name: input.clone(), source });
                        inputs.push((what.clone(), self.emit(Op::Input { name: input }, &[], DType::F32, vec![own, axis], true)));
                    }
                    continue;
                }
                _ => continue,
            };
            inputs.push((what.clone(), self.input(format!("{}.{name}.{what}", applied.name), source, DType::I32, axis)));
        }
        inputs
    }

    /// `encoder.head`: a part of a backbone that has read its column, for a second use.
    pub fn backbone_part(&mut self, backbone: &PendingBackbone, name: &Name, base_span: Span) -> Value {
        let applied = backbone.applied.borrow().clone();
        match applied {
            Some(applied) => self.member(&Value::Part(Rc::clone(&applied.instance)), name, base_span),
            None => {
                let diagnostic = Diagnostic::error("E0306", "a backbone has parts once it has read a column");
                let diagnostic = diagnostic.label(name.span, "asked for here").label(base_span, "has read none yet");
                self.report(diagnostic.help("write it below `table.column |> backbone`"));
                Value::Error
            }
        }
    }

    /// The numbers of a column that flow into a part: f[column], an axis of 1 for one number.
    pub fn numbers_input(&mut self, column: &Column) -> Option<Tensor> {
        let table = &self.experiment.tables[column.data].spec;
        let spec = &table.columns[column.column];
        let (name, own, data) = (format!("{}.{}.numbers", table.name, spec.name), spec.name.clone(), column.data as u32);
        let (width, source) = match spec.kind {
            ColumnKind::Real => (1, InputSource::Real { data, column: own.clone() }),
            ColumnKind::Reals { count, .. } => (count, InputSource::Numbers { data, column: own.clone(), width: count }),
            _ => return None,
        };
        let is_one = matches!(source, InputSource::Real { .. });
        if let Some((_, known)) = self.experiment.number_inputs.iter().find(|(other, _)| *other == name) {
            return Some(known.clone());
        }
        self.experiment.inputs.push(InputSpec { name: name.clone(), source });
        let axis = self.new_axis(&own, Size::constant(width as i64));
        let numbers = if is_one {
            let number = self.emit(Op::Input { name: name.clone() }, &[], DType::F32, Vec::new(), true);
            self.emit(Op::Broadcast, &[&number], DType::F32, vec![axis], true)
        } else {
            self.emit(Op::Input { name: name.clone() }, &[], DType::F32, vec![axis], true)
        };
        self.experiment.number_inputs.push((name, numbers.clone()));
        Some(numbers)
    }

    /// Reports a column that flows into a part, and has no numbers.
    pub fn no_numbers(&mut self, column: &Column, place: Span) -> Value {
        let spec = &self.experiment.tables[column.data].spec.columns[column.column];
        let diagnostic = Diagnostic::error("E0319", format!("`{}` has no numbers", spec.name)).label(place, "given to a part");
        self.report(
            diagnostic
                .label(column.span, "declared here")
                .help("columns of numbers, `real` or `real(count = 3)`, flow into parts; sequences and counts flow into backbones"),
        );
        Value::Error
    }

    /// Warns of sequences of one length that are all cut.
    fn cut_alike(&mut self, column: &str, tokens: u64, applied: &AppliedBackbone) {
        let most = applied.max_length.unwrap_or(tokens);
        let message = format!("all sequences in `{column}` are longer than the backbone takes and are cut");
        let diagnostic = Diagnostic::warning("W0551", message).label(applied.span, "this backbone");
        self.report(
            diagnostic
                .note(format!("each has {tokens} tokens; `max_length` is {most}"))
                .help(format!("write `max_length = {tokens}`, or say `too_long = error`")),
        );
    }

    /// Reports a backbone that is to read the middle of what has no order.
    fn no_window(&mut self, name: &str, declared: Span, applied: &AppliedBackbone) -> Value {
        let diagnostic = Diagnostic::error("E0569", format!("`too_long = window` keeps the middle of a sequence, and `{name}` is none"));
        let diagnostic = diagnostic.label(applied.span, "this backbone").label(declared, "declared here");
        self.report(diagnostic.help("write `too_long = truncate` or `too_long = error`"));
        Value::Error
    }

    /// The token ids of a column: an input of the graph, i[seq].
    fn token_input(
        &mut self,
        column: &Column,
        column_name: &str,
        (alphabet, length): (Alphabet, Option<u64>),
        applied: &AppliedBackbone,
    ) -> Option<Tensor> {
        let tokenizer = &self.experiment.tokenizers[applied.tokenizer];
        let special = (tokenizer.prefix.len() + tokenizer.suffix.len()) as u64;
        let layout = TokenLayout { prefix: tokenizer.prefix.len() as u64, suffix: tokenizer.suffix.len() as u64 };
        let fixed = length.filter(|_| one_token_a_letter(tokenizer, alphabet)).map(|letters| letters + special);
        let fits = |tokens: &u64| applied.max_length.is_none_or(|most| *tokens <= most);
        if let Some(tokens) = fixed.filter(|tokens| applied.policy == LengthPolicy::Truncate && !fits(tokens)) {
            self.cut_alike(column_name, tokens, applied);
        }
        let fixed = fixed.filter(|tokens| applied.policy == LengthPolicy::Truncate || fits(tokens));
        let fixed = fixed.map(|tokens| applied.max_length.map_or(tokens, |most| tokens.min(most)));
        let name = format!("{}.{}.ids", applied.name, column_name);
        let masking = match &column.masking {
            Some(masking) => Some(self.mask_spec(masking, applied.tokenizer)?),
            None => None,
        };
        let (source, axis) = match fixed {
            None => {
                let (length, axis) = self.token_axis("seq", column_name, column, applied, layout, false);
                (InputSource::Tokens { length }, axis)
            }
            Some(tokens) => {
                let axis = self.new_axis("seq", Size::constant(tokens as i64));
                self.axes[axis.0 as usize].layout = Some(layout);
                let (data, tokenizer) = (column.data as u32, applied.tokenizer as u32);
                (InputSource::FixedTokens { data, column: column_name.to_owned(), tokenizer, tokens }, axis)
            }
        };
        let seen = match &masking {
            Some(masking) => InputSource::Masked { of: Box::new(source.clone()), masking: masking.clone() },
            None => source.clone(),
        };
        let ids = self.input(name.clone(), seen, DType::I32, axis);
        let (data, tokenizer) = (column.data, applied.tokenizer);
        self.experiment.token_inputs.push(TokenInput { axis, ids: ids.clone(), name, source, masking, data, tokenizer });
        Some(ids)
    }
}
