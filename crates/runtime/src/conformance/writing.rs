//! Cases about transactions.

use super::{Harness, IN, OUT, at, commit, committed, outbox, read, read_all, say, text};
use crate::log::{CommitOutcome, Log, LogError};
use crate::outbox::{Outbox, To};
use crate::record::{Headers, NextOffset};

pub(super) fn records_and_offsets_are_committed_together<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "a")?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let records = [(at(OUT, 0), "x"), (at(OUT, 1), "y")];
    assert_eq!(commit(&mut lane, &records, (at(IN, 0), 1))?, CommitOutcome::Committed);
    assert_eq!(lane.committed(&[at(IN, 0)])?, [Some(NextOffset(1))]);
    assert_eq!(committed(h, at(OUT, 0), 1)?, ["x"]);
    assert_eq!(committed(h, at(OUT, 1), 1)?, ["y"]);
    // Offsets alone are a transaction too.
    assert_eq!(commit(&mut lane, &[], (at(IN, 0), 2))?, CommitOutcome::Committed);
    assert_eq!(lane.committed(&[at(IN, 0)])?, [Some(NextOffset(2))]);
    Ok(())
}

pub(super) fn headers_and_order_of_an_outbox_survive<H: Harness>(h: &mut H) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let mut outbox = Outbox::default();
    let mut headers = Headers::default();
    headers.push("name", b"first");
    headers.push("name", b"last");
    let to = To { topic: OUT, partition: 0, time: 7 };
    outbox.push(to, Some(b"k"), Some(b"1"), headers.clone());
    outbox.push(to, Some(b"k"), None, Headers::default());
    outbox.push_with(to, None, Headers::default(), |value| {
        value.extend_from_slice(b"3");
    });
    assert_eq!(lane.commit(&outbox, &[(at(IN, 0), NextOffset(0))])?, CommitOutcome::Committed);
    assert_eq!(committed(h, at(OUT, 0), 3)?, ["1", "(none)", "3"]);
    let records = h.read_committed(at(OUT, 0))?;
    assert_eq!(records.first().map(|record| &record.headers), Some(&headers));
    assert_eq!(records.last().map(|record| &record.key), Some(&None));
    Ok(())
}

pub(super) fn a_restarted_lane_reads_on_from_the_committed_offset<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    for value in ["a", "b", "c"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(read(h, &mut lane, 3)?.len(), 3);
    assert_eq!(commit(&mut lane, &[(at(OUT, 0), "x")], (at(IN, 0), 2))?, CommitOutcome::Committed);
    drop(lane);
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(read(h, &mut lane, 1)?.iter().map(text).collect::<Vec<_>>(), ["c"]);
    Ok(())
}

pub(super) fn a_zombie_of_the_same_transactional_id_is_fenced<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "a")?;
    let mut zombie = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(commit(&mut zombie, &[(at(OUT, 0), "x")], (at(IN, 0), 1))?, CommitOutcome::Committed);
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let outcome = commit(&mut zombie, &[(at(OUT, 0), "zombie")], (at(IN, 0), 9))?;
    assert!(matches!(outcome, CommitOutcome::Fenced(_)), "{outcome:?}");
    assert_eq!(lane.committed(&[at(IN, 0)])?, [Some(NextOffset(1))]);
    assert_eq!(commit(&mut lane, &[(at(OUT, 0), "y")], (at(IN, 0), 1))?, CommitOutcome::Committed);
    assert_eq!(committed(h, at(OUT, 0), 2)?, ["x", "y"]);
    Ok(())
}

pub(super) fn a_lane_that_lost_its_partition_is_refused_with_an_unchanged_offset<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    let mut old = h.lane("old", &[at(IN, 0)])?;
    assert_eq!(commit(&mut old, &[(at(OUT, 0), "x")], (at(IN, 0), 0))?, CommitOutcome::Committed);
    let mut new = h.lane("new", &[at(IN, 0)])?;
    let outcome = commit(&mut old, &[(at(OUT, 0), "too late")], (at(IN, 0), 0))?;
    assert!(matches!(outcome, CommitOutcome::Fenced(_)), "{outcome:?}");
    assert_eq!(commit(&mut new, &[(at(OUT, 0), "y")], (at(IN, 0), 0))?, CommitOutcome::Committed);
    assert_eq!(committed(h, at(OUT, 0), 2)?, ["x", "y"]);
    Ok(())
}

pub(super) fn a_transaction_without_offsets_is_refused<H: Harness>(h: &mut H) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(lane.commit(&outbox(&[(at(OUT, 0), "x")]), &[]), Err(LogError::NoOffsets));
    assert_eq!(commit(&mut lane, &[(at(OUT, 0), "y")], (at(IN, 0), 0))?, CommitOutcome::Committed);
    assert_eq!(committed(h, at(OUT, 0), 1)?, ["y"]);
    Ok(())
}

pub(super) fn an_oversize_record_is_refused_with_all_of_its_transaction<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let large = "x".repeat(h.record_limit() + 1);
    let result = commit(&mut lane, &[(at(OUT, 0), "small"), (at(OUT, 0), &large)], (at(IN, 0), 3));
    assert!(matches!(result, Err(LogError::TooLarge { .. })), "not refused");
    assert_eq!(lane.committed(&[at(IN, 0)])?, [None]);
    assert_eq!(commit(&mut lane, &[(at(OUT, 0), "y")], (at(IN, 0), 1))?, CommitOutcome::Committed);
    assert_eq!(committed(h, at(OUT, 0), 1)?, ["y"]);
    Ok(())
}

pub(super) fn a_recovered_lane_commits_again<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "a")?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(commit(&mut lane, &[(at(OUT, 0), "x")], (at(IN, 0), 0))?, CommitOutcome::Committed);
    lane.recover()?;
    assert_eq!(read_all(h, &mut lane)?, ["a"], "recovering does not move the reader");
    assert_eq!(commit(&mut lane, &[(at(OUT, 0), "y")], (at(IN, 0), 1))?, CommitOutcome::Committed);
    assert_eq!(committed(h, at(OUT, 0), 2)?, ["x", "y"]);
    Ok(())
}

pub(super) fn a_partition_that_moves_is_read_on_from_what_its_lane_committed<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    for value in ["a", "b", "c"] {
        say(h, 0, value)?;
    }
    let mut old = h.lane("old", &[at(IN, 0)])?;
    assert_eq!(read(h, &mut old, 3)?.len(), 3);
    assert_eq!(commit(&mut old, &[(at(OUT, 0), "a+b")], (at(IN, 0), 2))?, CommitOutcome::Committed);
    // What it read and did not commit is for its successor.
    let mut new = h.lane("new", &[at(IN, 0)])?;
    assert_eq!(read_all(h, &mut new)?, ["c"]);
    let outcome = commit(&mut old, &[(at(OUT, 0), "c, too late")], (at(IN, 0), 3))?;
    assert!(matches!(outcome, CommitOutcome::Fenced(_)), "{outcome:?}");
    assert_eq!(commit(&mut new, &[(at(OUT, 0), "c")], (at(IN, 0), 3))?, CommitOutcome::Committed);
    assert_eq!(new.committed(&[at(IN, 0)])?, [Some(NextOffset(3))]);
    assert_eq!(committed(h, at(OUT, 0), 2)?, ["a+b", "c"]);
    Ok(())
}
