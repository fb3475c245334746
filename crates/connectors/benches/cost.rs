//! What lanes on Kafka cost, on the broker that `CATCHMENT_TEST_BROKERS` names: CPU of two that have nothing to do, and
//! the time of a record over two of them. `cargo bench -p catchment-connectors --bench cost`.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::explicit_write
)]

#[path = "../tests/kafka/support.rs"]
mod support;

use catchment_connectors::kafka::KafkaLane;
use catchment_runtime::conformance::{IN, OUT, STATE};
use catchment_runtime::task::Unreadable;
use catchment_runtime::{
    Batch, BatchLimits, Lane, LaneConfig, Log as _, Record, Step, Task, TopicId, TopicPartition,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::{Kafka, PATIENCE, brokers};

/// Writes what it reads.
struct Forward(TopicId);

impl Task for Forward {
    type Effect = ();

    fn process(&mut self, record: &Record<'_>, step: &mut Step<()>) -> Result<(), Unreadable> {
        let value = record.value.unwrap_or_default();
        step.emit(self.0, 0, b"key", |out| out.extend_from_slice(value));
        Ok(())
    }

    fn advance(&mut self, _: &mut Step<()>) {}

    fn flush(&mut self, _: &mut Step<()>) {}

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

fn join(kafka: &Kafka, name: &str, topic: TopicId) -> KafkaLane {
    let mut settings = kafka.settings(name, name);
    settings.group = format!("{}-{name}", kafka.prefix);
    settings.topic = topic;
    KafkaLane::join(settings).unwrap()
}

/// A lane on a thread of its own, as `run` has them: it waits in its polls, and asks for its tails once a second.
fn start(kafka: &Kafka, name: &str, from: TopicId, to: TopicId, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let mut log = join(kafka, name, from);
    log.set_poll_wait(Duration::from_millis(100));
    let tasks = log.assignment().iter().map(|_| Forward(to)).collect();
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let mut lane = Lane::new(log, tasks, task_of, LaneConfig::default()).unwrap();
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut asked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            lane.step(None, &mut |()| {}).unwrap();
            if asked.elapsed() > Duration::from_secs(1) {
                lane.tails().unwrap();
                asked = Instant::now();
            }
        }
    })
}

/// Time of this process on all cores, in ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn two_lanes_with_nothing_to_do(brokers: &str) {
    let kafka = Kafka::new(brokers);
    let stop = Arc::new(AtomicBool::new(false));
    let lanes = [start(&kafka, "first", IN, OUT, &stop), start(&kafka, "second", OUT, STATE, &stop)];
    std::thread::sleep(Duration::from_secs(5));
    let (before, time) = (cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let share = (cpu() - before).as_secs_f64() / time.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    println!("two lanes, idle: {:.2} % of a core", share * 100.0);
}

fn two_hops_on_an_idle_system(brokers: &str) {
    let mut kafka = Kafka::new(brokers);
    let stop = Arc::new(AtomicBool::new(false));
    let lanes = [start(&kafka, "first", IN, OUT, &stop), start(&kafka, "second", OUT, STATE, &stop)];
    let mut reader = join(&kafka, "reader", STATE);
    reader.set_poll_wait(Duration::from_millis(100));
    let (mut times, mut batch) = (Vec::new(), Batch::default());
    for number in 0..100_u32 {
        // Long enough for all to be waiting, and out of step with what they wait for.
        std::thread::sleep(Duration::from_millis(120 + u64::from(number % 7) * 13));
        let start = Instant::now();
        kafka.say(number % 2, "x");
        let said = start.elapsed();
        while batch.is_empty() {
            reader.poll(&BatchLimits::default(), &mut batch).unwrap();
            assert!(start.elapsed() < PATIENCE);
        }
        batch.clear();
        times.push((start.elapsed(), said));
    }
    stop.store(true, Ordering::Relaxed);
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    times.sort_unstable();
    let [(p50, said), (p90, _), (p99, _)] = [50, 90, 98].map(|place| times[place]);
    println!("two hops: p50 {p50:?} (of it the producer {said:?}), p90 {p90:?}, p99 {p99:?}");
}

fn main() {
    // `cargo test --benches` asks for a run that measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let Some(brokers) = brokers("cost") else { return };
    two_lanes_with_nothing_to_do(&brokers);
    two_hops_on_an_idle_system(&brokers);
}
