//! Whatever goes wrong, the results are those of a lane to which nothing happened.

use super::hooked::Hooked;
use super::toy::{IN, OUT, STATE, Sum, Sums, World, partition};
use super::*;
use crate::embedded::{EmbeddedLane, Fault};
use crate::record::Headers;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Everything that can be seen of a world: outputs and state of both partitions, and what a restored lane holds.
type Results = (Vec<Vec<String>>, Vec<Vec<(u8, u64)>>, Vec<BTreeMap<u8, Sum>>);

fn held(lane: &Lane<EmbeddedLane, Sums>) -> Vec<BTreeMap<u8, Sum>> {
    lane.tasks().map(|task| task.table.sorted().unwrap().into_iter().collect()).collect()
}

fn results(world: &World, lane: &Lane<EmbeddedLane, Sums>) -> Results {
    let restored = world.lane(BatchLimits::default());
    assert_eq!(held(&restored), held(lane), "a restored lane holds what the running one does");
    let of_both = |of: &dyn Fn(u32) -> Vec<String>| (0..2).map(of).collect();
    (of_both(&|number| world.outputs(number)), (0..2).map(|number| world.state(number)).collect(), held(lane))
}

/// Runs until nothing is left to do.
fn drain(lane: &mut Lane<EmbeddedLane, Sums>, effects: &mut Vec<String>) {
    while !lane.step(None, &mut |effect| effects.push(effect)).unwrap().is_idle() {}
}

fn fill(world: &World, records: &[(u32, i64, [u8; 4])]) {
    let mut time = 0;
    for (number, after, value) in records {
        time += after;
        world.say(*number, time, *value);
    }
}

/// What a lane without faults and with one batch makes of the records.
fn reference(records: &[(u32, i64, [u8; 4])]) -> (Results, Vec<String>) {
    let world = World::new();
    fill(&world, records);
    let (mut lane, mut effects) = (world.lane(BatchLimits::default()), Vec::new());
    drain(&mut lane, &mut effects);
    effects.sort_unstable();
    (results(&world, &lane), effects)
}

const RECORDS: [(u32, i64, [u8; 4]); 4] =
    [(0, 10, [1, 7, 5, 9]), (0, 10, [2, 7, 6, 0]), (1, 10, [1, 8, 5, 0]), (0, 10, [1, 7, 5, 0])];

fn check_fault(fault: Fault) {
    let world = World::new();
    fill(&world, &RECORDS);
    let (mut lane, mut effects) = (world.lane(BatchLimits { records: 2, bytes: 1_000 }), Vec::new());
    lane.step(None, &mut |effect| effects.push(effect)).unwrap();
    world.log.fail_commit("toy-0", fault);
    drain(&mut lane, &mut effects);
    effects.sort_unstable();
    assert_eq!((results(&world, &lane), effects), reference(&RECORDS), "{fault:?}");
}

#[test]
fn an_aborted_step_is_undone_and_gives_the_same_the_second_time() {
    check_fault(Fault::Abort);
}

#[test]
fn a_commit_whose_answer_was_lost_is_kept() {
    check_fault(Fault::LostAnswer);
}

#[test]
fn a_commit_that_never_arrived_is_undone() {
    check_fault(Fault::LostRequest);
}

#[test]
fn a_timer_transaction_of_unknown_outcome_forces_a_restore() {
    for (fault, expected) in [(Fault::LostAnswer, 1_005), (Fault::LostRequest, 5)] {
        let world = World::new();
        world.say(0, 10, [1, 7, 5, 50]);
        let mut lane = world.lane(BatchLimits::default());
        lane.step(Some(100), &mut no_effects).unwrap();
        world.log.fail_commit("toy-0", fault);
        for _ in 0..2 {
            assert!(
                matches!(lane.step(Some(150), &mut no_effects), Err(LaneError::MustRestore)),
                "{fault:?}"
            );
        }
        let mut lane = world.lane(BatchLimits::default());
        assert_eq!(held(&lane)[0].get(&7).map(|sum| sum.total), Some(expected), "{fault:?}");
        lane.step(Some(150), &mut no_effects).unwrap();
        assert_eq!(world.state(0), [(7, 1_005)], "{fault:?}: fired once");
    }
}

#[test]
fn a_zombie_lane_is_fenced_by_its_successor() {
    let world = World::new();
    fill(&world, &RECORDS);
    let mut zombie = world.lane(BatchLimits { records: 1, bytes: 1_000 });
    zombie.step(None, &mut no_effects).unwrap();
    let (mut lane, mut effects) = (world.lane(BatchLimits::default()), Vec::new());
    assert!(matches!(zombie.step(None, &mut no_effects), Err(LaneError::Fenced(Fence::Producer))));
    drain(&mut lane, &mut effects);
    assert_eq!(results(&world, &lane), reference(&RECORDS).0);
}

#[test]
fn a_commit_stays_unsettled_until_the_log_can_be_asked() {
    let world = World::new();
    fill(&world, &RECORDS);
    let inner = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let tasks = vec![Sums::new(0), Sums::new(1)];
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let log = Hooked { inner, failures: 2, before_poll: |_| {} };
    let mut lane = Lane::new(log, tasks, task_of, LaneConfig::default()).unwrap();
    lane.restore().unwrap();
    world.log.fail_commit("toy-0", Fault::LostAnswer);
    let mut effects = Vec::new();
    for _ in 0..2 {
        let error = lane.step(None, &mut |effect| effects.push(effect)).unwrap_err();
        assert!(matches!(error, LaneError::Log(LogError::Retry { .. })), "{error}");
    }
    assert_eq!(effects, [""; 0], "not before the outcome is known");
    let report = lane.step(None, &mut |effect| effects.push(effect)).unwrap();
    assert_eq!((report.records, report.committed), (4, true));
    effects.sort_unstable();
    assert_eq!(effects, reference(&RECORDS).1);
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Fault(Fault),
    /// The process dies between two steps, or in the middle of a transaction.
    Crash {
        in_transaction: bool,
    },
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        4 => Just(Trouble::None),
        1 => Just(Trouble::Fault(Fault::Abort)),
        1 => Just(Trouble::Fault(Fault::LostAnswer)),
        1 => Just(Trouble::Fault(Fault::LostRequest)),
        1 => any::<bool>().prop_map(|in_transaction| Trouble::Crash { in_transaction }),
    ]
}

fn die_in_transaction(world: &World) {
    let mut transaction = world.log.begin("toy-0").unwrap();
    for topic in [OUT, STATE] {
        transaction
            .append(partition(topic, 0), 0, Some(&[7]), Some(b"never to be seen"), Headers::default())
            .unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn results_depend_neither_on_where_batches_end_nor_on_faults(
        records in prop::collection::vec(
            (0_u32..2, 0_i64..400, (0_u8..40, 0_u8..4, 1_u8..9, prop_oneof![Just(0_u8), 1_u8..200])
                .prop_map(|(id, key, amount, delay)| [id, key, amount, delay])),
            0..40,
        ),
        batch in 1_usize..6,
        troubles in prop::collection::vec(trouble(), 0..40),
    ) {
        let (expected, expected_effects) = reference(&records);
        let world = World::new();
        fill(&world, &records);
        let limits = BatchLimits { records: batch, bytes: 1_000 };
        let (mut lane, mut effects) = (world.lane(limits), Vec::new());
        for trouble in troubles {
            match trouble {
                Trouble::None => {}
                Trouble::Fault(fault) => world.log.fail_commit("toy-0", fault),
                Trouble::Crash { in_transaction } => {
                    if in_transaction {
                        die_in_transaction(&world);
                    }
                    lane = world.lane(limits);
                }
            }
            lane.step(None, &mut |effect| effects.push(effect)).unwrap();
        }
        drain(&mut lane, &mut effects);
        effects.sort_unstable();
        prop_assert_eq!(results(&world, &lane), expected);
        prop_assert_eq!(effects, expected_effects);
    }
}
