//! Processes that come and go: every partition has one owner, and the result is as if there were one process.

use crate::deployment::Deployment;
use crate::process::Process;
use crate::shop::comes_out_as;
use crate::wait::until;
use serde_json::Value;
use std::collections::BTreeSet;

/// Partitions of `customer.events`.
const PARTITIONS: u64 = 3;

/// Partitions of a topic that the lanes of a process say they own.
pub(crate) fn owned(process: &Process, topic: &str) -> BTreeSet<u64> {
    let Some((_, body)) = process.get("/readyz") else { return BTreeSet::new() };
    let page: Value = serde_json::from_str(&body).unwrap();
    let lanes = page["lanes"].as_array().unwrap().iter();
    let partitions = lanes.flat_map(|lane| lane["partitions"].as_array().unwrap());
    let named = partitions.filter_map(|partition| partition.as_str()?.rsplit_once('/'));
    named.filter(|(name, _)| *name == topic).map(|(_, number)| number.parse().unwrap()).collect()
}

/// Waits until all are ready, each partition has one owner, and nobody who has to have one has none.
#[track_caller]
fn shared_out(processes: &[&Process]) {
    let fair = || {
        let shares: Vec<_> = processes.iter().map(|process| owned(process, "customer.events")).collect();
        let all: BTreeSet<u64> = shares.iter().flatten().copied().collect();
        let count: usize = shares.iter().map(BTreeSet::len).sum();
        let ready =
            processes.iter().all(|process| process.get("/readyz").is_some_and(|(status, _)| status == 200));
        (ready
            && all == (0..PARTITIONS).collect()
            && count == all.len()
            && shares.iter().all(|s| !s.is_empty()))
        .then_some(())
    };
    until(fair, || processes.iter().map(|process| process.text()).collect::<Vec<_>>().join("\n---\n"));
}

#[test]
fn three_processes_of_which_one_leaves_and_another_joins_make_what_one_makes() {
    let Some(deployment) = Deployment::new("groups") else { return };
    let sandbox = deployment.sandbox();
    let small = [("BATCH__MAX_RECORDS", "20")];
    let start = |instance: &str| deployment.run(instance, &["profile"], &small);
    let (one, two, three) = (start("one"), start("two"), start("three"));
    shared_out(&[&one, &two, &three]);
    // Before ingest starts: by order of arrival only what is there can be taken.
    deployment.load();
    let ingest = deployment.run("ingest", &["ingest", "catalog"], &small);
    ingest.ready();

    assert!(three.leave().success());
    shared_out(&[&one, &two]);
    let four = start("four");
    shared_out(&[&one, &two, &four]);
    // Killed, and back under its name: nobody else gets what it had.
    two.kill();
    let two = start("two");
    shared_out(&[&one, &two, &four]);
    comes_out_as(&deployment, &sandbox);
}
