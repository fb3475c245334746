//! Records of an Avro source, from readiness to dead letter.

use super::*;
use crate::ingest::Format;
use catchment_contracts::schemas::Lookup;
use catchment_contracts::transcode::WriterSchema;
use catchment_contracts::wire::SchemaKey;
use std::sync::Mutex;

/// What somebody else has found out of the one schema that there is.
#[derive(Debug)]
struct Found(Mutex<Lookup>);

impl Schemas for Found {
    fn find(&self, _: SchemaKey) -> Lookup {
        self.0.lock().unwrap().clone()
    }
}

impl Found {
    fn is(&self, lookup: Lookup) {
        *self.0.lock().unwrap() = lookup;
    }

    fn is_known(&self) {
        let schema = r#"{"type":"record","name":"Page","fields":[{"name":"type","type":"string"},
            {"name":"userId","type":"string"},
            {"name":"receivedAt","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
        self.is(Lookup::Known(WriterSchema::parse(schema, &[]).unwrap().into()));
    }
}

struct AvroBench {
    found: Arc<Found>,
    table: TopicTable,
    task: IngestTask,
    step: Step<IngestEffect>,
}

/// A page of u-1 that was received at 100 ms.
const PAGE: &[u8] = b"\0\0\0\0\x07\x08page\x06u-1\xc8\x01";

impl AvroBench {
    fn new(clock: Clock) -> Self {
        let found = Arc::new(Found(Mutex::new(Lookup::Pending)));
        let table = table(&TOPICS);
        let topic = table.find("behaviour").unwrap();
        let mut source = sources().remove(0);
        source.format = Format::Avro;
        let settings = IngestSettings {
            sources: vec![source],
            secret: KeySecret::PUBLISHED,
            schemas: SchemaIds::builtin(),
            source_schemas: Arc::clone(&found) as Arc<dyn Schemas>,
            clock,
            inputs: vec![TopicPartition { topic, partition: 0 }],
        };
        let task = IngestTask::new(settings, &table).unwrap();
        AvroBench { found, table, task, step: Step::new() }
    }

    /// Hands a record to the task.
    fn with<T>(
        &mut self,
        headers: &[(&str, &[u8])],
        value: Option<&[u8]>,
        run: impl FnOnce(&mut IngestTask, &Record<'_>, &mut Step<IngestEffect>) -> T,
    ) -> T {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let headers = Headers(headers);
        let topic = self.table.find("behaviour").unwrap();
        let (partition, offset, append_time, key) = (0, Offset(5), 900, None);
        let record = Record { topic, partition, offset, append_time, key, value, headers: &headers };
        run(&mut self.task, &record, &mut self.step)
    }

    fn ready(&mut self, value: Option<&[u8]>) -> Readiness {
        self.with(&[], value, |task, record, _| task.ready(record))
    }

    fn process(&mut self, headers: &[(&str, &[u8])], value: &[u8]) -> Result<(), Unreadable> {
        self.with(headers, Some(value), Task::process)
    }
}

#[test]
fn a_record_waits_for_its_schema_and_no_longer() {
    let mut bench = AvroBench::new(Clock::Wall);
    assert_eq!(bench.ready(Some(PAGE)), Readiness::Wait);
    assert_eq!(bench.ready(Some(PAGE)), Readiness::Wait);
    bench.found.is_known();
    assert_eq!(bench.ready(Some(PAGE)), Readiness::Ready);
    // What is ready stays ready.
    bench.found.is(Lookup::Pending);
    assert_eq!(bench.ready(Some(PAGE)), Readiness::Ready);
    bench.process(&[], PAGE).unwrap();
    let source = SourceIndex(0);
    assert_eq!(bench.step.effects, [IngestEffect::Routed { source, kind: EventType::Page }]);
}

#[test]
fn a_record_that_needs_no_schema_does_not_wait() {
    let mut bench = AvroBench::new(Clock::Wall);
    for value in [None, Some(&b"{}"[..]), Some(&[0, 0][..]), Some(&[0; 100_000][..])] {
        assert_eq!(bench.ready(value), Readiness::Ready, "{:?}", value.map(<[u8]>::len));
    }
    bench.found.is(Lookup::Unknown);
    assert_eq!(bench.ready(Some(PAGE)), Readiness::Ready);
}

#[test]
fn nothing_is_decided_while_the_schema_is_awaited() {
    let mut bench = AvroBench::new(Clock::Wall);
    assert!(bench.process(&[], PAGE).is_err());
    assert!(bench.step.effects.is_empty() && bench.step.outbox.is_empty());
}

#[test]
fn arrival_is_read_from_the_record_as_in_json() {
    let mut bench = AvroBench::new(Clock::Event);
    bench.found.is_known();
    assert_eq!(bench.with(&[], Some(PAGE), |task, record, _| task.arrival(record)), 100);
    // What can't be read has the time of the log.
    assert_eq!(bench.with(&[], Some(&PAGE[..9]), |task, record, _| task.arrival(record)), 900);
    bench.process(&[], PAGE).unwrap();
    assert_eq!(bench.step.now, 100);
    let topic = bench.table.find("customer.events").unwrap();
    let record = bench
        .step
        .outbox
        .records()
        .iter()
        .find(|record| record.topic == topic && bench.step.outbox.value(record).is_some());
    let value = bench.step.outbox.value(record.unwrap()).unwrap();
    let event = CustomerEvent::decode(split(value).unwrap().1).unwrap();
    assert_eq!((event.received_at, event.identifiers[0].value), (100, "u-1"));
}

#[test]
fn what_can_t_be_decoded_is_a_dead_letter_with_its_bytes() {
    let mut bench = AvroBench::new(Clock::Wall);
    bench.found.is_known();
    bench.process(&[], &PAGE[..9]).unwrap();
    bench.process(&[("x", b"y")], b"{\"type\":\"page\"}").unwrap();
    bench.process(&[(headers::VALUE_SCHEMA_ID, &[0, 0, 0, 0, 7])], &PAGE[5..]).unwrap();
    bench.found.is(Lookup::Unknown);
    bench.process(&[(headers::VALUE_SCHEMA_ID, &[0, 0, 0, 0, 8])], &PAGE[5..]).unwrap();
    let source = Some(SourceIndex(0));
    let refused = |code| IngestEffect::DeadLettered { source, code };
    let routed = IngestEffect::Routed { source: SourceIndex(0), kind: EventType::Page };
    let (invalid, no_id) = (refused(ErrorCode::InvalidAvro), refused(ErrorCode::NoSchemaId));
    assert_eq!(bench.step.effects, [invalid, no_id, routed, refused(ErrorCode::UnknownSchema)]);
    let topic = bench.table.find("dlq.web").unwrap();
    let letters: Vec<_> = bench.step.outbox.records().iter().filter(|record| record.topic == topic).collect();
    assert_eq!(bench.step.outbox.value(letters[0]), Some(&PAGE[..9]));
    assert_eq!(letters[0].headers.get(headers::ERROR_STAGE), Some(&b"decode"[..]));
    assert_eq!(letters[1].headers.get("x"), Some(&b"y"[..]));
    assert_eq!(letters[2].headers.get(headers::VALUE_SCHEMA_ID), Some(&[0, 0, 0, 0, 8][..]));
}
