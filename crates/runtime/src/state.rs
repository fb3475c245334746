//! What tasks build their state from: changes in place, and what is needed to undo them until the commit.
//!
//! Each of these has `commit` and `undo`, to be called from [`Task::committed`](crate::Task::committed) and
//! [`Task::aborted`](crate::Task::aborted).

mod dedup;
mod table;
mod timers;

pub use dedup::{Dedup, MOST_IDS};
pub use table::{DEFAULT_DECODED, Dirty, Stored, Table};
pub use timers::{Timer, TimerIndex};

use crate::task::Unreadable;

/// Takes the version byte off a stored record: every stored record starts with one.
///
/// # Errors
/// An empty record, or a version that this program does not know (a newer one wrote it): it refuses to start, it
/// never wipes.
pub fn versioned<'a>(what: &str, known: &[u8], bytes: &'a [u8]) -> Result<(u8, &'a [u8]), Unreadable> {
    match bytes.split_first() {
        Some((version, rest)) if known.contains(version) => Ok((*version, rest)),
        Some((version, _)) => {
            Err(Unreadable { reason: format!("{what}: version {version} is not one of {known:?}") })
        }
        None => Err(Unreadable { reason: format!("{what}: empty, without a version byte") }),
    }
}
