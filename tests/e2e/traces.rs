//! A trace of a process as a receiver of OTLP gets it.

use crate::deployment::Deployment;
use crate::wait::until;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";

/// Takes requests of OTLP over HTTP, and hands their spans out.
fn receiver() -> (String, Receiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, spans) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for span in request(stream) {
                if sender.send(span).is_err() {
                    return;
                }
            }
        }
    });
    (address, spans)
}

/// One request, answered.
fn request(stream: TcpStream) -> Vec<Span> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_sampled_record_links_the_steps_that_take_it_and_is_followed_to_its_trigger() {
    let Some(mut deployment) = Deployment::new("traces") else { return };
    let (address, spans) = receiver();
    deployment.set("TRACES__ENDPOINT", &address);
    let process = deployment.run("one", &[], &[]);
    process.ready();
    let parent = format!("00-{TRACE}-{PRODUCER}-01");
    let event = br#"{"type":"identify","messageId":"m-1","userId":"u-1","receivedAt":"2026-03-05T10:00:00Z","timestamp":"2026-03-05T10:00:00Z","traits":{}}"#;
    deployment.send("behaviour.events", &[("traceparent", &parent)], event);

    let mut steps: Vec<Span> = Vec::new();
    let both = || {
        steps.extend(spans.try_iter());
        let of =
            |group: &str| steps.iter().find(|span| format!("{:?}", span.attributes).contains(group)).cloned();
        of("awesomeshoes.ingest").zip(of("awesomeshoes.profile"))
    };
    let (ingest, profile) = until(both, || process.text());
    for span in [ingest, profile] {
        assert!(span.links.iter().any(|link| hex(&link.trace_id) == TRACE), "{span:?}");
    }
    let events = deployment.read("customer.events");
    assert!(events[0]["headers"]["traceparent"].as_str().unwrap().contains(TRACE), "{events:?}");
    assert!(process.stop().success());
}
