//! Cases about partitions that are left alone, and about where partitions end.

use super::{Harness, IN, LIMITS, OUT, at, commit, read, read_all, say, text, until};
use crate::log::{Batch, BatchLimits, CommitOutcome, End, Log, LogError};
use crate::record::NextOffset;

fn values<H: Harness>(h: &mut H, lane: &mut H::Log, expected: usize) -> Result<Vec<String>, LogError> {
    Ok(read(h, lane, expected)?.iter().map(text).collect())
}

fn end<L: Log>(lane: &mut L) -> Result<End, LogError> {
    let ends = lane.ends(&[at(IN, 0)])?;
    assert_eq!(ends.len(), 1);
    Ok(ends[0])
}

pub(super) fn a_held_partition_is_not_read_and_the_others_are<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for value in ["a", "b"] {
        say(h, 0, value)?;
        say(h, 1, &value.to_uppercase())?;
    }
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    lane.hold(at(IN, 0))?;
    lane.hold(at(IN, 0))?;
    assert_eq!(read_all(h, &mut lane)?, ["A", "B"]);
    say(h, 0, "c")?;
    say(h, 1, "C")?;
    assert_eq!(read_all(h, &mut lane)?, ["C"]);
    let mut batch = Batch::default();
    lane.poll_partition(at(IN, 0), &LIMITS, &mut batch)?;
    assert!(batch.is_empty());
    let outcome = commit(&mut lane, &[(at(OUT, 0), "x")], (at(IN, 0), 0))?;
    assert_eq!(outcome, CommitOutcome::Committed, "its unchanged offset fences its task");
    let elsewhere = at(OUT, 0);
    assert_eq!(lane.hold(elsewhere), Err(LogError::NotAssigned { at: elsewhere }));
    assert_eq!(lane.release(elsewhere), Err(LogError::NotAssigned { at: elsewhere }));
    Ok(())
}

/// Both partitions have been fetched by the time that one is held: what was fetched of the other is read on.
pub(super) fn a_released_partition_goes_on_from_where_it_was_left<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    for value in ["a", "b", "c", "d"] {
        say(h, 0, value)?;
        say(h, 1, &value.to_uppercase())?;
    }
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    let (limits, mut batch, mut attempt) = (BatchLimits { records: 1, bytes: 1 << 20 }, Batch::default(), 0);
    for expected in [["a", "A"], ["b", "B"]] {
        for (partition, expected) in (0..).zip(expected) {
            lane.poll_partition(at(IN, partition), &limits, &mut batch)?;
            while batch.is_empty() {
                attempt += 1;
                assert!(h.wait(attempt), "{expected} is missing");
                lane.poll_partition(at(IN, partition), &limits, &mut batch)?;
            }
            assert_eq!(batch.get(0).map(|record| text(&record.into())).as_deref(), Some(expected));
        }
    }
    lane.hold(at(IN, 0))?;
    assert_eq!(read_all(h, &mut lane)?, ["C", "D"]);
    lane.release(at(IN, 0))?;
    lane.release(at(IN, 0))?;
    assert_eq!(read_all(h, &mut lane)?, ["c", "d"]);
    lane.hold(at(IN, 0))?;
    lane.release(at(IN, 0))?;
    say(h, 0, "e")?;
    assert_eq!(read_all(h, &mut lane)?, ["e"]);
    Ok(())
}

pub(super) fn a_held_partition_can_be_moved<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for value in ["a", "b", "c"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(values(h, &mut lane, 3)?, ["a", "b", "c"]);
    lane.seek(at(IN, 0), NextOffset(1))?;
    lane.hold(at(IN, 0))?;
    lane.seek(at(IN, 0), NextOffset(2))?;
    assert_eq!(read_all(h, &mut lane)?, [""; 0], "it stays held");
    lane.release(at(IN, 0))?;
    assert_eq!(values(h, &mut lane, 1)?, ["c"]);
    Ok(())
}

pub(super) fn a_gap_is_told_until_the_partition_is_held<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for value in ["a", "b", "c", "d"] {
        say(h, 0, value)?;
    }
    say(h, 1, "A")?;
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    assert_eq!(commit(&mut lane, &[], (at(IN, 0), 1))?, CommitOutcome::Committed);
    h.delete_before(0, 3)?;
    drop(lane);
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    let gap = LogError::OutOfRange { at: at(IN, 0), position: NextOffset(1), earliest: NextOffset(3) };
    let (mut seen, mut batch, mut attempt) = (Vec::new(), Batch::default(), 0);
    let mut told = 0;
    while told < 3 {
        match lane.poll(&LIMITS, &mut batch) {
            Ok(()) => {
                assert_eq!(told, 0, "and then it was not told any more");
                seen.extend(batch.iter().map(|record| text(&record.into())));
                attempt += 1;
                assert!(h.wait(attempt), "not told");
            }
            Err(error) => {
                assert_eq!(error, gap);
                told += 1;
            }
        }
    }
    lane.hold(at(IN, 0))?;
    say(h, 1, "B")?;
    seen.extend(read_all(h, &mut lane)?);
    assert_eq!(seen, ["A", "B"], "the other partition goes on");
    lane.seek(at(IN, 0), NextOffset(3))?;
    lane.release(at(IN, 0))?;
    assert_eq!(values(h, &mut lane, 1)?, ["d"], "passed over on purpose");
    Ok(())
}

pub(super) fn ends_tell_what_is_left_and_what_only_looks_like_it<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    let empty = End { high_watermark: NextOffset(0), decided: NextOffset(0), passed: NextOffset(0) };
    assert_eq!(lane.ends(&[at(IN, 1), at(IN, 0)])?, [empty, empty]);
    assert_eq!(lane.ends(&[])?, []);
    let elsewhere = at(OUT, 0);
    assert_eq!(lane.ends(&[elsewhere]), Err(LogError::NotAssigned { at: elsewhere }));
    say(h, 0, "a")?;
    let behind = end(&mut lane)?;
    assert_eq!((behind.high_watermark, behind.decided), (NextOffset(1), NextOffset(1)));
    assert!(behind.passed < behind.decided, "{behind:?}");
    assert_eq!(values(h, &mut lane, 1)?, ["a"]);
    assert_eq!(end(&mut lane)?.passed, NextOffset(1));
    // A record that is aborted, and its marker: nothing of it can be read.
    h.die_in_transaction("other", 0, b"aborted")?;
    drop(h.lane("other", &[at(IN, 1)])?);
    assert!(
        until(h, &mut lane, |lane| {
            let end = end(lane)?;
            assert_eq!(end.high_watermark, NextOffset(3));
            Ok(end.decided == NextOffset(3) && end.passed >= end.decided)
        })?,
        "{:?}",
        end(&mut lane)?
    );
    say(h, 0, "b")?;
    let behind = end(&mut lane)?;
    assert_eq!((behind.decided, behind.passed < behind.decided), (NextOffset(4), true));
    assert_eq!(values(h, &mut lane, 1)?, ["b"]);
    assert_eq!(end(&mut lane)?.passed, NextOffset(4));
    Ok(())
}

pub(super) fn the_end_of_what_is_decided_is_before_an_open_transaction<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    say(h, 0, "a")?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    h.die_in_transaction("other", 0, b"undecided")?;
    say(h, 0, "b")?;
    assert_eq!(values(h, &mut lane, 1)?, ["a"]);
    let (high_watermark, decided, passed) = (NextOffset(3), NextOffset(1), NextOffset(1));
    assert_eq!(end(&mut lane)?, End { high_watermark, decided, passed });
    Ok(())
}

pub(super) fn a_position_from_before_a_seek_is_not_taken_for_the_end<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    for value in ["a", "b"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(values(h, &mut lane, 2)?, ["a", "b"]);
    let mut batch = Batch::default();
    for round in 0..5 {
        lane.seek(at(IN, 0), NextOffset(0))?;
        assert_eq!(end(&mut lane)?.passed, NextOffset(0), "round {round}");
        lane.poll_partition(at(IN, 0), &LIMITS, &mut batch)?;
        assert!(!batch.is_empty(), "round {round}: an empty batch says that nothing is there");
        assert_eq!(batch.get(0).map(|record| text(&record.into())).as_deref(), Some("a"), "round {round}");
    }
    Ok(())
}
