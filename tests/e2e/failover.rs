//! Three brokers, of which each is lost once and comes back, under load.

use crate::deployment::Deployment;
use crate::load::Load;
use crate::outcome::{Gauge, differences, sandbox};
use crate::wait::PATIENCE;
use crate::workers::{Stream, Workers, prepared};
use xtask::services::Broker;

/// Records a second.
const PACE: u64 = 500;

#[test]
fn each_of_three_brokers_is_killed_and_comes_back_and_nothing_is_lost_or_doubled() {
    let Some(mut deployment) = Deployment::on_three("failover").map(prepared) else { return };
    let gauge = Gauge::of(&deployment);
    let stream = Stream::start(&deployment, Load::live(3, 500), PACE);
    let workers = Workers::start(&deployment, 2, &[("BATCH__MAX_RECORDS", "200")]);
    gauge.goes_on(&workers, 1_000);
    // Each leads a third of the partitions, and one of them coordinates each group and each transactional id: in turn
    // they all are met.
    let brokers: Vec<&mut Broker> =
        [&mut deployment.broker].into_iter().chain(&mut deployment.others).collect();
    for broker in brokers {
        broker.kill();
        gauge.goes_on(&workers, 2_000);
        broker.restart().unwrap();
        gauge.goes_on(&workers, 1_000);
    }
    let sent = stream.stop();
    workers.drained(PATIENCE);
    let reference = sandbox(&deployment, &sent.lines);
    let differ = differences(&deployment, &sent.expected, &reference);
    assert!(differ.is_empty(), "{}\n{}", differ.join("\n"), workers.text());
}
