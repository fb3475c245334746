//! Ingest as a task of the runtime: source, arrival, watermark, verdict, route.

mod route;
mod settings;
#[cfg(test)]
mod tests;
mod time;

pub use settings::{Clock, IngestEffect, IngestSettings, SettingsError, SourceIndex};

use super::avro::{Held, LastSchema};
use super::map::{RawRecord, Scratch, Verdict, map, map_text};
use super::source::{Format, Mapping, SourceSpec};
use catchment_contracts::schemas::Schemas;
use catchment_contracts::wire::SchemaIds;
use catchment_contracts::{headers, topics};
use catchment_domain::KeySecret;
use catchment_runtime::task::{Readiness, Unreadable};
use catchment_runtime::{Headers, Millis, Record, Step, Task, TopicId, TopicPartition, TopicTable};
use route::{Output, Refused, Route, unknown_source};
use std::mem;
use std::sync::Arc;
use time::Times;

/// Name of the role in dead letters.
const ROLE: &str = "ingest";

/// A step waits for its records for less than this, in milliseconds.
const WAIT: Millis = 1_000;

/// A source with what depends on the table of topics.
#[derive(Debug)]
struct Source {
    spec: SourceSpec,
    index: SourceIndex,
    topic: TopicId,
    dead_letters: Output,
    last_schema: LastSchema,
}

/// The text of a record, as far as somebody had to make it.
enum Text {
    /// It is JSON as it came.
    AsItCame,
    /// It was Avro, and stands in the buffer.
    Transcoded,
    /// It was to be Avro, and this became of it.
    Decided(Verdict),
}

impl Text {
    /// The JSON of a record, where there is some.
    fn json<'t>(&self, record: &Record<'t>, text: &'t str) -> Option<&'t [u8]> {
        match self {
            Text::AsItCame => record.value,
            Text::Transcoded => Some(text.as_bytes()),
            Text::Decided(_) => None,
        }
    }
}

/// A raw topic.
#[derive(Debug)]
struct Input {
    topic: TopicId,
    name: String,
    /// Places in the list of sources.
    sources: Vec<usize>,
    /// Where records go that name no source: `dlq.<topic>`, or, where it is missing, the only source's own.
    unknown: Output,
}

#[derive(Debug)]
struct Outputs {
    events: Option<Output>,
    unattributed: Option<Output>,
    items: Option<Output>,
}

/// The ingest role: raw records in; canonical events, catalog items, dead letters and watermarks out.
///
/// It keeps no state but the clock of its input (how far each source partition has been read), which it can do without:
/// a new task starts at the first record it reads.
#[derive(Debug)]
pub struct IngestTask {
    sources: Vec<Source>,
    inputs: Vec<Input>,
    outputs: Outputs,
    secret: KeySecret,
    schemas: SchemaIds,
    clock: Clock,
    times: Times,
    /// The input has ended, and time goes on to here.
    until: Option<Millis>,
    scratch: Scratch,
    source_schemas: Arc<dyn Schemas>,
    /// Memory for the text of an Avro record.
    text: String,
}

impl IngestTask {
    /// A task by these settings. `table` must hold the topics of all sources of `settings.inputs`, a dead-letter topic
    /// `dlq.<source>` for each of them, `dlq.<topic>` for topics that several sources share, and `customer.events`
    /// with `customer.unattributed`, or `catalog.updates`, as their mappings need it.
    ///
    /// # Errors
    /// [`SettingsError`] says what is missing.
    pub fn new(settings: IngestSettings, table: &TopicTable) -> Result<Self, SettingsError> {
        let mut sources = Vec::with_capacity(settings.sources.len());
        for (at, spec) in settings.sources.into_iter().enumerate() {
            let index = SourceIndex(u16::try_from(at).map_err(|_| SettingsError::TooMany)?);
            if sources.iter().any(|source: &Source| source.spec.name == spec.name) {
                return Err(SettingsError::SameName(spec.name));
            }
            let topic = Output::find(table, &spec.topic, &spec.name)?.topic;
            let dead_letters = Output::find(table, &topics::dlq(&spec.name), &spec.name)?;
            sources.push(Source { spec, index, topic, dead_letters, last_schema: LastSchema::default() });
        }
        let inputs = inputs_of(&sources, table)?;
        let outputs = outputs_of(&sources, table)?;
        let read = settings.inputs.iter().flat_map(|at| {
            let of = sources.iter().enumerate().filter(|(_, source)| source.topic == at.topic);
            of.map(|(source, _)| (source, at.partition))
        });
        let times = Times::new(read.collect());
        let (secret, schemas, clock) = (settings.secret, settings.schemas, settings.clock);
        Ok(IngestTask {
            sources,
            inputs,
            outputs,
            secret,
            schemas,
            clock,
            times,
            until: None,
            scratch: Scratch::default(),
            source_schemas: settings.source_schemas,
            text: String::new(),
        })
    }

    /// Name of a source of an effect.
    #[must_use]
    pub fn source_name(&self, index: SourceIndex) -> &str {
        self.sources.get(usize::from(index.0)).map_or("", |source| &source.spec.name)
    }

    /// The input has ended, and time goes on to `until` (sandbox: `--until`): the next step says that everything is read
    /// up to then, so that timers which are due by then fire. Nothing may be processed after it that arrived earlier.
    pub fn finish(&mut self, until: Millis) {
        self.until = Some(until);
    }

    /// All that was in a raw partition by `at` has been read (`clock: wall`), so that its silence doesn't hold up
    /// timers. Call it when the log says that the partition is at its end; `at` is the wall clock before that answer.
    pub fn caught_up(&mut self, input: TopicPartition, at: Millis) {
        for (source, _) in self.sources.iter().enumerate().filter(|(_, source)| source.topic == input.topic) {
            self.times.caught_up(source, input.partition, at);
        }
    }

    /// The input of a record's topic, and its source: the one that the header `catchment.source` names, else the only
    /// one of the topic.
    fn source_of(&self, record: &Record<'_>) -> (Option<usize>, Option<usize>) {
        let Some(at) = self.inputs.iter().position(|input| input.topic == record.topic) else {
            return (None, None);
        };
        let candidates = &self.inputs[at].sources;
        let source = match record.headers.get(headers::SOURCE) {
            Some(name) => {
                candidates.iter().copied().find(|source| self.sources[*source].spec.name.as_bytes() == name)
            }
            None => {
                if let [only] = candidates.as_slice() {
                    Some(*only)
                } else {
                    None
                }
            }
        };
        (Some(at), source)
    }

    /// Makes a record's text: that of an Avro record in `text`, which is overwritten.
    fn read(&mut self, source: usize, record: &Record<'_>, text: &mut String) -> Result<Text, Unreadable> {
        let Source { spec, last_schema, .. } = &mut self.sources[source];
        if spec.format == Format::Json {
            return Ok(Text::AsItCame);
        }
        let header = record.headers.get(headers::VALUE_SCHEMA_ID);
        match last_schema.transcode(spec, record.value, header, &*self.source_schemas, text) {
            Ok(()) => Ok(Text::Transcoded),
            Err(Held::Decided(verdict)) => Ok(Text::Decided(verdict)),
            // The lane asks first. To decide without the schema would lose a good record.
            Err(Held::Waiting) => {
                Err(Unreadable { reason: "the schema of a raw record is not known yet".to_owned() })
            }
        }
    }

    /// When a record arrived, by itself: the field of its source, else the log's clock; not after `latest`: since the clock
    /// never goes back, one record from the year 9999 would stop it for good.
    fn stated_arrival(
        &self,
        source: usize,
        record: &Record<'_>,
        json: Option<&[u8]>,
        latest: Millis,
    ) -> Millis {
        let field = self.sources[source].spec.arrival.as_ref();
        let stated = field.zip(json).and_then(|(path, json)| path.read(json));
        stated.unwrap_or(record.append_time).min(latest)
    }

    /// When a record arrived for the clock: never before the one before it. What is made of the record has the time that
    /// it states itself, so that a profile does not depend on what came before.
    fn arrival_of(&self, source: usize, record: &Record<'_>, json: Option<&[u8]>, latest: Millis) -> Millis {
        let stated = self.stated_arrival(source, record, json, latest);
        self.times.clamp(source, record.partition, stated)
    }

    /// The latest moment that a record can have arrived at, as far as anybody here knows. The clock of a step is read
    /// before its records are waited for, so that the record's own time is believed for as long as that may take: else
    /// it would depend on the step when an event happened.
    fn latest(&self, now: Millis, record: &Record<'_>) -> Millis {
        match self.clock {
            Clock::Wall => record.append_time.clamp(now, now.saturating_add(WAIT)),
            Clock::Event => Millis::MAX,
        }
    }

    fn write_watermark(&self, step: &mut Step<IngestEffect>) {
        let Some(events) = self.outputs.events else { return };
        if self.clock == Clock::Event {
            step.now = step.now.max(self.times.written().unwrap_or(step.now));
        }
        let name = |source: usize| self.sources[source].spec.name.as_str();
        let Some(header) = self.times.watermark(name) else {
            return;
        };
        for partition in 0..events.partitions {
            let mut headers = Headers::default();
            headers.push(headers::WATERMARK, header.clone());
            step.outbox.push(step.to(events.topic, partition), None, None, headers);
        }
    }

    /// Sets the clock to a record's arrival, and says so to all who wait for it.
    fn tick(&mut self, arrival: Millis, step: &mut Step<IngestEffect>) {
        if self.clock == Clock::Wall {
            return;
        }
        if self.times.advance(arrival) {
            self.write_watermark(step);
        }
        step.now = step.now.max(arrival);
    }

    /// Reads a record of a known source, sets the clock to it, maps it and writes what comes of it.
    fn take(
        &mut self,
        at: usize,
        record: &Record<'_>,
        text: &mut String,
        step: &mut Step<IngestEffect>,
    ) -> Result<(), Unreadable> {
        let read = self.read(at, record, text)?;
        let latest = self.latest(step.now, record);
        let stated = self.stated_arrival(at, record, read.json(record, text), latest);
        let arrival = self.times.clamp(at, record.partition, stated);
        self.times.seen(at, record.partition, arrival);
        self.tick(arrival, step);
        let source = &self.sources[at];
        let raw = RawRecord {
            value: record.value,
            partition: i32::try_from(record.partition).unwrap_or(i32::MAX),
            offset: i64::try_from(record.offset.0).unwrap_or(i64::MAX),
            arrival: stated,
        };
        let Step { now, outbox, effects } = step;
        let mut route = Route {
            source,
            outputs: &self.outputs,
            schemas: self.schemas,
            record,
            now: *now,
            outbox,
            effects,
        };
        let (spec, secret, scratch) = (&source.spec, &self.secret, &mut self.scratch);
        let sink = &mut |mapped: super::map::Mapped<'_>| route.write(mapped);
        let (verdict, stage) = match read {
            Text::AsItCame => (map(spec, secret, &raw, scratch, sink), "map"),
            Text::Transcoded => (map_text(spec, secret, &raw, text, scratch, sink), "map"),
            Text::Decided(verdict) => (verdict, "decode"),
        };
        let dropped = match verdict {
            Verdict::Events { amounts_dropped, .. } | Verdict::Item { amounts_dropped } => amounts_dropped,
            Verdict::Nothing(reason) => {
                effects.push(IngestEffect::Skipped { source: source.index, reason });
                false
            }
            Verdict::DeadLetter(errors) => {
                let input = self.inputs.iter().find(|input| input.topic == record.topic);
                let topic = input.map_or("", |input| &input.name);
                let letter = Refused { topic, source: Some(source), stage, errors: &errors };
                letter.write(source.dead_letters, record, *now, outbox, effects);
                false
            }
        };
        if dropped {
            effects.push(IngestEffect::AmountsDropped { source: source.index });
        }
        Ok(())
    }
}

impl Task for IngestTask {
    type Effect = IngestEffect;

    fn ready(&mut self, record: &Record<'_>) -> Readiness {
        let (_, Some(source)) = self.source_of(record) else { return Readiness::Ready };
        let Source { spec, last_schema, .. } = &mut self.sources[source];
        let header = record.headers.get(headers::VALUE_SCHEMA_ID);
        let waits = spec.format == Format::Avro
            && !last_schema.is_ready(spec, record.value, header, &*self.source_schemas);
        if waits { Readiness::Wait } else { Readiness::Ready }
    }

    fn process(&mut self, record: &Record<'_>, step: &mut Step<IngestEffect>) -> Result<(), Unreadable> {
        let (input, source) = self.source_of(record);
        let Some(input) = input else {
            return Err(Unreadable { reason: "a record of a topic that no source of ingest has".to_owned() });
        };
        if let Some(source) = source {
            let mut text = mem::take(&mut self.text);
            let taken = self.take(source, record, &mut text, step);
            self.text = text;
            taken?;
        } else {
            // Nobody's clock: it neither moves nor waits for one, but a first record must have a moment.
            if self.clock == Clock::Event {
                step.now = step.now.max(self.times.written().unwrap_or(record.append_time));
            }
            let input = &self.inputs[input];
            let error = unknown_source(input, &self.sources, record);
            let letter = Refused { topic: &input.name, source: None, stage: "route", errors: &[error] };
            letter.write(input.unknown, record, step.now, &mut step.outbox, &mut step.effects);
        }
        Ok(())
    }

    fn advance(&mut self, step: &mut Step<IngestEffect>) {
        let news = match self.clock {
            Clock::Wall => self.times.tick(step.now),
            Clock::Event => self.until.is_some_and(|until| self.times.end(until)),
        };
        if news {
            self.write_watermark(step);
        }
    }

    fn flush(&mut self, _step: &mut Step<IngestEffect>) {}

    fn committed(&mut self) {
        self.times.commit();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.times.undo();
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    fn restore(&mut self, _record: &Record<'_>) -> Result<(), Unreadable> {
        Err(Unreadable { reason: "ingest keeps no state, so it has nothing to restore".to_owned() })
    }

    fn arrival(&mut self, record: &Record<'_>) -> Millis {
        let (_, Some(source)) = self.source_of(record) else { return record.append_time };
        let mut text = mem::take(&mut self.text);
        let stated = self.sources[source].spec.arrival.is_some();
        let read = if stated { self.read(source, record, &mut text).ok() } else { None };
        let json = read.and_then(|read| read.json(record, &text));
        let arrival = self.arrival_of(source, record, json, Millis::MAX);
        self.text = text;
        arrival
    }

    fn rank(&self, record: &Record<'_>) -> usize {
        self.source_of(record).1.unwrap_or(self.sources.len())
    }
}

fn inputs_of(sources: &[Source], table: &TopicTable) -> Result<Vec<Input>, SettingsError> {
    let mut inputs: Vec<Input> = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        if let Some(input) = inputs.iter_mut().find(|input| input.topic == source.topic) {
            input.sources.push(at);
            input.unknown = Output::find(table, &topics::dlq(&input.name), &source.spec.name)?;
        } else {
            inputs.push(Input {
                topic: source.topic,
                name: source.spec.topic.clone(),
                sources: vec![at],
                unknown: Output::find(table, &topics::dlq(&source.spec.topic), &source.spec.name)
                    .unwrap_or(source.dead_letters),
            });
        }
    }
    Ok(inputs)
}

fn outputs_of(sources: &[Source], table: &TopicTable) -> Result<Outputs, SettingsError> {
    let catalog = |source: &&Source| source.spec.mapping == Mapping::Catalog;
    let find = |source: Option<&Source>, topic: &str| {
        source.map(|source| Output::find(table, topic, &source.spec.name)).transpose()
    };
    // Watermarks go to customer.events whatever the source is: a catalog's, too, holds up timers.
    let events = table.find(topics::CUSTOMER_EVENTS).and(sources.first());
    let customers = sources.iter().find(|source| !catalog(source));
    Ok(Outputs {
        events: find(customers.or(events), topics::CUSTOMER_EVENTS)?,
        unattributed: find(customers, topics::CUSTOMER_UNATTRIBUTED)?,
        items: find(sources.iter().find(catalog), topics::CATALOG_UPDATES)?,
    })
}
