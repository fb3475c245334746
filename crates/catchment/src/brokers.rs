//! What Kafka says of the topics of a configuration.

use std::collections::BTreeMap;

use anyhow::Context as _;
use catchment_connectors::kafka::{Cluster, TopicAdmin};
use catchment_pipeline::topology::Topology;

use crate::config::Config;
use crate::wiring;

/// The topology, with the partitions that raw topics have in Kafka.
///
/// # Errors
/// Kafka can't be reached.
pub(crate) fn topology(config: &Config, cluster: &Cluster) -> anyhow::Result<Topology> {
    let admin = TopicAdmin::new(cluster, config.kafka.request_timeout.as_duration())?;
    let assumed = wiring::topology(config, u32::from(config.topics.raw_partitions), &BTreeMap::new())?;
    let names: Vec<String> = assumed.table.iter().map(|(_, spec)| spec.name.clone()).collect();
    let described = admin.describe(names.iter().map(String::as_str)).context("topics")?;
    let existing: BTreeMap<String, u32> =
        described.into_iter().map(|(name, topic)| (name, topic.partitions)).collect();
    Ok(wiring::topology(config, u32::from(config.topics.raw_partitions), &existing)?)
}
