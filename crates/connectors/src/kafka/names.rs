//! Topics of the table, and their names on the brokers.

use catchment_runtime::{LogError, TopicId, TopicPartition, TopicTable};
use rustc_hash::FxHashMap;

pub(super) struct Names {
    topics: Vec<(String, u32)>,
    ids: FxHashMap<String, TopicId>,
}

impl Names {
    pub(super) fn new(table: &TopicTable) -> Self {
        Names {
            topics: table.iter().map(|(_, spec)| (spec.name.clone(), spec.partitions)).collect(),
            ids: table.iter().map(|(id, spec)| (spec.name.clone(), id)).collect(),
        }
    }

    /// Name and partition as librdkafka wants them.
    pub(super) fn of(&self, at: TopicPartition) -> Result<(&str, i32), LogError> {
        let known = self.topics.get(usize::from(at.topic.0)).filter(|(_, count)| at.partition < *count);
        let partition = i32::try_from(at.partition).ok();
        known
            .zip(partition)
            .map(|((name, _), at)| (name.as_str(), at))
            .ok_or(LogError::UnknownPartition { at })
    }

    pub(super) fn topic(&self, topic: TopicId) -> Result<&str, LogError> {
        self.of(TopicPartition { topic, partition: 0 }).map(|(name, _)| name)
    }

    pub(super) fn find(&self, topic: &str, partition: i32) -> Option<TopicPartition> {
        let partition = u32::try_from(partition).ok()?;
        Some(TopicPartition { topic: *self.ids.get(topic)?, partition })
    }
}
