use crate::support::{Kafka, PATIENCE, at, brokers, cluster, drive, outbox, text};
use catchment_connectors::kafka::KafkaLane;
use catchment_runtime::conformance::{Harness as _, IN, OUT};
use catchment_runtime::log::Fence;
use catchment_runtime::{Batch, BatchLimits, CommitOutcome, Log as _, LogError, NextOffset};
use std::time::Instant;

/// Stops polling, so that the group expels it, while another lane takes over.
#[test]
fn a_lane_that_slept_through_its_expulsion_is_refused_with_an_unchanged_offset() {
    let Some(brokers) = brokers("fencing") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    let mut settings = kafka.settings("zombie", "zombie");
    settings.cluster = cluster(&brokers, &[("max.poll.interval.ms", "6000")]);
    let mut zombie = KafkaLane::join(settings).unwrap();
    assert_eq!(zombie.assignment(), [at(IN, 0), at(IN, 1)]);
    let unchanged = [(at(IN, 0), NextOffset(0))];
    let outcome = zombie.commit(&outbox(&[(at(OUT, 0), b"x")]), &unchanged).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);

    let mut heir = KafkaLane::join(kafka.settings("heir", "heir")).unwrap();
    drive(&mut [&mut heir], |lanes| lanes[0].assignment().len() == 2);
    let outcome = zombie.commit(&outbox(&[(at(OUT, 0), b"too late")]), &unchanged).unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced(Fence::Group));
    let outcome = heir.commit(&outbox(&[(at(OUT, 0), b"y")]), &unchanged).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
    let values: Vec<_> = kafka.read_committed(at(OUT, 0)).unwrap().iter().map(text).collect();
    assert_eq!(values, ["x", "y"]);
}

#[test]
fn a_producer_of_the_same_transactional_id_fences_the_one_before() {
    let Some(brokers) = brokers("fencing") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let share = |partition| [at(IN, partition)];
    let mut zombie = KafkaLane::assigned(kafka.settings("one", "first"), &share(0)).unwrap();
    let mut lane = KafkaLane::assigned(kafka.settings("one", "second"), &share(1)).unwrap();
    let outcome = zombie.commit(&outbox(&[(at(OUT, 0), b"x")]), &[(at(IN, 0), NextOffset(0))]).unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced(Fence::Producer));
    let again = zombie.commit(&outbox(&[]), &[(at(IN, 0), NextOffset(0))]).unwrap();
    assert_eq!(again, CommitOutcome::Fenced(Fence::Producer), "it does not fence back");
    let outcome = lane.commit(&outbox(&[(at(OUT, 0), b"y")]), &[(at(IN, 1), NextOffset(0))]).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

/// As after a broker that was away has let another lane of the name in.
#[test]
fn a_lane_whose_name_another_has_taken_is_told_to_go() {
    let Some(brokers) = brokers("fencing") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let mut first = KafkaLane::join(kafka.settings("first", "same")).unwrap();
    let mut second = KafkaLane::join(kafka.settings("second", "same")).unwrap();
    let (mut batch, start) = (Batch::default(), Instant::now());
    let error = loop {
        match first.poll(&BatchLimits::default(), &mut batch) {
            Ok(()) | Err(LogError::Reassigned) => assert!(start.elapsed() < PATIENCE, "never told"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LogError::Fatal { reason } if reason.contains("fenced")), "{error:?}");
    let unchanged = [(at(IN, 0), NextOffset(0))];
    let outcome = first.commit(&outbox(&[(at(OUT, 0), b"x")]), &unchanged).unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced(Fence::Group));
    assert_eq!(second.commit(&outbox(&[]), &unchanged), Ok(CommitOutcome::Committed));
}
