//! A toy role on the embedded log: sums per key, with deduplication, timers and an event clock.

mod arrival;
mod faults;
mod held;
mod hooked;
mod reassign;
mod restoring;
mod snapshots;
mod tails;
mod toy;

use super::*;
use crate::embedded::Fault;
use crate::log::BatchLimits;
use toy::{IN, OUT, World, partition};

fn no_effects(_: String) {}

#[test]
fn a_step_commits_outputs_state_and_offsets_together() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(0, 20, [2, 7, 6, 0]);
    let mut lane = world.lane(BatchLimits::default());
    let report = lane.step(None, &mut no_effects).unwrap();
    assert_eq!((report.records, report.outputs, report.committed), (2, 4, true));
    assert_eq!(world.outputs(0), ["7=5@10", "7=11@20"]);
    assert_eq!(world.log.committed("toy", partition(IN, 0)), Ok(Some(NextOffset(2))));
    assert_eq!(world.state(0), [(7, 11)]);
}

#[test]
fn a_step_with_nothing_to_do_writes_nothing() {
    let world = World::new();
    let mut lane = world.lane(BatchLimits::default());
    let report = lane.step(None, &mut no_effects).unwrap();
    assert!(report.is_idle() && report.committed && !report.full);
    assert_eq!(world.log.high_watermark(partition(OUT, 0)), Ok(NextOffset(0)));
    assert_eq!(world.log.committed("toy", partition(IN, 0)), Ok(None));
}

#[test]
fn effects_run_after_the_commit_and_never_without() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    let mut lane = world.lane(BatchLimits::default());
    world.log.fail_commit("toy-0", Fault::Abort);
    let mut ran = Vec::new();
    let report = lane.step(None, &mut |effect| ran.push(effect)).unwrap();
    assert_eq!((report.aborted.as_deref(), report.committed), (Some("injected fault"), false));
    assert_eq!(ran, [""; 0]);
    let mut seen_committed = Vec::new();
    lane.step(None, &mut |effect| {
        seen_committed.push(world.outputs(0));
        ran.push(effect);
    })
    .unwrap();
    assert_eq!(ran, ["7=5@10"]);
    assert_eq!(seen_committed, [["7=5@10"]], "the output was visible when the effect ran");
}

#[test]
fn a_timer_fires_in_a_step_without_input_and_commits_an_unchanged_offset() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 50]);
    let mut lane = world.lane(BatchLimits::default());
    lane.step(Some(100), &mut no_effects).unwrap();
    let report = lane.step(Some(149), &mut no_effects).unwrap();
    assert!(report.is_idle());
    let report = lane.step(Some(150), &mut no_effects).unwrap();
    assert_eq!((report.records, report.outputs), (0, 2));
    assert_eq!(world.outputs(0), ["7=5@100", "7=1005@150 timer"]);
    assert_eq!(world.log.committed("toy", partition(IN, 0)), Ok(Some(NextOffset(1))));
}

#[test]
fn a_lane_that_lost_its_partition_can_not_even_fire_a_timer() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 50]);
    let mut lane = world.lane(BatchLimits::default());
    lane.step(Some(100), &mut no_effects).unwrap();
    let assignment = [partition(IN, 0), partition(IN, 1)];
    drop(world.log.lane("toy", "another", &assignment).unwrap());
    for _ in 0..2 {
        let error = lane.step(Some(150), &mut no_effects).unwrap_err();
        assert!(matches!(error, LaneError::Fenced(Fence::Group)), "{error}");
    }
    assert_eq!(world.outputs(0), ["7=5@100"]);
}

#[test]
fn each_task_has_a_time_of_its_own() {
    let world = World::new();
    world.say(0, 1_000, [1, 7, 5, 0]);
    world.say(1, 10, [1, 8, 5, 0]);
    let mut lane = world.lane(BatchLimits::default());
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(world.outputs(1), ["8=5@10"]);
}

#[test]
fn a_partition_without_a_task_and_a_task_without_a_partition_are_refused() {
    let world = World::new();
    let lane = |partitions: &[u32], tasks: usize| {
        let assignment: Vec<_> = partitions.iter().map(|number| partition(IN, *number)).collect();
        let log = world.log.lane("toy", "toy-0", &assignment).unwrap();
        let tasks = (0..tasks).map(|_| toy::Sums::new(0)).collect();
        let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
        Lane::new(log, tasks, task_of, LaneConfig::default()).err().map(|error| error.to_string())
    };
    assert_eq!(lane(&[0, 1], 2), None);
    assert_eq!(lane(&[0, 1], 1).as_deref(), Some("wiring: topic 0 partition 1 belongs to no task"));
    assert_eq!(lane(&[0], 2).as_deref(), Some("wiring: task 1 has no partition"));
}

#[test]
fn a_full_batch_says_that_there_is_more() {
    let world = World::new();
    for number in 0..3 {
        world.say(0, 10, [number, 7, 1, 0]);
    }
    let mut lane = world.lane(BatchLimits { records: 2, bytes: 1_000 });
    let full: Vec<_> = (0..3).map(|_| lane.step(None, &mut no_effects).unwrap().full).collect();
    assert_eq!(full, [true, false, false]);
}
