//! How far behind a lane is.

use super::{Lane, LaneError, Phase};
use crate::log::Log;
use crate::record::{NextOffset, TopicPartition};
use crate::task::Task;

/// Where a partition ends, and how far it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The partition.
    pub at: TopicPartition,
    /// What is read next of it; the records before are decided and committed.
    pub next: NextOffset,
    /// The high watermark, markers and open transactions included: `end - next` is an upper bound of what is unread.
    pub end: NextOffset,
    /// Nothing that is decided was left to read when this was asked, whatever `end` says: what stands between is
    /// markers, or was aborted, or is not decided yet.
    pub caught_up: bool,
    /// Nothing at all was left, not even what an open transaction hides: whatever shows later was written later.
    pub complete: bool,
}

impl<L: Log, T: Task> Lane<L, T> {
    /// Where each partition ends, by topic and partition. The log is asked each time, so that the answer is the truth as
    /// of this call; to be called about once a second.
    ///
    /// `caught_up` is false as long as the outcome of a commit is open, and may be false for a moment longer than it
    /// has to. It is never true too early.
    ///
    /// # Errors
    /// [`LaneError::Log`]: nothing is known now.
    pub fn tails(&mut self) -> Result<Vec<Tail>, LaneError> {
        let partitions: Vec<TopicPartition> = self.inputs.iter().map(|input| input.at).collect();
        let ends = self.log.ends(&partitions)?;
        let settled = self.phase == Phase::Running;
        let tails = self.inputs.iter().zip(ends).map(|(input, end)| {
            // The log's position says what was handed out, and that is processed if nothing is queued here.
            let processed = if input.queue.is_empty() { end.passed.max(input.next) } else { input.next };
            // Of a held partition nothing is known, not even that it is the one that was read before.
            let caught_up = settled && input.held.is_none() && processed >= end.decided;
            let complete = caught_up && processed >= end.high_watermark;
            let end = end.high_watermark.max(input.next);
            Tail { at: input.at, next: input.next, end, caught_up, complete }
        });
        Ok(tails.collect())
    }
}
