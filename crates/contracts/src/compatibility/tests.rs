use super::*;
use crate::catalogue;
use apache_avro::schema_compatibility::{Compatibility as Theirs, SchemaCompatibility};
use proptest::prelude::*;
use serde_json::{Value, json};

const FULL: Compatibility = Compatibility::FullTransitive;
const BACKWARD: Compatibility = Compatibility::BackwardTransitive;

/// A record with these fields.
fn record(fields: &Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

#[track_caller]
fn check(level: Compatibility, old: &Value, new: &Value, expected: &[&str]) {
    let found = breaking(&old.to_string(), &new.to_string(), level).unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{old} {new}");
}

/// A change of one field's type, fully compatible or not.
#[track_caller]
fn check_type(old: &Value, new: &Value, expected: &[&str]) {
    let field = |ty: &Value| record(&json!([{"name": "a", "type": ty}]));
    check(FULL, &field(old), &field(new), expected);
}

#[test]
fn fields_come_and_go_with_defaults_only() {
    let old = record(&json!([{"name": "a", "type": "int"}]));
    let with = record(&json!([{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0}]));
    let without = record(&json!([{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]));
    check(FULL, &old, &with, &[]);
    check(FULL, &with, &old, &[]);
    check(BACKWARD, &without, &old, &[]);
    let added = "b: a new field without a default: the new schema can't read old records";
    check(FULL, &old, &without, &[added]);
    check(BACKWARD, &old, &without, &[added]);
    let removed =
        "b: a field without a default was removed: readers with the old schema can't read new records";
    check(FULL, &without, &old, &[removed]);
}

#[test]
fn a_renamed_field_needs_an_alias() {
    let old = record(&json!([{"name": "a", "type": "int"}]));
    let new = record(&json!([{"name": "b", "aliases": ["a"], "type": "int"}]));
    check(BACKWARD, &old, &new, &[]);
    let removed =
        "a: a field without a default was removed: readers with the old schema can't read new records";
    check(FULL, &old, &new, &[removed]);
}

#[test]
fn types_may_widen_for_the_reader_alone() {
    let both = "a: type changed from int to string: neither schema can read the other's records";
    check_type(&json!("int"), &json!("string"), &[both]);
    let old = "a: type changed from int to long: readers with the old schema can't read new records";
    check_type(&json!("int"), &json!("long"), &[old]);
    let new = "a: type changed from double to int: the new schema can't read old records";
    check_type(&json!("double"), &json!("int"), &[new]);
    check_type(&json!("string"), &json!("bytes"), &[]);
}

#[test]
fn a_logical_type_that_changes_is_named_though_every_byte_can_be_read() {
    let logical = |word: &str| json!({"type": "long", "logicalType": word});
    let changed = "a: meaning changed from timestamp-millis to timestamp-micros: neither schema can read the other's records";
    check_type(&logical("timestamp-millis"), &logical("timestamp-micros"), &[changed]);
    let dropped =
        "a: meaning changed from timestamp-millis to long: neither schema can read the other's records";
    check_type(&logical("timestamp-millis"), &json!("long"), &[dropped]);
    let decimal =
        |scale: u32| json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale});
    let scaled =
        "a: meaning changed from decimal(9, 2) to decimal(9, 4): neither schema can read the other's records";
    check_type(&decimal(2), &decimal(4), &[scaled]);
}

#[test]
fn unions_may_grow_for_the_reader_alone() {
    let old = "a: string is allowed now: readers with the old schema can't read new records";
    check_type(&json!(["null", "int"]), &json!(["null", "int", "string"]), &[old]);
    let new = "a: null is no longer allowed: the new schema can't read old records";
    check_type(&json!(["null", "int"]), &json!(["int"]), &[new]);
    let optional = "a: null is allowed now: readers with the old schema can't read new records";
    check_type(&json!("int"), &json!(["null", "int"]), &[optional]);
    check_type(&json!(["null", "int"]), &json!(["int", "null"]), &[]);
    let widened = "a: type changed from int to long: readers with the old schema can't read new records";
    check_type(
        &json!(["null", "int"]),
        &json!(["null", "long"]),
        &["a: long is allowed now: readers with the old schema can't read new records"],
    );
    check_type(&json!("int"), &json!("long"), &[widened]);
}

#[test]
fn symbols_come_and_go_with_a_default_only() {
    let symbols = |list: &[&str], default: Option<&str>| {
        let mut schema = json!({"type": "enum", "name": "E", "symbols": list});
        if let Some(default) = default {
            schema["default"] = default.into();
        }
        schema
    };
    let removed =
        "a: symbols removed from an enum without a default: B, C: the new schema can't read old records";
    check_type(&symbols(&["A", "B", "C"], None), &symbols(&["A"], None), &[removed]);
    let added = "a: symbols added to an enum that had no default: B: readers with the old schema can't read new records";
    check_type(&symbols(&["A"], None), &symbols(&["A", "B"], None), &[added]);
    check_type(&symbols(&["A"], Some("A")), &symbols(&["B", "A"], Some("A")), &[]);
}

#[test]
fn names_and_sizes_count() {
    let fixed = |name: &str, size: u32| json!({"type": "fixed", "name": name, "size": size});
    let grown = "a: type changed from fixed F (2 bytes) to fixed F (3 bytes): neither schema can read the other's records";
    check_type(&fixed("F", 2), &fixed("F", 3), &[grown]);
    let inner = |name: &str| json!({"type": "record", "name": name, "fields": []});
    let renamed = "a: the record was X and is Y: neither schema can read the other's records";
    check_type(&inner("X"), &inner("Y"), &[renamed]);
    check_type(&json!({"type": "record", "name": "n.X", "fields": []}), &inner("X"), &[]);
}

#[test]
fn changes_are_named_at_every_depth_once() {
    let line = |ty: &str| json!({"type": "record", "name": "Line", "fields": [{"name": "n", "type": ty}]});
    let old = record(&json!([{"name": "lines", "type": {"type": "array", "items": line("int")}},
        {"name": "by", "type": {"type": "map", "values": "Line"}}]));
    let new = record(&json!([{"name": "lines", "type": {"type": "array", "items": line("string")}},
        {"name": "by", "type": {"type": "map", "values": "Line"}}]));
    check(
        FULL,
        &old,
        &new,
        &["lines[].n: type changed from int to string: neither schema can read the other's records"],
    );
}

#[test]
fn a_schema_that_contains_itself_ends() {
    let list = |ty: &str| {
        record(&json!([{"name": "v", "type": ty}, {"name": "next", "type": ["null", "R"], "default": null}]))
    };
    check(FULL, &list("int"), &list("int"), &[]);
    check(
        BACKWARD,
        &list("long"),
        &list("int"),
        &["v: type changed from long to int: the new schema can't read old records"],
    );
}

#[test]
fn what_is_no_schema_says_which() {
    let error = breaking("\"int\"", "{", FULL).unwrap_err();
    assert_eq!(error.which, "new");
    assert_eq!(breaking("nothing", "\"int\"", FULL).unwrap_err().which, "old");
}

/// Changes one thing of a schema, somewhere.
fn mutate(schema: &mut Value, countdown: &mut usize, how: u8) {
    match schema {
        Value::Array(items) => {
            for item in items.iter_mut() {
                mutate(item, countdown, how);
            }
        }
        Value::Object(object) => {
            if *countdown == 0 && object.contains_key("type") {
                let field = object.contains_key("doc") && !object.contains_key("fields");
                match how {
                    0 if field => object.insert("name".to_owned(), json!("renamed")),
                    1 => object.remove("default"),
                    2 if field => object.insert("type".to_owned(), json!("double")),
                    3 if field => object.insert("type".to_owned(), json!(["null", "long"])),
                    4 => object.get_mut("symbols").and_then(Value::as_array_mut).and_then(Vec::pop),
                    5 => object.get_mut("fields").and_then(Value::as_array_mut).and_then(Vec::pop),
                    _ => None,
                };
                *countdown = usize::MAX;
                return;
            }
            *countdown = countdown.saturating_sub(usize::from(object.contains_key("type")));
            object.values_mut().for_each(|value| mutate(value, countdown, how));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The library stops at its first finding; what we let pass, it lets pass, and what it refuses, we name.
    #[test]
    fn nothing_passes_that_the_library_refuses(at in 0usize..10, place in 0usize..60, how in 0u8..6, back in any::<bool>()) {
        let old = catalogue::ALL[at].schema.to_owned();
        let mut new: Value = serde_json::from_str(&old).unwrap();
        mutate(&mut new, &mut { place }, how);
        let new = new.to_string();
        let (old, new) = if back { (new, old) } else { (old, new) };
        let (Ok(written), Ok(read)) = (Schema::parse_str(&old), Schema::parse_str(&new)) else { return Ok(()) };
        let ours = breaking(&old, &new, BACKWARD).unwrap();
        let theirs = SchemaCompatibility::can_read(&written, &read);
        prop_assert!(theirs.is_ok() || !ours.is_empty(), "{:?}", theirs);
        prop_assert!(!ours.is_empty() || matches!(theirs, Ok(Theirs::Full)), "{:?} {} {}", theirs, old, new);
    }
}
