//! Partitions that a lane leaves alone while it reads the others.

use crate::record::{Named, NextOffset, Offset, TopicPartition, TopicTable};
use std::fmt;

/// A partition that is not read on, while the other partitions of its lane are. Messages name topics by number;
/// [`Held::describe`] by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The partition.
    pub at: TopicPartition,
    /// What is read next of it, once it goes on. The records before are decided.
    pub next: NextOffset,
    /// Why.
    pub why: Hold,
}

/// Why a partition is not read on. [`Waiting`](Hold::Waiting) ends with [`Lane::retry`](super::Lane::retry). The others
/// last as long as the lane: somebody has to do something, and then to restart it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The task is not ready for the next record: what it needs from outside is not at hand.
    Waiting,
    /// A record of our own making can't be read: a bug, or one that a newer version wrote. It is never skipped.
    Unreadable {
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// What comes of a record is larger than the log takes.
    TooLarge {
        /// The record's offset.
        offset: Offset,
        /// Where the result was to go.
        output: TopicPartition,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Retention overtook the reader: the records from `position` up to `earliest` were deleted before they were read.
    /// Or, where `position` is not below `earliest`, the partition is shorter than what was read already.
    Gap {
        /// Where the reader stood.
        position: NextOffset,
        /// What is left starts here.
        earliest: NextOffset,
    },
    /// No offset is committed, although the task has state: what was read already is not known. (Offsets expire where
    /// a group is gone for `offsets.retention.minutes`.)
    NoOffset {
        /// A changelog of the task that is not empty.
        changelog: TopicPartition,
        /// Its oldest offset.
        earliest: NextOffset,
        /// Its end.
        end: NextOffset,
    },
    /// The task's state can't be read back, so the task does nothing at all.
    Unrestorable {
        /// The changelog.
        changelog: TopicPartition,
        /// The record that can't be read.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
}

impl Held {
    /// The message, with topics by their names.
    #[must_use]
    pub fn describe(&self, topics: &TopicTable) -> String {
        Words(self, Some(topics)).to_string()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Words(self, None).fmt(f)
    }
}

struct Words<'a>(&'a Held, Option<&'a TopicTable>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |at: TopicPartition| Named(at, self.1);
        let Held { at, next, why } = self.0;
        write!(f, "{} is held at offset {}: ", name(*at), next.0)?;
        match why {
            Hold::Waiting => f.write_str("what its next record needs is not at hand"),
            Hold::Unreadable { offset, reason } => write!(f, "offset {} can't be read: {reason}", offset.0),
            Hold::TooLarge { offset, output, bytes, limit } => {
                let (offset, output) = (offset.0, name(*output));
                write!(
                    f,
                    "offset {offset} makes a record of {bytes} bytes for {output}, above the limit of {limit}"
                )
            }
            Hold::Gap { position, earliest } if position < earliest => {
                write!(f, "offsets {} to {} were deleted before they were read", position.0, earliest.0 - 1)
            }
            Hold::Gap { position, earliest } => {
                let (position, earliest) = (position.0, earliest.0);
                write!(f, "it starts at {earliest}, and ends before {position}, which is to be read next")
            }
            Hold::NoOffset { changelog, earliest, end } => {
                let (changelog, earliest, end) = (name(*changelog), earliest.0, end.0);
                write!(f, "no offset is committed, but {changelog} holds state ({earliest} to {end})")
            }
            Hold::Unrestorable { changelog, offset, reason } => {
                write!(f, "the state can't be restored: {} offset {}: {reason}", name(*changelog), offset.0)
            }
        }
    }
}
