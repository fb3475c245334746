//! What one event costs in ingest: microseconds per event, by parts.
//!
//! Events have the shape of the peer job (Segment calls, about 520 bytes; 70 % views, 15 % adds, 5 % orders, 10 %
//! identifies), made by a generator that always makes the same ones. In Avro they say what they say in JSON, as far as
//! the contract has a place for it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use catchment_contracts::catalogue::BEHAVIOUR_EVENT;
use catchment_contracts::schemas::BuiltinSchemas;
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_pipeline::ingest::foreign::Foreign;
use catchment_pipeline::ingest::{
    Clock, Format, IngestSettings, IngestTask, Mapped, Mapping, RawRecord, Scratch, SourceSpec, Verdict, map,
    transcode,
};
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{Headers, Offset, Record, Step, Task, TopicPartition, TopicTable};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value as Json;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const EVENTS: u32 = 1_000;

/// A linear congruential generator; its upper bits are good enough to choose from lists.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn event(dice: &mut Dice, number: u64) -> String {
    let customer = dice.below(100_000);
    let at = format!(
        "2026-01-01T{:02}:{:02}:{:02}.{:03}",
        number / 3600 % 24,
        number / 60 % 60,
        number % 60,
        dice.below(1000)
    );
    let zone = if dice.below(20) == 0 { "+00:00" } else { "Z" };
    let head = format!(
        concat!(
            r#""messageId":"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}","userId":"u{:08}","anonymousId":"an-{:016x}","#,
            r#""timestamp":"{}{}","sentAt":"{}Z","context":{{"ip":"10.{}.{}.{}","#,
            r#""userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36","#,
            r#""library":{{"name":"analytics.js","version":"2.11.1"}}}}"#
        ),
        dice.below(1 << 31),
        dice.below(1 << 16),
        dice.below(1 << 12),
        dice.below(1 << 12),
        dice.below(1 << 31),
        customer,
        customer * 0x9e37_79b9,
        at,
        zone,
        at,
        dice.below(256),
        dice.below(256),
        dice.below(256),
    );
    let kind = dice.below(100);
    if kind >= 90 {
        return format!(
            concat!(
                r#"{{"type":"identify",{},"traits":{{"email":"  Ada.Keller{}@Example.COM ","phone":"+49 30 {:07}","#,
                r#""firstName":"Ada","lastName":"Keller","city":"Oslo","plan":"pro","marketingOptIn":{}}}}}"#
            ),
            head,
            customer,
            dice.below(10_000_000),
            dice.below(2) == 0,
        );
    }
    let (product, cents, quantity) = (dice.below(20_000), 199 + dice.below(30_000), 1 + dice.below(3));
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    let line = format!(
        r#""product_id":"p-{product:06}","category":"outdoor","price":{price},"quantity":{quantity}"#
    );
    let (name, properties) = match kind {
        0..=69 => ("Product Viewed", format!(r#"{line},"currency":"EUR""#)),
        70..=84 => ("Product Added", format!(r#"{line},"currency":"EUR""#)),
        // The shop's contract wants lines and a total where the peer job has neither.
        _ => (
            "Order Completed",
            format!(
                r#""order_id":"o-{:012x}","total":{price},"currency":"EUR","products":[{{{line}}}]"#,
                dice.below(1 << 31)
            ),
        ),
    };
    format!(r#"{{"type":"track","event":"{name}",{head},"properties":{{{properties}}}}}"#)
}

fn events() -> Vec<Vec<u8>> {
    let mut dice = Dice(1);
    (0..u64::from(EVENTS)).map(|number| event(&mut dice, number).into_bytes()).collect()
}

/// A JSON value in the contract's type of it; numbers as text, where the contract wants that.
fn avro_value(schema: &Schema, json: &Json) -> Value {
    match (schema, json) {
        (Schema::Union(_), Json::Null) => Value::Union(0, Value::Null.into()),
        (Schema::Union(union), json) => Value::Union(1, avro_value(&union.variants()[1], json).into()),
        (Schema::String, Json::String(text)) => Value::String(text.clone()),
        (Schema::String, json) => Value::String(json.to_string()),
        (Schema::Int, json) => Value::Int(i32::try_from(json.as_i64().unwrap()).unwrap()),
        (Schema::Map(map), Json::Object(members)) => {
            let entry = |(name, json): (&String, &Json)| (name.clone(), avro_value(&map.types, json));
            Value::Map(members.iter().map(entry).collect())
        }
        (Schema::Map(_), _) => Value::Map([].into()),
        // Lines of orders are left out: they are of a type that stands elsewhere in the schema.
        (Schema::Array(_), _) => Value::Array(Vec::new()),
        (Schema::Record(record), json) => {
            let fields = record.fields.iter();
            Value::Record(
                fields
                    .map(|field| (field.name.clone(), avro_value(&field.schema, &json[&field.name])))
                    .collect(),
            )
        }
        (schema, json) => panic!("{json} is no {schema:?}"),
    }
}

/// The same events in the wire format.
fn avro_events() -> Vec<Vec<u8>> {
    let schema = Schema::parse_str(BEHAVIOUR_EVENT.schema).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let encode = |event: Vec<u8>| {
        let mut event: Json = serde_json::from_slice(&event).unwrap();
        let properties = event["properties"].take();
        for name in ["order_id", "total", "currency"] {
            event[name] = properties[name].clone();
        }
        if properties["product_id"].is_string() {
            event["product"] = properties;
        }
        let mut value = vec![0];
        value.extend_from_slice(&BEHAVIOUR_EVENT.builtin_id().0.to_be_bytes());
        value.extend(writer.write_value_to_vec(avro_value(&schema, &event)).unwrap());
        value
    };
    events().into_iter().map(encode).collect()
}

fn table() -> TopicTable {
    let mut table = TopicTable::new();
    for name in ["raw", "dlq.shop", "customer.events", "customer.unattributed"] {
        let cleanup = Cleanup::Delete { retention_ms: 1 };
        table.add(TopicSpec { name: name.to_owned(), partitions: 4, cleanup });
    }
    table
}

fn bench(c: &mut Criterion) {
    let events = events();
    let bytes: usize = events.iter().map(Vec::len).sum();
    let mut group = c.benchmark_group(format!("ingest/{} bytes", bytes / events.len()));
    group.throughput(Throughput::Elements(u64::from(EVENTS)));

    let spec = SourceSpec::new("shop", "raw", Mapping::Segment);
    let mut scratch = Scratch::default();
    group.bench_function("map", |b| {
        b.iter(|| {
            for value in &events {
                let raw =
                    RawRecord { value: Some(value), partition: 0, offset: 0, arrival: 1_767_225_600_000 };
                let mut sink = |mapped: Mapped<'_>| {
                    black_box(&mapped);
                };
                let verdict = map(&spec, &KeySecret::PUBLISHED, &raw, &mut scratch, &mut sink);
                assert!(matches!(verdict, Verdict::Events { count: 1, amounts_dropped: false }));
            }
        });
    });

    let avro = avro_events();
    let bytes: usize = avro.iter().map(Vec::len).sum();
    let avro_spec = SourceSpec { format: Format::Avro, ..spec.clone() };
    let mut text = String::new();
    group.bench_function(format!("avro to text/{} bytes", bytes / avro.len()), |b| {
        b.iter(|| {
            for value in &avro {
                transcode(&avro_spec, Some(value), None, &BuiltinSchemas, &mut text).unwrap();
                black_box(&text);
            }
        });
    });

    for (name, spec, events, arrival) in [
        ("whole", &spec, &events, None),
        ("whole, arrival from a field", &spec, &events, Some("sentAt")),
        ("whole, of avro", &avro_spec, &avro, None),
    ] {
        let mut source = spec.clone();
        source.arrival = arrival.map(|path| path.parse().unwrap());
        let table = table();
        let topic = table.find("raw").unwrap();
        let settings = IngestSettings {
            sources: vec![source],
            secret: KeySecret::PUBLISHED,
            schemas: SchemaIds::builtin(),
            source_schemas: Arc::new(BuiltinSchemas),
            clock: Clock::Wall,
            inputs: vec![TopicPartition { topic, partition: 0 }],
        };
        let mut task = IngestTask::new(settings, &table).unwrap();
        let mut step = Step::new();
        let headers = Headers::default();
        group.bench_function(name, |b| {
            b.iter_batched(
                || (),
                |()| {
                    step.clear();
                    for (offset, value) in (0u64..).zip(events) {
                        let record = Record {
                            topic,
                            partition: 0,
                            offset: Offset(offset),
                            append_time: 1_767_225_600_000,
                            key: None,
                            value: Some(value),
                            headers: &headers,
                        };
                        task.process(&record, &mut step).unwrap();
                    }
                    task.committed();
                    assert_eq!(step.outbox.len(), events.len());
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Foreign payloads, by the mappings that come with the program: from the payload to the canonical record.
fn foreign(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/mappings");
    let mut group = c.benchmark_group("foreign");
    for (mapping, sample) in [
        ("hubspot_webhook", "creation"),
        ("hubspot_contact", "contact"),
        ("salesforce_contact", "create"),
        ("debezium_customers", "update"),
        ("shopify_product", "update"),
        ("shopify_order", "create"),
    ] {
        let text = fs::read_to_string(folder.join(format!("{mapping}.yaml"))).unwrap();
        let foreign = Foreign::new(&serde_saphyr::from_str(&text).unwrap()).unwrap();
        // As a system sends it, without white space.
        let payload = fs::read_to_string(folder.join(format!("{mapping}/{sample}.json"))).unwrap();
        let payload = serde_json::from_str::<Json>(&payload).unwrap().to_string();
        let via = Some(Arc::new(foreign));
        let form = via.as_ref().map_or(Mapping::Contact, |foreign| foreign.to());
        let spec = SourceSpec { via, ..SourceSpec::new("crm", "raw", form) };
        let mut scratch = Scratch::default();
        let raw = RawRecord {
            value: Some(payload.as_bytes()),
            partition: 0,
            offset: 0,
            arrival: 1_798_761_600_000,
        };
        let mut sink = |mapped: Mapped<'_>| {
            black_box(&mapped);
        };
        group.bench_function(format!("{mapping}/{} bytes, brought", payload.len()), |b| {
            b.iter(|| black_box(spec.via.as_ref().unwrap().bring(&payload).unwrap()));
        });
        group.bench_function(format!("{mapping}/{} bytes, whole", payload.len()), |b| {
            b.iter(|| {
                let verdict = map(&spec, &KeySecret::PUBLISHED, &raw, &mut scratch, &mut sink);
                assert!(matches!(verdict, Verdict::Events { count: 1, .. } | Verdict::Item { .. }));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench, foreign);
criterion_main!(benches);
