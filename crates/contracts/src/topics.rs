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
/// Normalised products.
pub const CATALOG_ITEMS: &str = "catalog.items";
/// Who is interested in which product.
pub const CATALOG_INTEREST: &str = "catalog.interest";

const DLQ_PREFIX: &str = "dlq.";

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
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NodeKey => "node key",
            Self::ProductId => "product id",
            Self::EventId => "event id",
            Self::Bucket => "bucket",
            Self::Raw => "raw key",
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

/// What a topic, or a family of topics, must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name; `<app>` and `<source or role>` stand for what differs in a family.
    pub name: &'static str,
    /// What a key is.
    pub key: KeyKind,
    /// How it forgets.
    pub cleanup: Cleanup,
    /// Whose time its records carry.
    pub timestamps: TimestampType,
    /// Who writes it.
    pub writers: &'static str,
    /// Who reads it.
    pub readers: &'static str,
    /// Whether it holds personal data, pseudonyms included.
    pub personal: bool,
}

impl TopicSpec {
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

const MONTH: Cleanup = Cleanup::Delete { retention: of_days(30) };
const WEEK: Cleanup = Cleanup::Delete { retention: of_days(7) };
const COMPACT: Cleanup = Cleanup::Compact { tombstones: of_days(7) };

const fn raw(name: &'static str) -> TopicSpec {
    TopicSpec {
        name,
        key: KeyKind::Raw,
        cleanup: Cleanup::Upstream { at_most: of_days(30) },
        timestamps: TimestampType::Upstream,
        writers: "upstream",
        readers: "ingest",
        personal: true,
    }
}

const fn ours(
    name: &'static str,
    key: KeyKind,
    cleanup: Cleanup,
    roles: (&'static str, &'static str),
) -> TopicSpec {
    TopicSpec {
        name,
        key,
        cleanup,
        timestamps: TimestampType::LogAppend,
        writers: roles.0,
        readers: roles.1,
        personal: true,
    }
}

const fn impersonal(spec: TopicSpec) -> TopicSpec {
    TopicSpec { personal: false, ..spec }
}

/// All topics and families of topics.
pub static TABLE: [TopicSpec; 18] = [
    raw(BEHAVIOUR_EVENTS),
    raw(CRM_CONTACTS),
    raw(CATALOG_ITEMS_RAW),
    raw(CAMPAIGN_OUTCOMES),
    ours(CUSTOMER_EVENTS, KeyKind::NodeKey, MONTH, ("ingest", "profile")),
    ours(CUSTOMER_INBOX, KeyKind::NodeKey, WEEK, ("profile, catalog", "profile")),
    ours(CUSTOMER_PROFILES, KeyKind::NodeKey, COMPACT, ("profile", "public, restore")),
    ours("<app>.profile.state", KeyKind::NodeKey, COMPACT, ("profile", "restore")),
    impersonal(ours(
        "<app>.profile.dedup",
        KeyKind::Bucket,
        Cleanup::DeleteAfterTwoWindows,
        ("profile", "restore"),
    )),
    ours(CUSTOMER_MERGES, KeyKind::NodeKey, MONTH, ("profile", "public")),
    ours(CAMPAIGN_TRIGGERS, KeyKind::NodeKey, MONTH, ("profile", "public")),
    ours(CAMPAIGN_DECISIONS, KeyKind::NodeKey, MONTH, ("profile", "public")),
    ours(CAMPAIGN_ATTRIBUTIONS, KeyKind::NodeKey, MONTH, ("profile", "public")),
    impersonal(ours(CATALOG_ITEMS, KeyKind::ProductId, COMPACT, ("ingest", "catalog, profile"))),
    ours(CATALOG_INTEREST, KeyKind::ProductId, COMPACT, ("profile", "catalog")),
    ours("dlq.<source>", KeyKind::Raw, MONTH, ("ingest", "operator")),
    ours("dlq.<role>", KeyKind::Raw, MONTH, ("any role", "operator")),
    ours(CUSTOMER_UNATTRIBUTED, KeyKind::EventId, MONTH, ("ingest", "operator")),
];

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
        assert_eq!(name("dlq."), None);
        assert_eq!(name("orders"), None);
        assert_eq!(dlq_source("dlq.hubspot"), Some("hubspot"));
    }

    #[test]
    fn nothing_personal_outlives_the_erasure_deadline() {
        for spec in TABLE.iter().filter(|spec| spec.personal) {
            match spec.cleanup {
                Cleanup::Upstream { at_most: kept } | Cleanup::Delete { retention: kept } => {
                    assert!(kept <= of_days(30), "{}", spec.name);
                }
                // Erased by tombstone.
                Cleanup::Compact { .. } => {}
                Cleanup::DeleteAfterTwoWindows => panic!("{}", spec.name),
            }
        }
    }

    #[test]
    fn every_contract_with_a_topic_has_a_row() {
        for topic in crate::catalogue::ALL.iter().filter_map(|contract| contract.topic) {
            assert!(spec(topic).is_some(), "{topic}");
        }
    }
}
