use crate::support::{Kafka, PATIENCE, at, brokers, text};
use catchment_runtime::conformance::{Harness as _, IN};
use catchment_runtime::{Batch, BatchLimits, Log as _, LogError, NextOffset};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::Instant;

#[test]
fn a_gap_in_the_input_is_told_until_it_is_passed_over_on_purpose() {
    let Some(brokers) = brokers("reading") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    for value in ["a", "b", "c", "d"] {
        kafka.say(0, value);
    }
    let mut lane = kafka.lane("one", &[at(IN, 0)]).unwrap();
    let before = catchment_runtime::outbox::Outbox::default();
    lane.commit(&before, &[(at(IN, 0), NextOffset(1))]).unwrap();
    drop(lane);
    delete_records(&brokers, kafka.name(IN), 3);

    let mut lane = kafka.lane("one", &[at(IN, 0)]).unwrap();
    let (mut batch, start) = (Batch::default(), Instant::now());
    let gap = LogError::OutOfRange { at: at(IN, 0), position: NextOffset(1), earliest: NextOffset(3) };
    while lane.poll(&BatchLimits::default(), &mut batch).is_ok() {
        assert!(batch.is_empty(), "passed over silently");
        assert!(start.elapsed() < PATIENCE);
    }
    for _ in 0..3 {
        assert_eq!(lane.poll(&BatchLimits::default(), &mut batch), Err(gap.clone()));
    }
    assert_eq!(lane.earliest(at(IN, 0)), Ok(NextOffset(3)));
    lane.seek(at(IN, 0), NextOffset(3)).unwrap();
    while batch.is_empty() {
        lane.poll(&BatchLimits::default(), &mut batch).unwrap();
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(batch.iter().map(|record| text(&record.into())).collect::<Vec<_>>(), ["d"]);
}

fn delete_records(brokers: &str, topic: &str, before: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(before)).unwrap();
    // Served by the client's own thread: waiting for the effect is enough.
    drop(admin.delete_records(&list, &AdminOptions::new()));
    let consumer: rdkafka::consumer::BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let start = Instant::now();
    loop {
        use rdkafka::consumer::Consumer as _;
        if consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap().0 == before {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "records are still there");
    }
}

/// Far more than is set aside of a partition that is not asked for.
#[test]
fn a_partition_that_waits_loses_nothing_and_keeps_its_order() {
    let Some(brokers) = brokers("reading") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    let large = "x".repeat(50_000);
    for number in 0..400_u32 {
        kafka.append(1, 0, Some(&number.to_be_bytes()), Some(large.as_bytes())).unwrap();
    }
    kafka.say(0, "a");
    let mut lane = kafka.lane("one", &[at(IN, 0), at(IN, 1)]).unwrap();
    let (limits, mut batch) = (BatchLimits::default(), Batch::default());
    for expected in [1, 0, 0] {
        lane.poll_partition(at(IN, 0), &limits, &mut batch).unwrap();
        assert_eq!(batch.len(), expected);
    }
    let (mut seen, start) = (Vec::new(), Instant::now());
    while seen.len() < 400 {
        lane.poll_partition(at(IN, 1), &limits, &mut batch).unwrap();
        seen.extend(batch.iter().map(|record| u32::from_be_bytes(record.key.unwrap().try_into().unwrap())));
        assert!(start.elapsed() < PATIENCE, "only {}", seen.len());
    }
    assert!(seen.iter().copied().eq(0..400), "{seen:?}");
    kafka.say(0, "b");
    lane.poll_partition(at(IN, 0), &limits, &mut batch).unwrap();
    assert_eq!(
        batch.iter().map(|record| text(&record.into())).collect::<Vec<_>>(),
        ["b"],
        "an empty batch is the truth"
    );
}
