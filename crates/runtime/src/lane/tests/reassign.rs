//! A lane whose partitions change while it lives.

use super::toy::{IN, Sums, World, partition};
use super::{LaneConfig, no_effects};
use crate::embedded::EmbeddedLane;
use crate::lane::{Kept, Lane, LaneError, Seat};
use crate::log::{BatchLimits, Log, LogError, Reassignment};
use crate::record::{NextOffset, Partition, TopicPartition};

fn lane_of(world: &World, id: &str, numbers: &[Partition]) -> Lane<EmbeddedLane, Sums> {
    let assignment: Vec<_> = numbers.iter().map(|number| partition(IN, *number)).collect();
    let log = world.log.lane("toy", id, &assignment).unwrap();
    rebuild(log, vec![], numbers)
}

/// A lane of these partitions: tasks that were kept by their partition, new ones for the others.
fn rebuild(
    log: EmbeddedLane,
    kept: Vec<(Partition, Kept<Sums>)>,
    numbers: &[Partition],
) -> Lane<EmbeddedLane, Sums> {
    let mut kept: std::collections::BTreeMap<_, _> = kept.into_iter().collect();
    let seats = numbers.iter().map(|number| match kept.remove(number) {
        Some(kept) => Seat::Kept(kept),
        None => Seat::New(Sums::new(*number)),
    });
    let place = |at: TopicPartition| numbers.iter().position(|number| *number == at.partition);
    let mut lane = Lane::assemble(log, seats.collect(), place, LaneConfig::default()).unwrap();
    lane.restore().unwrap();
    lane
}

fn assert_reassigned(lane: &mut Lane<EmbeddedLane, Sums>) {
    for _ in 0..2 {
        let error = lane.step(None, &mut no_effects).unwrap_err();
        assert!(matches!(error, LaneError::Log(LogError::Reassigned)), "{error}");
    }
}

#[test]
fn a_partition_moves_from_lane_to_lane_and_the_others_keep_their_state() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(1, 10, [2, 8, 6, 0]);
    let mut first = lane_of(&world, "toy-0", &[0, 1]);
    let mut second = lane_of(&world, "toy-1", &[]);
    first.step(None, &mut no_effects).unwrap();
    world.say(0, 20, [3, 7, 1, 0]);
    world.say(1, 20, [4, 8, 1, 0]);

    first.log_mut().offer(&[partition(IN, 0)]);
    assert_reassigned(&mut first);
    let (mut log, tasks) = first.dissolve();
    let change = log.reassign().unwrap();
    assert_eq!(change, Reassignment { revoked: vec![partition(IN, 1)], ..Reassignment::default() });
    let kept = (0..).zip(tasks).filter_map(|(number, task)| Some((number, task?))).take(1).collect();
    let mut first = rebuild(log, kept, &[0]);

    second.log_mut().offer(&[partition(IN, 1)]);
    assert_reassigned(&mut second);
    let (mut log, _) = second.dissolve();
    let change = log.reassign().unwrap();
    assert_eq!(change, Reassignment { gained: vec![partition(IN, 1)], ..Reassignment::default() });
    let mut second = rebuild(log, vec![], &[1]);

    first.step(None, &mut no_effects).unwrap();
    second.step(None, &mut no_effects).unwrap();
    assert_eq!(world.outputs(0), ["7=5@10", "7=6@20"]);
    assert_eq!(world.outputs(1), ["8=6@10", "8=7@20"]);
    assert_eq!(world.log.committed("toy", partition(IN, 1)), Ok(Some(NextOffset(2))));
}

#[test]
fn what_another_lane_took_is_lost() {
    let world = World::new();
    let mut lane = lane_of(&world, "toy-0", &[0, 1]);
    drop(lane_of(&world, "toy-1", &[1]));
    lane.log_mut().offer(&[partition(IN, 0)]);
    let (mut log, _) = lane.dissolve();
    let change = log.reassign().unwrap();
    assert_eq!(change, Reassignment { lost: vec![partition(IN, 1)], ..Reassignment::default() });
    assert_eq!(log.assignment(), [partition(IN, 0)]);
    assert!(log.reassign().unwrap().is_empty(), "taken up once");
}

#[test]
fn a_task_that_is_kept_is_restored_from_where_it_was() {
    let world = World::new();
    for number in 0..4 {
        world.say(1, 10, [number, number, 5, 0]);
    }
    world.lane(BatchLimits::default()).step(None, &mut no_effects).unwrap();
    world.say(1, 20, [9, 3, 1, 0]);
    let mut lane = world.unrestored(BatchLimits { records: 2, bytes: 1_000 });
    lane.restore_some().unwrap();
    let before: Vec<_> = lane.restoring().collect();
    assert_eq!((before[0].task, before[0].position), (1, NextOffset(2)));

    // The first partition moves away, so that the task has another place.
    lane.log_mut().offer(&[partition(IN, 1)]);
    let (mut log, mut tasks) = lane.dissolve();
    log.reassign().unwrap();
    let seats = vec![Seat::Kept(tasks.remove(1).unwrap())];
    let mut lane = Lane::assemble(log, seats, |_| Some(0), LaneConfig::default()).unwrap();
    let after: Vec<_> = lane.restoring().collect();
    assert_eq!((after[0].task, after[0].position, after.len()), (0, NextOffset(2), before.len()));
    assert_eq!(lane.step(None, &mut no_effects).unwrap().records, 0, "not before");
    lane.restore().unwrap();
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(world.state(1), [(0, 5), (1, 5), (2, 5), (3, 6)]);
}

#[test]
fn a_task_of_a_fenced_lane_is_not_kept() {
    let world = World::new();
    let mut lane = lane_of(&world, "toy-0", &[0, 1]);
    drop(lane_of(&world, "toy-1", &[0, 1]));
    world.say(0, 10, [1, 7, 5, 0]);
    assert!(matches!(lane.step(None, &mut no_effects), Err(LaneError::Fenced(_))));
    assert!(lane.dissolve().1.iter().all(Option::is_none));
}
