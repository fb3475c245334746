//! Snapshots: a local copy of a task's changelogs, so that a restarted process restores from it and from what the
//! changelogs hold since, and not from their beginning.
//!
//! **The changelogs are the truth; a snapshot is a cache of them.** It may be lost, torn or stale at any time, and what
//! is restored is the same. Three rules make it so:
//!
//! - It holds the records of the changelogs as they are, in the order in which they were committed, so that it is read
//!   back by [`Task::restore`](crate::Task::restore) like the changelogs themselves. Of a key that was written more than
//!   once the older records may be left out, and of a key that was deleted all of them.
//! - Its **marks** say of each changelog: everything before this offset is contained in what stands before the mark. An
//!   offset may lag behind the data (a record that is restored twice gives the same state), it may **never be ahead of
//!   it**. It is read up to its last intact mark; what follows is cut off.
//! - Before it is used, [`judge`] compares it with what the log says now.
//!
//! A [`Snapshot`] is one task's, lent to the lane with the task ([`Seat::Cached`](crate::Seat::Cached)). The lane never
//! waits for it: one that can't keep up drops what it has and says nothing. [`format`] is the form of the bytes, the same
//! wherever they are kept.

pub mod format;
mod judge;
#[cfg(any(test, feature = "simulation"))]
pub mod memory;

pub use format::{Head, Mark, Survey, Unusable};
pub use judge::{Bounds, Reason, SKEW, Verdict, judge};

use crate::log::BatchLimits;
use crate::record::{Millis, NextOffset, Record, TopicPartition};
use crate::task::Unreadable;
use std::fmt;

/// What stands where a task's snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is in it, or why it can't be read.
    pub survey: Result<Survey, Unusable>,
    /// What its head would be if it was written now.
    pub wanted: Head,
    /// Milliseconds since its last mark, by the clock that marks are made with; negative if that clock went back.
    pub age: Millis,
    /// The oldest that it may be: half of the time that a changelog keeps a tombstone.
    pub oldest: Millis,
}

/// What came of [`Snapshot::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Not known yet: ask again.
    Pending,
    /// There is none.
    Nothing,
    /// This.
    Found(Box<Found>),
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Call again.
    More,
    /// Everything up to the last mark was read.
    Done,
}

/// A record to be copied.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// Its changelog.
    pub at: TopicPartition,
    /// When it was appended, if that is known; else it was just now.
    pub append_time: Option<Millis>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// The snapshot of one task. Dropped, it is closed as of its last mark, and can be opened again.
///
/// The lane calls [`open`](Self::open) until it has an answer, then either [`read`](Self::read) until it is done and
/// [`resume`](Self::resume), or [`begin`](Self::begin); from then on [`append`](Self::append) and [`mark`](Self::mark). No
/// call fails, and none but `open` and `read` waits: an implementation that can't write any more counts and says so itself,
/// and does nothing from then on.
pub trait Snapshot: fmt::Debug + Send {
    /// What is there. May wait for it, a few milliseconds at most.
    fn open(&mut self) -> Opening;

    /// Hands out the next records, in their order, about as many as the limits say. Their offset is 0 and they have no
    /// headers.
    ///
    /// # Errors
    /// The bytes can't be read any more, or the task can't read a record. State is half restored then.
    fn read(
        &mut self,
        limits: &BatchLimits,
        take: &mut dyn FnMut(&Record<'_>) -> Result<(), Unreadable>,
    ) -> Result<Reading, Unreadable>;

    /// What follows the last mark is cut off, and what is appended from now on follows the mark.
    fn resume(&mut self);

    /// Forgets what is there, and begins with nothing.
    fn begin(&mut self);

    /// What is there is not used: it is removed, and the reason is counted and said.
    fn discard(&mut self, reason: &Reason);

    /// Copies a record that is known to be committed.
    fn append(&mut self, record: &Copied<'_>);

    /// True if a mark is worth its transaction: something was copied since the last one, or that one gets old.
    fn wants_mark(&self) -> bool;

    /// Everything before these offsets, of each changelog one, is contained in what was copied before this call.
    fn mark(&mut self, positions: &[(TopicPartition, NextOffset)]);
}
