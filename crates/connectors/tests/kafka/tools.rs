use crate::support::{Kafka, brokers, cluster};
use catchment_connectors::kafka::{
    AskError, Inspector, NamedPartition, Place, RawProducer, RawRecord, Scan, ToolWriter, View,
};
use catchment_runtime::conformance::IN;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A scan's values, as `partition value`.
fn values(kafka: &Kafka, from: Place) -> Vec<String> {
    let of = [0, 1].map(|partition| NamedPartition::new(kafka.name(IN), partition));
    let mut scan = Scan::new(&kafka.cluster, &of, from, PATIENCE).unwrap();
    let mut values = Vec::new();
    while let Some(record) = scan.next_record().unwrap() {
        let value = String::from_utf8(record.value.unwrap()).unwrap();
        values.push(format!("{} {value}", record.at.partition));
    }
    values
}

fn record<'a>(topic: &'a str, value: &'a str) -> RawRecord<'a> {
    RawRecord { topic, partition: Some(0), value: Some(value.as_bytes()), ..RawRecord::default() }
}

#[test]
fn a_transaction_that_fails_leaves_nothing_and_a_later_writer_takes_over() {
    let Some(brokers) = brokers("tools") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let topic = kafka.name(IN);
    let writer = |id: &str| {
        ToolWriter::new(&kafka.cluster, &format!("{}-{id}", kafka.prefix), 1_000_000, PATIENCE).unwrap()
    };
    let first = writer("x");
    first.transaction(|writer| writer.send(&record(topic, "one"))).unwrap();
    let failed: Result<(), AskError> = first.transaction(|writer| {
        writer.send(&record(topic, "never"))?;
        Err(AskError::refused("test", "second thoughts"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "test: second thoughts");
    let fenced: Result<(), AskError> = first.transaction(|first| {
        first.send(&record(topic, "late"))?;
        writer("x").transaction(|second| second.send(&record(topic, "two")))
    });
    let text = fenced.unwrap_err().to_string();
    assert!(text.contains("another run of the same command has taken over"), "{text}");
    assert_eq!(values(&kafka, Place::Earliest), ["0 one", "0 two"]);
}

#[test]
fn a_scan_reads_partitions_one_after_the_other_up_to_the_end_as_it_was() {
    let Some(brokers) = brokers("tools") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    assert_eq!(values(&kafka, Place::Earliest), [""; 0]);
    for (partition, value) in [(0, "a"), (1, "b"), (0, "c")] {
        kafka.say(partition, value);
    }
    assert_eq!(values(&kafka, Place::Earliest), ["0 a", "0 c", "1 b"]);
    assert_eq!(values(&kafka, Place::End), [""; 0]);
    let of = [NamedPartition::new(kafka.name(IN), 0)];
    let mut scan = Scan::new(&kafka.cluster, &of, Place::Earliest, PATIENCE).unwrap();
    let first = scan.next_record().unwrap().unwrap();
    kafka.say(0, "came later");
    assert_eq!((first.offset, scan.next_record().unwrap().unwrap().offset), (0, 1));
    assert_eq!(scan.next_record().unwrap(), None);
}

#[test]
fn offsets_are_told_by_place_and_by_time() {
    let Some(brokers) = brokers("tools") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let producer = RawProducer::new(&kafka.cluster).unwrap();
    for (value, time) in [("a", 1_000), ("b", 2_000), ("c", 3_000)] {
        producer.send(&RawRecord { time: Some(time), ..record(kafka.name(IN), value) }).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let inspector = Inspector::new(&kafka.cluster, Some(&kafka.prefix), View::Committed, PATIENCE).unwrap();
    let of = [NamedPartition::new(kafka.name(IN), 0), NamedPartition::new("there.is.none", 0)];
    let offsets = |place| inspector.offsets(&of, place).unwrap();
    assert_eq!(offsets(Place::Earliest), [Some(0), None]);
    assert_eq!(offsets(Place::End), [Some(3), None]);
    assert_eq!(offsets(Place::Time(1_500)), [Some(1), None]);
    assert_eq!(offsets(Place::Time(9_000)), [Some(3), None]);
    assert_eq!(inspector.committed(&of[..1]).unwrap(), [None]);
    assert!(inspector.group(&kafka.prefix).unwrap().is_empty());
    let known = inspector.partitions([kafka.name(IN), "there.is.none"]).unwrap();
    assert_eq!(known.into_values().collect::<Vec<_>>(), [2]);
}

#[test]
fn an_offset_goes_with_the_transaction() {
    let Some(brokers) = brokers("tools") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    kafka.say(0, "a");
    kafka.say(0, "b");
    let at = NamedPartition::new(kafka.name(IN), 0);
    let inspector = Inspector::new(&kafka.cluster, Some(&kafka.prefix), View::Committed, PATIENCE).unwrap();
    let committed = || inspector.committed(std::slice::from_ref(&at)).unwrap();
    let writer = ToolWriter::new(&kafka.cluster, &kafka.prefix, 1_000_000, PATIENCE).unwrap();
    let failed: Result<(), AskError> = writer.transaction(|writer| {
        writer.send_offset(&inspector, &at, 1)?;
        Err(AskError::refused("test", "second thoughts"))
    });
    failed.unwrap_err();
    assert_eq!(committed(), [None]);
    writer.transaction(|writer| writer.send_offset(&inspector, &at, 2)).unwrap();
    assert_eq!(committed(), [Some(2)]);
    assert!(inspector.group(&kafka.prefix).unwrap().is_empty());
}

/// Needs no Kafka: nothing listens at the port.
#[test]
fn a_broker_that_is_away_is_said_to_be_within_the_time_limit() {
    let away = cluster("127.0.0.1:1", &[]);
    let start = Instant::now();
    let inspector = Inspector::new(&away, None, View::Committed, Duration::from_secs(1)).unwrap();
    let error = inspector.partitions(["x"]).unwrap_err();
    assert!(matches!(&error, AskError::Unreachable { reason, .. } if reason.contains("refused")), "{error}");
    let limit = Duration::from_secs(1);
    let Err(error) = ToolWriter::new(&away, "x", 1_000, limit) else { panic!("there is nothing") };
    assert!(matches!(error, AskError::Unreachable { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
