//! `output filled = refill(scores, over = vocabulary)`: masks of the tokens that a network read are filled in, in one step or several.

use mgx_diag::{Diagnostic, Span};
use mgx_ir::graph::DType;
use mgx_ir::plan::{Alphabet, ColumnKind, FillSpec, InputSource, OutputKind};

use super::Checker;
use super::builtins::axis_of;
use super::expr::Scope;
use super::token_columns::TokenInput;
use super::value::{AxisRef, Tensor};
use crate::syntax::ast::{Arg, Expr, ExprKind, Name};

/// The options of `refill`.
pub(super) const OPTIONS: [&str; 5] = ["over", "steps", "best", "sample", "special"];
/// So many of the best tokens are written where the task does not say.
const BEST: u64 = 1;

/// The arguments of `refill(…)`.
pub fn refill(expr: &Expr) -> Option<&[Arg]> {
    match &expr.kind {
        ExprKind::Call(callee, args) if matches!(&callee.kind, ExprKind::Name(name) if name == "refill") => Some(args),
        _ => None,
    }
}

impl Checker<'_> {
    /// The scores, each token of a row after the other, and how they fill in masks. `targets`: the label columns of the task.
    pub fn fill(&mut self, args: &[Arg], span: Span, targets: &[(String, String)], scope: &mut Scope) -> Option<(Tensor, OutputKind)> {
        let [scores, options @ ..] = args else {
            return self.wrong_scores("`refill` takes scores of all tokens", span);
        };
        let option = |name: &str| options.iter().find(|arg| arg.name.as_ref().is_some_and(|other| other.text == name));
        self.only_options("refill", "one value", options, &OPTIONS)?;
        let value = self.eval(&scores.value, scope);
        let tensor = self.operand(&value, Some(DType::F32), scores.value.span)?;
        let Some(over) = option("over") else {
            return self.wrong_scores("`refill` needs the axis of the tokens that it chooses from: `over = vocabulary`", span);
        };
        let vocabulary = axis_of(self, &over.value, &tensor, scope)?;
        let positions = match tensor.axes.iter().filter(|axis| **axis != vocabulary).collect::<Vec<_>>()[..] {
            [positions] if tensor.per_sample && tensor.dtype == DType::F32 => *positions,
            _ => {
                let shown = self.show_tensor(&tensor);
                return self.wrong_scores(&format!("scores are `f[seq, vocabulary]`, and these are {shown}"), scores.value.span);
            }
        };
        let steps = option("steps").map_or(Some(1), |arg| self.positive(&arg.value, scope))?;
        let best = option("best").map_or(Some(BEST), |arg| self.whole(&arg.value, scope))?;
        let sample = option("sample").map_or(Some(false), |arg| self.truth(&arg.value, scope))?;
        let special = option("special").map_or(Some(false), |arg| self.truth(&arg.value, scope))?;
        let Some(tokens) = self.tokens_along(positions) else {
            self.no_tokens(positions, scores.value.span);
            return None;
        };
        let spec = self.experiment.tokenizers[tokens.tokenizer].clone();
        let Some(mask) = spec.mask() else {
            self.no_mask(&spec.name, span);
            return None;
        };
        if let Some(size) = self.axis_size(vocabulary).as_constant()
            && size < spec.vocabulary.len() as i64
        {
            let message = format!("{size} scores for each token, and the tokenizer `{}` has {} tokens", spec.name, spec.vocabulary.len());
            return self.wrong_scores(&message, scores.value.span);
        }
        let known = |input: &String| self.experiment.inputs.iter().any(|other| other.name == *input);
        let target = targets.iter().map(|(_, column)| tokens.target_name(column)).find(known);
        let words = self.alphabet_of(&tokens) == Some(Alphabet::Text);
        let spec = FillSpec {
            words,
            hidden: tokens.hidden_name(),
            input: tokens.name,
            target,
            tokenizer: tokens.tokenizer as u32,
            mask,
            steps,
            best,
            sample,
            never: if special { Vec::new() } else { spec.special_tokens() },
            seed: self.experiment.seed,
        };
        Some((self.permute(&tensor, vec![positions, vocabulary]), OutputKind::Filled(spec)))
    }

    /// The letters that the column of some tokens is made of.
    fn alphabet_of(&self, tokens: &TokenInput) -> Option<Alphabet> {
        let name = match &tokens.source {
            InputSource::Tokens { length } => &self.experiment.lengths.get(length.0 as usize)?.column,
            other => other.column()?,
        };
        let columns = &self.experiment.tables.get(tokens.data)?.spec.columns;
        match columns.iter().find(|column| column.name == *name)?.kind {
            ColumnKind::Sequence { alphabet, .. } => Some(alphabet),
            _ => None,
        }
    }

    fn wrong_scores<T>(&mut self, message: &str, span: Span) -> Option<T> {
        self.report(Diagnostic::error("E0575", message).label(span, "to fill in masks by").help(
            "give it a score of every token of the vocabulary at each token that was read: `refill(softmax(logits, over = vocabulary), over = vocabulary)`",
        ));
        None
    }

    /// A task fills in masks once.
    pub fn filled_twice(&mut self, name: &Name, first: &str) {
        let diagnostic = Diagnostic::error("E0576", "a task fills in masks once").label(name.span, "the second time");
        self.report(diagnostic.help(format!("write one output with `refill`; `{first}` is one already")));
    }

    /// The tokenizer of what is to be masked, or filled in, has no mask.
    pub fn no_mask(&mut self, tokenizer: &str, span: Span) {
        let message = format!("the tokenizer `{tokenizer}` has no token for what is masked");
        let diagnostic = Diagnostic::error("E0570", message).label(span, "masks are wanted here");
        let [one, other] = mgx_ir::plan::MASKS;
        self.report(diagnostic.help(format!("use a backbone whose vocabulary has `{one}` or `{other}`")));
    }

    /// Reports that an axis is not that of the tokens of a column.
    pub fn no_tokens(&mut self, axis: AxisRef, place: Span) {
        let shown = self.show_axis(axis);
        let diagnostic = Diagnostic::error("E0571", format!("the positions along `{shown}` are not the tokens of a column"));
        self.report(
            diagnostic
                .label(place, "tokens are wanted here")
                .help("give the task what a backbone makes of each token, such as `out.logits`, before it is pooled or cut"),
        );
    }
}
