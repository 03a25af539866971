//! Tokens as labels: a second column along the tokens of the first, and tokens that are hidden from the network.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::{BinaryOp, DType, Op};
use mgx_ir::plan::{ColumnKind, InputSource, InputSpec, MaskSpec};

use super::Checker;
use super::expr::Scope;
use super::target::Wanted;
use super::value::{AxisRef, Column, Masking, Tensor, Value};
use crate::syntax::ast::AxisExpr;

/// Token ids that a network reads.
#[derive(Clone, Debug)]
pub struct TokenInput {
    /// Their axis.
    pub axis: AxisRef,
    /// As the network sees them: i[seq].
    pub ids: Tensor,
    /// The input's name.
    pub name: String,
    /// Where they come from, before any is masked.
    pub source: InputSource,
    pub masking: Option<MaskSpec>,
    pub data: usize,
    pub tokenizer: usize,
}

impl TokenInput {
    /// The name of the input of another column's tokens along these.
    pub fn target_name(&self, column: &str) -> String {
        format!("{}.{column}.target", self.name)
    }

    /// The name of the input of what is hidden.
    pub fn hidden_name(&self) -> String {
        format!("{}.hidden", self.name)
    }
}

impl Checker<'_> {
    /// What hides tokens of a column from a network, with the tokenizer's numbers for it.
    pub fn mask_spec(&mut self, masking: &Masking, tokenizer: usize) -> Option<MaskSpec> {
        let spec = &self.experiment.tokenizers[tokenizer];
        let Some(mask) = spec.mask() else {
            let name = spec.name.clone();
            self.no_mask(&name, masking.span);
            return None;
        };
        Some(MaskSpec {
            seed: self.experiment.seed,
            rate: masking.rate,
            keep: masking.keep,
            random: masking.random,
            copies: masking.copies,
            mask,
            special: spec.special_tokens(),
            vocabulary: spec.vocabulary.len() as u32,
        })
    }

    /// The tokens along an axis.
    pub fn tokens_along(&self, axis: AxisRef) -> Option<TokenInput> {
        let root = self.root(axis);
        self.experiment.token_inputs.iter().find(|tokens| tokens.axis == axis || tokens.axis == root).cloned()
    }

    /// `noise_level(seq)`: the share of the tokens along an axis that were to be hidden by noise, f[]; 1 where none was drawn.
    pub fn noise_level(&mut self, axis: AxisRef, place: Span) -> Option<Tensor> {
        let Some(tokens) = self.tokens_along(axis) else {
            self.no_tokens(axis, place);
            return None;
        };
        let Some(masking) = tokens.masking.filter(|masking| masking.copies.is_some()) else {
            return Some(self.constant(1.0, DType::F32));
        };
        let name = format!("{}.level", tokens.name);
        let source = InputSource::NoiseLevel { of: Box::new(tokens.source), masking };
        self.add_input(&name, source);
        Some(self.emit(Op::Input { name }, &[], DType::F32, Vec::new(), true))
    }

    /// `masked(seq)`: which tokens along an axis are hidden from the network: those that were chosen where `mask_tokens` chose, else those that are masks and
    /// are not filled in yet.
    pub fn masked(&mut self, axis: AxisRef, place: Span) -> Option<Tensor> {
        let Some(mut tokens) = self.tokens_along(axis) else {
            self.no_tokens(axis, place);
            return None;
        };
        let found = match tokens.masking.take() {
            Some(masking) if masking.copies.is_none() => {
                let name = format!("{}.chosen", tokens.name);
                let source = InputSource::Chosen { of: Box::new(tokens.source), masking };
                let chosen = self.token_labels(&name, source, tokens.axis);
                self.cast(&chosen, DType::Bool)
            }
            masking => {
                let name = tokens.hidden_name();
                // A tokenizer without a mask has a number for it that no token has.
                let mask = self.experiment.tokenizers[tokens.tokenizer].mask().unwrap_or(-1);
                let read = match masking {
                    Some(masking) => InputSource::Masked { of: Box::new(tokens.source), masking },
                    None => tokens.source,
                };
                let hidden = self.token_labels(&name, InputSource::Hidden { of: Box::new(read), mask }, tokens.axis);
                self.cast(&hidden, DType::Bool)
            }
        };
        Some(if tokens.axis == axis { found } else { self.rename(&found, &[(tokens.axis, axis)]) })
    }

    /// A column of sequences for `target: tokens[seq]`: its tokens along those that the network reads, i[seq].
    pub fn token_target(&mut self, column: &Column, param: &Wanted<'_>, scope: &mut Scope) -> Option<(String, Tensor)> {
        let spec = self.experiment.tables[column.data].spec.columns[column.column].clone();
        let [AxisExpr::Size(expr)] = param.axes else {
            let diagnostic = Diagnostic::error("E0509", "tokens as a label have one axis: `tokens[seq]`");
            self.report(diagnostic.label(param.place, "this label is given for it"));
            return None;
        };
        let axis = match self.eval(expr, scope) {
            Value::Int { axis: Some(axis), .. } => axis,
            Value::Error => return None,
            other => {
                self.not_a_size(&other, expr.span);
                return None;
            }
        };
        let ColumnKind::Sequence { .. } = spec.kind else {
            let diagnostic =
                Diagnostic::error("E0319", format!("the label of `{}` is a sequence, and `{}` is none", param.task, spec.name));
            self.report(diagnostic.label(param.place, "given as its label").label(column.span, "declared here"));
            return None;
        };
        let Some(tokens) = self.tokens_along(axis) else {
            self.no_tokens(axis, param.place);
            return None;
        };
        if let Some(masking) = &column.masking {
            let diagnostic = Diagnostic::error("E0572", "a label is never masked").label(masking.span, "masked here");
            self.report(diagnostic.label(param.place, "given as a label").help("give the task the column as it is in the table"));
            return None;
        }
        let source = match &tokens.source {
            InputSource::Tokens { length } => InputSource::TokensAlong { length: *length, column: spec.name.clone() },
            InputSource::FixedTokens { tokenizer, tokens, data, .. } => {
                InputSource::FixedTokens { data: *data, column: spec.name.clone(), tokenizer: *tokenizer, tokens: *tokens }
            }
            _ => {
                self.no_tokens(axis, param.place);
                return None;
            }
        };
        let name = tokens.target_name(&spec.name);
        let target = self.token_labels(&name, source, tokens.axis);
        let target = self.without_masks(&target, tokens.tokenizer);
        let target = if tokens.axis == axis { target } else { self.rename(&target, &[(tokens.axis, axis)]) };
        Some((spec.name, target))
    }

    /// A mask in a label stands for what nobody knows: -1.
    fn without_masks(&mut self, target: &Tensor, tokenizer: usize) -> Tensor {
        let Some(mask) = self.experiment.tokenizers[tokenizer].mask() else { return target.clone() };
        let mask = self.constant(f64::from(mask), DType::I32);
        let is_mask = self.binary(BinaryOp::Eq, target, &mask);
        let unknown = self.constant(-1.0, DType::I32);
        self.select(&is_mask, &unknown, target)
    }

    /// An input of the graph with a whole number for each token.
    fn token_labels(&mut self, name: &str, source: InputSource, axis: AxisRef) -> Tensor {
        self.add_input(name, source);
        self.emit(Op::Input { name: name.to_owned() }, &[], DType::I32, vec![axis], true)
    }

    fn add_input(&mut self, name: &str, source: InputSource) {
        if !self.experiment.inputs.iter().any(|input| input.name == name) {
            self.experiment.inputs.push(InputSpec { name: name.to_owned(), source });
        }
    }
}
