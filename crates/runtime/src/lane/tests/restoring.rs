//! Tasks get their state back while others run.

use super::toy::{DEDUP, IN, STATE, Sums, World, partition};
use super::*;
use crate::embedded::EmbeddedLane;
use crate::lane::RestoreProgress;
use crate::log::BatchLimits;
use crate::record::Headers;

/// A world whose two partitions have state already: 7=5 and 8=6.
fn with_state() -> World {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(1, 10, [1, 8, 6, 0]);
    world.lane(BatchLimits::default()).step(None, &mut no_effects).unwrap();
    world
}

fn step(lane: &mut Lane<EmbeddedLane, Sums>) -> StepReport {
    lane.step(None, &mut no_effects).unwrap()
}

fn totals(lane: &Lane<EmbeddedLane, Sums>) -> Vec<Vec<(u8, u64)>> {
    let of =
        |task: &Sums| task.table.sorted().unwrap().into_iter().map(|(key, sum)| (key, sum.total)).collect();
    lane.tasks().map(of).collect()
}

/// An open transaction with a record in the changelog of that partition.
fn hide(world: &World, id: &str, number: u32) -> crate::embedded::EmbeddedTransaction {
    let mut other = world.log.begin(id).unwrap();
    other.append(partition(STATE, number), 0, Some(&[9]), Some(b"x"), Headers::default()).unwrap();
    other
}

#[test]
fn a_restored_task_runs_while_another_is_restored() {
    let world = with_state();
    world.say(0, 20, [2, 7, 1, 0]);
    world.say(1, 20, [2, 8, 1, 0]);
    let mut lane = world.unrestored(BatchLimits::default());
    assert_eq!(step(&mut lane).records, 0, "nothing is restored yet");
    // Two changelogs of the first task.
    assert_eq!(lane.restore_some().unwrap(), Restored::More);
    assert_eq!(lane.restore_some().unwrap(), Restored::More);
    let left: Vec<_> = lane.restoring().map(|progress| (progress.task, progress.at)).collect();
    assert_eq!(left, [(1, partition(STATE, 1)), (1, partition(DEDUP, 1))]);
    assert_eq!(step(&mut lane).records, 1);
    assert_eq!(world.outputs(0), ["7=5@10", "7=6@20"]);
    assert_eq!(world.outputs(1), ["8=6@10"]);
    while lane.restore_some().unwrap() != Restored::Done {}
    assert!(lane.is_restored() && lane.restoring().next().is_none());
    assert_eq!(step(&mut lane).records, 1);
    assert_eq!(world.outputs(1), ["8=6@10", "8=7@20"]);
}

#[test]
fn progress_is_told_while_a_changelog_is_read_in_slices() {
    let world = World::new();
    for number in 0..4 {
        world.say(0, 10, [number, number, 5, 0]);
    }
    world.lane(BatchLimits::default()).step(None, &mut no_effects).unwrap();
    let mut lane = world.unrestored(BatchLimits { records: 2, bytes: 1_000 });
    let first = |lane: &Lane<_, Sums>| lane.restoring().next();
    let progress = |position| {
        let (at, target) = (partition(STATE, 0), NextOffset(5));
        Some(RestoreProgress { task: 0, at, position: NextOffset(position), target })
    };
    assert_eq!(first(&lane), progress(0), "four records and a marker");
    assert_eq!(lane.restore_some().unwrap(), Restored::More);
    assert_eq!(first(&lane), progress(2));
    assert_eq!(lane.tasks().next().map(|task| task.table.len()), Some(2));
}

#[test]
fn a_task_without_state_runs_at_once() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    let mut lane = world.unrestored(BatchLimits::default());
    assert!(lane.is_restored());
    assert_eq!(step(&mut lane).records, 1);
}

#[test]
fn an_open_transaction_in_one_changelog_does_not_hinder_the_others() {
    let world = with_state();
    let other = hide(&world, "other", 0);
    world.say(1, 20, [2, 8, 1, 0]);
    let mut lane = world.unrestored(BatchLimits::default());
    let mut last = Restored::More;
    while lane.restoring().any(|progress| progress.task == 1) {
        last = lane.restore_some().unwrap();
    }
    assert_eq!(last, Restored::More, "the hidden one is asked again in its turn");
    for _ in 0..3 {
        let held = lane.restore_some().unwrap();
        let (at, position, target) = (partition(STATE, 0), NextOffset(2), NextOffset(3));
        assert_eq!(held, Restored::Held { at, position, target });
    }
    let error = lane.restore().unwrap_err();
    assert!(matches!(error, LaneError::RestoreHeld { .. }), "{error}");
    assert_eq!(step(&mut lane).records, 1);
    assert_eq!(world.outputs(1), ["8=6@10", "8=7@20"]);
    other.abort().unwrap();
    lane.restore().unwrap();
    assert_eq!(totals(&lane), [[(7, 5)], [(8, 7)]]);
}

#[test]
fn two_hidden_changelogs_are_both_asked_again() {
    let world = with_state();
    let (first, second) = (hide(&world, "first", 0), hide(&world, "second", 1));
    let mut lane = world.unrestored(BatchLimits::default());
    assert_eq!(lane.restore_some().unwrap(), Restored::More);
    assert!(matches!(lane.restore_some().unwrap(), Restored::Held { .. }));
    second.abort().unwrap();
    while lane.restoring().any(|progress| progress.task == 1) {
        lane.restore_some().unwrap();
    }
    assert!(lane.restoring().all(|progress| progress.task == 0));
    first.abort().unwrap();
    lane.restore().unwrap();
    assert_eq!(totals(&lane), [[(7, 5)], [(8, 6)]]);
}

#[test]
fn a_task_whose_state_can_not_be_read_stops_alone() {
    let world = with_state();
    let at = partition(STATE, 0);
    let offset = world.log.producer_append(at, 0, Some(&[7]), Some(b"?"), Headers::default()).unwrap();
    world.say(0, 20, [2, 7, 1, 0]);
    world.say(1, 20, [2, 8, 1, 0]);
    let mut lane = world.unrestored(BatchLimits::default());
    let error = lane.restore().unwrap_err();
    assert_eq!(
        error.to_string(),
        "topic 2 partition 0 offset 2: sum of version 63, where this release reads 1: a newer release wrote it; run that one"
    );
    assert!(lane.is_restored(), "nothing is left to be read");
    let held: Vec<_> = lane.held().map(|held| (held.at, held.why.clone())).collect();
    let reason =
        "sum of version 63, where this release reads 1: a newer release wrote it; run that one".to_owned();
    assert_eq!(held, [(partition(IN, 0), Hold::Unrestorable { changelog: at, offset, reason })]);
    assert_eq!(step(&mut lane).records, 1);
    assert_eq!((world.outputs(0).len(), world.outputs(1).len()), (1, 2));
    let (_, tasks) = lane.dissolve();
    assert!(tasks[0].is_none() && tasks[1].is_some(), "it is made anew");
}

#[test]
fn retention_may_overtake_a_restore() {
    let world = World::new();
    for number in 0..6 {
        world.say(0, 1_000 * i64::from(number), [number, 7, 5, 0]);
    }
    let mut lane = world.lane(BatchLimits { records: 1, bytes: 1_000 });
    (0..6).for_each(|_| drop(step(&mut lane)));
    let mut lane = world.unrestored(BatchLimits { records: 1, bytes: 1_000 });
    let reading_dedup = |lane: &Lane<_, Sums>| {
        lane.restoring().next().is_some_and(|progress| progress.at == partition(DEDUP, 0))
    };
    while !reading_dedup(&lane) {
        lane.restore_some().unwrap();
    }
    world.log.drop_expired(1_003_500);
    lane.restore().unwrap();
    world.say(0, 6_000, [5, 7, 5, 0]);
    step(&mut lane);
    assert_eq!(totals(&lane)[0], [(7, 30)], "the last id is known");
}

#[test]
fn a_lane_in_order_of_arrival_reads_nothing_while_a_task_is_restored() {
    let world = with_state();
    world.say(0, 20, [2, 7, 1, 0]);
    let log = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let config = LaneConfig { limits: BatchLimits::default(), order: Order::Arrival };
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let mut lane = Lane::new(log, vec![Sums::new(0), Sums::new(1)], task_of, config).unwrap();
    while lane.restoring().any(|progress| progress.task == 0) {
        lane.restore_some().unwrap();
    }
    assert_eq!(step(&mut lane).records, 0);
    lane.restore().unwrap();
    assert_eq!(step(&mut lane).records, 1);
}

#[test]
fn state_that_a_successor_wrote_meanwhile_is_no_state_without_an_offset() {
    let world = World::new();
    hide(&world, "other", 0).abort().unwrap();
    let mut expelled = world.unrestored(BatchLimits::default());
    let all = [partition(IN, 0), partition(IN, 1)];
    let successor = world.log.lane("toy", "toy-1", &all).unwrap();
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let tasks = vec![Sums::new(0), Sums::new(1)];
    let mut successor = Lane::new(successor, tasks, task_of, LaneConfig::default()).unwrap();
    successor.restore().unwrap();
    world.say(0, 10, [1, 7, 5, 0]);
    step(&mut successor);
    expelled.restore().unwrap();
    assert_eq!(expelled.held().next(), None);
    assert!(matches!(expelled.step(None, &mut no_effects), Err(LaneError::Fenced(Fence::Group))));
}
