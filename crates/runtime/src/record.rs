//! What a log holds: topics, partitions, offsets, records.

use std::fmt;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z (negative before).
pub type Millis = i64;

/// Number of a partition within its topic, from 0.
pub type Partition = u32;

/// Position of a record in its partition, from 0. Not every offset holds a record: commit and abort markers take
/// one each, and compaction leaves gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub u64);

/// The offset to read next: what a transaction commits. A type of its own, because committing the offset of the
/// last record read instead is the classic way to read a record twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NextOffset(pub u64);

impl Offset {
    /// The position to read after this record.
    #[must_use]
    pub fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }
}

/// A topic of the [`TopicTable`], by its place there. Cheap to copy and to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u16);

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: Partition,
}

/// A partition as a message names it: by the topic's name where a table is at hand, else by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a>(pub(crate) TopicPartition, pub(crate) Option<&'a TopicTable>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TopicPartition { topic, partition } = self.0;
        match self.1.and_then(|table| table.get(topic)) {
            Some(spec) => write!(f, "topic {} partition {partition}", spec.name),
            None => write!(f, "topic {} partition {partition}", topic.0),
        }
    }
}

/// How a topic forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Records go when they are older than the retention, in milliseconds.
    Delete {
        /// Milliseconds a record is kept.
        retention_ms: u64,
    },
    /// The last record of each key stays; a tombstone (null value) ends a key.
    Compact,
}

/// A topic as the program knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Number of partitions, at least 1. Part of the meaning of keys: fixed when the topic is made.
    pub partitions: Partition,
    /// How it forgets.
    pub cleanup: Cleanup,
}

/// The topics that a program reads and writes; made at start and never changed.
#[derive(Clone, Debug, Default)]
pub struct TopicTable {
    specs: Vec<TopicSpec>,
}

impl TopicTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a topic, or finds the one of that name (whose settings then stay as they were).
    ///
    /// Ids are 16 bits wide: a table has room for 65,536 topics, and one topic more would be mistaken for the last.
    pub fn add(&mut self, spec: TopicSpec) -> TopicId {
        if let Some(id) = self.find(&spec.name) {
            return id;
        }
        self.specs.push(spec);
        TopicId(u16::try_from(self.specs.len() - 1).unwrap_or(u16::MAX))
    }

    /// The topic of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TopicId> {
        let at = self.specs.iter().position(|spec| spec.name == name)?;
        u16::try_from(at).ok().map(TopicId)
    }

    /// What is known of a topic of this table.
    ///
    /// # Panics
    /// If the id is of another, longer table.
    #[must_use]
    pub fn spec(&self, id: TopicId) -> &TopicSpec {
        &self.specs[usize::from(id.0)]
    }

    /// What is known of a topic, if it is in this table.
    #[must_use]
    pub fn get(&self, id: TopicId) -> Option<&TopicSpec> {
        self.specs.get(usize::from(id.0))
    }

    /// All topics, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (TopicId, &TopicSpec)> {
        self.specs.iter().enumerate().map(|(at, spec)| (TopicId(u16::try_from(at).unwrap_or(u16::MAX)), spec))
    }
}

/// Headers of a record, in order; a name may come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    /// The bytes of the last header of that name (Kafka's `lastHeader`).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.0.push((name.into(), value.into()));
    }
}

/// A record as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Topic.
    pub topic: TopicId,
    /// Partition.
    pub partition: Partition,
    /// Position.
    pub offset: Offset,
    /// The log's clock when the record was appended (`LogAppendTime`).
    pub append_time: Millis,
    /// Key; `None` is Kafka's null key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone, which is not the same as an empty value.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a Headers,
}

impl Record<'_> {
    /// Where the record stands.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic, partition: self.partition }
    }
}
