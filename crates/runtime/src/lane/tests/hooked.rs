use crate::embedded::EmbeddedLane;
use crate::log::{Batch, BatchLimits, CommitOutcome, End, Log, LogError, Reassignment, Restoring};
use crate::outbox::Outbox;
use crate::record::{Millis, NextOffset, TopicPartition};

/// The embedded log with something happening in between.
pub(super) struct Hooked<F> {
    pub(super) inner: EmbeddedLane,
    /// So many calls of `recover` fail, as they do while a log can't be reached.
    pub(super) failures: u32,
    /// Called before each `poll_partition`.
    pub(super) before_poll: F,
}

impl<F: FnMut(TopicPartition)> Log for Hooked<F> {
    fn assignment(&self) -> &[TopicPartition] {
        self.inner.assignment()
    }

    fn reassign(&mut self) -> Result<Reassignment, LogError> {
        self.inner.reassign()
    }

    fn poll(&mut self, limits: &BatchLimits, batch: &mut Batch) -> Result<(), LogError> {
        self.inner.poll(limits, batch)
    }

    fn poll_partition(
        &mut self,
        at: TopicPartition,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        (self.before_poll)(at);
        self.inner.poll_partition(at, limits, batch)
    }

    /// There may always be something.
    fn await_records(&mut self) -> Result<bool, LogError> {
        self.inner.await_records().map(|_| true)
    }

    fn hold(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.inner.hold(at)
    }

    fn release(&mut self, at: TopicPartition) -> Result<(), LogError> {
        self.inner.release(at)
    }

    fn decided(&mut self, of: &[TopicPartition]) -> Result<Vec<NextOffset>, LogError> {
        self.inner.decided(of)
    }

    fn first_since(
        &mut self,
        of: &[TopicPartition],
        time: Millis,
    ) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.inner.first_since(of, time)
    }

    fn ends(&mut self, of: &[TopicPartition]) -> Result<Vec<End>, LogError> {
        self.inner.ends(of)
    }

    fn seek(&mut self, at: TopicPartition, to: NextOffset) -> Result<(), LogError> {
        self.inner.seek(at, to)
    }

    fn commit(
        &mut self,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<CommitOutcome, LogError> {
        self.inner.commit(outbox, offsets)
    }

    fn recover(&mut self) -> Result<(), LogError> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(LogError::Retry { reason: "unreachable".to_owned() });
        }
        self.inner.recover()
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<NextOffset>>, LogError> {
        self.inner.committed(of)
    }

    fn earliest(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        self.inner.earliest(at)
    }

    fn high_watermark(&mut self, at: TopicPartition) -> Result<NextOffset, LogError> {
        self.inner.high_watermark(at)
    }

    fn restore(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        self.inner.restore(at, from, limits, batch)
    }
}
