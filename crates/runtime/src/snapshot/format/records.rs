//! Records within a block.

use super::{Fields, Malformed};
use crate::record::Millis;

const HAS_KEY: u16 = 1;
const HAS_VALUE: u16 = 2;

/// A record of a changelog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Place of its changelog in the head.
    pub changelog: u16,
    /// When it was appended.
    pub append_time: Millis,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

impl Entry<'_> {
    /// Bytes that it takes in a block.
    #[must_use]
    pub fn size(&self) -> usize {
        20 + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// Writes a record to the end of a payload. Keys and values are far below 4 GiB: no log takes larger ones.
pub fn write_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let flags =
        if entry.key.is_some() { HAS_KEY } else { 0 } | if entry.value.is_some() { HAS_VALUE } else { 0 };
    let (key, value) = (entry.key.unwrap_or_default(), entry.value.unwrap_or_default());
    // One write of a fixed length: this runs for every record that is committed.
    let mut head = [0; 20];
    head[..2].copy_from_slice(&entry.changelog.to_le_bytes());
    head[2..4].copy_from_slice(&flags.to_le_bytes());
    head[4..8].copy_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[8..12].copy_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[12..].copy_from_slice(&entry.append_time.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// The records of a payload. After a malformed one there is no further one.
pub fn entries(payload: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed>> {
    let mut fields = Fields(payload);
    std::iter::from_fn(move || {
        if fields.0.is_empty() {
            return None;
        }
        let entry = next(&mut fields);
        if entry.is_err() {
            fields.0 = &[];
        }
        Some(entry)
    })
}

fn next<'a>(fields: &mut Fields<'a>) -> Result<Entry<'a>, Malformed> {
    let (changelog, flags) = (fields.u16()?, fields.u16()?);
    let (key_len, value_len) = (fields.u32()?, fields.u32()?);
    let append_time = fields.i64()?;
    let (key, value) = (fields.bytes(key_len)?, fields.bytes(value_len)?);
    if flags & !(HAS_KEY | HAS_VALUE) != 0 {
        return Err(Malformed);
    }
    let part = |flag: u16, bytes: &'a [u8]| match flags & flag {
        0 if bytes.is_empty() => Ok(None),
        0 => Err(Malformed),
        _ => Ok(Some(bytes)),
    };
    Ok(Entry { changelog, append_time, key: part(HAS_KEY, key)?, value: part(HAS_VALUE, value)? })
}
