//! Bugs that are planted on purpose, to show that the simulation finds them.
//!
//! Without the feature `planted`, which only the simulation asks for, there are none: [`is`] is false when it is
//! compiled, and no hook is left. With it, a test chooses one for its thread by [`with`].

/// A bug, each of a kind that exactly-once systems have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A step commits the offsets of the last records it read, not of the next ones to read.
    OffsetOffByOne,
    /// What is to happen after a commit happens before it.
    EffectsBeforeCommit,
    /// State is restored up to the last stable offset, not up to the high watermark.
    RestoreToLastStableOffset,
    /// State is undone after a commit whose answer was lost, also where it was committed.
    UndoAfterLostAnswer,
    /// Event ids are remembered by the time of the events, not of the log.
    DedupByEventTime,
    /// The changelog of a customer's ledger leaves its timers out.
    TimersNotInChangelog,
    /// After an abort the state is undone, and the input is read on from where it was.
    AbortWithoutRewind,
    /// A snapshot is marked with positions that were asked for by a lane that may have lost its tasks by then.
    SnapshotAheadOfItsData,
    /// A snapshot is used however old it is, though tombstones that were written since are gone.
    SnapshotOlderThanTombstones,
    /// A step that read nothing commits what it wrote without an offset, which would fence it.
    StepWithoutOffsets,
}

#[cfg(feature = "planted")]
mod chosen {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Runs something in which that bug is planted, and no other. For this thread alone.
    pub fn with<R>(bug: Option<Bug>, run: impl FnOnce() -> R) -> R {
        let before = CHOSEN.replace(bug);
        let result = run();
        CHOSEN.set(before);
        result
    }

    /// Whether the bug is planted.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        CHOSEN.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub use chosen::{is, with};

/// Whether the bug is planted: never, without the feature.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn is(_bug: Bug) -> bool {
    false
}
