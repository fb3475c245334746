use crate::support::{Kafka, at, brokers, outbox, text};
use catchment_connectors::kafka::{Client, KafkaLane};
use catchment_runtime::conformance::{Harness as _, IN, OUT};
use catchment_runtime::{Batch, BatchLimits, CommitOutcome, Log as _, LogError, NextOffset};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes that don't compress, or the broker would take them.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn a_record_above_the_limit_of_the_broker_is_refused_with_all_of_its_transaction() {
    let Some(brokers) = brokers("writing") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    let mut settings = kafka.settings("one", "one");
    settings.record_limit = 3_000_000;
    let mut lane = KafkaLane::assigned(settings, &[at(IN, 0)]).unwrap();
    let large = noise(2_000_000);
    let offsets = |next| [(at(IN, 0), NextOffset(next))];
    for _ in 0..2 {
        let result = lane.commit(&outbox(&[(at(OUT, 1), b"small"), (at(OUT, 0), &large)]), &offsets(3));
        let Err(LogError::TooLarge { at: refused, bytes, .. }) = result else {
            panic!("{result:?}");
        };
        assert_eq!((refused, bytes), (at(OUT, 0), 2_000_003));
    }
    assert_eq!(lane.committed(&[at(IN, 0)]), Ok(vec![None]));
    assert_eq!(lane.commit(&outbox(&[(at(OUT, 1), b"y")]), &offsets(1)), Ok(CommitOutcome::Committed));
    let values: Vec<_> = kafka.read_committed(at(OUT, 1)).unwrap().iter().map(text).collect();
    assert_eq!(values, ["y"]);
}

#[test]
fn a_topic_that_is_not_there_is_an_error_and_not_an_endless_wait() {
    let Some(brokers) = brokers("writing") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let mut settings = kafka.settings("one", "one");
    let mut topics = (*kafka.topics).clone();
    let spec = catchment_runtime::record::TopicSpec {
        name: format!("{}.none", kafka.prefix),
        ..topics.spec(OUT).clone()
    };
    let none = topics.add(spec);
    settings.topics = Arc::new(topics);
    let mut lane = KafkaLane::assigned(settings, &[at(IN, 0)]).unwrap();
    let result = lane.commit(&outbox(&[(at(none, 0), b"x")]), &[(at(IN, 0), NextOffset(1))]);
    let is_told =
        matches!(result, Err(LogError::UnknownPartition { .. }) | Ok(CommitOutcome::Aborted { .. }));
    assert!(is_told, "{result:?}");
    let outcome = lane.commit(&outbox(&[(at(OUT, 0), b"x")]), &[(at(IN, 0), NextOffset(1))]);
    assert_eq!(outcome, Ok(CommitOutcome::Committed));
}

#[test]
fn short_transactions_are_quick_and_statistics_come() {
    let Some(brokers) = brokers("writing") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let seen: Arc<Mutex<Vec<Client>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let mut settings = kafka.settings("one", "one");
    settings.statistics = Some((
        Arc::new(move |client, json: &[u8]| {
            assert_eq!(json.first(), Some(&b'{'));
            sink.lock().unwrap().push(client);
        }),
        Duration::from_millis(100),
    ));
    let mut lane = KafkaLane::assigned(settings, &[at(IN, 0)]).unwrap();
    let (mut times, mut batch) = (Vec::new(), Batch::default());
    for next in 0..200 {
        let start = Instant::now();
        let records = outbox(&[(at(OUT, 0), b"x"), (at(OUT, 1), b"y")]);
        let outcome = lane.commit(&records, &[(at(IN, 0), NextOffset(next))]);
        assert_eq!(outcome, Ok(CommitOutcome::Committed));
        times.push(start.elapsed());
        lane.poll(&BatchLimits::default(), &mut batch).unwrap();
    }
    times.sort_unstable();
    println!("short transaction: p50 {:?}, p99 {:?}, worst {:?}", times[100], times[198], times[199]);
    assert!(times[100] < Duration::from_millis(90), "offsets before the drain cost 100 ms: {:?}", times[100]);
    let seen = seen.lock().unwrap();
    assert!(
        [Client::Member, Client::Reader, Client::Producer].iter().all(|client| seen.contains(client)),
        "{seen:?}"
    );
}
