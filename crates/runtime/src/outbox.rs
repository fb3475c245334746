//! What a step is about to write, in one buffer.

use crate::record::{Headers, Millis, Partition, TopicId};
use std::ops::Range;

/// A record that a step wrote. The bytes stand in the [`Outbox`].
#[derive(Clone, Debug)]
pub struct OutRecord {
    /// Topic.
    pub topic: TopicId,
    /// Partition.
    pub partition: Partition,
    /// `now` of the decision behind it. The embedded log takes it as the append time; Kafka has a clock of its own.
    pub time: Millis,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    /// Headers; most records have none.
    pub headers: Headers,
}

/// Records of one step, in the order they were decided. Keys and values share one buffer, which is kept from step
/// to step, so that a step in steady state allocates nothing for them.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    records: Vec<OutRecord>,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug)]
pub struct To {
    /// Topic.
    pub topic: TopicId,
    /// Partition.
    pub partition: Partition,
    /// `now` of the decision.
    pub time: Millis,
}

impl Outbox {
    /// Adds a record; `value` writes its value to the end of the buffer it is given (and must not touch what stands
    /// there before). The bounds are taken after it has run.
    pub fn push_with(
        &mut self,
        to: To,
        key: Option<&[u8]>,
        headers: Headers,
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let key = key.map(|key| self.store(key));
        let start = self.bytes.len();
        value(&mut self.bytes);
        self.add(to, key, Some(start..self.bytes.len()), headers);
    }

    /// Adds a record whose bytes are at hand; a `None` value is a tombstone.
    pub fn push(&mut self, to: To, key: Option<&[u8]>, value: Option<&[u8]>, headers: Headers) {
        let key = key.map(|key| self.store(key));
        let value = value.map(|value| self.store(value));
        self.add(to, key, value, headers);
    }

    fn add(&mut self, to: To, key: Option<Range<usize>>, value: Option<Range<usize>>, headers: Headers) {
        let To { topic, partition, time } = to;
        self.records.push(OutRecord { topic, partition, time, key, value, headers });
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// The records, oldest first.
    #[must_use]
    pub fn records(&self) -> &[OutRecord] {
        &self.records
    }

    /// Key of a record of this outbox.
    #[must_use]
    pub fn key(&self, record: &OutRecord) -> Option<&[u8]> {
        record.key.clone().map(|range| &self.bytes[range])
    }

    /// Value of a record of this outbox.
    #[must_use]
    pub fn value(&self, record: &OutRecord) -> Option<&[u8]> {
        record.value.clone().map(|range| &self.bytes[range])
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}
