//! One partition that a lane reads.

use super::LaneError;
use crate::log::{Batch, Log};
use crate::record::{Millis, NextOffset, TopicPartition};
use crate::task::Task;

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
    }

    /// Back to the last commit.
    pub(super) fn rewind(&mut self) {
        self.next = self.settled;
        self.empty_queue();
    }

    pub(super) fn head_size(&self) -> usize {
        self.queue.size_of(self.head)
    }

    /// Enters the record at the head into the order.
    pub(super) fn compete<T: Task>(&mut self, task: &mut T) {
        self.order = self.queue.get(self.head).map(|record| (task.arrival(&record), task.rank(&record)));
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

    fn empty_queue(&mut self) {
        self.queue.clear();
        self.head = 0;
        self.order = None;
    }
}
