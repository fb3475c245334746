//! Reading parts of topics record by record, in bounded memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use catchment_runtime::Headers;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::super::config::Cluster;
use super::super::offsets::learn;
use super::super::reader::headers;
use super::ask::{AskError, Inspector, NamedPartition, Place, ToolContext, View, classify};

/// Fetched ahead, in KiB: the bound of what a scan holds, beside one record.
const QUEUE_KIB: u32 = 4 << 10;

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where it stands.
    pub at: NamedPartition,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub time: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
}

/// What of a partition is read: from one offset to before another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    at: NamedPartition,
    from: i64,
    to: i64,
}

/// Reads partitions one after the other, each from a place to its end as it was at the beginning, as a
/// `read_committed` reader sees it: an open transaction ends a partition earlier.
pub struct Scan {
    consumer: BaseConsumer<ToolContext>,
    open: Option<Range>,
    waiting: VecDeque<Range>,
    patience: Duration,
}

impl Scan {
    /// Reads these partitions; one that doesn't exist is empty.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn new(
        cluster: &Cluster,
        of: &[NamedPartition],
        from: Place,
        patience: Duration,
    ) -> Result<Self, AskError> {
        let inspector = Inspector::new(cluster, None, View::Committed, patience)?;
        let starts = inspector.offsets(of, from)?;
        let ends = inspector.offsets(of, Place::End)?;
        let ranges = of.iter().zip(starts).zip(ends).filter_map(|((at, from), to)| {
            Some(Range { at: at.clone(), from: from?, to: to? }).filter(|range| range.from < range.to)
        });
        let mut config = cluster.consumer("catchment-tools", QUEUE_KIB);
        config.set("enable.partition.eof", "true");
        let consumer = BaseConsumer::from_config_and_context(&config, ToolContext::default())
            .map_err(|error| AskError::refused("Kafka client", error.to_string()))?;
        Ok(Scan { consumer, open: None, waiting: ranges.collect(), patience })
    }

    /// The next record, partition by partition and there in order of offset; `None` when all is read.
    ///
    /// # Errors
    /// See [`AskError`]. Nothing comes for as long as the patience lasts: [`AskError::Unreachable`].
    pub fn next_record(&mut self) -> Result<Option<Scanned>, AskError> {
        loop {
            if self.open.is_none() {
                let Some(range) = self.waiting.pop_front() else { return Ok(None) };
                self.assign(&range)?;
                self.open = Some(range);
            }
            if let Some(record) = self.read()? {
                return Ok(Some(record));
            }
            self.open = None;
        }
    }

    fn assign(&self, range: &Range) -> Result<(), AskError> {
        learn(&self.consumer, &range.at.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&range.at.topic, range.at.partition, Offset::Offset(range.from))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| self.trouble(&range.at, &error))
    }

    fn trouble(&self, at: &NamedPartition, error: &KafkaError) -> AskError {
        classify(&format!("reading {at}"), error, self.consumer.context().seen())
    }

    /// The next record of the open partition; `None` at its end.
    fn read(&mut self) -> Result<Option<Scanned>, AskError> {
        let Some(range) = &mut self.open else { return Ok(None) };
        let start = Instant::now();
        while range.from < range.to {
            let message = match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == range.at.partition => break,
                Some(Err(error)) if is_final(&error) => {
                    let at = range.at.clone();
                    return Err(self.trouble(&at, &error));
                }
                _ if start.elapsed() > self.patience => {
                    let at = range.at.clone();
                    return Err(self.trouble(&at, &KafkaError::MessageConsumption(Code::OperationTimedOut)));
                }
                _ => continue,
            };
            // What was fetched of the partition before may still come.
            if message.topic() != range.at.topic
                || message.partition() != range.at.partition
                || message.offset() < range.from
            {
                continue;
            }
            if message.offset() >= range.to {
                break;
            }
            range.from = message.offset() + 1;
            return Ok(Some(scanned(range.at.clone(), &message)));
        }
        Ok(None)
    }
}

fn scanned(at: NamedPartition, message: &BorrowedMessage<'_>) -> Scanned {
    Scanned {
        at,
        offset: message.offset(),
        time: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers(message),
    }
}

/// Reads what is written to partitions from now on, as a `read_committed` reader sees it, as soon as it can be seen.
pub struct Follow {
    consumer: BaseConsumer<ToolContext>,
}

impl Follow {
    /// Follows these partitions from their ends.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn new(cluster: &Cluster, of: &[NamedPartition], patience: Duration) -> Result<Self, AskError> {
        let ends = Inspector::new(cluster, None, View::Committed, patience)?.offsets(of, Place::End)?;
        let mut config = cluster.consumer("catchment-tools", QUEUE_KIB);
        config.set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer<ToolContext> =
            BaseConsumer::from_config_and_context(&config, ToolContext::default())
                .map_err(|error| AskError::refused("Kafka client", error.to_string()))?;
        let mut list = TopicPartitionList::new();
        let trouble = |error| classify("reading", &error, consumer.context().seen());
        for (index, (at, end)) in of.iter().zip(ends).enumerate() {
            if of[..index].iter().all(|before| before.topic != at.topic) {
                learn(&consumer, &at.topic);
            }
            let from = Offset::Offset(end.unwrap_or(0));
            list.add_partition_offset(&at.topic, at.partition, from).map_err(trouble)?;
        }
        consumer.assign(&list).map_err(trouble)?;
        Ok(Follow { consumer })
    }

    /// The next record, if one comes within `wait`.
    ///
    /// # Errors
    /// See [`AskError`]; what a broker that is away causes is waited for.
    pub fn next_record(&mut self, wait: Duration) -> Result<Option<Scanned>, AskError> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => {
                Ok(Some(scanned(NamedPartition::new(message.topic(), message.partition()), &message)))
            }
            Some(Err(error)) if is_final(&error) => {
                Err(classify("reading", &error, self.consumer.context().seen()))
            }
            Some(Err(_)) => Ok(None),
        }
    }
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow").finish_non_exhaustive()
    }
}

/// Waiting longer would not help. A broker that is away may come back within the patience.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::TopicAuthorizationFailed
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::OffsetOutOfRange
                | Code::AutoOffsetReset
        )
    ) || matches!(error, KafkaError::MessageConsumptionFatal(_))
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("open", &self.open)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}
