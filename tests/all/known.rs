//! Data of which the truth is known, through the sandbox: who is who (Febrl), and what was spent (CDNOW). Where they come from
//! stands beside them, in `tests/data`.

use crate::shop::records;
use crate::support::{catchment, finished, root};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use tempfile::TempDir;

const CONFIG: &str = "
app: known
clock: event
sources:
  - {name: calls, topic: behaviour.events, mapping: segment, arrival: receivedAt}
dedup: {window: 600d}
";

fn data(file: &str) -> String {
    let mut text = String::new();
    let file = File::open(root().join("tests/data").join(file)).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

/// The profiles that come of these calls, in this order.
fn profiles(calls: &[Value], config: &str) -> Vec<Value> {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut lines = String::new();
    calls.iter().for_each(|call| writeln!(lines, "{call}").unwrap());
    fs::create_dir(at("in")).unwrap();
    fs::write(at("in/calls.ndjson"), lines).unwrap();
    fs::write(at("catchment.yaml"), format!("{CONFIG}{config}")).unwrap();
    let mut command = catchment(&["sandbox"]);
    command
        .arg("--config")
        .arg(at("catchment.yaml"))
        .arg("--input")
        .arg(at("in"))
        .arg("--output")
        .arg(at("out"));
    let (code, _, error) = finished(&mut command);
    assert_eq!(code, 0, "{error}");
    records(&at("out"), "customer.profiles").into_iter().map(|mut record| record["value"].take()).collect()
}

/// An identifier of a text that is none by itself.
fn hashed(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// A record of Febrl as a call: the record is a device; the number of a person is that of a user, and names and birth
/// together stand for an address.
fn call(number: usize, record: &Value, keys: &[&str]) -> Value {
    let at = "2026-01-01T00:00:00Z";
    let mut call = json!({"type": "identify", "messageId": number.to_string(), "originalTimestamp": at, "sentAt": at,
        "receivedAt": at, "anonymousId": hashed(record["rec_id"].as_str().unwrap()), "traits": {}});
    if keys.contains(&"number") {
        call["userId"] = format!("ssn-{}", record["soc_sec_id"].as_str().unwrap()).into();
    }
    let named = ["given_name", "surname", "date_of_birth"].map(|field| record[field].as_str());
    if let [Some(given), Some(surname), Some(born)] = named
        && keys.contains(&"name")
    {
        call["traits"]["email"] =
            format!("{}@x.example", hashed(&format!("{given}|{surname}|{born}"))).into();
    }
    call
}

/// True pairs found, pairs found, true pairs.
fn pairs(keys: &[&str], config: &str) -> (usize, usize, usize) {
    let records: Vec<Value> =
        data("febrl/febrl3.jsonl.gz").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let name_of: BTreeMap<String, &str> = records
        .iter()
        .map(|record| record["rec_id"].as_str().unwrap())
        .map(|name| (hashed(name), name))
        .collect();
    let pair = |one: &str, other: &str| (one.min(other).to_owned(), one.max(other).to_owned());
    let truth = data("febrl/febrl3.truth.csv.gz");
    let truth: BTreeSet<_> =
        truth.lines().skip(1).map(|line| line.split_once(',').unwrap()).map(|(a, b)| pair(a, b)).collect();
    let calls: Vec<Value> =
        records.iter().enumerate().map(|(number, record)| call(number, record, keys)).collect();
    let mut found = BTreeSet::new();
    for profile in profiles(&calls, config) {
        let identifiers = profile["identifiers"].as_array().unwrap();
        let devices = identifiers.iter().filter(|known| known["type"] == "anonymous_id");
        let names: Vec<&str> = devices.map(|known| name_of[known["value"].as_str().unwrap()]).collect();
        for (place, one) in names.iter().enumerate() {
            found.extend(names[place + 1..].iter().map(|other| pair(one, other)));
        }
    }
    (found.intersection(&truth).count(), found.len(), truth.len())
}

/// What `README.md` of the data gives for exact keys, closed transitively.
#[test]
fn deterministic_identity_finds_what_exact_keys_can_find_and_never_merges_two_people() {
    let wide = "identity: {limits: {user_id: 20, email: 20, anonymous_id: 20}}\n";
    assert_eq!(pairs(&["number"], wide), (5_601, 5_601, 6_538));
    assert_eq!(pairs(&["number", "name"], wide), (6_058, 6_058, 6_538));
    // One user each, and five devices: what is mistyped stays apart, and the sixth record of a person.
    assert_eq!(pairs(&["number", "name"], ""), (5_091, 5_091, 6_538));
}

#[test]
fn orders_add_up_to_the_cent_in_any_order_of_arrival() {
    let text = data("cdnow/orders.csv.gz");
    let mut calls: Vec<Value> = Vec::new();
    for (number, line) in text.lines().skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let at = format!("{}T12:00:00Z", fields[1]);
        calls.push(json!({"type": "track", "event": "Order Completed", "messageId": number.to_string(),
            "userId": fields[0], "originalTimestamp": at, "sentAt": at, "receivedAt": at, "properties":
            {"order_id": number.to_string(), "currency": "USD", "total": fields[3].parse::<f64>().unwrap(),
             "products": [{"product_id": "cd", "quantity": fields[2].parse::<i64>().unwrap()}]}}));
    }
    let mut by_time = calls.clone();
    by_time.sort_by_key(|call| call["receivedAt"].as_str().unwrap().to_owned());
    // As it stands there, by customer; and as it came.
    let [one, other] = std::thread::scope(|scope| {
        let runs = [&calls, &by_time].map(|calls| scope.spawn(|| profiles(calls, "")));
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(one.len(), 23_570);
    let (mut orders, mut total, mut units) = (0, 0, 0);
    for profile in &one {
        let number = |entry: &Value, field: &str| entry[field].as_i64().unwrap();
        for order in profile["orders"].as_array().unwrap() {
            (orders, total, units) =
                (orders + 1, total + number(order, "total"), units + number(order, "units"));
        }
        assert_eq!(profile["older_orders"], json!([]), "nobody has more than 217");
    }
    assert_eq!((orders, total, units), (69_659, 250_031_563, 167_881));
    assert!(one == other, "the order of arrival shows");
}
