//! Workers that are replaced one after the other, as an upgrade does it: how long a partition stands still.

use crate::deployment::Deployment;
use crate::load::{Load, now};
use crate::outcome::{Gauge, differences, sandbox, scan};
use crate::wait::PATIENCE;
use crate::workers::{Stream, Workers, prepared, tell};
use std::collections::BTreeMap;
use std::time::Duration;
use xtask::services::BrokerOptions;

/// Records a second: several in each partition between two commits.
const PACE: u64 = 500;

/// The longest pause that is let pass: of a debug build, on two cores that it shares with a broker. The
/// aim of a release on a quiet machine is 2 s.
const LONGEST: Duration = Duration::from_secs(4);

/// The longest time between two records of a partition, from `since` to `until` (milliseconds since 1970), by the clock
/// of the broker.
fn longest_pause(deployment: &Deployment, topic: &str, since: i64, until: i64) -> Duration {
    let mut last = BTreeMap::new();
    let mut longest = 0;
    scan(deployment, topic, |record| {
        if record.value.is_some() && (since..until).contains(&record.time) {
            let before = last.insert(record.at.partition, record.time).unwrap_or(since);
            longest = longest.max(record.time - before);
        }
    });
    let ends = last.values().map(|time| until - time).max().unwrap_or(until - since);
    Duration::from_millis(u64::try_from(longest.max(ends)).unwrap())
}

#[test]
fn workers_are_replaced_one_by_one_and_no_partition_stands_still_for_long() {
    let Some(deployment) = Deployment::alone("rolling", BrokerOptions::default()).map(prepared) else {
        return;
    };
    let gauge = Gauge::of(&deployment);
    let stream = Stream::start(&deployment, Load::live(5, 500), PACE);
    let mut workers = Workers::start(&deployment, 3, &[]);
    workers.share_out();
    gauge.goes_on(&workers, 2_000);
    let since = now();
    for number in 0..3 {
        workers.restart(number);
        workers.all()[number].ready();
        gauge.goes_on(&workers, 1_000);
    }
    let until = now();
    let sent = stream.stop();
    workers.drained(PATIENCE);
    let pauses = ["customer.events", "customer.profiles"]
        .map(|topic| (topic, longest_pause(&deployment, topic, since, until)));
    tell(&format!("rolling restart: longest pauses {pauses:?}"));
    let reference = sandbox(&deployment, &sent.lines);
    let differ = differences(&deployment, &sent.expected, &reference);
    assert!(differ.is_empty(), "{}\n{}", differ.join("\n"), workers.text());
    assert!(pauses.iter().all(|(_, pause)| *pause < LONGEST), "{pauses:?}\n{}", workers.text());
}
