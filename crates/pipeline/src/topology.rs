//! The topics of an installation, made from its configuration.

use catchment_contracts::topics;
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{Partition, TopicId, TopicTable};

const DAY_MS: u64 = 86_400_000;

/// What decides which topics there are.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// Prefix of internal topics.
    pub app: &'a str,
    /// Partitions of every topic keyed by node key.
    pub partitions: Partition,
    /// Sources: name and topic.
    pub sources: Vec<(&'a str, &'a str)>,
    /// Partitions of a raw topic.
    pub raw_partitions: Partition,
    /// How long an event id is remembered, in milliseconds.
    pub dedup_window: u64,
}

/// All topics with their places in the table.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Every topic.
    pub table: TopicTable,
    /// Raw topic of each source, in the order of the configuration; sources may share one.
    pub raw: Vec<TopicId>,
    /// `dlq.<source>` of each source.
    pub dead_letters: Vec<TopicId>,
    /// `customer.events`.
    pub customer_events: TopicId,
    /// `customer.unattributed`.
    pub unattributed: TopicId,
    /// `catalog.items`.
    pub catalog_items: TopicId,
    /// `customer.profiles`.
    pub profiles: TopicId,
    /// `<app>.profile.state`.
    pub profile_state: TopicId,
    /// `<app>.profile.dedup`.
    pub profile_dedup: TopicId,
    /// `campaign.triggers`.
    pub triggers: TopicId,
    /// `campaign.decisions`.
    pub decisions: TopicId,
}

impl Topology {
    /// The topics of an installation.
    #[must_use]
    pub fn new(shape: &Shape<'_>) -> Topology {
        let mut table = TopicTable::new();
        let days = |days: u64| Cleanup::Delete { retention_ms: days * DAY_MS };
        let mut add = |name: &str, partitions, cleanup| {
            table.add(TopicSpec { name: name.to_owned(), partitions, cleanup })
        };
        let raw = shape.sources.iter().map(|(_, topic)| add(topic, shape.raw_partitions, days(30))).collect();
        let dead_letters = shape
            .sources
            .iter()
            .map(|(name, _)| add(&topics::dlq(name), shape.raw_partitions, days(30)))
            .collect();
        // Records that name no configured source have their own dead letters, by topic.
        for (_, topic) in &shape.sources {
            add(&topics::dlq(topic), shape.raw_partitions, days(30));
        }
        let keyed = shape.partitions;
        let dedup = Cleanup::Delete { retention_ms: shape.dedup_window.saturating_mul(2) };
        let customer_events = add(topics::CUSTOMER_EVENTS, keyed, days(30));
        let unattributed = add(topics::CUSTOMER_UNATTRIBUTED, keyed, days(30));
        let catalog_items = add(topics::CATALOG_ITEMS, keyed, Cleanup::Compact);
        let profiles = add(topics::CUSTOMER_PROFILES, keyed, Cleanup::Compact);
        let profile_state = add(&topics::profile_state(shape.app), keyed, Cleanup::Compact);
        let profile_dedup = add(&topics::profile_dedup(shape.app), keyed, dedup);
        let triggers = add(topics::CAMPAIGN_TRIGGERS, keyed, days(30));
        let decisions = add(topics::CAMPAIGN_DECISIONS, keyed, days(30));
        Topology {
            table,
            raw,
            dead_letters,
            customer_events,
            unattributed,
            catalog_items,
            profiles,
            profile_state,
            profile_dedup,
            triggers,
            decisions,
        }
    }
}
