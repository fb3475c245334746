//! The shop's files through Kafka and registry: what comes out is what the sandbox says.

use crate::deployment::{Deployment, file};
use crate::process::Process;
use crate::wait::until;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// All that is compared; of compacted topics the last record of each key.
const TOPICS: [(&str, bool); 11] = [
    ("customer.profiles", true),
    ("catalog.items", true),
    ("customer.events", false),
    ("customer.unattributed", false),
    ("campaign.decisions", false),
    ("campaign.triggers", false),
    ("dlq.behaviour", false),
    ("dlq.crm_hubspot", false),
    ("dlq.crm_salesforce", false),
    ("dlq.crm_contacts", false),
    ("dlq.catalog", false),
];

/// Events that are repeats of others.
const DUPLICATES: f64 = 27.0;

/// Records without what only the sandbox knows, the line of the file.
fn plain(records: Vec<Value>, compacted: bool) -> BTreeSet<String> {
    let mut last = BTreeMap::new();
    for (number, mut record) in records.into_iter().enumerate() {
        if let Some(value) = record["value"].as_object_mut() {
            value.remove("line");
        }
        let key = if compacted { record["key"].to_string() } else { number.to_string() };
        last.insert(key, record.to_string());
    }
    last.into_values().collect()
}

/// The first topic that differs from the sandbox's, and how.
fn difference(deployment: &Deployment, sandbox: &Path) -> Option<String> {
    TOPICS.iter().find_map(|(topic, compacted)| {
        let expected = plain(file(sandbox, topic), *compacted);
        let records = deployment.read(topic);
        let count = records.len();
        let found = plain(records, *compacted);
        if !compacted && count != expected.len() {
            return Some(format!("{topic}: {count} records, not {}", expected.len()));
        }
        let missing = expected.difference(&found).next();
        let surplus = found.difference(&expected).next();
        (missing.is_some() || surplus.is_some())
            .then(|| format!("{topic}:\n missing {missing:?}\n surplus {surplus:?}"))
    })
}

#[track_caller]
pub(crate) fn comes_out_as(deployment: &Deployment, sandbox: &Path) {
    let same = || difference(deployment, sandbox).is_none().then_some(());
    until(same, || difference(deployment, sandbox).unwrap_or_default());
}

/// Waits until a role has processed all that is there.
#[track_caller]
pub(crate) fn drained(process: &Process) {
    let lag = |process: &Process| process.metric("kafka_consumergroup_lag", &[]);
    process.ready();
    until(|| (lag(process) == 0.0).then_some(()), || format!("lag {}\n{}", lag(process), process.text()));
}

#[test]
fn the_shop_on_kafka_is_the_shop_in_the_sandbox_and_the_same_input_again_adds_nothing() {
    let Some(deployment) = Deployment::new("shop") else { return };
    deployment.load();
    let process = deployment.run("one", &[], &[]);
    let sandbox = deployment.sandbox();
    comes_out_as(&deployment, &sandbox);
    let duplicates = |process: &Process| process.metric("catchment_duplicates_total", &[]);
    assert_eq!(duplicates(&process), DUPLICATES);

    let count = |topic| deployment.read(topic).len();
    let before = (count("customer.profiles"), count("campaign.triggers"), count("campaign.decisions"));
    let events = count("customer.events") as f64;
    deployment.load();
    until(
        || (duplicates(&process) == DUPLICATES + events).then_some(()),
        || format!("{} of {events} events are found to be duplicates", duplicates(&process)),
    );
    let after = (count("customer.profiles"), count("campaign.triggers"), count("campaign.decisions"));
    assert_eq!(before, after);
    drained(&process);
    assert!(process.stop().success());
}

#[test]
fn processes_that_are_killed_in_the_middle_lose_nothing_and_double_nothing() {
    let Some(deployment) = Deployment::new("killed") else { return };
    let sandbox = deployment.sandbox();
    deployment.load();
    // Small steps, so that there is a middle.
    let small = [("BATCH__MAX_RECORDS", "20")];
    for kill in 1..=4u32 {
        let process = deployment.run("one", &[], &small);
        let target = f64::from(kill * 300);
        let read = |topic: &str| deployment.read(topic).len() as f64;
        until(|| (read("customer.events") >= target).then_some(()), || process.text());
        process.kill();
    }
    let _process = deployment.run("one", &[], &small);
    comes_out_as(&deployment, &sandbox);
}
