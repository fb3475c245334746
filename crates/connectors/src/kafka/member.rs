//! A lane's place in its group.

use super::config::LaneSettings;
use super::context::{Client, GroupEvent, MemberContext, Voice, acknowledge};
use super::names::Names;
use super::offsets::ask;
use super::trouble::{fatal, is_denial, is_unknown, of_code, retry};
use catchment_runtime::{LogError, NextOffset, TopicId, TopicPartition};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use std::time::{Duration, Instant};

/// Events taken from the queue at a time: more than a rebalance brings.
const EVENTS: usize = 16;

pub(super) struct Member {
    consumer: BaseConsumer<MemberContext>,
    id: TopicId,
    topic: String,
    timeout: Duration,
}

impl Member {
    /// Asks for a place in the group. `automatic`: whatever it is assigned is only acknowledged.
    pub(super) fn new(settings: &LaneSettings, names: &Names, automatic: bool) -> Result<Self, LogError> {
        let topic = names.topic(settings.topic)?.to_owned();
        let statistics = settings.statistics.as_ref().map(|(sink, _)| sink.clone());
        let context = MemberContext::new(Voice::new(Client::Member, statistics), automatic);
        let consumer = BaseConsumer::from_config_and_context(&settings.member(), context)
            .map_err(|error| fatal("member", &error))?;
        consumer.subscribe(&[&topic]).map_err(|error| fatal("subscribe", &error))?;
        Ok(Member { consumer, id: settings.topic, topic, timeout: settings.request_timeout })
    }

    /// Waits for the first assignment.
    pub(super) fn wait(&self, patience: Duration) -> Result<(), LogError> {
        let start = Instant::now();
        let mut last = None;
        while !self.consumer.context().has_joined() {
            self.serve(Duration::from_millis(50))?;
            last = self.consumer.context().voice.take_error().or(last);
            if matches!(last, Some((code, _)) if is_unknown(code)) {
                return Err(LogError::UnknownPartition {
                    at: TopicPartition { topic: self.id, partition: 0 },
                });
            }
            if start.elapsed() > patience {
                let why = last.map(|(_, words)| format!(": {words}")).unwrap_or_default();
                return Err(LogError::Retry {
                    reason: format!("the group has not assigned anything yet{why}"),
                });
            }
        }
        Ok(())
    }

    /// Serves callbacks. It must be called again and again: `max.poll.interval.ms` is counted here.
    ///
    /// # Errors
    /// [`LogError::Denied`] once for each time that the brokers said so; [`LogError::Fatal`] again and again, also for a
    /// member that another of the same name has replaced.
    pub(super) fn serve(&self, wait: Duration) -> Result<(), LogError> {
        let mut wait = wait;
        for _ in 0..EVENTS {
            match self.consumer.poll(wait) {
                None => break,
                // Fetched before the pause took hold; the reader reads it.
                Some(Ok(_)) => {}
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(fatal("group", &error));
                }
                Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_denial) => {
                    let told = self.consumer.context().voice.take_error();
                    let words = told.map_or_else(|| error.to_string(), |(_, words)| words);
                    return Err(of_code(error.rdkafka_error_code(), format!("group: {words}")));
                }
                // The context has logged it; librdkafka goes on by itself.
                Some(Err(_)) => {}
            }
            wait = Duration::ZERO;
        }
        match self.consumer.client().fatal_error() {
            Some((code, reason)) => Err(LogError::Fatal { reason: format!("group: {code}: {reason}") }),
            None => Ok(()),
        }
    }

    pub(super) fn has_events(&self) -> bool {
        self.consumer.context().has_events()
    }

    /// The next thing that the group told, acknowledged: what is revoked may belong to others from now on.
    pub(super) fn take_event(&self) -> Option<GroupEvent> {
        let event = self.consumer.context().next_event()?;
        let (assigned, partitions) = match &event {
            GroupEvent::Assigned(partitions) => (true, partitions),
            GroupEvent::Revoked { partitions, .. } => (false, partitions),
        };
        acknowledge(&self.consumer, &self.topic, assigned, partitions);
        Some(event)
    }

    /// What a transaction is checked by, or why there is none.
    ///
    /// An expelled client resets its generation, and the coordinator does not check a generation below zero of a
    /// client without a name. Loss is therefore asked for *after* the metadata was taken: both happen in librdkafka's
    /// main thread, so metadata from after a loss never passes. (Members are static, which the coordinator checks in
    /// any case.)
    pub(super) fn metadata(&self) -> Result<ConsumerGroupMetadata, String> {
        let metadata = self.consumer.group_metadata();
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            return Err(format!("{code}: {reason}"));
        }
        if self.consumer.assignment_lost() {
            return Err("the assignment is lost".to_owned());
        }
        metadata.ok_or_else(|| "not a member".to_owned())
    }

    /// The ends as an uncommitted reader sees them, which this client is; in the order asked.
    pub(super) fn high_watermarks(
        &self,
        names: &Names,
        of: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<NextOffset>, LogError> {
        ask(&self.consumer, names, of, rdkafka::Offset::End, timeout.min(self.timeout))
    }

    /// Leaves the group, so that others get the partitions at once: at scale-in. A closed static member leaves only
    /// when its session ends.
    pub(super) fn leave(&self) -> Result<(), LogError> {
        self.acknowledge_all();
        self.consumer.unsubscribe();
        let start = Instant::now();
        loop {
            self.serve(Duration::from_millis(50))?;
            let left = self.consumer.assignment().map_err(|error| retry("leave", &error))?;
            if left.count() == 0 || start.elapsed() > self.timeout {
                // The request to leave follows the last acknowledgement.
                return self.serve(Duration::from_millis(200));
            }
        }
    }

    fn acknowledge_all(&self) {
        self.consumer.context().close();
        while self.take_event().is_some() {}
    }
}

impl Drop for Member {
    /// A consumer is closed once all its rebalances are acknowledged.
    fn drop(&mut self) {
        self.acknowledge_all();
    }
}
