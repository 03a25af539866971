//! Columns as inputs of backbones: the alphabets must agree, and the number of tokens is an axis.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{DType, Length, LengthId, Op};
use mgx_ir::plan::{Alphabet, ColumnKind, InputSource, InputSpec, LengthPolicy, LengthSpec};

use super::Checker;
use super::size::{Atom, Size};
use super::tokenizer::one_token_a_letter;
use super::value::{AppliedBackbone, Column, PendingBackbone, Tensor, TokenLayout, Value};

/// The word of an alphabet in a column's type.
fn alphabet_word(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::Dna => "dna",
        Alphabet::Rna => "rna",
        Alphabet::Protein => "protein",
        Alphabet::Text => "text",
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
        let ColumnKind::Sequence { alphabet, length, .. } = spec.kind else {
            self.report(
                Diagnostic::error("E0319", format!("`{}` is not a sequence", spec.name))
                    .label(place, "given to a backbone")
                    .label(column.span, "declared here"),
            );
            return Value::Error;
        };
        if alphabet != applied.alphabet {
            self.wrong_alphabet(&spec.name, alphabet, place, column.span, (&applied, backbone.span));
            return Value::Error;
        }
        let Some(ids) = self.token_input(column, &spec.name, length, &applied) else { return Value::Error };
        self.call_instance(&applied.instance, "forward", vec![(None, Value::Tensor(ids), place)], span)
    }

    fn wrong_alphabet(
        &mut self,
        name: &str,
        alphabet: Alphabet,
        place: Span,
        declared: Span,
        (applied, backbone): (&AppliedBackbone, Span),
    ) {
        let show = |alphabet: Alphabet| match alphabet {
            Alphabet::Dna => "DNA",
            Alphabet::Rna => "RNA",
            Alphabet::Protein => "protein",
            Alphabet::Text => "text",
        };
        let (has, reads) = (show(alphabet), show(applied.alphabet));
        // Where the backbone is one of the standard library, the user's naming of it says more than its declaration.
        let reader = if self.is_std_span(applied.alphabet_span) { backbone } else { applied.alphabet_span };
        let article = if reads == "RNA" { "an" } else { "a" };
        self.report(
            Diagnostic::error("E0320", format!("{article} {reads} backbone cannot read the {has} column `{name}`"))
                .label(place, format!("this is {has}"))
                .label(reader, format!("`{}` reads {reads}", applied.name))
                .label(declared, format!("declared {has} here"))
                .help(format!("use a backbone for {has}, or a column of {reads}")),
        );
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
                    && !columns.iter().any(|(_, _, other)| other == span)
                {
                    columns.push((column.name.clone(), alphabet_word(*alphabet), *span));
                }
            }
        }
        columns
    }

    /// The token ids of a column: an input of the graph, i[seq].
    fn token_input(&mut self, column: &Column, column_name: &str, length: Option<u64>, applied: &AppliedBackbone) -> Option<Tensor> {
        let tokenizer = &self.experiment.tokenizers[applied.tokenizer];
        let special = (tokenizer.prefix.len() + tokenizer.suffix.len()) as u64;
        let layout = TokenLayout { prefix: tokenizer.prefix.len() as u64, suffix: tokenizer.suffix.len() as u64 };
        let fixed = length.filter(|_| one_token_a_letter(tokenizer, applied.alphabet)).map(|letters| letters + special);
        let fixed =
            fixed.filter(|tokens| applied.policy == LengthPolicy::Truncate || applied.max_length.is_none_or(|most| *tokens <= most));
        let fixed = fixed.map(|tokens| applied.max_length.map_or(tokens, |most| tokens.min(most)));
        let name = format!("{}.{}.ids", applied.name, column_name);
        let (size, source) = match fixed {
            Some(tokens) => (
                Size::constant(tokens as i64),
                InputSource::FixedTokens {
                    data: column.data as u32,
                    column: column_name.to_owned(),
                    tokenizer: applied.tokenizer as u32,
                    tokens,
                },
            ),
            None => {
                let id = LengthId(self.experiment.lengths.len() as u32);
                self.experiment.lengths.push(LengthSpec {
                    name: column_name.to_owned(),
                    data: column.data as u32,
                    column: column_name.to_owned(),
                    tokenizer: applied.tokenizer as u32,
                    max_length: applied.max_length,
                    policy: applied.policy,
                });
                if let Some(emission) = self.emission.as_mut() {
                    emission.graph.lengths.push(Length { name: column_name.to_owned() });
                }
                (Size::atom(Atom::Length(id, column_name.to_owned())), InputSource::Tokens { length: id })
            }
        };
        let axis = self.new_axis("seq", size);
        self.axes[axis.0 as usize].layout = Some(layout);
        self.experiment.inputs.push(InputSpec { name: name.clone(), source });
        Some(self.emit(Op::Input { name }, &[], DType::I32, vec![axis], true))
    }
}
