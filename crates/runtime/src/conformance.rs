//! What every implementation of [`Log`] must do, as a suite that runs against any of them: the embedded log in this
//! crate's tests, real Kafka in those of the connectors. So the model can't drift from the broker.
//!
//! Run every case of [`cases`] on a harness of its own, with fresh topics. A case panics (it asserts) where the log
//! misbehaves, and returns the error where the log fails.

mod cleaning;
mod holding;
mod reading;
mod restoring;
mod writing;

use crate::embedded::OwnedRecord;
use crate::log::{Batch, BatchLimits, CommitOutcome, Log, LogError};
use crate::outbox::{Outbox, To};
use crate::record::{
    Cleanup, Headers, Millis, NextOffset, Partition, TopicId, TopicPartition, TopicSpec, TopicTable,
};

/// A log under test, with the topics of [`topics`].
pub trait Harness {
    /// The log as a lane sees it.
    type Log: Log;

    /// Appends a record outside of any transaction; `partition` is of the topic `in`.
    ///
    /// # Errors
    /// Those of the log.
    fn append(
        &mut self,
        partition: Partition,
        time: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), LogError>;

    /// A lane of the one group of this harness, that owns these partitions.
    ///
    /// # Errors
    /// Those of the log.
    fn lane(&mut self, transactional_id: &str, assignment: &[TopicPartition]) -> Result<Self::Log, LogError>;

    /// A producer of that transactional id begins a transaction, appends one record to a partition of `in`, and is
    /// heard of no more.
    ///
    /// # Errors
    /// Those of the log.
    fn die_in_transaction(
        &mut self,
        transactional_id: &str,
        partition: Partition,
        value: &[u8],
    ) -> Result<(), LogError>;

    /// Lets a partition of `in` begin at that offset: what stands before is deleted.
    ///
    /// # Errors
    /// Those of the log.
    fn delete_before(&mut self, partition: Partition, offset: u64) -> Result<(), LogError>;

    /// Waits until the cleaner has been over a partition of the topic `state`, or lets it: of each key only the last record
    /// stays, of those before the newest record of the partition. A tombstone may stay or go.
    ///
    /// # Errors
    /// Those of the log.
    fn compact(&mut self, partition: Partition) -> Result<(), LogError>;

    /// What a `read_committed` reader sees of a partition now, from the start.
    ///
    /// # Errors
    /// Those of the log.
    fn read_committed(&mut self, at: TopicPartition) -> Result<Vec<OwnedRecord>, LogError>;

    /// The largest record that the log takes, in bytes.
    fn record_limit(&self) -> usize;

    /// Called when a read brought less than expected, with the number of calls in a row. A log with a network waits a
    /// little and returns true, until it has waited so long that nothing can come any more.
    fn wait(&mut self, attempt: u32) -> bool;
}

/// A case of the suite, with its name.
pub type Case<H> = (&'static str, fn(&mut H) -> Result<(), LogError>);

macro_rules! named {
    ($($module:ident :: $case:ident),* $(,)?) => { vec![$((stringify!($case), $module::$case)),*] };
}

/// All cases.
#[must_use]
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    named![
        reading::each_partition_is_read_in_order_from_the_earliest_record,
        reading::null_and_empty_keys_and_values_are_told_apart,
        reading::a_batch_keeps_its_limits_and_takes_a_larger_record_alone,
        reading::seek_reads_again,
        reading::one_partition_can_be_read_while_others_wait,
        reading::an_open_transaction_holds_readers_back,
        reading::an_aborted_transaction_is_never_seen,
        reading::records_can_be_awaited_without_being_read,
        holding::a_held_partition_is_not_read_and_the_others_are,
        holding::a_released_partition_goes_on_from_where_it_was_left,
        holding::a_held_partition_can_be_moved,
        holding::a_gap_is_told_until_the_partition_is_held,
        holding::ends_tell_what_is_left_and_what_only_looks_like_it,
        holding::the_end_of_what_is_decided_is_before_an_open_transaction,
        holding::a_position_from_before_a_seek_is_not_taken_for_the_end,
        writing::records_and_offsets_are_committed_together,
        writing::headers_and_order_of_an_outbox_survive,
        writing::a_restarted_lane_reads_on_from_the_committed_offset,
        writing::a_zombie_of_the_same_transactional_id_is_fenced,
        writing::a_lane_that_lost_its_partition_is_refused_with_an_unchanged_offset,
        writing::a_transaction_without_offsets_is_refused,
        writing::an_oversize_record_is_refused_with_all_of_its_transaction,
        writing::a_recovered_lane_commits_again,
        writing::a_partition_that_moves_is_read_on_from_what_its_lane_committed,
        cleaning::compaction_keeps_the_last_record_of_each_key_at_its_offset,
        cleaning::a_restore_passes_over_what_compaction_took,
        restoring::restore_passes_over_markers_to_the_high_watermark,
        restoring::restore_never_sees_aborted_records,
        restoring::restore_waits_behind_an_open_transaction,
        restoring::a_partition_that_waited_while_others_were_read_is_read_on,
        restoring::restore_does_not_disturb_polling,
        restoring::restore_in_slices_gives_the_same_records,
        restoring::a_restore_that_retention_overtook_is_told_so,
        restoring::what_is_decided_ends_before_an_open_transaction,
        restoring::the_first_record_since_a_time_is_found,
    ]
}

/// The topics of the suite: `in` and `out` with two partitions, `state` (compacted) with one.
#[must_use]
pub fn topics() -> TopicTable {
    let mut table = TopicTable::new();
    let delete = Cleanup::Delete { retention_ms: 3_600_000 };
    for (name, partitions, cleanup) in [("in", 2, delete), ("out", 2, delete), ("state", 1, Cleanup::Compact)]
    {
        table.add(TopicSpec { name: name.to_owned(), partitions, cleanup });
    }
    table
}

/// The topic `in` of [`topics`].
pub const IN: TopicId = TopicId(0);
/// The topic `out` of [`topics`].
pub const OUT: TopicId = TopicId(1);
/// The topic `state` of [`topics`].
pub const STATE: TopicId = TopicId(2);

const LIMITS: BatchLimits = BatchLimits { records: 100, bytes: 1 << 20 };

fn at(topic: TopicId, partition: Partition) -> TopicPartition {
    TopicPartition { topic, partition }
}

fn say<H: Harness>(harness: &mut H, partition: Partition, value: &str) -> Result<(), LogError> {
    harness.append(partition, 0, None, Some(value.as_bytes()))
}

fn outbox(records: &[(TopicPartition, &str)]) -> Outbox {
    let mut outbox = Outbox::default();
    for (at, value) in records {
        let to = To { topic: at.topic, partition: at.partition, time: 0 };
        outbox.push(to, Some(b"key"), Some(value.as_bytes()), Headers::default());
    }
    outbox
}

fn text(record: &OwnedRecord) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or(b"(none)")).into_owned()
}

/// Polls until that many records came, or no more can come.
fn read<H: Harness>(
    harness: &mut H,
    log: &mut H::Log,
    expected: usize,
) -> Result<Vec<OwnedRecord>, LogError> {
    let mut records: Vec<OwnedRecord> = Vec::new();
    let (mut batch, mut attempt) = (Batch::default(), 0);
    loop {
        log.poll(&LIMITS, &mut batch)?;
        records.extend(batch.iter().map(OwnedRecord::from));
        attempt = if batch.is_empty() { attempt + 1 } else { 0 };
        if records.len() >= expected || (batch.is_empty() && !harness.wait(attempt)) {
            return Ok(records);
        }
    }
}

/// Polls and commits nothing until the condition holds, or for as long as anything can come.
fn until<H: Harness>(
    harness: &mut H,
    log: &mut H::Log,
    condition: impl Fn(&mut H::Log) -> Result<bool, LogError>,
) -> Result<bool, LogError> {
    let (mut batch, mut attempt) = (Batch::default(), 0);
    loop {
        if condition(log)? {
            return Ok(true);
        }
        log.poll(&LIMITS, &mut batch)?;
        attempt += 1;
        if !harness.wait(attempt) {
            return Ok(false);
        }
    }
}

/// Values of all that can be polled.
fn read_all<H: Harness>(harness: &mut H, log: &mut H::Log) -> Result<Vec<String>, LogError> {
    Ok(read(harness, log, usize::MAX)?.iter().map(text).collect())
}

/// What a reader of committed records finds, once that many are there (or no more can come).
fn committed<H: Harness>(
    harness: &mut H,
    at: TopicPartition,
    expected: usize,
) -> Result<Vec<String>, LogError> {
    let mut attempt = 0;
    loop {
        let records = harness.read_committed(at)?;
        attempt += 1;
        if records.len() >= expected || !harness.wait(attempt) {
            return Ok(records.iter().map(text).collect());
        }
    }
}

fn commit<L: Log>(
    log: &mut L,
    records: &[(TopicPartition, &str)],
    next: (TopicPartition, u64),
) -> Result<CommitOutcome, LogError> {
    log.commit(&outbox(records), &[(next.0, NextOffset(next.1))])
}
