//! Workers that are killed again and again while they work through a load.

use crate::deployment::{Changes, Deployment};
use crate::groups::owned;
use crate::load::{CAMPAIGNS, Expected, Load, Records, Seeded};
use crate::outcome::{Gauge, differences, sandbox};
use crate::process::Process;
use crate::wait::{PATIENCE, until};
use catchment_connectors::kafka::{RawProducer, RawRecord};
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};
use xtask::services::BrokerOptions;

pub(crate) const APP: &str = "chaos";
/// Of `behaviour.events`, and of `customer.events`.
const PARTITIONS: u32 = 4;

const CONFIG: &str = "
app: chaos
partitions: 4
sources:
  - {name: behaviour, topic: behaviour.events, mapping: segment, arrival: receivedAt}
campaigns: [ordered.yaml, cart.yaml]
timers: {grace: 0s}
";

/// A deployment for a [`Load`], without topics and schemas.
pub(crate) fn bare(test: &str, options: BrokerOptions) -> Option<Deployment> {
    let mut deployment = Deployment::bare(test, options)?;
    deployment.config = deployment.path("catchment.yaml");
    fs::write(&deployment.config, CONFIG).unwrap();
    for (file, text) in CAMPAIGNS {
        fs::write(deployment.path(file), text).unwrap();
    }
    deployment.set("TOPICS__RAW_PARTITIONS", &PARTITIONS.to_string());
    Some(deployment)
}

/// Says something past the capture of the test harness.
pub(crate) fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// Sends a load; the bytes of all of it, a line each, with what must come of it.
pub(crate) fn send(deployment: &Deployment, mut records: Records) -> (Vec<u8>, Expected) {
    let producer = RawProducer::new(&deployment.cluster()).unwrap();
    let mut lines = Vec::new();
    while let Some((partition, bytes)) = records.next(PARTITIONS) {
        let record = RawRecord {
            topic: "behaviour.events",
            partition: Some(partition),
            value: Some(&bytes),
            ..RawRecord::default()
        };
        producer.send(&record).unwrap();
        lines.extend_from_slice(&bytes);
        lines.push(b'\n');
    }
    producer.flush(PATIENCE).unwrap();
    (lines, records.expected)
}

/// Workers of all roles, each under a name that it keeps.
pub(crate) struct Workers<'a> {
    deployment: &'a Deployment,
    changes: Changes<'a>,
    running: Vec<Process>,
}

impl<'a> Workers<'a> {
    pub(crate) fn start(deployment: &'a Deployment, count: usize, changes: Changes<'a>) -> Self {
        let running = (0..count).map(|number| deployment.run(&name(number), &[], changes)).collect();
        Workers { deployment, changes, running }
    }

    pub(crate) fn all(&self) -> &[Process] {
        &self.running
    }

    /// `kill -9`, and a new one under the same name.
    pub(crate) fn kill(&mut self, number: usize) {
        let new = || self.deployment.run(&name(number), &[], self.changes);
        let place = &mut self.running[number];
        place.kill_now();
        *place = new();
    }

    /// Waits until all that there is has been worked off, timers included.
    #[track_caller]
    pub(crate) fn drained(&self, patience: Duration) {
        let open = || {
            let of = |worker: &Process| {
                let known = worker.get("/readyz").is_some_and(|(status, _)| status == 200);
                let open = ["kafka_consumergroup_lag", "catchment_timers_pending"];
                open.map(|name| worker.metric(name, &[])).iter().sum::<f64>() + f64::from(u8::from(!known))
            };
            let owned =
                |topic| self.running.iter().flat_map(|worker| owned(worker, topic)).collect::<Vec<_>>();
            let owners = ["customer.events", "behaviour.events"].map(|topic| sorted(owned(topic)));
            (self.running.iter().map(of).sum::<f64>(), owners)
        };
        let all = || (0..u64::from(PARTITIONS)).collect::<Vec<_>>();
        let done = (0.0, [all(), all()]);
        let start = Instant::now();
        let mut since = Instant::now();
        // Workers look at their lag once a second: what one of them says may be older than what it was handed since.
        while since.elapsed() < Duration::from_millis(2_500) {
            let open = open();
            if open != done {
                since = Instant::now();
            }
            assert!(start.elapsed() < patience, "{open:?} open after {patience:?}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn text(&self) -> String {
        self.running.iter().map(Process::text).collect::<Vec<_>>().join("\n---\n")
    }
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

fn name(number: usize) -> String {
    format!("worker-{number}")
}

fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(format!("CATCHMENT_CHAOS_{name}")).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn workers_that_are_killed_at_random_lose_nothing_and_double_nothing() {
    let Some(deployment) = bare("chaos", BrokerOptions::default()) else { return };
    deployment.set_up();
    let (events, kills) = (parameter("EVENTS", 100_000), parameter("KILLS", 10));
    let (seed, workers) = (parameter("SEED", 1), 2);
    let load = Load::new(seed, events, parameter("CUSTOMERS", events / 20).try_into().unwrap());
    let begun = Instant::now();
    let (lines, expected) = send(&deployment, load.records());
    tell(&format!("sent in {:?}", begun.elapsed()));
    let reference = sandbox(&deployment, &lines);
    tell(&format!("reference after {:?}", begun.elapsed()));

    let mut random = Seeded(!seed);
    let mut moments: Vec<u64> = (0..kills).map(|_| events / 50 + random.below(events * 2 * 9 / 10)).collect();
    moments.sort_unstable();
    let begun = Instant::now();
    let mut workers = Workers::start(&deployment, workers, &[("BATCH__MAX_RECORDS", "1000")]);
    let gauge = Gauge::of(&deployment);
    for moment in moments {
        let reached = || gauge.progress().filter(|(written, read)| written + read >= moment);
        until(reached, || format!("{:?} of {moment}\n{}", gauge.progress(), workers.text()));
        std::thread::sleep(Duration::from_millis(random.below(30)));
        let victim = usize::try_from(random.below(workers.all().len() as u64)).unwrap();
        workers.kill(victim);
    }
    tell(&format!("killed after {:?}", begun.elapsed()));
    workers.drained(PATIENCE);
    tell(&format!("drained after {:?}", begun.elapsed()));
    let differ = differences(&deployment, &expected, &reference);
    tell(&format!("compared after {:?}", begun.elapsed()));
    assert!(differ.is_empty(), "seed {seed}, {events} events, {kills} kills:\n{}", differ.join("\n"));
}
