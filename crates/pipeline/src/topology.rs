//! The topics of an installation, made from its configuration and the one table of topics.

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
    /// Partitions of a raw topic.
    pub raw_partitions: Partition,
    /// How long an event id is remembered, in milliseconds.
    pub dedup_window: u64,
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
            let own = topics::spec(topic).is_some_and(|spec| spec.writers != "upstream");
            if own {
                return Some(Clash::OwnTopic { source_index, topic: (*topic).to_owned() });
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
        let raw_partitions = shape.raw_partitions;
        let raw = shape.sources.iter().map(|(_, topic)| add(topic, raw_partitions)).collect();
        let dead_letters =
            shape.sources.iter().map(|(name, _)| add(&topics::dlq(name), raw_partitions)).collect();
        for (_, topic) in &shape.sources {
            if shape.sources.iter().filter(|(_, other)| other == topic).count() > 1 {
                add(&topics::dlq(topic), raw_partitions);
            }
        }
        let mut keyed = |name: &str| add(name, shape.partitions);
        let customer_events = keyed(topics::CUSTOMER_EVENTS);
        let unattributed = keyed(topics::CUSTOMER_UNATTRIBUTED);
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
            customer_events,
            unattributed,
            catalog_items,
            profiles,
            profile_state,
            profile_dedup,
            triggers,
            decisions,
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
        let sources = sources.to_vec();
        Topology::new(&Shape { app: "shop", partitions: 3, sources, raw_partitions: 2, dedup_window: 1_000 })
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
    fn a_source_that_would_mix_with_something_else_is_refused() {
        let refusal = |sources: &[(&'static str, &'static str)]| topology(sources).unwrap_err().to_string();
        for topic in ["customer.profiles", "dlq.web", "shop.profile.state"] {
            assert!(refusal(&[("web", topic)]).contains("is written by Catchment itself"), "{topic}");
        }
        let shared = refusal(&[("a", "b"), ("b", "c")]);
        assert_eq!(shared, "dead letters of source `b` would share `dlq.b` with those of topic `b`");
    }
}
