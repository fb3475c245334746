//! Reads the lane's partitions, from positions that the lane gives.

mod input;

use super::config::LaneSettings;
use super::context::{Client, ReaderContext, Voice};
use super::lane::QUESTION;
use super::names::Names;
use super::offsets::{ask, ask_since, learn, positions};
use super::trouble::{add, fatal, is_unknown, of_code, of_partition, retry};
use catchment_runtime::log::Place;
use catchment_runtime::{
    Batch, BatchLimits, Headers, LogError, Millis, NextOffset, Offset, TopicId, TopicPartition,
};
use input::{Fetch, Input};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message as _, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at something that is a matter of moments.
const NAP: Duration = Duration::from_micros(200);

/// What a read is to bring. The rest is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    All,
    One(TopicPartition),
    Nothing,
}

impl Asked {
    fn includes(self, at: TopicPartition) -> bool {
        self == Asked::All || self == Asked::One(at)
    }
}

pub(super) struct Reader {
    consumer: BaseConsumer<ReaderContext>,
    names: Arc<Names>,
    inputs: BTreeMap<TopicPartition, Input>,
    /// No partition of the lane any more, and the client does not know yet.
    gone: Vec<TopicPartition>,
    /// Topics that the client was let learn of.
    learnt: Vec<TopicId>,
    /// Some position is not in its partition. rdkafka does not say which.
    suspect: bool,
    /// How long a read waits for its first record.
    pub(super) wait: Duration,
    /// It does not wait: the lane has something to do.
    pub(super) hurry: bool,
    timeout: Duration,
}

impl Reader {
    pub(super) fn new(settings: &LaneSettings, names: Arc<Names>) -> Result<Self, LogError> {
        let statistics = settings.statistics.as_ref().map(|(sink, _)| sink.clone());
        let context = ReaderContext { voice: Voice::new(Client::Reader, statistics) };
        let consumer = BaseConsumer::from_config_and_context(&settings.reader(), context)
            .map_err(|error| fatal("reader", &error))?;
        let (wait, timeout) = (settings.poll_wait, settings.request_timeout);
        Ok(Reader {
            consumer,
            names,
            inputs: BTreeMap::new(),
            gone: Vec::new(),
            learnt: Vec::new(),
            suspect: false,
            wait,
            hurry: false,
            timeout,
        })
    }

    fn patience(&self) -> Duration {
        if self.hurry { Duration::ZERO } else { self.wait }
    }

    fn input(&mut self, at: TopicPartition) -> Result<&mut Input, LogError> {
        self.inputs.get_mut(&at).ok_or(LogError::NotAssigned { at })
    }

    /// Reads that partition too, from there.
    pub(super) fn follow(&mut self, at: TopicPartition, from: NextOffset) {
        self.forget(at);
        self.inputs.insert(at, Input { next: from, fetched: from, ..Input::default() });
    }

    pub(super) fn forget(&mut self, at: TopicPartition) {
        if self.inputs.remove(&at).is_some_and(|input| input.fetch != Fetch::Off) {
            self.gone.push(at);
        }
    }

    /// As [`catchment_runtime::Log::seek`].
    pub(super) fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        let input = self.input(at)?;
        // After a step that read nothing the lane seeks to where it is: that must not throw away what was fetched.
        if input.next != to || input.gap.is_some() {
            input.go_to(to);
        }
        Ok(())
    }

    /// As [`catchment_runtime::Log::hold`].
    pub(super) fn hold(&mut self, at: TopicPartition) -> Result<(), LogError> {
        let input = self.input(at)?;
        if !input.held {
            input.go_to(input.next);
            input.held = true;
        }
        Ok(())
    }

    /// As [`catchment_runtime::Log::release`].
    pub(super) fn release(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.input(at)?.held = false;
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

    /// The oldest offsets, in the order asked.
    pub(super) fn earliest(&self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        ask(&self.consumer, &self.names, of, rdkafka::Offset::Beginning, self.timeout)
    }

    /// As [`catchment_runtime::Log::decided`].
    pub(super) fn decided(&self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        ask(&self.consumer, &self.names, of, rdkafka::Offset::End, self.timeout.min(QUESTION))
    }

    /// As [`catchment_runtime::Log::first_since`].
    pub(super) fn first_since(
        &self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError> {
        ask_since(&self.consumer, &self.names, of, time, self.timeout)
    }

    /// The ends of what is decided, in the order asked, and how far each was handed out.
    pub(super) fn ends(&self, of: &[TopicPartition]) -> Result<Vec<(NextOffset, NextOffset)>, LogError> {
        let decided = self.decided(of)?;
        let positions = positions(&self.consumer, &self.names)?;
        let mut ends = Vec::with_capacity(of.len());
        for (at, decided) in of.iter().zip(decided) {
            let input = self.inputs.get(at).ok_or(LogError::NotAssigned { at: *at })?;
            let position = positions.iter().find(|(of, _)| of == at).map(|(_, position)| *position);
            let passed = match position {
                Some(position) if input.fetch == Fetch::On && input.has_nothing_aside() => {
                    input.next.max(position)
                }
                _ => input.next,
            };
            ends.push((decided, passed));
        }
        Ok(ends)
    }

    /// The next records of all partitions.
    pub(super) fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        batch.clear();
        self.prepare(Asked::All)?;
        for (at, input) in self.inputs.iter_mut().filter(|(_, input)| !input.has_nothing_aside()) {
            if !input.hand_out(*at, limits, batch) {
                return Ok(());
            }
        }
        self.read(Asked::All, limits, batch, self.patience())
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
        self.prepare(Asked::One(at))?;
        let input = self.input(at)?;
        if input.held || !input.hand_out(at, limits, batch) {
            return Ok(());
        }
        self.read(Asked::One(at), limits, batch, Duration::ZERO)?;
        let (start, mut decided) = (Instant::now(), None);
        while batch.is_empty() {
            let (end, passed) = self.ends(&[at])?.first().copied().unwrap_or_default();
            if passed >= *decided.get_or_insert(end) {
                break;
            }
            if start.elapsed() > self.timeout {
                let reason = format!("topic {} partition {}: nothing comes", at.topic.0, at.partition);
                return Err(LogError::Retry { reason });
            }
            self.read(Asked::One(at), limits, batch, Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// As [`catchment_runtime::Log::await_records`].
    pub(super) fn await_records(&mut self) -> Result<bool, LogError> {
        self.prepare(Asked::Nothing)?;
        if !self.has_something() {
            self.read(Asked::Nothing, &BatchLimits::default(), &mut Batch::default(), self.patience())?;
        }
        Ok(self.has_something())
    }

    /// Something is there to be handed out or told.
    fn has_something(&self) -> bool {
        let told = |input: &Input| !input.held && (input.gap.is_some() || !input.has_nothing_aside());
        self.suspect || self.inputs.values().any(told)
    }

    /// Tells the client what changed, and the lane of gaps.
    fn prepare(&mut self, asked: Asked) -> Result<(), LogError> {
        if self.suspect {
            self.find_gaps()?;
        }
        for (at, input) in self.inputs.iter().filter(|(at, _)| asked.includes(**at)) {
            // What was brought before the gap comes first.
            if let Some(earliest) = input.gap.filter(|_| input.has_nothing_aside()) {
                return Err(LogError::OutOfRange { at: *at, position: input.next, earliest });
            }
        }
        if !self.gone.is_empty() || self.inputs.values().any(Input::is_amiss) {
            self.assign()?;
        }
        Ok(())
    }

    /// Lets the client fetch what is wanted from where it is wanted. Incrementally, so that it keeps what it has fetched
    /// of the partitions that stay as they are.
    fn assign(&mut self) -> Result<(), LogError> {
        let (mut stop, mut start) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut started = Vec::new();
        for at in &self.gone {
            let (topic, partition) = self.names.of(*at)?;
            stop.add_partition(topic, partition);
        }
        for (at, input) in self.inputs.iter().filter(|(_, input)| input.is_amiss()) {
            let name = self.names.of(*at)?;
            if input.fetch != Fetch::Off {
                stop.add_partition(name.0, name.1);
            }
            if input.is_wanted() {
                add(&mut start, name, input.fetched.0).map_err(|error| fatal("assign", &error))?;
                started.push(*at);
            }
        }
        if stop.count() > 0 {
            self.consumer.incremental_unassign(&stop).map_err(|error| fatal("unassign", &error))?;
            self.gone.clear();
            let stopped = self.inputs.values_mut().filter(|input| input.is_amiss());
            stopped.for_each(|input| input.fetch = Fetch::Off);
        }
        if start.count() > 0 {
            self.learn(&started)?;
            self.consumer.incremental_assign(&start).map_err(|error| fatal("assign", &error))?;
            for at in &started {
                self.input(*at)?.fetch = Fetch::On;
            }
            self.forget_positions(&started)?;
        }
        Ok(())
    }

    /// Lets the client learn where partitions are whose topics are new to it.
    fn learn(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        for at in partitions {
            if !self.learnt.contains(&at.topic) {
                learn(&self.consumer, self.names.topic(at.topic)?);
                self.learnt.push(at.topic);
            }
        }
        Ok(())
    }

    /// The client forgets where it stood in a partition once its fetcher has stopped, which is not at once. Until then
    /// a position from before a seek could pass for one behind it.
    fn forget_positions(&mut self, of: &[TopicPartition]) -> Result<(), LogError> {
        let start = Instant::now();
        while positions(&self.consumer, &self.names)?.iter().any(|(at, _)| of.contains(at)) {
            if start.elapsed() > self.timeout {
                for at in of {
                    self.input(*at)?.fetch = Fetch::Elsewhere;
                }
                return Err(LogError::Retry { reason: "a partition does not stop being fetched".to_owned() });
            }
            std::thread::sleep(NAP);
        }
        Ok(())
    }

    /// Fills the batch; waits for the first record only. Records that were not asked for are set aside.
    ///
    /// Troubles queue up before the records, one for each attempt to connect. All that are there are taken at once: one a
    /// call would keep a lane that waits after each from reading long after Kafka is back.
    fn read(
        &mut self,
        asked: Asked,
        limits: &BatchLimits,
        batch: &mut Batch,
        wait: Duration,
    ) -> Result<(), LogError> {
        let deadline = Instant::now() + wait;
        let mut trouble = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let waits = batch.is_empty() && trouble.is_none();
            let wait = if waits { whole_millis(left) } else { Duration::ZERO };
            let aside = match self.consumer.poll(wait) {
                None if waits && Instant::now() < deadline => continue,
                None => return trouble.filter(|_| batch.is_empty()).map_or(Ok(()), Err),
                Some(Ok(message)) => {
                    match take(&self.names, &mut self.inputs, &message, asked, limits, batch) {
                        Taken::Placed => continue,
                        Taken::Full => return Ok(()),
                        Taken::Aside(at) => Ok(at),
                    }
                }
                Some(Err(error)) => Err(error),
            };
            match aside {
                Ok(at) => {
                    if self.input(at)?.is_amiss() {
                        self.assign()?;
                    }
                    if asked == Asked::Nothing {
                        return Ok(());
                    }
                }
                Err(error) if is_gap(&error) => {
                    self.suspect = true;
                    // What is in the batch is good, and comes first.
                    return if batch.is_empty() { self.prepare(asked) } else { Ok(()) };
                }
                // An error that stays comes again.
                Err(_) if !batch.is_empty() => return Ok(()),
                Err(error) => match self.trouble(&error) {
                    retry @ LogError::Retry { .. } => trouble = Some(retry),
                    error => return Err(error),
                },
            }
        }
    }

    fn trouble(&self, error: &KafkaError) -> LogError {
        let told = self.consumer.context().voice.take_error();
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return fatal("reader", error);
        }
        let code = error.rdkafka_error_code();
        if code.is_some_and(is_unknown)
            && let Some(unknown) = self.find_unknown()
        {
            return unknown;
        }
        let words = told.map_or_else(|| error.to_string(), |(_, words)| words);
        of_code(code, format!("reader: {words}"))
    }

    /// The first partition that the brokers don't know.
    fn find_unknown(&self) -> Option<LogError> {
        let ask = |at: &TopicPartition| self.earliest(&[*at]).err();
        self.inputs
            .keys()
            .find_map(|at| ask(at).filter(|error| matches!(error, LogError::UnknownPartition { .. })))
    }

    /// Finds the partitions that don't hold the position they are read at. A client that meets one stops fetching it.
    fn find_gaps(&mut self) -> Result<(), LogError> {
        let fetched = self.inputs.iter().filter(|(_, input)| input.is_wanted());
        let of: Vec<TopicPartition> = fetched.map(|(at, _)| *at).collect();
        let earliest = self.earliest(&of)?;
        let ends = ask(&self.consumer, &self.names, &of, rdkafka::Offset::End, self.timeout)?;
        for ((at, earliest), end) in of.into_iter().zip(earliest).zip(ends) {
            let input = self.input(at)?;
            if is_outside(input.fetched, earliest, end) {
                input.gap = Some(earliest);
            } else if input.fetch == Fetch::On {
                // It may be the one, and all right by now: it is to be fetched again.
                input.fetch = Fetch::Elsewhere;
            }
        }
        self.suspect = false;
        Ok(())
    }
}

/// Whether a partition that holds what is from `earliest` up to before `end` can't be read on at `position`: retention has
/// overtaken it, or the partition is shorter than what was read. At the end there is nothing yet, which is no gap.
fn is_outside(position: NextOffset, earliest: NextOffset, end: NextOffset) -> bool {
    position < earliest || position > end
}

/// Rounded up: librdkafka waits for whole milliseconds, and rdkafka spins for what is left of the last one.
fn whole_millis(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
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
    asked: Asked,
    limits: &BatchLimits,
    batch: &mut Batch,
) -> Taken {
    let at = names.find(message.topic(), message.partition());
    let Some((at, input)) = at.and_then(|at| Some((at, inputs.get_mut(&at)?))) else {
        return Taken::Placed;
    };
    let place = place(at, message);
    // What was on its way before a seek; librdkafka drops it by itself, and this holds it to that.
    if input.fetch != Fetch::On || place.offset.0 < input.fetched.0 {
        return Taken::Placed;
    }
    input.fetched = place.offset.next();
    let headers = headers(message);
    let (key, value) = (message.key(), message.payload());
    let size = catchment_runtime::log::record_size(key, value, &headers);
    if asked.includes(at) && batch.has_room(limits, size) {
        input.next = place.offset.next();
        batch.push(place, key, value, headers);
        return Taken::Placed;
    }
    input.aside.push(place, key, value, headers);
    if asked.includes(at) { Taken::Full } else { Taken::Aside(at) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_must_be_within_what_the_partition_holds() {
        for (position, earliest, end, outside) in [
            (5, 5, 9, false),
            (9, 5, 9, false),
            (4, 5, 9, true),
            (10, 5, 9, true),
            // Empty: made anew, or all of it deleted.
            (0, 0, 0, false),
            (7, 7, 7, false),
            (7, 0, 0, true),
        ] {
            let [position, earliest, end] = [position, earliest, end].map(NextOffset);
            assert_eq!(is_outside(position, earliest, end), outside, "{position:?} in {earliest:?}..{end:?}");
        }
    }
}
