//! The Avro binary encoding, as far as generated records need it.
//!
//! Writing allocates nothing but the growth of the output; reading borrows strings and bytes from the input.
//! Whatever a reader is told about lengths is held against the bytes that are left before anything is
//! allocated, so a hostile record costs no more memory than an honest one of the same size.
//!
//! Standard: Apache Avro 1.12 specification, "Binary encoding".

use std::fmt;

#[cfg(test)]
mod tests;

/// Why bytes are not a datum of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where it was noticed: bytes from the start of the datum.
    pub at: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.at)
    }
}

impl std::error::Error for DecodeError {}

/// The ways in which bytes can fail to be a datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The bytes end inside a value.
    #[error("the datum ends too early")]
    UnexpectedEnd,
    /// A variable-length integer has more than 64 bits.
    #[error("an integer has more than 64 bits")]
    BadVarint,
    /// An `int` lies outside 32 bits.
    #[error("an int lies outside 32 bits")]
    IntOutOfRange,
    /// A boolean byte is neither 0 nor 1.
    #[error("a boolean is neither 0 nor 1")]
    BadBoolean,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// An enum has no symbol of this index.
    #[error("an enum has no symbol of this index")]
    BadEnum,
    /// A union has no branch of this index.
    #[error("a union has no branch of this index")]
    BadUnion,
    /// A length or count is negative, or more than the bytes that are left could hold.
    #[error("a length is negative or larger than the datum")]
    BadLength,
    /// The items of an array block do not fill the size that the block claims.
    #[error("an array block does not have the size that it claims")]
    BadBlockSize,
    /// Bytes are left after the datum.
    #[error("bytes are left after the datum")]
    TrailingBytes,
}

/// Result of reading a part of a datum; the place of an error is added by [`decode`].
pub(crate) type ReadResult<T> = Result<T, DecodeErrorKind>;

/// Reads one datum that must fill `bytes` exactly.
pub(crate) fn decode<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> ReadResult<T>,
) -> Result<T, DecodeError> {
    let mut input = Reader::new(bytes);
    let result = read(&mut input);
    let at = bytes.len() - input.rest.len();
    match result {
        Ok(value) if input.rest.is_empty() => Ok(value),
        Ok(_) => Err(DecodeError { kind: DecodeErrorKind::TrailingBytes, at }),
        Err(kind) => Err(DecodeError { kind, at }),
    }
}

/// The bytes of a datum that are still to be read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// That many bytes.
    pub(crate) fn take(&mut self, count: usize) -> ReadResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeErrorKind::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    /// `long`, and what is built on it: zig-zag, variable length.
    #[inline]
    pub(crate) fn long(&mut self) -> ReadResult<i64> {
        // Most integers of our records (lengths, branches, symbols, counts) are one byte.
        let raw = match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                u64::from(*first)
            }
            _ => self.long_varint()?,
        };
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    fn long_varint(&mut self) -> ReadResult<u64> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte can only hold the 64th bit.
            if index == 9 && *byte > 1 {
                return Err(DecodeErrorKind::BadVarint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(DecodeErrorKind::UnexpectedEnd)
    }

    /// `int`: a `long` of 32 bits.
    #[inline]
    pub(crate) fn int(&mut self) -> ReadResult<i32> {
        i32::try_from(self.long()?).map_err(|_| DecodeErrorKind::IntOutOfRange)
    }

    /// `boolean`: one byte.
    #[inline]
    pub(crate) fn boolean(&mut self) -> ReadResult<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(DecodeErrorKind::BadBoolean),
        }
    }

    /// `double`: IEEE 754, little-endian.
    #[inline]
    pub(crate) fn double(&mut self) -> ReadResult<f64> {
        Ok(f64::from_le_bytes(self.fixed()?))
    }

    /// `fixed` of `N` bytes.
    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> ReadResult<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeErrorKind::UnexpectedEnd)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length in bytes, at most what is left.
    #[inline]
    pub(crate) fn length(&mut self) -> ReadResult<usize> {
        let length = usize::try_from(self.long()?).map_err(|_| DecodeErrorKind::BadLength)?;
        if length > self.rest.len() { Err(DecodeErrorKind::BadLength) } else { Ok(length) }
    }

    /// `bytes`.
    #[inline]
    pub(crate) fn bytes(&mut self) -> ReadResult<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// `string`: UTF-8, checked.
    #[inline]
    pub(crate) fn string(&mut self) -> ReadResult<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeErrorKind::BadUtf8)
    }

    /// Index of an enum symbol or union branch, as far as it fits one byte.
    #[inline]
    pub(crate) fn index(&mut self) -> ReadResult<Option<u8>> {
        Ok(u8::try_from(self.long()?).ok())
    }

    /// Union of null and another type.
    #[inline]
    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> ReadResult<T>,
    ) -> ReadResult<Option<T>> {
        match self.long()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(DecodeErrorKind::BadUnion),
        }
    }

    /// `array`, in any number of blocks, with or without their sizes. `smallest` is the least number of
    /// bytes that an item takes; it bounds the count that can be true.
    #[inline]
    pub(crate) fn array<T>(
        &mut self,
        smallest: usize,
        read: impl Fn(&mut Self) -> ReadResult<T>,
    ) -> ReadResult<Vec<T>> {
        let mut items = Vec::new();
        self.items(smallest, read, |item, left| {
            if items.len() == items.capacity() {
                items.reserve_exact(left);
            }
            items.push(item);
        })?;
        Ok(items)
    }

    /// As [`array`](Self::array), but hands the items over, each with how many are announced, itself included.
    #[inline]
    pub(crate) fn items<T>(
        &mut self,
        smallest: usize,
        read: impl Fn(&mut Self) -> ReadResult<T>,
        mut take: impl FnMut(T, usize),
    ) -> ReadResult<()> {
        loop {
            let announced = self.long()?;
            if announced == 0 {
                return Ok(());
            }
            // A negative count is followed by the size of the block in bytes.
            let size = if announced < 0 { Some(self.length()?) } else { None };
            let count = usize::try_from(announced.unsigned_abs()).map_err(|_| DecodeErrorKind::BadLength)?;
            if count > self.rest.len() / smallest {
                return Err(DecodeErrorKind::BadLength);
            }
            let before = self.rest.len();
            for left in (1..=count).rev() {
                take(read(self)?, left);
            }
            if size.is_some_and(|size| before - self.rest.len() != size) {
                return Err(DecodeErrorKind::BadBlockSize);
            }
        }
    }
}

/// Writes a `long`: zig-zag, variable length, at most 10 bytes.
#[inline]
pub(crate) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    // Most integers of our records are one byte.
    if rest < 0x80 {
        out.push(low_byte(rest));
        return;
    }
    let (mut bytes, mut length) = ([0; 10], 0);
    while rest >= 0x80 {
        bytes[length] = low_byte(rest) | 0x80;
        rest >>= 7;
        length += 1;
    }
    bytes[length] = low_byte(rest);
    out.extend_from_slice(&bytes[..=length]);
}

#[inline]
const fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Writes an `int`.
#[inline]
pub(crate) fn write_int(out: &mut Vec<u8>, value: i32) {
    write_long(out, i64::from(value));
}

/// Writes a length or count. What is in memory has fewer than 2^63 bytes, so nothing is ever cut.
#[inline]
pub(crate) fn write_length(out: &mut Vec<u8>, length: usize) {
    write_long(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// Writes a `boolean`.
#[inline]
pub(crate) fn write_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Writes a `double`.
#[inline]
pub(crate) fn write_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes `bytes`.
#[inline]
pub(crate) fn write_bytes(out: &mut Vec<u8>, value: &[u8]) {
    write_length(out, value.len());
    out.extend_from_slice(value);
}

/// Writes a `string`.
#[inline]
pub(crate) fn write_string(out: &mut Vec<u8>, value: &str) {
    write_bytes(out, value.as_bytes());
}

/// Writes an `array` as one block.
#[inline]
pub(crate) fn write_array<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    if !items.is_empty() {
        write_length(out, items.len());
        for item in items {
            write(item, out);
        }
    }
    out.push(0);
}

/// As [`write_array`], of items that are made on the way.
#[inline]
pub(crate) fn write_items<T>(
    out: &mut Vec<u8>,
    items: impl ExactSizeIterator<Item = T>,
    write: impl Fn(&T, &mut Vec<u8>),
) {
    if items.len() > 0 {
        write_length(out, items.len());
        for item in items {
            write(&item, out);
        }
    }
    out.push(0);
}

/// Writes a union of null and another type.
#[inline]
pub(crate) fn write_option<T>(out: &mut Vec<u8>, value: Option<&T>, write: impl FnOnce(&T, &mut Vec<u8>)) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(2);
            write(value, out);
        }
    }
}
