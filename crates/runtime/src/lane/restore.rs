//! Reading state back, in slices, while the tasks that have theirs go on.

mod cached;

use super::held::Hold;
use super::read::hold;
use super::{Death, Lane, LaneError, Phase, Restored, State};
use crate::log::{Log, LogError};
use crate::record::{NextOffset, Offset, TopicPartition};
use crate::snapshot::{Copied, Snapshot};
use crate::task::Task;
use std::collections::VecDeque;

/// A changelog that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changelog {
    pub(super) at: TopicPartition,
    pub(super) position: NextOffset,
    pub(super) target: NextOffset,
}

/// What a task's state is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// It is not known yet whether the snapshot may be used.
    Undecided,
    /// The snapshot, which reaches to these positions.
    Snapshot(Vec<NextOffset>),
    Changelogs,
}

/// How many records of state came from where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// From snapshots.
    pub snapshots: u64,
    /// From changelogs.
    pub changelogs: u64,
}

/// A task that is not restored yet.
#[derive(Debug)]
pub(super) struct Restoration {
    pub(super) task: usize,
    source: Source,
    /// Where the changelogs that are read are read to.
    reached: Vec<(TopicPartition, NextOffset)>,
    /// What is left, in the order it is to be read.
    pub(super) changelogs: VecDeque<Changelog>,
    /// An open transaction hid the rest when it was last asked.
    stuck: bool,
    /// The first changelog that held a record, with its oldest offset and its end: the task has state.
    found: Option<(TopicPartition, NextOffset, NextOffset)>,
}

/// How far a changelog of a task has been read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreProgress {
    /// Place of the task.
    pub task: usize,
    /// The changelog partition.
    pub at: TopicPartition,
    /// Everything before this is read.
    pub position: NextOffset,
    /// To be read up to here: its end when the lane was made.
    pub target: NextOffset,
}

impl Restoration {
    pub(super) fn new<L: Log, T: Task>(log: &mut L, task: &T) -> Result<Self, LogError> {
        let mut changelogs = VecDeque::new();
        for at in task.changelogs() {
            let (position, target) = (log.earliest(at)?, log.high_watermark(at)?);
            changelogs.push_back(Changelog { at, position, target });
        }
        let (source, reached) = (Source::Changelogs, Vec::new());
        Ok(Restoration { task: 0, source, reached, changelogs, stuck: false, found: None })
    }

    /// Of a task with that snapshot.
    pub(super) fn with_snapshot(self, snapshot: &mut dyn Snapshot) -> Self {
        if self.is_empty() {
            // Whatever stands there, the changelogs hold nothing.
            snapshot.begin();
            let ends: Vec<_> =
                self.changelogs.iter().map(|changelog| (changelog.at, changelog.position)).collect();
            snapshot.mark(&ends);
            return self;
        }
        Restoration { source: Source::Undecided, ..self }
    }

    /// None, if there is nothing to be read.
    pub(super) fn unless_empty(self) -> Option<Self> {
        Some(self).filter(|restoration| !restoration.is_empty())
    }

    /// Of the task with that place.
    pub(super) fn at(self, task: usize) -> Self {
        Restoration { task, ..self }
    }

    /// What is to be read of the changelogs, and from where.
    fn to_read(&self) -> impl Iterator<Item = (TopicPartition, NextOffset)> {
        let unread = self.changelogs.iter().filter(|changelog| changelog.position < changelog.target);
        unread.map(|changelog| (changelog.at, changelog.position))
    }

    fn is_empty(&self) -> bool {
        self.changelogs.iter().all(|changelog| changelog.position >= changelog.target)
    }
}

/// What came of one slice.
enum Slice {
    /// The first changelog is read to its target.
    Done,
    More,
    /// Nothing more shows.
    Stuck,
    Unreadable(Offset, String),
}

impl<L: Log, T: Task> Lane<L, T> {
    /// Reads all state back, before the first step, for owners that have nothing else to do meanwhile. Can be called
    /// again after [`LaneError::RestoreHeld`] and goes on from there.
    ///
    /// # Errors
    /// [`LaneError::RestoreHeld`], [`LaneError::Unreadable`] for the first record of a changelog that can't be read
    /// (the others are restored all the same), [`LaneError::Log`].
    pub fn restore(&mut self) -> Result<(), LaneError> {
        loop {
            match self.restore_some()? {
                Restored::Done => break,
                Restored::More => {}
                Restored::Held { at, position, target } => {
                    return Err(LaneError::RestoreHeld { at, position, target });
                }
            }
        }
        for held in self.inputs.iter().filter_map(|input| input.held.as_ref()) {
            if let Hold::Unrestorable { changelog, offset, reason } = &held.why {
                let (at, offset, reason) = (*changelog, *offset, reason.clone());
                return Err(LaneError::Unreadable { at, offset, reason });
            }
        }
        Ok(())
    }

    /// Reads at most one batch of state back. A task whose state is complete takes part in the next
    /// [`step`](Lane::step); the owner calls the two in turn. One task after the other is restored; one whose changelog
    /// is hidden by an open transaction lets the others go first.
    ///
    /// A task with a [snapshot](crate::snapshot) is restored from there first, if it may be used.
    ///
    /// A changelog is read to the high watermark that a `read_uncommitted` reader saw when the lane was made, but
    /// its records are read committed. A task with a record that can't be read does nothing for the life of the lane:
    /// its partitions are [held](Lane::held).
    ///
    /// # Errors
    /// [`LaneError::Log`]: call it again. [`LaneError::HalfRestored`].
    pub fn restore_some(&mut self) -> Result<Restored, LaneError> {
        let restored = self.restore_next()?;
        self.log.set_hurry(restored == Restored::More);
        Ok(restored)
    }

    fn restore_next(&mut self) -> Result<Restored, LaneError> {
        if self.phase == Phase::Dead(Death::HalfRestored) {
            return Err(LaneError::HalfRestored);
        }
        let Some(mut restoration) = self.restoring.pop_front() else {
            return Ok(Restored::Done);
        };
        let task = restoration.task;
        if restoration.source != Source::Changelogs {
            return self.restore_from_snapshot(restoration);
        }
        let Some(changelog) = restoration.changelogs.front_mut() else {
            return self.restored(&restoration);
        };
        let from = changelog.position;
        let slice = self.restore_slice(task, changelog);
        let Changelog { at, position, target } = *changelog;
        let slice = match slice {
            Ok(slice) => slice,
            Err(error) => {
                self.restoring.push_front(restoration);
                return Err(error.into());
            }
        };
        restoration.stuck = false;
        // What stands behind the target was written after this lane was made: by another one that took over.
        if self.batch.get(0).is_some_and(|record| record.offset.next() <= target) {
            restoration.found.get_or_insert((at, from, target));
        }
        match slice {
            Slice::Done => {
                restoration.reached.push((at, position));
                restoration.changelogs.pop_front();
                self.restoring.push_front(restoration);
            }
            Slice::More => self.restoring.push_front(restoration),
            Slice::Unreadable(offset, reason) => self.give_up(task, at, offset, &reason),
            Slice::Stuck => {
                restoration.stuck = true;
                self.restoring.push_back(restoration);
                if self.restoring.iter().all(|restoration| restoration.stuck) {
                    return Ok(Restored::Held { at, position, target });
                }
            }
        }
        // A task that is done with its last changelog is done in this call.
        let done = self.restoring.front().is_some_and(|first| first.changelogs.is_empty());
        match self.restoring.pop_front() {
            None => Ok(Restored::Done),
            Some(first) if done => self.restored(&first),
            Some(first) => {
                self.restoring.push_front(first);
                Ok(Restored::More)
            }
        }
    }

    fn restore_slice(&mut self, task: usize, changelog: &mut Changelog) -> Result<Slice, LogError> {
        let Changelog { at, position, target } = *changelog;
        self.batch.clear();
        if position >= target {
            return Ok(Slice::Done);
        }
        let read = match self.log.restore(at, position, &self.config.limits, &mut self.batch) {
            Ok(read) => read,
            // Retention took the oldest records while the newer ones were read: as if it had been a moment earlier.
            Err(LogError::OutOfRange { earliest, .. }) if earliest > position => {
                changelog.position = earliest;
                return Ok(Slice::More);
            }
            Err(error) => return Err(error),
        };
        let slot = &mut self.slots[task];
        for record in self.batch.iter() {
            if let Err(unreadable) = slot.task.restore(&record) {
                return Ok(Slice::Unreadable(record.offset, unreadable.reason));
            }
            if let Some(snapshot) = &mut slot.snapshot {
                let (append_time, key, value) = (Some(record.append_time), record.key, record.value);
                snapshot.append(&Copied { at, append_time, key, value });
            }
        }
        self.origins.changelogs += self.batch.len() as u64;
        changelog.position = read.position;
        Ok(match read.position {
            position if position >= target => Slice::Done,
            _ if read.at_end => Slice::Stuck,
            _ => Slice::More,
        })
    }

    /// A task has its state: its partitions are read from now on, unless it has state that nobody knows the offset of.
    fn restored(&mut self, restoration: &Restoration) -> Result<Restored, LaneError> {
        let task = restoration.task;
        let mut state = State::Stopped;
        for input in self.inputs.iter_mut().filter(|input| input.task == task) {
            match (input.committed, restoration.found) {
                (None, Some((changelog, earliest, end))) => {
                    input.hold(Hold::NoOffset { changelog, earliest, end });
                }
                _ => {
                    self.log.release(input.at)?;
                    state = State::Running;
                }
            }
        }
        // What was read stays as it is, whoever writes on.
        if let Some(snapshot) = &mut self.slots[task].snapshot {
            snapshot.mark(&restoration.reached);
        }
        // With no offset to commit nothing would fence it, and there is nothing that it could do.
        self.slots[task].state = state;
        Ok(if self.restoring.is_empty() { Restored::Done } else { Restored::More })
    }

    fn give_up(&mut self, task: usize, changelog: TopicPartition, offset: Offset, reason: &str) {
        self.slots[task].state = State::Stopped;
        for input in self.inputs.iter_mut().filter(|input| input.task == task) {
            input.hold(Hold::Unrestorable { changelog, offset, reason: reason.to_owned() });
        }
        // An error comes again with the next step.
        let _ = self.prove_holds();
    }

    /// How many records of state came from where, since the lane was made.
    #[must_use]
    pub fn origins(&self) -> Origins {
        self.origins
    }

    /// True if no task waits for its state any more.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.restoring.is_empty()
    }

    /// What is still to be read back: one entry for each changelog.
    pub fn restoring(&self) -> impl Iterator<Item = RestoreProgress> {
        self.restoring.iter().flat_map(|restoration| {
            let progress = |changelog: &Changelog| {
                let Changelog { at, position, target } = *changelog;
                RestoreProgress { task: restoration.task, at, position, target }
            };
            restoration.changelogs.iter().map(progress)
        })
    }

    /// Tells the log which partitions are read from the first, and from where.
    pub(super) fn settle_in(&mut self) -> Result<(), LaneError> {
        for input in &self.inputs {
            if self.slots[input.task].is_running() {
                self.log.seek(input.at, input.next)?;
                self.log.release(input.at)?;
            } else {
                hold(&mut self.log, input)?;
            }
        }
        self.log.set_hurry(!self.restoring.is_empty());
        let next = self.restoring.iter().filter(|restoration| restoration.source == Source::Changelogs);
        let next: Vec<_> = next.flat_map(Restoration::to_read).collect();
        self.log.restore_soon(&next);
        Ok(())
    }
}
