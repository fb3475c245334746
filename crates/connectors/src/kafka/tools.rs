//! For tools and tests: questions about topics and groups, reading parts of topics, writing outside of a lane.

mod ask;
mod groups;
mod scan;
mod transaction;

pub(super) use ask::ToolContext;
pub use ask::{AskError, Inspector, NamedPartition, Place, View};
pub use groups::{Group, GroupMember, deal_again};
pub use scan::{Follow, Scan, Scanned};
pub use transaction::ToolWriter;

use super::config::Cluster;
use super::context::{Client, Voice, WriterContext};
use super::names::Names;
use super::restorer::Restorer;
use super::trouble::{fatal, retry};
use catchment_runtime::{Batch, BatchLimits, LogError, NextOffset, OwnedRecord, TopicPartition, TopicTable};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Fetched ahead while a partition is read from end to end, in KiB.
const QUEUE_KIB: u32 = 16 << 10;

/// A batch of a tool, in bytes. librdkafka's default is a megabyte, which a topic of upstream may not take, and tools have
/// no hurry.
const TOOL_BATCH: (&str, &str) = ("batch.size", "65536");

/// A record to be written outside of any transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawRecord<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; none: by the key, as Java clients do it.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// `CreateTime`, in milliseconds; none: now.
    pub time: Option<i64>,
}

fn base_record<'a>(record: &RawRecord<'a>) -> BaseRecord<'a, [u8], [u8]> {
    let mut out = BaseRecord::<[u8], [u8]>::to(record.topic);
    out.partition = record.partition;
    (out.key, out.payload, out.timestamp) = (record.key, record.value, record.time);
    if !record.headers.is_empty() {
        let add =
            |all: OwnedHeaders, (key, value): &(&str, &[u8])| all.insert(Header { key, value: Some(*value) });
        out.headers = Some(record.headers.iter().fold(OwnedHeaders::new(), add));
    }
    out
}

/// A producer without transactions, as upstream has it: idempotent, and with the partitioner of Java clients.
pub struct RawProducer {
    producer: BaseProducer<WriterContext>,
}

impl RawProducer {
    /// A producer. Doesn't connect yet.
    ///
    /// # Errors
    /// [`LogError::Fatal`] for properties that librdkafka refuses.
    pub fn new(cluster: &Cluster) -> Result<Self, LogError> {
        let mut config = cluster.client(&[("linger.ms", "5"), TOOL_BATCH]);
        config.set("enable.idempotence", "true");
        config.set("partitioner", "murmur2_random");
        let voice = Voice::new(Client::Producer, None);
        let context = WriterContext { voice, undelivered: Mutex::default() };
        let producer = BaseProducer::from_config_and_context(&config, context);
        Ok(RawProducer { producer: producer.map_err(|error| fatal("producer", &error))? })
    }

    /// Takes a record into the queue; waits while that is full.
    ///
    /// # Errors
    /// [`LogError::Retry`] if librdkafka does not take it, or if an earlier record was not delivered.
    pub fn send(&self, record: &RawRecord<'_>) -> Result<(), LogError> {
        let mut out = base_record(record);
        while let Err((error, back)) = self.producer.send(out) {
            if error != KafkaError::MessageProduction(Code::QueueFull) {
                return Err(retry("send", &error));
            }
            self.producer.poll(Duration::from_millis(5));
            self.failure()?;
            out = back;
        }
        self.producer.poll(Duration::ZERO);
        self.failure()
    }

    /// Waits until everything is delivered.
    ///
    /// # Errors
    /// [`LogError::Retry`] if a record was not, with the first reason.
    pub fn flush(&self, patience: Duration) -> Result<(), LogError> {
        // By naps: librdkafka's `flush` waits in slices of 100 ms.
        let start = Instant::now();
        while self.producer.in_flight_count() > 0 && start.elapsed() < patience {
            self.producer.poll(Duration::ZERO);
            thread::sleep(Duration::from_micros(300));
        }
        self.failure()?;
        match self.producer.in_flight_count() {
            0 => Ok(()),
            left => Err(LogError::Retry { reason: format!("{left} records not delivered in time") }),
        }
    }

    /// The first record that was not delivered, once.
    fn failure(&self) -> Result<(), LogError> {
        let Some(undelivered) = self.producer.context().take_undelivered() else { return Ok(()) };
        let reason = format!(
            "not delivered to topic {} partition {}: {}",
            undelivered.topic, undelivered.partition, undelivered.reason
        );
        Err(LogError::Retry { reason })
    }
}

impl fmt::Debug for RawProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawProducer").finish_non_exhaustive()
    }
}

/// All records of a partition that a `read_committed` reader sees, from the oldest to the end as it was when this was
/// called, in order of offset. An open transaction ends it earlier.
///
/// # Errors
/// [`LogError::UnknownPartition`]; [`LogError::Retry`] if Kafka can't be reached or nothing comes for `patience`.
pub fn read_committed(
    cluster: &Cluster,
    topics: &TopicTable,
    at: TopicPartition,
    patience: Duration,
) -> Result<Vec<OwnedRecord>, LogError> {
    let names = Arc::new(Names::new(topics));
    names.of(at)?;
    let mut config = cluster.consumer("catchment-tools", QUEUE_KIB);
    config.set("enable.partition.eof", "true");
    let mut reader = Restorer::new(&config, None, Arc::clone(&names), patience)?;
    let (mut position, end) = reader.bounds(at)?;
    let (mut records, mut batch) = (Vec::new(), Batch::default());
    let mut moved = Instant::now();
    while position < end {
        let read = reader.restore(at, position, &BatchLimits::default(), &mut batch)?;
        records.extend(batch.iter().map(OwnedRecord::from));
        if read.position > position {
            moved = Instant::now();
        } else if moved.elapsed() > patience {
            let NextOffset(next) = position;
            return Err(LogError::Retry { reason: format!("nothing comes behind offset {next}") });
        }
        position = read.position;
    }
    records.retain(|record| record.offset.0 < end.0);
    Ok(records)
}
