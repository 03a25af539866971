//! Element types of stored tensors, and their conversion to `f32`.
//!
//! Every type that safetensors or torch can name is known here, so that a tensor that is not used does not stop a
//! checkpoint from being read; those that have no sensible `f32` value are only listed.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// The type of a stored tensor's elements.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum Dtype {
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
    C128,
}

use Dtype::{
    BF16, BOOL, C64, C128, F4, F6_E2M3, F6_E3M2, F8_E4M3, F8_E4M3FNUZ, F8_E5M2, F8_E5M2FNUZ, F8_E8M0, F16, F32, F64, I8, I16, I32, I64, U8,
    U16, U32, U64,
};

/// All types with their names in a safetensors header.
const NAMES: [(Dtype, &str); 23] = [
    (BOOL, "BOOL"),
    (F4, "F4"),
    (F6_E2M3, "F6_E2M3"),
    (F6_E3M2, "F6_E3M2"),
    (U8, "U8"),
    (I8, "I8"),
    (F8_E5M2, "F8_E5M2"),
    (F8_E4M3, "F8_E4M3"),
    (F8_E8M0, "F8_E8M0"),
    (F8_E4M3FNUZ, "F8_E4M3FNUZ"),
    (F8_E5M2FNUZ, "F8_E5M2FNUZ"),
    (I16, "I16"),
    (U16, "U16"),
    (F16, "F16"),
    (BF16, "BF16"),
    (I32, "I32"),
    (U32, "U32"),
    (F32, "F32"),
    (C64, "C64"),
    (F64, "F64"),
    (I64, "I64"),
    (U64, "U64"),
    (C128, "C128"),
];

impl Dtype {
    /// The type with this name in a safetensors header.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(dtype, _)| *dtype)
    }

    /// Its name in a safetensors header.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(dtype, _)| *dtype == self).map_or("?", |(_, name)| *name)
    }

    /// Bits of one element.
    pub const fn bits(self) -> u64 {
        match self {
            F4 => 4,
            F6_E2M3 | F6_E3M2 => 6,
            BOOL | U8 | I8 | F8_E5M2 | F8_E4M3 | F8_E8M0 | F8_E4M3FNUZ | F8_E5M2FNUZ => 8,
            I16 | U16 | F16 | BF16 => 16,
            I32 | U32 | F32 => 32,
            C64 | F64 | I64 | U64 => 64,
            C128 => 128,
        }
    }

    /// Bytes of one element; none for types whose elements are not whole bytes.
    pub const fn bytes(self) -> Option<u64> {
        if self.bits().is_multiple_of(8) { Some(self.bits() / 8) } else { None }
    }

    /// Bytes of `elements` elements, if that is a whole number that fits.
    pub fn bytes_of(self, elements: u64) -> Option<u64> {
        let bits = elements.checked_mul(self.bits())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// Has it `f32` values? Integers beyond 2²⁴ and 64-bit floats are rounded to the nearest; booleans are 0 and 1.
    pub const fn is_readable(self) -> bool {
        matches!(self, BOOL | U8 | I8 | I16 | U16 | F16 | BF16 | I32 | U32 | F32 | F64 | I64 | U64)
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Converts little-endian elements that lie one after another; converts as many as both sides hold.
/// Returns false, and writes nothing, for a type that is not readable.
pub(crate) fn cast(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> bool {
    match dtype {
        F32 => copy_f32(bytes, out),
        F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        F16 => cast_f16(bytes, out),
        BF16 => each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
        I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
        I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
        I8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
        U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
        U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
        U16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
        U8 => each(bytes, out, |b: [u8; 1]| f32::from(b[0])),
        BOOL => each(bytes, out, |b: [u8; 1]| f32::from(u8::from(b[0] != 0))),
        F4 | F6_E2M3 | F6_E3M2 | F8_E5M2 | F8_E4M3 | F8_E8M0 | F8_E4M3FNUZ | F8_E5M2FNUZ | C64 | C128 => return false,
    }
    true
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (elements, _) = bytes.as_chunks::<N>();
    for (value, element) in out.iter_mut().zip(elements) {
        *value = convert(*element);
    }
}

/// The machine is little-endian too, so the bytes are the values.
fn copy_f32(bytes: &[u8], out: &mut [f32]) {
    let count = (bytes.len() / 4).min(out.len());
    bytemuck::cast_slice_mut(&mut out[..count]).copy_from_slice(&bytes[..4 * count]);
}

/// In blocks that stay in cache, so that the library's vector conversion sees aligned values.
fn cast_f16(bytes: &[u8], out: &mut [f32]) {
    const BLOCK: usize = 512;
    let mut block = [f16::ZERO; BLOCK];
    for (source, values) in bytes.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
        let count = (source.len() / 2).min(values.len());
        let (elements, _) = source.as_chunks::<2>();
        for (half, element) in block.iter_mut().zip(elements) {
            *half = f16::from_le_bytes(*element);
        }
        block[..count].convert_to_f32_slice(&mut values[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_complete_and_unique() {
        for (dtype, name) in NAMES {
            assert_eq!(Dtype::from_name(name), Some(dtype));
            assert_eq!(dtype.name(), name);
        }
        assert_eq!(Dtype::from_name("f32"), None);
    }

    #[test]
    fn sizes_are_checked() {
        assert_eq!(F4.bytes_of(3), None);
        assert_eq!(F4.bytes_of(4), Some(2));
        assert_eq!(F64.bytes_of(u64::MAX / 8), None);
    }

    #[test]
    fn f16_blocks_agree_with_single_values() {
        let halves: Vec<f16> = (0..1500).map(|i| f16::from_f32(i as f32 * 0.37 - 200.0)).collect();
        let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
        let mut out = vec![0.0; halves.len()];
        assert!(cast(F16, &bytes, &mut out));
        assert!(halves.iter().zip(&out).all(|(half, value)| half.to_f32() == *value));
    }
}
