//! Reading in order of arrival.

use super::hooked::Hooked;
use super::toy::{IN, OUT, World, partition};
use super::*;
use crate::embedded::{EmbeddedLane, Fault};
use crate::record::{Record, TopicPartition};
use crate::task::Unreadable;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Writes what it reads, in the order it reads it. Arrival is the append time, never earlier than the record before.
#[derive(Debug, Default)]
struct Merge {
    arrived: BTreeMap<TopicPartition, Millis>,
    committed: BTreeMap<TopicPartition, Millis>,
    asked: Vec<(u32, u64)>,
}

impl Task for Merge {
    type Effect = String;

    fn process(&mut self, record: &Record<'_>, step: &mut Step<String>) -> Result<(), Unreadable> {
        let text = format!("{}.{}", record.partition, record.offset.0);
        step.emit(OUT, 0, b"", |value| value.extend_from_slice(text.as_bytes()));
        Ok(())
    }

    fn advance(&mut self, _: &mut Step<String>) {}

    fn flush(&mut self, _: &mut Step<String>) {}

    fn committed(&mut self) {
        self.committed = self.arrived.clone();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.arrived = self.committed.clone();
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    fn restore(&mut self, _: &Record<'_>) -> Result<(), Unreadable> {
        Ok(())
    }

    fn arrival(&mut self, record: &Record<'_>) -> Millis {
        self.asked.push((record.partition, record.offset.0));
        let last = self.arrived.entry(record.topic_partition()).or_insert(record.append_time);
        *last = record.append_time.max(*last);
        *last
    }

    fn rank(&self, record: &Record<'_>) -> usize {
        // The second partition's source comes first in the configuration.
        usize::from(record.partition == 0)
    }
}

fn merge(world: &World, limits: BatchLimits) -> Lane<EmbeddedLane, Merge> {
    let log = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let config = LaneConfig { limits, order: Order::Arrival };
    let mut lane = Lane::new(log, vec![Merge::default()], |_| Some(0), config).unwrap();
    lane.restore().unwrap();
    lane
}

fn drain(lane: &mut Lane<EmbeddedLane, Merge>) {
    while !lane.step(None, &mut no_effects).unwrap().is_idle() {}
}

#[test]
fn partitions_are_merged_by_arrival_then_rank() {
    let world = World::new();
    for (number, time) in [(0, 10), (0, 30), (0, 40), (1, 20), (1, 30), (1, 5), (1, 50)] {
        world.say(number, time, [0; 4]);
    }
    let mut lane = merge(&world, BatchLimits::default());
    drain(&mut lane);
    // 1.2 (at 5) arrived after 1.1 (at 30), so it counts as 30.
    assert_eq!(world.outputs(0), ["0.0", "1.0", "1.1", "1.2", "0.1", "0.2", "1.3"]);
}

#[test]
fn arrival_is_asked_once_for_each_record() {
    let world = World::new();
    for time in 0..5 {
        world.say(0, time, [0; 4]);
        world.say(1, time + 2, [0; 4]);
    }
    let mut lane = merge(&world, BatchLimits { records: 3, bytes: 1_000 });
    drain(&mut lane);
    let mut asked = lane.tasks().next().unwrap().asked.clone();
    asked.sort_unstable();
    let each: Vec<_> = (0..2).flat_map(|number| (0..5).map(move |offset| (number, offset))).collect();
    assert_eq!(asked, each);
}

#[test]
fn what_comes_to_a_partition_between_two_reads_is_not_overtaken() {
    let world = World::new();
    let inner = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let mut appended = false;
    let before_poll = |at| {
        // Partition 0 was just found empty.
        if at == partition(IN, 1) && !appended {
            appended = true;
            world.say(0, 10, [0; 4]);
            world.say(1, 20, [0; 4]);
        }
    };
    let log = Hooked { inner, failures: 0, before_poll };
    let config = LaneConfig { limits: BatchLimits::default(), order: Order::Arrival };
    let mut lane = Lane::new(log, vec![Merge::default()], |_| Some(0), config).unwrap();
    lane.restore().unwrap();
    while !lane.step(None, &mut no_effects).unwrap().is_idle() {}
    assert_eq!(world.outputs(0), ["0.0", "1.0"]);
}

#[test]
fn what_was_fetched_and_not_processed_is_not_committed() {
    let world = World::new();
    world.say(0, 10, [0; 4]);
    world.say(1, 20, [0; 4]);
    let mut lane = merge(&world, BatchLimits { records: 1, bytes: 1_000 });
    assert!(lane.step(None, &mut no_effects).unwrap().full);
    assert_eq!(world.log.committed("toy", partition(IN, 1)), Ok(Some(NextOffset(0))));
    drain(&mut merge(&world, BatchLimits::default()));
    assert_eq!(world.outputs(0), ["0.0", "1.0"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_order_depends_neither_on_batches_nor_on_aborts(
        records in prop::collection::vec((0_u32..2, 0_i64..50), 0..40),
        (count, bytes) in (1_usize..6, 1_usize..30),
        aborts in prop::collection::vec(any::<bool>(), 0..10),
    ) {
        let outputs = |limits: BatchLimits, aborts: &[bool]| {
            let world = World::new();
            for (number, time) in &records {
                world.say(*number, *time, [0; 4]);
            }
            let mut lane = merge(&world, limits);
            for abort in aborts {
                if *abort {
                    world.log.fail_commit("toy-0", Fault::Abort);
                }
                lane.step(None, &mut no_effects).unwrap();
            }
            drain(&mut lane);
            world.outputs(0)
        };
        let all_at_once = outputs(BatchLimits::default(), &[]);
        prop_assert_eq!(all_at_once.len(), records.len());
        prop_assert_eq!(outputs(BatchLimits { records: count, bytes }, &aborts), all_at_once);
    }

    /// Steps between appends: a partition that was empty when asked gets something while others are at hand.
    #[test]
    fn appends_in_order_of_arrival_are_read_in_that_order(
        records in prop::collection::vec((0_u32..2, 1_i64..5, any::<bool>()), 0..40),
        count in 1_usize..4,
    ) {
        let world = World::new();
        let mut lane = merge(&world, BatchLimits { records: count, bytes: 1_000 });
        let (mut time, mut next, mut expected) = (0, [0, 0], Vec::new());
        for (number, after, step) in records {
            time += after;
            world.say(number, time, [0; 4]);
            let offset = &mut next[number as usize];
            expected.push(format!("{number}.{offset}"));
            *offset += 1;
            if step {
                lane.step(None, &mut no_effects).unwrap();
            }
        }
        drain(&mut lane);
        prop_assert_eq!(world.outputs(0), expected);
    }
}
