//! The JSON Schemas of the sources against the lines of the example shop, whose faults are known.

// Helpers of tests, which clippy takes for code.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catchment_contracts::catalogue;
use jsonschema::Validator;
use serde_json::{Value, json};

/// The limit of a source; a schema can't say it.
const MAX_LINE: usize = 32_768;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/awesomeshoes/data")
}

fn form(name: &str) -> Value {
    let mut forms = catalogue::ALL.iter().flat_map(|contract| contract.json_forms);
    serde_json::from_str(forms.find(|form| form.name == name).unwrap().schema).unwrap()
}

fn validator(name: &str) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(&form(name)).unwrap()
}

/// A malformed line: its code, and the field that is at fault.
type Fault = (String, String);

fn faults(list: &Value) -> BTreeMap<u64, Fault> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|line| (line["line"].as_u64().unwrap(), (text(&line["code"]), text(&line["field"]))))
        .collect()
}

/// Checks all lines of a file: those in `faults` are refused, those in `either` not looked at, others valid.
fn check(file: &str, schema: &str, faults: &BTreeMap<u64, Fault>, either: &[u64]) {
    let validator = validator(schema);
    let bytes = fs::read(data().join(file)).unwrap();
    let mut refused = 0;
    for (number, line) in (1_u64..).zip(bytes.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n')) {
        let place = format!("{file}, line {number}");
        let parsed = serde_json::from_slice::<Value>(line);
        let valid = line.len() <= MAX_LINE && parsed.as_ref().is_ok_and(|line| validator.is_valid(line));
        match faults.get(&number) {
            None if either.contains(&number) => {}
            None => assert!(
                valid,
                "{place}: {:?}",
                validator.validate(&parsed.unwrap()).map_err(|e| e.to_string())
            ),
            Some((code, field)) => {
                refused += 1;
                assert!(!valid, "{place} should be refused");
                // What the schema itself refuses, it refuses at the right place and for nothing else.
                if !field.is_empty() {
                    check_place(&place, &validator, &parsed.unwrap(), code, field);
                }
            }
        }
    }
    assert_eq!(refused, faults.len(), "{file}");
}

fn check_place(place: &str, validator: &Validator, line: &Value, code: &str, field: &str) {
    let errors: Vec<_> = validator.iter_errors(line).collect();
    let pointer = format!("/{}", field.replace(['.', '['], "/").replace(']', ""));
    let last = field.rsplit('.').next().unwrap();
    let found = errors.iter().any(|error| {
        if code == "missing_field" {
            field.contains('|') || error.to_string().contains(last)
        } else {
            error.instance_path().to_string() == pointer
        }
    });
    assert!(found, "{place}: {code} of {field} is not in {errors:?}");
}

#[test]
fn lines_of_the_shop_are_taken_and_refused_as_expected() {
    let expected: Value = serde_json::from_slice(&fs::read(data().join("expected.json")).unwrap()).unwrap();
    let behaviour = &expected["behaviour"];
    let either: Vec<u64> =
        behaviour["either"].as_array().unwrap().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    check("behaviour.ndjson", "segment", &faults(&behaviour["malformed"]), &either);
    for (file, schema) in [
        ("crm_hubspot.ndjson", "hubspot"),
        ("crm_salesforce.ndjson", "salesforce"),
        ("crm_contacts.ndjson", "contact"),
    ] {
        check(file, schema, &faults(&expected["crm"][file]["malformed"]), &[]);
    }
    check("catalog.ndjson", "catalog", &faults(&expected["catalog"]["malformed"]), &[]);
}

/// Holds the line `base` with `change` merged into it (null removes a key there) against a schema.
fn with(schema: &str, base: &Value, change: &Value) -> bool {
    let mut line = base.clone();
    for (key, value) in change.as_object().unwrap() {
        if value == "REMOVED" {
            line.as_object_mut().unwrap().remove(key);
        } else {
            line[key] = value.clone();
        }
    }
    validator(schema).is_valid(&line)
}

#[test]
fn limits_that_the_shop_does_not_meet() {
    let viewed = json!({"type": "track", "event": "Product Viewed", "messageId": "m", "userId": "u",
        "properties": {"product_id": "p", "price": 1.5}});
    for (change, valid) in [
        (json!({}), true),
        (json!({"messageId": "m".repeat(100), "sentAt": null, "traits": null, "new": [1]}), true),
        (json!({"messageId": "m".repeat(101)}), false),
        (json!({"userId": null}), false),
        (json!({"userId": null, "anonymousId": "null"}), true),
        (json!({"anonymousId": 7}), false),
        (json!({"event": ""}), false),
        (json!({"event": null}), false),
        (json!({"type": "page", "event": "REMOVED", "properties": "REMOVED"}), true),
        (json!({"properties": "REMOVED"}), false),
        (json!({"properties": {"product_id": "p", "price": -0.01}}), false),
        (json!({"properties": {"product_id": "p", "price": null}}), true),
        (json!({"properties": {"product_id": 7}}), false),
        (json!({"sentAt": "2026-03-05T09:00:00"}), false),
        (json!({"sentAt": "2026-03-05T10:00:00+01:00"}), true),
        (json!({"event": "Order Completed"}), false),
        (
            json!({"event": "Order Completed", "properties": {"order_id": "o", "total": 0, "products": []}}),
            true,
        ),
        (
            json!({"event": "Order Completed", "properties": {"order_id": "o", "total": -1, "products": []}}),
            false,
        ),
        (
            json!({"event": "Order Completed", "properties": {"order_id": "o", "revenue": 1, "product_id": "p"}}),
            true,
        ),
        (json!({"event": "Order Completed", "properties": {"order_id": "o", "revenue": 1}}), false),
        (json!({"event": "Order Completed", "properties": {"order_id": "o", "product_id": "p"}}), false),
    ] {
        assert_eq!(with("segment", &viewed, &change), valid, "{change}");
    }
}

#[test]
fn the_schemas_are_schemas_and_describe_what_they_name() {
    for contract in catalogue::ALL {
        for entry in contract.json_forms {
            let schema = form(entry.name);
            jsonschema::draft202012::meta::validate(&schema)
                .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}: {name}", entry.name);
            }
        }
    }
}
