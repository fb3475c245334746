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
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that one call reads, so that the lane can serve its group in between.
const SLICE: Duration = Duration::from_millis(50);

/// Between two looks at something that is a matter of moments.
const NAP: Duration = Duration::from_micros(200);

/// Bytes that are kept of partitions whose turn has not come. Beyond, they are fetched when it comes.
const AHEAD: usize = 32 << 20;

/// Where the client stands in a partition.
struct Cursor {
    /// What the next call must ask for, to go on from here.
    next: NextOffset,
    /// What comes next from the client.
    fetched: NextOffset,
    /// Read, and not handed out yet.
    aside: Batch,
    /// The end of what was decided, asked before anything was read: once the client says that it is at the end, it
    /// has passed this.
    decided: NextOffset,
    /// The client has said so, behind all that stands aside.
    at_end: bool,
    is_assigned: bool,
}

impl Cursor {
    fn new(from: NextOffset) -> Self {
        Cursor {
            next: from,
            fetched: from,
            aside: Batch::default(),
            decided: NextOffset::default(),
            at_end: false,
            is_assigned: false,
        }
    }
}

/// Reads partitions of **one topic**: the client says that a partition is at its end by its number alone. All that are to
/// be read are fetched at once: one after the other, each would cost a few round trips.
pub(super) struct Restorer {
    consumer: BaseConsumer<ReaderContext>,
    names: Arc<Names>,
    cursors: BTreeMap<TopicPartition, Cursor>,
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
        Ok(Restorer { consumer, names, cursors: BTreeMap::new(), timeout, used: Instant::now() })
    }

    /// These will be asked for, from there.
    pub(super) fn soon(&mut self, of: &[(TopicPartition, NextOffset)]) {
        for (at, from) in of {
            self.cursors.entry(*at).or_insert_with(|| Cursor::new(*from));
        }
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
        let mut cursor = match self.cursors.remove(&at) {
            Some(cursor) if cursor.next == from => cursor,
            _ => Cursor::new(from),
        };
        let restored = self.read_on(at, &mut cursor, limits, batch);
        self.cursors.insert(at, cursor);
        restored
    }

    fn read_on(
        &mut self,
        at: TopicPartition,
        cursor: &mut Cursor,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        let has_room = hand_out(at, cursor, limits, batch);
        if has_room && batch.is_empty() && !cursor.at_end {
            if !cursor.is_assigned {
                self.assign(at, cursor)?;
            } else if cursor.next >= cursor.decided {
                cursor.decided = self.bound(at, rdkafka::Offset::End)?;
            }
            if cursor.next >= cursor.decided {
                return Ok(Restoring { position: cursor.next, at_end: true });
            }
            self.read(at, cursor, limits, batch)?;
        }
        if cursor.aside.is_empty() && cursor.is_assigned {
            cursor.next = cursor.next.max(self.position(at)?.unwrap_or_default());
        }
        // Said once: what comes behind this end is a matter of another one.
        let at_end = cursor.aside.is_empty() && std::mem::take(&mut cursor.at_end);
        if at_end {
            cursor.next = cursor.next.max(cursor.decided);
        }
        Ok(Restoring { position: cursor.next, at_end })
    }

    /// Fetches the partition, and with it all others that are not read to their ends.
    fn assign(&mut self, at: TopicPartition, cursor: &mut Cursor) -> Result<(), LogError> {
        // Whoever is left out is fetched no more, and must be assigned again when its turn comes.
        self.cursors.values_mut().for_each(|other| other.is_assigned = false);
        let others = self.cursors.iter_mut().filter(|(_, other)| !other.at_end);
        let mut of: Vec<(TopicPartition, &mut Cursor)> = others.map(|(at, other)| (*at, other)).collect();
        of.push((at, cursor));
        let partitions: Vec<TopicPartition> = of.iter().map(|(at, _)| *at).collect();
        let decided = ask(&self.consumer, &self.names, &partitions, rdkafka::Offset::End, self.timeout)?;
        let mut list = TopicPartitionList::new();
        for ((at, cursor), decided) in of.into_iter().zip(decided) {
            add(&mut list, self.names.of(at)?, cursor.fetched.0).map_err(|error| fatal("assign", &error))?;
            (cursor.decided, cursor.is_assigned) = (decided, true);
        }
        self.put(&list)
    }

    /// Fetches this partition alone: more stands aside than may.
    fn assign_alone(&mut self, at: TopicPartition, cursor: &Cursor) -> Result<(), LogError> {
        self.cursors.values_mut().for_each(|other| other.is_assigned = false);
        let mut list = TopicPartitionList::new();
        add(&mut list, self.names.of(at)?, cursor.fetched.0).map_err(|error| fatal("assign", &error))?;
        self.put(&list)
    }

    fn put(&self, list: &TopicPartitionList) -> Result<(), LogError> {
        // What was fetched so far goes first, so that a position from before does not pass for one that was read to now.
        self.consumer.unassign().map_err(|error| fatal("unassign", &error))?;
        self.consumer.assign(list).map_err(|error| fatal("assign", &error))?;
        let start = Instant::now();
        while !positions(&self.consumer, &self.names)?.is_empty() {
            if start.elapsed() > self.timeout {
                return Err(LogError::Retry { reason: "a partition does not stop being fetched".to_owned() });
            }
            std::thread::sleep(NAP);
        }
        Ok(())
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

    /// Fills the batch for the length of a slice, or until there is no more room, or no more to read.
    fn read(
        &mut self,
        at: TopicPartition,
        cursor: &mut Cursor,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let deadline = Instant::now() + SLICE;
        loop {
            let message = match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                None if Instant::now() < deadline => continue,
                None => return Ok(()),
                Some(Err(KafkaError::PartitionEOF(number)))
                    if i64::from(number) == i64::from(at.partition) =>
                {
                    cursor.at_end = true;
                    return Ok(());
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    let mut others = self.cursors.iter_mut();
                    let other = others.find(|(at, _)| i64::from(at.partition) == i64::from(number));
                    if let Some((_, other)) = other.filter(|(_, other)| other.is_assigned) {
                        other.at_end = true;
                    }
                    continue;
                }
                Some(Err(error)) => return Err(self.trouble(at, cursor, &error)),
                Some(Ok(message)) => message,
            };
            let Some(of) = self.names.find(message.topic(), message.partition()) else { continue };
            let target = if of == at { Some(&mut *cursor) } else { self.cursors.get_mut(&of) };
            let Some(target) = target.filter(|target| target.is_assigned) else { continue };
            let (place, headers) = (place(of, &message), headers(&message));
            if place.offset.0 < target.fetched.0 {
                continue;
            }
            target.fetched = place.offset.next();
            let (key, value) = (message.key(), message.payload());
            let size = catchment_runtime::log::record_size(key, value, &headers);
            if of == at && target.aside.is_empty() && batch.has_room(limits, size) {
                target.next = place.offset.next();
                batch.push(place, key, value, headers);
                if batch.len() >= limits.records {
                    return Ok(());
                }
                continue;
            }
            target.aside.push(place, key, value, headers);
            drop(message);
            if of == at {
                return Ok(());
            }
            if self.cursors.values().map(|other| other.aside.bytes()).sum::<usize>() > AHEAD {
                self.assign_alone(at, cursor)?;
            }
        }
    }
    fn trouble(&mut self, at: TopicPartition, cursor: &mut Cursor, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => fatal("restorer", error),
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                let position = cursor.next;
                match self.bound(at, rdkafka::Offset::Beginning) {
                    Ok(earliest) if cursor.fetched < earliest => {
                        LogError::OutOfRange { at, position, earliest }
                    }
                    // The client does not say which: it is another one that is fetched along, and hears of it in its turn.
                    Ok(_) => {
                        self.cursors.clear();
                        cursor.is_assigned = false;
                        retry("restorer", error)
                    }
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

/// Moves what stands aside into the batch; true if the batch has room left.
fn hand_out(at: TopicPartition, cursor: &mut Cursor, limits: &BatchLimits, batch: &mut Batch) -> bool {
    let mut taken = 0;
    for record in cursor.aside.iter() {
        let size = cursor.aside.size_of(taken);
        if batch.len() >= limits.records || !batch.has_room(limits, size) {
            break;
        }
        let place =
            catchment_runtime::log::Place { at, offset: record.offset, append_time: record.append_time };
        batch.push(place, record.key, record.value, record.headers.clone());
        cursor.next = record.offset.next();
        taken += 1;
    }
    let left = cursor.aside.len() - taken;
    if left == 0 {
        cursor.aside.clear();
        return batch.len() < limits.records;
    }
    cursor.aside.drop_first(taken);
    false
}
