//! A real registry, or a few lines that answer as one.

use catchment_connectors::registry::{Patience, Registry, RegistrySettings};
use catchment_contracts::schemas::{Lookup, Schemas};
use catchment_contracts::wire::SchemaKey;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Believes after three answers in no time, and asks again at once.
pub(crate) const HASTE: Patience = Patience {
    refusals: 3,
    over: Duration::ZERO,
    unknown_for: Duration::from_secs(600),
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(5),
};

/// The registry of the test run. None: says so, past the capture of the test harness.
pub(crate) fn real(test: &str) -> Option<Registry> {
    let Ok(url) = std::env::var("CATCHMENT_TEST_REGISTRY") else {
        let text = "skipped: CATCHMENT_TEST_REGISTRY names no schema registry";
        writeln!(std::io::stderr(), "registry::{test}: {text}").unwrap();
        return None;
    };
    Some(Registry::start(RegistrySettings::new(url)).unwrap())
}

/// A subject that nobody else has.
pub(crate) fn subject(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("test-{time}-{}-{number}.{name}-value", std::process::id())
}

/// A request: method and path, and the header `Authorization`.
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) authorization: String,
}

/// What is answered: status, more headers, body. None: nothing, and the connection stays open.
pub(crate) type Answer = Option<(u16, &'static str, String)>;

pub(crate) fn answer(status: u16, body: impl Into<String>) -> Answer {
    Some((status, "", body.into()))
}

pub(crate) fn error(status: u16, code: u32) -> Answer {
    answer(status, format!(r#"{{"error_code":{code},"message":"words"}}"#))
}

/// Answers requests on loopback until the process ends; the URL.
pub(crate) fn serve(mut respond: impl FnMut(&Request) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut unanswered = Vec::new();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            // A client that gives up leaves an empty request.
            let Some(request) = read(&stream) else { continue };
            match respond(&request) {
                Some((status, headers, body)) => write(&stream, status, headers, &body),
                None => unanswered.push(stream),
            }
        }
    });
    url
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        input.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    input.read_exact(&mut vec![0; length]).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    Some(Request { line, authorization })
}

fn write(mut stream: &TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} As-Said\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    // The client may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// Asks until a schema is no longer pending.
#[track_caller]
pub(crate) fn settle(schemas: &dyn Schemas, key: SchemaKey) -> Lookup {
    let start = Instant::now();
    loop {
        match schemas.find(key) {
            Lookup::Pending => assert!(start.elapsed() < PATIENCE, "waited in vain"),
            known => return known,
        }
        thread::yield_now();
    }
}
