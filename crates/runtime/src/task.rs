//! What a role does with records: decide, never act.

use crate::outbox::{Outbox, To};
use crate::record::{Headers, Millis, Partition, Record, TopicId, TopicPartition};
use std::fmt;

/// What a task writes during one step.
#[derive(Debug)]
pub struct Step<E> {
    /// The moment that decisions are made at. The lane sets it from its clock (`clock: wall`); a task whose time is
    /// that of its input (`clock: event`) sets it from the watermark before it decides.
    pub now: Millis,
    /// Records to write in the step's transaction.
    pub outbox: Outbox,
    /// What is to happen once the transaction is known to be committed, and never otherwise.
    pub effects: Vec<E>,
}

impl<E> Step<E> {
    /// An empty step.
    #[must_use]
    pub fn new() -> Self {
        Step { now: 0, outbox: Outbox::default(), effects: Vec::new() }
    }

    /// Where a record goes, decided now.
    #[must_use]
    pub fn to(&self, topic: TopicId, partition: Partition) -> To {
        To { topic, partition, time: self.now }
    }

    /// Writes a record without headers; see [`Outbox::push_with`].
    pub fn emit(
        &mut self,
        topic: TopicId,
        partition: Partition,
        key: &[u8],
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let to = self.to(topic, partition);
        self.outbox.push_with(to, Some(key), Headers::default(), value);
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.outbox.clear();
        self.effects.clear();
    }
}

impl<E> Default for Step<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// A stored record that a task can't read. It is our own writing, so the partition stops with an alert; it is never
/// skipped.
#[derive(Debug)]
pub struct Unreadable {
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// Whether a task can decide about a record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All that it needs is at hand.
    Ready,
    /// Something from outside is missing (a schema), and somebody has been asked for it. The record's partition waits.
    Wait,
}

/// A task of a role: pure functions over (state, record, now) giving state changes and outputs.
///
/// Between two commits the lane calls [`process`](Task::process) for each record, [`advance`](Task::advance) as time
/// goes on, and then [`flush`](Task::flush) once. State may be changed in place, if what is needed to undo is kept
/// until [`committed`](Task::committed) or [`aborted`](Task::aborted).
pub trait Task {
    /// What is to happen after a commit: counts, requests, deliveries.
    type Effect;

    /// Whether all that is needed from outside to decide about this record is at hand. Asked before
    /// [`arrival`](Task::arrival) and [`process`](Task::process) of it, any number of times; it must have no effect that
    /// a decision could show. What is ready once stays ready for the step.
    fn ready(&mut self, _record: &Record<'_>) -> Readiness {
        Readiness::Ready
    }

    /// Decides about one record. A record that can't be taken is a decision too (a dead letter), never a panic.
    ///
    /// # Errors
    /// A record of our own making that can't be decoded stops its partition: the step is undone, whatever this call
    /// wrote, and taken again up to this record.
    fn process(&mut self, record: &Record<'_>, step: &mut Step<Self::Effect>) -> Result<(), Unreadable>;

    /// Fires what is due at `step.now`. Called once a step, also when nothing was read.
    fn advance(&mut self, step: &mut Step<Self::Effect>);

    /// Writes what changed since the last commit: changelog, and outputs of which the last of a step is enough.
    fn flush(&mut self, step: &mut Step<Self::Effect>);

    /// The step's transaction is committed: what was kept to undo it can go.
    fn committed(&mut self);

    /// The step's transaction is not committed: state goes back to what it was before the step.
    ///
    /// # Errors
    /// State that can't be undone. The lane must not go on with it: the task is dropped and restored.
    fn aborted(&mut self) -> Result<(), Unreadable>;

    /// The changelog partitions that hold this task's state, in the order they are to be read back.
    fn changelogs(&self) -> Vec<TopicPartition>;

    /// Takes one record of a changelog back into the state.
    ///
    /// # Errors
    /// A stored record that can't be decoded, or whose version is not known, refuses the start.
    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable>;

    /// When the record arrived, for lanes that read their partitions in order of arrival; else 0.
    ///
    /// Asked once for each record, in order of offset, when it becomes the first unread one of its partition: so
    /// possibly one step before it is processed. What the task remembers here (the latest arrival of the partition)
    /// belongs to the step: [`aborted`](Task::aborted) takes it back, since the same records are asked for again.
    /// Asked again for the record that it was asked for last (after a restart, too), it must give the same.
    fn arrival(&mut self, _record: &Record<'_>) -> Millis {
        0
    }

    /// Place of the record's source in the configuration: who comes first among equal arrivals.
    fn rank(&self, _record: &Record<'_>) -> usize {
        0
    }
}
