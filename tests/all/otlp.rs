//! A receiver of traces: OTLP over HTTP with protobuf, by the official messages.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes what comes.
    Takes,
    /// Answers with an error of its own.
    Refuses,
    /// Never answers.
    IsSilent,
}

/// A receiver on a port of its own. It listens until the test process ends.
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Receiver {
    pub(crate) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<ExportTraceServiceRequest>>>::default();
        let taken = Arc::clone(&requests);
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                match mood {
                    Mood::IsSilent => silent.push(stream),
                    Mood::Takes | Mood::Refuses => answer(stream, mood, &taken),
                }
            }
        });
        Receiver { address, requests }
    }

    /// What a configuration names.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans that came, with the attributes of their resource.
    pub(crate) fn spans(&self) -> Vec<(Span, Vec<(String, String)>)> {
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|of| {
            let resource = of.resource.as_ref().map_or_else(Vec::new, |resource| texts(&resource.attributes));
            let spans = of.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.map(move |span| (span.clone(), resource.clone()))
        });
        spans.collect()
    }
}

/// Attributes as text.
pub(crate) fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| {
        let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(text).collect()
}

fn answer(mut stream: TcpStream, mood: Mood, taken: &Mutex<Vec<ExportTraceServiceRequest>>) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    assert!(head[0].starts_with("post /v1/traces http/1.1"), "{head:?}");
    let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(header("content-type:"), Some("application/x-protobuf"), "{head:?}");
    // The exporter is built without compression, and this receiver reads none.
    assert_eq!(header("content-encoding:"), None, "{head:?}");
    let length = header("content-length:").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = if mood == Mood::Takes { "200 OK" } else { "503 Service Unavailable" };
    if mood == Mood::Takes {
        taken.lock().unwrap().push(ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
    }
    let body = ExportTraceServiceResponse::default().encode_to_vec();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}
