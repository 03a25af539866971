//! A stored tensor: its key, type and shape, and where its elements are. Nothing here can be built that reaches beyond
//! its storage.

use std::io;

use half::bf16;
use half::slice::HalfFloatSliceExt;

use crate::dtype::{Dtype, cast};
use crate::mapped::MappedFile;

/// Elements that are read from a file and converted at a time.
const PIECE: usize = 1 << 16;

/// A tensor of a checkpoint, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the checkpoint; parts of nested dictionaries are joined by dots.
    pub key: String,
    pub dtype: Dtype,
    /// Extent of each axis, outermost first; none for a single number.
    pub shape: Vec<u64>,
    /// Which of the checkpoint's files it is in.
    pub(crate) file: usize,
    /// Byte offset of the first element in the file.
    pub(crate) offset: u64,
    /// Distance in elements between neighbours along each axis; none: the elements lie one after another, the last
    /// axis fastest.
    pub(crate) strides: Option<Vec<u64>>,
    /// The bits of its one f64, where that stands in the header and not in the data.
    pub(crate) number: Option<u64>,
}

impl TensorInfo {
    /// A single number that stands in the header of a file.
    pub(crate) fn number(key: String, number: f64, file: usize) -> Self {
        Self { key, dtype: Dtype::F64, shape: Vec::new(), file, offset: 0, strides: None, number: Some(number.to_bits()) }
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        checked_elements(&self.shape).unwrap_or(u64::MAX)
    }

    /// Do the elements lie one after another, the last axis fastest?
    pub fn is_contiguous(&self) -> bool {
        self.strides.is_none() && self.number.is_none()
    }

    /// The bytes of a contiguous tensor in its file.
    pub(crate) fn slice<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let bytes = self.dtype.bytes_of(self.elements())?;
        let start = usize::try_from(self.offset).ok()?;
        file.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)
    }

    /// Converts all elements, in pieces that stay in cache.
    ///
    /// # Errors
    /// Why the file could not be read. `out` has as many elements as the tensor, whose type is readable.
    pub(crate) fn read(&self, file: &MappedFile, out: &mut [f32]) -> io::Result<()> {
        if let Some(bits) = self.number {
            out.fill(f64::from_bits(bits) as f32);
            return Ok(());
        }
        if let Some(strides) = &self.strides {
            return self.read_strided(file.bytes(), strides, out).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        if self.dtype == Dtype::F32 {
            // The machine is little-endian too, so the bytes are the values.
            return file.read_at(self.offset, bytemuck::cast_slice_mut(out));
        }
        let mut bytes = Vec::new();
        let mut pieces = out.chunks_mut(PIECE).zip((0..).step_by(PIECE));
        pieces.try_for_each(|(values, start)| self.read_piece(file, start, &mut bytes, values))
    }

    /// As [`read`](Self::read), rounded to bfloat16.
    pub(crate) fn read_bf16(&self, file: &MappedFile, out: &mut [bf16]) -> io::Result<()> {
        if self.strides.is_some() || self.number.is_some() {
            let mut values = vec![0.0; out.len()];
            self.read(file, &mut values)?;
            out.convert_from_f32_slice(&values);
            return Ok(());
        }
        if self.dtype == Dtype::BF16 {
            return file.read_at(self.offset, bytemuck::cast_slice_mut(out));
        }
        let (mut bytes, mut values) = (Vec::new(), vec![0.0; PIECE.min(out.len())]);
        for (halves, start) in out.chunks_mut(PIECE).zip((0..).step_by(PIECE)) {
            let values = &mut values[..halves.len()];
            self.read_piece(file, start, &mut bytes, values)?;
            halves.convert_from_f32_slice(values);
        }
        Ok(())
    }

    /// Converts the elements of a contiguous tensor from `start` on.
    fn read_piece(&self, file: &MappedFile, start: u64, bytes: &mut Vec<u8>, values: &mut [f32]) -> io::Result<()> {
        let size = self.dtype.bytes().unwrap_or(1);
        bytes.resize(size as usize * values.len(), 0);
        file.read_at(self.offset + start * size, bytes)?;
        if cast(self.dtype, bytes, values) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn read_strided(&self, file: &[u8], strides: &[u64], out: &mut [f32]) -> Option<()> {
        let size = self.dtype.bytes()?;
        let (&inner, outer_shape) = self.shape.split_last()?;
        let (&inner_stride, outer_strides) = strides.split_last()?;
        if inner == 0 {
            return Some(());
        }
        let mut index = vec![0u64; outer_shape.len()];
        for row in out.chunks_mut(usize::try_from(inner).ok()?) {
            let first = index.iter().zip(outer_strides).map(|(i, stride)| i * stride).sum::<u64>();
            for (i, value) in (0u64..).zip(row) {
                let at = usize::try_from(self.offset + (first + i * inner_stride) * size).ok()?;
                if !cast(self.dtype, file.get(at..at + size as usize)?, std::slice::from_mut(value)) {
                    return None;
                }
            }
            advance(&mut index, outer_shape);
        }
        Some(())
    }
}

/// The next index, the last axis fastest.
fn advance(index: &mut [u64], shape: &[u64]) {
    for (i, extent) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < *extent {
            return;
        }
        *i = 0;
    }
}

/// Number of elements, or none when it does not fit.
pub(crate) fn checked_elements(shape: &[u64]) -> Option<u64> {
    // A zero anywhere makes the product zero however large the rest is, but only if the rest is not multiplied first.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, extent| product.checked_mul(*extent))
}

/// The number of elements from the first to the last one that a strided tensor touches: the size its storage needs
/// after the first element's offset. None when it does not fit.
pub(crate) fn checked_span(shape: &[u64], strides: &[u64]) -> Option<u64> {
    if shape.len() != strides.len() {
        return None;
    }
    if checked_elements(shape)? == 0 {
        return Some(0);
    }
    shape.iter().zip(strides).try_fold(1u64, |span, (extent, stride)| span.checked_add((extent - 1).checked_mul(*stride)?))
}

/// Are these the strides of elements that lie one after another? Axes of one element may have any stride.
pub(crate) fn strides_are_contiguous(shape: &[u64], strides: &[u64]) -> bool {
    let mut expected = 1u64;
    for (extent, stride) in shape.iter().zip(strides).rev() {
        if *extent != 1 && *stride != expected {
            return false;
        }
        expected = expected.saturating_mul(*extent);
    }
    true
}

/// A shape for people: `[30, 64]`.
pub(crate) fn shape_text(shape: &[u64]) -> String {
    format!("{shape:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_transposed_tensor() {
        let bytes: Vec<u8> = (0..6u8).collect();
        let info = TensorInfo {
            key: "t".into(),
            dtype: Dtype::U8,
            shape: vec![3, 2],
            file: 0,
            offset: 0,
            strides: Some(vec![1, 3]),
            number: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let file = |bytes: &[u8]| {
            let path = folder.path().join(bytes.len().to_string());
            std::fs::write(&path, bytes).unwrap();
            MappedFile::open(&path).unwrap()
        };
        let mut out = [0.0; 6];
        info.read(&file(&bytes), &mut out).unwrap();
        assert_eq!(out, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert!(info.read(&file(&bytes[..5]), &mut out).is_err(), "the last element is outside");
    }

    #[test]
    fn reads_longer_tensors_piece_by_piece() {
        let elements = 2 * PIECE + 3;
        let halves: Vec<u8> = (0..elements).flat_map(|i| half::f16::from_f32((i % 999) as f32).to_le_bytes()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("halves");
        std::fs::write(&path, [&[7, 7], halves.as_slice()].concat()).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let mut info = TensorInfo {
            key: "t".into(),
            dtype: Dtype::F16,
            shape: vec![elements as u64],
            file: 0,
            offset: 2,
            strides: None,
            number: None,
        };
        let mut out = vec![0.0; elements];
        info.read(&file, &mut out).unwrap();
        assert!(out.iter().enumerate().all(|(i, value)| *value == (i % 999) as f32));
        info.offset += 2;
        assert!(info.read(&file, &mut out).is_err(), "the last element is outside");
    }

    #[test]
    fn spans_do_not_overflow() {
        assert_eq!(checked_span(&[2, 3], &[3, 1]), Some(6));
        assert_eq!(checked_span(&[2, 3], &[0, 1]), Some(3));
        assert_eq!(checked_span(&[0, u64::MAX], &[1, 1]), Some(0));
        assert_eq!(checked_span(&[3, 3], &[u64::MAX, 1]), None);
        assert_eq!(checked_elements(&[u64::MAX, 2]), None);
        assert_eq!(checked_elements(&[u64::MAX, 2, 0]), Some(0));
    }
}
