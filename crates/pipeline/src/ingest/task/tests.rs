mod avro;
mod clock;

use super::*;
use crate::ingest::{Mapping, Reason, Tombstone};
use catchment_contracts::dead_letter::ErrorCode;
use catchment_contracts::schemas::BuiltinSchemas;
use catchment_contracts::wire::split;
use catchment_contracts::{CatalogItem, CustomerEvent, EventType};
use catchment_runtime::partition::for_key;
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{Offset, OutRecord, Partition};

/// A table of these topics, with that many partitions.
fn table(topics: &[(&str, Partition)]) -> TopicTable {
    let mut table = TopicTable::new();
    for (name, partitions) in topics {
        let cleanup = Cleanup::Delete { retention_ms: 1_000 };
        table.add(TopicSpec { name: (*name).to_owned(), partitions: *partitions, cleanup });
    }
    table
}

const TOPICS: [(&str, Partition); 10] = [
    ("behaviour", 4),
    ("crm", 2),
    ("catalog", 1),
    ("dlq.web", 3),
    ("dlq.hubspot", 2),
    ("dlq.contacts", 2),
    ("dlq.crm", 2),
    ("dlq.shop", 1),
    ("customer.events", 4),
    ("customer.unattributed", 2),
];

fn sources() -> Vec<SourceSpec> {
    let mut web = SourceSpec::new("web", "behaviour", Mapping::Segment);
    web.arrival = Some("receivedAt".parse().unwrap());
    vec![
        web,
        SourceSpec::new("hubspot", "crm", Mapping::Hubspot),
        SourceSpec::new("contacts", "crm", Mapping::Contact),
        SourceSpec { tombstone: Tombstone::Ignore, ..SourceSpec::new("shop", "catalog", Mapping::Catalog) },
    ]
}

/// A task with its table and the step it works on.
struct Bench {
    table: TopicTable,
    task: IngestTask,
    step: Step<IngestEffect>,
}

/// What a record is, where it matters here.
#[derive(Clone, Copy, Default)]
struct Raw<'a> {
    topic: &'a str,
    partition: Partition,
    offset: u64,
    time: Millis,
    key: Option<&'a [u8]>,
    value: Option<&'a str>,
    headers: &'a [(&'a str, &'a str)],
}

impl Bench {
    fn new(clock: Clock) -> Bench {
        let mut topics = TOPICS.to_vec();
        topics.push(("catalog.updates", 2));
        let table = table(&topics);
        let inputs = [("behaviour", 0), ("behaviour", 1), ("crm", 0), ("catalog", 0)]
            .map(|(topic, partition)| TopicPartition { topic: table.find(topic).unwrap(), partition });
        let settings = IngestSettings {
            sources: sources(),
            secret: KeySecret::PUBLISHED,
            schemas: SchemaIds::builtin(),
            source_schemas: Arc::new(BuiltinSchemas),
            clock,
            inputs: inputs.to_vec(),
        };
        let task = IngestTask::new(settings, &table).unwrap();
        Bench { table, task, step: Step::new() }
    }

    fn process(&mut self, raw: Raw<'_>) -> &mut Self {
        let headers = raw.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let headers = Headers(headers.collect());
        let record = Record {
            topic: self.table.find(raw.topic).unwrap(),
            partition: raw.partition,
            offset: Offset(raw.offset),
            append_time: raw.time,
            key: raw.key,
            value: raw.value.map(str::as_bytes),
            headers: &headers,
        };
        self.task.process(&record, &mut self.step).unwrap();
        self
    }

    /// Records written to a topic.
    fn written(&self, topic: &str) -> Vec<&OutRecord> {
        let topic = self.table.find(topic).unwrap();
        self.step.outbox.records().iter().filter(|record| record.topic == topic).collect()
    }

    /// Watermarks written, as `partition@time: source/partition=arrival …`.
    fn watermarks(&self) -> Vec<String> {
        let text = |record: &&OutRecord| {
            let header = record.headers.get(headers::WATERMARK)?;
            assert!(self.step.outbox.key(record).is_none() && self.step.outbox.value(record).is_none());
            let mark = catchment_contracts::watermark::read(header).unwrap();
            let read: Vec<String> = mark
                .read
                .iter()
                .map(|read| format!("{}/{}={}", read.source, read.partition, read.arrival))
                .collect();
            Some(format!("{}@{}: {}", record.partition, record.time, read.join(" ")))
        };
        self.written("customer.events").iter().filter_map(text).collect()
    }

    fn header<'b>(&self, record: &'b OutRecord, name: &str) -> &'b str {
        record.headers.get(name).map_or("-", |value| std::str::from_utf8(value).unwrap())
    }
}

fn page(received_at: &str) -> String {
    format!(r#"{{"type":"page","messageId":"m","userId":"u-1","receivedAt":"{received_at}"}}"#)
}

#[test]
fn an_event_goes_to_the_partition_of_its_smallest_identifier() {
    let mut bench = Bench::new(Clock::Wall);
    bench.step.now = 5;
    let headers = [("traceparent", "00-ab-cd-01"), ("other", "x"), ("tracestate", "a=b")];
    bench.process(Raw {
        topic: "behaviour",
        partition: 2,
        offset: 7,
        value: Some(&page("1970-01-01T00:00:01Z")),
        headers: &headers,
        ..Raw::default()
    });
    let written = bench.written("customer.events");
    let [record] = written.as_slice() else { panic!() };
    let key = KeySecret::PUBLISHED.node_key(catchment_domain::IdentifierType::UserId, "u-1").0;
    assert_eq!(bench.step.outbox.key(record), Some(&key[..]));
    assert_eq!((record.partition, record.time), (for_key(&key, 4), 5));
    assert_eq!(record.headers.0.len(), 2, "the trace goes on, nothing else does");
    let (id, datum) = split(bench.step.outbox.value(record).unwrap()).unwrap();
    assert_eq!(id, SchemaIds::builtin().customer_event);
    let event = CustomerEvent::decode(datum).unwrap();
    assert_eq!((event.source, event.source_partition, event.source_offset), ("web", 2, 7));
    let source = SourceIndex(0);
    assert_eq!(bench.step.effects, [IngestEffect::Routed { source, kind: EventType::Page }]);
    assert_eq!(bench.task.source_name(source), "web");
}

#[test]
fn an_event_about_nobody_waits_aside() {
    let mut bench = Bench::new(Clock::Wall);
    let value = r#"{"type":"page","messageId":"m-9","userId":"null"}"#;
    bench.process(Raw { topic: "behaviour", value: Some(value), ..Raw::default() });
    let written = bench.written("customer.unattributed");
    assert_eq!(bench.step.outbox.key(written[0]), Some(&b"m-9"[..]));
    assert_eq!(
        bench.step.effects,
        [IngestEffect::Unattributed { source: SourceIndex(0), kind: EventType::Page }]
    );
}

#[test]
fn a_product_goes_to_the_catalog_by_its_id() {
    let mut bench = Bench::new(Clock::Wall);
    let value = r#"{"product_id":"run","variants":[{"sku":"a","price":1}],"currency":"DOGE"}"#;
    bench.step.now = 10;
    bench.process(Raw { topic: "catalog", value: Some(value), time: 9, ..Raw::default() });
    let written = bench.written("catalog.updates");
    assert_eq!(bench.step.outbox.key(written[0]), Some(&b"run"[..]));
    let (id, datum) = split(bench.step.outbox.value(written[0]).unwrap()).unwrap();
    assert_eq!(id, SchemaIds::builtin().catalog_item);
    assert_eq!(CatalogItem::decode(datum).unwrap().received_at, 9);
    let source = SourceIndex(3);
    assert_eq!(bench.step.effects, [IngestEffect::Item { source }, IngestEffect::AmountsDropped { source }]);
}

#[test]
fn a_refused_record_keeps_its_bytes_and_headers() {
    let mut bench = Bench::new(Clock::Wall);
    let headers = [("x", "1"), (headers::ERROR_ATTEMPT, "2"), (headers::ERROR_CODE, "oversize"), ("x", "2")];
    let raw = Raw {
        topic: "behaviour",
        partition: 2,
        offset: 41,
        key: Some(b"k\xff"),
        value: Some("nonsense"),
        headers: &headers,
        ..Raw::default()
    };
    bench.process(raw).process(Raw { partition: 3, key: None, headers: &[], ..raw });
    let written = bench.written("dlq.web");
    let [first, second] = written.as_slice() else { panic!() };
    assert_eq!(bench.step.outbox.key(first), Some(&b"k\xff"[..]));
    assert_eq!(bench.step.outbox.key(second), None);
    assert_eq!(bench.step.outbox.value(first), Some(&b"nonsense"[..]));
    assert_eq!((first.partition, second.partition), (2, 0), "the same partition where there is one");
    assert_eq!(first.headers.0[..2], [("x".to_owned(), b"1".to_vec()), ("x".to_owned(), b"2".to_vec())]);
    for (name, value) in [
        (headers::ERROR_CODE, "invalid_json"),
        (headers::ERROR_FIELD, "-"),
        (headers::ERROR_ATTEMPT, "3"),
        (headers::ERROR_ROLE, "ingest"),
        (headers::ERROR_STAGE, "map"),
        (headers::ERROR_CONTRACT, "behaviour_event"),
        (headers::STREAMS_TOPIC, "behaviour"),
        (headers::STREAMS_PARTITION, "2"),
        (headers::STREAMS_OFFSET, "41"),
        (headers::SOURCE, "web"),
    ] {
        assert_eq!(bench.header(first, name), value, "{name}");
    }
    assert_eq!(first.headers.0.iter().filter(|(name, _)| name == headers::ERROR_CODE).count(), 1);
    assert_eq!(bench.header(second, headers::ERROR_ATTEMPT), "1");
    let letter = IngestEffect::DeadLettered { source: Some(SourceIndex(0)), code: ErrorCode::InvalidJson };
    assert_eq!(bench.step.effects, [letter, letter]);
}

#[test]
fn sources_that_share_a_topic_are_told_apart_by_a_header() {
    let mut bench = Bench::new(Clock::Wall);
    let contact = r#"{"contact_id":"C-1","updated_at":"1970-01-01T00:00:00Z"}"#;
    let raw = Raw { topic: "crm", value: Some(contact), ..Raw::default() };
    bench
        .process(Raw { headers: &[(headers::SOURCE, "contacts")], ..raw })
        .process(Raw { headers: &[(headers::SOURCE, "hubspot")], ..raw })
        .process(Raw { headers: &[(headers::SOURCE, "web")], ..raw })
        .process(raw);
    let kind = EventType::Contact;
    assert_eq!(
        bench.step.effects,
        [
            IngestEffect::Routed { source: SourceIndex(2), kind },
            IngestEffect::DeadLettered { source: Some(SourceIndex(1)), code: ErrorCode::MissingField },
            IngestEffect::DeadLettered { source: None, code: ErrorCode::UnknownSource },
            IngestEffect::DeadLettered { source: None, code: ErrorCode::UnknownSource },
        ]
    );
    let refused = bench.written("dlq.hubspot");
    let named = refused[0].headers.0.iter().filter(|(name, _)| name == headers::SOURCE);
    assert_eq!(named.count(), 1, "a record that names its source is not told it again");
    let unknown = bench.written("dlq.crm");
    let actual: Vec<&str> =
        unknown.iter().map(|record| bench.header(record, headers::ERROR_ACTUAL)).collect();
    assert_eq!(actual, ["web", "nothing"]);
    assert_eq!(bench.header(unknown[0], headers::ERROR_EXPECTED), "one of hubspot, contacts");
    assert_eq!(bench.header(unknown[0], headers::ERROR_STAGE), "route");
}

#[test]
fn a_tombstone_that_means_nothing_is_counted() {
    let mut bench = Bench::new(Clock::Wall);
    bench.process(Raw { topic: "catalog", ..Raw::default() });
    assert!(bench.step.outbox.is_empty());
    let reason = Reason::Tombstone;
    assert_eq!(bench.step.effects, [IngestEffect::Skipped { source: SourceIndex(3), reason }]);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let settings = |sources| IngestSettings {
        sources,
        secret: KeySecret::PUBLISHED,
        schemas: SchemaIds::builtin(),
        source_schemas: Arc::new(BuiltinSchemas),
        clock: Clock::Wall,
        inputs: Vec::new(),
    };
    let refused = |sources, topics: &[(&str, Partition)]| {
        IngestTask::new(settings(sources), &table(topics)).err().unwrap().to_string()
    };
    let twice = vec![sources().remove(0), sources().remove(0)];
    assert_eq!(refused(twice, &TOPICS), "two sources are called \"web\"");
    let missing = |topic: &str, source: &str| {
        format!("topic {topic:?}, which source {source:?} needs, is not in the table of topics")
    };
    assert_eq!(refused(sources(), &TOPICS), missing("catalog.updates", "shop"));
    assert_eq!(refused(sources(), &TOPICS[1..]), missing("behaviour", "web"));
    let without = |topic: &str| TOPICS.into_iter().filter(|(name, _)| *name != topic).collect::<Vec<_>>();
    assert_eq!(refused(sources(), &without("dlq.hubspot")), missing("dlq.hubspot", "hubspot"));
    assert_eq!(refused(sources(), &without("dlq.crm")), missing("dlq.crm", "contacts"));
    assert_eq!(refused(sources(), &without("customer.events")), missing("customer.events", "web"));
}

#[test]
fn there_is_nothing_to_restore() {
    let mut bench = Bench::new(Clock::Wall);
    assert!(bench.task.changelogs().is_empty());
    let headers = Headers::default();
    let topic = bench.table.find("crm").unwrap();
    let record = Record {
        topic,
        partition: 0,
        offset: Offset(0),
        append_time: 0,
        key: None,
        value: None,
        headers: &headers,
    };
    assert!(bench.task.restore(&record).is_err());
    let topic = bench.table.find("customer.events").unwrap();
    assert!(
        bench.task.process(&Record { topic, ..record }, &mut bench.step).is_err(),
        "a topic that is not its own"
    );
}
