//! What each topic holds at the end, as files that people and programs read.
//!
//! `<topic>.ndjson` has a line for each record (see [`record_lines`](crate::record_lines)): of compacted topics the last of
//! each key, by key; of the others all, by time.

use super::engine::Engine;
use crate::config::Config;
use crate::record_lines::{TopicValues, contract_of, header_text};
use anyhow::Context as _;
use catchment_connectors::files::write_atomic;
use catchment_contracts::catalogue::{self, Contract};
use catchment_contracts::{CustomerEvent, headers, topics, wire};
use catchment_runtime::embedded::OwnedRecord;
use catchment_runtime::record::Cleanup;
use catchment_runtime::{TopicId, TopicPartition};
use std::path::Path;

/// Topics that are written, besides those of dead letters.
const PUBLIC: [&str; 7] = [
    topics::CUSTOMER_EVENTS,
    topics::CUSTOMER_UNATTRIBUTED,
    topics::CATALOG_ITEMS,
    topics::CUSTOMER_PROFILES,
    topics::CUSTOMER_MERGES,
    topics::CAMPAIGN_DECISIONS,
    topics::CAMPAIGN_TRIGGERS,
];

/// Writes all files. Each appears whole or not at all, the summary last.
pub(super) fn write(engine: &Engine, config: &Config, directory: &Path) -> anyhow::Result<()> {
    for topic in PUBLIC {
        let text = values(engine, topic).with_context(|| format!("topic {topic}"))?;
        write_atomic(&directory.join(format!("{topic}.ndjson")), text.as_bytes())?;
    }
    let by_source = config.sources.iter().map(|source| (topics::dlq(&source.name), true));
    let by_topic = config.sources.iter().map(|source| (topics::dlq(&source.topic), false));
    for (topic, always) in by_source.chain(by_topic) {
        // Of a topic that only one source reads, every record has a source.
        if engine.topology().table.find(&topic).is_none() {
            continue;
        }
        let text = values(engine, &topic).with_context(|| format!("topic {topic}"))?;
        if always || !text.is_empty() {
            write_atomic(&directory.join(format!("{topic}.ndjson")), text.as_bytes())?;
        }
    }
    let mut summary = engine.report().to_summary(engine.span())?;
    summary.push('\n');
    write_atomic(&directory.join("summary.json"), summary.as_bytes())?;
    Ok(())
}

/// All records of a topic: of a compacted one the last of each key, by key; else all, by time, and at the same moment by
/// partition and offset.
pub(crate) fn read_topic(engine: &Engine, topic: TopicId) -> anyhow::Result<Vec<OwnedRecord>> {
    let spec = engine.topology().table.spec(topic);
    let compacted = spec.cleanup == Cleanup::Compact;
    let mut records = Vec::new();
    for partition in 0..spec.partitions {
        let at = TopicPartition { topic, partition };
        if compacted {
            records.extend(engine.log().compacted(at)?);
        } else {
            records.extend(engine.log().read_committed(at)?);
        }
    }
    if compacted {
        records.sort_by(|a, b| a.key.cmp(&b.key));
    } else {
        records.sort_by_key(|record| record.append_time);
    }
    Ok(records)
}

fn find(engine: &Engine, topic: &str) -> anyhow::Result<TopicId> {
    engine.topology().table.find(topic).with_context(|| format!("there is no topic {topic}"))
}

fn values(engine: &Engine, topic: &str) -> anyhow::Result<String> {
    let values = TopicValues::of(topic)?;
    let lines = values.lines()?;
    let mut text = String::new();
    for record in read_topic(engine, find(engine, topic)?)? {
        lines.write(&record, line_of(engine, topic, &record), &mut text)?;
    }
    Ok(text)
}

/// The line of the input that an event or a dead letter came from.
fn line_of(engine: &Engine, topic: &str, record: &OwnedRecord) -> Option<u64> {
    let event_of = |contract: &Contract| contract.name == catalogue::CUSTOMER_EVENT.name;
    if contract_of(topic).is_some_and(event_of) {
        let (_, datum) = wire::split(record.value.as_ref()?).ok()?;
        let event = CustomerEvent::decode(datum).ok()?;
        let raw = engine.raw_topic(event.source)?;
        return engine.line_of(raw, u64::try_from(event.source_offset).ok()?);
    }
    topics::dlq_source(topic)?;
    let raw = header_text(&record.headers, headers::STREAMS_TOPIC)?;
    let offset = header_text(&record.headers, headers::STREAMS_OFFSET)?;
    engine.line_of(engine.topology().table.find(raw)?, offset.parse().ok()?)
}
