//! Workers that are killed again and again while they work through a load. Its size comes from variables, which
//! `cargo xtask chaos` sets.

use crate::deployment::Deployment;
use crate::load::{Load, Seeded};
use crate::outcome::{Gauge, differences, sandbox};
use crate::wait::{PATIENCE, until};
use crate::workers::{Workers, prepared, send, tell};
use std::time::{Duration, Instant};
use xtask::services::BrokerOptions;

fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(format!("CATCHMENT_CHAOS_{name}")).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn workers_that_are_killed_at_random_lose_nothing_and_double_nothing() {
    let Some(deployment) = Deployment::bare("chaos", BrokerOptions::default()).map(prepared) else { return };
    let (events, kills) = (parameter("EVENTS", 100_000), parameter("KILLS", 10));
    let (seed, workers) = (parameter("SEED", 1), 2);
    let load = Load::past(seed, events, parameter("CUSTOMERS", events / 20).try_into().unwrap());
    let begun = Instant::now();
    let sent = send(&deployment, load.records());
    tell(&format!("sent in {:?}", begun.elapsed()));
    let reference = sandbox(&deployment, &sent.lines);
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
    let differ = differences(&deployment, &sent.expected, &reference);
    tell(&format!("compared after {:?}", begun.elapsed()));
    assert!(differ.is_empty(), "seed {seed}, {events} events, {kills} kills:\n{}", differ.join("\n"));
}
