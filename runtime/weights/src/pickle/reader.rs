//! Bounded reading of a pickle's bytes.

/// Bytes with a position. Every method gives none at the end of the bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pub position: usize,
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.position..self.position.checked_add(count)?)?;
        self.position += count;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes preceded by their number, which is of `width` bytes (1, 4 or 8).
    pub fn counted(&mut self, width: u8) -> Option<&'a [u8]> {
        let count = match width {
            1 => u64::from(self.u8()?),
            4 => u64::from(self.u32()?),
            _ => self.u64()?,
        };
        self.take(usize::try_from(count).ok()?)
    }

    /// [`counted`](Self::counted) as text.
    pub fn text(&mut self, width: u8) -> Option<&'a str> {
        std::str::from_utf8(self.counted(width)?).ok()
    }

    /// Up to and without the next line feed, as text.
    pub fn line(&mut self) -> Option<&'a str> {
        let rest = self.bytes.get(self.position..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = self.take(length)?;
        self.position += 1;
        std::str::from_utf8(line).ok()
    }
}
