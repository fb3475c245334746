//! What a registry does in trouble, answered on loopback.

use crate::support::{Answer, HASTE, Request, answer, error, serve, settle};
use catchment_connectors::registry::{
    Login, Refusal, Registry, RegistryError, RegistrySchemas, RegistrySettings,
};
use catchment_contracts::catalogue::Compatibility;
use catchment_contracts::schemas::{Lookup, Schemas as _};
use catchment_contracts::wire::{SchemaId, SchemaKey};
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const KEY: SchemaKey = SchemaKey::Id(SchemaId(7));

fn registry(url: String) -> Registry {
    let timeout = Duration::from_millis(300);
    Registry::start(RegistrySettings { timeout, ..RegistrySettings::new(url) }).unwrap()
}

fn at(respond: impl FnMut(&Request) -> Answer + Send + 'static) -> Registry {
    registry(serve(respond))
}

/// A port that nobody listens on.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[track_caller]
fn unreachable_because<T: std::fmt::Debug>(found: Result<T, RegistryError>, expected: &str) {
    match found {
        Err(RegistryError::Unreachable { reason, .. }) if reason.starts_with(expected) => {}
        other => panic!("{expected}: {other:?}"),
    }
}

#[test]
fn a_registry_that_does_not_answer_is_unreachable_by_every_route() {
    for (url, expected) in [(closed(), "no connection"), (serve(|_| None), "no answer in time")] {
        let registry = registry(url);
        unreachable_because(registry.versions("s"), expected);
        unreachable_because(registry.register("s", "\"int\""), expected);
        unreachable_because(registry.lookup("s", "\"int\""), expected);
        unreachable_because(registry.is_compatible("s", "\"int\""), expected);
        unreachable_because(registry.level("s"), expected);
        unreachable_because(registry.set_level("s", Compatibility::FullTransitive), expected);
        unreachable_because(registry.schema_ids(), expected);
    }
}

#[test]
fn an_answer_of_something_else_is_no_answer() {
    unreachable_because(at(|_| error(503, 0)).versions("s"), "status 503");
    unreachable_because(at(|_| error(429, 0)).register("s", "\"int\""), "it is asked too often");
    let page = at(|_| answer(200, "<html>Sign in</html>"));
    unreachable_because(page.versions("s"), "its answer is not that of a schema registry");
    unreachable_because(page.level("s"), "its answer is not that of a schema registry");
    let page = at(|_| answer(404, "<html>Nothing here</html>"));
    let refused = page.versions("s").unwrap_err();
    assert!(matches!(refused, RegistryError::Refused(Refusal::Other { status: 404, .. })), "{refused:?}");
}

#[test]
fn a_busy_registry_says_for_how_long() {
    let registry = at(|_| Some((429, "Retry-After: 7\r\n", "{}".to_owned())));
    let Err(RegistryError::Unreachable { retry_after, .. }) = registry.level("s") else { panic!() };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn credentials_are_read_again_when_they_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    fs::write(&token_file, "old").unwrap();
    let url = serve(|request| match request.authorization.as_str() {
        "Bearer new" => answer(200, "[3]"),
        _ => error(401, 401),
    });
    let login = Login::Token { token_file: token_file.clone() };
    let registry = Registry::start(RegistrySettings { login, ..RegistrySettings::new(url) }).unwrap();
    let denied = registry.versions("s").unwrap_err();
    assert_eq!(denied, RegistryError::Refused(Refusal::Denied { status: 401 }));
    assert!(!denied.to_string().contains("old"), "{denied}");
    fs::write(&token_file, "new\n").unwrap();
    assert_eq!(registry.versions("s"), Ok(Some(vec![3])));
}

#[test]
fn user_and_password_go_with_every_route() {
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    fs::write(&password_file, "pass").unwrap();
    let url = serve(|request| match (request.authorization.as_str(), request.line.as_str()) {
        ("Basic dXNlcjpwYXNz", "GET /config/s") => answer(200, r#"{"compatibilityLevel":"FULL"}"#),
        ("Basic dXNlcjpwYXNz", "GET /subjects/s/versions") => answer(200, "[1]"),
        _ => error(403, 0),
    });
    let login = Login::Basic { username: "user".to_owned(), password_file: Some(password_file) };
    let registry = Registry::start(RegistrySettings { login, ..RegistrySettings::new(url) }).unwrap();
    assert_eq!(registry.level("s"), Ok(Some("FULL".to_owned())));
    assert_eq!(registry.versions("s"), Ok(Some(vec![1])));
    assert_eq!(
        registry.version("s", 1).unwrap_err(),
        RegistryError::Refused(Refusal::Denied { status: 403 })
    );
}

#[test]
fn a_contract_that_is_not_registered_says_what_to_do() {
    let refused = at(|_| error(404, 40_401)).schema_ids().unwrap_err();
    let RegistryError::NotRegistered { subject, contract } = &refused else { panic!("{refused:?}") };
    assert_eq!((subject.as_str(), *contract), ("customer.events-value", "customer_event"));
    assert!(refused.to_string().contains("`catchment contracts register`"), "{refused}");
}

#[test]
fn a_start_can_tell_a_registry_in_trouble_from_one_that_answers() {
    let refused = at(|_| error(503, 0)).schema_ids().unwrap_err();
    assert!(refused.is_unreachable(), "{refused}");
    let refused = at(|_| error(404, 40_401)).schema_ids().unwrap_err();
    assert!(!refused.is_unreachable(), "{refused}");
}

#[test]
fn records_wait_for_a_registry_in_trouble_and_go_on_when_it_is_back() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&attempts);
    let registry = at(move |request| {
        assert_eq!(request.line, "GET /schemas/ids/7?deleted=true");
        match seen.fetch_add(1, Ordering::Relaxed) {
            0..=3 => error(500, 50_001),
            4 => None,
            5 => error(404, 40_403),
            _ => answer(200, r#"{"schema":"\"string\""}"#),
        }
    });
    let schemas = RegistrySchemas::new(registry, HASTE);
    assert!(matches!(schemas.find(KEY), Lookup::Pending));
    assert!(matches!(settle(&schemas, KEY), Lookup::Known(_)));
    assert_eq!(attempts.load(Ordering::Relaxed), 7);
    assert_eq!(schemas.counts().failed, 5);
    // What is known is not asked for again.
    assert!(matches!(schemas.find(KEY), Lookup::Known(_)));
    assert_eq!(attempts.load(Ordering::Relaxed), 7);
}

#[test]
fn many_who_wait_for_one_schema_ask_once() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&attempts);
    let registry = at(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        None
    });
    let schemas = RegistrySchemas::new(registry, HASTE);
    for _ in 0..1_000 {
        assert!(matches!(schemas.find(KEY), Lookup::Pending));
    }
    assert_eq!(schemas.counts().pending, 1);
    assert!(attempts.load(Ordering::Relaxed) <= 2, "once, and perhaps again after the time is up");
}

#[test]
fn a_schema_comes_with_those_that_it_refers_to() {
    let registry = at(|request| {
        let schema = |text: &str, references: &str| {
            let text = serde_json::json!(text);
            answer(200, format!(r#"{{"id":1,"schema":{text},"references":[{references}]}}"#))
        };
        let reference = |subject| format!(r#"{{"name":"n","subject":"{subject}","version":1}}"#);
        match request.line.as_str() {
            "GET /schemas/ids/7?deleted=true" => schema(
                r#"{"type":"record","name":"Order","fields":[{"name":"line","type":"Line"}]}"#,
                &[reference("line"), reference("sku")].join(","),
            ),
            "GET /subjects/line/versions/1" => schema(
                r#"{"type":"record","name":"Line","fields":[{"name":"sku","type":"Sku"}]}"#,
                &reference("sku"),
            ),
            "GET /subjects/sku/versions/1" => schema(r#"{"type":"enum","name":"Sku","symbols":["A"]}"#, ""),
            _ => error(404, 40_401),
        }
    });
    let schemas = RegistrySchemas::new(registry, HASTE);
    let Lookup::Known(schema) = settle(&schemas, KEY) else { panic!() };
    let mut text = String::new();
    schema.to_json(&[0], 100, &mut text).unwrap();
    assert_eq!(text, r#"{"line":{"sku":"A"}}"#);
}

#[test]
fn a_schema_of_another_kind_is_unusable() {
    let registry = at(|_| answer(200, r#"{"schema":"{}","schemaType":"JSON"}"#));
    let schemas = RegistrySchemas::new(registry, HASTE);
    let Lookup::Unusable(why) = settle(&schemas, KEY) else { panic!() };
    assert_eq!(&*why, "it is no Avro schema");
}
