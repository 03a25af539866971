//! A pickle reader that can only build tensors.
//!
//! Pickle is a program for a stack machine, and loading one with Python runs whatever it says. This machine knows the
//! operations that `torch.save` uses and a fixed list of names ([`Global`](value::Global)); every other operation is refused by its name. Another name stays
//! a name, whatever is done with it ([`Stranger`](value::Stranger)), and is refused where tensors are looked for in it: beside the state dict of a training checkpoint
//! it does no harm. The machine cannot call, import or allocate anything else: its memory is bounded by a constant times the bytes of the pickle, and by fixed limits.
//! The operations are those of CPython's `pickletools`; the names are those of `torch/_utils.py` and `torch/storage.py`.

mod flatten;
mod machine;
mod opcode;
mod reader;
mod rebuild;
mod value;

pub(crate) use flatten::{Stored, named_tensors};
pub(crate) use machine::{Machine, Pickled};
pub(crate) use value::Node;

use mgx_diag::Diagnostic;

/// Largest pickle that is read. Pickles hold names and shapes, not data: a model of 200 000 tensors needs about 40 MB.
pub(crate) const MAX_PICKLE_BYTES: usize = 64 << 20;

/// Where a fault is, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub file: &'a str,
    /// Byte of the pickle where the operation began.
    pub at: usize,
}

impl Place<'_> {
    /// `E0907`: the pickle contradicts itself.
    pub fn malformed(self, what: &str) -> Diagnostic {
        Diagnostic::error("E0907", format!("`{}`: the pickle is damaged at byte {}: {what}", self.file, self.at))
            .help("the file is damaged or was not written by torch.save: fetch or export it again")
    }

    /// `E0906`: the pickle asks for something that is not a tensor.
    pub fn refused(self, what: &str) -> Diagnostic {
        Diagnostic::error("E0906", format!("`{}`: refused {what} in the pickle at byte {}", self.file, self.at))
            .note("a pickle can run any code; only tensors, their containers and plain values are read from one")
            .help("in Python, save the state dict alone: safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")")
    }

    /// `E0908`: the pickle needs more than the limits allow.
    pub fn too_large(self, what: &str) -> Diagnostic {
        Diagnostic::error("E0908", format!("`{}`: the pickle is too large at byte {}: {what}", self.file, self.at))
            .help("no model needs this much; if this one does, save its state dict as safetensors")
    }
}
