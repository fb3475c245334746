//! The surface of a partitioned log that a lane needs: read, one transaction, restore.
//!
//! Kept this small so that a log can be Kafka, the embedded one, or a simulated one. What an implementation must
//! give is written at each method and checked by the `conformance` suite.
//!
//! **A value that implements [`Log`] owns its partitions**: it is made by a call that initialises the transactional
//! producer (which aborts what a dead predecessor of that transactional id left open, and fences it) and joins the
//! group. So whatever it reads afterwards (committed offsets, high watermarks) can't be changed any more by the
//! owner before.

mod error;

pub use error::{Fence, LogError};

use crate::outbox::Outbox;
use crate::record::{Headers, Millis, NextOffset, Offset, Record, TopicPartition};
use std::ops::Range;
use std::time::Duration;

/// How much one read may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records; at least 1.
    pub records: usize,
    /// Bytes of keys, values and headers. A single record that is larger comes alone: a limit must never stop a
    /// partition.
    pub bytes: usize,
}

impl Default for BatchLimits {
    /// 1,000 records or 1 MiB: below the 1 MiB record limit with 16 bytes of deduplication a record, and small
    /// enough that an abort costs little.
    fn default() -> Self {
        BatchLimits { records: 1_000, bytes: 1 << 20 }
    }
}

/// Where a fetched record stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its partition.
    pub at: TopicPartition,
    /// Its offset.
    pub offset: Offset,
    /// The log's clock when it was appended.
    pub append_time: Millis,
}

/// Records that were read together. Their bytes stand in one buffer that is kept from batch to batch, so that
/// reading allocates nothing in steady state (headers apart) and holds no lock and no buffer of the log.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<Fetched>,
    size: usize,
}

#[derive(Debug)]
struct Fetched {
    place: Place,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Headers,
    size: usize,
}

impl Batch {
    /// Adds a record at the end.
    pub fn push(&mut self, place: Place, key: Option<&[u8]>, value: Option<&[u8]>, headers: Headers) {
        let size = record_size(key, value, &headers);
        let key = key.map(|bytes| self.store(bytes));
        let value = value.map(|bytes| self.store(bytes));
        self.size += size;
        self.records.push(Fetched { place, key, value, headers, size });
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// True if a record of that many bytes may still be added under the limits; an empty batch takes any.
    #[must_use]
    pub fn has_room(&self, limits: &BatchLimits, bytes: usize) -> bool {
        self.is_empty() || (self.len() < limits.records && self.size + bytes <= limits.bytes)
    }

    /// The record at a place of the batch, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.records.get(index).map(|fetched| self.lend(fetched))
    }

    /// Bytes of keys, values and headers of the record at a place of the batch; 0 if there is none.
    #[must_use]
    pub fn size_of(&self, index: usize) -> usize {
        self.records.get(index).map_or(0, |fetched| fetched.size)
    }

    /// The records, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.records.iter().map(|fetched| self.lend(fetched))
    }

    fn lend<'a>(&'a self, fetched: &'a Fetched) -> Record<'a> {
        Record {
            topic: fetched.place.at.topic,
            partition: fetched.place.at.partition,
            offset: fetched.place.offset,
            append_time: fetched.place.append_time,
            key: fetched.key.clone().map(|range| &self.bytes[range]),
            value: fetched.value.clone().map(|range| &self.bytes[range]),
            headers: &fetched.headers,
        }
    }

    /// Forgets the records in front. Their bytes stay until the batch is cleared.
    pub fn drop_first(&mut self, count: usize) {
        let gone: usize = self.records.drain(..count.min(self.records.len())).map(|record| record.size).sum();
        self.size -= gone;
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys, values and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.size
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.size = 0;
    }
}

/// Bytes that a record counts for: key, value, and names and values of headers.
#[must_use]
pub fn record_size(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    let headers: usize = headers.0.iter().map(|(name, value)| name.len() + value.len()).sum();
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Everything is committed: records and offsets.
    Committed,
    /// Nothing is; the producer can go on.
    Aborted {
        /// Why, for the log and the metric.
        reason: String,
    },
    /// Nobody knows (a timeout of the commit). The producer must not be used before [`Log::recover`]: a delayed
    /// request of it could end a later transaction.
    Unknown {
        /// Why, for the log and the metric.
        reason: String,
    },
    /// Nothing is, and this lane has no right to write any more: it must be dropped and made anew.
    Fenced(Fence),
}

/// How far a restore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restoring {
    /// Everything before this was read, or is a marker, or was aborted.
    pub position: NextOffset,
    /// Nothing more is visible to a `read_committed` reader at this moment.
    pub at_end: bool,
}

/// Where a partition ends, and how far this lane has come in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The end as a `read_uncommitted` reader sees it: markers and open transactions included.
    pub high_watermark: NextOffset,
    /// The end of what is decided, which is all that this lane can read now (the last stable offset).
    pub decided: NextOffset,
    /// Everything before this was handed out, or is a marker, or was aborted. At or behind `decided`: nothing that is
    /// decided is left. It may lag behind what is known to be invisible (a marker that was not fetched yet), and never
    /// passes over a record.
    pub passed: NextOffset,
}

/// What changed of a lane's assignment, each in order of topic and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reassignment {
    /// Partitions that are this lane's from now on. Their tasks are to be made and restored.
    pub gained: Vec<TopicPartition>,
    /// Partitions given up in good order: no other lane had them before [`Log::reassign`]. Their tasks are to be
    /// dropped.
    pub revoked: Vec<TopicPartition>,
    /// Partitions that were taken away: another lane may have had them for a while already, and what was not
    /// committed before never will be. Their tasks are to be dropped.
    pub lost: Vec<TopicPartition>,
}

impl Reassignment {
    /// True if the lane owns what it owned before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.revoked.is_empty() && self.lost.is_empty()
    }
}

/// A partitioned log, as one lane sees it. All reads are `read_committed`: records of aborted transactions and
/// markers don't show, and an open transaction holds back everything behind its first record.
pub trait Log {
    /// The partitions of this lane, in a fixed order. Changed by [`reassign`](Log::reassign) alone, so that an owner
    /// who never meets [`LogError::Reassigned`] never sees another one.
    fn assignment(&self) -> &[TopicPartition];

    /// Takes up the change that [`LogError::Reassigned`] told of. To be called between two transactions, when all
    /// that was polled is either committed or to be forgotten: what is given up here may belong to another lane when
    /// this returns. Partitions that stay go on from where they were polled to. No change pending: an empty answer.
    ///
    /// # Errors
    /// [`LogError::Retry`]: call it again; [`LogError::Fatal`].
    fn reassign(&mut self) -> Result<Reassignment, LogError>;

    /// Replaces the batch by the next records of the assigned partitions that are not [held](Log::hold), each
    /// partition in order of offset. Nothing there: an empty batch. The first call reads on from the committed offset,
    /// or from the earliest record where there is none.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], again and again until [`seek`](Log::seek) or [`hold`](Log::hold): a gap in the input is
    /// never passed over silently. [`LogError::Reassigned`], again and again until [`reassign`](Log::reassign).
    /// [`LogError::Retry`], [`LogError::Denied`].
    fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError>;

    /// As [`poll`](Log::poll), of one partition only; what was fetched of others waits. For lanes that read in order
    /// of arrival. An empty batch says that the partition had nothing when it was asked, or is held.
    ///
    /// # Errors
    /// As [`poll`](Log::poll), and [`LogError::NotAssigned`].
    fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError>;

    /// How long [`poll`](Log::poll) and [`await_records`](Log::await_records) may wait for a first record; they return as
    /// soon as there is one. A log that never waits (the embedded one) has no use for it.
    fn set_poll_wait(&mut self, wait: Duration) {
        let _ = wait;
    }

    /// As if [`set_poll_wait`](Log::set_poll_wait) had been called with zero, until it is called again with `false`: the
    /// lane has something to do meanwhile, since tasks are being restored.
    fn set_hurry(&mut self, hurry: bool) {
        let _ = hurry;
    }

    /// Waits until there may be something to read in a partition that is not held, and hands nothing out. False:
    /// nothing came in time. It serves the log's clients as [`poll`](Log::poll) does, so a lane that must not read yet
    /// calls this instead.
    ///
    /// # Errors
    /// As [`poll`](Log::poll), without [`LogError::OutOfRange`].
    fn await_records(&mut self) -> Result<bool, LogError>;

    /// Reads no more of this partition until [`release`](Log::release): its records are neither handed out nor fetched,
    /// and a gap in it is not told. What was fetched of other partitions stays. Of a partition that is held already:
    /// nothing happens.
    ///
    /// # Errors
    /// [`LogError::NotAssigned`].
    fn hold(&mut self, at: TopicPartition) -> Result<(), LogError>;

    /// Reads this partition again, from its position on. Of a partition that is not held: nothing happens.
    ///
    /// # Errors
    /// [`LogError::NotAssigned`].
    fn release(&mut self, at: TopicPartition) -> Result<(), LogError>;

    /// The next poll reads this partition from there. A held partition stays held.
    ///
    /// # Errors
    /// [`LogError::NotAssigned`].
    fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError>;

    /// Writes all records of the outbox, in order, and the offsets, in one transaction. The offsets are checked
    /// against the group: a lane that lost one of these partitions is refused. **They must name a partition of every
    /// task that wrote**, an unchanged offset where nothing was read.
    ///
    /// # Errors
    /// Nothing is committed after an error. [`LogError::NoOffsets`], [`LogError::TooLarge`],
    /// [`LogError::UnknownPartition`]; [`LogError::Fatal`] if [`recover`](Log::recover) was due.
    fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<CommitOutcome, LogError>;

    /// After [`CommitOutcome::Unknown`]: a new producer of the same transactional id, which aborts what is still
    /// open and bumps the epoch. From then on the outcome is decided, and [`committed`](Log::committed) tells it.
    ///
    /// # Errors
    /// [`LogError::Retry`]: call it again.
    fn recover(&mut self) -> Result<(), LogError>;

    /// The committed offsets of these partitions, in the order asked; `None` = none committed yet.
    ///
    /// # Errors
    /// [`LogError::Retry`] while a transaction that commits one of them is undecided.
    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError>;

    /// The oldest offset that is still there (any partition).
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    fn earliest(&mut self, at: TopicPartition) -> Result<NextOffset, LogError>;

    /// The end of a partition as a `read_uncommitted` reader sees it (any partition), markers and open transactions
    /// included. A `read_committed` reader is told the last stable offset, behind which a crashed writer hides
    /// committed state (KAFKA-10167).
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    fn high_watermark(&mut self, at: TopicPartition) -> Result<NextOffset, LogError>;

    /// The ends of what is decided of these partitions (any), in the order asked: the last stable offsets. Every record
    /// before is committed, aborted or a marker, and stays so.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`], [`LogError::Retry`].
    fn decided(&mut self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError>;

    /// Of each of these partitions (any), in the order asked, the first record that was appended at `time` or later.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`], [`LogError::Retry`].
    fn first_since(
        &mut self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError>;

    /// Where these partitions of the lane end, in the order asked, as the log knows it at this moment: asked for, never
    /// remembered.
    ///
    /// # Errors
    /// [`LogError::NotAssigned`], [`LogError::Retry`].
    fn ends(&mut self, of: &[TopicPartition]) -> Result<Vec<End>, LogError>;

    /// Says what will be [restored](Self::restore) soon, and from where: a log that pays for each round trip may read
    /// ahead. Nothing depends on it.
    fn restore_soon(&mut self, _of: &[(TopicPartition, NextOffset)]) {}

    /// Replaces the batch by committed records of any partition, from `from` on, apart from what is polled. The
    /// position that comes back passes over markers and aborted records, so that it reaches the high watermark also
    /// where the last entry is a marker.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`], [`LogError::Retry`], [`LogError::Reassigned`]; [`LogError::OutOfRange`] if
    /// retention has overtaken `from`.
    fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError>;
}
