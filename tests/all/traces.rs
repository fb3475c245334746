//! Spans of steps, from the records of a lane to a receiver of OTLP.

use std::time::{Duration, Instant, SystemTime};

use catchment::config;
use catchment::observe::health::Health;
use catchment::observe::lane::{LaneName, LaneObserver};
use catchment::observe::log::Timed;
use catchment::observe::metrics::recorder;
use catchment::observe::task::Observed;
use catchment::observe::trace::{TracedStep, Traces};
use catchment_runtime::embedded::Fault;
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{
    EmbeddedLane, EmbeddedLog, Headers, Lane, LaneConfig, Record, Step, Task, TopicId, TopicPartition,
    TopicTable, Unreadable,
};

use crate::otlp::{Mood, Receiver, texts};

const IN: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Reads, and does nothing.
struct Reads;

impl Task for Reads {
    type Effect = ();

    fn process(&mut self, _: &Record<'_>, _: &mut Step<()>) -> Result<(), Unreadable> {
        Ok(())
    }

    fn advance(&mut self, _: &mut Step<()>) {}

    fn flush(&mut self, _: &mut Step<()>) {}

    fn committed(&mut self) {}

    fn aborted(&mut self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    fn restore(&mut self, _: &Record<'_>) -> Result<(), Unreadable> {
        Ok(())
    }
}

struct Bench {
    log: EmbeddedLog,
    observer: LaneObserver,
    lane: Lane<Timed<EmbeddedLane>, Observed<Reads>>,
}

impl Bench {
    fn new(traces: Option<&Traces>) -> Self {
        let mut topics = TopicTable::new();
        let cleanup = Cleanup::Delete { retention_ms: 1 };
        topics.add(TopicSpec { name: "customer.events".to_owned(), partitions: 1, cleanup });
        let log = EmbeddedLog::new(topics);
        let name = LaneName {
            role: "profile",
            index: 3,
            group: "app.profile".to_owned(),
            inputs: vec![IN.topic],
            topics: log.topics(),
        };
        let health = Health::new(Duration::from_secs(10));
        let observer = LaneObserver::new(&name, health.lane("profile", 3), traces);
        let tasks = vec![Observed::new(Reads, observer.notes())];
        let handle = Timed::new(log.lane("app.profile", "lane", &[IN]).unwrap());
        let lane = Lane::new(handle, tasks, |_| Some(0), LaneConfig::default()).unwrap();
        Bench { log, observer, lane }
    }

    fn say(&self, traceparents: &[Option<&str>]) {
        for parent in traceparents {
            let mut headers = Headers::default();
            if let Some(parent) = parent {
                headers.push("traceparent", parent.as_bytes());
            }
            self.log.producer_append(IN, 0, None, Some(b"value"), headers).unwrap();
        }
    }

    fn step(&mut self) {
        self.observer.step_begins();
        let result = self.lane.step(Some(0), &mut |()| {});
        let times = self.lane.log_mut().take_times();
        self.observer.step_ended(&result, times);
    }
}

fn traces(endpoint: String, one_in: u32) -> Traces {
    Traces::start(&config::Traces { endpoint: Some(endpoint), one_in }, "host-7").unwrap().unwrap()
}

fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_step_with_a_sampled_record_is_a_span_that_links_to_its_producer() {
    let receiver = Receiver::start(Mood::Takes);
    let traces = traces(receiver.endpoint(), 0);
    let mut bench = Bench::new(Some(&traces));
    let before = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    bench.say(&[None, Some(&PARENT.replace("-01", "-00"))]);
    bench.step();
    bench.say(&[None, Some(PARENT), Some(&PARENT.replace("-01", "-00")), Some(PARENT)]);
    bench.step();
    bench.step();
    drop(traces);

    let spans = receiver.spans();
    let [(span, resource)] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.name, "process customer.events");
    assert_eq!(span.kind(), opentelemetry_proto::tonic::trace::v1::span::SpanKind::Consumer);
    assert!(span.parent_span_id.is_empty(), "a batch has many parents, so it has none");
    assert!(
        u128::from(span.start_time_unix_nano) >= before
            && span.end_time_unix_nano >= span.start_time_unix_nano
    );
    let [link] = span.links.as_slice() else { panic!("{:?}", span.links) };
    assert_eq!(link.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(link.span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    let attributes = texts(&span.attributes);
    for (name, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "customer.events"),
        ("messaging.consumer.group.name", "app.profile"),
        ("messaging.batch.message_count", "4"),
        ("catchment.lane", "3"),
    ] {
        assert_eq!(attribute(&attributes, name), Some(value), "{name} in {attributes:?}");
    }
    assert_eq!(attribute(&attributes, "error.type"), None);
    assert_eq!(attribute(resource, "service.name"), Some("catchment"));
    assert_eq!(attribute(resource, "service.version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(attribute(resource, "service.instance.id"), Some("host-7"));
}

#[test]
fn a_step_that_is_aborted_and_the_one_that_takes_it_again_are_two_spans() {
    let receiver = Receiver::start(Mood::Takes);
    let traces = traces(receiver.endpoint(), 0);
    let mut bench = Bench::new(Some(&traces));
    bench.log.fail_commit("lane", Fault::Abort);
    bench.say(&[Some(PARENT)]);
    bench.step();
    bench.step();
    drop(traces);
    let spans = receiver.spans();
    assert_eq!(spans.len(), 2);
    let errors: Vec<_> = spans
        .iter()
        .map(|(span, _)| attribute(&texts(&span.attributes), "error.type").map(str::to_owned))
        .collect();
    assert_eq!(errors, [Some("aborted".to_owned()), None]);
    assert_eq!(spans[0].0.status.as_ref().unwrap().code, 2, "an error");
    assert!(spans.iter().all(|(span, _)| span.links.len() == 1));
}

#[test]
fn one_in_so_many_steps_is_a_span_without_any_header() {
    let receiver = Receiver::start(Mood::Takes);
    let traces = traces(receiver.endpoint(), 3);
    let mut bench = Bench::new(Some(&traces));
    for _ in 0..7 {
        bench.say(&[None]);
        bench.step();
    }
    drop(traces);
    assert_eq!(receiver.spans().len(), 2);
}

/// Ends so many spans, and says how long it took, how long the end of traces took, and what was counted.
fn spans_to(endpoint: String, spans: usize) -> (Duration, Duration, String) {
    let recorder = recorder().unwrap();
    let traces = metrics::with_local_recorder(&recorder, || traces(endpoint, 1));
    let mut steps = traces.steps("profile", 0, "group", &["topic"]);
    let start = Instant::now();
    for _ in 0..spans {
        let step = TracedStep { start: SystemTime::now(), records: 1, producers: Vec::new(), failure: None };
        steps.ended(step);
    }
    let ended = start.elapsed();
    let start = Instant::now();
    drop(traces);
    (ended, start.elapsed(), recorder.handle().render())
}

#[track_caller]
fn assert_counted(page: &str, sent: usize, dropped: usize) {
    for (outcome, count) in [("sent", sent), ("dropped", dropped)] {
        let line = format!("catchment_trace_spans_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[test]
fn spans_are_counted() {
    let receiver = Receiver::start(Mood::Takes);
    let (_, _, page) = spans_to(receiver.endpoint(), 700);
    assert_counted(&page, 700, 0);
    assert_eq!(receiver.spans().len(), 700);
}

#[test]
fn spans_that_the_receiver_does_not_take_are_counted_too() {
    let (_, _, page) = spans_to(Receiver::start(Mood::Refuses).endpoint(), 5);
    assert_counted(&page, 0, 5);
    // Nobody listens there any more.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_, _, page) = spans_to(format!("http://{nobody}"), 5);
    assert_counted(&page, 0, 5);
}

/// 2,048 wait, at most 512 are on their way; the others are dropped, and nobody waits for any of it.
#[test]
fn a_receiver_that_never_answers_holds_nobody_up() {
    let (ended, stopped, page) = spans_to(Receiver::start(Mood::IsSilent).endpoint(), 4_000);
    assert!(ended < Duration::from_secs(2), "{ended:?}");
    assert!(stopped < Duration::from_secs(7), "{stopped:?}");
    let dropped =
        page.lines().find_map(|line| line.strip_prefix("catchment_trace_spans_total{outcome=\"dropped\"} "));
    assert!(dropped.unwrap().parse::<usize>().unwrap() >= 4_000 - 2_048 - 512, "{page}");
}
