//! A partition that can't go on stops alone.

use super::toy::{IN, OUT, STATE, Sums, World, partition};
use super::*;
use crate::embedded::{EmbeddedLane, Fault};
use crate::log::BatchLimits;
use crate::record::{Headers, Partition, Record};
use crate::task::{Readiness, Unreadable};
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

fn step(lane: &mut Lane<EmbeddedLane, Sums>) -> StepReport {
    lane.step(None, &mut no_effects).unwrap()
}

fn held<T: Task>(lane: &Lane<EmbeddedLane, T>) -> Vec<(Partition, u64, Hold)> {
    lane.held().map(|held| (held.at.partition, held.next.0, held.why.clone())).collect()
}

fn unreadable(offset: u64) -> Hold {
    Hold::Unreadable { offset: Offset(offset), reason: "a bad record".to_owned() }
}

fn positions<T: Task>(lane: &Lane<EmbeddedLane, T>) -> Vec<u64> {
    lane.positions().map(|(_, next)| next.0).collect()
}

#[test]
fn a_record_that_can_not_be_read_stops_its_partition_and_no_other() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(0, 10, *b"bad!");
    world.say(0, 10, [2, 7, 5, 0]);
    world.say(1, 10, [1, 8, 5, 0]);
    let mut lane = world.lane(BatchLimits::default());
    let report = step(&mut lane);
    assert_eq!((report.records, report.committed), (2, true));
    assert_eq!(held(&lane), [(0, 1, unreadable(1))]);
    assert_eq!((world.outputs(0), world.outputs(1)), (vec!["7=5@10".to_owned()], vec!["8=5@10".to_owned()]));
    world.say(1, 20, [2, 8, 5, 0]);
    lane.retry().unwrap();
    assert_eq!(step(&mut lane).records, 1);
    assert!(step(&mut lane).is_idle());
    assert_eq!(world.outputs(1).len(), 2);
    assert_eq!(world.log.committed("toy", partition(IN, 0)), Ok(Some(NextOffset(1))));
    // So does the next lane.
    assert_eq!(held(&lane), [(0, 1, unreadable(1))]);
    let mut lane = world.lane(BatchLimits::default());
    step(&mut lane);
    assert_eq!(held(&lane), [(0, 1, unreadable(1))]);
}

#[test]
fn bad_records_of_all_partitions_are_found_in_one_step() {
    let world = World::new();
    for number in [0, 1] {
        world.say(number, 10, *b"bad!");
    }
    let mut lane = world.lane(BatchLimits::default());
    let report = step(&mut lane);
    assert_eq!((report.records, report.held, report.is_idle()), (0, 2, false));
    assert_eq!(held(&lane), [(0, 0, unreadable(0)), (1, 0, unreadable(0))]);
    assert!(step(&mut lane).is_idle());
}

#[test]
fn an_abort_does_not_free_a_partition_and_does_not_lose_what_is_before_the_bad_record() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(0, 10, *b"bad!");
    let mut lane = world.lane(BatchLimits::default());
    world.log.fail_commit("toy-0", Fault::Abort);
    assert!(step(&mut lane).aborted.is_some());
    assert_eq!((held(&lane), positions(&lane)), (vec![], vec![0, 0]), "to be found again");
    step(&mut lane);
    assert_eq!(held(&lane), [(0, 1, unreadable(1))]);
    world.log.fail_commit("toy-0", Fault::Abort);
    world.say(1, 10, [1, 8, 5, 0]);
    assert!(step(&mut lane).aborted.is_some());
    assert_eq!(held(&lane), [(0, 1, unreadable(1))]);
    step(&mut lane);
    assert_eq!((world.outputs(0).len(), world.outputs(1).len()), (1, 1));
}

/// Writes before it fails.
#[derive(Debug, Default)]
struct Sloppy;

impl Task for Sloppy {
    type Effect = String;

    fn process(&mut self, record: &Record<'_>, step: &mut Step<String>) -> Result<(), Unreadable> {
        let value = record.value.unwrap_or_default();
        step.emit(OUT, record.partition, b"", |out| out.extend_from_slice(value));
        step.effects.push("an effect".to_owned());
        if value == b"bad!" { Err(Unreadable { reason: "bad".to_owned() }) } else { Ok(()) }
    }

    fn advance(&mut self, _: &mut Step<String>) {}

    fn flush(&mut self, _: &mut Step<String>) {}

    fn committed(&mut self) {}

    fn aborted(&mut self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    fn restore(&mut self, _: &Record<'_>) -> Result<(), Unreadable> {
        Ok(())
    }
}

#[test]
fn nothing_that_the_failing_call_wrote_is_committed() {
    let world = World::new();
    world.say(0, 10, *b"good");
    world.say(0, 10, *b"bad!");
    let log = world.log.lane("toy", "toy-0", &[partition(IN, 0)]).unwrap();
    let mut lane = Lane::new(log, vec![Sloppy], |_| Some(0), LaneConfig::default()).unwrap();
    let mut effects = 0;
    let report = lane.step(None, &mut |_| effects += 1).unwrap();
    assert_eq!((report.records, report.outputs, effects), (1, 1, 1));
    assert_eq!(world.outputs(0), ["good"]);
}

#[test]
fn a_held_partition_fences_its_task_with_its_unchanged_offset() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 50]);
    world.say(0, 10, *b"bad!");
    let mut lane = world.lane(BatchLimits::default());
    lane.step(Some(100), &mut no_effects).unwrap();
    assert_eq!(held(&lane).len(), 1);
    lane.step(Some(150), &mut no_effects).unwrap();
    assert_eq!(world.outputs(0), ["7=5@100", "7=1005@150 timer"]);
    assert_eq!(world.log.committed("toy", partition(IN, 0)), Ok(Some(NextOffset(1))));
    drop(world.log.lane("toy", "another", &[partition(IN, 0), partition(IN, 1)]).unwrap());
    world.say(1, 10, [1, 8, 5, 0]);
    let error = lane.step(Some(200), &mut no_effects).unwrap_err();
    assert!(matches!(error, LaneError::Fenced(Fence::Group)), "{error}");
}

/// A lane that was asleep while another one took over meets what it can't read: that is not for it to say.
#[test]
fn what_holds_a_partition_is_said_by_its_owner_alone() {
    for fault in [None, Some(Fault::Abort), Some(Fault::LostRequest), Some(Fault::LostAnswer)] {
        let world = World::new();
        world.say(0, 10, [1, 7, 5, 0]);
        let mut lane = world.lane(BatchLimits::default());
        step(&mut lane);
        world.say(0, 10, *b"bad!");
        if let Some(fault) = fault {
            // Nothing comes of the record, so the next commit is that of the proof.
            world.log.fail_commit("toy-0", fault);
            let report = step(&mut lane);
            assert_eq!((held(&lane), report.is_idle()), (vec![], false), "{fault:?}");
            while !step(&mut lane).is_idle() {}
            assert_eq!(held(&lane), [(0, 1, unreadable(1))], "{fault:?}");
            continue;
        }
        drop(world.log.lane("toy", "another", &[partition(IN, 0), partition(IN, 1)]).unwrap());
        step(&mut lane);
        assert_eq!(held(&lane), []);
        let error = lane.step(None, &mut no_effects).unwrap_err();
        assert!(matches!(error, LaneError::Fenced(Fence::Group)), "{error}");
    }
}

#[test]
fn a_gap_stops_its_partition_with_the_exact_range() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(1, 10, [1, 8, 5, 0]);
    let mut lane = world.lane(BatchLimits::default());
    step(&mut lane);
    for number in [2, 3, 4] {
        world.say(0, 20, [number, 7, 5, 0]);
    }
    world.say(0, 2_000_000, [5, 7, 5, 0]);
    world.say(1, 2_000_000, [2, 8, 5, 0]);
    world.log.drop_expired(2_000_000);
    for _ in 0..2 {
        step(&mut lane);
        let gap = Hold::Gap { position: NextOffset(1), earliest: NextOffset(4) };
        assert_eq!(held(&lane), [(0, 1, gap)]);
    }
    let text: Vec<String> = lane.held().map(|held| held.describe(&world.log.topics())).collect();
    assert_eq!(
        text,
        ["topic in partition 0 is held at offset 1: offsets 1 to 3 were deleted before they were read"]
    );
    assert_eq!(world.outputs(1), ["8=10@2000000"], "the older one is gone too");
}

/// A record in the changelog of a partition for which nothing was ever committed.
fn foreign_state(world: &World, number: Partition) {
    let at = partition(STATE, number);
    world
        .log
        .producer_append(at, 0, Some(&[7]), Some(&[1, 0, 0, 0, 0, 0, 0, 0, 5]), Headers::default())
        .unwrap();
}

#[test]
fn state_without_an_offset_is_not_read_from_the_earliest_record() {
    let world = World::new();
    foreign_state(&world, 0);
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(1, 10, [1, 8, 5, 0]);
    let mut lane = world.lane(BatchLimits::default());
    assert!(lane.is_restored());
    let (changelog, earliest, end) = (partition(STATE, 0), NextOffset(0), NextOffset(1));
    assert_eq!(held(&lane), [(0, 0, Hold::NoOffset { changelog, earliest, end })]);
    lane.retry().unwrap();
    lane.recommit();
    assert_eq!(step(&mut lane).records, 1);
    assert_eq!(
        world.log.committed("toy", partition(IN, 0)),
        Ok(None),
        "or the next lane would know no better"
    );
    assert_eq!(world.outputs(1), ["8=5@10"]);
}

#[test]
fn the_first_transaction_of_a_task_commits_an_offset_of_each_of_its_partitions() {
    let world = World::new();
    let lane = || {
        let log = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
        Lane::new(log, vec![Sums::new(0)], |_| Some(0), LaneConfig::default()).unwrap()
    };
    world.say(0, 10, [1, 7, 5, 0]);
    step(&mut lane());
    assert_eq!(world.log.committed("toy", partition(IN, 1)), Ok(Some(NextOffset(0))));
    world.say(1, 10, [2, 7, 5, 0]);
    let mut lane = lane();
    lane.restore().unwrap();
    assert_eq!((step(&mut lane).records, held(&lane)), (1, vec![]));
}

#[test]
fn offsets_are_committed_again_on_demand() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    let mut lane = world.lane(BatchLimits::default());
    step(&mut lane);
    assert_eq!(world.log.committed("toy", partition(IN, 1)), Ok(None));
    lane.recommit();
    assert!(step(&mut lane).is_idle());
    assert_eq!(world.log.committed("toy", partition(IN, 1)), Ok(Some(NextOffset(0))));
}

#[test]
fn a_result_that_is_too_large_stops_the_partition_of_its_record() {
    // One record of ids is as large as the step that it is of, so only a step of one passes the limit.
    let world = World::with_limit(60);
    for number in 0..9 {
        world.say(0, 20, [number, 7, 5, 0]);
        world.say(1, 20, [number, 8, 5, 0]);
    }
    // The timers of key 9 make its state too large.
    for number in 10..20 {
        world.say(0, 20, [number, 9, 1, number]);
    }
    let mut lane = world.lane(BatchLimits::default());
    let mut steps = 0;
    while !step(&mut lane).is_idle() {
        steps += 1;
        assert!(steps < 200, "{:?}", lane.positions().collect::<Vec<_>>());
    }
    let (at, next, why) = held(&lane).remove(0);
    let output = partition(STATE, 0);
    let Hold::TooLarge { offset, output: of, bytes, limit } = why else { panic!("{why:?}") };
    assert_eq!((at, Offset(next), of, limit), (0, offset, output, 60));
    assert!(bytes > 60);
    assert_eq!(world.state(1), [(8, 45)], "the other partition is read to its end");
    assert_eq!(positions(&lane), [next, 9]);
}

#[test]
fn a_timer_whose_result_is_too_large_is_an_error() {
    let world = World::with_limit(60);
    world.say(0, 10, [1, 7, 5, 50]);
    let mut lane = world.lane(BatchLimits::default());
    lane.step(Some(100), &mut no_effects).unwrap();
    lane.tasks_mut().for_each(|task| task.padding = 60);
    for _ in 0..2 {
        let error = lane.step(Some(150), &mut no_effects).unwrap_err();
        assert!(matches!(error, LaneError::Log(LogError::TooLarge { .. })), "{error}");
        let sum = lane.tasks().next().and_then(|task| task.table.copied(&7).unwrap());
        assert_eq!(sum.map(|sum| sum.total), Some(5));
    }
}

/// The toy, which waits for records whose key is not known yet.
#[derive(Debug)]
struct Picky {
    toy: Sums,
    known: Rc<Cell<u8>>,
    asked: u32,
}

impl Task for Picky {
    type Effect = String;

    fn ready(&mut self, record: &Record<'_>) -> Readiness {
        self.asked += 1;
        let key = record.value.map_or(0, |value| value[1]);
        if key > self.known.get() { Readiness::Wait } else { Readiness::Ready }
    }

    fn process(&mut self, record: &Record<'_>, step: &mut Step<String>) -> Result<(), Unreadable> {
        self.toy.process(record, step)
    }

    fn advance(&mut self, step: &mut Step<String>) {
        self.toy.advance(step);
    }

    fn flush(&mut self, step: &mut Step<String>) {
        self.toy.flush(step);
    }

    fn committed(&mut self) {
        self.toy.committed();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.toy.aborted()
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        self.toy.changelogs()
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        self.toy.restore(record)
    }

    fn arrival(&mut self, record: &Record<'_>) -> Millis {
        let key = record.value.map_or(0, |value| value[1]);
        assert!(key <= self.known.get(), "asked for its arrival before it was ready");
        record.append_time
    }
}

fn picky(world: &World, order: Order, limits: BatchLimits) -> (Lane<EmbeddedLane, Picky>, Rc<Cell<u8>>) {
    let known = Rc::new(Cell::new(0));
    let log = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let tasks = [0, 1].map(|number| Picky { toy: Sums::new(number), known: Rc::clone(&known), asked: 0 });
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let mut lane = Lane::new(log, tasks.into(), task_of, LaneConfig { limits, order }).unwrap();
    lane.restore().unwrap();
    (lane, known)
}

#[test]
fn a_partition_waits_for_what_its_record_needs_and_the_others_go_on() {
    let world = World::new();
    for (number, value) in [(0, [1, 0, 5, 0]), (0, [2, 9, 5, 0]), (0, [3, 0, 5, 0]), (1, [1, 0, 5, 0])] {
        world.say(number, 10, value);
    }
    let (mut lane, known) = picky(&world, Order::Offset, BatchLimits::default());
    let report = lane.step(None, &mut no_effects).unwrap();
    assert_eq!((report.records, report.bytes), (2, 8), "only what was decided counts");
    assert_eq!(held(&lane), [(0, 1, Hold::Waiting)]);
    assert_eq!(world.outputs(0), ["0=5@10"]);
    world.say(1, 20, [2, 0, 5, 0]);
    assert_eq!(lane.step(None, &mut no_effects).unwrap().records, 1);
    assert_eq!(held(&lane), [(0, 1, Hold::Waiting)], "until somebody asks again");

    lane.retry().unwrap();
    lane.step(None, &mut no_effects).unwrap();
    assert_eq!(held(&lane), [(0, 1, Hold::Waiting)], "still not there");
    known.set(9);
    lane.retry().unwrap();
    assert_eq!(lane.step(None, &mut no_effects).unwrap().records, 2);
    assert_eq!(held(&lane), []);
    assert_eq!(world.outputs(0), ["0=5@10", "9=5@10", "0=10@10"]);
}

#[test]
fn in_order_of_arrival_a_record_that_is_not_ready_holds_the_lane_back() {
    let world = World::new();
    world.say(0, 10, [1, 0, 5, 0]);
    world.say(0, 20, [2, 9, 5, 0]);
    world.say(1, 15, [1, 0, 5, 0]);
    world.say(1, 30, [2, 0, 5, 0]);
    let (mut lane, known) = picky(&world, Order::Arrival, BatchLimits::default());
    let report = lane.step(None, &mut no_effects).unwrap();
    assert_eq!((report.records, report.committed), (1, true), "what came before it is committed");
    assert_eq!(held(&lane), [(0, 1, Hold::Waiting)]);
    assert!(lane.step(None, &mut no_effects).unwrap().is_idle());
    lane.retry().unwrap();
    assert_eq!(lane.step(None, &mut no_effects).unwrap().records, 0);
    assert_eq!(held(&lane), [(0, 1, Hold::Waiting)]);
    known.set(9);
    lane.retry().unwrap();
    assert_eq!(lane.step(None, &mut no_effects).unwrap().records, 3);
    assert_eq!((world.outputs(0).len(), world.outputs(1).len(), held(&lane)), (2, 2, vec![]));
}

#[test]
fn in_order_of_arrival_what_is_held_for_good_is_left_out() {
    let world = World::new();
    world.say(0, 10, [1, 7, 5, 0]);
    world.say(0, 15, *b"bad!");
    world.say(1, 20, [1, 8, 5, 0]);
    let log = world.log.lane("toy", "toy-0", &[partition(IN, 0), partition(IN, 1)]).unwrap();
    let config = LaneConfig { limits: BatchLimits::default(), order: Order::Arrival };
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let mut lane = Lane::new(log, vec![Sums::new(0), Sums::new(1)], task_of, config).unwrap();
    assert_eq!(step(&mut lane).records, 2);
    assert_eq!(held(&lane), [(0, 1, unreadable(1))]);
    world.say(1, 30, [2, 8, 5, 0]);
    assert_eq!(step(&mut lane).records, 1);
    assert_eq!((world.outputs(0).len(), world.outputs(1).len()), (1, 2));
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Step,
    Fault(Fault),
    /// A key more is known.
    Learn,
    Retry,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Step),
        1 => Just(Event::Fault(Fault::Abort)),
        1 => Just(Event::Fault(Fault::LostAnswer)),
        1 => Just(Event::Fault(Fault::LostRequest)),
        1 => Just(Event::Learn),
        2 => Just(Event::Retry),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is waited for, aborted and restarted: what was decided in the end is what stands before the first bad
    /// record of each partition, each record once, in order.
    #[test]
    fn waiting_and_bad_records_change_nothing_but_where_a_partition_ends(
        records in prop::collection::vec(
            (0_u32..2, prop_oneof![
                9 => (0_u8..40, 0_u8..4).prop_map(|(id, key)| [id, key, 1, 0]),
                1 => Just(*b"bad!"),
            ]),
            0..40,
        ),
        batch in 1_usize..6,
        arrival in any::<bool>(),
        events in prop::collection::vec(event(), 0..40),
    ) {
        let order = if arrival { Order::Arrival } else { Order::Offset };
        let limits = BatchLimits { records: batch, bytes: 1_000 };
        let (world, reference) = (World::new(), World::new());
        let mut ended = [false; 2];
        for (number, value) in &records {
            // Of "bad!" the second byte is a key that is always known at the end.
            world.say(*number, 10, *value);
            ended[*number as usize] |= value == b"bad!";
            if !ended[*number as usize] {
                reference.say(*number, 10, *value);
            }
        }
        let mut lane = reference.lane(BatchLimits::default());
        while !step(&mut lane).is_idle() {}

        let (mut lane, mut known) = picky(&world, order, limits);
        for event in events {
            match event {
                Event::Step => {}
                Event::Fault(fault) => world.log.fail_commit("toy-0", fault),
                Event::Learn => known.set(known.get() + 1),
                Event::Retry => lane.retry().unwrap(),
                Event::Restart => (lane, known) = picky(&world, order, limits),
            }
            lane.step(None, &mut no_effects).unwrap();
        }
        known.set(u8::MAX);
        lane.retry().unwrap();
        while !lane.step(None, &mut no_effects).unwrap().is_idle() {}
        for number in [0, 1] {
            prop_assert_eq!(world.outputs(number), reference.outputs(number));
            prop_assert_eq!(world.state(number), reference.state(number));
        }
        let stopped: Vec<Partition> = lane.held().map(|held| held.at.partition).collect();
        let expected: Vec<Partition> = (0..2).filter(|number| ended[*number as usize]).collect();
        prop_assert_eq!(stopped, expected);
    }
}
