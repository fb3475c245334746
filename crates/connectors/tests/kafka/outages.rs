//! A broker of one's own goes, and comes back with what it had: what tests of outages rest on.

use crate::support::{Kafka, PATIENCE, at, cluster, wanted};
use catchment_connectors::kafka::{KafkaLane, TopicAdmin};
use catchment_runtime::conformance::IN;
use catchment_runtime::{Batch, BatchLimits, Log as _, LogError};
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};
use xtask::services::{Broker, BrokerOptions, KAFKA_LIBS, kafka_libs};

#[test]
fn a_broker_comes_back_on_its_port_with_its_data() {
    let Some(libs) = kafka_libs() else {
        writeln!(std::io::stderr(), "kafka::outages: skipped: {KAFKA_LIBS} names no jars").unwrap();
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(&libs, directory.path(), BrokerOptions::default()).unwrap();
    let cluster = cluster(&broker.address(), &[]);
    TopicAdmin::new(&cluster, PATIENCE).unwrap().create(&[wanted("kept", 3)]).unwrap();
    let partitions = |patience| {
        let described = TopicAdmin::new(&cluster, patience).unwrap().describe(["kept"]);
        described.ok().map(|topics| topics["kept"].partitions)
    };
    let soon = Duration::from_secs(1);
    broker.freeze().unwrap();
    assert_eq!(partitions(soon), None, "frozen");
    broker.thaw().unwrap();
    assert_eq!(partitions(PATIENCE), Some(3), "thawed");
    broker.kill();
    assert_eq!(partitions(soon), None, "killed");
    broker.restart().unwrap();
    assert_eq!(partitions(PATIENCE), Some(3), "after a kill");
    broker.stop();
    assert_eq!(partitions(soon), None, "stopped");
    broker.restart().unwrap();
    assert_eq!(partitions(PATIENCE), Some(3), "after a stop");
}

/// A lane waits for seconds after each error. Those that came up meanwhile are one.
///
/// The session outlasts the outage. Where it does not, librdkafka joins under a new member id while a heartbeat of the
/// old one may still be on its way, whose answer fences the client for good: an error for the owner of the lane, which
/// makes a new one, and not this test's.
#[test]
fn a_lane_reads_at_once_when_a_long_outage_is_over() {
    let Some(libs) = kafka_libs() else {
        writeln!(std::io::stderr(), "kafka::outages: skipped: {KAFKA_LIBS} names no jars").unwrap();
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(&libs, directory.path(), BrokerOptions::default()).unwrap();
    let mut kafka = Kafka::new(&broker.address());
    let mut settings = kafka.settings("one", "patient");
    settings.session_timeout = Duration::from_secs(60);
    let mut lane = KafkaLane::assigned(settings, &[at(IN, 0)]).unwrap();
    kafka.say(0, "before");
    let (limits, mut batch) = (BatchLimits::default(), Batch::default());
    let start = Instant::now();
    while lane.poll(&limits, &mut batch) != Ok(()) || batch.is_empty() {
        assert!(start.elapsed() < PATIENCE, "nothing comes");
    }
    broker.kill();
    // So that errors come up: the time itself is what matters.
    thread::sleep(Duration::from_secs(15));
    broker.restart().unwrap();
    kafka.say(0, "after");
    let (start, mut errors) = (Instant::now(), 0);
    loop {
        match lane.poll(&limits, &mut batch) {
            Ok(()) if batch.is_empty() => {}
            Ok(()) => break,
            Err(LogError::Retry { .. }) => errors += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < PATIENCE, "nothing comes after {errors} errors");
    }
    assert!(errors <= 1, "{errors} errors to wait after");
}
