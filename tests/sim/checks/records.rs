//! Committed records in a form to compare and to read.

use crate::scheduler::Run;
use crate::shape::Kind;
use catchment_contracts::{CampaignDecision, CampaignTrigger, CustomerEvent, CustomerProfile, headers, wire};
use catchment_runtime::{OwnedRecord, Record, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::fmt;

/// A record: where it stands, the bytes that are compared, and words for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    partition: u32,
    time: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    words: String,
}

impl Line {
    /// Key and value; `None` if one of them is missing.
    pub(super) fn into_parts(self) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((self.key?, self.value?))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: String = self.key.iter().flatten().take(4).map(|byte| format!("{byte:02x}")).collect();
        write!(f, "partition {}, time {}, key {key}: {}", self.partition, self.time, self.words)
    }
}

pub(super) fn topic(run: &Run, name: &str) -> TopicId {
    run.sim.installation().topology.table.find(name).unwrap()
}

/// All committed records of a topic but watermarks, partition by partition.
pub(super) fn records(run: &Run, topic: TopicId) -> Vec<OwnedRecord> {
    let partitions = run.sim.installation().topology.table.spec(topic).partitions;
    let all = (0..partitions)
        .flat_map(|partition| run.sim.log.read_committed(TopicPartition { topic, partition }).unwrap());
    all.filter(|record| record.headers.get(headers::WATERMARK).is_none()).collect()
}

/// The records of a topic; with their time where that does not hang on the scheduler.
pub(super) fn lines(run: &Run, name: &str, with_time: bool) -> Vec<Line> {
    records(run, topic(run, name)).iter().map(|record| line(name, record, with_time)).collect()
}

fn line(name: &str, record: &OwnedRecord, with_time: bool) -> Line {
    Line {
        partition: record.partition,
        time: if with_time { record.append_time } else { 0 },
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.0.clone(),
        words: words(name, &record.as_record()),
    }
}

fn words(topic: &str, record: &Record<'_>) -> String {
    let datum = record.value.and_then(|value| wire::split(value).ok()).map(|(_, datum)| datum);
    match (topic, datum) {
        ("customer.events" | "customer.unattributed", Some(datum)) => {
            let event = CustomerEvent::decode(datum).unwrap();
            let (source, id, offset) = (event.source, event.event_id, event.source_offset);
            format!(
                "{:?} {id} of {source}, raw offset {offset}, received {}",
                event.r#type, event.received_at
            )
        }
        ("campaign.decisions", Some(datum)) => {
            let decision = CampaignDecision::decode(datum).unwrap();
            let (campaign, scope, reason) = (decision.campaign, decision.scope, decision.reason);
            let (event, at) = (decision.event_id, decision.decided_at);
            format!("{campaign} about {scope}: {:?}, {reason}; by {event} at {at}", decision.outcome)
        }
        ("campaign.triggers", Some(datum)) => {
            let trigger = CampaignTrigger::decode(datum).unwrap();
            format!("{} about {}: {}", trigger.campaign, trigger.scope, trigger.trigger_id)
        }
        ("customer.profiles", Some(datum)) => format!("{:?}", CustomerProfile::decode(datum).unwrap()),
        _ => {
            let letter = [headers::STREAMS_TOPIC, headers::STREAMS_OFFSET, headers::ERROR_CODE];
            let known = letter.iter().filter_map(|name| record.headers.get(name));
            let known: Vec<_> = known.map(String::from_utf8_lossy).collect();
            format!("{} {}", known.join(" "), String::from_utf8_lossy(record.value.unwrap_or_default()))
        }
    }
}

/// The last record of each key. Without what depends on the moment, where that hangs on the scheduler.
pub(super) fn compacted(run: &Run, name: &str, exact: bool) -> Vec<Line> {
    let topic = topic(run, name);
    let partitions = run.sim.installation().topology.table.spec(topic).partitions;
    let all = (0..partitions)
        .flat_map(|partition| run.sim.log.compacted(TopicPartition { topic, partition }).unwrap());
    let mut left: Vec<Line> = all
        .map(|mut record| {
            if !exact {
                without_scores(&mut record);
            }
            line(name, &record, false)
        })
        .collect();
    left.sort();
    left
}

/// Scores are of the moment they were computed at; the rest of a profile is the same for any order of arrival.
fn without_scores(record: &mut OwnedRecord) {
    let Some(value) = &record.value else { return };
    let (id, datum) = wire::split(value).unwrap();
    let mut profile = CustomerProfile::decode(datum).unwrap();
    profile.predictions.clear();
    let mut bytes = Vec::new();
    wire::write_header(&mut bytes, id);
    profile.encode(&mut bytes);
    record.value = Some(bytes);
}

/// Names of the topics of dead letters.
pub(super) fn dead_letter_topics(run: &Run) -> Vec<String> {
    let table = &run.sim.installation().topology.table;
    let names = table.iter().map(|(_, spec)| spec.name.clone());
    names.filter(|name| name.starts_with("dlq.")).collect()
}

/// What decisions of these campaigns came from.
pub(super) fn causes(run: &Run, campaigns: &[&str]) -> Vec<Line> {
    let mut causes = Vec::new();
    for record in records(run, topic(run, "campaign.decisions")) {
        let (_, datum) = wire::split(record.value.as_deref().unwrap_or_default()).unwrap();
        let decision = CampaignDecision::decode(datum).unwrap();
        if campaigns.contains(&decision.campaign) {
            let mut line = line("", &record, false);
            line.words = format!("{} by {} of {}", decision.campaign, decision.event_id, decision.source);
            // Who decides is whoever was the customer then.
            (line.value, line.key, line.partition) = (None, None, 0);
            causes.push(line);
        }
    }
    causes
}

/// Each event leads to one decision of a campaign at most, each decision to send has its trigger, and no trigger comes
/// twice.
pub(super) fn decisions_and_triggers_fit(run: &Run, found: &mut Vec<String>) {
    let (mut by_cause, mut ids) = (BTreeMap::new(), BTreeMap::new());
    for record in records(run, topic(run, "campaign.decisions")) {
        let (_, datum) = wire::split(record.value.as_deref().unwrap_or_default()).unwrap();
        let decision = CampaignDecision::decode(datum).unwrap();
        let (campaign, source, event) = (decision.campaign, decision.source, decision.event_id);
        let cause = (campaign.to_owned(), source.to_owned(), event.to_owned());
        *by_cause.entry(cause).or_insert(0) += 1;
        if let Some(id) = decision.trigger_id {
            ids.entry(id.to_owned()).or_insert((0, 0)).0 += 1;
        }
    }
    for record in records(run, topic(run, "campaign.triggers")) {
        let (_, datum) = wire::split(record.value.as_deref().unwrap_or_default()).unwrap();
        let trigger = CampaignTrigger::decode(datum).unwrap();
        ids.entry(trigger.trigger_id.to_owned()).or_insert((0, 0)).1 += 1;
    }
    // What is sent again after the window is a new event, as it should be.
    let remembered = run.sim.shape.window >= 24 || run.sim.shape.kind == Kind::Replay;
    for ((campaign, source, event), count) in by_cause.iter().filter(|(_, count)| remembered && **count > 1) {
        found.push(format!("campaign {campaign} decided {count} times about event {event} of {source}"));
    }
    for (id, (decided, sent)) in ids.iter().filter(|(_, counts)| **counts != (1, 1)) {
        found.push(format!("trigger {id}: {decided} decisions, {sent} triggers"));
    }
}
