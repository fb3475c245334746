//! The form of a snapshot's bytes.
//!
//! ```text
//! file   = "CATSNP" version(u16) block*
//! block  = length(u32) kind(u8) checksum(8) payload
//! kind   = 0 head | 1 records | 2 mark          the first block is the head, and the only one
//! record = changelog(u16) flags(u16) key length(u32) value length(u32) append time(i64) key value
//! mark   = time(i64) count(u16) offset(u64)*    one for each changelog, in the order of the head
//! head   = count(u16) (name value)* count(u16) (topic partition(u32) retention(i64))* alive(u64)
//! ```
//!
//! Integers are little-endian. A text is its length (u16) and its bytes. Bit 0 of a record's flags says that it has a
//! key, bit 1 that it has a value (else it is a tombstone). The checksum is the first 8 bytes of the BLAKE3 hash of the
//! payload, keyed with the kind and the checksum of the block before. Blocks are read until one is cut off or its checksum
//! is wrong: whatever stands behind it is not looked at.

mod blocks;
mod records;

pub use blocks::{
    BlockReader, Chain, Kind, LARGEST_BLOCK, survey, write_block, write_header, write_preamble,
};
pub use records::{Entry, entries, write_entry};

use crate::record::{Millis, NextOffset, Partition};

/// The version of the form that is written, and the only one that is read.
pub const VERSION: u16 = 1;

/// Bytes before the first block.
pub const PREAMBLE: u64 = 8;

/// What a changelog is called, and what of it is worth keeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changelog {
    /// Name of the topic.
    pub topic: String,
    /// The partition.
    pub partition: Partition,
    /// Milliseconds after which a record of it may go; `None`: the last of each key stays.
    pub retention: Option<Millis>,
}

/// Whose snapshot it is. One that was written under another head is not used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What must be the same for the records to mean the same, as name and value: cluster, program, role, secret, ….
    /// No value is secret or personal: it is shown where it differs.
    pub identity: Vec<(String, String)>,
    /// The changelogs that are copied; records and marks name them by their place here.
    pub changelogs: Vec<Changelog>,
    /// Bytes of the records that nothing supersedes, as of when the file was begun.
    pub alive: u64,
}

/// Everything before these offsets is contained in what stands before the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it was made, by the clock of its maker.
    pub time: Millis,
    /// One for each changelog, in the order of the head.
    pub positions: Vec<NextOffset>,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Whose it is.
    pub head: Head,
    /// The last intact mark; none if there is no intact one.
    pub mark: Option<Mark>,
    /// Bytes up to the end of that mark: what follows is to be cut off.
    pub end: u64,
    /// What the next block is chained to.
    pub chain: Chain,
    /// Bytes that are there.
    pub bytes: u64,
    /// Records up to that mark.
    pub records: u64,
}

/// Why nothing can be said about a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It does not begin as a snapshot does, or its head is torn.
    NoSnapshot,
    /// This program does not know its version.
    Version(u16),
    /// It can't be read.
    Unreadable(String),
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Takes a payload apart.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_le_bytes)
    }

    fn bytes(&mut self, len: u32) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        let (first, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let len = self.u16()?;
        String::from_utf8(self.bytes(len.into())?.to_vec()).map_err(|_| Malformed)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // A text that is too long is cut at a character; what is compared is then the part that fits.
    let mut len = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    out.extend_from_slice(&u16::try_from(len).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..len]);
}

fn write_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
}

impl Head {
    /// The payload of the head's block. At most 65,535 facts and changelogs.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_count(out, self.identity.len());
        for (name, value) in &self.identity {
            write_text(out, name);
            write_text(out, value);
        }
        write_count(out, self.changelogs.len());
        for changelog in &self.changelogs {
            write_text(out, &changelog.topic);
            out.extend_from_slice(&changelog.partition.to_le_bytes());
            out.extend_from_slice(&changelog.retention.unwrap_or(-1).to_le_bytes());
        }
        out.extend_from_slice(&self.alive.to_le_bytes());
    }

    /// The head of that payload.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(payload);
        let mut head = Head::default();
        for _ in 0..fields.u16()? {
            head.identity.push((fields.text()?, fields.text()?));
        }
        for _ in 0..fields.u16()? {
            let (topic, partition, retention) = (fields.text()?, fields.u32()?, fields.i64()?);
            let retention = Some(retention).filter(|retention| *retention >= 0);
            head.changelogs.push(Changelog { topic, partition, retention });
        }
        head.alive = fields.u64()?;
        fields.end()?;
        Ok(head)
    }
}

impl Mark {
    /// The payload of the mark's block.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        write_count(out, self.positions.len());
        for position in &self.positions {
            out.extend_from_slice(&position.0.to_le_bytes());
        }
    }

    /// The mark of that payload.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(payload);
        let (time, count) = (fields.i64()?, fields.u16()?);
        let positions = (0..count).map(|_| fields.u64().map(NextOffset)).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Mark { time, positions })
    }
}

#[cfg(test)]
mod tests;
