//! Records and keys of other clients, and ours: they agree on bytes and on partitions.

#![cfg(test)]

use std::fs;
use std::io::Write as _;
use std::time::SystemTime;

use catchment_runtime::partition::for_key;
use serde_json::{Value, json};
use xtask::interop;
use xtask::services::{BROKERS, REGISTRY};

/// The value of a variable. None: says so, past the capture of the test harness.
fn given(test: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        writeln!(std::io::stderr(), "interop::{test}: skipped: {name} is not set").unwrap();
    }
    value
}

fn topic(name: &str) -> String {
    format!("test-{}-{name}", SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos())
}

/// Keys as they occur, 16 bytes of a hash, and of all lengths around the four bytes that the hash takes at once.
fn keys() -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let node_keys =
        (0..100u32).map(|number| *number.to_string().as_bytes().repeat(16).first_chunk::<16>().unwrap());
    let mut keys: Vec<String> = node_keys.map(|key| hex(&key)).collect();
    keys.extend((1..40u8).map(|length| hex(&vec![255 - length; usize::from(length)])));
    keys
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every key is where our partitioner says.
#[track_caller]
fn check_partitions(records: &[Value], partitions: u32) {
    let mut used = vec![0; partitions as usize];
    for record in records {
        let key = record["key"].as_str().unwrap();
        let expected = for_key(&bytes(key), partitions);
        assert_eq!(record["partition"], expected, "{key}");
        used[expected as usize] += 1;
    }
    assert!(used.iter().all(|count| *count > 0), "keys that meet every partition: {used:?}");
}

#[test]
fn keys_of_kafkajs_land_where_ours_do() {
    let Some(brokers) = given("kafkajs", BROKERS) else {
        return;
    };
    let Some(script) = interop::keys("interop::kafkajs").unwrap() else {
        return;
    };
    let keys = keys();
    let printed = script.run(&[&brokers, &topic("kafkajs"), "7"], &keys.join("\n")).unwrap();
    let records = lines(&printed);
    assert_eq!(records.len(), keys.len());
    check_partitions(&records, 7);
}

#[test]
fn records_of_python_go_through_the_registry_and_back() {
    let (Some(brokers), Some(registry)) = (given("avro", BROKERS), given("avro", REGISTRY)) else {
        return;
    };
    let (Some(avro), Some(kafkajs)) =
        (interop::avro("interop::avro").unwrap(), interop::keys("interop::avro").unwrap())
    else {
        return;
    };
    let topic = topic("avro");
    kafkajs.run(&[&brokers, &topic, "7"], "").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let schema = directory.path().join("schema.avsc");
    let fields = json!([{"name": "text", "type": ["null", "string"]}, {"name": "bytes", "type": "bytes"}]);
    fs::write(&schema, json!({"type": "record", "name": "Sample", "fields": fields}).to_string()).unwrap();
    let schema = schema.to_str().unwrap();
    let place = ["--brokers", &brokers, "--registry", &registry, "--topic", &topic];
    let keys = keys();
    let records: Vec<Value> = keys
        .iter()
        .map(|key| json!({"key": key, "value": {"text": key, "bytes": {"$bytes": "00ff"}}, "headers": {"h": "x"}}))
        .collect();
    let input: String = records.iter().map(|record| format!("{record}\n")).collect();
    let acknowledged = avro.run(&[&["produce"], &place[..], &["--schema", schema]].concat(), &input).unwrap();
    check_partitions(&lines(&acknowledged), 7);
    let read = lines(&avro.run(&[&["consume"], &place[..]].concat(), "").unwrap());
    let mut read: Vec<Value> = read
        .iter()
        .map(|record| json!({"key": record["key"], "value": record["value"], "headers": record["headers"]}))
        .collect();
    let mut records = records;
    for list in [&mut read, &mut records] {
        list.sort_by_key(|record| record["key"].to_string());
    }
    assert_eq!(read, records);
}
