//! A registry of one's own goes, and comes back with what it had: what tests of outages rest on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use xtask::services::{REGISTRY_HOME, Registry, registry_home};

/// The body of an answer with status 200. None: no answer within two seconds, or another one.
fn ask(registry: &Registry, method: &str, path: &str, body: &str) -> Option<String> {
    let address = registry.address();
    let mut stream = TcpStream::connect(&address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let head = format!(
        "{method} /apis/ccompat/v7{path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200").map(|_| body.to_owned())
}

#[test]
fn a_registry_comes_back_on_its_port_with_its_schemas() {
    let Some(home) = registry_home() else {
        writeln!(std::io::stderr(), "registry: skipped: {REGISTRY_HOME} names no download").unwrap();
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut registry = Registry::start(&home, directory.path()).unwrap();
    let schema = r#"{"schema":"\"string\""}"#;
    let id = ask(&registry, "POST", "/subjects/kept-value/versions", schema).unwrap();
    let id = id.trim_start_matches(r#"{"id":"#).trim_end_matches('}').to_owned();
    let is_kept = |registry: &Registry| {
        let answer = ask(registry, "GET", &format!("/schemas/ids/{id}"), "");
        answer.is_some_and(|answer| answer.contains("string"))
    };
    assert!(is_kept(&registry), "registered as {id}");
    registry.freeze().unwrap();
    assert!(!is_kept(&registry), "frozen");
    registry.thaw().unwrap();
    assert!(is_kept(&registry), "thawed");
    registry.kill();
    assert!(!is_kept(&registry), "killed");
    registry.restart().unwrap();
    assert!(is_kept(&registry), "after a kill");
    registry.stop();
    registry.restart().unwrap();
    assert!(is_kept(&registry), "after a stop");
}
