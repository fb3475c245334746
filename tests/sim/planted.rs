//! Bugs that are planted one at a time. A simulation that does not find them is blind.

use crate::seeds;
use catchment_runtime::planted::{self, Bug};

/// Seeds in which a bug must be found.
const WITHIN: u64 = 600;

/// Runs seeds with the bug until one fails. Says which, and by what.
#[track_caller]
fn found(bug: Bug) {
    for seed in 0..WITHIN {
        let (found, _) = planted::with(Some(bug), || seeds::try_seed(seed, false));
        // A seed that fails anyway shows nothing.
        if let Some(first) = found.first()
            && seeds::try_seed(seed, false).0.is_empty()
        {
            println!("{bug:?}: found after {} seeds: {first}", seed + 1);
            return;
        }
    }
    panic!("{bug:?} was not found by {WITHIN} seeds");
}

#[test]
fn an_offset_that_is_off_by_one_is_found() {
    found(Bug::OffsetOffByOne);
}

#[test]
fn effects_before_their_commit_are_found() {
    found(Bug::EffectsBeforeCommit);
}

#[test]
fn a_restore_to_the_last_stable_offset_is_found() {
    found(Bug::RestoreToLastStableOffset);
}

#[test]
fn state_undone_after_a_commit_whose_answer_was_lost_is_found() {
    found(Bug::UndoAfterLostAnswer);
}

#[test]
fn deduplication_by_event_time_is_found() {
    found(Bug::DedupByEventTime);
}

#[test]
fn timers_that_are_not_in_the_changelog_are_found() {
    found(Bug::TimersNotInChangelog);
}

#[test]
fn an_abort_without_a_rewind_is_found() {
    found(Bug::AbortWithoutRewind);
}

#[test]
fn a_snapshot_whose_position_is_ahead_of_its_data_is_found() {
    found(Bug::SnapshotAheadOfItsData);
}

#[test]
fn a_snapshot_that_is_older_than_tombstones_are_kept_is_found() {
    found(Bug::SnapshotOlderThanTombstones);
}

#[test]
fn a_step_without_offsets_is_found() {
    found(Bug::StepWithoutOffsets);
}
