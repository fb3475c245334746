//! Lanes of the runtime on Kafka: only the log is another.

use crate::support::{Kafka, PATIENCE, at, brokers, text};
use catchment_connectors::kafka::KafkaLane;
use catchment_runtime::conformance::{Harness as _, IN, OUT};
use catchment_runtime::task::Unreadable;
use catchment_runtime::{
    BatchLimits, Hold, Kept, Lane, LaneConfig, LaneError, Log as _, LogError, NextOffset, Offset, Order,
    Partition, Record, Restored, Seat, Step, Tail, Task, TopicPartition,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Counts the records of its partition. Its changelog is the partition of `out` with the same number.
struct Count {
    number: Partition,
    total: u32,
    committed: u32,
    restored: u32,
}

impl Count {
    fn new(number: Partition) -> Self {
        Count { number, total: 0, committed: 0, restored: 0 }
    }
}

impl Task for Count {
    type Effect = ();

    fn process(&mut self, record: &Record<'_>, _: &mut Step<()>) -> Result<(), Unreadable> {
        self.total += 1;
        // After the count, so that a step that is not undone shows.
        if record.value == Some(b"bad") { Err(Unreadable { reason: "bad".to_owned() }) } else { Ok(()) }
    }

    fn advance(&mut self, _: &mut Step<()>) {}

    fn flush(&mut self, step: &mut Step<()>) {
        if self.total != self.committed {
            let total = self.total.to_string();
            step.emit(OUT, self.number, b"total", |out| out.extend_from_slice(total.as_bytes()));
        }
    }

    fn committed(&mut self) {
        self.committed = self.total;
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.total = self.committed;
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        vec![at(OUT, self.number)]
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        self.total = text(&(*record).into()).parse().unwrap();
        (self.committed, self.restored) = (self.total, self.restored + 1);
        Ok(())
    }
}

/// The owner of a lane: drops and rebuilds tasks as partitions come and go.
struct Owner(Option<Lane<KafkaLane, Count>>);

impl Owner {
    fn new(log: KafkaLane) -> Self {
        Owner(Some(build(log, BTreeMap::new())))
    }

    fn lane(&mut self) -> &mut Lane<KafkaLane, Count> {
        self.0.as_mut().unwrap()
    }

    /// A step, or a bit of restoring, or a change of the assignment.
    fn turn(&mut self) {
        let lane = self.lane();
        let result = match lane.restore_some() {
            Ok(Restored::Done) => lane.step(None, &mut |()| {}).map(drop),
            Ok(Restored::More) => Ok(()),
            Ok(Restored::Held { .. }) => {
                std::thread::sleep(Duration::from_millis(10));
                Ok(())
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) | Err(LaneError::Log(LogError::Retry { .. })) => {}
            Err(LaneError::Log(LogError::Reassigned)) => self.reassign(),
            Err(error) => panic!("{error}"),
        }
    }

    fn reassign(&mut self) {
        let (mut log, tasks) = self.0.take().unwrap().dissolve();
        let change = log.reassign().unwrap();
        let mut kept: BTreeMap<_, _> =
            tasks.into_iter().flatten().map(|kept| (kept.task.number, kept)).collect();
        for at in change.revoked.iter().chain(&change.lost) {
            kept.remove(&at.partition);
        }
        self.0 = Some(build(log, kept));
    }

    fn numbers(&mut self) -> usize {
        self.lane().log_mut().assignment().len()
    }
}

fn build(log: KafkaLane, mut kept: BTreeMap<Partition, Kept<Count>>) -> Lane<KafkaLane, Count> {
    let numbers: Vec<Partition> = log.assignment().iter().map(|at| at.partition).collect();
    let seats = numbers.iter().map(|number| match kept.remove(number) {
        Some(kept) => Seat::Kept(kept),
        None => Seat::New(Count::new(*number)),
    });
    let place = |at: TopicPartition| numbers.iter().position(|number| *number == at.partition);
    Lane::assemble(log, seats.collect(), place, LaneConfig::default()).unwrap()
}

#[track_caller]
fn turn_until(owners: &mut [Owner], mut done: impl FnMut(&mut [Owner]) -> bool) {
    let start = Instant::now();
    while !done(owners) {
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        owners.iter_mut().for_each(Owner::turn);
    }
}

fn total(owners: &mut [Owner]) -> u32 {
    owners
        .iter_mut()
        .flat_map(|owner| owner.lane().tasks().map(|task| task.committed).collect::<Vec<_>>())
        .sum()
}

#[test]
fn every_record_is_counted_once_while_partitions_move_between_lanes() {
    let Some(brokers) = brokers("lanes") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    let say = |kafka: &mut Kafka| (0..100).for_each(|number| kafka.say(number % 2, "x"));
    say(&mut kafka);
    let mut owners = vec![Owner::new(KafkaLane::join(kafka.settings("first", "first")).unwrap())];
    turn_until(&mut owners, |owners| total(owners) == 100);

    owners.push(Owner::new(KafkaLane::join(kafka.settings("second", "second")).unwrap()));
    say(&mut kafka);
    turn_until(&mut owners, |owners| {
        owners.iter_mut().all(|owner| owner.numbers() == 1) && total(owners) == 200
    });
    let restored: Vec<u32> =
        owners.iter_mut().map(|owner| owner.lane().tasks().map(|task| task.restored).sum()).collect();
    assert_eq!(restored[0], 0, "a task that stays is not restored");
    assert!(restored[1] > 0, "a task that moves is");

    let (log, _) = owners.remove(0).0.unwrap().dissolve();
    log.leave().unwrap();
    say(&mut kafka);
    turn_until(&mut owners, |owners| owners[0].numbers() == 2 && total(owners) == 300);
    for partition in [0, 1] {
        let last = kafka.read_committed(at(OUT, partition)).unwrap();
        assert_eq!(last.last().map(text).as_deref(), Some("150"));
    }
}

fn lane(kafka: &mut Kafka, records: usize) -> Lane<KafkaLane, Count> {
    let log = kafka.lane("one", &[at(IN, 0), at(IN, 1)]).unwrap();
    let limits = BatchLimits { records, ..BatchLimits::default() };
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let config = LaneConfig { limits, order: Order::Offset };
    Lane::new(log, vec![Count::new(0), Count::new(1)], task_of, config).unwrap()
}

fn totals(lane: &Lane<KafkaLane, Count>) -> Vec<u32> {
    lane.tasks().map(|task| task.committed).collect()
}

#[track_caller]
fn step_until(lane: &mut Lane<KafkaLane, Count>, done: impl Fn(&Lane<KafkaLane, Count>) -> bool) {
    let start = Instant::now();
    while !done(lane) {
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        lane.step(None, &mut |()| {}).unwrap();
    }
}

#[test]
fn a_record_that_can_not_be_read_stops_its_partition_and_no_other() {
    let Some(brokers) = brokers("lanes") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    for (partition, value) in [(0, "a"), (0, "bad"), (0, "b"), (1, "A")] {
        kafka.say(partition, value);
    }
    let mut lane = lane(&mut kafka, 100);
    step_until(&mut lane, |lane| lane.held().count() == 1 && totals(lane) == [1, 1]);
    let held = lane.held().next().unwrap();
    let why = Hold::Unreadable { offset: Offset(1), reason: "bad".to_owned() };
    assert_eq!((held.at, held.next, &held.why), (at(IN, 0), NextOffset(1), &why));
    kafka.say(1, "B");
    step_until(&mut lane, |lane| totals(lane) == [1, 2]);
    let tail = |partition, next, end, caught_up| Tail {
        at: at(IN, partition),
        next: NextOffset(next),
        end: NextOffset(end),
        caught_up,
        complete: caught_up,
    };
    assert_eq!(lane.tails().unwrap(), [tail(0, 1, 3, false), tail(1, 2, 2, true)]);
    let committed = lane.log_mut().committed(&[at(IN, 0), at(IN, 1)]);
    assert_eq!(committed, Ok(vec![Some(NextOffset(1)), Some(NextOffset(2))]));
    assert_eq!(kafka.read_committed(at(OUT, 0)).unwrap().last().map(text).as_deref(), Some("1"));
}

#[test]
fn a_task_runs_while_another_is_restored() {
    let Some(brokers) = brokers("lanes") else {
        return;
    };
    let mut kafka = Kafka::new(&brokers);
    let mut first = lane(&mut kafka, 1);
    for _ in 0..40 {
        kafka.say(0, "a");
    }
    step_until(&mut first, |lane| totals(lane) == [40, 0]);
    drop(first);
    kafka.say(1, "A");
    let mut lane = lane(&mut kafka, 1);
    let (mut slices, start) = (0, Instant::now());
    while totals(&lane)[1] == 0 {
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        assert_eq!(lane.restore_some().unwrap(), Restored::More, "it does not wait for the other");
        slices += 1;
        lane.step(None, &mut |()| {}).unwrap();
    }
    assert!(lane.restoring().all(|progress| progress.task == 0 && progress.target > NextOffset(79)));
    kafka.say(0, "b");
    lane.restore().unwrap();
    step_until(&mut lane, |lane| totals(lane) == [41, 1]);
    println!("{slices} slices until the other had stepped");
}
