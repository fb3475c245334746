//! What a lane's thread does about an error: a pure function, so that it can be read and tested as a table.

use catchment_runtime::{LaneError, LogError};

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// The world is at fault: the same lane steps again after a while.
    Wait,
    /// The group moves partitions: take the change up.
    Reassign,
    /// The handle, or the state, can't be used any more: a new lane, restored, after a while.
    Rebuild(Why),
}

/// Why a lane is made anew; a label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody else took over: a newer lane of the same name, or the group.
    Fenced,
    /// The outcome of a commit can't be told.
    Unknown,
    /// The client is broken.
    Broken,
    /// Kafka can't be reached.
    World,
    /// Kafka does not let us in, or not do that. The next lane's clients read the secrets anew.
    Denied,
    /// A bug.
    Panicked,
    /// Something that will not go away by itself: an unreadable stored record, a wiring that is wrong, a record that
    /// the log does not take. It is tried again all the same, since a person may have put it right.
    Stuck,
}

impl Why {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Why::Fenced => "fenced",
            Why::Unknown => "unknown_commit",
            Why::Broken => "broken_client",
            Why::World => "kafka",
            Why::Denied => "denied",
            Why::Panicked => "panic",
            Why::Stuck => "stuck",
        }
    }
}

/// What to do about an error of a lane.
pub(super) fn react(error: &LaneError) -> Reaction {
    match error {
        LaneError::Log(LogError::Retry { .. }) | LaneError::RestoreHeld { .. } => Reaction::Wait,
        LaneError::Log(LogError::Reassigned) => Reaction::Reassign,
        LaneError::Fenced(_) => Reaction::Rebuild(Why::Fenced),
        LaneError::Log(LogError::Denied { .. }) => Reaction::Rebuild(Why::Denied),
        LaneError::MustRestore => Reaction::Rebuild(Why::Unknown),
        LaneError::Log(LogError::Fatal { .. }) => Reaction::Rebuild(Why::Broken),
        LaneError::Log(
            LogError::TooLarge { .. }
            | LogError::UnknownPartition { .. }
            | LogError::NotAssigned { .. }
            | LogError::OutOfRange { .. }
            | LogError::NoOffsets,
        )
        | LaneError::Unreadable { .. }
        | LaneError::Wiring(_) => Reaction::Rebuild(Why::Stuck),
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
            (log(LogError::Fatal { reason: reason() }), Reaction::Rebuild(Why::Broken)),
            (log(LogError::TooLarge { at, bytes: 2, limit: 1 }), Reaction::Rebuild(Why::Stuck)),
            (log(gap), Reaction::Rebuild(Why::Stuck)),
            (LaneError::Fenced(Fence::Group), Reaction::Rebuild(Why::Fenced)),
            (LaneError::Fenced(Fence::Producer), Reaction::Rebuild(Why::Fenced)),
            (log(LogError::Denied { what: reason() }), Reaction::Rebuild(Why::Denied)),
            (LaneError::MustRestore, Reaction::Rebuild(Why::Unknown)),
            (LaneError::Wiring(reason()), Reaction::Rebuild(Why::Stuck)),
        ] {
            assert_eq!(react(&error), reaction, "{error}");
        }
    }
}
