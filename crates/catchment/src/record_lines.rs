//! Records as lines of JSON that people and programs read: what the sandbox writes into files, and what
//! `catchment read` prints of a topic in Kafka.
//!
//! A line is `{"key", "headers", "value"}`. Values of our contracts are JSON; a dead letter says what was wrong and holds
//! the raw record as Base64; other values are text where they are text, else Base64.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use catchment_contracts::catalogue::{self, Contract, Direction};
use catchment_contracts::dead_letter::FieldError;
use catchment_contracts::render::Renderer;
use catchment_contracts::topics::{self, KeyKind};
use catchment_contracts::{headers, wire};
use catchment_runtime::Headers;
use catchment_runtime::embedded::OwnedRecord;
use serde::Serialize;
use serde_json::{Map, Value};

/// The schema of the values of one topic, or what else they are.
#[derive(Debug)]
enum Values {
    Ours(Box<apache_avro::Schema>),
    DeadLetters,
    Others,
}

/// The contract of the values that we write to a topic.
pub(crate) fn contract_of(topic: &str) -> Option<&'static Contract> {
    match topic {
        topics::CUSTOMER_UNATTRIBUTED => return Some(&catalogue::CUSTOMER_EVENT),
        topics::CATALOG_UPDATES => return Some(&catalogue::CATALOG_ITEM),
        _ => {}
    }
    let ours = catalogue::ALL.iter().copied().filter(|contract| contract.direction != Direction::Source);
    ours.into_iter().find(|contract| contract.topic == Some(topic))
}

/// What the values of a topic are.
#[derive(Debug)]
pub(crate) struct TopicValues {
    topic: String,
    values: Values,
}

impl TopicValues {
    /// Of a topic, by its name in the table of topics.
    ///
    /// # Errors
    /// A schema that can't be parsed: a mistake of ours.
    pub(crate) fn of(topic: &str) -> anyhow::Result<Self> {
        let contract = contract_of(topic);
        let values = match contract {
            Some(contract) => Values::Ours(Box::new(apache_avro::Schema::parse_str(contract.schema)?)),
            None if topics::dlq_source(topic).is_some() => Values::DeadLetters,
            None => Values::Others,
        };
        Ok(TopicValues { topic: topic.to_owned(), values })
    }

    /// What writes lines.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn lines(&self) -> anyhow::Result<Lines<'_>> {
        let renderer = match &self.values {
            Values::Ours(schema) => Some(Renderer::new(schema)?),
            Values::DeadLetters | Values::Others => None,
        };
        Ok(Lines { of: self, renderer })
    }
}

/// Writes records of one topic as lines.
pub(crate) struct Lines<'a> {
    of: &'a TopicValues,
    renderer: Option<Renderer<'a>>,
}

impl Lines<'_> {
    /// Appends a record, with the line of the file that it came from, if it did; the value of a tombstone is `null`. Nothing
    /// is appended for a watermark among the events.
    ///
    /// # Errors
    /// A value that is not what its topic says.
    pub(crate) fn write(
        &self,
        record: &OwnedRecord,
        line: Option<u64>,
        out: &mut String,
    ) -> anyhow::Result<()> {
        let key = serde_json::to_string(&key_text(&self.of.topic, record.key.as_deref()))?;
        let (start, head) = (out.len(), headers_json(&record.headers));
        write!(out, r#"{{"key":{key},"headers":{head},"value":"#)?;
        let written = match (&self.of.values, &self.renderer) {
            (Values::Ours(_), Some(renderer)) => ours(renderer, record, line, out),
            (Values::DeadLetters, _) => letter(record, line, out).map(|()| true),
            _ => other(record, out).map(|()| true),
        };
        match written {
            Ok(true) => out.push_str("}\n"),
            Ok(false) => out.truncate(start),
            Err(_) => out.truncate(start),
        }
        written.map(drop)
    }
}

fn ours(
    renderer: &Renderer<'_>,
    record: &OwnedRecord,
    line: Option<u64>,
    out: &mut String,
) -> anyhow::Result<bool> {
    let Some(value) = &record.value else {
        if record.key.is_some() {
            out.push_str("null");
        }
        return Ok(record.key.is_some());
    };
    let (_, datum) = wire::split(value)?;
    let start = out.len();
    renderer.render(datum, out)?;
    if let Some(line) = line {
        out.insert_str(start + 1, &format!(r#""line":{line},"#));
    }
    Ok(true)
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

fn letter(record: &OwnedRecord, line: Option<u64>, out: &mut String) -> anyhow::Result<()> {
    let header = |name: &str| header_text(&record.headers, name);
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
    out.push_str(&serde_json::to_string(&letter)?);
    Ok(())
}

fn other(record: &OwnedRecord, out: &mut String) -> anyhow::Result<()> {
    let value = record.value.as_deref().map(|bytes| {
        serde_json::from_slice(bytes).unwrap_or_else(|_| match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(BASE64.encode(bytes)),
        })
    });
    out.push_str(&serde_json::to_string(&value)?);
    Ok(())
}

/// The text of a header; `None` if it is missing or no text.
pub(crate) fn header_text<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value).ok())
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
