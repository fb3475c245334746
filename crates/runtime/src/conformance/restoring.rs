//! Cases about reading state back.

use super::{Harness, IN, LIMITS, STATE, at, commit, read_all, say, text};
use crate::log::{Batch, BatchLimits, CommitOutcome, Log, LogError, Restoring};
use crate::record::{NextOffset, TopicPartition};

/// Restores a partition from its start until the target or the end of what shows; values, and where it stopped.
pub(super) fn restore<H: Harness>(
    h: &mut H,
    log: &mut H::Log,
    of: TopicPartition,
    limits: &BatchLimits,
) -> Result<(Vec<String>, Restoring), LogError> {
    let position = log.earliest(of)?;
    restore_from(h, log, (of, position), limits)
}

/// As [`restore`], from a position on.
fn restore_from<H: Harness>(
    h: &mut H,
    log: &mut H::Log,
    (of, mut position): (TopicPartition, NextOffset),
    limits: &BatchLimits,
) -> Result<(Vec<String>, Restoring), LogError> {
    let target = log.high_watermark(of)?;
    let (mut values, mut batch, mut attempt) = (Vec::new(), Batch::default(), 0);
    loop {
        let read = log.restore(of, position, limits, &mut batch)?;
        values.extend(batch.iter().map(|record| text(&record.into())));
        attempt = if read.position > position { 0 } else { attempt + 1 };
        position = read.position;
        if position >= target || (attempt > 0 && !h.wait(attempt)) {
            return Ok((values, read));
        }
    }
}

/// A commit is told before its markers are written, and until then nothing of it shows: waits until the partition of `state` reaches so
/// far.
fn await_markers<H: Harness>(h: &mut H, lane: &mut H::Log, end: NextOffset) -> Result<(), LogError> {
    let mut attempt = 0;
    while lane.high_watermark(at(STATE, 0))? < end {
        attempt += 1;
        assert!(h.wait(attempt), "the markers do not come");
    }
    Ok(())
}

pub(super) fn restore_passes_over_markers_to_the_high_watermark<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    for value in ["1", "2"] {
        assert_eq!(commit(&mut lane, &[(at(STATE, 0), value)], (at(IN, 0), 0))?, CommitOutcome::Committed);
    }
    await_markers(h, &mut lane, NextOffset(4))?;
    let (values, end) = restore(h, &mut lane, at(STATE, 0), &LIMITS)?;
    assert_eq!(values, ["1", "2"]);
    assert!(end.position >= NextOffset(4), "{end:?}");
    Ok(())
}

pub(super) fn restore_never_sees_aborted_records<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "1")?;
    h.die_in_transaction("other", 0, b"aborted")?;
    drop(h.lane("other", &[at(IN, 1)])?);
    say(h, 0, "2")?;
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    let (values, end) = restore(h, &mut lane, at(IN, 0), &LIMITS)?;
    assert_eq!(values, ["1", "2"]);
    assert_eq!(end.position, lane.high_watermark(at(IN, 0))?);
    Ok(())
}

pub(super) fn restore_waits_behind_an_open_transaction<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "1")?;
    h.die_in_transaction("other", 0, b"undecided")?;
    say(h, 0, "2")?;
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    let target = lane.high_watermark(at(IN, 0))?;
    assert_eq!(target, NextOffset(3), "the uncommitted view shows the end");
    let (values, end) = restore(h, &mut lane, at(IN, 0), &LIMITS)?;
    assert_eq!(values, ["1"]);
    assert!(end.at_end && end.position < target, "{end:?}");
    Ok(())
}

/// Several are restored in turn, and each stops before an open transaction: once one is decided, it is read on.
pub(super) fn a_partition_that_waited_while_others_were_read_is_read_on<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    say(h, 0, "1")?;
    h.die_in_transaction("other", 0, b"undecided")?;
    say(h, 0, "2")?;
    say(h, 1, "a")?;
    h.die_in_transaction("another", 1, b"undecided")?;
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    let (values, end) = restore(h, &mut lane, at(IN, 0), &LIMITS)?;
    assert_eq!(values, ["1"]);
    for _ in 0..2 {
        let (values, _) = restore(h, &mut lane, at(IN, 1), &LIMITS)?;
        assert_eq!(values, ["a"]);
    }
    // A producer of that name decides what the one before left open.
    h.die_in_transaction("other", 1, b"undecided")?;
    let (values, _) = restore_from(h, &mut lane, (at(IN, 0), end.position), &LIMITS)?;
    assert_eq!(values, ["2"]);
    Ok(())
}

pub(super) fn restore_does_not_disturb_polling<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "a")?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(commit(&mut lane, &[(at(STATE, 0), "1")], (at(IN, 0), 0))?, CommitOutcome::Committed);
    await_markers(h, &mut lane, NextOffset(2))?;
    let (values, _) = restore(h, &mut lane, at(STATE, 0), &LIMITS)?;
    assert_eq!(values, ["1"]);
    assert_eq!(read_all(h, &mut lane)?, ["a"]);
    Ok(())
}

pub(super) fn restore_in_slices_gives_the_same_records<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for value in ["1", "2", "3", "4", "5"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    let (values, end) = restore(h, &mut lane, at(IN, 0), &BatchLimits { records: 2, bytes: 1 << 20 })?;
    assert_eq!(values, ["1", "2", "3", "4", "5"]);
    assert_eq!(end.position, NextOffset(5));
    Ok(())
}

pub(super) fn a_restore_that_retention_overtook_is_told_so<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for value in ["1", "2", "3", "4"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    h.delete_before(0, 3)?;
    let (position, mut batch, mut attempt) = (NextOffset(1), Batch::default(), 0);
    let gap = LogError::OutOfRange { at: at(IN, 0), position, earliest: NextOffset(3) };
    loop {
        match lane.restore(at(IN, 0), position, &LIMITS, &mut batch) {
            Err(error) => {
                assert_eq!(error, gap);
                break;
            }
            Ok(read) => assert_eq!((read.position, batch.len()), (position, 0), "passed over"),
        }
        attempt += 1;
        assert!(h.wait(attempt), "not told");
    }
    let (values, _) = restore(h, &mut lane, at(IN, 0), &LIMITS)?;
    assert_eq!(values, ["4"], "it can begin anew");
    Ok(())
}

pub(super) fn what_is_decided_ends_before_an_open_transaction<H: Harness>(h: &mut H) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    say(h, 0, "1")?;
    h.die_in_transaction("other", 0, b"undecided")?;
    assert_eq!(lane.decided(&[at(IN, 0), at(STATE, 0)])?, [NextOffset(1), NextOffset(0)]);
    assert_eq!(lane.high_watermark(at(IN, 0))?, NextOffset(2));
    Ok(())
}

pub(super) fn the_first_record_since_a_time_is_found<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for time in [1_000, 2_000, 3_000] {
        h.append(0, time, None, Some(b"v"))?;
    }
    let mut lane = h.lane("one", &[at(IN, 1)])?;
    // The log may have stamped them by a clock of its own, also within one millisecond.
    let times: Vec<_> = h.read_committed(at(IN, 0))?.iter().map(|record| record.append_time).collect();
    let second = times.iter().position(|time| *time >= times[1]).map(|offset| NextOffset(offset as u64));
    for (time, next) in [(times[0] - 1, Some(NextOffset(0))), (times[1], second)] {
        let found = lane.first_since(&[at(IN, 0), at(IN, 1)], time)?;
        assert_eq!(found, [next, None], "{times:?}");
    }
    assert_eq!(lane.first_since(&[at(IN, 0)], times[2] + 1)?, [None]);
    Ok(())
}
