//! Settings, and how they become properties of librdkafka.

use super::context::StatisticsSink;
use catchment_runtime::{TopicId, TopicTable};
use rdkafka::ClientConfig;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A property that a user must not set, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kafka.properties: {key} can't be set: {reason}")]
pub struct PropertyRefused {
    /// The property.
    pub key: String,
    /// Why not.
    pub reason: &'static str,
}

const OFFSETS: &str = "offsets are committed in the transaction, by the lane alone";
const READS: &str = "readers must see committed records only, and all of them";
const IDENTITY: &str = "it is the lane's identity, which fences a dead or doubled lane";
const IDEMPOTENCE: &str = "transactions need an idempotent producer that waits for all replicas";
const DELIVERIES: &str = "deliveries are counted, and only those that failed are asked about";
const ASSIGNMENT: &str = "lanes rely on the classic protocol with cooperative-sticky";
const KEYS: &str = "keys of Java clients and of Catchment must land on the same partition";
const SETTING: &str = "it is derived from a setting of its own";

/// What would break exactly-once, or what a setting of its own decides.
const REFUSED: [(&str, &str); 36] = [
    ("acks", IDEMPOTENCE),
    ("allow.auto.create.topics", "a topic made by accident has the wrong number of partitions"),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("auto.offset.reset", "a gap in the input must stop the partition, not be skipped"),
    ("bootstrap.servers", SETTING),
    ("delivery.report.only.error", DELIVERIES),
    ("delivery.timeout.ms", SETTING),
    ("enable.auto.commit", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("enable.gapless.guarantee", IDEMPOTENCE),
    ("enable.idempotence", IDEMPOTENCE),
    ("enable.partition.eof", "the end of a restore is told by it"),
    ("group.id", IDENTITY),
    ("group.instance.id", IDENTITY),
    ("group.protocol", ASSIGNMENT),
    ("group.remote.assignor", ASSIGNMENT),
    ("heartbeat.interval.ms", SETTING),
    ("isolation.level", READS),
    ("max.in.flight", IDEMPOTENCE),
    ("max.in.flight.requests.per.connection", IDEMPOTENCE),
    ("message.max.bytes", SETTING),
    ("message.send.max.retries", IDEMPOTENCE),
    ("message.timeout.ms", SETTING),
    ("metadata.broker.list", SETTING),
    ("partition.assignment.strategy", ASSIGNMENT),
    ("partitioner", KEYS),
    ("queued.max.messages.kbytes", SETTING),
    ("queuing.strategy", "records of a partition must stay in order"),
    ("request.required.acks", IDEMPOTENCE),
    ("retries", IDEMPOTENCE),
    ("session.timeout.ms", SETTING),
    ("statistics.interval.ms", SETTING),
    ("test.mock.num.brokers", "a mock has no transactions"),
    ("transaction.timeout.ms", SETTING),
    ("transactional.id", IDENTITY),
];

/// Properties of librdkafka that a user passes through: SASL, TLS, tuning. One list for all clients; a property that
/// a client has no use for is ignored by it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Why a user must not set the property; `None` if they may, as far as is known without librdkafka.
    #[must_use]
    pub fn refusal(name: &str) -> Option<&'static str> {
        REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, reason)| *reason)
    }

    /// Takes what a user wrote.
    ///
    /// # Errors
    /// [`PropertyRefused`] for the first property that is the lane's own business. Unknown names and bad values are
    /// found by librdkafka when a client is made.
    pub fn new(properties: BTreeMap<String, String>) -> Result<Self, PropertyRefused> {
        let refused =
            |key: &String| Self::refusal(key).map(|reason| PropertyRefused { key: key.clone(), reason });
        match properties.keys().find_map(refused) {
            Some(refused) => Err(refused),
            None => Ok(Properties(properties)),
        }
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Which Kafka, and how to speak to it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// What the user passes through.
    pub properties: Properties,
}

impl Cluster {
    /// Properties of every client: defaults, then the user's, then what must not differ.
    pub(super) fn client(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in defaults {
            config.set(*key, *value);
        }
        for (key, value) in &self.properties.0 {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("allow.auto.create.topics", "false");
        config
    }

    /// A `read_committed` consumer that takes its partitions by `assign` and leaves offsets alone. librdkafka wants
    /// a group even so; it is joined only by `subscribe`.
    pub(super) fn consumer(&self, group: &str, queue_kib: u32) -> ClientConfig {
        let mut config = self.client(&CONSUMER);
        config.set("group.id", group);
        config.set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        // Of no use without a subscription, but librdkafka wants it below the user's `max.poll.interval.ms`.
        config.set("session.timeout.ms", "6000");
        config.set("queued.max.messages.kbytes", queue_kib.max(1).to_string());
        config
    }
}

/// The longest wait before a broker is connected to again: 10 s by default, which a lane would be late after an outage.
const RECONNECT: (&str, &str) = ("reconnect.backoff.max.ms", "2000");

/// `fetch.queue.backoff.ms` is 1000 by default, which starves a fast reader once its queue was full.
const CONSUMER: [(&str, &str); 4] = [
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.wait.max.ms", "100"),
    ("queued.min.messages", "100000"),
    RECONNECT,
];

/// With the default of 100 ms, every transaction that meets the markers of the one before waits that long.
///
/// Idle connections are closed soon, for the sake of a defect (librdkafka #5511 and #5456, in 2.12.1): offsets that are sent
/// to a transaction while the group's coordinator is lost wait, whatever their timeout, until any broker changes its
/// state. Where all the others stay up that is never; where a connection is closed, it is then. The next transaction
/// after a pause connects anew.
const PRODUCER: [(&str, &str); 7] = [
    RECONNECT,
    ("connections.max.idle.ms", "4000"),
    ("retry.backoff.ms", "10"),
    ("linger.ms", "1"),
    ("batch.size", "262144"),
    ("compression.type", "lz4"),
    ("queue.buffering.max.messages", "200000"),
];

/// Room for what a batch adds to its records: `message.max.bytes` bounds both.
const BATCH_OVERHEAD: usize = 40_000;

/// The largest batch that a producer sends whose records are at most so large: what `max.message.bytes` of a topic must
/// let through.
#[must_use]
pub fn batch_limit(record_limit: usize) -> usize {
    record_limit.saturating_add(BATCH_OVERHEAD)
}

/// One lane.
#[derive(Clone)]
pub struct LaneSettings {
    /// Which Kafka.
    pub cluster: Cluster,
    /// `group.id`: one for all lanes of a role.
    pub group: String,
    /// `group.instance.id`: this lane and no other; the same after a restart.
    pub instance: String,
    /// `transactional.id`: this lane and no other; the same after a restart.
    pub transactional_id: String,
    /// The topics, by the names that they have on the brokers.
    pub topics: Arc<TopicTable>,
    /// The topic that the group assigns.
    pub topic: TopicId,
    /// Topics read besides: of each, the partitions with the numbers that the lane got of [`topic`](Self::topic).
    pub followed: Vec<TopicId>,
    /// After so long without a heartbeat the group takes the lane's partitions away. A lane that is closed does not
    /// leave, so that a restart moves nothing; one that is gone for good leaves its partitions unread so long.
    pub session_timeout: Duration,
    /// After so long the broker aborts a transaction that was left open. Readers of what it wrote stand still until
    /// then, or until the lane is back.
    pub transaction_timeout: Duration,
    /// Bound of every question to the brokers.
    pub request_timeout: Duration,
    /// How long the lane waits for its first assignment: a rebalance waits for every member to finish its step.
    pub join_timeout: Duration,
    /// How long a poll waits for the first record, until the lane is told otherwise.
    pub poll_wait: Duration,
    /// `queued.max.messages.kbytes` of the reader, in KiB: what may be fetched ahead. A bound per lane.
    pub queue_kib: u32,
    /// The largest record that is written, in bytes of key, value and headers.
    pub record_limit: usize,
    /// Where statistics of the clients go, and how often they come.
    pub statistics: Option<(StatisticsSink, Duration)>,
}

impl LaneSettings {
    /// Settings with the defaults, and without an identity yet.
    #[must_use]
    pub fn new(cluster: Cluster, topics: Arc<TopicTable>, topic: TopicId) -> Self {
        LaneSettings {
            cluster,
            group: String::new(),
            instance: String::new(),
            transactional_id: String::new(),
            topics,
            topic,
            followed: Vec::new(),
            session_timeout: Duration::from_secs(15),
            transaction_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            join_timeout: Duration::from_secs(60),
            poll_wait: Duration::from_millis(10),
            queue_kib: 16 << 10,
            record_limit: 1_000_000,
            statistics: None,
        }
    }

    fn with_statistics(&self, mut config: ClientConfig) -> ClientConfig {
        if let Some((_, interval)) = &self.statistics {
            config.set("statistics.interval.ms", interval.as_millis().to_string());
        }
        config
    }

    /// The place in the group. It reads nothing, so its offsets don't matter and its isolation can be the one that is
    /// told real high watermarks.
    pub(super) fn member(&self) -> ClientConfig {
        let mut config = self.cluster.consumer(&self.group, 1);
        config.set("isolation.level", "read_uncommitted");
        config.set("auto.offset.reset", "latest");
        config.set("group.instance.id", &self.instance);
        config.set("group.protocol", "classic");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("session.timeout.ms", self.session_timeout.as_millis().to_string());
        let heartbeat = (self.session_timeout / 5).min(Duration::from_secs(3));
        config.set("heartbeat.interval.ms", heartbeat.as_millis().max(1).to_string());
        self.with_statistics(config)
    }

    pub(super) fn reader(&self) -> ClientConfig {
        self.with_statistics(self.cluster.consumer(&self.group, self.queue_kib))
    }

    pub(super) fn restorer(&self) -> ClientConfig {
        let mut config = self.cluster.consumer(&self.group, self.queue_kib);
        config.set("enable.partition.eof", "true");
        // The request for the partition before has to come back before the next one is fetched.
        config.set("fetch.wait.max.ms", "20");
        self.with_statistics(config)
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.cluster.client(&PRODUCER);
        config.set("transactional.id", &self.transactional_id);
        config.set("transaction.timeout.ms", self.transaction_timeout.as_millis().to_string());
        config.set("acks", "all");
        config.set("enable.idempotence", "true");
        // Deliveries are counted, and only those that failed are asked about.
        config.set("delivery.report.only.error", "true");
        config.set("message.max.bytes", batch_limit(self.record_limit).to_string());
        self.with_statistics(config)
    }
}

impl fmt::Debug for LaneSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneSettings")
            .field("cluster", &self.cluster)
            .field("group", &self.group)
            .field("instance", &self.instance)
            .field("transactional_id", &self.transactional_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(list: &[(&str, &str)]) -> Result<Properties, PropertyRefused> {
        Properties::new(list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_would_break_exactly_once_is_refused_with_the_reason() {
        for (key, _) in REFUSED {
            let refused = properties(&[("security.protocol", "ssl"), (key, "x")]).unwrap_err();
            assert_eq!(refused.key, key);
        }
        let refused = properties(&[("isolation.level", "read_uncommitted")]).unwrap_err();
        let text = "kafka.properties: isolation.level can't be set: readers must see committed records only, and all of them";
        assert_eq!(refused.to_string(), text);
        assert!(REFUSED.is_sorted_by(|one, other| one.0 < other.0), "in order, so that none stands twice");
    }

    #[test]
    fn a_users_property_stands_over_a_default_and_below_what_must_not_differ() {
        let properties = properties(&[("linger.ms", "50"), ("sasl.username", "shop")]).unwrap();
        let cluster = Cluster { brokers: "kafka:9092".to_owned(), properties };
        let settings = LaneSettings::new(cluster, Arc::new(TopicTable::new()), TopicId(0));
        let producer = settings.producer();
        let value = |key| producer.get(key);
        assert_eq!(value("linger.ms"), Some("50"));
        assert_eq!(value("sasl.username"), Some("shop"));
        assert_eq!(value("retry.backoff.ms"), Some("10"));
        assert_eq!(value("acks"), Some("all"));
        assert_eq!(settings.reader().get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.reader().get("auto.offset.reset"), Some("error"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let properties = properties(&[("sasl.password", "s3cret")]).unwrap();
        assert_eq!(format!("{properties:?}"), r#"{"sasl.password"}"#);
    }

    #[test]
    fn librdkafka_takes_the_properties() {
        let cluster = Cluster { brokers: "127.0.0.1:1".to_owned(), properties: Properties::default() };
        let mut settings = LaneSettings::new(cluster, Arc::new(TopicTable::new()), TopicId(0));
        settings.group = "g".to_owned();
        settings.instance = "i".to_owned();
        settings.transactional_id = "t".to_owned();
        for config in [settings.member(), settings.reader(), settings.restorer()] {
            drop(config.create::<rdkafka::consumer::BaseConsumer>().unwrap());
        }
        drop(settings.producer().create::<rdkafka::producer::BaseProducer>().unwrap());
    }
}
