//! Reads state back, one partition at a time.

use super::context::{Client, ReaderContext, StatisticsSink, Voice};
use super::names::Names;
use super::offsets::{ask, positions};
use super::reader::{headers, place};
use super::trouble::{add, fatal, retry};
use catchment_runtime::log::Restoring;
use catchment_runtime::{Batch, BatchLimits, LogError, NextOffset, TopicPartition};
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that one call reads, so that the lane can serve its group in between.
const SLICE: Duration = Duration::from_millis(50);

/// Between two looks at something that is a matter of moments.
const NAP: Duration = Duration::from_micros(200);

/// Where the client stands.
struct Cursor {
    at: TopicPartition,
    /// What the next call must ask for, to go on from here.
    next: NextOffset,
    /// Read, but without room in the last batch.
    held: Batch,
    /// The end of what was decided, asked before anything was read: once the client says that it is at the end, it
    /// has passed this.
    decided: NextOffset,
}

pub(super) struct Restorer {
    consumer: BaseConsumer<ReaderContext>,
    names: Arc<Names>,
    cursor: Option<Cursor>,
    timeout: Duration,
    /// When it was last asked.
    pub(super) used: Instant,
}

impl Restorer {
    pub(super) fn new(
        config: &ClientConfig,
        statistics: Option<StatisticsSink>,
        names: Arc<Names>,
        timeout: Duration,
    ) -> Result<Self, LogError> {
        let context = ReaderContext { voice: Voice::new(Client::Restorer, statistics) };
        let consumer = BaseConsumer::from_config_and_context(config, context)
            .map_err(|error| fatal("restorer", &error))?;
        Ok(Restorer { consumer, names, cursor: None, timeout, used: Instant::now() })
    }

    /// As [`catchment_runtime::Log::restore`].
    pub(super) fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        batch.clear();
        self.used = Instant::now();
        let mut cursor = match self.cursor.take() {
            Some(cursor) if cursor.at == at && cursor.next == from => cursor,
            _ => self.start(at, from)?,
        };
        if cursor.held.is_empty() && from >= cursor.decided {
            cursor.decided = self.bound(at, rdkafka::Offset::End)?;
            if from >= cursor.decided {
                self.cursor = Some(cursor);
                return Ok(Restoring { position: from, at_end: true });
            }
        }
        let at_end = self.read(&mut cursor, limits, batch)?;
        if cursor.held.is_empty() {
            cursor.next = cursor.next.max(self.position(at)?.unwrap_or_default());
        }
        if at_end {
            cursor.next = cursor.next.max(cursor.decided);
        }
        let restoring = Restoring { position: cursor.next, at_end };
        self.cursor = Some(cursor);
        Ok(restoring)
    }

    fn start(&self, at: TopicPartition, from: NextOffset) -> Result<Cursor, LogError> {
        let decided = self.bound(at, rdkafka::Offset::End)?;
        let mut list = TopicPartitionList::new();
        add(&mut list, self.names.of(at)?, from.0).map_err(|error| fatal("assign", &error))?;
        self.consumer.assign(&list).map_err(|error| fatal("assign", &error))?;
        // As a reader does: a position from before must not pass for one that was read to now.
        let start = Instant::now();
        while self.position(at)?.is_some() {
            if start.elapsed() > self.timeout {
                return Err(LogError::Retry { reason: "a partition does not stop being fetched".to_owned() });
            }
            std::thread::sleep(NAP);
        }
        Ok(Cursor { at, next: from, held: Batch::default(), decided })
    }

    /// The oldest offset, and the end of what is decided.
    pub(super) fn bounds(&self, at: TopicPartition) -> Result<(NextOffset, NextOffset), LogError> {
        Ok((self.bound(at, rdkafka::Offset::Beginning)?, self.bound(at, rdkafka::Offset::End)?))
    }

    /// The oldest offset, or the end of what is decided: a `read_committed` client is told the last stable offset.
    fn bound(&self, at: TopicPartition, which: rdkafka::Offset) -> Result<NextOffset, LogError> {
        let offsets = ask(&self.consumer, &self.names, &[at], which, self.timeout)?;
        offsets.first().copied().ok_or(LogError::UnknownPartition { at })
    }

    /// Fills the batch for the length of a slice; true if the client reached the end of what is decided.
    fn read(&self, cursor: &mut Cursor, limits: &BatchLimits, batch: &mut Batch) -> Result<bool, LogError> {
        let at = cursor.at;
        for record in cursor.held.iter() {
            let held =
                catchment_runtime::log::Place { at, offset: record.offset, append_time: record.append_time };
            batch.push(held, record.key, record.value, record.headers.clone());
            cursor.next = record.offset.next();
        }
        cursor.held.clear();
        let deadline = Instant::now() + SLICE;
        loop {
            let message = match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                None if Instant::now() < deadline => continue,
                None => return Ok(false),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                Some(Err(error)) => return Err(self.trouble(cursor, &error)),
                Some(Ok(message)) => message,
            };
            let (place, headers) = (place(at, &message), headers(&message));
            if place.offset.0 < cursor.next.0
                || self.names.find(message.topic(), message.partition()) != Some(at)
            {
                continue;
            }
            let (key, value) = (message.key(), message.payload());
            let size = catchment_runtime::log::record_size(key, value, &headers);
            if !batch.has_room(limits, size) {
                cursor.held.push(place, key, value, headers);
                return Ok(false);
            }
            batch.push(place, key, value, headers);
            cursor.next = place.offset.next();
            if batch.len() >= limits.records {
                return Ok(false);
            }
        }
    }

    fn trouble(&self, cursor: &Cursor, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => fatal("restorer", error),
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                let (at, position) = (cursor.at, cursor.next);
                match self.bound(at, rdkafka::Offset::Beginning) {
                    Ok(earliest) => LogError::OutOfRange { at, position, earliest },
                    Err(error) => error,
                }
            }
            _ => retry("restorer", error),
        }
    }

    /// The client's position, which passes over markers and aborted records, once it has brought something.
    fn position(&self, at: TopicPartition) -> Result<Option<NextOffset>, LogError> {
        let positions = positions(&self.consumer, &self.names)?;
        Ok(positions.into_iter().find(|(of, _)| *of == at).map(|(_, position)| position))
    }
}
