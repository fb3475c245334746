//! What goes wrong with a log.

use crate::record::{Named, NextOffset, TopicPartition, TopicTable};
use std::fmt;

/// Who fenced a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// A newer producer of the same transactional id.
    Producer,
    /// The group: partitions of the lane belong to another member now.
    Group,
}

/// Why the log could not do what it was asked. Messages name topics by number; [`LogError::describe`] by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// A record above the limit of the log. Repeating gives the same; nothing of the transaction is committed.
    TooLarge {
        /// Where it was to go.
        at: TopicPartition,
        /// Its size ([`record_size`](super::record_size)).
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No such topic or partition.
    UnknownPartition {
        /// What was asked for.
        at: TopicPartition,
    },
    /// The partition is none of this lane's.
    NotAssigned {
        /// What was asked for.
        at: TopicPartition,
    },
    /// The position is not in the partition. `position < earliest`: retention overtook the reader, and the records
    /// between were deleted before they were read. Else the partition is shorter than what was read already: it was cut
    /// off, or its topic made anew. Never passed over silently.
    OutOfRange {
        /// The partition.
        at: TopicPartition,
        /// Where the reader stood.
        position: NextOffset,
        /// What is left starts here.
        earliest: NextOffset,
    },
    /// A transaction without an offset: the log would not check that the lane still owns its partitions.
    NoOffsets,
    /// Not now: ask again after a while.
    Retry {
        /// Why.
        reason: String,
    },
    /// The log does not let us: wrong credentials, a certificate that is not accepted, or no permission. Asking again
    /// after a while helps once somebody has changed that.
    Denied {
        /// What was refused, and by whom.
        what: String,
    },
    /// The group is about to change what this lane owns. Nothing was read, and everything committed so far stands;
    /// [`Log::reassign`](super::Log::reassign) takes the change up. Said again and again until then, by
    /// [`Log::poll`](super::Log::poll), [`Log::poll_partition`](super::Log::poll_partition),
    /// [`Log::await_records`](super::Log::await_records) and [`Log::restore`](super::Log::restore).
    Reassigned,
    /// The handle can't be used any more: drop it and make a new one.
    Fatal {
        /// Why.
        reason: String,
    },
}

impl LogError {
    /// The message, with topics by their names.
    #[must_use]
    pub fn describe(&self, topics: &TopicTable) -> String {
        Words(self, Some(topics)).to_string()
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Words(self, None).fmt(f)
    }
}

impl std::error::Error for LogError {}

struct Words<'a>(&'a LogError, Option<&'a TopicTable>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |at: &TopicPartition| Named(*at, self.1);
        match self.0 {
            LogError::TooLarge { at, bytes, limit } => {
                write!(f, "record of {bytes} bytes for {} is above the limit of {limit}", name(at))
            }
            LogError::UnknownPartition { at } => write!(f, "{} does not exist", name(at)),
            LogError::NotAssigned { at } => write!(f, "{} is not assigned to this lane", name(at)),
            LogError::OutOfRange { at, position, earliest } if position < earliest => {
                write!(f, "{}: offsets {} to {} are gone", name(at), position.0, earliest.0 - 1)
            }
            LogError::OutOfRange { at, position, earliest } => {
                let (position, earliest) = (position.0, earliest.0);
                write!(f, "{}: starts at {earliest}, and ends before {position}, the next to read", name(at))
            }
            LogError::NoOffsets => {
                f.write_str("a transaction needs at least one offset, which is what fences it")
            }
            LogError::Retry { reason } => write!(f, "not now: {reason}"),
            LogError::Denied { what } => write!(f, "denied: {what}"),
            LogError::Reassigned => f.write_str("the group changes the assignment"),
            LogError::Fatal { reason } => write!(f, "the log handle is broken: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cleanup, TopicId, TopicSpec};

    #[test]
    fn messages_name_topics_where_a_table_is_at_hand() {
        let mut topics = TopicTable::new();
        let cleanup = Cleanup::Compact;
        topics.add(TopicSpec { name: "orders".to_owned(), partitions: 4, cleanup });
        let at = TopicPartition { topic: TopicId(0), partition: 3 };
        let gap = |position, earliest| LogError::OutOfRange {
            at,
            position: NextOffset(position),
            earliest: NextOffset(earliest),
        };
        assert_eq!(gap(5, 9).to_string(), "topic 0 partition 3: offsets 5 to 8 are gone");
        assert_eq!(gap(5, 9).describe(&topics), "topic orders partition 3: offsets 5 to 8 are gone");
        assert_eq!(
            gap(9, 5).describe(&topics),
            "topic orders partition 3: starts at 5, and ends before 9, the next to read"
        );
        let elsewhere = TopicPartition { topic: TopicId(7), partition: 0 };
        let unknown = LogError::UnknownPartition { at: elsewhere };
        assert_eq!(unknown.describe(&topics), "topic 7 partition 0 does not exist");
    }
}
