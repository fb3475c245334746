//! Bad records, as sources send them: each ends as a dead letter that says what is wrong, or is taken where the
//! contract allows it, and the next record goes on.

use crate::support::{catchment, finished};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

const CONFIG: &str = "clock: event
sources:
  - {name: web, topic: behaviour.events, mapping: segment, arrival: receivedAt}
";

/// Takes lines through the sandbox; returns what each became: `taken`, or code, field, expected and actual.
fn take(lines: &[Vec<u8>]) -> Vec<String> {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fs::write(path.join("catchment.yaml"), CONFIG).unwrap();
    fs::write(path.join("web.ndjson"), lines.join(&b'\n')).unwrap();
    let mut command =
        catchment(&["sandbox", "--config", "catchment.yaml", "--input", ".", "--output", "out"]);
    let (code, _, error) = finished(command.current_dir(path));
    assert_eq!(code, 0, "{error}");
    let mut became = vec!["lost".to_owned(); lines.len()];
    for topic in ["customer.events", "dlq.web"] {
        for record in fs::read_to_string(path.join("out").join(format!("{topic}.ndjson"))).unwrap().lines() {
            let value = &serde_json::from_str::<Value>(record).unwrap()["value"];
            let line = usize::try_from(value["line"].as_u64().unwrap()).unwrap();
            let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            became[line - 1] = match topic {
                "customer.events" => "taken".to_owned(),
                _ => [part("code"), part("field"), part("expected"), part("actual")].join(" | "),
            };
        }
    }
    became
}

fn event(more: &str) -> Vec<u8> {
    let head = r#""type":"track","event":"Product Viewed","messageId":"m","userId":"u""#;
    format!("{{{head},{more}}}").into_bytes()
}

fn viewed(properties: &str) -> Vec<u8> {
    event(&format!(r#""properties":{{"product_id":"p",{properties}}}"#))
}

#[test]
fn every_bad_record_says_what_is_wrong_and_the_next_goes_on() {
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let digits = "9".repeat(400);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            br#"{"type":"track","event":"Product V"#.to_vec(),
            "invalid_json |  | a JSON object | JSON that ends too early",
        ),
        (b"".to_vec(), "invalid_json |  | a JSON object | an empty value"),
        (br#"["track","m","u"]"#.to_vec(), "not_an_object |  | a JSON object | an array"),
        (deep("[", "]").into_bytes(), "not_an_object |  | a JSON object | an array"),
        (viewed(r#""price":NaN"#), "invalid_json"),
        (event(r#""messageId":7"#), "wrong_type | messageId | a string | "),
        (event(r#""userId":null"#), "missing_field | userId|anonymousId | "),
        (event(r#""type":"telepathy""#), "unknown_type | type | one of identify, track"),
        (event(r#""type":["track"]"#), "unknown_type | type | one of identify"),
        (viewed(&format!(r#""price":{digits}"#)), "out_of_range | properties.price | "),
        (viewed(r#""price":-1"#), "out_of_range | properties.price | "),
        (
            event(&format!(r#""properties":{}"#, deep("[", "]"))),
            "wrong_type | properties | an object | an array",
        ),
        (event(&format!(r#""userId":{}"#, deep("[", "]"))), "wrong_type | userId | a string | an array"),
        (viewed(&format!(r#""x":"{}""#, "x".repeat(40_000))), "oversize |  | at most 32768 bytes | 401"),
        (b"{\"type\":\"track\xff\"}".to_vec(), "invalid_utf8 |  | UTF-8 | "),
        (event(r#""receivedAt":"yesterday""#), "bad_timestamp | receivedAt | an RFC 3339 time | "),
        // What the contract allows, however odd.
        (viewed(&format!(r#""x":{}"#, deep("[", "]"))), "taken"),
        (viewed(&format!(r#""x":{digits}"#)), "taken"),
        (event(r#""userId":"v","userId":"w","properties":{"product_id":"p"}"#), "taken"),
        (viewed(r#""price":null"#), "taken"),
    ];
    let lines: Vec<Vec<u8>> = cases.iter().map(|(line, _)| line.clone()).collect();
    for ((line, expected), became) in cases.iter().zip(take(&lines)) {
        let shown: String = String::from_utf8_lossy(line).chars().take(80).collect();
        assert!(became.starts_with(expected), "{shown}\n  expected {expected}\n  became   {became}");
    }
}
