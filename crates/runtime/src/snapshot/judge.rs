//! Whether a snapshot may be used: from facts alone.

use super::{Found, Head, Unusable};
use crate::planted::{self, Bug};
use crate::record::{Millis, NextOffset};
use std::fmt;

/// How far the clock of the marks and the clock of the log may be apart.
pub const SKEW: Millis = 10_000;

/// What the log says of a changelog, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its oldest offset.
    pub earliest: NextOffset,
    /// Its high watermark.
    pub end: NextOffset,
    /// Its first record that was appended [`SKEW`] or more after the mark; none if there is no such record.
    pub first_since: Option<NextOffset>,
}

/// What to do with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Restore from it, and then from the positions of its last mark.
    Use,
    /// Restore from the beginning of the changelogs.
    Discard(Reason),
}

/// Why a snapshot is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is none, or its head is torn.
    NoSnapshot,
    /// Another version of the form: a newer program wrote it.
    Version(u16),
    /// It can't be read, or a record of it can't.
    Unreadable(String),
    /// It ended before its first mark.
    NoMark,
    /// It was written under other circumstances.
    Other {
        /// What differs.
        what: String,
        /// What the file says.
        found: String,
        /// What it should say.
        wanted: String,
    },
    /// A tombstone that was written since may be gone by now: a customer who was erased would rise again.
    TooOld {
        /// Milliseconds since its last mark.
        age: Millis,
        /// How many there may be.
        oldest: Millis,
    },
    /// Its last mark was made later than now: the clock was wrong then, or is now.
    FromTheFuture {
        /// By how many milliseconds.
        ahead: Millis,
    },
    /// Records of a changelog that it does not hold are gone already.
    BelowStart {
        /// The changelog.
        topic: String,
        /// Its position there.
        position: NextOffset,
        /// What is left starts here.
        earliest: NextOffset,
    },
    /// A changelog ends before its position: it is another topic of that name, or lost records.
    PastEnd {
        /// The changelog.
        topic: String,
        /// Its position there.
        position: NextOffset,
        /// Where the changelog ends.
        end: NextOffset,
    },
    /// A changelog has a record before its position that was appended after the mark: it is another topic of that name.
    MadeAnew {
        /// The changelog.
        topic: String,
        /// Its position there.
        position: NextOffset,
        /// The record.
        since: NextOffset,
    },
}

impl Reason {
    /// The words that [`word`](Self::word) gives.
    pub const WORDS: [&str; 10] = [
        "no_snapshot",
        "version",
        "unreadable",
        "no_mark",
        "other",
        "too_old",
        "from_the_future",
        "below_start",
        "past_end",
        "made_anew",
    ];

    /// The word for metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Reason::NoSnapshot => "no_snapshot",
            Reason::Version(_) => "version",
            Reason::Unreadable(_) => "unreadable",
            Reason::NoMark => "no_mark",
            Reason::Other { .. } => "other",
            Reason::TooOld { .. } => "too_old",
            Reason::FromTheFuture { .. } => "from_the_future",
            Reason::BelowStart { .. } => "below_start",
            Reason::PastEnd { .. } => "past_end",
            Reason::MadeAnew { .. } => "made_anew",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoSnapshot => f.write_str("it is no snapshot, or its head is torn"),
            Reason::Version(version) => {
                write!(f, "it has version {version}, and this program reads {}", super::format::VERSION)
            }
            Reason::Unreadable(reason) => write!(f, "it can't be read: {reason}"),
            Reason::NoMark => f.write_str("it ends before its first mark"),
            Reason::Other { what, found, wanted } => {
                write!(f, "it was written with {what} `{found}`, which is `{wanted}` now")
            }
            Reason::TooOld { age, oldest } => {
                write!(f, "it is {} s old, of {} s at most", age / 1_000, oldest / 1_000)
            }
            Reason::FromTheFuture { ahead } => {
                write!(f, "it was written {} s later than now, by the clock", ahead / 1_000)
            }
            Reason::BelowStart { topic, position, earliest } => {
                write!(f, "it ends at offset {} of {topic}, which starts at {}", position.0, earliest.0)
            }
            Reason::PastEnd { topic, position, end } => {
                write!(f, "it ends at offset {} of {topic}, which ends at {}", position.0, end.0)
            }
            Reason::MadeAnew { topic, position, since } => write!(
                f,
                "it ends at offset {} of {topic}, whose offset {} is newer: it is another topic",
                position.0, since.0
            ),
        }
    }
}

/// Decides from facts alone: what the file says, and what the log says of its changelogs, in the order of the head.
#[must_use]
pub fn judge(found: &Found, log: &[Bounds]) -> Verdict {
    match reason(found, log) {
        None => Verdict::Use,
        Some(reason) => Verdict::Discard(reason),
    }
}

fn reason(found: &Found, log: &[Bounds]) -> Option<Reason> {
    let survey = match &found.survey {
        Ok(survey) => survey,
        Err(Unusable::NoSnapshot) => return Some(Reason::NoSnapshot),
        Err(Unusable::Version(version)) => return Some(Reason::Version(*version)),
        Err(Unusable::Unreadable(reason)) => return Some(Reason::Unreadable(reason.clone())),
    };
    if let Some(other) = difference(&survey.head, &found.wanted) {
        return Some(other);
    }
    let Some(mark) = &survey.mark else { return Some(Reason::NoMark) };
    let Found { age, oldest, .. } = *found;
    if age > oldest && !planted::is(Bug::SnapshotOlderThanTombstones) {
        return Some(Reason::TooOld { age, oldest });
    }
    if age < -SKEW {
        return Some(Reason::FromTheFuture { ahead: -age });
    }
    let changelogs = survey.head.changelogs.iter().zip(&mark.positions).zip(log);
    changelogs.into_iter().find_map(|((changelog, position), bounds)| {
        let (topic, position) = (changelog.topic.clone(), *position);
        match *bounds {
            Bounds { earliest, .. } if position < earliest => {
                Some(Reason::BelowStart { topic, position, earliest })
            }
            Bounds { end, .. } if position > end => Some(Reason::PastEnd { topic, position, end }),
            Bounds { first_since: Some(since), .. } if since < position => {
                Some(Reason::MadeAnew { topic, position, since })
            }
            _ => None,
        }
    })
}

/// The first thing that is not as it should be.
fn difference(found: &Head, wanted: &Head) -> Option<Reason> {
    let other = |what: &str, found: &str, wanted: &str| {
        Some(Reason::Other { what: what.to_owned(), found: found.to_owned(), wanted: wanted.to_owned() })
    };
    for (name, value) in &wanted.identity {
        let there = found.identity.iter().find(|(known, _)| known == name);
        match there {
            Some((_, there)) if there == value => {}
            there => return other(name, there.map_or("", |(_, value)| value), value),
        }
    }
    // What it does not know of would not be compared.
    if let Some((name, value)) =
        found.identity.iter().find(|(name, _)| !wanted.identity.iter().any(|(known, _)| known == name))
    {
        return other(name, value, "");
    }
    let names = |head: &Head| {
        let name =
            |changelog: &super::format::Changelog| format!("{}/{}", changelog.topic, changelog.partition);
        head.changelogs.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    let (found, wanted) = (names(found), names(wanted));
    if found == wanted { None } else { other("changelogs", &found, &wanted) }
}

#[cfg(test)]
mod tests;
