//! Generated code against the `apache-avro` crate on the same record:
//! `cargo bench -p catchment-contracts --bench codec`.

// criterion's macro makes undocumented functions; a bench that can't start may as well panic.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use catchment_contracts::{CustomerEvent, CustomerProfile, catalogue};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

fn datum_of(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

/// Measures a record by generated code and by apache-avro's `Value`.
macro_rules! compare {
    ($criterion:expr, $record:ident, $contract:literal, $instance:expr) => {{
        let instance = $instance;
        let datum = datum_of(|out| instance.encode(out));
        let schema = Schema::parse_str(catalogue::find($contract).unwrap().schema).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let writer = GenericDatumWriter::builder(&schema).build().unwrap();
        let value = reader.read_value(&mut datum.as_slice()).unwrap();
        let mut out = Vec::with_capacity(8 * 1024);

        let mut group = $criterion.benchmark_group($contract);
        group.throughput(Throughput::Bytes(datum.len() as u64));
        group.bench_function("decode/generated", |b| b.iter(|| $record::decode(black_box(&datum)).unwrap()));
        group.bench_function("decode/apache-avro Value", |b| {
            b.iter(|| reader.read_value(&mut black_box(datum.as_slice())).unwrap());
        });
        group.bench_function("encode/generated", |b| {
            b.iter(|| {
                out.clear();
                black_box(&instance).encode(&mut out);
                black_box(&out);
            });
        });
        group.bench_function("encode/apache-avro Value", |b| {
            b.iter(|| {
                out.clear();
                writer.write_value_ref(&mut out, black_box(&value)).unwrap();
                black_box(&out);
            });
        });
        group.finish();
    }};
}

/// `CustomerEvent` as serde sees it, owned, as one would write it by hand. apache-avro asks for the names of the schema.
#[derive(Serialize, Deserialize)]
#[serde(rename = "CustomerEvent")]
struct SerdeEvent {
    event_id: String,
    source: String,
    source_partition: i32,
    source_offset: i64,
    r#type: SerdeEventType,
    event: Option<String>,
    occurred_at: i64,
    received_at: i64,
    identifiers: Vec<SerdeIdentifier>,
    traits: Vec<SerdeNothing>,
    consents: Vec<SerdeNothing>,
    currency: Option<String>,
    items: Vec<SerdeItem>,
    order: Option<SerdeNothing>,
    survey: Option<SerdeNothing>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename = "EventType")]
enum SerdeEventType {
    Identify,
    Track,
    Page,
    Screen,
    Group,
    Alias,
    Contact,
}

/// Stands for records that the measured event does not have.
#[derive(Serialize, Deserialize)]
struct SerdeNothing {}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename = "IdentifierType")]
enum SerdeIdentifierType {
    UserId,
    CrmId,
    Email,
    Phone,
    AnonymousId,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Identifier")]
struct SerdeIdentifier {
    r#type: SerdeIdentifierType,
    value: String,
    #[serde(with = "apache_avro::serde::fixed")]
    key: [u8; 16],
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "LineItem")]
struct SerdeItem {
    product_id: String,
    sku: Option<String>,
    category: Option<String>,
    variant: Option<String>,
    price: Option<i64>,
    quantity: i32,
}

fn serde_event(criterion: &mut Criterion) {
    let datum = datum_of(|out| common::product_viewed().encode(out));
    let schema = Schema::parse_str(catalogue::CUSTOMER_EVENT.schema).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let event: SerdeEvent = reader.read_deser(&mut datum.as_slice()).unwrap();
    assert_eq!(writer.write_ser_to_vec(&event).unwrap(), datum);
    let mut out = Vec::with_capacity(1024);
    criterion.bench_function("customer_event/encode/apache-avro serde", |b| {
        b.iter(|| {
            out.clear();
            writer.write_ser(&mut out, black_box(&event)).unwrap();
            black_box(&out);
        });
    });
    criterion.bench_function("customer_event/decode/apache-avro serde", |b| {
        b.iter(|| reader.read_deser::<SerdeEvent>(&mut black_box(datum.as_slice())).unwrap());
    });
}

fn codec(criterion: &mut Criterion) {
    compare!(criterion, CustomerEvent, "customer_event", common::product_viewed());
    compare!(criterion, CustomerProfile, "customer_profile", common::customer_profile());
}

criterion_group!(benches, codec, serde_event);
criterion_main!(benches);
