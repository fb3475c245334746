//! What each topic holds at the end, as files that people and programs read.
//!
//! `<topic>.ndjson` has a line `{"key", "headers", "value"}` for each record: of compacted topics the last of each key,
//! by key; of the others all, by time. Values are JSON; those of dead letters say what was wrong and hold the raw
//! record as Base64.

use super::engine::Engine;
use crate::config::Config;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use catchment_connectors::files::write_atomic;
use catchment_contracts::catalogue::{self, Contract};
use catchment_contracts::dead_letter::FieldError;
use catchment_contracts::render::Renderer;
use catchment_contracts::topics::{self, KeyKind};
use catchment_contracts::{CustomerEvent, headers, wire};
use catchment_runtime::embedded::OwnedRecord;
use catchment_runtime::record::Cleanup;
use catchment_runtime::{Headers, TopicId, TopicPartition};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// Topics that are written, with the contract of their values.
const PUBLIC: [(&str, &Contract); 6] = [
    (topics::CUSTOMER_EVENTS, &catalogue::CUSTOMER_EVENT),
    (topics::CUSTOMER_UNATTRIBUTED, &catalogue::CUSTOMER_EVENT),
    (topics::CATALOG_ITEMS, &catalogue::CATALOG_ITEM),
    (topics::CUSTOMER_PROFILES, &catalogue::CUSTOMER_PROFILE),
    (topics::CAMPAIGN_DECISIONS, &catalogue::CAMPAIGN_DECISION),
    (topics::CAMPAIGN_TRIGGERS, &catalogue::CAMPAIGN_TRIGGER),
];

/// Writes all files. Each appears whole or not at all, the summary last.
pub(super) fn write(engine: &Engine, config: &Config, directory: &Path) -> anyhow::Result<()> {
    for (topic, contract) in PUBLIC {
        let text = values(engine, topic, contract).with_context(|| format!("topic {topic}"))?;
        write_atomic(&directory.join(format!("{topic}.ndjson")), text.as_bytes())?;
    }
    let by_source = config.sources.iter().map(|source| (topics::dlq(&source.name), true));
    let by_topic = config.sources.iter().map(|source| (topics::dlq(&source.topic), false));
    for (topic, always) in by_source.chain(by_topic) {
        // Of a topic that only one source reads, every record has a source.
        let Some(id) = engine.topology().table.find(&topic) else { continue };
        let text = dead_letters(engine, &topic, id).with_context(|| format!("topic {topic}"))?;
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

fn values(engine: &Engine, topic: &str, contract: &Contract) -> anyhow::Result<String> {
    let schema = apache_avro::Schema::parse_str(contract.schema)?;
    let renderer = Renderer::new(&schema)?;
    let mut text = String::new();
    for record in read_topic(engine, find(engine, topic)?)? {
        // Without a value: a tombstone, or a watermark among the events.
        let Some(value) = &record.value else { continue };
        let (_, datum) = wire::split(value)?;
        let key = serde_json::to_string(&key_text(topic, record.key.as_deref()))?;
        write!(text, r#"{{"key":{key},"headers":{},"value":"#, headers_json(&record.headers))?;
        let start = text.len();
        renderer.render(datum, &mut text)?;
        if let Some(line) = line_of(engine, contract, datum) {
            text.insert_str(start + 1, &format!(r#""line":{line},"#));
        }
        text.push_str("}\n");
    }
    Ok(text)
}

/// The line of the input that an event came from.
fn line_of(engine: &Engine, contract: &Contract, datum: &[u8]) -> Option<u64> {
    if contract.name != catalogue::CUSTOMER_EVENT.name {
        return None;
    }
    let event = CustomerEvent::decode(datum).ok()?;
    let topic = engine.raw_topic(event.source)?;
    engine.line_of(topic, u64::try_from(event.source_offset).ok()?)
}

/// A key as text: node keys as 32 hex digits, ids as they are, others as Base64.
pub(crate) fn key_text(topic: &str, key: Option<&[u8]>) -> Option<String> {
    let key = key?;
    match topics::spec(topic).map(|spec| spec.key) {
        Some(KeyKind::NodeKey) => Some(key.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })),
        Some(KeyKind::ProductId | KeyKind::EventId) => Some(String::from_utf8_lossy(key).into_owned()),
        _ => Some(BASE64.encode(key)),
    }
}

fn headers_json(headers: &Headers) -> Value {
    let own = headers.0.iter().filter(|(name, _)| !is_dead_letter_header(name));
    let text = |bytes: &Vec<u8>| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::from(BASE64.encode(bytes)),
    };
    Value::Object(own.map(|(name, value)| (name.clone(), text(value))).collect::<Map<_, _>>())
}

fn is_dead_letter_header(name: &str) -> bool {
    headers::DEAD_LETTER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A dead letter as it is written: what was wrong (first of all, and all), and the record.
#[derive(Serialize)]
struct Letter<'a> {
    line: Option<u64>,
    code: Option<&'a str>,
    field: Option<&'a str>,
    expected: Option<&'a str>,
    actual: Option<&'a str>,
    errors: Vec<FieldError>,
    topic: Option<&'a str>,
    contract: Option<&'a str>,
    key: Option<String>,
    value: Option<String>,
}

fn dead_letters(engine: &Engine, topic: &str, id: TopicId) -> anyhow::Result<String> {
    let mut text = String::new();
    for record in read_topic(engine, id)? {
        let header = |name: &str| record.headers.get(name).and_then(|value| std::str::from_utf8(value).ok());
        let raw = header(headers::STREAMS_TOPIC).and_then(|name| engine.topology().table.find(name));
        let offset = header(headers::STREAMS_OFFSET).and_then(|text| text.parse().ok());
        let line = raw.zip(offset).and_then(|(raw, offset)| engine.line_of(raw, offset));
        let errors: Vec<FieldError> = serde_json::from_str(header(headers::ERRORS).unwrap_or("[]"))?;
        let letter = Letter {
            line,
            code: header(headers::ERROR_CODE),
            field: header(headers::ERROR_FIELD),
            expected: header(headers::ERROR_EXPECTED),
            actual: header(headers::ERROR_ACTUAL),
            errors,
            topic: header(headers::STREAMS_TOPIC),
            contract: header(headers::ERROR_CONTRACT),
            key: record.key.as_ref().map(|bytes| BASE64.encode(bytes)),
            value: record.value.as_ref().map(|bytes| BASE64.encode(bytes)),
        };
        let key = serde_json::to_string(&key_text(topic, record.key.as_deref()))?;
        let value = serde_json::to_string(&letter)?;
        writeln!(text, r#"{{"key":{key},"headers":{},"value":{value}}}"#, headers_json(&record.headers))?;
    }
    Ok(text)
}
