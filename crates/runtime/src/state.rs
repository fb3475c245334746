//! What tasks build their state from: changes in place, and what is needed to undo them until the commit.
//!
//! Each of these has `commit` and `undo`, to be called from [`Task::committed`](crate::Task::committed) and
//! [`Task::aborted`](crate::Task::aborted).

mod dedup;
mod shards;
mod table;
mod timers;

pub use dedup::{Dedup, MOST_IDS};
pub use table::{DEFAULT_DECODED, Dirty, Stored, Table};
pub use timers::{Timer, TimerIndex};

use crate::task::Unreadable;

/// In which versions stored records are written: what the operator says with `state.format`. Which version of which record
/// belongs to a format is said by the tasks. All known versions are read whatever is written, so that a deployment goes on to
/// a new format by itself, record by record, once it is told to, and until then can go back to the release before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateFormat(pub u8);

impl StateFormat {
    /// That of the first release.
    pub const FIRST: Self = StateFormat(1);
}

/// The versions of a stored record that are known, and from which format on each is written.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    /// What the record is, for messages.
    pub what: &'static str,
    /// A version, from the format on in which it is written; in order, at least one.
    pub since: &'static [(StateFormat, u8)],
}

impl Versions {
    /// The version that belongs to a format.
    #[must_use]
    pub fn written_in(&self, format: StateFormat) -> u8 {
        let of_format = self.since.iter().rev().find(|(since, _)| *since <= format);
        of_format.or(self.since.first()).map_or(0, |(_, version)| *version)
    }

    /// Takes the version byte off a stored record.
    ///
    /// # Errors
    /// As [`versioned`].
    pub fn split<'a>(&self, bytes: &'a [u8]) -> Result<(u8, &'a [u8]), Unreadable> {
        match bytes.split_first() {
            Some((version, rest)) if self.since.iter().any(|(_, known)| known == version) => {
                Ok((*version, rest))
            }
            _ => {
                let known: Vec<u8> = self.since.iter().map(|(_, version)| *version).collect();
                versioned(self.what, &known, bytes)
            }
        }
    }
}

/// Takes the version byte off a stored record: every stored record starts with one.
///
/// # Errors
/// An empty record, or a version that this program does not know (a newer one wrote it): the task is not started, and
/// nothing is ever wiped.
pub fn versioned<'a>(what: &str, known: &[u8], bytes: &'a [u8]) -> Result<(u8, &'a [u8]), Unreadable> {
    match bytes.split_first() {
        Some((version, rest)) if known.contains(version) => Ok((*version, rest)),
        Some((version, _)) => {
            let known: Vec<String> = known.iter().map(u8::to_string).collect();
            let known = known.join(", ");
            Err(Unreadable {
                reason: format!(
                    "{what} of version {version}, where this release reads {known}: a newer release wrote it; run that one"
                ),
            })
        }
        None => Err(Unreadable { reason: format!("{what} without a version: the record is empty") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: Versions =
        Versions { what: "ledger", since: &[(StateFormat(1), 1), (StateFormat(3), 2)] };

    #[test]
    fn a_new_version_is_written_from_its_format_on_and_all_are_read() {
        for (format, version) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            assert_eq!(VERSIONS.written_in(StateFormat(format)), version, "format {format}");
        }
        for version in [1, 2] {
            assert_eq!(VERSIONS.split(&[version, 7]).unwrap(), (version, &[7][..]));
        }
        assert!(VERSIONS.split(&[3, 7]).unwrap_err().reason.starts_with("ledger of version 3, "));
    }

    #[test]
    fn a_version_that_is_not_known_is_refused_with_what_to_do() {
        assert_eq!(versioned("ledger", &[1, 2], &[2, 7]).unwrap(), (2, &[7][..]));
        let refusal = |bytes: &[u8]| versioned("ledger", &[1, 2], bytes).unwrap_err().to_string();
        let newer =
            "ledger of version 3, where this release reads 1, 2: a newer release wrote it; run that one";
        assert_eq!(refusal(&[3, 7]), newer);
        assert_eq!(refusal(&[]), "ledger without a version: the record is empty");
    }
}
