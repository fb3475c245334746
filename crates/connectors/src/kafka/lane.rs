//! One lane's handle on Kafka.

use super::config::LaneSettings;
use super::member::Member;
use super::names::Names;
use super::ownership::Ownership;
use super::reader::Reader;
use super::restorer::Restorer;
use super::writer::Writer;
use catchment_runtime::log::Restoring;
use catchment_runtime::{
    Batch, BatchLimits, CommitOutcome, End, Log, LogError, Millis, NextOffset, Outbox, Partition,
    Reassignment, TopicId, TopicPartition,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A restorer that was not asked for so long is closed.
const RESTORER_IDLE: Duration = Duration::from_secs(10);
/// How long a question may take that is asked while tasks run.
pub(super) const QUESTION: Duration = Duration::from_secs(2);

/// A lane's handle on Kafka: see the [module](super).
///
/// Made either way, it is a member of its group, and a second lane of the same `group.instance.id` replaces it: the
/// first one's transactions are refused from then on.
pub struct KafkaLane {
    settings: LaneSettings,
    names: Arc<Names>,
    member: Member,
    reader: Reader,
    /// One for each topic.
    restorers: BTreeMap<TopicId, Restorer>,
    writer: Writer,
    ownership: Ownership,
}

impl KafkaLane {
    /// A lane whose partitions the group assigns and moves. Waits for its place in the group; the assignment may be
    /// empty, if there are more lanes than partitions.
    ///
    /// # Errors
    /// [`LogError::Retry`] while Kafka can't be reached, the group is still being rebalanced, or a transaction of a
    /// former owner is undecided; [`LogError::Denied`] where credentials or permissions are wrong;
    /// [`LogError::UnknownPartition`]; [`LogError::Fatal`] for settings that librdkafka or the brokers refuse. Each comes
    /// after `request_timeout` or `join_timeout` at the latest.
    pub fn join(settings: LaneSettings) -> Result<Self, LogError> {
        let mut lane = Self::new(settings, false)?;
        while lane.disturbed()? {
            lane.reassign()?;
        }
        Ok(lane)
    }

    /// A lane with partitions for good, for deployments that give every instance its share by configuration.
    ///
    /// Partitions that are taken without the group can't be fenced by its generation. So the lane takes a place in the
    /// group all the same, lets the group assign what it likes, and commits as that member; what fences it is its
    /// name. **Therefore `instance` must be a function of the share**, not of the process: whoever takes the share
    /// over uses the same name, and so replaces the one before. Shares of one group must not overlap unless they are
    /// equal: that is for the configuration to hold, since nothing here can.
    ///
    /// # Errors
    /// As [`join`](Self::join), and [`LogError::UnknownPartition`].
    pub fn assigned(settings: LaneSettings, partitions: &[TopicPartition]) -> Result<Self, LogError> {
        let mut lane = Self::new(settings, true)?;
        lane.ownership = Ownership::fixed(partitions);
        lane.follow(partitions)?;
        Ok(lane)
    }

    fn new(settings: LaneSettings, automatic: bool) -> Result<Self, LogError> {
        let names = Arc::new(Names::new(&settings.topics));
        // First, so that what a dead predecessor left open stops holding back readers at once.
        let writer = Writer::new(&settings, Arc::clone(&names))?;
        let member = Member::new(&settings, &names, automatic)?;
        member.wait(settings.join_timeout)?;
        let reader = Reader::new(&settings, Arc::clone(&names))?;
        Ok(KafkaLane {
            settings,
            names,
            member,
            reader,
            restorers: BTreeMap::new(),
            writer,
            ownership: Ownership::default(),
        })
    }

    /// Leaves the group, so that other lanes get the partitions at once. For scale-in only: a lane that is dropped
    /// keeps its place for `session_timeout`, so that a restart moves nothing.
    ///
    /// # Errors
    /// [`LogError::Retry`] or [`LogError::Fatal`] if the group could not be told; then the session ends by itself.
    pub fn leave(self) -> Result<(), LogError> {
        self.member.leave()
    }

    /// Serves the clients; true if the group wants other partitions for this lane.
    fn disturbed(&mut self) -> Result<bool, LogError> {
        self.writer.serve();
        self.member.serve(Duration::ZERO)?;
        Ok(self.member.has_events() || !self.ownership.is_settled())
    }

    fn undisturbed(&mut self) -> Result<(), LogError> {
        if self.disturbed()? { Err(LogError::Reassigned) } else { Ok(()) }
    }

    /// Takes what the group told, in its order.
    fn take_events(&mut self) {
        // The partitions of the topics that are read, of a number.
        let topics = [self.settings.topic].into_iter().chain(self.settings.followed.iter().copied());
        let topics: Vec<TopicId> = topics.collect();
        let names = &self.names;
        let share = |number: Partition| -> Vec<TopicPartition> {
            let share = topics.iter().map(|topic| TopicPartition { topic: *topic, partition: number });
            share.filter(|at| names.of(*at).is_ok()).collect()
        };
        while let Some(event) = self.member.take_event() {
            let told = self.ownership.take(&event, share);
            told.gone.iter().for_each(|at| self.reader.forget(*at));
            for partition in told.unknown {
                tracing::error!(
                    partition,
                    "a partition that was added after the start is not read: restart every process of this role"
                );
            }
        }
    }

    /// Reads these partitions from where the group left them.
    fn follow(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let committed = self.reader.committed(partitions)?;
        let known = partitions.iter().zip(&committed);
        let unknown: Vec<_> = known.filter_map(|(at, offset)| offset.is_none().then_some(*at)).collect();
        let mut earliest = self.reader.earliest(&unknown)?.into_iter();
        for (at, committed) in partitions.iter().zip(committed) {
            if let Some(from) = committed.or_else(|| earliest.next()) {
                self.reader.follow(*at, from);
            }
        }
        Ok(())
    }

    fn restorer(&mut self, topic: TopicId) -> Result<&mut Restorer, LogError> {
        match self.restorers.entry(topic) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let statistics = self.settings.statistics.as_ref().map(|(sink, _)| sink.clone());
                let (names, timeout) = (Arc::clone(&self.names), self.settings.request_timeout);
                Ok(place.insert(Restorer::new(&self.settings.restorer(), statistics, names, timeout)?))
            }
        }
    }

    fn close_idle_restorers(&mut self) {
        self.restorers.retain(|_, restorer| restorer.used.elapsed() <= RESTORER_IDLE);
    }
}

impl Log for KafkaLane {
    fn assignment(&self) -> &[TopicPartition] {
        self.ownership.assignment()
    }

    fn reassign(&mut self) -> Result<Reassignment, LogError> {
        self.writer.settle()?;
        self.member.serve(Duration::ZERO)?;
        self.take_events();
        // The change is handed over only once all of it is read: a log without an answer is asked again.
        let gained = self.ownership.gained().to_vec();
        self.follow(&gained)?;
        Ok(self.ownership.settle())
    }

    fn set_poll_wait(&mut self, wait: Duration) {
        self.reader.wait = wait;
    }

    fn set_hurry(&mut self, hurry: bool) {
        self.reader.hurry = hurry;
    }

    fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        batch.clear();
        self.undisturbed()?;
        self.close_idle_restorers();
        self.reader.poll(limits, batch)
    }

    fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        batch.clear();
        self.undisturbed()?;
        self.reader.poll_partition(at, limits, batch)
    }

    fn await_records(&mut self) -> Result<bool, LogError> {
        self.undisturbed()?;
        self.close_idle_restorers();
        self.reader.await_records()
    }

    fn hold(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.reader.hold(at)
    }

    fn release(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.reader.release(at)
    }

    fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        self.reader.seek(at, to)
    }

    fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<CommitOutcome, LogError> {
        self.writer.commit(outbox, offsets, &self.member)
    }

    fn recover(&mut self) -> Result<(), LogError> {
        self.writer.recover()
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.reader.committed(of)
    }

    fn earliest(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        let earliest = self.reader.earliest(&[at])?;
        earliest.first().copied().ok_or(LogError::UnknownPartition { at })
    }

    fn high_watermark(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        let ends = self.member.high_watermarks(&self.names, &[at], self.settings.request_timeout)?;
        ends.first().copied().ok_or(LogError::UnknownPartition { at })
    }

    fn decided(&mut self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        self.reader.decided(of)
    }

    fn first_since(
        &mut self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.reader.first_since(of, time)
    }

    fn ends(&mut self, of: &[TopicPartition]) -> Result<Vec<End>, LogError> {
        let ends = self.reader.ends(of)?;
        // Asked after the other end, so as not to be below it.
        let high = self.member.high_watermarks(&self.names, of, QUESTION)?;
        let end = |((decided, passed), high_watermark)| End { high_watermark, decided, passed };
        Ok(ends.into_iter().zip(high).map(end).collect())
    }

    fn restore_soon(&mut self, of: &[(TopicPartition, NextOffset)]) {
        for (at, from) in of {
            // What can't be prepared shows when it is asked for.
            if let Ok(restorer) = self.restorer(at.topic) {
                restorer.soon(&[(*at, *from)]);
            }
        }
    }

    fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        batch.clear();
        self.undisturbed()?;
        self.names.of(at)?;
        self.restorer(at.topic)?.restore(at, from, limits, batch)
    }
}

impl fmt::Debug for KafkaLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLane")
            .field("settings", &self.settings)
            .field("assignment", &self.ownership.assignment())
            .finish_non_exhaustive()
    }
}
