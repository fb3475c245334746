//! Writes: one transaction for each commit.

use super::classify::{Class, Facts, Stage, classify};
use super::config::LaneSettings;
use super::context::{Client, Undelivered, Voice, WriterContext};
use super::member::Member;
use super::names::Names;
use super::trouble::{add, fatal, is_denial, is_unknown};
use catchment_runtime::log::{Fence, record_size};
use catchment_runtime::{CommitOutcome, Headers, LogError, NextOffset, OutRecord, Outbox, TopicPartition};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, TopicPartitionList};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two looks at what is under way. librdkafka's own waits are slices of 100 ms, or spin.
const NAP: Duration = Duration::from_micros(300);
/// Of a wait for the right to write.
const SLICE: Duration = Duration::from_millis(500);
/// So many records are handed over between two looks at deliveries.
const SERVE_EVERY: usize = 256;

type Transactional = BaseProducer<WriterContext>;

pub(super) struct Writer {
    config: ClientConfig,
    voice: Voice,
    names: Arc<Names>,
    /// None after an error that it did not survive; the next commit makes a new one.
    producer: Option<Transactional>,
    dead: Option<Fence>,
    must_recover: bool,
    /// The producer is of no use any more.
    worn_out: bool,
    record_limit: usize,
    transaction_timeout: Duration,
    timeout: Duration,
}

/// Why a transaction ended early.
enum Failed {
    /// As an outcome.
    Ended(CommitOutcome),
    /// As an error that would come again.
    Refused(LogError),
}

impl Writer {
    /// A producer of the lane's transactional id; aborts what a former one left open, and fences it.
    pub(super) fn new(settings: &LaneSettings, names: Arc<Names>) -> Result<Self, LogError> {
        let statistics = settings.statistics.as_ref().map(|(sink, _)| sink.clone());
        let mut writer = Writer {
            config: settings.producer(),
            voice: Voice::new(Client::Producer, statistics),
            names,
            producer: None,
            dead: None,
            must_recover: false,
            worn_out: false,
            record_limit: settings.record_limit,
            transaction_timeout: settings.transaction_timeout,
            timeout: settings.request_timeout,
        };
        writer.producer = Some(writer.make()?);
        Ok(writer)
    }

    fn make(&self) -> Result<Transactional, LogError> {
        let context = WriterContext { voice: self.voice.clone(), undelivered: Mutex::default() };
        let producer = BaseProducer::from_config_and_context(&self.config, context)
            .map_err(|error| fatal("producer", &error))?;
        self.voice.take_error();
        let start = Instant::now();
        loop {
            // In slices: librdkafka goes on trying, whatever the reason, and tells the reason apart from the call.
            let left = self.timeout.saturating_sub(start.elapsed());
            let Err(error) = producer.init_transactions(left.min(SLICE)) else {
                return Ok(producer);
            };
            producer.poll(Duration::ZERO);
            let told = self.voice.take_error();
            let code = told.as_ref().map(|(code, _)| *code).or(error.rdkafka_error_code());
            let words = told.map_or_else(|| error.to_string(), |(_, words)| words);
            let reason = format!("init_transactions: {words}");
            match classify(&facts(&producer, Stage::Init, &error, false)) {
                _ if code.is_some_and(is_denial) => return Err(LogError::Denied { what: reason }),
                Class::Retry if left > SLICE => {}
                Class::Retry => return Err(LogError::Retry { reason }),
                _ => return Err(LogError::Fatal { reason }),
            }
        }
    }

    /// Takes what the producer has to say. It must be called again and again: statistics and errors queue up without a
    /// bound while nothing is written.
    pub(super) fn serve(&self) {
        if let Some(producer) = &self.producer {
            producer.poll(Duration::ZERO);
        }
    }

    /// As [`catchment_runtime::Log::recover`].
    pub(super) fn recover(&mut self) -> Result<(), LogError> {
        self.producer = None;
        self.producer = Some(self.make()?);
        self.must_recover = false;
        Ok(())
    }

    /// Recovers, if the last commit is undecided.
    pub(super) fn settle(&mut self) -> Result<(), LogError> {
        if self.must_recover { self.recover() } else { Ok(()) }
    }

    /// As [`catchment_runtime::Log::commit`].
    pub(super) fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
        member: &Member,
    ) -> Result<CommitOutcome, LogError> {
        if offsets.is_empty() {
            return Err(LogError::NoOffsets);
        }
        if self.must_recover {
            return Err(LogError::Fatal { reason: "the last commit is undecided: recover first".to_owned() });
        }
        if let Some(fence) = self.dead {
            return Ok(CommitOutcome::Fenced(fence));
        }
        self.check(outbox)?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, next) in offsets {
            add(&mut list, self.names.of(*at)?, next.0).map_err(|error| fatal("offsets", &error))?;
        }
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.make()?,
        };
        let outcome = match self.transaction(&producer, outbox, &list, member) {
            Ok(()) => Ok(CommitOutcome::Committed),
            Err(Failed::Ended(outcome)) => Ok(outcome),
            Err(Failed::Refused(error)) => Err(error),
        };
        let worn_out = std::mem::take(&mut self.worn_out) || producer.client().fatal_error().is_some();
        if !worn_out && !self.must_recover {
            self.producer = Some(producer);
        }
        outcome
    }

    /// Refuses an outbox of which one record can't be written, before any of it is.
    fn check(&self, outbox: &Outbox) -> Result<(), LogError> {
        for record in outbox.records() {
            let at = place(record);
            self.names.of(at)?;
            let bytes = record_size(outbox.key(record), outbox.value(record), &record.headers);
            if bytes > self.record_limit {
                return Err(LogError::TooLarge { at, bytes, limit: self.record_limit });
            }
        }
        Ok(())
    }

    /// Produce, drain, send offsets, commit: in this order, since offsets sent before the drain wait for the
    /// partitions to be registered, about 100 ms.
    fn transaction(
        &mut self,
        producer: &Transactional,
        outbox: &Outbox,
        offsets: &TopicPartitionList,
        member: &Member,
    ) -> Result<(), Failed> {
        let start = Instant::now();
        producer.context().take_undelivered();
        producer.begin_transaction().map_err(|error| self.fail(producer, Stage::Begin, &error, start))?;
        for (index, record) in outbox.records().iter().enumerate() {
            self.produce(producer, outbox, record, start)?;
            if index % SERVE_EVERY == SERVE_EVERY - 1 {
                producer.poll(Duration::ZERO);
            }
        }
        self.drain(producer, start)?;
        let group = match member.metadata() {
            Ok(group) => group,
            Err(reason) => {
                tracing::warn!(reason, "fenced by the group");
                return Err(self.end(producer, Class::Fenced(Fence::Group), reason));
            }
        };
        producer
            .send_offsets_to_transaction(offsets, &group, self.timeout)
            .map_err(|error| self.fail(producer, Stage::Offsets, &error, start))?;
        producer
            .commit_transaction(self.timeout)
            .map_err(|error| self.fail(producer, Stage::Commit, &error, start))
    }

    fn produce(
        &mut self,
        producer: &Transactional,
        outbox: &Outbox,
        record: &OutRecord,
        start: Instant,
    ) -> Result<(), Failed> {
        let at = place(record);
        let (topic, partition) = match self.names.of(at) {
            Ok(name) => name,
            Err(error) => return Err(Failed::Refused(error)),
        };
        let mut out = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        out.key = outbox.key(record);
        out.payload = outbox.value(record);
        if !record.headers.0.is_empty() {
            out.headers = Some(owned(&record.headers));
        }
        loop {
            let error = match producer.send(out) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    producer.poll(Duration::ZERO);
                    std::thread::sleep(NAP);
                    out = back;
                    if start.elapsed() < self.transaction_timeout {
                        continue;
                    }
                    KafkaError::MessageProduction(Code::QueueFull)
                }
                Err((error, _)) => error,
            };
            let too_large = error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge);
            let failed = self.fail(producer, Stage::Produce, &error, start);
            let bytes = record_size(outbox.key(record), outbox.value(record), &record.headers);
            return Err(match failed {
                Failed::Ended(CommitOutcome::Aborted { .. }) if too_large => {
                    Failed::Refused(LogError::TooLarge { at, bytes, limit: self.record_limit })
                }
                failed => failed,
            });
        }
    }

    /// Waits until everything is delivered. By naps: `flush` waits in slices of 100 ms, and `poll` for a millisecond
    /// spins.
    fn drain(&mut self, producer: &Transactional, start: Instant) -> Result<(), Failed> {
        while producer.in_flight_count() > 0 && start.elapsed() < self.transaction_timeout {
            producer.poll(Duration::ZERO);
            std::thread::sleep(NAP);
        }
        let left = producer.in_flight_count();
        match producer.context().take_undelivered() {
            None if left <= 0 => Ok(()),
            None => {
                let reason = format!("{left} records not delivered in time");
                Err(self.end(producer, Class::Abort, reason))
            }
            Some(undelivered) => Err(self.undelivered(producer, &undelivered, start)),
        }
    }

    fn undelivered(&mut self, producer: &Transactional, undelivered: &Undelivered, start: Instant) -> Failed {
        let code = undelivered.code.unwrap_or(Code::Fail);
        let code = if code == Code::PurgeQueue { reason_of_purge(producer).unwrap_or(code) } else { code };
        let error = KafkaError::MessageProduction(code);
        let failed = self.fail(producer, Stage::Produce, &error, start);
        let at = self.names.find(&undelivered.topic, undelivered.partition);
        match (failed, at, code) {
            (Failed::Ended(CommitOutcome::Aborted { .. }), Some(at), Code::MessageSizeTooLarge) => {
                let (bytes, limit) = (undelivered.bytes, self.record_limit);
                Failed::Refused(LogError::TooLarge { at, bytes, limit })
            }
            (Failed::Ended(CommitOutcome::Aborted { .. }), Some(at), code) if is_unknown(code) => {
                Failed::Refused(LogError::UnknownPartition { at })
            }
            (Failed::Ended(CommitOutcome::Aborted { reason }), ..) => {
                let reason = format!(
                    "{reason}: topic {} partition {}: {}",
                    undelivered.topic, undelivered.partition, undelivered.reason
                );
                Failed::Ended(CommitOutcome::Aborted { reason })
            }
            (Failed::Refused(LogError::Denied { what }), ..) => {
                let (topic, partition) = (&undelivered.topic, undelivered.partition);
                let what = format!("{what}: topic {topic} partition {partition}");
                Failed::Refused(LogError::Denied { what })
            }
            (failed, ..) => failed,
        }
    }

    /// Ends the transaction as the error demands.
    fn fail(&mut self, producer: &Transactional, stage: Stage, error: &KafkaError, start: Instant) -> Failed {
        let overdue = start.elapsed() >= self.transaction_timeout;
        let facts = facts(producer, stage, error, overdue);
        match self.end(producer, classify(&facts), format!("{stage:?}: {error}")) {
            Failed::Ended(CommitOutcome::Aborted { reason }) if is_denial(facts.code) => {
                Failed::Refused(LogError::Denied { what: reason })
            }
            failed => failed,
        }
    }

    fn end(&mut self, producer: &Transactional, class: Class, reason: String) -> Failed {
        Failed::Ended(match class {
            Class::Retry | Class::Abort | Class::Rebuild => {
                self.abort(producer);
                self.worn_out |= class == Class::Rebuild;
                CommitOutcome::Aborted { reason }
            }
            Class::Fenced(fence) => {
                // So that readers of what was written don't wait for the timeout.
                self.abort(producer);
                self.dead = Some(fence);
                CommitOutcome::Fenced(fence)
            }
            Class::Unknown => {
                self.must_recover = true;
                CommitOutcome::Unknown { reason }
            }
        })
    }

    /// Aborts the open transaction. What fails here is aborted by the next producer of the same id, or by the broker.
    fn abort(&mut self, producer: &Transactional) {
        let start = Instant::now();
        while producer.client().fatal_error().is_none() {
            let Err(error) = producer.abort_transaction(self.timeout.min(Duration::from_secs(1))) else {
                break;
            };
            let again = classify(&facts(producer, Stage::Abort, &error, false)) == Class::Retry;
            if !again || start.elapsed() > self.timeout {
                tracing::warn!(%error, "transaction not aborted");
                // Its abort may still be under way, and would be in the way of the next transaction.
                self.worn_out = true;
                break;
            }
            // An abort does not serve delivery reports, and waits for them.
            producer.poll(Duration::ZERO);
        }
        while producer.in_flight_count() > 0 && start.elapsed() < self.timeout {
            producer.poll(Duration::ZERO);
            std::thread::sleep(NAP);
        }
        producer.context().take_undelivered();
    }
}

/// Why a transaction that can only be aborted threw away what it had not sent: it was not let in where its partitions are
/// added, say. Any call gives that reason first, and a transaction that is open already can't be begun again.
fn reason_of_purge(producer: &Transactional) -> Option<Code> {
    producer.begin_transaction().err()?.rdkafka_error_code().filter(|code| *code != Code::State)
}

fn facts(producer: &Transactional, stage: Stage, error: &KafkaError, overdue: bool) -> Facts {
    let fatal = producer.client().fatal_error();
    let (mut retriable, mut abortable) = (false, false);
    if let KafkaError::Transaction(error) = error {
        (retriable, abortable) = (error.is_retriable(), error.txn_requires_abort());
    }
    // Before the commit is sent, rdkafka waits for deliveries once more.
    if stage == Stage::Commit && matches!(error, KafkaError::Flush(_)) {
        return Facts {
            stage: Stage::Produce,
            code: Code::MessageTimedOut,
            fatal: fatal.is_some(),
            retriable,
            abortable,
            overdue,
        };
    }
    let of_client = fatal.as_ref().map(|(code, _)| *code);
    let code = of_client.or(error.rdkafka_error_code()).unwrap_or(Code::Fail);
    Facts { stage, code, fatal: fatal.is_some(), retriable, abortable, overdue }
}

fn place(record: &OutRecord) -> TopicPartition {
    TopicPartition { topic: record.topic, partition: record.partition }
}

fn owned(headers: &Headers) -> OwnedHeaders {
    let all = OwnedHeaders::new_with_capacity(headers.0.len());
    headers.0.iter().fold(all, |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}
