//! One partition that a lane reads.

use super::held::{Held, Hold};
use super::{LaneError, Slot};
use crate::log::{Batch, Log};
use crate::record::{Millis, NextOffset, Offset, Record, TopicPartition};
use crate::task::{Readiness, Task};

/// A record that the lane can't take, found by trying: the partition ends before it.
#[derive(Clone, Debug)]
pub(super) struct Barrier {
    pub(super) offset: Offset,
    pub(super) why: Hold,
}

#[derive(Debug)]
pub(super) struct Input {
    pub(super) at: TopicPartition,
    /// Place of its task.
    pub(super) task: usize,
    /// The committed offset, as the log has it.
    pub(super) committed: Option<NextOffset>,
    /// Where the last commit left it: `committed`, or the earliest record.
    settled: NextOffset,
    /// What is to be read next; the records before it are decided.
    pub(super) next: NextOffset,
    /// Fetched and not yet processed from `head` on (order of arrival only).
    pub(super) queue: Batch,
    pub(super) head: usize,
    /// Arrival and rank of the record at the head, asked once.
    order: Option<(Millis, usize)>,
    pub(super) held: Option<Held>,
    /// Held since this step.
    pub(super) held_now: bool,
    /// Held, and it is not known yet whether the lane is still the owner.
    pub(super) unproven: bool,
    pub(super) barrier: Option<Barrier>,
}

/// What may be done with the next record of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Take,
    /// It stays unread, and all behind it.
    Leave,
    /// As before, since now.
    Held,
}

/// The inputs of a lane, in order of topic and partition.
pub(super) fn inputs<L: Log>(
    log: &mut L,
    tasks: usize,
    task_of: impl Fn(TopicPartition) -> Option<usize>,
) -> Result<Vec<Input>, LaneError> {
    let mut assignment = log.assignment().to_vec();
    assignment.sort_unstable();
    assignment.dedup();
    let committed = log.committed(&assignment)?;
    let mut inputs = Vec::with_capacity(assignment.len());
    for (at, committed) in assignment.into_iter().zip(committed) {
        let task = task_of(at).filter(|task| *task < tasks).ok_or_else(|| {
            LaneError::Wiring(format!("topic {} partition {} belongs to no task", at.topic.0, at.partition))
        })?;
        let settled = match committed {
            Some(offset) => offset,
            None => log.earliest(at)?,
        };
        inputs.push(Input {
            at,
            task,
            committed,
            settled,
            next: settled,
            queue: Batch::default(),
            head: 0,
            order: None,
            held: None,
            held_now: false,
            unproven: false,
            barrier: None,
        });
    }
    match (0..tasks).find(|task| inputs.iter().all(|input| input.task != *task)) {
        Some(task) => Err(LaneError::Wiring(format!("task {task} has no partition"))),
        None => Ok(inputs),
    }
}

/// Place of the input whose first record comes first in order of arrival.
pub(super) fn first(inputs: &[Input]) -> Option<usize> {
    let heads = inputs.iter().enumerate().filter_map(|(index, input)| Some((input.order?, index)));
    heads.min().map(|(_, index)| index)
}

impl Input {
    pub(super) fn has_moved(&self) -> bool {
        self.next != self.settled
    }

    pub(super) fn commit(&mut self, offset: NextOffset) {
        self.committed = Some(offset);
        self.settled = offset;
        self.unproven = false;
    }

    /// Back to the last commit. A partition that was held on the way is not any more: what held it shows again.
    pub(super) fn rewind(&mut self) {
        if self.has_moved() {
            self.held = None;
        }
        self.next = self.settled;
        self.empty_queue();
    }

    pub(super) fn hold(&mut self, why: Hold) {
        self.held = Some(Held { at: self.at, next: self.next, why });
        self.held_now = true;
        self.unproven = !self.is_waiting();
        self.order = None;
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.held, Some(Held { why: Hold::Waiting, .. }))
    }

    /// Whether a commit is to show first that it is this lane that has to say that the partition is held.
    pub(super) fn awaits_proof(&self) -> bool {
        self.held.is_some() && self.unproven && self.can_prove()
    }

    /// Whether its offset may be committed though it has not moved. The first one of a task that has not its state yet
    /// may not: whether there is state without an offset is still to be found out.
    pub(super) fn can_repeat(&self, is_running: bool) -> bool {
        self.has_offset() && (self.committed.is_some() || is_running)
    }

    /// Whether committing its offset again, as it is, shows that the lane owns it.
    pub(super) fn can_prove(&self) -> bool {
        self.has_offset() && self.committed.is_some() && !self.has_moved()
    }

    /// False while an offset of this input says nothing that may be committed: nobody knows what was read.
    pub(super) fn has_offset(&self) -> bool {
        !matches!(self.held, Some(Held { why: Hold::NoOffset { .. }, .. }))
    }

    /// Whether the next record may be taken; holds the partition if not.
    pub(super) fn admit<T: Task>(&mut self, slot: &mut Slot<T>, record: &Record<'_>) -> Admission {
        if self.held.is_some() || !slot.is_running() {
            return Admission::Leave;
        }
        match &self.barrier {
            Some(barrier) if record.offset >= barrier.offset => self.hold(barrier.why.clone()),
            _ if slot.task.ready(record) == Readiness::Wait => self.hold(Hold::Waiting),
            _ => return Admission::Take,
        }
        Admission::Held
    }

    pub(super) fn head_size(&self) -> usize {
        self.queue.size_of(self.head)
    }

    /// True if a record is at hand that has no place in the order yet.
    pub(super) fn is_unranked(&self) -> bool {
        self.held.is_none() && self.order.is_none() && self.head < self.queue.len()
    }

    /// Enters the record at the head into the order, if it may be taken. True if the partition is held from now on.
    pub(super) fn compete<T: Task>(&mut self, slot: &mut Slot<T>) -> bool {
        // The queue is taken out, since the rest of the input may change.
        let queue = std::mem::take(&mut self.queue);
        let admission = queue.get(self.head).map(|record| {
            let admission = self.admit(slot, &record);
            if admission == Admission::Take {
                self.order = Some((slot.task.arrival(&record), slot.task.rank(&record)));
            }
            admission
        });
        self.queue = queue;
        admission == Some(Admission::Held)
    }

    /// The record at the head is processed; true if it was the last one at hand.
    pub(super) fn drop_head(&mut self) -> bool {
        self.head += 1;
        self.order = None;
        let empty = self.head >= self.queue.len();
        if empty {
            self.empty_queue();
        }
        empty
    }

    pub(super) fn empty_queue(&mut self) {
        self.queue.clear();
        self.head = 0;
        self.order = None;
    }
}
