//! A log that knows how long it was worked on: the phases of a step, which the lane itself can't measure, since it reads no
//! clock.

use std::time::{Duration, Instant};

use catchment_runtime::log::Restoring;
use catchment_runtime::{
    Batch, BatchLimits, CommitOutcome, End, Log, LogError, Millis, NextOffset, Outbox, Reassignment,
    TopicPartition,
};

/// Time that calls of a log took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Polls, waiting for records included.
    pub poll: Duration,
    /// Commits, and what settles one whose outcome is not known.
    pub commit: Duration,
}

/// A log whose polls and commits are timed.
#[derive(Debug)]
pub struct Timed<L> {
    log: L,
    times: Times,
}

impl<L> Timed<L> {
    /// The log, timed.
    pub fn new(log: L) -> Self {
        Timed { log, times: Times::default() }
    }

    /// The log.
    pub fn inner_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// The log, no longer timed.
    pub fn into_inner(self) -> L {
        self.log
    }

    /// The time since this was last asked.
    pub fn take_times(&mut self) -> Times {
        std::mem::take(&mut self.times)
    }
}

// A method that is not passed on would be the default one, whatever the log does.
#[deny(clippy::missing_trait_methods)]
impl<L: Log> Log for Timed<L> {
    fn assignment(&self) -> &[TopicPartition] {
        self.log.assignment()
    }

    fn reassign(&mut self) -> Result<Reassignment, LogError> {
        self.log.reassign()
    }

    fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        let start = Instant::now();
        let result = self.log.poll(limits, batch);
        self.times.poll += start.elapsed();
        result
    }

    fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        let start = Instant::now();
        let result = self.log.poll_partition(at, limits, batch);
        self.times.poll += start.elapsed();
        result
    }

    fn set_poll_wait(&mut self, wait: Duration) {
        self.log.set_poll_wait(wait);
    }

    fn set_hurry(&mut self, hurry: bool) {
        self.log.set_hurry(hurry);
    }

    fn await_records(&mut self) -> Result<bool, LogError> {
        let start = Instant::now();
        let result = self.log.await_records();
        self.times.poll += start.elapsed();
        result
    }

    fn hold(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.log.hold(at)
    }

    fn release(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.log.release(at)
    }

    fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        self.log.seek(at, to)
    }

    fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<CommitOutcome, LogError> {
        let start = Instant::now();
        let result = self.log.commit(outbox, offsets);
        self.times.commit += start.elapsed();
        result
    }

    fn recover(&mut self) -> Result<(), LogError> {
        let start = Instant::now();
        let result = self.log.recover();
        self.times.commit += start.elapsed();
        result
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.log.committed(of)
    }

    fn earliest(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        self.log.earliest(at)
    }

    fn high_watermark(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        self.log.high_watermark(at)
    }

    fn decided(&mut self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        self.log.decided(of)
    }

    fn first_since(
        &mut self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.log.first_since(of, time)
    }

    fn ends(&mut self, of: &[TopicPartition]) -> Result<Vec<End>, LogError> {
        self.log.ends(of)
    }

    fn restore_soon(&mut self, of: &[(TopicPartition, NextOffset)]) {
        self.log.restore_soon(of);
    }

    fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        self.log.restore(at, from, limits, batch)
    }
}
