//! Backbones that stand for one of several others, by the configuration of the checkpoint: `backbone any: match config("model_type") { "bert" => bert } {}`.

use mgx_diag::{Diagnostic, Span, nearest};

use super::Checker;
use super::expr::Scope;
use super::library::ItemRef;
use super::tokenizer::field_value;
use super::value::{Env, Value};
use crate::syntax::ast::{Arg, Backbone, Expr, ExprKind, ItemKind, Name};

/// An arm's pattern, none for `_`, and its backbone.
type Arm = (Option<Expr>, Expr);

/// What the declaration chooses by, and its arms; none where it names a network.
pub fn choice(backbone: &Backbone) -> Option<(&Expr, &[Arm])> {
    match &backbone.network.kind {
        ExprKind::Match(subject, arms) => Some((subject, arms)),
        _ => None,
    }
}

impl Checker<'_> {
    /// The backbone that a call of a choice means: the checkpoint is that of the option `weights`, or the declaration's.
    pub fn chosen_backbone(&mut self, item: ItemRef, args: &[Arg], span: Span, scope: &mut Scope) -> Option<ItemRef> {
        let handle = self.library.item(item);
        let ItemKind::Backbone(backbone) = &handle.kind else { return None };
        let (subject, arms) = choice(backbone)?;
        let mut own = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
        let given = args.iter().find(|arg| arg.name.as_ref().is_some_and(|name| name.text == "weights"));
        let (weights, place) = match (given, field_value(&backbone.body, "weights")) {
            (Some(arg), _) => (self.eval(&arg.value, scope), arg.value.span),
            (None, Some(expr)) => (self.eval(expr, &mut own), span),
            (None, None) => (Value::None, span),
        };
        let weights = match weights {
            Value::Weights(weights) => Some(weights),
            Value::Error => return None,
            _ => None,
        };
        self.use_folder(weights.as_ref(), true, place)?;
        if self.config.is_none() {
            self.needs_configuration(&handle.name.text, place);
            return None;
        }
        let subject = self.eval(subject, &mut own);
        self.config = None;
        self.weights_folder = None;
        let found = match subject {
            Value::Str(Some(text)) => text,
            Value::Error => return None,
            other => {
                let message = format!("a backbone is chosen by a text, not by {}", other.describe());
                self.report(Diagnostic::error("E0304", message).label(backbone.network.span, "chosen here"));
                return None;
            }
        };
        let Some((_, arm)) = arms.iter().find(|(pattern, _)| pattern.as_ref().is_none_or(|pattern| word(pattern) == Some(&found))) else {
            let known: Vec<&str> = arms.iter().filter_map(|(pattern, _)| word(pattern.as_ref()?)).collect();
            let message = format!("`{}` has no network for checkpoints of the type `{found}`", handle.name.text);
            let help = match nearest(&found, known.iter().copied()) {
                Some(near) => format!("the nearest that it knows is `{near}`; it knows {}", known.join(", ")),
                None => format!("it knows {}", known.join(", ")),
            };
            self.report(Diagnostic::error("E0325", message).label(place, format!("its `config.json` says `{found}`")).help(help));
            return None;
        };
        self.arm(arm, &handle.name, &mut own)
    }

    /// Says that a backbone needs a checkpoint with a configuration.
    pub fn needs_configuration(&mut self, name: &str, place: Span) {
        let message = format!("`{name}` has the sizes of a checkpoint, and none is given that can be read here");
        let diagnostic = Diagnostic::error("E0315", message).label(place, "needs a folder of weights with its configuration");
        self.report(diagnostic.help("give it a folder with a `config.json`: `weights = folder(\"models/…\")`"));
    }

    /// Checks that all arms are backbones, and that the declaration says nothing that they say.
    pub fn check_choice(&mut self, item: ItemRef, backbone: &Backbone, name: &Name) {
        for field in backbone.body.fields.iter().filter(|field| field.name.text != "weights") {
            let message = format!("`{}` stands for one of several backbones, which have their own `{}`", name.text, field.name.text);
            self.report(
                Diagnostic::error("E0321", message)
                    .label(field.name.span, "not taken")
                    .help("remove it")
                    .fix("Remove it", self.library.without_line(field.span)),
            );
        }
        let Some((_, arms)) = choice(backbone) else { return };
        for (_, arm) in arms {
            let mut scope = Scope { file: item.file, env: Env::default(), experiment: false, instance: None };
            self.arm(arm, name, &mut scope);
        }
    }

    fn arm(&mut self, arm: &Expr, name: &Name, scope: &mut Scope) -> Option<ItemRef> {
        match self.eval(arm, scope) {
            Value::Item(item) if self.is_network(item) => Some(item),
            Value::Error => None,
            _ => {
                let message = format!("`{}` stands for one of several backbones, and this is none", name.text);
                let diagnostic = Diagnostic::error("E0321", message).label(arm.span, "not a backbone with a network of its own");
                self.report(diagnostic.help("name a declaration `backbone name: Network(…) { … }`, without arguments"));
                None
            }
        }
    }

    /// Is it a backbone that is not a choice itself?
    fn is_network(&self, item: ItemRef) -> bool {
        matches!(&self.library.item(item).kind, ItemKind::Backbone(backbone) if choice(backbone).is_none())
    }
}

fn word(pattern: &Expr) -> Option<&str> {
    match &pattern.kind {
        ExprKind::Name(text) | ExprKind::Str(text) => Some(text),
        _ => None,
    }
}
