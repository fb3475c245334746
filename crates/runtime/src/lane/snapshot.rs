//! Copying changelogs to snapshots: what is committed, and how far that reaches.

use super::{Lane, LaneError, Phase, Slot};
use crate::log::Log;
use crate::outbox::Outbox;
use crate::planted::{self, Bug};
use crate::record::{NextOffset, TopicPartition};
use crate::snapshot::{Copied, Snapshot};
use crate::task::Task;
use rustc_hash::FxHashMap;

/// Where the records of changelogs go that are copied.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Place of the task that a changelog belongs to. Only of tasks that have a snapshot.
    places: FxHashMap<TopicPartition, usize>,
}

impl Copies {
    pub(super) fn new<T: Task>(slots: &[Slot<T>]) -> Self {
        let with_snapshot = slots.iter().enumerate().filter(|(_, slot)| slot.snapshot.is_some());
        let places = with_snapshot.flat_map(|(place, slot)| {
            slot.task.changelogs().into_iter().map(move |changelog| (changelog, place))
        });
        Copies { places: places.collect() }
    }

    /// Copies what a committed step wrote to changelogs.
    pub(super) fn take<T: Task>(&self, outbox: &Outbox, slots: &mut [Slot<T>]) {
        if self.places.is_empty() {
            return;
        }
        // Records of one topic come in runs.
        let mut last: Option<(TopicPartition, Option<usize>)> = None;
        for record in outbox.records() {
            let at = TopicPartition { topic: record.topic, partition: record.partition };
            let place = match last {
                Some((of, place)) if of == at => place,
                _ => self.places.get(&at).copied(),
            };
            last = Some((at, place));
            let slot = place.and_then(|place| slots.get_mut(place));
            if let Some(snapshot) = slot.and_then(|slot| slot.snapshot.as_mut()) {
                // The log has its own clock, which is not asked: a moment ago.
                let (key, value) = (outbox.key(record), outbox.value(record));
                snapshot.append(&Copied { at, append_time: None, key, value });
            }
        }
    }
}

impl<L: Log, T: Task> Lane<L, T> {
    /// Marks the snapshots of the tasks that run, where a mark is worth it: what is committed so far will not be read
    /// from the changelogs again. To be called between two steps, now and then, and before a graceful end. True if
    /// there is nothing left to mark.
    ///
    /// The positions are the ends of what is decided, asked for now, when everything of ours is committed and copied.
    /// But a lane that was asleep for a while may have lost its tasks, and what it is told then is the work of the new
    /// owner. So **they count only if a transaction is committed after they were asked for**: it carries no record, and
    /// unchanged offsets of these tasks, and the log refuses it to a lane that is not the owner any more.
    ///
    /// # Errors
    /// [`LaneError::Log`]: nothing is marked, call it again after a while. [`LaneError::Fenced`].
    pub fn mark(&mut self) -> Result<bool, LaneError> {
        if self.phase != Phase::Running {
            return Ok(false);
        }
        let mut wanted: Vec<(usize, Vec<TopicPartition>)> = Vec::new();
        let mut offsets = Vec::new();
        for (place, slot) in self.slots.iter().enumerate() {
            let wants =
                slot.is_running() && slot.snapshot.as_ref().is_some_and(|snapshot| snapshot.wants_mark());
            // A task without a committed offset has committed nothing.
            let of_task = self.inputs.iter().find(|input| input.task == place && input.can_prove());
            if let Some(input) = of_task.filter(|_| wants) {
                offsets.push((input.at, input.next));
                wanted.push((place, slot.task.changelogs()));
            }
        }
        if wanted.is_empty() {
            return Ok(true);
        }
        let all: Vec<TopicPartition> =
            wanted.iter().flat_map(|(_, changelogs)| changelogs).copied().collect();
        let decided = self.log.decided(&all)?;
        if !planted::is(Bug::SnapshotAheadOfItsData) && self.prove(&offsets)?.is_some() {
            return Ok(false);
        }
        let mut positions = all.into_iter().zip(decided);
        for (place, changelogs) in wanted {
            let positions: Vec<(TopicPartition, NextOffset)> =
                positions.by_ref().take(changelogs.len()).collect();
            if let Some(snapshot) = &mut self.slots[place].snapshot {
                snapshot.mark(&positions);
            }
        }
        Ok(true)
    }

    /// The snapshots, by place of their tasks.
    pub fn snapshots(&self) -> impl Iterator<Item = Option<&dyn Snapshot>> {
        self.slots.iter().map(|slot| slot.snapshot.as_deref())
    }
}
