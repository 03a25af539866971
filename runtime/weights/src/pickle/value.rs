//! What a pickle can build.

use crate::dtype::Dtype;

/// A value of the machine, by its place in the list of all values. Copying it shares the value, as Python does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub u32);

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits: little-endian two's complement.
    BigInt(&'a [u8]),
    Float(f64),
    /// A float as text or a string of bytes: carried along, never looked at.
    Opaque,
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// A dict or an OrderedDict, in order of insertion.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// Something with a name that is not on the list, or what a call of it would give, by its index in the machine's strangers. It is never made.
    Stranger(usize),
    /// Index in the machine's storages.
    Storage(usize),
    /// Index in the machine's tensors.
    Tensor(usize),
}

/// A name that is not on the list.
#[derive(Clone, Debug)]
pub(crate) struct Stranger<'a> {
    pub module: &'a str,
    pub name: &'a str,
    /// Byte of the pickle where it is named.
    pub at: usize,
}

/// Everything a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    /// The class of a storage; none: `UntypedStorage`, whose size is in bytes.
    Storage(Option<Dtype>),
    Dtype(Dtype),
}

impl Global {
    /// The meaning of a module and a name, if it is on the list.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensorV2),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::RebuildTensorV3),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch.storage" | "torch", "UntypedStorage") => Some(Self::Storage(None)),
            ("torch", name) => TYPES.iter().find_map(|(storage, dtype_name, dtype)| match name {
                _ if name == *storage && !storage.is_empty() => Some(Self::Storage(Some(*dtype))),
                _ if name == *dtype_name => Some(Self::Dtype(*dtype)),
                _ => None,
            }),
            _ => None,
        }
    }
}

/// Storage classes and dtypes of the module `torch`. Types without a storage class are written with `_rebuild_tensor_v3`.
const TYPES: [(&str, &str, Dtype); 19] = [
    ("DoubleStorage", "float64", Dtype::F64),
    ("FloatStorage", "float32", Dtype::F32),
    ("HalfStorage", "float16", Dtype::F16),
    ("BFloat16Storage", "bfloat16", Dtype::BF16),
    ("LongStorage", "int64", Dtype::I64),
    ("IntStorage", "int32", Dtype::I32),
    ("ShortStorage", "int16", Dtype::I16),
    ("CharStorage", "int8", Dtype::I8),
    ("ByteStorage", "uint8", Dtype::U8),
    ("BoolStorage", "bool", Dtype::BOOL),
    ("ComplexFloatStorage", "complex64", Dtype::C64),
    ("ComplexDoubleStorage", "complex128", Dtype::C128),
    ("", "uint16", Dtype::U16),
    ("", "uint32", Dtype::U32),
    ("", "uint64", Dtype::U64),
    ("", "float8_e4m3fn", Dtype::F8_E4M3),
    ("", "float8_e5m2", Dtype::F8_E5M2),
    ("", "float8_e4m3fnuz", Dtype::F8_E4M3FNUZ),
    ("", "float8_e5m2fnuz", Dtype::F8_E5M2FNUZ),
];

/// A storage as the pickle names it; its bytes are elsewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    pub key: &'a str,
    pub bytes: u64,
    /// Bytes of an element of its class; 1 for `UntypedStorage`.
    pub element_bytes: u64,
    pub dtype: Option<Dtype>,
}

/// A tensor over a storage, all of it within the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawTensor {
    /// Index in the machine's storages.
    pub storage: usize,
    pub dtype: Dtype,
    /// Bytes from the start of the storage to the first element.
    pub byte_offset: u64,
    pub shape: Vec<u64>,
    /// In elements.
    pub strides: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_are_found() {
        assert_eq!(Global::find("torch", "FloatStorage"), Some(Global::Storage(Some(Dtype::F32))));
        assert_eq!(Global::find("torch", "bfloat16"), Some(Global::Dtype(Dtype::BF16)));
        for (module, name) in
            [("os", "system"), ("torch", ""), ("torch", "load"), ("torch._utils", "_rebuild_tensor"), ("builtins", "eval")]
        {
            assert_eq!(Global::find(module, name), None, "{module}.{name}");
        }
    }
}
