//! Cases about reading.

use super::{Harness, IN, LIMITS, OwnedRecord, at, read, read_all, say, text};
use crate::log::{Batch, BatchLimits, Log, LogError};
use crate::record::NextOffset;

pub(super) fn each_partition_is_read_in_order_from_the_earliest_record<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    for value in ["a", "b", "c"] {
        say(h, 0, value)?;
        say(h, 1, &value.to_uppercase())?;
    }
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    assert_eq!(lane.committed(&[at(IN, 0)])?, [None]);
    let records = read(h, &mut lane, 6)?;
    let of = |partition| records.iter().filter(move |record| record.partition == partition);
    assert_eq!(of(0).map(text).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(of(1).map(text).collect::<Vec<_>>(), ["A", "B", "C"]);
    assert!(of(0).map(|record| record.offset.0).eq(0..3), "plain records leave no gaps");
    Ok(())
}

pub(super) fn null_and_empty_keys_and_values_are_told_apart<H: Harness>(h: &mut H) -> Result<(), LogError> {
    h.append(0, 1, None, Some(b""))?;
    h.append(0, 2, Some(b""), None)?;
    h.append(0, 3, Some(b"k"), Some(b"v"))?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let records = read(h, &mut lane, 3)?;
    let bytes = |record: &OwnedRecord| (record.key.clone(), record.value.clone());
    let expected = [(None, Some(vec![])), (Some(vec![]), None), (Some(b"k".to_vec()), Some(b"v".to_vec()))];
    assert_eq!(records.iter().map(bytes).collect::<Vec<_>>(), expected);
    Ok(())
}

pub(super) fn a_batch_keeps_its_limits_and_takes_a_larger_record_alone<H: Harness>(
    h: &mut H,
) -> Result<(), LogError> {
    let large = "x".repeat(100);
    for value in ["1", "2", "3", large.as_str(), "4"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let (limits, mut batch) = (BatchLimits { records: 2, bytes: 50 }, Batch::default());
    let (mut seen, mut attempt) = (Vec::new(), 0);
    while seen.len() < 5 {
        lane.poll(&limits, &mut batch)?;
        assert!(batch.len() <= 2);
        assert!(batch.bytes() <= 50 || batch.len() == 1);
        attempt = if batch.is_empty() { attempt + 1 } else { 0 };
        assert!(attempt == 0 || h.wait(attempt), "records are missing after {seen:?}");
        seen.extend(batch.iter().map(|record| text(&record.into())));
    }
    assert_eq!(seen, ["1", "2", "3", large.as_str(), "4"]);
    Ok(())
}

pub(super) fn seek_reads_again<H: Harness>(h: &mut H) -> Result<(), LogError> {
    for value in ["a", "b", "c"] {
        say(h, 0, value)?;
    }
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(read(h, &mut lane, 3)?.len(), 3);
    lane.seek(at(IN, 0), NextOffset(1))?;
    assert_eq!(read(h, &mut lane, 2)?.iter().map(text).collect::<Vec<_>>(), ["b", "c"]);
    let elsewhere = at(IN, 1);
    assert_eq!(lane.seek(elsewhere, NextOffset(0)), Err(LogError::NotAssigned { at: elsewhere }));
    Ok(())
}

pub(super) fn one_partition_can_be_read_while_others_wait<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "a")?;
    say(h, 1, "A")?;
    say(h, 1, "B")?;
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    let (mut batch, mut seen, mut attempt) = (Batch::default(), Vec::new(), 0);
    while seen.len() < 2 {
        lane.poll_partition(at(IN, 1), &LIMITS, &mut batch)?;
        attempt = if batch.is_empty() { attempt + 1 } else { 0 };
        assert!(attempt == 0 || h.wait(attempt), "records are missing after {seen:?}");
        seen.extend(batch.iter().map(|record| text(&record.into())));
    }
    assert_eq!(seen, ["A", "B"]);
    assert_eq!(read_all(h, &mut lane)?, ["a"]);
    Ok(())
}

pub(super) fn an_open_transaction_holds_readers_back<H: Harness>(h: &mut H) -> Result<(), LogError> {
    say(h, 0, "before")?;
    h.die_in_transaction("other", 0, b"undecided")?;
    say(h, 0, "behind")?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    assert_eq!(read_all(h, &mut lane)?, ["before"]);
    // The restarted producer decides it at once, by aborting.
    drop(h.lane("other", &[at(IN, 1)])?);
    assert_eq!(read_all(h, &mut lane)?, ["behind"]);
    Ok(())
}

pub(super) fn an_aborted_transaction_is_never_seen<H: Harness>(h: &mut H) -> Result<(), LogError> {
    h.die_in_transaction("other", 0, b"aborted")?;
    drop(h.lane("other", &[at(IN, 1)])?);
    say(h, 0, "after")?;
    let mut lane = h.lane("one", &[at(IN, 0)])?;
    let records = read(h, &mut lane, usize::MAX)?;
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), ["after"]);
    assert!(
        records.iter().all(|record| record.offset.0 == 2),
        "the record and its marker take an offset each"
    );
    Ok(())
}

pub(super) fn records_can_be_awaited_without_being_read<H: Harness>(h: &mut H) -> Result<(), LogError> {
    let mut lane = h.lane("one", &[at(IN, 0), at(IN, 1)])?;
    lane.hold(at(IN, 1))?;
    say(h, 1, "held")?;
    assert!(!lane.await_records()?, "of a held partition nothing is awaited");
    say(h, 0, "a")?;
    let mut attempt = 0;
    while !lane.await_records()? {
        attempt += 1;
        assert!(h.wait(attempt), "nothing came");
    }
    assert!(lane.await_records()?, "it is still there");
    assert_eq!(read_all(h, &mut lane)?, ["a"]);
    assert!(!lane.await_records()?);
    Ok(())
}
