//! One partition: entries, open transactions, visibility.

use crate::log::{Place, Restoring, record_size};
use crate::record::{Headers, Millis, NextOffset, Offset, Record, TopicPartition};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, VecDeque};

/// A transaction, by the order in which transactions began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TxnId(pub(super) u64);

/// A record as it is kept: key and value in one piece of memory.
#[derive(Debug)]
pub(super) struct Stored {
    /// Place in the order of all appends to the log, over all partitions.
    pub(super) seq: u64,
    pub(super) append_time: Millis,
    txn: Option<TxnId>,
    bytes: Box<[u8]>,
    key: Option<usize>,
    has_value: bool,
    pub(super) headers: Headers,
}

impl Stored {
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key.map(|len| &self.bytes[..len])
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        self.has_value.then(|| &self.bytes[self.key.unwrap_or(0)..])
    }

    pub(super) fn size(&self) -> usize {
        record_size(self.key(), self.value(), &self.headers)
    }
}

#[derive(Debug)]
enum Entry {
    Record(Stored),
    /// The commit or abort marker of a transaction: takes an offset and holds nothing.
    Marker,
    /// Compaction took what was here; the offset stays.
    Gone,
}

/// What is appended.
pub(super) struct Append<'a> {
    pub(super) seq: u64,
    pub(super) append_time: Millis,
    pub(super) txn: Option<TxnId>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers,
}

#[derive(Debug)]
pub(super) struct PartitionLog {
    at: TopicPartition,
    /// Offset of the first entry that is left.
    start: u64,
    entries: VecDeque<Entry>,
    /// Open transactions and the offset of their first record here.
    open: BTreeMap<TxnId, u64>,
    aborted: FxHashSet<TxnId>,
}

impl PartitionLog {
    pub(super) fn new(at: TopicPartition) -> Self {
        PartitionLog {
            at,
            start: 0,
            entries: VecDeque::new(),
            open: BTreeMap::new(),
            aborted: FxHashSet::default(),
        }
    }

    pub(super) fn append(&mut self, append: Append<'_>) -> Offset {
        let offset = self.end();
        if let Some(txn) = append.txn {
            self.open.entry(txn).or_insert(offset);
        }
        let mut bytes =
            Vec::with_capacity(append.key.map_or(0, <[u8]>::len) + append.value.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(append.key.unwrap_or_default());
        bytes.extend_from_slice(append.value.unwrap_or_default());
        self.entries.push_back(Entry::Record(Stored {
            seq: append.seq,
            append_time: append.append_time,
            txn: append.txn,
            bytes: bytes.into_boxed_slice(),
            key: append.key.map(<[u8]>::len),
            has_value: append.value.is_some(),
            headers: append.headers,
        }));
        Offset(offset)
    }

    /// Writes the marker of a transaction; nothing if it wrote nothing here.
    pub(super) fn end_transaction(&mut self, txn: TxnId, committed: bool) {
        if self.open.remove(&txn).is_some() {
            if !committed {
                self.aborted.insert(txn);
            }
            self.entries.push_back(Entry::Marker);
        }
    }

    pub(super) fn earliest(&self) -> NextOffset {
        NextOffset(self.start)
    }

    fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    pub(super) fn high_watermark(&self) -> NextOffset {
        NextOffset(self.end())
    }

    /// The first offset of the oldest open transaction, else the end.
    pub(super) fn last_stable(&self) -> NextOffset {
        NextOffset(self.open.values().min().copied().unwrap_or(self.end()))
    }

    /// The first record at or after `from` that a `read_committed` reader sees, or the position at which it waits.
    pub(super) fn next_visible(&self, from: NextOffset) -> Result<(Offset, &Stored), Restoring> {
        let end = self.last_stable().0;
        let mut offset = from.0.max(self.start);
        while offset < end {
            if let Some(Entry::Record(stored)) = self.entry(offset)
                && !stored.txn.is_some_and(|txn| self.aborted.contains(&txn))
            {
                return Ok((Offset(offset), stored));
            }
            offset += 1;
        }
        Err(Restoring { position: NextOffset(offset), at_end: true })
    }

    /// The first record that a `read_committed` reader sees of those that were appended at `time` or later.
    pub(super) fn first_since(&self, time: Millis) -> Option<NextOffset> {
        let mut from = self.earliest();
        while let Ok((offset, stored)) = self.next_visible(from) {
            if stored.append_time >= time {
                return Some(NextOffset(offset.0));
            }
            from = offset.next();
        }
        None
    }

    fn entry(&self, offset: u64) -> Option<&Entry> {
        usize::try_from(offset.checked_sub(self.start)?).ok().and_then(|at| self.entries.get(at))
    }

    pub(super) fn place(&self, offset: Offset, stored: &Stored) -> Place {
        Place { at: self.at, offset, append_time: stored.append_time }
    }

    pub(super) fn lend<'a>(&self, offset: Offset, stored: &'a Stored) -> Record<'a> {
        Record {
            topic: self.at.topic,
            partition: self.at.partition,
            offset,
            append_time: stored.append_time,
            key: stored.key(),
            value: stored.value(),
            headers: &stored.headers,
        }
    }

    /// Drops entries from the front up to an offset, while they are decided.
    pub(super) fn drop_before(&mut self, offset: NextOffset) {
        let end = self.last_stable().0.min(offset.0);
        while self.start < end {
            self.entries.pop_front();
            self.start += 1;
        }
    }

    /// What the cleaner does, as far as everything is decided: aborted records go, of each key all but the last record,
    /// and that too if it is a tombstone older than `tombstones_before`. The newest record of the partition stays (Kafka
    /// never cleans the segment that is written to), and so does a record without a key. Returns how many went.
    pub(super) fn compact(&mut self, tombstones_before: Millis) -> usize {
        let end = self.last_stable().0.min(self.end().saturating_sub(1));
        let is_aborted = |stored: &Stored| stored.txn.is_some_and(|txn| self.aborted.contains(&txn));
        let mut last: FxHashMap<&[u8], u64> = FxHashMap::default();
        for (entry, offset) in self.entries.iter().zip(self.start..end) {
            if let Entry::Record(stored) = entry
                && !is_aborted(stored)
                && let Some(key) = stored.key()
            {
                last.insert(key, offset);
            }
        }
        let goes = |stored: &Stored, offset: u64| {
            let Some(key) = stored.key() else { return is_aborted(stored) };
            let is_old_tombstone = stored.value().is_none() && stored.append_time < tombstones_before;
            is_aborted(stored) || last.get(key) != Some(&offset) || is_old_tombstone
        };
        let entries = self.entries.iter().zip(self.start..end).enumerate();
        let gone: Vec<usize> = entries
            .filter(|(_, (entry, offset))| matches!(entry, Entry::Record(stored) if goes(stored, *offset)))
            .map(|(place, _)| place)
            .collect();
        for place in &gone {
            self.entries[*place] = Entry::Gone;
        }
        gone.len()
    }

    /// Drops entries from the front while they are decided and older than `before`.
    pub(super) fn drop_older(&mut self, before: Millis) -> usize {
        let mut dropped = 0;
        let stable = self.last_stable().0;
        while self.start < stable {
            match self.entries.front() {
                Some(Entry::Record(stored)) if stored.append_time >= before => break,
                None => break,
                Some(Entry::Record(_)) => dropped += 1,
                Some(Entry::Marker | Entry::Gone) => {}
            }
            self.entries.pop_front();
            self.start += 1;
        }
        dropped
    }
}
