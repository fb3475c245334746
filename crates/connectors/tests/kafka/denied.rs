//! What a lane says that is not let in: which door, and soon.

use crate::security::Guarded;
use crate::support::{Kafka, PATIENCE, at, outbox};
use catchment_connectors::kafka::{Cluster, KafkaLane, LaneSettings};
use catchment_runtime::conformance::{IN, OUT};
use catchment_runtime::record::TopicSpec;
use catchment_runtime::{Batch, BatchLimits, CommitOutcome, Log as _, LogError, NextOffset};
use std::sync::Arc;
use std::time::{Duration, Instant};
use xtask::services::deny;

fn settings(kafka: &Kafka, cluster: Cluster) -> LaneSettings {
    let mut settings = kafka.settings("one", "one");
    settings.cluster = cluster;
    settings
}

#[track_caller]
fn refused(settings: LaneSettings, expected: &str) {
    let start = Instant::now();
    let error = KafkaLane::join(settings).unwrap_err();
    assert!(matches!(error, LogError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains(expected), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_wrong_password_and_an_unknown_authority_are_told_as_such() {
    let Some(guarded) = Guarded::new("denied") else {
        return;
    };
    let kafka = Kafka::new(&guarded.open);
    let [user, password] = ["user", "password"].map(|name| guarded.text(name));
    let wrong = guarded.scram(&user, "wrong", "ca.pem");
    refused(settings(&kafka, wrong), "SASL authentication error");
    let stranger = guarded.scram(&user, &password, "stranger-ca.pem");
    refused(settings(&kafka, stranger), "SSL handshake failed");
    let lane = KafkaLane::join(settings(&kafka, guarded.scram(&user, &password, "ca.pem"))).unwrap();
    assert_eq!(lane.assignment().len(), 2);
}

#[test]
fn a_topic_that_is_closed_is_named_where_it_is_read_and_where_it_is_written() {
    let Some(guarded) = Guarded::new("denied") else {
        return;
    };
    let kafka = Kafka::new(&guarded.open);
    let [user, password] = ["denied-user", "password"].map(|name| guarded.text(name));
    let settings = settings(&kafka, guarded.scram(&user, &password, "ca.pem"));
    let mut lane = KafkaLane::join(settings.clone()).unwrap();

    deny(&guarded.open, kafka.name(OUT), &user).unwrap();
    let (start, next) = (Instant::now(), [(at(IN, 0), NextOffset(0))]);
    let error = loop {
        match lane.commit(&outbox(&[(at(OUT, 0), b"x")]), &next) {
            Ok(CommitOutcome::Committed) => assert!(start.elapsed() < PATIENCE, "still let in"),
            Ok(outcome) => panic!("{outcome:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LogError::Denied { what } if what.contains(kafka.name(OUT))), "{error:?}");
    assert_eq!(lane.commit(&outbox(&[]), &next), Ok(CommitOutcome::Committed), "it goes on");

    deny(&guarded.open, kafka.name(IN), &user).unwrap();
    let (start, mut batch) = (Instant::now(), Batch::default());
    let error = loop {
        match lane.poll(&BatchLimits::default(), &mut batch) {
            Ok(()) => assert!(start.elapsed() < PATIENCE, "still let in"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LogError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("Topic authorization failed"), "{error}");
    drop(lane);
    refused(settings, "authorization failed");
}

#[test]
fn a_topic_that_is_not_there_is_named_and_not_waited_for() {
    let Some(brokers) = crate::support::brokers("denied") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let mut settings = kafka.settings("one", "one");
    let mut topics = (*kafka.topics).clone();
    let none = topics.add(TopicSpec { name: format!("{}.none", kafka.prefix), ..topics.spec(IN).clone() });
    settings.topics = Arc::new(topics);
    let followed = LaneSettings { followed: vec![none], ..settings.clone() };
    let subscribed = LaneSettings { topic: none, instance: "another".to_owned(), ..settings };
    for settings in [followed, subscribed] {
        let start = Instant::now();
        let error = KafkaLane::join(settings).unwrap_err();
        assert_eq!(error, LogError::UnknownPartition { at: at(none, 0) });
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
