mod property;

use super::*;
use crate::avro;
use serde_json::json;

/// What becomes of a datum under a schema: text, or what is wrong.
fn told(schema: &serde_json::Value, datum: &[u8]) -> String {
    told_with(schema, &[], datum, 10_000)
}

fn told_with(schema: &serde_json::Value, references: &[String], datum: &[u8], limit: usize) -> String {
    let schema = WriterSchema::parse(&schema.to_string(), references).unwrap();
    let mut out = "before".to_owned();
    match schema.to_json(datum, limit, &mut out) {
        Ok(()) => out.strip_prefix("before").unwrap().to_owned(),
        Err(error) => {
            assert_eq!(out, "before");
            error.to_string()
        }
    }
}

#[track_caller]
fn check(schema: &serde_json::Value, datum: &[u8], expected: &str) {
    assert_eq!(told(schema, datum), expected, "{schema} {datum:?}");
}

fn long(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    avro::write_long(&mut out, value);
    out
}

fn logical(base: &str, logical: &str) -> serde_json::Value {
    json!({"type": base, "logicalType": logical})
}

#[test]
fn simple_values() {
    check(&json!("null"), &[], "null");
    check(&json!("boolean"), &[1], "true");
    check(&json!("int"), &long(-7), "-7");
    check(&json!("long"), &long(i64::MIN), "-9223372036854775808");
    check(&json!("float"), &119.95_f32.to_le_bytes(), "119.95");
    check(&json!("double"), &1e300_f64.to_le_bytes(), "1e300");
    check(&json!("double"), &f64::NAN.to_le_bytes(), "null");
    check(&json!("string"), b"\x0ea\"\\\n\x01\xc3\xa9", "\"a\\\"\\\\\\n\\u0001\u{e9}\"");
    check(&json!("bytes"), &[4, 0x0f, 0xa0], "\"0fa0\"");
    check(&json!({"type": "fixed", "name": "F", "size": 2}), &[0xff, 0], "\"ff00\"");
    check(&json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), &[2], "\"B\"");
    check(&json!(["null", "string"]), &[0], "null");
    check(&json!(["null", "string"]), &[2, 2, b'x'], "\"x\"");
}

#[test]
fn containers() {
    let array = json!({"type": "array", "items": "int"});
    check(&array, &[0], "[]");
    check(&array, &[4, 2, 4, 1, 2, 6, 0], "[1,2,3]");
    let map = json!({"type": "map", "values": ["null", "int"]});
    check(&map, &[4, 2, b'a', 2, 8, 2, b'b', 0, 0], "{\"a\":4,\"b\":null}");
    let record = json!({"type": "record", "name": "R", "fields": [
        {"name": "a", "type": "int"}, {"name": "b", "type": {"type": "record", "name": "Empty", "fields": []}}]});
    check(&record, &[2], "{\"a\":1,\"b\":{}}");
}

#[test]
fn times() {
    // 2026-03-05T09:00:00.123456789Z
    let nanos = 1_772_701_200_123_456_789;
    for (name, value, expected) in [
        ("timestamp-millis", nanos / 1_000_000, "\"2026-03-05T09:00:00.123Z\""),
        ("timestamp-micros", nanos / 1_000, "\"2026-03-05T09:00:00.123456Z\""),
        ("timestamp-nanos", nanos, "\"2026-03-05T09:00:00.123456789Z\""),
        ("timestamp-millis", 0, "\"1970-01-01T00:00:00.000Z\""),
        ("timestamp-millis", i64::MAX, "9223372036854775807"),
        ("local-timestamp-millis", nanos / 1_000_000, "\"2026-03-05T09:00:00.123\""),
        ("local-timestamp-micros", -1, "\"1969-12-31T23:59:59.999999\""),
        ("time-micros", 3_723_000_004, "\"01:02:03.000004\""),
        ("time-micros", 86_400_000_000, "86400000000"),
        ("unknown-type", 5, "5"),
    ] {
        check(&logical("long", name), &long(value), expected);
    }
    check(&logical("int", "date"), &long(20_517), "\"2026-03-05\"");
    check(&logical("int", "date"), &long(i32::MAX.into()), "2147483647");
    check(&logical("int", "time-millis"), &long(86_399_999), "\"23:59:59.999\"");
}

#[test]
fn decimals_keep_all_their_digits() {
    let schema = json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2});
    for (bytes, expected) in [
        (&[][..], "0.00"),
        (&[0x2e, 0xdb], "119.95"),
        (&[0xff], "-0.01"),
        (&[0xff; 40], "-0.01"),
        (&[0x80], "-1.28"),
        (&[0, 0x80], "1.28"),
        (&[0x7f; 16], "1694739631331732739601904907601355406.07"),
    ] {
        check(&schema, &[long(i64::try_from(bytes.len()).unwrap()), bytes.to_vec()].concat(), expected);
    }
    check(&schema, &[vec![34], vec![0x7f; 17]].concat(), "a decimal of more than 16 bytes at byte 18");
    let fixed = json!({"type": "fixed", "name": "D", "size": 3, "logicalType": "decimal", "precision": 5});
    check(&fixed, &[0, 1, 0], "256");
    let scaled = json!({"type": "bytes", "logicalType": "decimal", "precision": 100, "scale": 90});
    let error = WriterSchema::parse(&scaled.to_string(), &[]).unwrap_err();
    assert!(error.to_string().contains("90 digits behind the point"), "{error}");
}

#[test]
fn uuids() {
    let bytes: Vec<u8> = (0..16).collect();
    let fixed = json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"});
    check(&fixed, &bytes, "\"00010203-0405-0607-0809-0a0b0c0d0e0f\"");
    check(&logical("string", "uuid"), &[2, b'x'], "\"x\"");
}

#[test]
fn a_type_is_used_again_by_name_and_may_contain_itself() {
    let list = json!({"type": "record", "name": "List", "namespace": "n", "fields": [
        {"name": "v", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "w", "type": "E"},
        {"name": "next", "type": ["null", "n.List"]}]});
    check(
        &list,
        &[0, 0, 2, 0, 0, 0],
        "{\"v\":\"A\",\"w\":\"A\",\"next\":{\"v\":\"A\",\"w\":\"A\",\"next\":null}}",
    );
    let deep: Vec<u8> = [0, 0, 2].repeat(100_000);
    check(&list, &deep, "values nested deeper than 64 at byte 192");
}

#[test]
fn types_of_other_schemas_are_found() {
    let order = json!({"type": "record", "name": "Order", "fields": [{"name": "line", "type": "shop.Line"}]});
    let line = json!({"type": "record", "name": "Line", "namespace": "shop", "fields": [
        {"name": "sku", "type": "shop.Sku"}]});
    let sku = json!({"type": "enum", "name": "Sku", "namespace": "shop", "symbols": ["A"]});
    let references = [sku.to_string(), line.to_string()];
    assert_eq!(told_with(&order, &references, &[0], 100), "{\"line\":{\"sku\":\"A\"}}");
    let error = WriterSchema::parse(&order.to_string(), &references[1..]).unwrap_err();
    assert!(matches!(error, SchemaError::Syntax(_) | SchemaError::Unsupported(_)), "{error}");
}

#[test]
fn what_is_no_datum_is_refused_with_its_place() {
    let record = json!({"type": "record", "name": "R", "fields": [
        {"name": "a", "type": "string"}, {"name": "b", "type": ["null", "int"]}]});
    check(&record, &[2, b'x', 0, 7], "bytes are left after the datum at byte 3");
    check(&record, &[2, b'x'], "the datum ends too early at byte 2");
    check(&record, &[2, 0xff, 0], "a string is not UTF-8 at byte 2");
    check(&record, &[40, b'x', 0], "a length is negative or larger than the datum at byte 1");
    check(&record, &[2, b'x', 4], "a union has no branch of this index at byte 3");
    check(&record, &[2, b'x', 1], "a union has no branch of this index at byte 3");
    check(&json!("int"), &long(1 << 40), "an int lies outside 32 bits at byte 6");
    check(
        &json!({"type": "enum", "name": "E", "symbols": ["A"]}),
        &[2],
        "an enum has no symbol of this index at byte 1",
    );
}

#[test]
fn items_without_bytes_are_bounded_by_the_text_they_become() {
    let nulls = json!({"type": "array", "items": "null"});
    for count in [i64::MAX, i64::MIN + 1] {
        let mut datum = long(count);
        if count < 0 {
            datum.push(0);
        }
        assert!(told(&nulls, &datum).starts_with("more JSON than is allowed"), "{count}");
    }
    let names = json!({"type": "array", "items": {"type": "record", "name": "R", "fields": [
        {"name": "a_rather_long_name_for_nothing", "type": "null"}]}});
    assert!(told(&names, &long(1 << 40)).starts_with("more JSON"));
}

#[test]
fn a_text_up_to_the_limit_is_written() {
    let strings = json!({"type": "array", "items": "string"});
    let datum = [4, 2, b'a', 2, b'b', 0];
    assert_eq!(told_with(&strings, &[], &datum, 9), "[\"a\",\"b\"]");
    assert_eq!(told_with(&strings, &[], &datum, 2), "more JSON than is allowed at byte 3");
}

#[test]
fn what_is_no_schema_is_refused() {
    let parse = |text: &str| WriterSchema::parse(text, &[]).unwrap_err();
    assert!(matches!(parse("{"), SchemaError::Syntax(_)));
    assert!(matches!(parse("{\"type\":\"record\",\"name\":\"R\"}"), SchemaError::Syntax(_)));
    assert!(matches!(parse("\"Unknown\""), SchemaError::Syntax(_)));
    let large = format!("\"{}\"", "x".repeat(MAX_SCHEMA_BYTES));
    assert_eq!(parse(&large), SchemaError::TooLarge(MAX_SCHEMA_BYTES + 2));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(parse(&deep), SchemaError::Syntax(_)));
}
