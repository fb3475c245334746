//! Topics: what they must be, what they are, and where the two differ.

mod admin;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use admin::TopicAdmin;

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

/// How many partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionCount {
    /// Just so many: they are part of the meaning of keys.
    Exactly(u32),
    /// So many where the topic has to be created; others will do.
    About(u32),
}

impl PartitionCount {
    fn at_creation(self) -> u32 {
        let (PartitionCount::Exactly(count) | PartitionCount::About(count)) = self;
        count
    }
}

/// Default of Kafka's `message.max.bytes`.
const DEFAULT_LARGEST_BATCH: u64 = 1_048_588;

const RETENTION_BYTES: &str = "retention.bytes";
/// Of `retention.bytes`.
const UNLIMITED: &str = "-1";

/// What a topic must be. What is `None` is its owner's business: not checked, and the brokers' default on creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedTopic {
    /// Name.
    pub name: String,
    /// The topic is somebody else's: it must be there, and where it is otherwise than wanted is only to be warned of.
    pub is_theirs: bool,
    /// Partitions.
    pub partitions: Option<PartitionCount>,
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
    /// `segment.ms`; checked as *at most*: a record goes when its whole segment does.
    pub segment: Option<Duration>,
    /// `max.compaction.lag.ms`; checked as *at most*: so long a value may outlive its tombstone.
    pub compaction_lag: Option<Duration>,
    /// `max.message.bytes`; checked as *at least*.
    pub largest_batch: Option<u64>,
    /// `retention.bytes` is −1: nothing goes by size before it goes by age.
    pub any_size: bool,
    /// `unclean.leader.election.enable` is false: no replica leads that lacks what was committed. Only warned of, since
    /// in small clusters it is a choice between that and standing still.
    pub clean_election: bool,
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
        if self.any_size {
            config.push((RETENTION_BYTES, UNLIMITED.to_owned()));
        }
        if self.clean_election {
            config.push((Mismatch::UNCLEAN, "false".to_owned()));
        }
        if let Some(timestamps) = self.timestamps {
            config.push(("message.timestamp.type", timestamps.as_str().to_owned()));
        }
        if let Some(replicas) = self.min_insync {
            config.push(("min.insync.replicas", replicas.to_string()));
        }
        if let Some(segment) = self.segment {
            config.push(("segment.ms", segment.as_millis().to_string()));
        }
        if let Some(lag) = self.compaction_lag {
            config.push(("max.compaction.lag.ms", lag.as_millis().to_string()));
        }
        // Where the brokers' default is enough it is left to them, so that they can raise it.
        if let Some(bytes) = self.largest_batch.filter(|bytes| *bytes > DEFAULT_LARGEST_BATCH) {
            config.push(("max.message.bytes", bytes.to_string()));
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
    /// It keeps nobody from working: it matters to the owner of a topic that is not ours, or is a risk.
    pub is_warning: bool,
}

impl Mismatch {
    /// The topic is not there.
    pub const MISSING: &str = "topic";
    /// It has another number of partitions.
    pub const PARTITIONS: &str = "partitions";
    /// It has too few replicas.
    pub const REPLICATION: &str = "replication";
    /// A replica may lead that lacks what was committed.
    pub const UNCLEAN: &str = "unclean.leader.election.enable";
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { topic, what, wanted, found, .. } = self;
        write!(f, "{topic}: {what} must be {wanted}, is {found}")
    }
}

/// Compares what is with what must be, in the order of `wanted`.
#[must_use]
pub fn check(wanted: &[WantedTopic], described: &BTreeMap<String, DescribedTopic>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for topic in wanted {
        match described.get(&topic.name) {
            Some(is) => Comparison { topic, is, found: &mut found }.run(),
            None => found.push(Mismatch {
                topic: topic.name.clone(),
                what: Mismatch::MISSING,
                wanted: "there".to_owned(),
                found: "missing".to_owned(),
                is_warning: false,
            }),
        }
    }
    found
}

/// One topic under comparison.
struct Comparison<'a> {
    topic: &'a WantedTopic,
    is: &'a DescribedTopic,
    found: &'a mut Vec<Mismatch>,
}

impl Comparison<'_> {
    fn run(&mut self) {
        let (topic, is) = (self.topic, self.is);
        if let Some(PartitionCount::Exactly(count)) = topic.partitions {
            self.differs(Mismatch::PARTITIONS, count != is.partitions, count, is.partitions);
        }
        if let Some(least) = topic.replication {
            let wanted = format!("at least {least}");
            self.differs(Mismatch::REPLICATION, is.replication < least, wanted, is.replication);
        }
        if let Some(cleanup) = topic.cleanup {
            self.text("cleanup.policy", cleanup.as_str());
        }
        match topic.retention {
            Some(Retention::Exactly(time)) => {
                let wanted = millis(time);
                self.number(topic.retention_key(), |is| is == wanted, wanted);
            }
            Some(Retention::AtMost(time)) => self.at_most(topic.retention_key(), time),
            None => {}
        }
        if topic.any_size {
            self.text(RETENTION_BYTES, UNLIMITED);
        }
        if topic.clean_election && is.config.get(Mismatch::UNCLEAN).is_some_and(|text| text == "true") {
            self.add(Mismatch::UNCLEAN, &"false", &"true", true);
        }
        if let Some(timestamps) = topic.timestamps {
            self.text("message.timestamp.type", timestamps.as_str());
        }
        if let Some(replicas) = topic.min_insync {
            self.at_least("min.insync.replicas", replicas.into());
        }
        if let Some(segment) = topic.segment {
            self.at_most("segment.ms", segment);
        }
        if let Some(lag) = topic.compaction_lag {
            self.at_most("max.compaction.lag.ms", lag);
        }
        if let Some(bytes) = topic.largest_batch {
            self.at_least("max.message.bytes", bytes);
        }
    }

    fn differs(
        &mut self,
        what: &'static str,
        differs: bool,
        wanted: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        if differs {
            self.add(what, &wanted, &found, self.topic.is_theirs);
        }
    }

    fn add(
        &mut self,
        what: &'static str,
        wanted: &dyn fmt::Display,
        found: &dyn fmt::Display,
        is_warning: bool,
    ) {
        let topic = self.topic.name.clone();
        let (wanted, found) = (wanted.to_string(), found.to_string());
        self.found.push(Mismatch { topic, what, wanted, found, is_warning });
    }

    fn text(&mut self, key: &'static str, wanted: &str) {
        let found = self.is.config.get(key).map_or("unknown", String::as_str);
        self.differs(key, found != wanted, wanted, found);
    }

    fn number(&mut self, key: &'static str, holds: impl Fn(i128) -> bool, wanted: impl fmt::Display) {
        let found = self.is.config.get(key);
        let fits = found.and_then(|text| text.parse().ok()).is_some_and(holds);
        self.differs(key, !fits, wanted, found.map_or("unknown", String::as_str));
    }

    /// −1 is for ever.
    fn at_most(&mut self, key: &'static str, time: Duration) {
        let most = millis(time);
        self.number(key, |is| (0..=most).contains(&is), format_args!("at most {most}"));
    }

    fn at_least(&mut self, key: &'static str, least: u64) {
        self.number(key, |is| is >= i128::from(least), format_args!("at least {least}"));
    }
}

fn millis(time: Duration) -> i128 {
    i128::try_from(time.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests;
