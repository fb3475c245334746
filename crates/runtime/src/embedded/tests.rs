use super::*;
use crate::conformance::{Harness, IN, OUT, STATE, cases, topics};
use crate::log::{Batch, BatchLimits, CommitOutcome, Log};
use crate::outbox::{Outbox, To};
use crate::record::{Cleanup, TopicSpec};

const GROUP: &str = "group";
const LIMIT: usize = 10_000;

struct Embedded(EmbeddedLog);

fn input(partition: Partition) -> TopicPartition {
    TopicPartition { topic: IN, partition }
}

impl Harness for Embedded {
    type Log = EmbeddedLane;

    fn append(
        &mut self,
        partition: Partition,
        time: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), LogError> {
        self.0.producer_append(input(partition), time, key, value, Headers::default()).map(drop)
    }

    fn lane(&mut self, id: &str, assignment: &[TopicPartition]) -> Result<EmbeddedLane, LogError> {
        self.0.lane(GROUP, id, assignment)
    }

    fn die_in_transaction(&mut self, id: &str, partition: Partition, value: &[u8]) -> Result<(), LogError> {
        self.0.begin(id)?.append(input(partition), 0, None, Some(value), Headers::default()).map(drop)
    }

    fn delete_before(&mut self, partition: Partition, offset: u64) -> Result<(), LogError> {
        self.0.delete_before(input(partition), NextOffset(offset))
    }

    fn compact(&mut self, _: Partition) -> Result<(), LogError> {
        self.0.compact(Millis::MIN);
        Ok(())
    }

    fn read_committed(&mut self, at: TopicPartition) -> Result<Vec<OwnedRecord>, LogError> {
        self.0.read_committed(at).map(Iterator::collect)
    }

    fn record_limit(&self) -> usize {
        LIMIT
    }

    fn wait(&mut self, _: u32) -> bool {
        false
    }
}

#[test]
fn the_embedded_log_conforms() {
    for (name, case) in cases::<Embedded>() {
        println!("{name}");
        case(&mut Embedded(EmbeddedLog::with_record_limit(topics(), LIMIT))).unwrap();
    }
}

const STATE_0: TopicPartition = TopicPartition { topic: STATE, partition: 0 };
const OUT_0: TopicPartition = TopicPartition { topic: OUT, partition: 0 };

fn put(log: &EmbeddedLog, at: TopicPartition, time: Millis, key: Option<&str>, value: Option<&str>) {
    log.producer_append(at, time, key.map(str::as_bytes), value.map(str::as_bytes), Headers::default())
        .unwrap();
}

fn values(records: impl Iterator<Item = OwnedRecord>) -> Vec<String> {
    records.map(|record| String::from_utf8(record.value.unwrap_or_default()).unwrap()).collect()
}

fn one(value: &str) -> Outbox {
    let mut outbox = Outbox::default();
    let to = To { topic: OUT, partition: 0, time: 42 };
    outbox.push(to, None, Some(value.as_bytes()), Headers::default());
    outbox
}

#[test]
fn compaction_keeps_the_last_committed_value_of_each_key_in_order_of_offset() {
    let log = EmbeddedLog::new(topics());
    put(&log, STATE_0, 0, Some("a"), Some("a1"));
    put(&log, STATE_0, 0, Some("b"), Some("b1"));
    put(&log, STATE_0, 0, Some("a"), Some("a2"));
    put(&log, STATE_0, 0, Some("gone"), Some("g1"));
    put(&log, STATE_0, 0, None, Some("no key"));
    put(&log, STATE_0, 0, Some("gone"), None);
    put(&log, STATE_0, 0, Some("b"), Some("b2"));
    let mut transaction = log.begin("other").unwrap();
    transaction.append(STATE_0, 0, Some(b"a"), Some(b"aborted"), Headers::default()).unwrap();
    transaction.abort().unwrap();
    assert_eq!(values(log.compacted(STATE_0).unwrap()), ["a2", "no key", "b2"]);
    put(&log, STATE_0, 0, Some("gone"), Some("back"));
    assert_eq!(values(log.compacted(STATE_0).unwrap()), ["a2", "no key", "b2", "back"]);
}

#[test]
fn append_time_is_the_time_of_the_decision() {
    let log = EmbeddedLog::new(topics());
    put(&log, input(0), 7, None, Some("a"));
    put(&log, input(0), 5, None, Some("b"));
    let mut lane = log.lane(GROUP, "one", &[input(0)]).unwrap();
    lane.commit(&one("x"), &[(input(0), NextOffset(2))]).unwrap();
    let times = |at| log.read_committed(at).unwrap().map(|record| record.append_time).collect::<Vec<_>>();
    assert_eq!(times(OUT_0), [42]);
    assert_eq!(times(input(0)), [7, 5], "time may go back: nothing is bent");
}

#[test]
fn several_partitions_are_merged_in_the_order_of_their_appends() {
    let log = EmbeddedLog::new(topics());
    for (partition, value) in [(1, "1"), (0, "2"), (0, "3"), (1, "4"), (0, "5")] {
        put(&log, input(partition), 0, None, Some(value));
    }
    let mut lane = log.lane(GROUP, "one", &[input(0), input(1)]).unwrap();
    let (mut batch, mut seen) = (Batch::default(), Vec::new());
    loop {
        lane.poll(&BatchLimits { records: 2, bytes: 100 }, &mut batch).unwrap();
        if batch.is_empty() {
            break;
        }
        seen.extend(batch.iter().map(|record| record.value.unwrap().to_vec()));
    }
    assert_eq!(seen.concat(), b"12345");
}

#[test]
fn an_undecided_transaction_must_be_recovered_before_the_next() {
    let log = EmbeddedLog::new(topics());
    let mut lane = log.lane(GROUP, "one", &[input(0)]).unwrap();
    log.fail_commit("one", Fault::LostRequest);
    let outcome = lane.commit(&one("lost"), &[(input(0), NextOffset(1))]).unwrap();
    assert!(matches!(outcome, CommitOutcome::Unknown { .. }));
    assert!(matches!(lane.committed(&[input(0)]), Err(LogError::Retry { .. })), "the offset is undecided");
    assert!(matches!(log.lane(GROUP, "two", &[input(0)]), Err(LogError::Retry { .. })));
    assert!(matches!(lane.commit(&one("x"), &[(input(0), NextOffset(1))]), Err(LogError::Fatal { .. })));
    lane.recover().unwrap();
    assert_eq!(lane.committed(&[input(0)]), Ok(vec![None]));
    assert_eq!(log.read_committed(OUT_0).unwrap().count(), 0);
}

#[test]
fn a_lost_answer_is_a_committed_transaction() {
    let log = EmbeddedLog::new(topics());
    let mut lane = log.lane(GROUP, "one", &[input(0)]).unwrap();
    log.fail_commit("one", Fault::LostAnswer);
    let outcome = lane.commit(&one("x"), &[(input(0), NextOffset(1))]).unwrap();
    assert!(matches!(outcome, CommitOutcome::Unknown { .. }));
    lane.recover().unwrap();
    assert_eq!(lane.committed(&[input(0)]), Ok(vec![Some(NextOffset(1))]));
    assert_eq!(values(log.read_committed(OUT_0).unwrap()), ["x"]);
}

#[test]
fn interleaved_transactions_show_only_up_to_the_oldest_open_one() {
    let log = EmbeddedLog::new(topics());
    let mut first = log.begin("first").unwrap();
    first.append(OUT_0, 0, None, Some(b"f"), Headers::default()).unwrap();
    let mut second = log.begin("second").unwrap();
    second.append(OUT_0, 0, None, Some(b"s"), Headers::default()).unwrap();
    second.commit().unwrap();
    assert_eq!(values(log.read_committed(OUT_0).unwrap()), [""; 0]);
    assert_eq!(log.last_stable(OUT_0), Ok(NextOffset(0)));
    assert_eq!(log.high_watermark(OUT_0), Ok(NextOffset(3)));
    first.commit().unwrap();
    assert_eq!(values(log.read_committed(OUT_0).unwrap()), ["f", "s"]);
}

#[test]
fn a_transaction_that_timed_out_is_aborted_and_can_not_go_on() {
    let log = EmbeddedLog::new(topics());
    let mut transaction = log.begin("one").unwrap();
    transaction.append(OUT_0, 0, None, Some(b"x"), Headers::default()).unwrap();
    assert!(log.abort_open("one"));
    assert!(!log.abort_open("one"));
    assert!(transaction.append(OUT_0, 0, None, Some(b"y"), Headers::default()).is_err());
    assert!(transaction.commit().is_err());
    assert_eq!(log.read_committed(OUT_0).unwrap().count(), 0);
}

#[test]
fn retention_drops_what_is_old_and_a_reader_that_was_overtaken_is_told() {
    let mut table = TopicTable::new();
    let cleanup = Cleanup::Delete { retention_ms: 10 };
    let topic = table.add(TopicSpec { name: "t".to_owned(), partitions: 1, cleanup });
    let at = TopicPartition { topic, partition: 0 };
    let log = EmbeddedLog::new(table);
    let mut lane = log.lane(GROUP, "one", &[at]).unwrap();
    for time in [0, 5, 20] {
        put(&log, at, time, None, Some("x"));
    }
    assert_eq!(log.drop_expired(15), 1);
    assert_eq!(log.drop_expired(20), 1);
    assert_eq!(log.read_committed(at).unwrap().count(), 1);
    let overtaken = LogError::OutOfRange { at, position: NextOffset(0), earliest: NextOffset(2) };
    assert_eq!(lane.poll(&BatchLimits::default(), &mut Batch::default()), Err(overtaken));
    assert_eq!(lane.earliest(at), Ok(NextOffset(2)));
}

#[test]
fn an_unknown_partition_is_an_error_everywhere() {
    let log = EmbeddedLog::new(topics());
    let nowhere = TopicPartition { topic: IN, partition: 2 };
    let unknown = LogError::UnknownPartition { at: nowhere };
    assert_eq!(log.high_watermark(nowhere), Err(unknown.clone()));
    assert_eq!(log.producer_append(nowhere, 0, None, None, Headers::default()), Err(unknown.clone()));
    assert_eq!(log.lane(GROUP, "one", &[nowhere]).err(), Some(unknown));
}

#[test]
fn a_connection_that_is_cut_leaves_a_part_of_the_records_in_an_open_transaction() {
    let log = EmbeddedLog::new(topics());
    let mut lane = log.lane(GROUP, "one", &[input(0)]).unwrap();
    let mut outbox = one("x");
    outbox.push(To { topic: OUT, partition: 1, time: 42 }, None, Some(b"y"), Headers::default());
    log.fail_commit("one", Fault::Cut { after: 1 });
    let outcome = lane.commit(&outbox, &[(input(0), NextOffset(1))]).unwrap();
    assert!(matches!(outcome, CommitOutcome::Unknown { .. }));
    let out_1 = TopicPartition { topic: OUT, partition: 1 };
    assert_eq!(
        (log.high_watermark(OUT_0), log.high_watermark(out_1)),
        (Ok(NextOffset(1)), Ok(NextOffset(0)))
    );
    assert_eq!(log.last_stable(OUT_0), Ok(NextOffset(0)), "it is open");
    assert_eq!(lane.committed(&[input(0)]), Ok(vec![None]), "no offset was on its way");
    lane.recover().unwrap();
    assert_eq!(log.read_committed(OUT_0).unwrap().count(), 0);
    assert_eq!(log.last_stable(OUT_0), Ok(NextOffset(2)), "the record and the marker of its abort");
}

#[test]
fn delayed_markers_hold_readers_and_offsets_back_one_by_one() {
    let log = EmbeddedLog::new(topics());
    let mut lane = log.lane(GROUP, "one", &[input(0)]).unwrap();
    log.fail_commit("one", Fault::DelayedMarkers { answered: true });
    let mut outbox = one("x");
    outbox.push(To { topic: STATE, partition: 0, time: 42 }, Some(b"k"), Some(b"s"), Headers::default());
    let outcome = lane.commit(&outbox, &[(input(0), NextOffset(1))]).unwrap();
    assert_eq!((outcome, log.pending_markers()), (CommitOutcome::Committed, 3));
    assert_eq!(values(log.read_committed(OUT_0).unwrap()), [""; 0]);
    assert!(matches!(log.lane(GROUP, "two", &[input(0)]), Err(LogError::Retry { .. })));
    assert!(!log.deliver_marker(3));
    assert!(log.deliver_marker(2), "that of the offsets");
    assert_eq!(log.committed(GROUP, input(0)), Ok(Some(NextOffset(1))));
    assert_eq!(values(log.read_committed(STATE_0).unwrap()), [""; 0], "its marker is not there yet");
    assert!(log.deliver_marker(0) && log.deliver_marker(0));
    assert_eq!(values(log.read_committed(STATE_0).unwrap()), ["s"]);
    assert_eq!(values(log.read_committed(OUT_0).unwrap()), ["x"]);
    assert_eq!((log.pending_markers(), log.last_stable(OUT_0)), (0, Ok(NextOffset(2))));
}

#[test]
fn a_producer_goes_on_only_behind_the_markers_of_its_last_transaction() {
    let delayed = |answered| {
        let log = EmbeddedLog::new(topics());
        let mut lane = log.lane(GROUP, "one", &[input(0)]).unwrap();
        log.fail_commit("one", Fault::DelayedMarkers { answered });
        (lane.commit(&one("x"), &[(input(0), NextOffset(1))]).unwrap(), log, lane)
    };
    let (_, log, mut lane) = delayed(true);
    lane.commit(&one("y"), &[(input(0), NextOffset(2))]).unwrap();
    assert_eq!(
        (values(log.read_committed(OUT_0).unwrap()), log.pending_markers()),
        (vec!["x".into(), "y".into()], 0)
    );
    let (outcome, log, mut lane) = delayed(false);
    assert!(matches!(outcome, CommitOutcome::Unknown { .. }));
    lane.recover().unwrap();
    assert_eq!(lane.committed(&[input(0)]), Ok(vec![Some(NextOffset(1))]), "it was committed");
    assert_eq!(values(log.read_committed(OUT_0).unwrap()), ["x"]);
    let (_, log, _) = delayed(true);
    drop(log.lane(GROUP, "one", &[input(0)]).unwrap());
    assert_eq!(log.pending_markers(), 0, "a restarted producer waits for them, too");
}

#[test]
fn the_cleaner_leaves_offsets_and_what_is_not_decided_alone() {
    let log = EmbeddedLog::new(topics());
    put(&log, STATE_0, 0, Some("a"), Some("a1"));
    put(&log, STATE_0, 1, Some("b"), Some("b1"));
    put(&log, STATE_0, 2, Some("b"), None);
    put(&log, STATE_0, 9, Some("c"), Some("c1"));
    put(&log, STATE_0, 9, Some("c"), None);
    let mut aborted = log.begin("other").unwrap();
    aborted.append(STATE_0, 9, Some(b"a"), Some(b"aborted"), Headers::default()).unwrap();
    aborted.abort().unwrap();
    put(&log, STATE_0, 9, Some("a"), Some("a2"));
    let mut open = log.begin("other").unwrap();
    open.append(STATE_0, 9, Some(b"a"), Some(b"open"), Headers::default()).unwrap();
    let left = || {
        let records = log.read_committed(STATE_0).unwrap();
        records.map(|record| (record.offset.0, record.value.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(log.compact(0), 4, "a1, b1, c1 and what was aborted");
    assert_eq!(left(), [(2, false), (4, false), (7, true)]);
    assert_eq!(log.compact(5), 1, "a tombstone goes once it is old");
    assert_eq!(left(), [(4, false), (7, true)]);
    open.commit().unwrap();
    assert_eq!(log.compact(5), 1, "a2");
    assert_eq!(left(), [(4, false), (8, true)]);
    assert_eq!(log.compact(100), 1);
    assert_eq!(left(), [(8, true)]);
    assert_eq!(log.high_watermark(STATE_0), Ok(NextOffset(10)));
    put(&log, STATE_0, 50, Some("a"), None);
    assert_eq!(
        (log.compact(100), left()),
        (0, vec![(8, true), (10, false)]),
        "the newest record is not cleaned"
    );
}
