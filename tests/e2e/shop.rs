//! The shop's files through Kafka and registry: what comes out is what the sandbox says.

use crate::deployment::{Deployment, file};
use crate::process::Process;
use crate::wait::until;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// All that is compared; of compacted topics the last record of each key.
const TOPICS: [(&str, bool); 9] = [
    ("customer.profiles", true),
    ("catalog.items", true),
    ("customer.events", false),
    ("customer.unattributed", false),
    ("dlq.behaviour", false),
    ("dlq.crm_hubspot", false),
    ("dlq.crm_salesforce", false),
    ("dlq.crm_contacts", false),
    ("dlq.catalog", false),
];

/// Events that are repeats of others.
const DUPLICATES: f64 = 27.0;

/// These two use one tablet: which of them gets what it does alone depends on who was seen with it first.
const SHARED: [&str; 2] = ["u-ruth", "u-sam"];

/// A record without what only the sandbox knows, the line of the file, and without what depends on who hears first that two
/// are one: scores, and who had the tablet.
fn settled(topic: &str, mut record: Value) -> Value {
    if let Some(value) = record["value"].as_object_mut() {
        value.remove("line");
    }
    if topic == "customer.profiles" && !record["value"].is_null() {
        record["value"]["predictions"].take();
        let identifiers = record["value"]["identifiers"].as_array().into_iter().flatten();
        if identifiers.into_iter().any(|known| SHARED.iter().any(|user| known["value"] == **user)) {
            let value = &record["value"];
            record["value"] = json!([value["profile_id"], value["identifiers"], value["consents"]]);
        }
    }
    record
}

/// The records as they are compared; of those that are equal, each.
fn plain(topic: &str, records: Vec<Value>, compacted: bool) -> BTreeSet<String> {
    let (mut last, mut seen) = (BTreeMap::new(), BTreeMap::new());
    for (number, record) in records.into_iter().enumerate() {
        let mut record = settled(topic, record);
        if !compacted {
            let count = seen.entry(record.to_string()).or_insert(0);
            *count += 1;
            record = json!([record, count]);
        }
        let key = if compacted { record["key"].to_string() } else { number.to_string() };
        last.insert(key, record.to_string());
    }
    // What is gone is gone in a file of the sandbox, too.
    last.into_values().filter(|record| !record.ends_with("\"value\":null}")).collect()
}

/// The first topic that differs from the sandbox's, and how.
fn difference(deployment: &Deployment, sandbox: &Path) -> Option<String> {
    TOPICS.iter().find_map(|(topic, compacted)| {
        let expected = plain(topic, file(sandbox, topic), *compacted);
        let records = deployment.read(topic);
        let count = records.len();
        let found = plain(topic, records, *compacted);
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
    // What is decided hangs on what is known of a customer by then, so on who hears first that two are one. But each event
    // leads to one decision of a campaign at most; every decision to send has its trigger, and none comes twice.
    let mut causes = BTreeSet::new();
    for record in deployment.read("campaign.decisions") {
        let value = &record["value"];
        let cause = json!([value["campaign"], value["source"], value["event_id"]]).to_string();
        assert!(causes.insert(cause.clone()), "decided twice: {cause}");
    }
    assert!(!causes.is_empty());
    let sent = |topic: &str| {
        let records = deployment.read(topic).into_iter();
        let ids = records.map(|record| record["value"]["trigger_id"].clone()).filter(|id| !id.is_null());
        let mut ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        ids.sort();
        ids
    };
    let (decided, triggers) = (sent("campaign.decisions"), sent("campaign.triggers"));
    assert_eq!(decided, triggers);
    assert!(triggers.windows(2).all(|pair| pair[0] != pair[1]), "{triggers:?}");
}

/// Waits until a role has processed all that is there.
#[track_caller]
pub(crate) fn drained(process: &Process) {
    process.ready();
    until(|| (process.lag() == 0.0).then_some(()), || format!("lag {}\n{}", process.lag(), process.text()));
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
