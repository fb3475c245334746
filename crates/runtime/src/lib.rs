//! Exactly-once tasks over a partitioned log: one step, one transaction.
//!
//! A [`Lane`] polls a batch of records, lets the [`Task`]s of its partitions decide, and commits what they
//! decided (outputs, changelog, dead letters) together with the next offsets to read. Nothing here knows a
//! business word, reads a clock or draws a random number: time comes in as a value, so that a simulation can
//! run everything from a seed.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
pub mod lane;
pub mod log;
pub mod outbox;
pub mod outcome;
pub mod partition;
pub mod planted;
pub mod record;
pub mod snapshot;
pub mod state;
pub mod task;
pub mod watermark;

pub use embedded::{EmbeddedLane, EmbeddedLog, OwnedRecord};
pub use lane::{
    Held, Hold, Kept, Lane, LaneConfig, LaneError, Order, Origins, RestoreProgress, Restored, Seat,
    StepReport, Tail,
};
pub use log::{Batch, BatchLimits, CommitOutcome, End, Log, LogError, Reassignment};
pub use outbox::{OutRecord, Outbox};
pub use record::{
    Headers, Millis, NextOffset, Offset, Partition, Record, TopicId, TopicPartition, TopicTable,
};
pub use snapshot::Snapshot;
pub use state::{Dedup, StateFormat, Stored, Table, TimerIndex};
pub use task::{Readiness, Step, Task, Unreadable};
pub use watermark::Watermarks;
