//! Storages, tensors and parameters: the calls a pickle may make.

use mgx_diag::Diagnostic;

use super::machine::Machine;
use super::value::{Global, Id, Node, RawTensor, Storage};
use crate::dtype::Dtype;
use crate::tensor::checked_span;

/// Most axes that torch allows.
const MAX_AXES: usize = 64;

impl<'a> Machine<'a> {
    /// BINPERSID: `('storage', class, key, device, size)`, in the old format with a sixth item (a view, always none today).
    pub(super) fn persistent(&mut self) -> Result<(), Diagnostic> {
        let id = self.pop()?;
        let items = self.sequence(id)?;
        let (&[tag, class, key, _device, size] | &[tag, class, key, _device, size, _]) = items.as_slice() else {
            return Err(self.place().malformed("a reference that is no storage"));
        };
        if !matches!(self.built.node(tag), Node::Text("storage")) {
            return Err(self.place().malformed("a reference that is no storage"));
        }
        if items.get(5).is_some_and(|view| !matches!(self.built.node(*view), Node::None)) {
            return Err(self.place().refused("a storage that is a view of another storage"));
        }
        let (Node::Global(Global::Storage(dtype)), Node::Text(key)) = (self.built.node(class), self.built.node(key)) else {
            return Err(self.place().malformed("a storage without class or key"));
        };
        let (dtype, key) = (*dtype, *key);
        let element_bytes = dtype.and_then(Dtype::bytes).unwrap_or(1);
        let bytes = self.number(size)?.checked_mul(element_bytes).ok_or_else(|| self.place().malformed("a storage of impossible size"))?;
        self.push_storage(Storage { key, bytes, element_bytes, dtype })
    }

    /// A storage is written once and named as often as there are tensors over it.
    fn push_storage(&mut self, storage: Storage<'a>) -> Result<(), Diagnostic> {
        let index = match self.built.storage_by_key.get(storage.key) {
            Some(index) if self.built.storages.get(*index).is_some_and(|known| known.bytes == storage.bytes) => *index,
            Some(_) => return Err(self.place().malformed("a storage that has two sizes")),
            None => {
                self.spend(1)?;
                self.built.storages.push(storage.clone());
                self.built.storage_by_key.insert(storage.key, self.built.storages.len() - 1);
                self.built.storages.len() - 1
            }
        };
        self.push(Node::Storage(index))
    }

    /// REDUCE: calls a name on the list.
    pub(super) fn reduce(&mut self) -> Result<(), Diagnostic> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let function = match *self.built.node(function) {
            Node::Global(function) => function,
            // What it would give is as strange.
            Node::Stranger(_) => return self.push_id(function),
            _ => return Err(self.place().malformed("a call of something that is no name")),
        };
        let arguments = self.sequence(arguments)?;
        match (function, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.push(Node::Dict(Vec::new())),
            (Global::OrderedDict, [items]) => self.dict_of_pairs(*items),
            (Global::RebuildTensorV2, [storage, offset, shape, strides, rest @ ..]) if (2..=3).contains(&rest.len()) => {
                self.tensor(*storage, *offset, *shape, *strides, None)
            }
            (Global::RebuildTensorV3, [storage, offset, shape, strides, _, _, dtype, rest @ ..]) if rest.len() <= 1 => {
                let Node::Global(Global::Dtype(dtype)) = *self.built.node(*dtype) else {
                    return Err(self.place().malformed("a tensor without type"));
                };
                self.tensor(*storage, *offset, *shape, *strides, Some(dtype))
            }
            (Global::RebuildParameter, [data, _requires_grad, _hooks]) => match self.built.node(*data) {
                Node::Tensor(_) => self.push_id(*data),
                _ => Err(self.place().malformed("a parameter that is no tensor")),
            },
            _ => Err(self.place().malformed("a call with the wrong arguments")),
        }
    }

    fn dict_of_pairs(&mut self, items: Id) -> Result<(), Diagnostic> {
        let mut pairs = Vec::new();
        for item in self.sequence(items)? {
            match self.sequence(item)?.as_slice() {
                [key, value] => pairs.push((*key, *value)),
                _ => return Err(self.place().malformed("a dictionary's item that is no pair")),
            }
        }
        self.push(Node::Dict(pairs))
    }

    fn tensor(&mut self, storage: Id, offset: Id, shape: Id, strides: Id, dtype: Option<Dtype>) -> Result<(), Diagnostic> {
        let Node::Storage(storage) = *self.built.node(storage) else {
            return Err(self.place().malformed("a tensor without storage"));
        };
        let (offset, shape, strides) = (self.number(offset)?, self.numbers(shape)?, self.numbers(strides)?);
        let outside = || self.place().outside(&shape, offset, &strides);
        let known = self.built.storages.get(storage).ok_or_else(outside)?;
        let dtype = dtype.or(known.dtype).ok_or_else(|| self.place().malformed("a tensor without type"))?;
        let size = dtype.bytes().ok_or_else(outside)?;
        let byte_offset = offset.checked_mul(size).ok_or_else(outside)?;
        let span = checked_span(&shape, &strides).and_then(|elements| elements.checked_mul(size)).ok_or_else(outside)?;
        if byte_offset.checked_add(span).is_none_or(|end| end > known.bytes) {
            return Err(outside());
        }
        self.built.tensors.push(RawTensor { storage, dtype, byte_offset, shape, strides });
        self.push(Node::Tensor(self.built.tensors.len() - 1))
    }

    /// The elements of a tuple or a list. Copied, so counted.
    fn sequence(&mut self, id: Id) -> Result<Vec<Id>, Diagnostic> {
        let items = match self.built.node(id) {
            Node::Tuple(items) | Node::List(items) => items.clone(),
            _ => return Err(self.place().malformed("something that should be a tuple")),
        };
        self.spend(items.len())?;
        Ok(items)
    }

    fn number(&self, id: Id) -> Result<u64, Diagnostic> {
        match self.built.node(id) {
            Node::Int(value) => u64::try_from(*value).map_err(|_| self.place().malformed("a negative size, offset or stride")),
            _ => Err(self.place().malformed("something that should be a number")),
        }
    }

    /// Sizes or strides.
    fn numbers(&mut self, id: Id) -> Result<Vec<u64>, Diagnostic> {
        let items = self.sequence(id)?;
        if items.len() > MAX_AXES {
            return Err(self.place().malformed("a tensor of too many axes"));
        }
        items.into_iter().map(|item| self.number(item)).collect()
    }
}

impl super::Place<'_> {
    /// `E0909`: a tensor that is not within its storage.
    fn outside(self, shape: &[u64], offset: u64, strides: &[u64]) -> Diagnostic {
        let what = format!("shape {shape:?}, offset {offset}, strides {strides:?}");
        Diagnostic::error(
            "E0909",
            format!("`{}`: the pickle has a tensor at byte {} that is not within its storage: {what}", self.file, self.at),
        )
        .help("the file is damaged: fetch or export it again")
    }
}
