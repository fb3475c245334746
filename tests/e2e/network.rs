//! Trouble between workers and brokers, under load: whatever it is, what comes out is the same.

use crate::deployment::{Deployment, services};
use crate::load::Load;
use crate::outcome::{Gauge, differences, sandbox};
use crate::workers::{Stream, Workers, prepared, tell};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xtask::services::{BrokerOptions, Proxy};

/// Records a second.
const PACE: u64 = 500;
/// Longest wait for an answer of a broker that the workers are given: so much shorter than a silence that outcomes of
/// commits stay unknown.
const ANSWER: Duration = Duration::from_secs(2);

/// How often a worker did not know at first whether its commit was taken.
fn unknown(workers: &Workers<'_>) -> f64 {
    let names = ["catchment_commits_settled_total", "catchment_commits_total"];
    let of = |found: &str| -> f64 {
        workers
            .all()
            .iter()
            .map(|worker| names.map(|name| worker.metric(name, &[found])).iter().sum::<f64>())
            .sum()
    };
    of("found=") + of("outcome=\"unknown\"")
}

#[test]
fn a_network_that_is_slow_cut_and_reset_and_a_broker_that_restarts_lose_nothing_and_double_nothing() {
    if services("network").is_none() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let Some(proxy) = Proxy::start("e2e::network", directory.path()).unwrap() else { return };
    let options = BrokerOptions { proxy: Some(proxy.address()), ..BrokerOptions::default() };
    let Some(mut deployment) = Deployment::bare("network", options).map(prepared) else { return };
    proxy.lead_to(&deployment.broker.behind_proxy()).unwrap();
    let gauge = Gauge::of(&deployment);
    let stream = Stream::start(&deployment, Load::live(7, 500), PACE);
    let (brokers, answer) = (proxy.address(), format!("{}s", ANSWER.as_secs()));
    let changes = [
        ("KAFKA__BROKERS", brokers.as_str()),
        ("KAFKA__REQUEST_TIMEOUT", &answer),
        ("BATCH__MAX_RECORDS", "200"),
    ];
    let workers = Workers::start(&deployment, 2, &changes);
    gauge.goes_on(&workers, 1_000);

    let lasting = |seconds| thread::sleep(Duration::from_secs(seconds));
    proxy.delay(Duration::from_millis(200)).unwrap();
    lasting(4);
    proxy.heal().unwrap();
    gauge.goes_on(&workers, 500);
    proxy.reset().unwrap();
    lasting(2);
    proxy.heal().unwrap();
    gauge.goes_on(&workers, 500);
    proxy.silence().unwrap();
    lasting(10);
    proxy.heal().unwrap();
    gauge.goes_on(&workers, 500);
    proxy.close().unwrap();
    lasting(3);
    proxy.heal().unwrap();
    gauge.goes_on(&workers, 500);

    // Again and again, until it has met a commit. With requests that take their time, a commit is about a fifth of a
    // transaction, whatever the machine: one round in a few meets one of the four lanes in it.
    let start = Instant::now();
    let mut rounds = 0;
    while unknown(&workers) == 0.0 {
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "no commit was met in {rounds} rounds\n{}",
            workers.text()
        );
        proxy.delay(Duration::from_millis(100)).unwrap();
        lasting(2);
        proxy.swallow_answers().unwrap();
        thread::sleep(ANSWER + Duration::from_millis(500));
        proxy.heal().unwrap();
        gauge.goes_on(&workers, 500);
        rounds += 1;
    }
    tell(&format!("network: {} unknown outcomes after {rounds} rounds", unknown(&workers)));

    deployment.broker.stop();
    deployment.broker.restart().unwrap();
    gauge.goes_on(&workers, 1_000);
    deployment.broker.kill();
    deployment.broker.restart().unwrap();
    gauge.goes_on(&workers, 1_000);

    let sent = stream.stop();
    workers.drained(Duration::from_secs(90));
    let reference = sandbox(&deployment, &sent.lines);
    let differ = differences(&deployment, &sent.expected, &reference);
    assert!(differ.is_empty(), "{}\n{}", differ.join("\n"), workers.text());
}
