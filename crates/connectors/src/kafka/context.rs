//! What librdkafka calls back: rebalances, deliveries, statistics, its own log.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which client of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// The place in the group.
    Member,
    /// Reads the lane's partitions.
    Reader,
    /// Reads state back.
    Restorer,
    /// Writes.
    Producer,
}

/// Takes the statistics of a client: JSON as librdkafka's `STATISTICS.md` describes it. Called from the lane's thread,
/// so it must be quick.
pub type StatisticsSink = Arc<dyn Fn(Client, &[u8]) + Send + Sync>;

/// How often a trouble that goes on is said again.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Kinds of trouble that are told apart.
const KINDS: usize = 64;

/// What all clients share.
#[derive(Clone)]
pub(super) struct Voice {
    client: Client,
    statistics: Option<StatisticsSink>,
    last_error: Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>,
    /// Kinds of trouble that were said, and when.
    said: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Voice {
    pub(super) fn new(client: Client, statistics: Option<StatisticsSink>) -> Self {
        Voice { client, statistics, last_error: Arc::default(), said: Arc::default() }
    }

    /// The last error that the client told by itself since the last call, with librdkafka's words. Calls that only time
    /// out don't say why.
    pub(super) fn take_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.last_error).take()
    }

    /// True for the first trouble of its kind, and then once a minute: a client without brokers says several a second.
    fn is_worth_saying(&self, kind: &str) -> bool {
        let mut said = lock(&self.said);
        let known = said.iter().position(|(known, _)| known == kind);
        match known {
            Some(at) if said[at].1.elapsed() < SAY_AGAIN => return false,
            Some(at) => said[at].1 = Instant::now(),
            None if said.len() < KINDS => said.push((kind.to_owned(), Instant::now())),
            // More kinds than librdkafka has.
            None => {}
        }
        true
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.client;
        let is_trouble =
            !matches!(level, RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug);
        // One list of properties serves producers and consumers, and each complains about the other's.
        if is_trouble && (facility == "CONFWARN" || !self.is_worth_saying(facility)) {
            return tracing::debug!(?client, facility, "{message}");
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(?client, facility, "{message}");
            }
            // Of connections, which come back by themselves; what a lane can't do for them, the lane says.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(?client, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(?client, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(?client, facility, "{message}"),
        }
    }

    fn statistics(&self, json: &[u8]) {
        if let Some(sink) = &self.statistics {
            sink(self.client, json);
        }
    }

    fn error(&self, error: &KafkaError, reason: &str) {
        let client = self.client;
        // An answer, which poll gives as well.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        if self.is_worth_saying(&error.to_string()) {
            tracing::warn!(?client, %error, "{reason}");
        } else {
            tracing::debug!(?client, %error, "{reason}");
        }
        if let Some(code) = error.rdkafka_error_code() {
            let mut last = lock(&self.last_error);
            // That all brokers are gone is told after what is the matter with the last of them.
            let follows = code == RDKafkaErrorCode::AllBrokersDown && last.is_some();
            if !follows {
                *last = Some((code, reason.to_owned()));
            }
        }
    }
}

macro_rules! speaks {
    ($context:ty) => {
        impl ClientContext for $context {
            fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
                self.voice.log(level, facility, message);
            }
            fn stats_raw(&self, json: &[u8]) {
                self.voice.statistics(json);
            }
            fn error(&self, error: KafkaError, reason: &str) {
                self.voice.error(&error, reason);
            }
        }
    };
}

/// Of consumers that take their partitions by `assign`.
pub(super) struct ReaderContext {
    pub(super) voice: Voice,
}

speaks!(ReaderContext);
impl ConsumerContext for ReaderContext {}

/// What the group told. Partitions are of the one topic that is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupEvent {
    /// These come in addition.
    Assigned(Vec<i32>),
    /// These are to be given up, or are lost already.
    Revoked {
        /// Which.
        partitions: Vec<i32>,
        /// The group has expelled this member, so that others may own them by now.
        lost: bool,
    },
}

/// Of the place in the group. Callbacks run inside of `poll`, so they only record; the lane acts between two
/// transactions.
pub(super) struct MemberContext {
    pub(super) voice: Voice,
    events: Mutex<VecDeque<GroupEvent>>,
    automatic: AtomicBool,
    assignments: AtomicBool,
}

speaks!(MemberContext);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemberContext {
    /// `automatic`: what the group assigns doesn't matter and is only acknowledged.
    pub(super) fn new(voice: Voice, automatic: bool) -> Self {
        MemberContext {
            voice,
            events: Mutex::default(),
            automatic: AtomicBool::new(automatic),
            assignments: AtomicBool::new(false),
        }
    }

    /// From now on everything is acknowledged at once: a consumer that is closed waits for it.
    pub(super) fn close(&self) {
        self.automatic.store(true, Ordering::Relaxed);
    }

    /// True once the group has assigned something, be it nothing: from then on there is a generation.
    pub(super) fn has_joined(&self) -> bool {
        self.assignments.load(Ordering::Relaxed)
    }

    pub(super) fn has_events(&self) -> bool {
        !lock(&self.events).is_empty()
    }

    pub(super) fn next_event(&self) -> Option<GroupEvent> {
        lock(&self.events).pop_front()
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let topic = tpl.elements().first().map(|element| element.topic().to_owned());
        let partitions: Vec<i32> = tpl
            .elements()
            .iter()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
            .collect();
        let assigned = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        tracing::info!(?partitions, assigned, lost = consumer.assignment_lost(), "rebalance");
        // librdkafka tells of every generation, also where nothing changed, and waits for the answer.
        if partitions.is_empty() || self.automatic.load(Ordering::Relaxed) {
            acknowledge(consumer, topic.as_deref().unwrap_or_default(), assigned, &partitions);
        } else if assigned {
            lock(&self.events).push_back(GroupEvent::Assigned(partitions));
        } else {
            let lost = consumer.assignment_lost();
            lock(&self.events).push_back(GroupEvent::Revoked { partitions, lost });
        }
        if assigned {
            self.assignments.store(true, Ordering::Relaxed);
        }
    }
}

/// Answers a rebalance. What is assigned is paused at its end: the member reads nothing. A failure shows as a
/// rebalance that does not end, and then as a lost assignment.
pub(super) fn acknowledge(
    consumer: &BaseConsumer<MemberContext>,
    topic: &str,
    assigned: bool,
    partitions: &[i32],
) {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        if let Err(error) = list.add_partition_offset(topic, *partition, Offset::End) {
            tracing::error!(%error, topic, partition, "offset not set");
        }
    }
    let result = if assigned {
        let result = consumer.incremental_assign(&list);
        if partitions.is_empty() { result } else { result.and_then(|()| consumer.pause(&list)) }
    } else {
        consumer.incremental_unassign(&list)
    };
    if let Err(error) = result {
        tracing::error!(%error, topic, ?partitions, assigned, "rebalance not acknowledged");
    }
}

/// A record that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undelivered {
    pub(super) code: Option<RDKafkaErrorCode>,
    pub(super) reason: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) bytes: usize,
}

/// Of the producer: keeps the first delivery that failed.
pub(super) struct WriterContext {
    pub(super) voice: Voice,
    pub(super) undelivered: Mutex<Option<Undelivered>>,
}

speaks!(WriterContext);

impl WriterContext {
    pub(super) fn take_undelivered(&self) -> Option<Undelivered> {
        lock(&self.undelivered).take()
    }
}

impl ProducerContext for WriterContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            lock(&self.undelivered).get_or_insert_with(|| Undelivered {
                code: error.rdkafka_error_code(),
                reason: error.to_string(),
                topic: message.topic().to_owned(),
                partition: message.partition(),
                bytes: message.key_len() + message.payload_len(),
            });
        }
    }
}
