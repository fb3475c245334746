//! How far behind a lane says it is.

use super::hooked::Hooked;
use super::toy::{IN, Sums, World, partition};
use super::*;
use crate::embedded::Fault;
use crate::lane::Tail;
use crate::log::BatchLimits;
use crate::record::Headers;

fn tail(next: u64, end: u64, caught_up: bool) -> Tail {
    let (next, end) = (NextOffset(next), NextOffset(end));
    Tail { at: partition(IN, 0), next, end, caught_up, complete: caught_up }
}

fn transaction(world: &World, id: &str) -> crate::embedded::EmbeddedTransaction {
    let mut transaction = world.log.begin(id).unwrap();
    let value = [50, 7, 5, 0];
    transaction.append(partition(IN, 0), 10, None, Some(&value), Headers::default()).unwrap();
    transaction
}

#[test]
fn a_tail_counts_what_is_decided_and_not_read() {
    let world = World::new();
    let mut lane = world.lane(BatchLimits { records: 1, bytes: 1_000 });
    assert_eq!(lane.tails().unwrap()[0], tail(0, 0, true));
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(0, 10, [2, 7, 5, 0]);
    assert_eq!(lane.tails().unwrap()[0], tail(0, 2, false));
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(1, 2, false));
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(2, 2, true));
}

#[test]
fn markers_and_what_was_aborted_do_not_count_as_left() {
    let world = World::new();
    let mut lane = world.lane(BatchLimits::default());
    transaction(&world, "other").commit().unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(0, 2, false));
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(1, 2, true), "only the marker is left");
    transaction(&world, "other").abort().unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(1, 4, true));
}

#[test]
fn what_is_undecided_is_not_left_to_read_but_hides_what_is_behind_it() {
    let world = World::new();
    let mut lane = world.lane(BatchLimits::default());
    let open = transaction(&world, "other");
    world.say(0, 10, [1, 7, 5, 0]);
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(lane.tails().unwrap()[0], Tail { complete: false, ..tail(0, 2, true) });
    open.abort().unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(0, 3, false));
}

#[test]
fn a_step_that_was_not_committed_leaves_its_records_to_read() {
    let world = World::new();
    let mut lane = world.lane(BatchLimits::default());
    world.say(0, 10, [1, 7, 5, 0]);
    world.log.fail_commit("toy-0", Fault::Abort);
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(0, 1, false));
}

#[test]
fn a_partition_that_is_held_is_not_caught_up() {
    let world = World::new();
    let mut lane = world.lane(BatchLimits::default());
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(0, 10, *b"bad!");
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(lane.tails().unwrap()[0], tail(1, 2, false));
}

#[test]
fn what_is_fetched_and_not_processed_is_left() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(1, 20, [1, 7, 5, 0]);
    let log = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let config = LaneConfig { limits: BatchLimits { records: 1, bytes: 1_000 }, order: Order::Arrival };
    let mut lane = Lane::new(log, vec![Sums::new(0)], |_| Some(0), config).unwrap();
    lane.step(None, &mut no_effects).unwrap();
    let caught_up: Vec<bool> = lane.tails().unwrap().iter().map(|tail| tail.caught_up).collect();
    assert_eq!(caught_up, [true, false]);
}

#[test]
fn nothing_is_caught_up_while_the_outcome_of_a_commit_is_open() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    let inner = world.log.lane("toy", "toy-0", &[partition(IN, 0)]).unwrap();
    let log = Hooked { inner, failures: 1, before_poll: |_| {} };
    let mut lane = Lane::new(log, vec![Sums::new(0)], |_| Some(0), LaneConfig::default()).unwrap();
    world.log.fail_commit("toy-0", Fault::LostAnswer);
    assert!(lane.step(None, &mut no_effects).is_err());
    assert!(!lane.tails().unwrap()[0].caught_up, "the record may come again");
    assert!(lane.step(None, &mut no_effects).unwrap().committed);
    assert!(lane.tails().unwrap()[0].caught_up);
}
