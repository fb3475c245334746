//! More than a worker can do: it takes what it can, keeps to its memory, and catches up. The load lasts 10 s, or as long as
//! `CATCHMENT_OVERLOAD_SECONDS` says.

use crate::deployment::Deployment;
use crate::load::Load;
use crate::outcome::differences;
use crate::process::Process;
use crate::wait::PATIENCE;
use crate::workers::{Stream, Workers, prepared, send, tell};
use std::env;
use std::thread;
use std::time::{Duration, Instant};
use xtask::services::BrokerOptions;

/// The most memory that it had while time passed, in KiB.
fn highest(worker: &Process, time: Duration) -> u64 {
    let start = Instant::now();
    let mut highest = 0;
    while start.elapsed() < time {
        highest = highest.max(worker.resident());
        thread::sleep(Duration::from_millis(50));
    }
    highest
}

#[test]
fn memory_stays_where_it_was_through_ten_times_the_load_and_through_a_broker_that_stands_still() {
    let Some(mut deployment) = Deployment::bare("overload", BrokerOptions::default()).map(prepared) else {
        return;
    };
    // So that state does not grow with the number of events: few customers, and few event ids.
    deployment.set("DEDUP__MAX_ENTRIES", "20000");
    let workers = Workers::start(&deployment, 1, &[]);
    let worker = &workers.all()[0];
    let warm = send(&deployment, Load::past(21, 60_000, 300).records());
    workers.drained(PATIENCE);
    let steady = Stream::start(&deployment, Load::live(22, 300), 400);
    let before = highest(worker, Duration::from_secs(6));
    let burst = Stream::start(&deployment, Load::live(23, 300), 8_000);
    let seconds = env::var("CATCHMENT_OVERLOAD_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    let during = highest(worker, Duration::from_secs(seconds));
    let (steady, burst) = (steady.stop(), burst.stop());
    let sent = warm.and(steady).and(burst);
    deployment.broker.freeze().unwrap();
    let frozen = highest(worker, Duration::from_secs(5));
    deployment.broker.thaw().unwrap();
    workers.drained(PATIENCE);
    tell(&format!("overload: {before} KiB before, {during} during, {frozen} while the broker stood still"));
    let differ = differences(&deployment, &sent.expected, &[]);
    assert!(differ.is_empty(), "{}\n{}", differ.join("\n"), workers.text());
    let limit = before + before / 10;
    assert!(
        during <= limit && frozen <= limit,
        "{before} KiB before, {during} during, {frozen} while it stood"
    );
}
