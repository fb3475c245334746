//! Where records go, and what is written there.

use super::{IngestEffect, Input, Outputs, ROLE, SettingsError, Source};
use crate::ingest::check::name_of;
use crate::ingest::map::Mapped;
use crate::trace::trace_context;
use catchment_contracts::dead_letter::{DeadLetter, ErrorCode, FieldError};
use catchment_contracts::headers;
use catchment_contracts::wire::{SchemaIds, write_header};
use catchment_runtime::outbox::To;
use catchment_runtime::partition::for_key;
use catchment_runtime::{Headers, Millis, Outbox, Partition, Record, TopicId, TopicTable};

/// A topic that is written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) topic: TopicId,
    pub(super) partitions: Partition,
}

impl Output {
    pub(super) fn find(table: &TopicTable, topic: &str, source: &str) -> Result<Output, SettingsError> {
        let missing = || SettingsError::NoTopic { topic: topic.to_owned(), source_name: source.to_owned() };
        let id = table.find(topic).ok_or_else(missing)?;
        Ok(Output { topic: id, partitions: table.spec(id).partitions.max(1) })
    }

    pub(super) fn for_key(self, key: &[u8], time: Millis) -> To {
        To { topic: self.topic, partition: for_key(key, self.partitions), time }
    }
}

pub(super) fn unknown_source(input: &Input, sources: &[Source], record: &Record<'_>) -> FieldError {
    let names: Vec<&str> = input.sources.iter().map(|at| sources[*at].spec.name.as_str()).collect();
    let expected = format!("one of {}", names.join(", "));
    let actual = match record.headers.get(headers::SOURCE) {
        Some(name) => name_of(&String::from_utf8_lossy(name)).to_owned(),
        None => "nothing".to_owned(),
    };
    FieldError::new(ErrorCode::UnknownSource, headers::SOURCE, &expected, &actual)
}

/// Writes what one record was mapped to.
pub(super) struct Route<'r, 'a> {
    pub(super) source: &'r Source,
    pub(super) outputs: &'r Outputs,
    pub(super) schemas: SchemaIds,
    pub(super) record: &'r Record<'a>,
    pub(super) now: Millis,
    pub(super) outbox: &'r mut Outbox,
    pub(super) effects: &'r mut Vec<IngestEffect>,
}

impl Route<'_, '_> {
    pub(super) fn write(&mut self, mapped: Mapped<'_>) {
        let headers = trace_context(self.record.headers);
        let source = self.source.index;
        match mapped {
            Mapped::Event(event) => {
                let id = self.schemas.customer_event;
                let value = |out: &mut Vec<u8>| {
                    write_header(out, id);
                    event.encode(out);
                };
                let kind = event.r#type;
                // The constructor made sure of the topics that the source's mapping writes to.
                if let Some(smallest) = event.identifiers.first() {
                    let Some(events) = self.outputs.events else { return };
                    let to = events.for_key(&smallest.key, self.now);
                    self.outbox.push_with(to, Some(&smallest.key), headers, value);
                    self.effects.push(IngestEffect::Routed { source, kind });
                } else {
                    let Some(unattributed) = self.outputs.unattributed else {
                        return;
                    };
                    let key = event.event_id.as_bytes();
                    self.outbox.push_with(unattributed.for_key(key, self.now), Some(key), headers, value);
                    self.effects.push(IngestEffect::Unattributed { source, kind });
                }
            }
            Mapped::Item(item) => {
                let Some(items) = self.outputs.items else { return };
                let (id, key) = (self.schemas.catalog_item, item.product_id.as_bytes());
                self.outbox.push_with(items.for_key(key, self.now), Some(key), headers, |out| {
                    write_header(out, id);
                    item.encode(out);
                });
                self.effects.push(IngestEffect::Item { source });
            }
        }
    }
}

/// A record that can't be taken.
pub(super) struct Refused<'r> {
    pub(super) topic: &'r str,
    pub(super) source: Option<&'r Source>,
    /// Step of the role that refused it.
    pub(super) stage: &'static str,
    pub(super) errors: &'r [FieldError],
}

impl Refused<'_> {
    /// Writes the dead letter: key, value and headers as they came, and why.
    pub(super) fn write(
        &self,
        to: Output,
        record: &Record<'_>,
        now: Millis,
        outbox: &mut Outbox,
        effects: &mut Vec<IngestEffect>,
    ) {
        let Some(first) = self.errors.first() else { return };
        // A replayed dead letter still has the headers of the time before: the count goes on, the rest is made anew.
        let before = record.headers.get(headers::ERROR_ATTEMPT);
        let before =
            before.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
        let named = record.headers.get(headers::SOURCE).is_some();
        let letter = DeadLetter {
            errors: self.errors,
            topic: self.topic,
            partition: i32::try_from(record.partition).unwrap_or(i32::MAX),
            offset: i64::try_from(record.offset.0).unwrap_or(i64::MAX),
            stage: self.stage,
            role: ROLE,
            contract: self.source.map_or("", |source| source.spec.mapping.contract()),
            source: self.source.filter(|_| !named).map_or("", |source| &source.spec.name),
            attempt: before.unwrap_or(0u32).saturating_add(1),
        };
        let old = |name: &str| headers::DEAD_LETTER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let mut all: Vec<_> = record.headers.0.iter().filter(|(name, _)| !old(name)).cloned().collect();
        all.extend(letter.headers());
        let to = To { topic: to.topic, partition: record.partition % to.partitions, time: now };
        outbox.push(to, record.key, record.value, Headers(all));
        effects.push(IngestEffect::DeadLettered {
            source: self.source.map(|source| source.index),
            code: first.code,
        });
    }
}
