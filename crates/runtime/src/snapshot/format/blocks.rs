//! Blocks: what is intact, and where that ends.

use super::{Head, Malformed, Mark, PREAMBLE, Survey, Unusable, VERSION, entries};
use std::io::{self, Read};

const MAGIC: [u8; 6] = *b"CATSNP";
/// Length, kind, checksum.
const HEADER: usize = 13;

/// A length beyond this is none. Twice the largest record that a log takes.
pub const LARGEST_BLOCK: u32 = 128 << 20;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Head`].
    Head,
    /// [Records](entries).
    Records,
    /// A [`Mark`].
    Mark,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Head => 0,
            Kind::Records => 1,
            Kind::Mark => 2,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Kind::Head, Kind::Records, Kind::Mark].into_iter().find(|kind| kind.code() == code)
    }
}

/// Writes what every file begins with.
pub fn write_preamble(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
}

/// The checksum of the block before, which is part of that of the next one: so that a block that was lost is missed by
/// the one behind it, wherever the file was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain([u8; 8]);

impl Chain {
    /// The chain behind a block.
    fn then(self, kind: Kind, payload: &[u8]) -> Self {
        // As a key, so that the payload can be hashed where it is, in one piece.
        let mut key = [0; 32];
        key[0] = kind.code();
        key[1..9].copy_from_slice(&self.0);
        let mut sum = [0; 8];
        sum.copy_from_slice(&blake3::keyed_hash(&key, payload).as_bytes()[..8]);
        Chain(sum)
    }
}

/// Writes what stands before a payload to make it the next block.
pub fn write_header(out: &mut Vec<u8>, chain: &mut Chain, kind: Kind, payload: &[u8]) {
    *chain = chain.then(kind, payload);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.push(kind.code());
    out.extend_from_slice(&chain.0);
}

/// Writes the next block, with that payload.
pub fn write_block(out: &mut Vec<u8>, chain: &mut Chain, kind: Kind, payload: &[u8]) {
    write_header(out, chain, kind, payload);
    out.extend_from_slice(payload);
}

/// Reads blocks one after the other, up to the first that is not intact.
#[derive(Debug)]
pub struct BlockReader<R> {
    source: R,
    /// Bytes of intact blocks, and of the preamble.
    at: u64,
    chain: Chain,
    payload: Vec<u8>,
}

impl<R: Read> BlockReader<R> {
    /// A reader that stands before the preamble.
    ///
    /// # Errors
    /// [`Unusable`], if there is no preamble that this program knows.
    pub fn new(mut source: R) -> Result<Self, Unusable> {
        let mut preamble = [0; 8];
        match source.read_exact(&mut preamble) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Unusable::NoSnapshot),
            Err(error) => return Err(Unusable::Unreadable(error.to_string())),
            Ok(()) => {}
        }
        let version = u16::from_le_bytes([preamble[6], preamble[7]]);
        match preamble.first_chunk::<6>() {
            Some(&MAGIC) if version == VERSION => {
                Ok(BlockReader { source, at: PREAMBLE, chain: Chain::default(), payload: Vec::new() })
            }
            Some(&MAGIC) => Err(Unusable::Version(version)),
            _ => Err(Unusable::NoSnapshot),
        }
    }

    /// Bytes up to the end of the block that was read last.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// What the next block is chained to.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Whether all is read up to `end`, where the chain was `chain` when the file was [surveyed](survey).
    ///
    /// # Errors
    /// What was read are other bytes: the file was changed since. What was checked of it and its mark does not hold for
    /// them.
    pub fn has_reached(&self, end: u64, chain: Chain) -> Result<bool, Malformed> {
        match self.at {
            at if at < end => Ok(false),
            at if at == end && self.chain == chain => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// The next block; `None` at the end, and where a block is not intact.
    ///
    /// # Errors
    /// Those of the source, but for its end.
    pub fn next_block(&mut self) -> io::Result<Option<(Kind, &[u8])>> {
        let mut header = [0; HEADER];
        match self.source.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let [a, b, c, d, code, sum @ ..] = header;
        let len = u32::from_le_bytes([a, b, c, d]);
        let Some(kind) = Kind::of(code).filter(|_| len <= LARGEST_BLOCK) else { return Ok(None) };
        self.payload.clear();
        // Grows with what is there, and not to a length that may be nonsense.
        let read = self.source.by_ref().take(len.into()).read_to_end(&mut self.payload)?;
        if read as u64 != u64::from(len) {
            return Ok(None);
        }
        let chain = self.chain.then(kind, &self.payload);
        if chain.0 != sum {
            return Ok(None);
        }
        self.chain = chain;
        self.at += HEADER as u64 + u64::from(len);
        Ok(Some((kind, &self.payload)))
    }
}

/// Reads all of a file of that many bytes: whose it is, and where its last intact mark ends.
///
/// # Errors
/// [`Unusable`], if not even a head is intact.
pub fn survey(source: impl Read, bytes: u64) -> Result<Survey, Unusable> {
    let unreadable = |error: io::Error| Unusable::Unreadable(error.to_string());
    let mut blocks = BlockReader::new(source)?;
    let head = match blocks.next_block().map_err(unreadable)? {
        Some((Kind::Head, payload)) => Head::decode(payload).map_err(|_| Unusable::NoSnapshot)?,
        _ => return Err(Unusable::NoSnapshot),
    };
    let (end, chain) = (blocks.position(), blocks.chain());
    let mut survey = Survey { head, mark: None, end, chain, bytes, records: 0 };
    let mut records = 0;
    loop {
        let mark = match blocks.next_block().map_err(unreadable)? {
            Some((Kind::Records, payload)) => {
                let Some(more) = count(payload, survey.head.changelogs.len()) else { break };
                records += more;
                continue;
            }
            Some((Kind::Mark, payload)) => Mark::decode(payload),
            Some((Kind::Head, _)) | None => break,
        };
        match mark {
            Ok(mark) if mark.positions.len() == survey.head.changelogs.len() => {
                (survey.mark, survey.records) = (Some(mark), records);
                (survey.end, survey.chain) = (blocks.position(), blocks.chain());
            }
            _ => break,
        }
    }
    Ok(survey)
}

/// Records of a payload, if all of them are records of that many changelogs.
fn count(payload: &[u8], changelogs: usize) -> Option<u64> {
    let mut count = 0;
    for entry in entries(payload) {
        entry.ok().filter(|entry| usize::from(entry.changelog) < changelogs)?;
        count += 1;
    }
    Some(count)
}
