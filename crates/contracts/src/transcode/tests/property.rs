//! Held against the `apache-avro` crate, whose general path gives a tree of values.

use super::super::*;
use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A type and a value of it. Named types get their names later, since two may not share one.
type Typed = (Json, Value);

fn primitive() -> impl Strategy<Value = Typed> {
    prop_oneof![
        Just((json!("null"), Value::Null)),
        any::<bool>().prop_map(|value| (json!("boolean"), Value::Boolean(value))),
        any::<i32>().prop_map(|value| (json!("int"), Value::Int(value))),
        any::<i64>().prop_map(|value| (json!("long"), Value::Long(value))),
        any::<f32>().prop_map(|value| (json!("float"), Value::Float(value))),
        any::<f64>().prop_map(|value| (json!("double"), Value::Double(value))),
        ".{0,12}".prop_map(|value| (json!("string"), Value::String(value))),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|value| (json!("bytes"), Value::Bytes(value))),
        prop::collection::vec(any::<u8>(), 1..9).prop_map(|bytes| {
            (json!({"type": "fixed", "name": "", "size": bytes.len()}), Value::Fixed(bytes.len(), bytes))
        }),
        (0u32..3).prop_map(|at| {
            let symbols = ["RED", "GREEN", "BLUE"];
            let value = Value::Enum(at, symbols[at as usize].to_owned());
            (json!({"type": "enum", "name": "", "symbols": symbols}), value)
        }),
    ]
}

fn any_typed() -> impl Strategy<Value = Typed> {
    primitive().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            // Items of one type: the first one's, with its value again and again.
            (inner.clone(), 0usize..4).prop_map(|((ty, value), count)| {
                (json!({"type": "array", "items": ty}), Value::Array(vec![value; count]))
            }),
            (inner.clone(), prop::collection::vec(".{0,6}", 0..4)).prop_map(|((ty, value), keys)| {
                let entries = keys.into_iter().map(|key| (key, value.clone())).collect();
                (json!({"type": "map", "values": ty}), Value::Map(entries))
            }),
            prop::collection::vec(inner.clone(), 0..5).prop_map(|members| {
                let name = |at: usize| format!("field_{at}");
                let fields = members.iter().enumerate();
                let fields: Vec<Json> =
                    fields.map(|(at, (ty, _))| json!({"name": name(at), "type": ty})).collect();
                let values = members.into_iter().enumerate().map(|(at, (_, value))| (name(at), value));
                let values = Value::Record(values.collect());
                (json!({"type": "record", "name": "", "fields": fields}), values)
            }),
            (inner, any::<bool>()).prop_filter_map("no union of null with null", |((ty, value), null)| {
                let union = matches!(value, Value::Null | Value::Union(..));
                let value =
                    if null { Value::Union(0, Value::Null.into()) } else { Value::Union(1, value.into()) };
                (!union).then(|| (json!(["null", ty]), value))
            }),
        ]
    })
}

/// Gives every named type a name of its own.
fn name_types(schema: &mut Json, next: &mut u32) {
    match schema {
        Json::Array(branches) => branches.iter_mut().for_each(|branch| name_types(branch, next)),
        Json::Object(object) => {
            if object.get("name").is_some_and(|name| name == "") {
                object.insert("name".to_owned(), json!(format!("Type{next}")));
                *next += 1;
            }
            object.values_mut().for_each(|value| name_types(value, next));
        }
        _ => {}
    }
}

fn number(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or(Json::Null)
}

fn as_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Long(value) => json!(value),
        // By its text: that of a float is shorter than that of the double of the same value, and the parser of JSON
        // may be off by the last bit.
        Value::Float(value) => number(&format!("{value:?}")),
        Value::Double(value) => number(&format!("{value:?}")),
        Value::String(text) | Value::Enum(_, text) => json!(text),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => {
            json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Value::Union(_, value) => as_json(value),
        Value::Array(items) => items.iter().map(as_json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), as_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Record(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), as_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => panic!("not generated: {other:?}"),
    }
}

fn encode(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn transcode(schema: &str, datum: &[u8]) -> Result<String, TranscodeError> {
    let mut out = String::new();
    WriterSchema::parse(schema, &[]).unwrap().to_json(datum, 1 << 20, &mut out).map(|()| out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_text_says_what_the_library_reads((mut schema, value) in any_typed()) {
        name_types(&mut schema, &mut 0);
        let schema = schema.to_string();
        let datum = encode(&schema, value.clone());
        let text = transcode(&schema, &datum).unwrap();
        let read: Json = serde_json::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?;
        prop_assert_eq!(read, as_json(&value), "{} {}", schema, text);
    }

    #[test]
    fn a_damaged_datum_is_text_or_refused(
        (mut schema, value) in any_typed(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        name_types(&mut schema, &mut 0);
        let schema = schema.to_string();
        let mut datum = encode(&schema, value);
        for (at, byte) in changes {
            if !datum.is_empty() {
                let at = at.index(datum.len());
                datum[at] = byte;
            }
        }
        datum.truncate(cut.index(datum.len() + 1).max(datum.len() / 2));
        if let Ok(text) = transcode(&schema, &datum) {
            prop_assert!(serde_json::from_str::<Json>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn any_bytes_under_our_contracts_are_text_or_refused(datum in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..10) {
        let contract = crate::catalogue::ALL[at];
        if let Ok(text) = transcode(contract.schema, &datum) {
            prop_assert!(serde_json::from_str::<Json>(&text).is_ok(), "{}", text);
        }
    }
}
