//! Names of topics, and the one table of what each must be: `topics create`, `topics check`, the ACL list and
//! `docs/topics.md` derive from it.

use std::fmt;
use std::time::Duration;

/// Calls of the Segment specification, as a collector writes them.
pub const BEHAVIOUR_EVENTS: &str = "behaviour.events";
/// Contacts and changes of contacts, as CRMs write them.
pub const CRM_CONTACTS: &str = "crm.contacts";
/// Products, as the shop writes them.
pub const CATALOG_ITEMS_RAW: &str = "catalog.items.raw";
/// What became of a trigger, as campaign engines write it.
pub const CAMPAIGN_OUTCOMES: &str = "campaign.outcomes";
/// Normalised events, by node key.
pub const CUSTOMER_EVENTS: &str = "customer.events";
/// Messages between nodes.
pub const CUSTOMER_INBOX: &str = "customer.inbox";
/// Profiles; the public part of the state.
pub const CUSTOMER_PROFILES: &str = "customer.profiles";
/// Which profile ids became one.
pub const CUSTOMER_MERGES: &str = "customer.merges";
/// Events without a usable identifier.
pub const CUSTOMER_UNATTRIBUTED: &str = "customer.unattributed";
/// Messages to be sent.
pub const CAMPAIGN_TRIGGERS: &str = "campaign.triggers";
/// Decisions, sent or not, and why.
pub const CAMPAIGN_DECISIONS: &str = "campaign.decisions";
/// Which send an order is put down to.
pub const CAMPAIGN_ATTRIBUTIONS: &str = "campaign.attributions";
/// What was said of products, normalised, statement by statement.
pub const CATALOG_UPDATES: &str = "catalog.updates";
/// Products, each as the newest statements about it say.
pub const CATALOG_ITEMS: &str = "catalog.items";
/// Who is interested in which product.
pub const CATALOG_INTEREST: &str = "catalog.interest";

/// The roles that run on Kafka today.
pub const ROLES: [&str; 3] = [INGEST, PROFILE, CATALOG];
/// Those that refuse records: each has dead letters of its own. What `catalog` reads, `ingest` has checked.
pub const REFUSING_ROLES: [&str; 2] = [INGEST, PROFILE];
/// Raw records to events, by source.
pub const INGEST: &str = "ingest";
/// Events to profiles and decisions, by customer.
pub const PROFILE: &str = "profile";
/// Statements about products to products, by product.
pub const CATALOG: &str = "catalog";

const DLQ_PREFIX: &str = "dlq.";

/// Consumer group of a role of an application; all its lanes are members.
#[must_use]
pub fn group(app: &str, role: &str) -> String {
    format!("{app}.{role}")
}

/// Dead letters of a source, or of a role.
#[must_use]
pub fn dlq(source: &str) -> String {
    format!("{DLQ_PREFIX}{source}")
}

/// The source or role whose dead letters a topic holds.
#[must_use]
pub fn dlq_source(topic: &str) -> Option<&str> {
    topic.strip_prefix(DLQ_PREFIX)
}

/// The registry's subject of a topic's values.
#[must_use]
pub fn value_subject(topic: &str) -> String {
    format!("{topic}-value")
}

/// Changelog of the private state of an application's profile tasks.
#[must_use]
pub fn profile_state(app: &str) -> String {
    format!("{app}.profile.state")
}

/// Changelog of the deduplication of an application's profile tasks.
#[must_use]
pub fn profile_dedup(app: &str) -> String {
    format!("{app}.profile.dedup")
}

/// What an application's topics were made with, and what must never change: as JSON by name of the setting.
#[must_use]
pub fn settings(app: &str) -> String {
    format!("{app}.settings")
}

/// Which dead letters were replayed or dropped: one JSON record for each run of a tool and partition.
#[must_use]
pub fn dlq_handled(app: &str) -> String {
    format!("{app}.dlq.handled")
}

/// What a record's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// 16 bytes: the node key. All topics with this key have the same number of partitions.
    NodeKey,
    /// Product id, UTF-8.
    ProductId,
    /// Event id, UTF-8.
    EventId,
    /// Number of a time bucket. Written to the partition of its task, whatever the key.
    Bucket,
    /// Whatever upstream gave.
    Raw,
    /// Name of a setting, UTF-8.
    Setting,
    /// Topic and partition of dead letters, as `dlq.crm/0`.
    LetterPartition,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NodeKey => "node key",
            Self::ProductId => "product id",
            Self::EventId => "event id",
            Self::Bucket => "bucket",
            Self::Raw => "raw key",
            Self::Setting => "setting",
            Self::LetterPartition => "topic/partition",
        })
    }
}

/// How a topic forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cleanup {
    /// The owner upstream decides, within this bound (the erasure deadline).
    Upstream {
        /// Longest retention.
        at_most: Duration,
    },
    /// `cleanup.policy=delete`.
    Delete {
        /// `retention.ms`.
        retention: Duration,
    },
    /// `cleanup.policy=delete` with a retention of twice the configured deduplication window.
    DeleteAfterTwoWindows,
    /// `cleanup.policy=compact`.
    Compact {
        /// `delete.retention.ms`: a snapshot older than half of it is not used.
        tombstones: Duration,
    },
}

impl fmt::Display for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream { at_most } => write!(f, "theirs, at most {} d", days(*at_most)),
            Self::Delete { retention } => write!(f, "delete, {} d", days(*retention)),
            Self::DeleteAfterTwoWindows => f.write_str("delete, 2 × dedup window"),
            Self::Compact { tombstones } => write!(f, "compact, tombstones {} d", days(*tombstones)),
        }
    }
}

const DAY: u64 = 24 * 60 * 60;

const fn days(duration: Duration) -> u64 {
    duration.as_secs() / DAY
}

const fn of_days(count: u64) -> Duration {
    Duration::from_secs(count * DAY)
}

/// `message.timestamp.type` of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The owner upstream decides.
    Upstream,
    /// `LogAppendTime`: deduplication and the age of snapshots count by the broker's clock.
    LogAppend,
}

impl fmt::Display for TimestampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Upstream => "theirs",
            Self::LogAppend => "append",
        })
    }
}

/// How many partitions a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partitions {
    /// The owner upstream decides; `topics.raw_partitions` where the topic does not exist yet.
    Upstream,
    /// The key `partitions` of the configuration: part of the meaning of node keys.
    Configured,
    /// At least one. Best as many as the topic that its records come from, so that each stays on its partition number;
    /// with fewer they share.
    AsInput,
    /// One.
    One,
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Upstream => "theirs",
            Self::Configured => "`partitions`",
            Self::AsInput => "as its input",
            Self::One => "1",
        })
    }
}

/// Who has to do with a topic: what access lists are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Whoever sends events.
    Upstream,
    /// The role `ingest`.
    Ingest,
    /// The role `profile`.
    Profile,
    /// The role `catalog`.
    Catalog,
    /// Who runs `topics`, `dlq`, `lag` and `offsets`.
    Operator,
    /// Whoever works with the results: campaign engines, analysts.
    Public,
}

impl Party {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Ingest => INGEST,
            Self::Profile => PROFILE,
            Self::Catalog => CATALOG,
            Self::Operator => "operator",
            Self::Public => "public",
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a topic, or a family of topics, must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name; `<app>` and `<source>` stand for what differs in a family.
    pub name: &'static str,
    /// What a key is.
    pub key: KeyKind,
    /// How many partitions it has.
    pub partitions: Partitions,
    /// How it forgets.
    pub cleanup: Cleanup,
    /// Whose time its records carry.
    pub timestamps: TimestampType,
    /// Who writes it.
    pub writers: &'static [Party],
    /// Who reads it; the writer of a changelog among them, to restore its state.
    pub readers: &'static [Party],
    /// Whether it holds personal data, pseudonyms included.
    pub personal: bool,
}

impl TopicSpec {
    /// Whether the topic belongs to upstream: its form is theirs to decide.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.writers.contains(&Party::Upstream)
    }

    /// Whether a topic of this name is meant.
    #[must_use]
    pub fn covers(&self, topic: &str) -> bool {
        match (self.name.find('<'), self.name.find('>')) {
            (Some(open), Some(close)) => topic
                .strip_prefix(&self.name[..open])
                .and_then(|rest| rest.strip_suffix(&self.name[close + 1..]))
                .is_some_and(|variable| !variable.is_empty()),
            _ => self.name == topic,
        }
    }
}

/// By then everything about a customer who is to be forgotten is gone: the longest that a personal record is kept.
pub const ERASURE_DEADLINE: Duration = of_days(30);

const MONTH: Cleanup = Cleanup::Delete { retention: ERASURE_DEADLINE };
const TWO_MONTHS: Cleanup = Cleanup::Delete { retention: of_days(60) };
const WEEK: Cleanup = Cleanup::Delete { retention: of_days(7) };
const COMPACT: Cleanup = Cleanup::Compact { tombstones: of_days(7) };

/// An upstream topic. The operator writes it, too: a replay brings dead letters back.
const fn raw(name: &'static str) -> TopicSpec {
    TopicSpec {
        name,
        key: KeyKind::Raw,
        partitions: Partitions::Upstream,
        cleanup: Cleanup::Upstream { at_most: ERASURE_DEADLINE },
        timestamps: TimestampType::Upstream,
        writers: &[Party::Upstream, Party::Operator],
        readers: &[Party::Ingest],
        personal: true,
    }
}

const fn ours(
    name: &'static str,
    key: KeyKind,
    partitions: Partitions,
    cleanup: Cleanup,
    (writers, readers): (&'static [Party], &'static [Party]),
) -> TopicSpec {
    TopicSpec {
        name,
        key,
        partitions,
        cleanup,
        timestamps: TimestampType::LogAppend,
        writers,
        readers,
        personal: true,
    }
}

const fn impersonal(spec: TopicSpec) -> TopicSpec {
    TopicSpec { personal: false, ..spec }
}

/// A topic of the role `profile`, by node key.
const fn by_node(name: &'static str, cleanup: Cleanup, readers: &'static [Party]) -> TopicSpec {
    ours(name, KeyKind::NodeKey, Partitions::Configured, cleanup, (&[Party::Profile], readers))
}

const fn dead_letters(name: &'static str, writers: &'static [Party]) -> TopicSpec {
    ours(name, KeyKind::Raw, Partitions::AsInput, MONTH, (writers, &[Party::Operator]))
}

/// All topics and families of topics. What is named whole stands before the family that it would fall into.
pub static TABLE: [TopicSpec; 22] = {
    use KeyKind as Key;
    use Partitions::{Configured, One};
    use Party::{Catalog, Ingest, Operator, Profile, Public};
    [
        raw(BEHAVIOUR_EVENTS),
        raw(CRM_CONTACTS),
        raw(CATALOG_ITEMS_RAW),
        raw(CAMPAIGN_OUTCOMES),
        // The operator, too: a replay of what `profile` refused.
        ours(CUSTOMER_EVENTS, Key::NodeKey, Configured, MONTH, (&[Ingest, Operator], &[Profile])),
        ours(CUSTOMER_INBOX, Key::NodeKey, Configured, WEEK, (&[Profile, Catalog], &[Profile])),
        by_node(CUSTOMER_PROFILES, COMPACT, &[Public, Profile]),
        by_node("<app>.profile.state", COMPACT, &[Profile]),
        impersonal(ours(
            "<app>.profile.dedup",
            Key::Bucket,
            Configured,
            Cleanup::DeleteAfterTwoWindows,
            (&[Profile], &[Profile]),
        )),
        by_node(CUSTOMER_MERGES, MONTH, &[Public]),
        by_node(CAMPAIGN_TRIGGERS, MONTH, &[Public]),
        by_node(CAMPAIGN_DECISIONS, MONTH, &[Public]),
        by_node(CAMPAIGN_ATTRIBUTIONS, MONTH, &[Public]),
        impersonal(ours(CATALOG_UPDATES, Key::ProductId, Configured, WEEK, (&[Ingest], &[Catalog]))),
        impersonal(ours(
            CATALOG_ITEMS,
            Key::ProductId,
            Configured,
            COMPACT,
            (&[Catalog], &[Catalog, Profile, Public]),
        )),
        ours(CATALOG_INTEREST, Key::ProductId, Configured, COMPACT, (&[Profile], &[Catalog])),
        dead_letters("dlq.ingest", &[Ingest, Operator]),
        dead_letters("dlq.profile", &[Profile, Operator]),
        dead_letters("dlq.<source>", &[Ingest]),
        ours(CUSTOMER_UNATTRIBUTED, Key::EventId, Configured, MONTH, (&[Ingest], &[Operator])),
        impersonal(ours(
            "<app>.settings",
            Key::Setting,
            One,
            COMPACT,
            (&[Operator], &[Ingest, Profile, Catalog, Operator]),
        )),
        // Kept longer than the dead letters that it speaks of, or a letter could rise again before it goes.
        impersonal(ours(
            "<app>.dlq.handled",
            Key::LetterPartition,
            One,
            TWO_MONTHS,
            (&[Operator], &[Operator]),
        )),
    ]
};

/// What a topic must be.
#[must_use]
pub fn spec(topic: &str) -> Option<&'static TopicSpec> {
    TABLE.iter().find(|spec| spec.covers(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_families_are_found_in_the_table() {
        let name = |topic: &str| spec(topic).map(|spec| spec.name);
        assert_eq!(name(CUSTOMER_EVENTS), Some("customer.events"));
        assert_eq!(name(&profile_state("shoes")), Some("<app>.profile.state"));
        assert_eq!(name(&profile_dedup("shoes")), Some("<app>.profile.dedup"));
        assert_eq!(name(&dlq("hubspot")), Some("dlq.<source>"));
        assert_eq!(name(&dlq(PROFILE)), Some("dlq.profile"));
        assert_eq!(name(&settings("shoes")), Some("<app>.settings"));
        assert_eq!(name(&dlq_handled("shoes")), Some("<app>.dlq.handled"));
        assert_eq!(name("dlq."), None);
        assert_eq!(name("orders"), None);
        assert_eq!(dlq_source("dlq.hubspot"), Some("hubspot"));
    }

    #[test]
    fn nothing_personal_outlives_the_erasure_deadline() {
        for spec in TABLE.iter().filter(|spec| spec.personal) {
            match spec.cleanup {
                Cleanup::Upstream { at_most: kept } | Cleanup::Delete { retention: kept } => {
                    assert!(kept <= ERASURE_DEADLINE, "{}", spec.name);
                }
                // Erased by tombstone.
                Cleanup::Compact { .. } => {}
                Cleanup::DeleteAfterTwoWindows => panic!("{}", spec.name),
            }
        }
    }

    #[test]
    fn marks_of_dead_letters_outlive_the_letters() {
        let kept = |topic: &str| match spec(topic).map(|spec| spec.cleanup) {
            Some(Cleanup::Delete { retention }) => retention,
            other => panic!("{topic}: {other:?}"),
        };
        assert!(kept(&dlq_handled("shoes")) > kept(&dlq("web")));
        assert_eq!(kept(&dlq("web")), kept(&dlq(INGEST)));
    }

    #[test]
    fn every_contract_with_a_topic_has_a_row() {
        for topic in crate::catalogue::ALL.iter().filter_map(|contract| contract.topic) {
            assert!(spec(topic).is_some(), "{topic}");
        }
    }
}
