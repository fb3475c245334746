//! What a lane is told, and what it says.

use super::restore::Restoration;
use crate::log::{BatchLimits, Fence, LogError};
use crate::record::{Millis, Named, NextOffset, Offset, TopicPartition, TopicTable};
use crate::snapshot::Snapshot;
use std::fmt;

/// The order in which a lane reads its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// As polled: each partition by offset, and between partitions as the log gives them.
    #[default]
    Offset,
    /// By [`Task::arrival`](crate::Task::arrival), merged over all partitions of the lane; ties by [`Task::rank`](crate::Task::rank), then topic and partition.
    /// Each partition is still read by offset: only the first unread record of each competes. The edge guarantees
    /// that a partition with nothing to read has nothing earlier: it appends in order of arrival.
    ///
    /// A partition that [waits](super::Hold::Waiting), and a task that is being restored, hold the whole lane back: their
    /// next record may have arrived first. Partitions that are held for another reason are left out of the order.
    Arrival,
}

/// How a lane works.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneConfig {
    /// Bounds of a step (and of what is fetched at once). Results don't depend on them.
    pub limits: BatchLimits,
    /// The order of reading.
    pub order: Order,
}

/// A task that keeps its state from one lane of this process to the next; made by
/// [`Lane::dissolve`](super::Lane::dissolve).
#[derive(Debug)]
pub struct Kept<T> {
    /// The task.
    pub task: T,
    pub(super) now: Millis,
    /// What of its state is still to be read back.
    pub(super) restoration: Option<Restoration>,
    pub(super) snapshot: Option<Box<dyn Snapshot>>,
}

/// A task of a lane that is being put together.
#[derive(Debug)]
pub enum Seat<T> {
    /// Empty as made: to be restored.
    New(T),
    /// As `New`, with the place of its snapshot: it is restored from there, if what is there may be used, and what it
    /// commits is copied there.
    Cached(T, Box<dyn Snapshot>),
    /// With the state that it has: restored no further than it has to be.
    Kept(Kept<T>),
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Records read.
    pub records: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Records written.
    pub outputs: usize,
    /// Bytes of their keys and values.
    pub output_bytes: usize,
    /// The step's transaction is committed (also true if there was nothing to commit), and its effects have run.
    pub committed: bool,
    /// Why it was not committed: state is as before the step, and the next step reads the same records again. The edge
    /// waits a little before.
    pub aborted: Option<String>,
    /// The log did not say at first whether the transaction was committed: the offsets told.
    pub settled: bool,
    /// The step ended at its limits: there is probably more to read at once.
    pub full: bool,
    /// Partitions that are [held](super::Lane::held) since this step.
    pub held: usize,
}

impl StepReport {
    /// True if the step read and wrote nothing, and would not if it was taken again at once: the edge may wait for input.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.records == 0 && self.outputs == 0 && self.held == 0 && self.aborted.is_none()
    }
}

/// How far a restore has come; see [`Lane::restore_some`](super::Lane::restore_some).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// All state is back; the lane can step.
    Done,
    /// There is more to read: call again.
    More,
    /// An open transaction of somebody else hides the rest: call again after a while.
    Held {
        /// The changelog partition.
        at: TopicPartition,
        /// Read up to here.
        position: NextOffset,
        /// To be read up to here.
        target: NextOffset,
    },
}

/// Why a lane can't go on, or not now. Messages name topics by number; [`LaneError::describe`] by name.
#[derive(Debug)]
pub enum LaneError {
    /// The log: [`LogError::Retry`], [`LogError::Denied`] → step again after a while; [`LogError::Reassigned`] →
    /// [`Lane::dissolve`](super::Lane::dissolve); [`LogError::TooLarge`] → what a timer writes is too large, and will be
    /// each time; others as they say. Nothing was committed that was not reported, and state is as before the step.
    Log(LogError),
    /// [`Lane::restore`](super::Lane::restore) met a record of our own making that can't be read: the task it belongs to
    /// does nothing.
    Unreadable {
        /// Its partition.
        at: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// Another lane has taken over: drop this one, and make a new one for what is still assigned.
    Fenced(Fence),
    /// The outcome of a commit can't be told from the offsets: drop this lane, make a new one, restore it.
    MustRestore,
    /// A snapshot could not be read to its end: drop this lane, make a new one, restore it. The snapshot is discarded.
    HalfRestored,
    /// [`Lane::restore`](super::Lane::restore) met a transaction that is still open; call it again after a while.
    RestoreHeld {
        /// The changelog partition.
        at: TopicPartition,
        /// Read up to here.
        position: NextOffset,
        /// To be read up to here.
        target: NextOffset,
    },
    /// The wiring is wrong: a partition without a task, or a task without a partition (whose transactions nothing
    /// would fence).
    Wiring(String),
}

impl LaneError {
    /// The message, with topics by their names.
    #[must_use]
    pub fn describe(&self, topics: &TopicTable) -> String {
        match self {
            LaneError::Log(error) => error.describe(topics),
            error => Words(error, Some(topics)).to_string(),
        }
    }
}

impl From<LogError> for LaneError {
    fn from(error: LogError) -> Self {
        LaneError::Log(error)
    }
}

impl fmt::Display for LaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Words(self, None).fmt(f)
    }
}

impl std::error::Error for LaneError {}

struct Words<'a>(&'a LaneError, Option<&'a TopicTable>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |at: &TopicPartition| Named(*at, self.1);
        match self.0 {
            LaneError::Log(error) => error.fmt(f),
            LaneError::Unreadable { at, offset, reason } => {
                write!(f, "{} offset {}: {reason}", name(at), offset.0)
            }
            LaneError::Fenced(Fence::Producer) => {
                f.write_str("fenced by a newer producer of the same transactional id")
            }
            LaneError::Fenced(Fence::Group) => f.write_str("fenced by the group"),
            LaneError::MustRestore => {
                f.write_str("the outcome of a commit is unknown, and offsets don't tell it: restore")
            }
            LaneError::HalfRestored => {
                f.write_str("a snapshot could not be read to its end: restore without it")
            }
            LaneError::RestoreHeld { at, position, target } => {
                write!(f, "restore of {} waits at {} of {}", name(at), position.0, target.0)
            }
            LaneError::Wiring(reason) => write!(f, "wiring: {reason}"),
        }
    }
}
