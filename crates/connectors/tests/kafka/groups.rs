use crate::support::{Kafka, PATIENCE, at, brokers, cluster, drive, outbox};
use catchment_connectors::kafka::{Inspector, KafkaLane, View, deal_again};
use catchment_runtime::conformance::{IN, OUT};
use catchment_runtime::{Batch, BatchLimits, CommitOutcome, Log as _, LogError, NextOffset, TopicTable};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn lanes_share_the_partitions_and_inherit_those_of_one_that_leaves() {
    let Some(brokers) = brokers("groups") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    let join = |kafka: &Kafka, id: &str| {
        let mut settings = kafka.settings(id, id);
        settings.followed = vec![OUT];
        KafkaLane::join(settings).unwrap()
    };
    let all = [at(IN, 0), at(IN, 1), at(OUT, 0), at(OUT, 1)];
    kafka.say(0, "a");
    let mut first = join(&kafka, "first");
    assert_eq!(first.assignment(), all);
    assert_eq!(drive(&mut [&mut first], |_| false_after(Duration::from_secs(1))), ["a"]);
    let outcome = first.commit(&outbox(&[]), &[(at(IN, 0), NextOffset(1))]).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);

    // A partition moves only when its owner gives it up, so both must be driven.
    let mut second = join(&kafka, "second");
    drive(&mut [&mut first, &mut second], |lanes| lanes.iter().all(|lane| lane.assignment().len() == 2));
    let number = second.assignment()[0].partition;
    assert_eq!(second.assignment(), [at(IN, number), at(OUT, number)], "the same number of both topics");
    assert_eq!(first.assignment(), [at(IN, 1 - number), at(OUT, 1 - number)]);
    kafka.say(0, "b");
    kafka.say(1, "B");
    let seen = std::cell::Cell::new(0);
    let mut values = drive(&mut [&mut first, &mut second], |_| {
        seen.set(seen.get() + 1);
        seen.get() > 100
    });
    values.sort_unstable();
    assert_eq!(values, ["B", "b"], "what is committed does not come again");

    let start = Instant::now();
    second.leave().unwrap();
    drive(&mut [&mut first], |lanes| lanes[0].assignment() == all);
    assert!(start.elapsed() < Duration::from_secs(5), "leaving does not wait for the session to end");
}

/// A condition that holds once this much time has passed since it was first asked.
fn false_after(time: Duration) -> bool {
    thread_local!(static START: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) });
    START.with(|start| {
        let since = start.get().unwrap_or_else(Instant::now);
        start.set(Some(since));
        since.elapsed() > time
    })
}

#[test]
fn a_restarted_lane_finds_its_partitions_at_once() {
    let Some(brokers) = brokers("groups") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    drop(KafkaLane::join(kafka.settings("one", "one")).unwrap());
    let start = Instant::now();
    let lane = KafkaLane::join(kafka.settings("one", "one")).unwrap();
    assert_eq!(lane.assignment().len(), 2);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_change_of_assignment_is_told_until_it_is_taken_up() {
    let Some(brokers) = brokers("groups") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let mut first = KafkaLane::join(kafka.settings("first", "first")).unwrap();
    let settings = kafka.settings("second", "second");
    let second = std::thread::spawn(move || KafkaLane::join(settings).unwrap());
    let (start, mut batch) = (Instant::now(), Batch::default());
    while first.poll(&BatchLimits::default(), &mut batch).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    for _ in 0..3 {
        assert_eq!(first.poll(&BatchLimits::default(), &mut batch), Err(LogError::Reassigned));
        assert_eq!(first.assignment().len(), 2, "until then the lane owns what it owned, and may commit");
    }
    let outcome = first.commit(&outbox(&[]), &[(at(IN, 0), NextOffset(0)), (at(IN, 1), NextOffset(0))]);
    assert_eq!(outcome, Ok(CommitOutcome::Committed));
    let change = first.reassign().unwrap();
    assert_eq!((change.gained.len(), change.revoked.len(), change.lost.len()), (0, 1, 0));
    assert_eq!(first.assignment().len(), 1);
    let mut second = second.join().unwrap();
    drive(&mut [&mut first, &mut second], |lanes| lanes.iter().all(|lane| lane.assignment().len() == 1));
}

/// Needs no Kafka.
#[test]
fn kafka_that_can_not_be_reached_is_no_crash() {
    let cluster = cluster("127.0.0.1:1", &[]);
    let mut topics = TopicTable::new();
    let cleanup = catchment_runtime::record::Cleanup::Compact;
    topics.add(catchment_runtime::record::TopicSpec { name: "in".to_owned(), partitions: 1, cleanup });
    let mut settings = catchment_connectors::kafka::LaneSettings::new(cluster, Arc::new(topics), IN);
    settings.group = "group".to_owned();
    settings.instance = "instance".to_owned();
    settings.transactional_id = "id".to_owned();
    settings.request_timeout = Duration::from_secs(1);
    let error = KafkaLane::join(settings).unwrap_err();
    assert!(matches!(error, LogError::Retry { .. }), "{error}");
}

#[test]
fn a_lane_that_dies_in_the_midst_of_a_hand_over_leaves_a_partition_without_an_owner_until_it_is_dealt_again()
{
    let Some(brokers) = brokers("groups") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let join = |id: &str| KafkaLane::join(kafka.settings(id, id)).unwrap();
    let mut first = join("first");
    let mut second = join("second");
    let (start, mut batch) = (Instant::now(), Batch::default());
    while first.poll(&BatchLimits::default(), &mut batch) != Err(LogError::Reassigned) {
        assert!(start.elapsed() < PATIENCE, "nothing is taken from the first");
    }
    // As a crash: it can't say goodbye. What is left of it is told off once its name is taken.
    std::mem::forget(first);
    let mut first = join("first");
    let inspector = Inspector::new(&kafka.cluster, None, View::Committed, PATIENCE).unwrap();
    let orphans = || inspector.group(&kafka.prefix).unwrap().orphans(kafka.name(IN), 2).len();
    assert_eq!(orphans(), 1);
    assert_eq!(first.assignment().len() + second.assignment().len(), 1);

    let (cluster, group, bystander) =
        (kafka.cluster.clone(), kafka.prefix.clone(), kafka.name(OUT).to_owned());
    let dealer = thread::spawn(move || deal_again(&cluster, &group, &bystander, PATIENCE));
    drive(&mut [&mut first, &mut second], |lanes| lanes.iter().all(|lane| lane.assignment().len() == 1));
    dealer.join().unwrap().unwrap();
    let kept = first.assignment().to_vec();
    drive(&mut [&mut first, &mut second], |_| false_after(Duration::from_secs(2)));
    assert_eq!((first.assignment(), orphans()), (&kept[..], 0), "nothing moves when the dealer has left");
}
