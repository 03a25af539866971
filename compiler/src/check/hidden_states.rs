//! Hidden states that a backbone gives besides its result: `hidden_states = [0, 3, -1]`. State 0 is what goes into the first of the parts `layer`, state k what comes out of the k-th;
//! the last one is what the encoder with these layers makes of it, as the public implementations count.

use std::rc::Rc;

use mgx_diag::{Diagnostic, Span};

use super::Checker;
use super::call::Callee;
use super::expr::Scope;
use super::invoke::member_function;
use super::value::{Instance, Value};
use crate::syntax::ast::{ItemKind, Name};

/// What is taken down while a backbone is applied.
#[derive(Debug, Default)]
pub struct Recording {
    /// Is a backbone applied that was asked for its states?
    pub asked: bool,
    /// Functions of parts that are being evaluated, one in the other.
    depth: usize,
    states: Option<States>,
}

/// The states of the layers, by the axes of the part whose function is evaluated at `depth`.
#[derive(Debug)]
struct States {
    values: Vec<Value>,
    depth: usize,
    /// The depth where the part's `state` was last asked what is given out.
    given_at: Option<usize>,
    /// The encoder that has the layers has not returned yet.
    inside: bool,
}

impl Checker<'_> {
    /// A function of a part begins.
    pub fn enter_states(&mut self) {
        self.recording.depth += 1;
    }

    /// A function of a part ends with `value`: what was taken down is seen by the axes outside it.
    pub fn leave_states(&mut self, instance: &Instance, value: &Value) {
        let depth = self.recording.depth;
        self.recording.depth = depth - 1;
        let Some(mut states) = self.recording.states.take_if(|states| states.depth == depth) else { return };
        let outer = instance.outer.borrow().clone();
        for state in &mut states.values {
            if let Value::Tensor(tensor) = state {
                *state = Value::Tensor(self.rename(tensor, &outer));
            }
        }
        if std::mem::take(&mut states.inside)
            && let (Value::Tensor(_), Some(last)) = (value, states.values.last_mut())
        {
            *last = value.clone();
        }
        states.depth = depth - 1;
        self.recording.states = Some(states);
    }

    /// Takes down what goes into repeated parts and comes out of each, if they are the layers that are asked for: the first parts called `layer`.
    pub fn record_states(&mut self, parts: &[Rc<Instance>], values: &[Value], scope: &Scope, span: Span) {
        let Some(owner) = scope.instance.as_ref().filter(|_| self.recording.asked && self.recording.states.is_none()) else { return };
        if parts.first().is_none_or(|part| part.path != format!("{}.layer[0]", owner.path)) {
            return;
        }
        let depth = self.recording.depth;
        self.recording.states = Some(States { values: values.to_vec(), depth, given_at: None, inside: true });
        self.give_states(scope, span);
    }

    /// A module's function `state(x, …)` says what of a state it gives out (the tokens of the query, say); its other parameters are those of `forward`.
    pub fn give_states(&mut self, scope: &Scope, span: Span) {
        let depth = self.recording.depth;
        let Some(owner) = scope.instance.clone() else { return };
        let Some(mut states) = self.recording.states.take_if(|states| states.depth == depth && states.given_at != Some(depth)) else {
            return;
        };
        states.given_at = Some(depth);
        let handle = self.library.item(owner.item);
        if let ItemKind::Module(module) = &handle.kind
            && let Some(function) = member_function(module, "state")
        {
            for state in &mut states.values {
                let mut args = vec![(None, state.clone(), span)];
                for param in function.params.iter().skip(1) {
                    if let Some(value) = scope.env.get(&param.name.text) {
                        args.push((Some(Name { text: param.name.text.clone(), span }), value.clone(), span));
                    }
                }
                *state = self.call_function(Callee { function, name: "state", file: owner.item.file, instance: Some(&owner) }, args, span);
            }
        }
        self.recording.states = Some(states);
    }

    /// A backbone's result with the states that its option `hidden_states` names: a record, of which `hidden_states` is a record of `layer_3`, ….
    pub fn with_states(&mut self, value: Value, wanted: &Value, place: Span) -> Value {
        let recording = std::mem::take(&mut self.recording);
        let Value::List(wanted) = wanted else { return value };
        if value.is_error() {
            return value;
        }
        let Some(States { values, .. }) = recording.states else {
            let diagnostic =
                Diagnostic::error("E0331", "this network has no repeated part `layer`, and so no hidden states to choose from");
            self.report(diagnostic.label(place, "asked for here").help("remove `hidden_states`"));
            return Value::Error;
        };
        let last = values.len() as i64 - 1;
        let mut states: Vec<(String, Value)> = Vec::new();
        for number in wanted.iter() {
            let Value::Int { size, .. } = number else { continue };
            let number = size.as_constant().map(|number| if number < 0 { last + 1 + number } else { number });
            match number.and_then(|number| Some((number, values.get(usize::try_from(number).ok()?)?))) {
                Some((number, state)) => {
                    let name = format!("layer_{number}");
                    if !states.iter().any(|(other, _)| *other == name) {
                        states.push((name, state.clone()));
                    }
                }
                None => {
                    let message = format!("there is no hidden state {size}: the network has {last} layers");
                    let diagnostic = Diagnostic::error("E0331", message).label(place, "asked for here");
                    self.report(diagnostic.help(format!("0 is what goes into the first layer, {last} (or -1) what the last one gives")));
                    return Value::Error;
                }
            }
        }
        let mut fields = match value {
            Value::Record(fields) => fields.to_vec(),
            value => vec![("hidden".to_owned(), value)],
        };
        fields.push(("hidden_states".to_owned(), Value::Record(Rc::new(states))));
        Value::Record(Rc::new(fields))
    }
}
