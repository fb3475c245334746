//! Generated code against the `apache-avro` crate, on values made from the schemas themselves.

// Helpers of tests, which clippy takes for code.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::Name;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use catchment_contracts::{
    CampaignDecision, CampaignTrigger, CatalogItem, CustomerEvent, CustomerMerge, CustomerProfile,
    DecodeError, InboxMessage, NodeState, Watermark, catalogue,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

const HOT: [&str; 9] = [
    "customer_event",
    "customer_profile",
    "node_state",
    "campaign_trigger",
    "campaign_decision",
    "catalog_item",
    "watermark",
    "inbox_message",
    "customer_merge",
];

/// Reads a datum with generated code and writes it again.
fn reencode(contract: &str, datum: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    match contract {
        "customer_event" => CustomerEvent::decode(datum)?.encode(&mut out),
        "customer_profile" => CustomerProfile::decode(datum)?.encode(&mut out),
        "node_state" => NodeState::decode(datum)?.encode(&mut out),
        "campaign_trigger" => CampaignTrigger::decode(datum)?.encode(&mut out),
        "campaign_decision" => CampaignDecision::decode(datum)?.encode(&mut out),
        "catalog_item" => CatalogItem::decode(datum)?.encode(&mut out),
        "watermark" => Watermark::decode(datum)?.encode(&mut out),
        "inbox_message" => InboxMessage::decode(datum)?.encode(&mut out),
        "customer_merge" => CustomerMerge::decode(datum)?.encode(&mut out),
        other => panic!("{other} is not hot"),
    }
    Ok(out)
}

fn schema(contract: &str) -> Schema {
    Schema::parse_str(catalogue::find(contract).unwrap().schema).unwrap()
}

/// Any value of a schema. Integers are often small, so that counts and lengths of one byte are met too.
fn any_value(schema: &Schema, named: &mut HashMap<Name, Schema>) -> BoxedStrategy<Value> {
    let long = prop_oneof![any::<i64>(), -70..70_i64, Just(i64::MIN), Just(i64::MAX)];
    let int = prop_oneof![any::<i32>(), -70..70_i32, Just(i32::MIN), Just(i32::MAX)];
    if let Some(name) = schema.name()
        && !matches!(schema, Schema::Ref { .. })
    {
        named.insert(name.clone(), schema.clone());
    }
    match schema {
        Schema::Null => Just(Value::Null).boxed(),
        Schema::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Schema::Int => int.prop_map(Value::Int).boxed(),
        Schema::Long => long.prop_map(Value::Long).boxed(),
        Schema::TimestampMillis => long.prop_map(Value::TimestampMillis).boxed(),
        Schema::Double => proptest::num::f64::ANY.prop_map(Value::Double).boxed(),
        Schema::String => any::<String>().prop_map(Value::String).boxed(),
        Schema::Bytes => vec(any::<u8>(), 0..100).prop_map(Value::Bytes).boxed(),
        Schema::Fixed(fixed) => {
            let size = fixed.size;
            vec(any::<u8>(), size).prop_map(move |bytes| Value::Fixed(size, bytes)).boxed()
        }
        Schema::Enum(definition) => {
            let symbols = definition.symbols.clone();
            any::<Index>()
                .prop_map(move |index| {
                    let at = index.index(symbols.len());
                    Value::Enum(u32::try_from(at).unwrap(), symbols[at].clone())
                })
                .boxed()
        }
        Schema::Array(array) => vec(any_value(&array.items, named), 0..5).prop_map(Value::Array).boxed(),
        Schema::Union(union) => {
            let branches: Vec<_> = (0_u32..)
                .zip(union.variants())
                .map(|(index, branch)| {
                    any_value(branch, named)
                        .prop_map(move |value| Value::Union(index, Box::new(value)))
                        .boxed()
                })
                .collect();
            proptest::strategy::Union::new(branches).boxed()
        }
        Schema::Record(record) => {
            let names: Vec<String> = record.fields.iter().map(|field| field.name.clone()).collect();
            let values: Vec<_> = record.fields.iter().map(|field| any_value(&field.schema, named)).collect();
            values.prop_map(move |values| Value::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
        Schema::Ref { name } => {
            let definition = named.get(name).unwrap().clone();
            any_value(&definition, named)
        }
        other => panic!("hot contracts don't use {other:?}"),
    }
}

/// Calls `check` with many data of every hot contract, and something random beside each.
fn for_any_datum<S: Strategy>(
    extra: impl Fn() -> S,
    check: impl Fn(&str, &[u8], S::Value) -> Result<(), TestCaseError>,
) {
    for contract in HOT {
        let schema = schema(contract);
        let writer = GenericDatumWriter::builder(&schema).build().unwrap();
        let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
        let strategy = (any_value(&schema, &mut HashMap::new()), extra());
        TestRunner::new(config)
            .run(&strategy, |(value, extra)| {
                let datum = writer.write_value_to_vec(value).unwrap();
                check(contract, &datum, extra)
            })
            .unwrap_or_else(|error| panic!("{contract}: {error}"));
    }
}

#[test]
fn data_of_apache_avro_are_read_and_written_byte_by_byte_the_same() {
    for_any_datum(
        || Just(()),
        |contract, datum, ()| {
            prop_assert_eq!(reencode(contract, datum).unwrap(), datum);
            Ok(())
        },
    );
}

#[test]
fn a_datum_cut_short_or_continued_is_refused() {
    for_any_datum(any::<Index>, |contract, datum, cut| {
        prop_assert!(reencode(contract, &datum[..cut.index(datum.len())]).is_err());
        let longer = [datum, &[0]].concat();
        prop_assert!(reencode(contract, &longer).is_err());
        Ok(())
    });
}

/// A mutated datum is refused or read as something; what was read is then stable, and apache-avro reads it too.
#[test]
fn mutated_data_never_panic_and_never_lie() {
    let mutations = || vec((any::<Index>(), any::<u8>()), 1..6);
    for_any_datum(mutations, |contract, datum, mutations| {
        let mut mutated = datum.to_vec();
        for (at, byte) in mutations {
            let at = at.index(mutated.len());
            mutated[at] = byte;
        }
        if let Ok(read) = reencode(contract, &mutated) {
            prop_assert_eq!(&reencode(contract, &read).unwrap(), &read);
            let schema = schema(contract);
            let reader = GenericDatumReader::builder(&schema).build().unwrap();
            let writer = GenericDatumWriter::builder(&schema).build().unwrap();
            let value = reader.read_value(&mut read.as_slice()).unwrap();
            prop_assert_eq!(writer.write_value_to_vec(value).unwrap(), read);
        }
        Ok(())
    });
}

#[test]
fn noise_never_panics() {
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&vec(any::<u8>(), 0..300), |noise| {
            for contract in HOT {
                let _ = reencode(contract, &noise);
            }
            Ok(())
        })
        .unwrap();
}
