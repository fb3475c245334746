//! Topics: what they must be, what they are, and where the two differ.

use super::config::Cluster;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig as _;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// `cleanup.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Records go by age.
    Delete,
    /// The last record of each key stays.
    Compact,
}

impl CleanupPolicy {
    fn as_str(self) -> &'static str {
        match self {
            CleanupPolicy::Delete => "delete",
            CleanupPolicy::Compact => "compact",
        }
    }
}

/// How long: `retention.ms` of a topic that deletes, `delete.retention.ms` (of tombstones) of one that compacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Just so long.
    Exactly(Duration),
    /// The topic's owner decides, up to this.
    AtMost(Duration),
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The writer's clock.
    CreateTime,
    /// The broker's clock.
    LogAppendTime,
}

impl TimestampType {
    fn as_str(self) -> &'static str {
        match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        }
    }
}

/// What a topic must be. What is `None` is its owner's business: not checked, and the brokers' default on creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTopic {
    /// Name.
    pub name: String,
    /// Partitions. Part of the meaning of keys.
    pub partitions: Option<u32>,
    /// Replicas of each partition; checked as *at least*.
    pub replication: Option<u32>,
    /// How it forgets.
    pub cleanup: Option<CleanupPolicy>,
    /// For how long it keeps.
    pub retention: Option<Retention>,
    /// Whose clock its records carry.
    pub timestamps: Option<TimestampType>,
    /// `min.insync.replicas`; checked as *at least*.
    pub min_insync: Option<u32>,
}

impl WantedTopic {
    fn retention_key(&self) -> &'static str {
        match self.cleanup {
            Some(CleanupPolicy::Compact) => "delete.retention.ms",
            Some(CleanupPolicy::Delete) | None => "retention.ms",
        }
    }

    fn config(&self) -> Vec<(&'static str, String)> {
        let mut config = Vec::new();
        if let Some(cleanup) = self.cleanup {
            config.push(("cleanup.policy", cleanup.as_str().to_owned()));
        }
        if let Some(Retention::Exactly(time) | Retention::AtMost(time)) = self.retention {
            config.push((self.retention_key(), time.as_millis().to_string()));
        }
        if let Some(timestamps) = self.timestamps {
            config.push(("message.timestamp.type", timestamps.as_str().to_owned()));
        }
        if let Some(replicas) = self.min_insync {
            config.push(("min.insync.replicas", replicas.to_string()));
        }
        config
    }
}

/// What a topic is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedTopic {
    /// Partitions.
    pub partitions: u32,
    /// Replicas of the partition that has the fewest.
    pub replication: u32,
    /// Its configuration, defaults included.
    pub config: BTreeMap<String, String>,
}

/// Where a topic is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The topic.
    pub topic: String,
    /// `topic`, `partitions`, `replication`, or the name of a configuration.
    pub what: &'static str,
    /// What it must be.
    pub wanted: String,
    /// What it is.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { topic, what, wanted, found } = self;
        write!(f, "{topic}: {what} must be {wanted}, is {found}")
    }
}

/// Compares what is with what must be, in the order of `wanted`. Partitions are compared exactly; replication and
/// `min.insync.replicas` may be more.
#[must_use]
pub fn check(wanted: &[WantedTopic], described: &BTreeMap<String, DescribedTopic>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for topic in wanted {
        match described.get(&topic.name) {
            Some(is) => check_topic(topic, is, &mut found),
            None => found.push(mismatch(topic, "topic", "there".to_owned(), "missing".to_owned())),
        }
    }
    found
}

fn mismatch(topic: &WantedTopic, what: &'static str, wanted: String, found: String) -> Mismatch {
    Mismatch { topic: topic.name.clone(), what, wanted, found }
}

fn check_topic(topic: &WantedTopic, is: &DescribedTopic, found: &mut Vec<Mismatch>) {
    let value = |key: &str| is.config.get(key).cloned().unwrap_or_else(|| "unknown".to_owned());
    let number = |key: &str| is.config.get(key).and_then(|value| value.parse::<i128>().ok());
    if let Some(partitions) = topic.partitions.filter(|partitions| *partitions != is.partitions) {
        found.push(mismatch(topic, "partitions", partitions.to_string(), is.partitions.to_string()));
    }
    if let Some(replicas) = topic.replication.filter(|replicas| *replicas > is.replication) {
        found.push(mismatch(
            topic,
            "replication",
            format!("at least {replicas}"),
            is.replication.to_string(),
        ));
    }
    if let Some(cleanup) = topic.cleanup.filter(|cleanup| cleanup.as_str() != value("cleanup.policy")) {
        found.push(mismatch(topic, "cleanup.policy", cleanup.as_str().to_owned(), value("cleanup.policy")));
    }
    let key = topic.retention_key();
    let (bound, fits, text) = match topic.retention {
        Some(Retention::Exactly(time)) => (millis(time), number(key) == Some(millis(time)), String::new()),
        // -1 keeps for ever.
        Some(Retention::AtMost(time)) => {
            let fits = number(key).is_some_and(|kept| (0..=millis(time)).contains(&kept));
            (millis(time), fits, "at most ".to_owned())
        }
        None => (0, true, String::new()),
    };
    if !fits {
        found.push(mismatch(topic, key, format!("{text}{bound}"), value(key)));
    }
    let timestamps = "message.timestamp.type";
    if let Some(wanted) = topic.timestamps.filter(|wanted| wanted.as_str() != value(timestamps)) {
        found.push(mismatch(topic, timestamps, wanted.as_str().to_owned(), value(timestamps)));
    }
    let min_insync = "min.insync.replicas";
    let too_few = |replicas: &u32| number(min_insync).is_none_or(|is| is < i128::from(*replicas));
    if let Some(replicas) = topic.min_insync.filter(too_few) {
        found.push(mismatch(topic, min_insync, format!("at least {replicas}"), value(min_insync)));
    }
}

fn millis(time: Duration) -> i128 {
    i128::try_from(time.as_millis()).unwrap_or(i128::MAX)
}

/// Why topics could not be described or created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Kafka could not be reached, or has no answer: ask again.
    #[error("{what}: {reason}")]
    Unreachable {
        /// What was tried.
        what: &'static str,
        /// What librdkafka said.
        reason: String,
    },
    /// Kafka refused.
    #[error("{topic}: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
}

fn unreachable(what: &'static str) -> impl Fn(KafkaError) -> TopicError {
    move |error| TopicError::Unreachable { what, reason: error.to_string() }
}

/// Describes and creates topics.
pub struct TopicAdmin {
    client: AdminClient<DefaultClientContext>,
    timeout: Duration,
}

impl TopicAdmin {
    /// A client. Doesn't connect yet.
    ///
    /// # Errors
    /// [`TopicError::Unreachable`] for properties that librdkafka refuses.
    pub fn new(cluster: &Cluster, timeout: Duration) -> Result<Self, TopicError> {
        let client = AdminClient::from_config(&cluster.client(&[])).map_err(unreachable("admin client"))?;
        Ok(TopicAdmin { client, timeout })
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(self.timeout)).request_timeout(Some(self.timeout))
    }

    /// What these topics are; those that don't exist are missing from the answer.
    ///
    /// # Errors
    /// See [`TopicError`].
    pub fn describe<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, DescribedTopic>, TopicError> {
        let metadata = self.metadata()?;
        let mut described = BTreeMap::new();
        for name in names {
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                continue;
            };
            let fewest = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let is = DescribedTopic {
                partitions: count(topic.partitions().len()),
                replication: count(fewest.unwrap_or(0)),
                config: BTreeMap::new(),
            };
            described.insert(name.to_owned(), is);
        }
        let resources: Vec<_> = described.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        if resources.is_empty() {
            return Ok(described);
        }
        let configs = block_on(self.client.describe_configs(&resources, &self.options()))
            .map_err(unreachable("topic configurations"))?;
        for config in configs {
            let config =
                config.map_err(|code| unreachable("topic configuration")(KafkaError::AdminOp(code)))?;
            let OwnedResourceSpecifier::Topic(name) = &config.specifier else {
                continue;
            };
            if let Some(is) = described.get_mut(name) {
                let entries = config.entries.into_iter();
                is.config = entries.filter_map(|entry| Some((entry.name, entry.value?))).collect();
            }
        }
        Ok(described)
    }

    /// Creates the topics that don't exist, and waits until they are known; returns their names. A topic without a wanted number of partitions or
    /// replicas gets the brokers' default.
    ///
    /// # Errors
    /// See [`TopicError`]. Others may have been created.
    pub fn create(&self, wanted: &[WantedTopic]) -> Result<Vec<String>, TopicError> {
        let configs: Vec<_> = wanted.iter().map(WantedTopic::config).collect();
        let topics: Vec<NewTopic<'_>> =
            wanted.iter().zip(&configs).map(|(topic, config)| new_topic(topic, config)).collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let results = block_on(self.client.create_topics(&topics, &self.options()))
            .map_err(unreachable("topics not created"))?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(name) => created.push(name),
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicError::Refused { topic, reason: code.to_string() }),
            }
        }
        self.wait_for(&created)?;
        Ok(created)
    }

    /// A topic is created before every broker knows of it; whoever asks too early is told that there is none.
    fn wait_for(&self, names: &[String]) -> Result<(), TopicError> {
        let start = Instant::now();
        loop {
            let metadata = self.metadata()?;
            let is_known = |name: &String| {
                let mut topics = metadata.topics().iter();
                topics.any(|topic| topic.name() == name && !topic.partitions().is_empty())
            };
            match names.iter().find(|name| !is_known(name)) {
                None => return Ok(()),
                Some(name) if start.elapsed() > self.timeout => {
                    let reason = format!("{name} is not known yet");
                    return Err(TopicError::Unreachable { what: "topics are being created", reason });
                }
                Some(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn metadata(&self) -> Result<Metadata, TopicError> {
        self.client.inner().fetch_metadata(None, self.timeout).map_err(unreachable("metadata"))
    }

    /// Deletes topics; those that don't exist are passed over.
    ///
    /// # Errors
    /// See [`TopicError`]. Others may have been deleted.
    pub fn delete(&self, names: &[&str]) -> Result<(), TopicError> {
        let results = block_on(self.client.delete_topics(names, &self.options()))
            .map_err(unreachable("topics not deleted"))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {}
                Err((topic, code)) => return Err(TopicError::Refused { topic, reason: code.to_string() }),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TopicAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicAdmin").finish_non_exhaustive()
    }
}

/// −1 asks for the brokers' default.
fn new_topic<'a>(topic: &'a WantedTopic, config: &'a [(&'static str, String)]) -> NewTopic<'a> {
    let count = |wanted: Option<u32>| wanted.and_then(|wanted| i32::try_from(wanted).ok()).unwrap_or(-1);
    let replication = TopicReplication::Fixed(count(topic.replication));
    let new = NewTopic::new(&topic.name, count(topic.partitions), replication);
    config.iter().fold(new, |new, (key, value)| new.set(key, value))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the client's own thread; bounded by the timeouts of the request.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[cfg(test)]
mod tests;
