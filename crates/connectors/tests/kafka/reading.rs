use crate::support::{Kafka, PATIENCE, at, brokers, text};
use catchment_runtime::conformance::{Harness as _, IN};
use catchment_runtime::{Batch, BatchLimits, Log as _};
use std::time::Instant;

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
