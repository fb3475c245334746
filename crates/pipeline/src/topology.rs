//! The topics of an installation, made from its configuration and the one table of topics.

use std::collections::BTreeMap;

use catchment_contracts::topics;
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{Partition, TopicId, TopicTable};

/// What decides which topics there are.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// Prefix of internal topics.
    pub app: &'a str,
    /// Partitions of every topic keyed by node key.
    pub partitions: Partition,
    /// Sources: name and topic.
    pub sources: Vec<(&'a str, &'a str)>,
    /// Partitions of a raw topic that does not exist yet.
    pub raw_partitions: Partition,
    /// Partitions of topics that exist, by name. Counts for raw topics, which belong to upstream, and for those of dead
    /// letters, whose count means nothing.
    pub existing: &'a BTreeMap<String, Partition>,
    /// How long an event id is remembered, in milliseconds.
    pub dedup_window: u64,
}

impl Shape<'_> {
    fn partitions_of(&self, topic: &str, otherwise: Partition) -> Partition {
        self.existing.get(topic).copied().unwrap_or(otherwise).max(1)
    }
}

/// Sources that can't be: what they read or leave would be mixed with something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A source would read what the program itself writes.
    #[error("topic `{topic}` is written by Catchment itself; a source can't read it")]
    OwnTopic {
        /// Place of the source.
        source_index: usize,
        /// The topic.
        topic: String,
    },
    /// Dead letters of two kinds would share a topic.
    #[error("dead letters of source `{name}` would share `{topic}` with those of {other}")]
    DeadLetters {
        /// Place of the source.
        source_index: usize,
        /// Its name.
        name: String,
        /// The topic.
        topic: String,
        /// Whose dead letters stand there, too.
        other: String,
    },
}

impl Clash {
    fn find(shape: &Shape<'_>) -> Option<Clash> {
        for (source_index, (name, topic)) in shape.sources.iter().enumerate() {
            let own = topics::spec(topic).is_some_and(|spec| !spec.is_raw());
            if own {
                return Some(Clash::OwnTopic { source_index, topic: (*topic).to_owned() });
            }
            // Dead letters have the name of their source, or of the topic that several sources share.
            let is_shared = shape.sources.iter().filter(|(_, other)| other == topic).count() > 1;
            let taken = |role: &&&str| *role == name || (*role == topic && is_shared);
            if let Some(role) = topics::REFUSING_ROLES.iter().find(taken) {
                let (name, topic, other) =
                    ((*name).to_owned(), topics::dlq(role), format!("the role `{role}`"));
                return Some(Clash::DeadLetters { source_index, name, topic, other });
            }
            // Records of a shared topic that name no source go to `dlq.<topic>`.
            let shared = shape.sources.iter().find(|(other, topic)| topic == name && other != name);
            if let Some((_, other)) = shared {
                let (name, topic, other) =
                    ((*name).to_owned(), topics::dlq(name), format!("topic `{other}`"));
                return Some(Clash::DeadLetters { source_index, name, topic, other });
            }
        }
        None
    }
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
    /// `dlq.ingest`: what `ingest` can't take for a reason of its own.
    pub ingest_dead_letters: TopicId,
    /// `dlq.profile`.
    pub profile_dead_letters: TopicId,
    /// `customer.events`.
    pub customer_events: TopicId,
    /// `customer.inbox`.
    pub inbox: TopicId,
    /// `customer.merges`.
    pub merges: TopicId,
    /// `customer.unattributed`.
    pub unattributed: TopicId,
    /// `catalog.updates`.
    pub catalog_updates: TopicId,
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
    /// `<app>.settings`.
    pub settings: TopicId,
    /// `<app>.dlq.handled`.
    pub dlq_handled: TopicId,
}

impl Topology {
    /// The topics of an installation.
    ///
    /// # Errors
    /// The first [`Clash`] among the sources.
    pub fn new(shape: &Shape<'_>) -> Result<Topology, Clash> {
        if let Some(clash) = Clash::find(shape) {
            return Err(clash);
        }
        let mut table = TopicTable::new();
        let mut add = |name: &str, partitions| {
            table.add(TopicSpec {
                name: name.to_owned(),
                partitions,
                cleanup: cleanup(name, shape.dedup_window),
            })
        };
        let raw_of = |topic: &str| shape.partitions_of(topic, shape.raw_partitions);
        let raw = shape.sources.iter().map(|(_, topic)| add(topic, raw_of(topic))).collect();
        let mut letters = |of: &str, input: Partition| {
            let name = topics::dlq(of);
            add(&name, shape.partitions_of(&name, input))
        };
        let dead_letters = shape.sources.iter().map(|(name, topic)| letters(name, raw_of(topic))).collect();
        for (_, topic) in &shape.sources {
            if shape.sources.iter().filter(|(_, other)| other == topic).count() > 1 {
                letters(topic, raw_of(topic));
            }
        }
        let most = shape.sources.iter().map(|(_, topic)| raw_of(topic)).max().unwrap_or(1);
        let ingest_dead_letters = letters(topics::INGEST, most);
        let profile_dead_letters = letters(topics::PROFILE, shape.partitions);
        let settings = add(&topics::settings(shape.app), 1);
        let dlq_handled = add(&topics::dlq_handled(shape.app), 1);
        let mut keyed = |name: &str| add(name, shape.partitions);
        let customer_events = keyed(topics::CUSTOMER_EVENTS);
        let inbox = keyed(topics::CUSTOMER_INBOX);
        let merges = keyed(topics::CUSTOMER_MERGES);
        let unattributed = keyed(topics::CUSTOMER_UNATTRIBUTED);
        let catalog_updates = keyed(topics::CATALOG_UPDATES);
        let catalog_items = keyed(topics::CATALOG_ITEMS);
        let profiles = keyed(topics::CUSTOMER_PROFILES);
        let profile_state = keyed(&topics::profile_state(shape.app));
        let profile_dedup = keyed(&topics::profile_dedup(shape.app));
        let triggers = keyed(topics::CAMPAIGN_TRIGGERS);
        let decisions = keyed(topics::CAMPAIGN_DECISIONS);
        Ok(Topology {
            table,
            raw,
            dead_letters,
            ingest_dead_letters,
            profile_dead_letters,
            customer_events,
            inbox,
            merges,
            unattributed,
            catalog_updates,
            catalog_items,
            profiles,
            profile_state,
            profile_dedup,
            triggers,
            decisions,
            settings,
            dlq_handled,
        })
    }
}

/// How a topic forgets, by the table of topics; a raw topic that the table does not name as raw topics do.
fn cleanup(topic: &str, dedup_window: u64) -> Cleanup {
    let spec = topics::spec(topic).or_else(|| topics::spec(topics::BEHAVIOUR_EVENTS));
    let delete = |kept: std::time::Duration| Cleanup::Delete {
        retention_ms: u64::try_from(kept.as_millis()).unwrap_or(u64::MAX),
    };
    match spec.map(|spec| spec.cleanup) {
        Some(topics::Cleanup::Upstream { at_most: kept } | topics::Cleanup::Delete { retention: kept }) => {
            delete(kept)
        }
        Some(topics::Cleanup::DeleteAfterTwoWindows) => {
            Cleanup::Delete { retention_ms: dedup_window.saturating_mul(2) }
        }
        Some(topics::Cleanup::Compact { .. }) => Cleanup::Compact,
        None => Cleanup::Delete { retention_ms: u64::MAX },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(sources: &[(&'static str, &'static str)]) -> Result<Topology, Clash> {
        topology_over(sources, &[])
    }

    fn topology_over(
        sources: &[(&'static str, &'static str)],
        existing: &[(&str, Partition)],
    ) -> Result<Topology, Clash> {
        let existing = existing.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Topology::new(&Shape {
            app: "shop",
            partitions: 3,
            sources: sources.to_vec(),
            raw_partitions: 2,
            existing: &existing,
            dedup_window: 1_000,
        })
    }

    #[test]
    fn topics_forget_as_the_table_of_topics_says() {
        let topology = topology(&[("web", "clicks"), ("a", "crm.contacts"), ("b", "crm.contacts")]).unwrap();
        let day = 86_400_000;
        let spec = |name: &str| topology.table.spec(topology.table.find(name).unwrap()).clone();
        assert_eq!(spec("customer.profiles").cleanup, Cleanup::Compact);
        assert_eq!(spec("shop.profile.dedup").cleanup, Cleanup::Delete { retention_ms: 2_000 });
        assert_eq!(spec("clicks").cleanup, Cleanup::Delete { retention_ms: 30 * day });
        assert_eq!((spec("dlq.web").partitions, spec("customer.events").partitions), (2, 3));
        assert!(topology.table.find("dlq.crm.contacts").is_some(), "two sources share the topic");
        assert!(topology.table.find("dlq.clicks").is_none());
        assert_eq!(topology.raw[1], topology.raw[2]);
    }

    #[test]
    fn raw_topics_have_the_partitions_that_upstream_gave_them_and_dead_letters_follow() {
        let sources = [("web", "clicks"), ("a", "crm"), ("b", "crm")];
        let existing = [("clicks", 12), ("crm", 4), ("dlq.crm", 1), ("customer.events", 7)];
        let topology = topology_over(&sources, &existing).unwrap();
        let count = |name: &str| topology.table.spec(topology.table.find(name).unwrap()).partitions;
        assert_eq!((count("clicks"), count("dlq.web")), (12, 12));
        assert_eq!((count("crm"), count("dlq.a"), count("dlq.b")), (4, 4, 4));
        assert_eq!(count("dlq.crm"), 1, "dead letters take what is there");
        assert_eq!((count("dlq.ingest"), count("dlq.profile")), (12, 3));
        assert_eq!(count("customer.events"), 3, "what is keyed by node key is not what is found");
        assert_eq!((count("shop.settings"), count("shop.dlq.handled")), (1, 1));
    }

    #[test]
    fn a_source_that_would_mix_with_something_else_is_refused() {
        let refusal = |sources: &[(&'static str, &'static str)]| topology(sources).unwrap_err().to_string();
        for topic in ["customer.profiles", "dlq.web", "dlq.ingest", "shop.profile.state", "shop.settings"] {
            assert!(refusal(&[("web", topic)]).contains("is written by Catchment itself"), "{topic}");
        }
        let role = refusal(&[("profile", "c")]);
        assert_eq!(
            role,
            "dead letters of source `profile` would share `dlq.profile` with those of the role `profile`"
        );
        // A topic shared by two sources has dead letters of its own, which must not be a role's either.
        let topic = refusal(&[("a", "ingest"), ("b", "ingest")]);
        assert!(topic.contains("would share `dlq.ingest` with those of the role `ingest`"), "{topic}");
        let shared = refusal(&[("a", "b"), ("b", "c")]);
        assert_eq!(shared, "dead letters of source `b` would share `dlq.b` with those of topic `b`");
    }
}
