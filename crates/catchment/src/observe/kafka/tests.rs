use super::*;
use crate::observe::health::{Health, State};
use crate::observe::metrics::tests::{page_of, value_of};
use serde_json::{Value, json};
use std::time::Duration;

const LANE: [(&str, &str); 2] = [("role", "profile"), ("lane", "2")];

/// As librdkafka writes it, with some of the fields that nobody here reads.
fn broker(nodeid: i32, state: &str, connects: u64) -> Value {
    json!({
        "name": "kafka:9092/1", "nodeid": nodeid, "nodename": "kafka:9092", "source": "learned", "state": state,
        "outbuf_cnt": 2, "waitresp_cnt": 3, "txidle": -1, "connects": connects, "disconnects": connects - 1,
        "rtt": {"min": 1, "max": 9000, "avg": 1500 * connects, "hdrsize": 13424},
        "throttle": {"min": 0, "avg": 40}, "req": {"Fetch": 7}, "toppars": {"t-0": {"topic": "t", "partition": 0}}
    })
}

fn partition(number: i32, desired: bool, [next, app, end]: [i64; 3], fetched: i64) -> Value {
    json!({
        "partition": number, "leader": 1, "desired": desired, "fetchq_cnt": fetched, "fetchq_size": fetched * 100,
        "fetch_state": "active", "next_offset": next, "app_offset": app, "stored_offset": -1001, "lo_offset": -1001,
        "hi_offset": 500, "ls_offset": end, "consumer_lag": -1
    })
}

fn document(name: &str, [rx, bytes]: [u64; 2], connects: u64, partitions: &[Value]) -> Value {
    let partitions: serde_json::Map<String, Value> =
        partitions.iter().map(|partition| (partition["partition"].to_string(), partition.clone())).collect();
    json!({
        "name": name, "client_id": "rdkafka", "type": "consumer", "ts": 5_016_483_227_792u64, "msg_size": 77, "rx": rx,
        "tx_bytes": bytes, "rx_bytes": 2 * bytes,
        "brokers": {
            "kafka:9092/bootstrap": broker(-1, "UP", 1), "kafka:9092/1": broker(1, "UP", connects),
            "kafka:9093/2": broker(2, "DOWN", 1)
        },
        "topics": {"t": {"topic": "t", "age": 5, "batchcnt": {"avg": 1}, "partitions": partitions}},
        "cgrp": {"state": "up", "rebalance_cnt": rx / 10, "rebalance_reason": ""}
    })
}

fn take(sink: &StatisticsSink, client: Client, document: &Value) {
    sink(client, document.to_string().as_bytes());
}

#[test]
fn statistics_become_metrics() {
    let page = page_of(|| {
        let health = Health::new(Duration::from_secs(10));
        let sink = sink("profile", 2, health.lane("profile", 2));
        take(&sink, Client::Member, &document("rdkafka#consumer-1", [10, 1_000], 2, &[]));
        take(&sink, Client::Member, &document("rdkafka#consumer-1", [40, 1_500], 3, &[]));
        take(&sink, Client::Producer, &document("rdkafka#producer-2", [10, 100], 1, &[]));
        let partitions = [
            partition(-1, false, [0, -1001, -1001], 0),
            partition(0, true, [320, 300, 400], 20),
            // Nothing to read so far, so that nothing was read either.
            partition(1, true, [400, -1001, 450], 0),
            // Fetched and not read: where the lane stands is not known.
            partition(2, true, [400, -1001, 450], 30),
            partition(3, false, [0, -1001, 450], 0),
        ];
        take(&sink, Client::Reader, &document("rdkafka#consumer-3", [10, 100], 1, &partitions));
    });
    let member = [LANE[0], LANE[1], ("client", "member")];
    assert_eq!(value_of(&page, names::KAFKA_BROKERS_UP, &member), 1.0);
    assert_eq!(value_of(&page, names::KAFKA_RTT, &member), 0.0045);
    assert_eq!(value_of(&page, names::KAFKA_THROTTLE, &member), 0.04);
    assert_eq!(value_of(&page, names::KAFKA_REQUESTS_WAITING, &member), 6.0);
    assert_eq!(value_of(&page, names::KAFKA_REQUESTS_IN_FLIGHT, &member), 9.0);
    assert_eq!(value_of(&page, names::KAFKA_SENT_BYTES, &member), 1_500.0);
    assert_eq!(value_of(&page, names::KAFKA_RECEIVED_BYTES, &member), 3_000.0);
    assert_eq!(value_of(&page, names::KAFKA_CONNECTS, &member), 5.0);
    assert_eq!(value_of(&page, names::KAFKA_DISCONNECTS, &member), 2.0);
    assert_eq!(value_of(&page, names::REBALANCES, &LANE[..1]), 4.0);
    assert_eq!(value_of(&page, names::KAFKA_PRODUCER_QUEUE, &LANE), 77.0);
    assert_eq!(value_of(&page, names::KAFKA_FETCHED, &LANE), 3_000.0);
}

#[test]
fn a_new_client_counts_on_where_the_one_before_ended() {
    let page = page_of(|| {
        let lane = Health::new(Duration::from_secs(10)).lane("profile", 2);
        let sink = sink("profile", 2, lane);
        take(&sink, Client::Producer, &document("rdkafka#producer-1", [10, 1_000], 2, &[]));
        take(&sink, Client::Producer, &document("rdkafka#producer-7", [10, 400], 1, &[]));
        take(&sink, Client::Producer, &document("rdkafka#producer-7", [10, 300], 1, &[]));
    });
    assert_eq!(value_of(&page, names::KAFKA_SENT_BYTES, &LANE), 1_400.0, "and never goes back");
}

#[test]
fn the_lane_hears_that_kafka_answers() {
    let answered = |document: &[Value]| {
        let health = Health::new(Duration::from_secs(10));
        let sink = sink("profile", 2, health.lane("profile", 2));
        document.iter().for_each(|document| take(&sink, Client::Member, document));
        health.ready().body.contains("\"kafka_answered_seconds_ago\": 0")
    };
    assert!(!answered(&[document("rdkafka#consumer-1", [0, 1], 1, &[])]), "connected is not answered");
    assert!(answered(&[document("rdkafka#consumer-1", [1, 1], 1, &[])]));
}

#[test]
fn what_is_no_statistics_is_left_alone() {
    let health = Health::new(Duration::from_secs(10));
    let sink = sink("profile", 2, health.lane("profile", 2));
    for text in ["", "[]", "{}", "{\"brokers\": 1}", "{\"name\": \"\\ud800\"}"] {
        sink(Client::Reader, text.as_bytes());
    }
    assert!(health.ready().body.contains("\"kafka_answered_seconds_ago\": null"));
}

/// The real thing: needs brokers.
#[test]
fn a_lane_on_kafka_shows_its_brokers() {
    use catchment_connectors::kafka::{
        Cluster, KafkaLane, LaneSettings, PartitionCount, Properties, RawProducer, RawRecord, TopicAdmin,
        WantedTopic,
    };
    use catchment_runtime::record::{Cleanup, TopicSpec};
    use catchment_runtime::{Batch, BatchLimits, Log as _, TopicTable};
    use std::io::Write as _;
    use std::time::{Instant, SystemTime};

    let Ok(brokers) = std::env::var("CATCHMENT_TEST_BROKERS") else {
        writeln!(std::io::stderr(), "observe::kafka: skipped: CATCHMENT_TEST_BROKERS names no Kafka")
            .unwrap();
        return;
    };
    let patience = Duration::from_secs(40);
    let cluster = Cluster { brokers, properties: Properties::default() };
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let name = format!("test-statistics-{time}-{}", std::process::id());
    let mut topics = TopicTable::new();
    let cleanup = Cleanup::Delete { retention_ms: 3_600_000 };
    let topic = topics.add(TopicSpec { name: name.clone(), partitions: 1, cleanup });
    let admin = TopicAdmin::new(&cluster, patience).unwrap();
    let wanted = WantedTopic {
        name: name.clone(),
        partitions: Some(PartitionCount::Exactly(1)),
        replication: Some(1),
        ..WantedTopic::default()
    };
    admin.create(&[wanted]).unwrap();
    let recorder = crate::observe::metrics::recorder().unwrap();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let producer = RawProducer::new(&cluster).unwrap();
        for _ in 0..7 {
            let record =
                RawRecord { topic: &name, partition: Some(0), value: Some(b"value"), ..RawRecord::default() };
            producer.send(&record).unwrap();
        }
        producer.flush(patience).unwrap();
        let health = Health::new(Duration::from_millis(500));
        let lane_health = health.lane("profile", 2);
        let mut settings = LaneSettings::new(cluster.clone(), Arc::new(topics), topic);
        settings.group.clone_from(&name);
        settings.instance.clone_from(&name);
        settings.transactional_id.clone_from(&name);
        settings.statistics = Some((sink("profile", 2, lane_health.clone()), Duration::from_millis(500)));
        let mut lane = KafkaLane::join(settings).unwrap();
        let (mut batch, mut read, start) = (Batch::default(), 0, Instant::now());
        // All is read, and the statistics of all three have come.
        let heard = |page: &str| {
            ["member", "reader", "producer"]
                .iter()
                .all(|client| page.contains(&format!("client=\"{client}\"")))
        };
        while read < 7 || !heard(&handle.render()) {
            assert!(start.elapsed() < patience, "{read} read\n{}", handle.render());
            lane.poll(&BatchLimits::default(), &mut batch).unwrap();
            read += batch.len();
        }
        let page = handle.render();
        for client in ["member", "reader", "producer"] {
            let up = value_of(&page, names::KAFKA_BROKERS_UP, &[("client", client)]);
            assert!(up >= 1.0, "{client}\n{page}");
            assert!(value_of(&page, names::KAFKA_RECEIVED_BYTES, &[("client", client)]) > 0.0, "{client}");
        }
        assert!(value_of(&page, names::KAFKA_RTT, &[("client", "reader")]) > 0.0, "it fetches all the time");
        assert!(value_of(&page, names::REBALANCES, &[("role", "profile")]) >= 1.0);
        lane_health.set(State::Running);
        assert_eq!(health.ready().status, 200);
    });
    admin.delete(&[&name]).unwrap();
}
