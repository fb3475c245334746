//! A partitioned log in this process, with the semantics of Kafka's transactions.
//!
//! `demo`, `sandbox` and tests run on it: the same lanes, no services. It keeps what the semantics rest on and leaves
//! out what only a network has:
//!
//! - a record has an offset; commit and abort markers take one each; an open transaction holds `read_committed`
//!   readers back at its first record, an aborted one is passed over;
//! - offsets are committed inside the transaction and checked against the group; a lane whose partitions another
//!   lane took over is refused; a new producer of a transactional id aborts the open transaction of the one before
//!   and fences it;
//! - **append time is the time handed in** ([`crate::OutRecord::time`]), not a clock of the log: in a sandbox it is
//!   event time. It may go back within a partition (two writers); Kafka's may too, when leaders change;
//! - there is no transaction timeout (there is no clock): [`EmbeddedLog::abort_open`] does what it would do;
//! - a reader of several partitions gets them merged in the order of appends;
//! - nothing is cleaned unless somebody asks for it: [`EmbeddedLog::compact`], [`EmbeddedLog::drop_expired`]; what
//!   compaction would leave is told by [`EmbeddedLog::compacted`]. Everything is in memory.

mod broker;
mod lane;
mod partition;
#[cfg(test)]
mod tests;

pub use broker::Fault;
pub use lane::EmbeddedLane;

use crate::log::{Fence, LogError};
use crate::record::{
    Headers, Millis, NextOffset, Offset, Partition, Record, TopicId, TopicPartition, TopicTable,
};
use broker::{Broker, ProducerHandle};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kafka's `message.max.bytes`, roughly: 1 MiB.
pub const DEFAULT_RECORD_LIMIT: usize = 1 << 20;

/// A record with bytes of its own, for tools and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Topic.
    pub topic: TopicId,
    /// Partition.
    pub partition: Partition,
    /// Position.
    pub offset: Offset,
    /// The time that was handed in when it was appended.
    pub append_time: Millis,
    /// Key; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> Self {
        OwnedRecord {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            append_time: record.append_time,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.clone(),
        }
    }
}

impl OwnedRecord {
    /// The record as tasks see it.
    #[must_use]
    pub fn as_record(&self) -> Record<'_> {
        Record {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            append_time: self.append_time,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }
}

/// The log. A handle: clones share it, also between threads; each call takes the lock once.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    broker: Arc<Mutex<Broker>>,
}

impl EmbeddedLog {
    /// An empty log with these topics.
    #[must_use]
    pub fn new(topics: TopicTable) -> Self {
        Self::with_record_limit(topics, DEFAULT_RECORD_LIMIT)
    }

    /// As [`new`](Self::new), with another limit for the bytes of a record ([`crate::log::record_size`]).
    #[must_use]
    pub fn with_record_limit(topics: TopicTable, record_limit: usize) -> Self {
        EmbeddedLog { broker: Arc::new(Mutex::new(Broker::new(topics, record_limit))) }
    }

    fn broker(&self) -> MutexGuard<'_, Broker> {
        // A panic elsewhere in the process while the lock was held: every change here is complete before anything
        // that can panic, so the log goes on.
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics it was made with.
    #[must_use]
    pub fn topics(&self) -> Arc<TopicTable> {
        Arc::clone(&self.broker().topics)
    }

    /// Appends one record outside of any transaction, as an upstream producer does; visible at once, unless a
    /// transaction before it is open.
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::UnknownPartition`].
    pub fn producer_append(
        &self,
        at: TopicPartition,
        time: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) -> Result<Offset, LogError> {
        self.broker().append(at, time, (key, value, headers), None)
    }

    /// Begins a transaction by hand, as a producer outside of a lane does; initialises the producer (so it fences a
    /// former one of that id). Dropped without an end, it stays open: a producer that died.
    ///
    /// # Errors
    /// None now; a log with a network would have some.
    pub fn begin(&self, transactional_id: &str) -> Result<EmbeddedTransaction, LogError> {
        let mut broker = self.broker();
        let handle = broker.init_producer(transactional_id);
        broker.begin(&handle).map_err(fenced)?;
        drop(broker);
        Ok(EmbeddedTransaction { log: self.clone(), handle })
    }

    /// The log as one lane sees it: initialises the producer of that transactional id, and takes the partitions
    /// over from whichever lane of the group had them. Reads on from the committed offsets.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`]; [`LogError::Retry`] while a transaction of a former owner is undecided.
    pub fn lane(
        &self,
        group: &str,
        transactional_id: &str,
        assignment: &[TopicPartition],
    ) -> Result<EmbeddedLane, LogError> {
        EmbeddedLane::new(self.clone(), group, transactional_id, assignment)
    }

    /// Aborts the open transaction of a producer: what the broker does when `transaction.timeout.ms` is over.
    /// Returns true if there was one.
    pub fn abort_open(&self, transactional_id: &str) -> bool {
        self.broker().abort_open(transactional_id)
    }

    /// The next commit of the lane with that transactional id goes wrong in that way; several queue up. For tests
    /// and simulation.
    pub fn fail_commit(&self, transactional_id: &str, fault: Fault) {
        self.broker().plan_fault(transactional_id, fault);
    }

    /// How many markers of committed transactions are still to be written ([`Fault::DelayedMarkers`]).
    #[must_use]
    pub fn pending_markers(&self) -> usize {
        self.broker().pending_markers()
    }

    /// Writes one of them, by its place: transactions in the order they were decided, of each the partitions in order
    /// and then the offsets. False if there is none at that place. Brokers write them in any order.
    pub fn deliver_marker(&self, place: usize) -> bool {
        self.broker().deliver_marker(place)
    }

    /// Drops records of topics with [`crate::record::Cleanup::Delete`] that are older than their retention at `now`; returns how
    /// many. An open transaction holds back what comes after it.
    pub fn drop_expired(&self, now: Millis) -> usize {
        self.broker().drop_expired(now)
    }

    /// Cleans the topics with [`crate::record::Cleanup::Compact`]: of each key the last committed record stays, unless it
    /// is a tombstone that was appended before `tombstones_before`; offsets stay as they were. What is not decided yet is
    /// left alone, and so is the newest record of a partition. Returns how many records went.
    ///
    /// Kafka keeps a tombstone for `delete.retention.ms` at least, so that a reader who takes less than that from the
    /// beginning to the end meets the tombstone of every value that it met.
    pub fn compact(&self, tombstones_before: Millis) -> usize {
        self.broker().compact(tombstones_before)
    }

    /// Drops what stands before an offset (Kafka's `DeleteRecords`), as far as it is decided.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn delete_before(&self, at: TopicPartition, offset: NextOffset) -> Result<(), LogError> {
        self.broker().delete_before(at, offset)
    }

    /// The offset that a group committed; `None` = none yet.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`]; [`LogError::Retry`] while a transaction that commits it is open.
    pub fn committed(&self, group: &str, at: TopicPartition) -> Result<Option<NextOffset>, LogError> {
        self.broker().committed(group, at)
    }

    /// The end of a partition, markers and open transactions included.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn high_watermark(&self, at: TopicPartition) -> Result<NextOffset, LogError> {
        Ok(self.broker().partition(at)?.high_watermark())
    }

    /// Up to where `read_committed` readers can read: the first record of the oldest open transaction, else the end.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn last_stable(&self, at: TopicPartition) -> Result<NextOffset, LogError> {
        Ok(self.broker().partition(at)?.last_stable())
    }

    /// When the first record from an offset on was appended that a `read_committed` reader sees; `None` if there is none.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn append_time_from(&self, at: TopicPartition, from: NextOffset) -> Result<Option<Millis>, LogError> {
        let broker = self.broker();
        Ok(broker.partition(at)?.next_visible(from).ok().map(|(_, stored)| stored.append_time))
    }

    /// All records of a partition that a `read_committed` reader sees, in order of offset.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn read_committed(
        &self,
        at: TopicPartition,
    ) -> Result<impl Iterator<Item = OwnedRecord> + use<>, LogError> {
        let mut records = Vec::new();
        self.visit(at, |record| records.push(OwnedRecord::from(record)))?;
        Ok(records.into_iter())
    }

    /// What compaction leaves of a partition: the last committed record of each key, without tombstones, in order
    /// of offset. A record without key can't be compacted and stays.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn compacted(
        &self,
        at: TopicPartition,
    ) -> Result<impl Iterator<Item = OwnedRecord> + use<>, LogError> {
        let mut last: BTreeMap<Vec<u8>, OwnedRecord> = BTreeMap::new();
        let mut left: BTreeMap<Offset, OwnedRecord> = BTreeMap::new();
        self.visit(at, |record| match (record.key, record.value) {
            (Some(key), Some(_)) => {
                last.insert(key.to_vec(), record.into());
            }
            (Some(key), None) => {
                last.remove(key);
            }
            (None, _) => {
                left.insert(record.offset, record.into());
            }
        })?;
        left.extend(last.into_values().map(|record| (record.offset, record)));
        Ok(left.into_values())
    }

    fn visit(&self, at: TopicPartition, mut see: impl FnMut(Record<'_>)) -> Result<(), LogError> {
        let broker = self.broker();
        let partition = broker.partition(at)?;
        let mut position = partition.earliest();
        while let Ok((offset, stored)) = partition.next_visible(position) {
            see(partition.lend(offset, stored));
            position = offset.next();
        }
        Ok(())
    }
}

/// A transaction begun by hand ([`EmbeddedLog::begin`]).
#[derive(Debug)]
pub struct EmbeddedTransaction {
    log: EmbeddedLog,
    handle: ProducerHandle,
}

impl EmbeddedTransaction {
    /// Appends a record to the transaction.
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::UnknownPartition`]; [`LogError::Fatal`] if the producer is fenced or its
    /// transaction was aborted.
    pub fn append(
        &mut self,
        at: TopicPartition,
        time: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) -> Result<Offset, LogError> {
        let mut broker = self.log.broker();
        let txn = broker.enlist(&self.handle, at).map_err(fenced)?;
        if txn.is_none() {
            return Err(LogError::Fatal { reason: "the transaction is not open any more".to_owned() });
        }
        broker.append(at, time, (key, value, headers), txn)
    }

    /// Commits it.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if the producer is fenced or its transaction was aborted.
    pub fn commit(self) -> Result<(), LogError> {
        let mut broker = self.log.broker();
        if !broker.has_open(&self.handle) {
            return Err(LogError::Fatal { reason: "the transaction is not open any more".to_owned() });
        }
        broker.end(&self.handle, true).map_err(fenced)
    }

    /// Aborts it.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if the producer is fenced.
    pub fn abort(self) -> Result<(), LogError> {
        self.log.broker().end(&self.handle, false).map_err(fenced)
    }
}

fn fenced(fence: Fence) -> LogError {
    LogError::Fatal { reason: format!("fenced: {fence:?}") }
}
