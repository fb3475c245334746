//! Questions to a cluster about topics, offsets and groups, and why they come to nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::super::config::Cluster;
use super::super::context::Undelivered;
use crate::retry::Backoff;

/// Group of tools that need none: librdkafka wants a name, and nothing is ever committed or joined under it.
const NO_GROUP: &str = "catchment-tools";

/// How long one attempt of a question may take: librdkafka spends all the time that it is given on a leader that is gone.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long the client may take to learn the leaders anew, before it asks once more.
const RELEARN: Duration = Duration::from_secs(2);

/// How long the client's events are listened to once a question has failed.
const EVENTS: Duration = Duration::from_millis(50);

/// Why a question to Kafka, or a request, came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No broker answers, or the one that matters does not: ask again.
    #[error("Kafka can't be reached ({what}): {reason}")]
    Unreachable {
        /// What was asked for.
        what: String,
        /// What librdkafka said.
        reason: String,
    },
    /// A password, a certificate or a permission is wrong. Asking again helps when somebody changes that.
    #[error("Kafka denies it ({what}): {reason}")]
    Denied {
        /// What was asked for.
        what: String,
        /// What Kafka said.
        reason: String,
    },
    /// Kafka has answered, and the answer is no.
    #[error("{what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not.
        reason: String,
    },
}

impl AskError {
    /// Kafka says no.
    #[must_use]
    pub fn refused(what: impl Into<String>, reason: impl Into<String>) -> Self {
        AskError::Refused { what: what.into(), reason: reason.into() }
    }
}

/// What an error means. `seen` is what the client said of its connections meanwhile: a question that a wrong password
/// keeps from being asked ends as a timeout, and nothing but that says why.
pub(in super::super) fn classify(what: &str, error: &KafkaError, seen: Option<(Code, String)>) -> AskError {
    let what = what.to_owned();
    match (code_of(error), seen) {
        (Some(code), _) if is_denial(code) => AskError::Denied { what, reason: error.to_string() },
        (_, Some((code, reason))) if is_denial(code) => AskError::Denied { what, reason },
        (Some(code), seen) if is_of_the_world(code) => {
            let reason = seen.map_or_else(|| error.to_string(), |(_, reason)| reason);
            AskError::Unreachable { what, reason }
        }
        _ => AskError::Refused { what, reason: error.to_string() },
    }
}

/// rdkafka tells no code of an error of administration.
fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        _ => error.rdkafka_error_code(),
    }
}

fn is_denial(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

fn is_of_the_world(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            // The first broker that was connected to turned out to be another one's address.
            | Code::DestroyBroker
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::WaitingForCoordinator
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotController
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            // A broker that has just come back knows less than it did.
            | Code::UnknownLeaderEpoch
            | Code::FencedLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::UnstableOffsetCommit
            | Code::KafkaStorageError
            | Code::ListenerNotFound
            | Code::Unknown
    )
}

/// Of the clients of tools: keeps what is said of connections, to say it where a question fails. Nothing is logged
/// above `debug`, because the tool says it.
#[derive(Default)]
pub(in super::super) struct ToolContext {
    seen: Mutex<Option<(Code, String)>>,
    undelivered: Mutex<Option<Undelivered>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ToolContext {
    pub(in super::super) fn seen(&self) -> Option<(Code, String)> {
        lock(&self.seen).clone()
    }

    pub(super) fn take_undelivered(&self) -> Option<Undelivered> {
        lock(&self.undelivered).take()
    }
}

impl ClientContext for ToolContext {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut seen = lock(&self.seen);
        // A denial explains more than what follows from it, and one broker's answer more than "all are down".
        let keep = seen
            .as_ref()
            .is_some_and(|(kept, _)| is_denial(*kept) && !is_denial(code) || code == Code::AllBrokersDown);
        if !keep {
            *seen = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for ToolContext {}

impl ProducerContext for ToolContext {
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

/// A partition of a topic, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl NamedPartition {
    /// That partition of that topic.
    #[must_use]
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        NamedPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for NamedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}", self.topic, self.partition)
    }
}

/// A place in a partition that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The oldest record.
    Earliest,
    /// Behind the newest record.
    End,
    /// The first record that is not older than this, in milliseconds since 1970; the end, if there is none.
    Time(i64),
}

/// Whose end of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What a `read_committed` reader can see: open transactions hide what is behind them.
    Committed,
    /// The high watermark, and committed offsets without waiting for a transaction that decides on them.
    Uncommitted,
}

/// Asks a cluster about topics, offsets and groups. Joins no group and reads no record.
pub struct Inspector {
    pub(super) consumer: BaseConsumer<ToolContext>,
    pub(super) timeout: Duration,
}

impl Inspector {
    /// A client; `group` is whose offsets [`committed`](Self::committed) tells. Doesn't connect yet. Every question
    /// is answered or given up within `timeout`.
    ///
    /// # Errors
    /// [`AskError::Refused`] for properties that librdkafka refuses.
    pub fn new(
        cluster: &Cluster,
        group: Option<&str>,
        view: View,
        timeout: Duration,
    ) -> Result<Self, AskError> {
        let mut config = cluster.consumer(group.unwrap_or(NO_GROUP), 1);
        if view == View::Uncommitted {
            config.set("isolation.level", "read_uncommitted");
        }
        let consumer = BaseConsumer::from_config_and_context(&config, ToolContext::default())
            .map_err(|error| AskError::refused("Kafka client", error.to_string()))?;
        Ok(Inspector { consumer, timeout })
    }

    /// The error of a question, with what the client has said meanwhile.
    pub(in super::super) fn trouble(&self, what: &str, error: &KafkaError) -> AskError {
        // Nothing is assigned, so that all that comes are events; those of the log end a poll that does not wait.
        let deadline = Instant::now() + EVENTS;
        while Instant::now() < deadline {
            let _event = self.consumer.poll(deadline.saturating_duration_since(Instant::now()));
        }
        classify(what, error, self.consumer.context().seen())
    }

    pub(in super::super) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, AskError> {
        let what = topic.map_or_else(|| "list of topics".to_owned(), |topic| format!("topic {topic}"));
        self.consumer.fetch_metadata(topic, self.timeout).map_err(|error| self.trouble(&what, &error))
    }

    /// Names of all topics that we may know of.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn topics(&self) -> Result<Vec<String>, AskError> {
        Ok(self.metadata(None)?.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Numbers of partitions of these topics; those that don't exist are missing from the answer.
    ///
    /// # Errors
    /// See [`AskError`]; [`AskError::Denied`] for a topic that we may not know of.
    pub fn partitions<'a>(
        &self,
        topics: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, u32>, AskError> {
        let all = self.metadata(None)?;
        let mut found = BTreeMap::new();
        for name in topics {
            let topic = all.topics().iter().find(|topic| topic.name() == name);
            match topic.map(|topic| topic.partitions().len()).filter(|count| *count > 0) {
                Some(count) => {
                    found.insert(name.to_owned(), u32::try_from(count).unwrap_or(u32::MAX));
                }
                None => self.is_denied(name)?,
            }
        }
        Ok(found)
    }

    /// A list of all topics leaves out those that we may not know of; asked by its name, one says so.
    pub(in super::super) fn is_denied(&self, topic: &str) -> Result<(), AskError> {
        let metadata = self.metadata(Some(topic))?;
        let error = metadata.topics().iter().find_map(rdkafka::metadata::MetadataTopic::error);
        match error.map(|code| KafkaError::MetadataFetch(code.into())) {
            Some(error) if error.rdkafka_error_code().is_some_and(is_denial) => {
                Err(self.trouble(&format!("topic {topic}"), &error))
            }
            _ => Ok(()),
        }
    }

    /// Where that place is, in each of the partitions; `None` for one that doesn't exist.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn offsets(&self, of: &[NamedPartition], place: Place) -> Result<Vec<Option<i64>>, AskError> {
        let times = match place {
            Place::Earliest => Offset::Beginning,
            Place::End => Offset::End,
            Place::Time(time) => Offset::Offset(time.max(0)),
        };
        let mut found = self.ask_offsets(of, times, "offsets")?;
        if let (Place::Time(_), true) = (place, found.contains(&None)) {
            for (offset, end) in found.iter_mut().zip(self.ask_offsets(of, Offset::End, "ends")?) {
                *offset = offset.or(end);
            }
        }
        Ok(found)
    }

    fn ask_offsets(
        &self,
        of: &[NamedPartition],
        at: Offset,
        what: &str,
    ) -> Result<Vec<Option<i64>>, AskError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        self.patiently(|| {
            let list = list(of, at).map_err(|error| self.trouble(what, &error))?;
            let answer = self
                .consumer
                .offsets_for_times(list, self.timeout.min(ATTEMPT))
                .map_err(|error| self.trouble(what, &error))?;
            self.read_offsets(of, &answer, what)
        })
    }

    /// Asks again while Kafka can't answer, within the time limit: a leader that has just changed, or of a topic that has
    /// just been made, is not known everywhere at once. librdkafka remembers leaders, and goes on asking one that is gone,
    /// unless it learns them anew.
    pub(super) fn patiently<T>(&self, ask: impl Fn() -> Result<T, AskError>) -> Result<T, AskError> {
        let start = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let answer = ask();
            let wait = backoff.next_wait();
            let is_over = start.elapsed() + wait > self.timeout;
            if is_over || !matches!(answer, Err(AskError::Unreachable { .. })) {
                return answer;
            }
            thread::sleep(wait);
            // What can't be had now is asked for again.
            let _known = self.consumer.fetch_metadata(None, RELEARN);
        }
    }

    /// Committed offsets of the group; `None` where there is none.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn committed(&self, of: &[NamedPartition]) -> Result<Vec<Option<i64>>, AskError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let what = "committed offsets";
        self.patiently(|| {
            let list = list(of, Offset::Invalid).map_err(|error| self.trouble(what, &error))?;
            let answer = self
                .consumer
                .committed_offsets(list, self.timeout.min(ATTEMPT))
                .map_err(|error| self.trouble(what, &error))?;
            self.read_offsets(of, &answer, what)
        })
    }

    fn read_offsets(
        &self,
        of: &[NamedPartition],
        answer: &TopicPartitionList,
        what: &str,
    ) -> Result<Vec<Option<i64>>, AskError> {
        of.iter()
            .map(|at| {
                let Some(element) = answer.find_partition(&at.topic, at.partition) else {
                    return Ok(None);
                };
                match element.error() {
                    Ok(()) => {}
                    Err(error) => match error.rdkafka_error_code() {
                        Some(Code::UnknownPartition | Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                            return Ok(None);
                        }
                        _ => return Err(self.trouble(&format!("{what} of {at}"), &error)),
                    },
                }
                Ok(match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                })
            })
            .collect()
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

pub(super) fn list(of: &[NamedPartition], at: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(of.len());
    for NamedPartition { topic, partition } in of {
        list.add_partition_offset(topic, *partition, at)?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_password_is_told_from_a_broker_that_is_away() {
        let timeout = KafkaError::MetadataFetch(Code::OperationTimedOut);
        let kind = |error: &KafkaError, seen: Option<Code>| {
            let seen = seen.map(|code| (code, "the client's words".to_owned()));
            match classify("x", error, seen) {
                AskError::Unreachable { .. } => "unreachable",
                AskError::Denied { .. } => "denied",
                AskError::Refused { .. } => "refused",
            }
        };
        assert_eq!(kind(&timeout, None), "unreachable");
        assert_eq!(kind(&timeout, Some(Code::BrokerTransportFailure)), "unreachable");
        assert_eq!(kind(&timeout, Some(Code::Authentication)), "denied");
        assert_eq!(kind(&timeout, Some(Code::SSL)), "denied");
        let topic = KafkaError::AdminOp;
        assert_eq!(kind(&topic(Code::TopicAuthorizationFailed), None), "denied");
        assert_eq!(kind(&topic(Code::InvalidReplicationFactor), None), "refused");
        let text = classify("list of topics", &timeout, Some((Code::Resolve, "no such host".to_owned())));
        assert_eq!(text.to_string(), "Kafka can't be reached (list of topics): no such host");
    }

    #[test]
    fn what_explains_most_is_kept() {
        let context = ToolContext::default();
        let say = |code, reason: &str| context.error(KafkaError::Global(code), reason);
        say(Code::BrokerTransportFailure, "connection refused");
        say(Code::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(context.seen().unwrap().1, "connection refused");
        say(Code::Authentication, "invalid credentials");
        say(Code::BrokerTransportFailure, "disconnected");
        assert_eq!(context.seen().unwrap().1, "invalid credentials");
    }
}
