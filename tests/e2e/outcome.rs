//! What came of a load, held against what must have: nothing lost, nothing twice.

use crate::deployment::Deployment;
use crate::load::Expected;
use crate::wait::{PATIENCE, until};
use crate::workers::Workers;
use catchment_connectors::kafka::{Inspector, NamedPartition, Place, Scan, Scanned, View};
use catchment_contracts::wire::split;
use catchment_contracts::{CampaignTrigger, CustomerEvent, CustomerProfile};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for an answer, which may be none while a broker is away.
const ANSWER: Duration = Duration::from_secs(20);

/// At most so many differences are shown.
const SHOWN: usize = 5;

/// Asks how far a deployment is, without being part of it.
pub(crate) struct Gauge {
    inspector: Inspector,
    raw: Vec<NamedPartition>,
    events: Vec<NamedPartition>,
}

impl Gauge {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let group = format!("{}.profile", crate::workers::APP);
        let inspector =
            Inspector::new(&deployment.cluster(), Some(&group), View::Uncommitted, ANSWER).unwrap();
        let [raw, events] =
            ["behaviour.events", "customer.events"].map(|topic| partitions(deployment, topic));
        Gauge { inspector, raw, events }
    }

    /// Offsets that ingest has written, and that profile has read: both grow to the number of records, and a bit more.
    /// None while nobody answers.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        let sum = |offsets: Vec<Option<i64>>| offsets.into_iter().flatten().sum::<i64>().cast_unsigned();
        let written = self.inspector.offsets(&self.events, Place::End).ok()?;
        let read = self.inspector.committed(&self.events).ok()?;
        Some((sum(written), sum(read)))
    }

    /// Where everything stands, partition by partition.
    fn text(&self) -> String {
        let sent = self.inspector.offsets(&self.raw, Place::End);
        let written = self.inspector.offsets(&self.events, Place::End);
        let read = self.inspector.committed(&self.events);
        format!("sent {sent:?}, written {written:?}, read {read:?}")
    }

    /// Waits until profile has read so many records more than now.
    #[track_caller]
    pub(crate) fn goes_on(&self, workers: &Workers<'_>, records: u64) {
        let read = || self.progress().map(|(_, read)| read);
        let before = until(read, || format!("nobody says how far it is\n{}", workers.text()));
        until(
            || read().filter(|read| *read >= before + records),
            || format!("{}\n{}", self.text(), workers.text()),
        );
    }
}

/// Partitions of a topic.
pub(crate) fn partitions(deployment: &Deployment, topic: &str) -> Vec<NamedPartition> {
    let inspector = Inspector::new(&deployment.cluster(), None, View::Committed, PATIENCE).unwrap();
    let count = inspector.partitions([topic]).unwrap().get(topic).copied().unwrap_or(0);
    (0..i32::try_from(count).unwrap()).map(|partition| NamedPartition::new(topic, partition)).collect()
}

/// Hands out what a topic holds, as a `read_committed` reader sees it.
pub(crate) fn scan(deployment: &Deployment, topic: &str, mut take: impl FnMut(Scanned)) {
    let of = partitions(deployment, topic);
    let mut scan = Scan::new(&deployment.cluster(), &of, Place::Earliest, PATIENCE).unwrap();
    while let Some(record) = scan.next_record().unwrap() {
        take(record);
    }
}

/// The datum behind the id of its schema.
fn datum(value: &[u8]) -> &[u8] {
    split(value).unwrap().1
}

/// Every difference between what there is and what must be, in words; empty if there is none.
pub(crate) fn differences(deployment: &Deployment, expected: &Expected, reference: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(of_events(deployment, expected));
    found.extend(of_dead_letters(deployment, expected));
    found.extend(of_triggers(deployment, expected));
    found.extend(of_profiles(deployment, expected, reference));
    found
}

/// Each record that can be read is there once for every delivery.
fn of_events(deployment: &Deployment, expected: &Expected) -> Vec<String> {
    let (mut found, mut doubled) = (HashMap::<String, u32>::new(), Vec::new());
    let mut origins = HashSet::new();
    scan(deployment, "customer.events", |record| {
        // A watermark has no value.
        let Some(value) = &record.value else { return };
        let event = CustomerEvent::decode(datum(value)).unwrap();
        if !origins.insert((event.source_partition, event.source_offset)) {
            doubled.push(format!(
                "customer.events: {} at {} offset {}: twice from {}/{}",
                event.event_id, record.at, record.offset, event.source_partition, event.source_offset
            ));
        }
        *found.entry(event.event_id.to_owned()).or_default() += 1;
    });
    doubled.extend(counted("customer.events", &expected.deliveries, &found));
    shortened("customer.events", doubled)
}

fn counted(topic: &str, expected: &HashMap<String, u32>, found: &HashMap<String, u32>) -> Vec<String> {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let count = |of: &HashMap<String, u32>, key: &str| of.get(key).copied().unwrap_or(0);
    let differ = keys.into_iter().filter(|key| count(expected, key) != count(found, key));
    differ
        .map(|key| format!("{topic}: {key} {} times, not {}", count(found, key), count(expected, key)))
        .collect()
}

/// What can't be read is a dead letter once, with its own bytes.
fn of_dead_letters(deployment: &Deployment, expected: &Expected) -> Vec<String> {
    let (mut found, mut differ) = (BTreeSet::new(), Vec::new());
    scan(deployment, "dlq.behaviour", |record| {
        let text = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
        if !found.insert(record.value.unwrap_or_default()) {
            differ.push(format!("dlq.behaviour: twice: {text}"));
        }
    });
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    differ.extend(
        expected.malformed.difference(&found).map(|b| format!("dlq.behaviour: missing: {}", text(b))),
    );
    differ.extend(
        found.difference(&expected.malformed).map(|b| format!("dlq.behaviour: surplus: {}", text(b))),
    );
    shortened("dlq.behaviour", differ)
}

/// Each trigger once, and those that must be.
fn of_triggers(deployment: &Deployment, expected: &Expected) -> Vec<String> {
    let (mut ids, mut found, mut differ) = (HashSet::new(), BTreeSet::new(), Vec::new());
    scan(deployment, "campaign.triggers", |record| {
        let value = record.value.unwrap_or_default();
        let trigger = CampaignTrigger::decode(datum(&value)).unwrap();
        let customer = trigger.address.map_or("nobody", |address| address.value);
        let what = (trigger.campaign.to_owned(), trigger.scope.to_owned(), customer.to_owned());
        if !ids.insert(trigger.trigger_id.to_owned()) || !found.insert(what.clone()) {
            differ.push(format!("campaign.triggers: twice: {what:?}"));
        }
    });
    differ.extend(
        expected.triggers.difference(&found).map(|what| format!("campaign.triggers: missing: {what:?}")),
    );
    differ.extend(
        found.difference(&expected.triggers).map(|what| format!("campaign.triggers: surplus: {what:?}")),
    );
    shortened("campaign.triggers", differ)
}

/// The last record of each customer has as many events as the customer had, and is what the sandbox says.
fn of_profiles(deployment: &Deployment, expected: &Expected, reference: &[String]) -> Vec<String> {
    let mut last = BTreeMap::new();
    scan(deployment, "customer.profiles", |record| {
        last.insert(record.key, record.value);
    });
    let (mut events, mut differ) = (BTreeMap::new(), Vec::new());
    for value in last.values().flatten() {
        let profile = CustomerProfile::decode(datum(value)).unwrap();
        let customer = profile.identifiers.first().map_or("nobody", |identifier| identifier.value);
        events.insert(customer.to_owned(), profile.events);
    }
    for customer in events.keys().chain(expected.events.keys()).collect::<BTreeSet<_>>() {
        let (found, wanted) = (events.get(customer), expected.events.get(customer));
        if found != wanted {
            differ.push(format!("customer.profiles: {customer} has {found:?} events, not {wanted:?}"));
        }
    }
    if differ.is_empty() && !reference.is_empty() {
        let found = last_by_key(&deployment.done(&["read", "customer.profiles"]));
        let wanted = last_by_key(&reference.join("\n"));
        for key in found.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
            let (found, wanted) = (found.get(key), wanted.get(key));
            if found != wanted {
                differ.push(format!("customer.profiles: {key}: {}", fields(found, wanted)));
            }
        }
    }
    shortened("customer.profiles", differ)
}

/// The fields in which two records differ, with both values.
fn fields(found: Option<&Value>, wanted: Option<&Value>) -> String {
    let (Some(found), Some(wanted)) = (found, wanted) else { return format!("{found:?}, not {wanted:?}") };
    let names = found.as_object().into_iter().chain(wanted.as_object()).flat_map(|object| object.keys());
    let differ = names.collect::<BTreeSet<_>>().into_iter().filter(|name| found[*name] != wanted[*name]);
    differ
        .map(|name| format!("{name} is {}, not {}", found[name], wanted[name]))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The last line of each key.
fn last_by_key(text: &str) -> BTreeMap<String, Value> {
    let mut last = BTreeMap::new();
    for line in text.lines() {
        let key = line.split('"').nth(3).unwrap_or_default();
        last.insert(key, line);
    }
    let value = |line: &str| serde_json::from_str::<Value>(line).unwrap()["value"].take();
    let all = last.into_iter().map(|(key, line)| (key.to_owned(), value(line)));
    all.filter(|(_, value)| !value.is_null()).collect()
}

fn shortened(topic: &str, mut differ: Vec<String>) -> Vec<String> {
    if differ.len() > SHOWN {
        let more = differ.len() - SHOWN;
        differ.truncate(SHOWN);
        differ.push(format!("{topic}: and {more} more"));
    }
    differ
}

/// The profiles that the sandbox makes of those records, a line each: one process, one thread, no Kafka.
pub(crate) fn sandbox(deployment: &Deployment, records: &[u8]) -> Vec<String> {
    let (input, output): (PathBuf, PathBuf) = (deployment.path("sandbox-in"), deployment.path("sandbox-out"));
    fs::create_dir_all(&input).unwrap();
    fs::write(input.join("behaviour.ndjson"), records).unwrap();
    deployment.done(&["sandbox", "--input", input.to_str().unwrap(), "--output", output.to_str().unwrap()]);
    let text = fs::read_to_string(output.join("customer.profiles.ndjson")).unwrap();
    text.lines().map(str::to_owned).collect()
}
