//! From the configuration and the one table of topics to what each topic must be on Kafka.

use std::time::Duration;

use catchment_connectors::kafka::{
    CleanupPolicy, PartitionCount, Retention, TimestampType, WantedTopic, batch_limit,
};
use catchment_contracts::topics::{self, Cleanup, Partitions};
use catchment_pipeline::topology::Topology;

use crate::config::Config;

/// Longest segment of a topic that forgets by age. A record goes when the newest one of its segment is old enough, so
/// it may stay so much longer.
const SEGMENT: Duration = Duration::from_secs(24 * 60 * 60);

/// Parts that the window of deduplication is forgotten in: a segment is one of them.
const DEDUP_SEGMENTS: u32 = 8;

/// What each topic of the topology must be, in its order.
pub(crate) fn wanted(config: &Config, topology: &Topology) -> Vec<WantedTopic> {
    topology.table.iter().map(|(_, topic)| wanted_topic(config, &topic.name, topic.partitions)).collect()
}

fn wanted_topic(config: &Config, name: &str, partitions: u32) -> WantedTopic {
    let replication = Some(config.topics.replication.into());
    let spec = topics::spec(name).filter(|spec| !spec.is_raw());
    let Some(spec) = spec else {
        // Raw topics may have any name; what they are is for upstream to say.
        return WantedTopic {
            name: name.to_owned(),
            is_theirs: true,
            partitions: Some(PartitionCount::About(partitions)),
            replication,
            retention: Some(Retention::AtMost(topics::ERASURE_DEADLINE)),
            ..WantedTopic::default()
        };
    };
    let record_limit = usize::try_from(config.kafka.max_record.bytes()).unwrap_or(usize::MAX);
    let mut wanted = WantedTopic {
        name: name.to_owned(),
        is_theirs: false,
        partitions: Some(match spec.partitions {
            Partitions::Configured | Partitions::One => PartitionCount::Exactly(partitions),
            Partitions::AsInput | Partitions::Upstream => PartitionCount::About(partitions),
        }),
        replication,
        timestamps: Some(TimestampType::LogAppendTime),
        min_insync: Some(config.topics.min_insync.into()),
        largest_batch: u64::try_from(batch_limit(record_limit)).ok(),
        clean_election: true,
        ..WantedTopic::default()
    };
    let window = config.dedup.window.as_duration();
    // By size they would lose event ids within the window, marks of letters, and events that nobody has read.
    wanted.any_size = !matches!(spec.cleanup, Cleanup::Compact { .. });
    match spec.cleanup {
        Cleanup::Upstream { at_most: kept } | Cleanup::Delete { retention: kept } => {
            wanted.cleanup = Some(CleanupPolicy::Delete);
            wanted.retention = Some(Retention::Exactly(kept));
            wanted.segment = Some(SEGMENT);
        }
        Cleanup::DeleteAfterTwoWindows => {
            wanted.cleanup = Some(CleanupPolicy::Delete);
            wanted.retention = Some(Retention::Exactly(window * 2));
            wanted.segment = Some(window / DEDUP_SEGMENTS);
        }
        Cleanup::Compact { tombstones } => {
            wanted.cleanup = Some(CleanupPolicy::Compact);
            wanted.retention = Some(Retention::Exactly(tombstones));
            wanted.compaction_lag = spec.personal.then_some(topics::ERASURE_DEADLINE);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::finding::tests::config;
    use crate::wiring;
    use std::collections::BTreeMap;

    const DAY: Duration = Duration::from_secs(86_400);

    fn wanted_of(name: &str) -> WantedTopic {
        let config = config("");
        let existing = BTreeMap::from([("crm".to_owned(), 12)]);
        let topology = wiring::topology(&config, config.topics.raw_partitions.into(), &existing).unwrap();
        let all = wanted(&config, &topology);
        all.into_iter().find(|topic| topic.name == name).unwrap_or_else(|| panic!("{name} is not there"))
    }

    #[test]
    fn topics_of_upstream_are_wanted_there_and_otherwise_as_they_are() {
        let raw = wanted_of("crm");
        assert!(raw.is_theirs);
        assert_eq!(raw.partitions, Some(PartitionCount::About(12)));
        assert_eq!(raw.retention, Some(Retention::AtMost(30 * DAY)));
        assert!(!raw.any_size && !raw.clean_election);
        assert_eq!((raw.timestamps, raw.cleanup, raw.largest_batch), (None, None, None));
    }

    #[test]
    fn what_is_ours_follows_the_table_and_the_configuration() {
        let events = wanted_of("customer.events");
        assert_eq!(events.partitions, Some(PartitionCount::Exactly(8)));
        assert_eq!(events.retention, Some(Retention::Exactly(30 * DAY)));
        assert_eq!(events.segment, Some(DAY));
        assert!(events.any_size && events.clean_election);
        assert_eq!(events.timestamps, Some(TimestampType::LogAppendTime));
        assert_eq!((events.replication, events.min_insync), (Some(3), Some(2)));
        assert_eq!(events.largest_batch, Some(1_040_000));

        let dedup = wanted_of("shop.profile.dedup");
        assert_eq!(dedup.retention, Some(Retention::Exactly(4 * DAY)), "twice the window of 48 h");
        assert_eq!(dedup.segment, Some(DAY / 4));

        let profiles = wanted_of("customer.profiles");
        assert_eq!(profiles.cleanup, Some(CleanupPolicy::Compact));
        assert_eq!(profiles.retention, Some(Retention::Exactly(7 * DAY)));
        assert_eq!(profiles.compaction_lag, Some(30 * DAY), "an erased customer is gone by then");
        assert_eq!(wanted_of("shop.settings").compaction_lag, None, "nothing personal");
        assert_eq!(wanted_of("shop.settings").partitions, Some(PartitionCount::Exactly(1)));

        assert_eq!(wanted_of("dlq.crm").partitions, Some(PartitionCount::About(12)));
    }
}
