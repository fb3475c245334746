//! Reads the lane's partitions, from positions that the lane gives.

use super::config::LaneSettings;
use super::context::{Client, ReaderContext, Voice};
use super::names::Names;
use super::trouble::{add, fatal, of_partition, retry};
use catchment_runtime::log::Place;
use catchment_runtime::{Batch, BatchLimits, Headers, LogError, NextOffset, Offset, TopicPartition};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message as _, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is set aside of one partition while another is asked for, in bytes; beyond, the partition is paused.
const SET_ASIDE: usize = 4 << 20;

/// A partition that is read.
#[derive(Default)]
struct Input {
    /// What the lane gets next.
    next: NextOffset,
    /// What the client brings next; `next` and this differ by what is set aside.
    fetched: NextOffset,
    /// Brought and not yet handed out, from `head` on.
    aside: Batch,
    head: usize,
    paused: bool,
    /// The records between `next` and here are gone.
    gap: Option<NextOffset>,
}

impl Input {
    fn at(next: NextOffset) -> Self {
        Input { next, fetched: next, ..Input::default() }
    }

    fn is_empty(&self) -> bool {
        self.head >= self.aside.len()
    }

    /// Hands out what was set aside; true if all of it fitted.
    fn hand_out(&mut self, at: TopicPartition, limits: &BatchLimits, batch: &mut Batch) -> bool {
        while let Some(record) = self.aside.get(self.head) {
            if !batch.has_room(limits, self.aside.size_of(self.head)) {
                return false;
            }
            let place = Place { at, offset: record.offset, append_time: record.append_time };
            batch.push(place, record.key, record.value, record.headers.clone());
            self.next = record.offset.next();
            self.head += 1;
        }
        self.aside.clear();
        self.head = 0;
        true
    }
}

pub(super) struct Reader {
    consumer: BaseConsumer<ReaderContext>,
    names: Arc<Names>,
    inputs: BTreeMap<TopicPartition, Input>,
    /// The client must be told the positions anew.
    stale: bool,
    wait: Duration,
    timeout: Duration,
}

impl Reader {
    pub(super) fn new(settings: &LaneSettings, names: Arc<Names>) -> Result<Self, LogError> {
        let statistics = settings.statistics.as_ref().map(|(sink, _)| sink.clone());
        let context = ReaderContext { voice: Voice::new(Client::Reader, statistics) };
        let consumer = BaseConsumer::from_config_and_context(&settings.reader(), context)
            .map_err(|error| fatal("reader", &error))?;
        let (wait, timeout) = (settings.poll_wait, settings.request_timeout);
        Ok(Reader { consumer, names, inputs: BTreeMap::new(), stale: false, wait, timeout })
    }

    /// Reads that partition too, from there.
    pub(super) fn follow(&mut self, at: TopicPartition, from: NextOffset) {
        self.inputs.insert(at, Input::at(from));
        self.stale = true;
    }

    pub(super) fn forget(&mut self, at: TopicPartition) {
        self.stale |= self.inputs.remove(&at).is_some();
    }

    /// The next record of that partition is this one.
    pub(super) fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        let input = self.inputs.get_mut(&at).ok_or(LogError::NotAssigned { at })?;
        // After a step that read nothing the lane seeks to where it is: that must not throw away what was fetched.
        if input.next != to || input.gap.is_some() {
            *input = Input::at(to);
            self.stale = true;
        }
        Ok(())
    }

    /// The committed offsets. A `read_committed` client is not answered while a transaction decides on them.
    pub(super) fn committed(&self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError> {
        let mut list = TopicPartitionList::with_capacity(of.len());
        for at in of {
            let (topic, partition) = self.names.of(*at)?;
            list.add_partition(topic, partition);
        }
        let list = self
            .consumer
            .committed_offsets(list, self.timeout)
            .map_err(|error| retry("committed offsets", &error))?;
        let mut offsets = Vec::with_capacity(of.len());
        for at in of {
            let (topic, partition) = self.names.of(*at)?;
            let element =
                list.find_partition(topic, partition).ok_or(LogError::UnknownPartition { at: *at })?;
            element.error().map_err(|error| of_partition(*at, "committed offset", &error))?;
            offsets.push(match element.offset() {
                rdkafka::Offset::Offset(offset) => Some(NextOffset(offset.try_into().unwrap_or(0))),
                _ => None,
            });
        }
        Ok(offsets)
    }

    /// The oldest offset, and the end of what is decided.
    pub(super) fn bounds(&self, at: TopicPartition) -> Result<(NextOffset, NextOffset), LogError> {
        bounds(&self.consumer, &self.names, at, self.timeout)
    }

    /// The next records of all partitions.
    pub(super) fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        batch.clear();
        self.prepare(None)?;
        for (at, input) in &mut self.inputs {
            if !input.is_empty() && !input.hand_out(*at, limits, batch) {
                return Ok(());
            }
        }
        self.read(None, limits, batch)
    }

    /// The next records of one partition. An empty batch is the truth: the position has reached the end of what is
    /// decided.
    pub(super) fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        batch.clear();
        self.prepare(Some(at))?;
        let input = self.inputs.get_mut(&at).ok_or(LogError::NotAssigned { at })?;
        if !input.hand_out(at, limits, batch) {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            self.read(Some(at), limits, batch)?;
            if !batch.is_empty() || self.is_at_end(at)? {
                return Ok(());
            }
            if start.elapsed() > self.timeout {
                let reason = format!("topic {} partition {}: nothing comes", at.topic.0, at.partition);
                return Err(LogError::Retry { reason });
            }
        }
    }

    /// Tells the client where to read, and lets paused partitions go on that are asked for.
    fn prepare(&mut self, only: Option<TopicPartition>) -> Result<(), LogError> {
        for (at, input) in &self.inputs {
            if let Some(earliest) = input.gap.filter(|_| only.is_none_or(|only| only == *at)) {
                return Err(LogError::OutOfRange { at: *at, position: input.next, earliest });
            }
        }
        let mut list = TopicPartitionList::with_capacity(self.inputs.len());
        let mut resumed = TopicPartitionList::new();
        for (at, input) in &mut self.inputs {
            let name = self.names.of(*at)?;
            add(&mut list, name, input.fetched.0).map_err(|error| fatal("assign", &error))?;
            let asked = only.is_none_or(|only| only == *at);
            if input.paused && (self.stale || asked) {
                resumed.add_partition(name.0, name.1);
                input.paused = false;
                // What was prefetched is gone with the pause: read on behind what is set aside.
                self.stale = true;
            }
        }
        if resumed.count() > 0 {
            self.consumer.resume(&resumed).map_err(|error| retry("resume", &error))?;
        }
        if std::mem::take(&mut self.stale) {
            self.consumer.assign(&list).map_err(|error| fatal("assign", &error))?;
        }
        Ok(())
    }

    /// Fills the batch; waits for the first record only. Records of partitions that were not asked for are set
    /// aside.
    fn read(
        &mut self,
        only: Option<TopicPartition>,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let deadline = Instant::now() + self.wait;
        loop {
            let wait = if batch.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let trouble = match self.consumer.poll(wait) {
                None if batch.is_empty() && Instant::now() < deadline => continue,
                None => return Ok(()),
                Some(Ok(message)) => {
                    match take(&self.names, &mut self.inputs, &message, only, limits, batch) {
                        Taken::Placed => continue,
                        Taken::Full => return Ok(()),
                        Taken::Aside(at) => Err(at),
                    }
                }
                Some(Err(error)) => Ok(error),
            };
            match trouble {
                Err(at) => self.pause_if_full(at)?,
                // What is in the batch is good; an error that stays comes again.
                Ok(error) if !batch.is_empty() => {
                    self.stale |= is_gap(&error);
                    return Ok(());
                }
                Ok(error) => return Err(self.trouble(&error)),
            }
        }
    }

    fn pause_if_full(&mut self, at: TopicPartition) -> Result<(), LogError> {
        let Some(input) = self.inputs.get_mut(&at).filter(|input| !input.paused) else {
            return Ok(());
        };
        if input.aside.bytes() > SET_ASIDE {
            let (topic, partition) = self.names.of(at)?;
            let mut list = TopicPartitionList::new();
            list.add_partition(topic, partition);
            self.consumer.pause(&list).map_err(|error| retry("pause", &error))?;
            input.paused = true;
        }
        Ok(())
    }

    fn trouble(&mut self, error: &KafkaError) -> LogError {
        match error {
            KafkaError::MessageConsumptionFatal(_) => fatal("reader", error),
            _ if is_gap(error) => self.find_gap(error),
            _ => retry("reader", error),
        }
    }

    /// rdkafka doesn't say which partition is out of range.
    fn find_gap(&mut self, error: &KafkaError) -> LogError {
        self.stale = true;
        let partitions: Vec<TopicPartition> = self.inputs.keys().copied().collect();
        for at in partitions {
            let earliest = match self.bounds(at) {
                Ok((earliest, _)) => earliest,
                Err(error) => return error,
            };
            if let Some(input) = self.inputs.get_mut(&at).filter(|input| input.fetched < earliest) {
                input.gap = Some(earliest);
                return LogError::OutOfRange { at, position: input.next, earliest };
            }
        }
        LogError::Fatal { reason: format!("a position is behind the end of its partition: {error}") }
    }

    /// True if nothing that is decided is left to be read.
    fn is_at_end(&self, at: TopicPartition) -> Result<bool, LogError> {
        let (_, end) = self.bounds(at)?;
        Ok(self.position(at)? >= end)
    }

    /// The client's position, which passes over markers and aborted records.
    fn position(&self, at: TopicPartition) -> Result<NextOffset, LogError> {
        let fetched = self.inputs.get(&at).ok_or(LogError::NotAssigned { at })?.fetched;
        let (topic, partition) = self.names.of(at)?;
        let list = self.consumer.position().map_err(|error| retry("position", &error))?;
        let position = list.find_partition(topic, partition).map(|element| element.offset());
        Ok(match position {
            Some(rdkafka::Offset::Offset(offset)) => fetched.max(NextOffset(offset.try_into().unwrap_or(0))),
            _ => fetched,
        })
    }
}

/// Retention overtook the position, or the position is behind the end.
fn is_gap(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}

enum Taken {
    Placed,
    Full,
    Aside(TopicPartition),
}

fn take(
    names: &Names,
    inputs: &mut BTreeMap<TopicPartition, Input>,
    message: &BorrowedMessage<'_>,
    only: Option<TopicPartition>,
    limits: &BatchLimits,
    batch: &mut Batch,
) -> Taken {
    let at = names.find(message.topic(), message.partition());
    let Some((at, input)) = at.and_then(|at| Some((at, inputs.get_mut(&at)?))) else {
        return Taken::Placed;
    };
    let place = place(at, message);
    // What was on its way before a seek; librdkafka drops it by itself, and this holds it to that.
    if place.offset.0 < input.fetched.0 {
        return Taken::Placed;
    }
    input.fetched = place.offset.next();
    let headers = headers(message);
    let (key, value) = (message.key(), message.payload());
    let asked = only.is_none_or(|only| only == at);
    let size = catchment_runtime::log::record_size(key, value, &headers);
    if asked && batch.has_room(limits, size) {
        input.next = place.offset.next();
        batch.push(place, key, value, headers);
        return Taken::Placed;
    }
    input.aside.push(place, key, value, headers);
    if asked { Taken::Full } else { Taken::Aside(at) }
}

pub(super) fn bounds(
    consumer: &BaseConsumer<ReaderContext>,
    names: &Names,
    at: TopicPartition,
    timeout: Duration,
) -> Result<(NextOffset, NextOffset), LogError> {
    let (topic, partition) = names.of(at)?;
    let (low, high) = consumer
        .fetch_watermarks(topic, partition, timeout)
        .map_err(|error| of_partition(at, "watermarks", &error))?;
    Ok((NextOffset(low.try_into().unwrap_or(0)), NextOffset(high.try_into().unwrap_or(0))))
}

pub(super) fn place(at: TopicPartition, message: &BorrowedMessage<'_>) -> Place {
    let offset = Offset(message.offset().try_into().unwrap_or(0));
    Place { at, offset, append_time: message.timestamp().to_millis().unwrap_or(0) }
}

pub(super) fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut headers = Headers::default();
    if let Some(borrowed) = message.headers() {
        for header in borrowed.iter() {
            headers.push(header.key, header.value.unwrap_or_default());
        }
    }
    headers
}
