//! What a lane's thread does about an error: a pure function, so that it can be read and tested as a table.

use catchment_runtime::{LaneError, LogError};

use crate::observe::lane::Restart;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The world is at fault: the same lane steps again after a while.
    Wait,
    /// The group moves partitions: take the change up.
    Reassign,
    /// The handle, or the state, can't be used any more: a new lane, restored, after a while.
    Rebuild(Restart),
}

/// What to do about an error of a lane.
#[must_use]
pub fn react(error: &LaneError) -> Reaction {
    match error {
        LaneError::Log(LogError::Retry { .. }) | LaneError::RestoreHeld { .. } => Reaction::Wait,
        LaneError::Log(LogError::Reassigned) => Reaction::Reassign,
        LaneError::Fenced(_) => Reaction::Rebuild(Restart::Fenced),
        LaneError::Log(LogError::Denied { .. }) => Reaction::Rebuild(Restart::Denied),
        LaneError::MustRestore => Reaction::Rebuild(Restart::UnknownCommit),
        LaneError::HalfRestored => Reaction::Rebuild(Restart::Snapshot),
        LaneError::Log(LogError::Fatal { .. }) => Reaction::Rebuild(Restart::Broken),
        LaneError::Log(
            LogError::TooLarge { .. }
            | LogError::UnknownPartition { .. }
            | LogError::NotAssigned { .. }
            | LogError::OutOfRange { .. }
            | LogError::NoOffsets,
        )
        | LaneError::Unreadable { .. }
        | LaneError::Wiring(_) => Reaction::Rebuild(Restart::Stuck),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catchment_runtime::log::Fence;
    use catchment_runtime::{NextOffset, TopicId, TopicPartition};

    #[test]
    fn each_error_has_its_reaction() {
        let at = TopicPartition { topic: TopicId(0), partition: 0 };
        let log = LaneError::Log;
        let reason = || "broker".to_owned();
        let gap = LogError::OutOfRange { at, position: NextOffset(1), earliest: NextOffset(5) };
        for (error, reaction) in [
            (log(LogError::Retry { reason: reason() }), Reaction::Wait),
            (log(LogError::Reassigned), Reaction::Reassign),
            (log(LogError::Fatal { reason: reason() }), Reaction::Rebuild(Restart::Broken)),
            (log(LogError::TooLarge { at, bytes: 2, limit: 1 }), Reaction::Rebuild(Restart::Stuck)),
            (log(gap), Reaction::Rebuild(Restart::Stuck)),
            (LaneError::Fenced(Fence::Group), Reaction::Rebuild(Restart::Fenced)),
            (LaneError::Fenced(Fence::Producer), Reaction::Rebuild(Restart::Fenced)),
            (log(LogError::Denied { what: reason() }), Reaction::Rebuild(Restart::Denied)),
            (LaneError::HalfRestored, Reaction::Rebuild(Restart::Snapshot)),
            (LaneError::MustRestore, Reaction::Rebuild(Restart::UnknownCommit)),
            (LaneError::Wiring(reason()), Reaction::Rebuild(Restart::Stuck)),
        ] {
            assert_eq!(react(&error), reaction, "{error}");
        }
    }
}
