//! Lanes of the runtime on Kafka: only the log is another.

use crate::support::{Kafka, PATIENCE, at, brokers, text};
use catchment_connectors::kafka::KafkaLane;
use catchment_runtime::conformance::{Harness as _, OUT};
use catchment_runtime::task::Unreadable;
use catchment_runtime::{
    Kept, Lane, LaneConfig, LaneError, Log as _, LogError, Partition, Record, Restored, Seat, Step, Task,
    TopicPartition,
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

    fn process(&mut self, _: &Record<'_>, _: &mut Step<()>) -> Result<(), Unreadable> {
        self.total += 1;
        Ok(())
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
