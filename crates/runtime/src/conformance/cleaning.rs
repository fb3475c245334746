//! Cases about compaction.

use super::restoring::restore;
use super::{Harness, IN, LIMITS, STATE, at, text};
use crate::log::{CommitOutcome, Log, LogError};
use crate::outbox::{Outbox, To};
use crate::record::{Headers, NextOffset};

/// Commits one record of the topic `state`.
fn put<L: Log>(lane: &mut L, key: &str, value: Option<&str>) -> Result<(), LogError> {
    let mut outbox = Outbox::default();
    let to = To { topic: STATE, partition: 0, time: 0 };
    outbox.push(to, Some(key.as_bytes()), value.map(str::as_bytes), Headers::default());
    let outcome = lane.commit(&outbox, &[(at(IN, 0), NextOffset(0))])?;
    assert_eq!(outcome, CommitOutcome::Committed);
    Ok(())
}

/// A lane, after the cleaner was over what it wrote: `a` twice, `b` and its tombstone, and the newest record.
fn cleaned<H: Harness>(h: &mut H) -> Result<H::Log, LogError> {
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    for (key, value) in [("a", Some("a1")), ("b", Some("b1")), ("b", None), ("a", Some("a2"))] {
        put(&mut lane, key, value)?;
    }
    // The cleaner leaves alone what was written last.
    h.wait(1);
    put(&mut lane, "newest", Some("newest"))?;
    h.compact(0)?;
    Ok(lane)
}

pub(super) fn compaction_keeps_the_last_record_of_each_key_at_its_offset<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    drop(cleaned(h)?);
    let left = h.read_committed(at(STATE, 0))?;
    let left: Vec<_> = left.iter().map(|record| (record.offset.0, text(record))).collect();
    let values = left.iter().filter(|(_, text)| text != "(none)");
    // Each record is followed by the marker of its transaction.
    assert!(values.eq(&[(6, "a2".to_owned()), (8, "newest".to_owned())]), "{left:?}");
    Ok(())
}

pub(super) fn a_restore_passes_over_what_compaction_took<H: Harness>(h: &mut H) -> Result<(), LogError> {
    let mut lane = cleaned(h)?;
    let target = lane.high_watermark(at(STATE, 0))?;
    let (values, end) = restore(h, &mut lane, at(STATE, 0), &LIMITS)?;
    let values: Vec<_> = values.into_iter().filter(|text| text != "(none)").collect();
    assert_eq!(values, ["a2", "newest"]);
    assert!(end.position >= target, "{end:?}");
    Ok(())
}
