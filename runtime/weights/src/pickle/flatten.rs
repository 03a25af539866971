//! From nested dictionaries to named tensors.

use mgx_diag::Diagnostic;

use super::Place;
use super::machine::Pickled;
use super::value::{Id, Node, RawTensor};

/// Containers within containers; a checkpoint has three or four.
const MAX_DEPTH: usize = 32;
/// Values looked at; values that are shared count each time.
const MAX_VISITS: usize = 4_000_000;
/// Letters of one key, and of all keys.
const MAX_KEY: usize = 4096;
const MAX_KEYS: usize = 256 << 20;

/// A tensor, or a single number, and its key.
pub(crate) struct NamedTensor<'p> {
    pub key: String,
    pub value: Stored<'p>,
}

/// What stands under a key.
pub(crate) enum Stored<'p> {
    Tensor(&'p RawTensor),
    /// A number of Python, as tasks keep one beside the tensors of their state dict.
    Number(f64),
}

/// All tensors of a pickle by the path to them, joined by dots; list elements are numbered from 0. If the outermost dictionary
/// has a dictionary `state_dict` (as PyTorch Lightning writes), that alone is taken: the rest is the state of a training run, with objects of classes that nobody
/// here knows. `E0906` if there is such an object in what is taken; `E0905` if the pickle holds no dictionary.
pub(crate) fn named_tensors<'p>(file: &str, pickled: &'p Pickled<'_>) -> Result<Vec<NamedTensor<'p>>, Diagnostic> {
    if let Node::Stranger(index) = pickled.root() {
        return Err(pickled.refused(file, *index));
    }
    let Node::Dict(root) = pickled.root() else {
        return Err(Diagnostic::error("E0905", format!("`{file}` holds no dictionary of tensors"))
            .help("save a state dict: torch.save(model.state_dict(), path)"));
    };
    let state_dict = root.iter().rev().find_map(|(key, value)| match (pickled.node(*key), pickled.node(*value)) {
        (Node::Text("state_dict"), Node::Dict(inner)) => Some(inner),
        _ => None,
    });
    let is_state_dict = state_dict.is_some();
    let mut walk = Walk {
        place: Place { file, at: pickled.end },
        pickled,
        key: String::new(),
        found: Vec::new(),
        visits: 0,
        letters: 0,
        is_state_dict,
    };
    walk.dict(state_dict.unwrap_or(root), 0)?;
    Ok(walk.found)
}

struct Walk<'p, 'a, 'f> {
    place: Place<'f>,
    pickled: &'p Pickled<'a>,
    /// The path so far.
    key: String,
    found: Vec<NamedTensor<'p>>,
    visits: usize,
    letters: usize,
    is_state_dict: bool,
}

impl Walk<'_, '_, '_> {
    fn dict(&mut self, items: &[(Id, Id)], depth: usize) -> Result<(), Diagnostic> {
        for (key, value) in items {
            self.count()?;
            match *self.pickled.node(*key) {
                Node::Text(text) => self.within(text, *value, depth)?,
                Node::Int(number) => self.within(&number.to_string(), *value, depth)?,
                // Other keys name no tensor.
                _ => {}
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Diagnostic> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(self.place.too_large(&format!("more than {MAX_VISITS} values, those that are shared counted each time")));
        }
        Ok(())
    }

    /// Visits a value under one more part of the path.
    fn within(&mut self, part: &str, value: Id, depth: usize) -> Result<(), Diagnostic> {
        let length = self.key.len();
        if length + part.len() >= MAX_KEY {
            return Err(self.place.too_large(&format!("a key of more than {MAX_KEY} letters")));
        }
        if length > 0 {
            self.key.push('.');
        }
        self.key.push_str(part);
        self.visit(value, depth + 1)?;
        self.key.truncate(length);
        Ok(())
    }

    fn visit(&mut self, value: Id, depth: usize) -> Result<(), Diagnostic> {
        self.count()?;
        if depth > MAX_DEPTH {
            return Err(self.place.too_large(&format!("containers nested more than {MAX_DEPTH} deep")));
        }
        let pickled = self.pickled;
        match pickled.node(value) {
            Node::Dict(items) => self.dict(items, depth),
            Node::List(items) | Node::Tuple(items) => {
                items.iter().enumerate().try_for_each(|(index, item)| self.within(&index.to_string(), *item, depth))
            }
            Node::Stranger(index) => Err(pickled.refused(self.place.file, *index)),
            Node::Tensor(index) => {
                self.letters += self.key.len();
                if self.letters > MAX_KEYS {
                    return Err(self.place.too_large("its keys"));
                }
                if let Some(tensor) = pickled.tensors.get(*index) {
                    self.found.push(NamedTensor { key: self.key.clone(), value: Stored::Tensor(tensor) });
                }
                Ok(())
            }
            Node::Float(number) if self.is_state_dict && depth == 1 => {
                self.found.push(NamedTensor { key: self.key.clone(), value: Stored::Number(*number) });
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
