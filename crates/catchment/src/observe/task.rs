//! A look at the records of a step, beside the task that decides about them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use catchment_connectors::otlp::MOST_LINKS;
use catchment_contracts::headers;
use catchment_runtime::{Headers, Millis, Readiness, Record, Step, Task, TopicPartition, Unreadable};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// No record yet.
const NONE: Millis = Millis::MAX;

/// Longest `tracestate` that is kept: what the standard asks for at least.
const MOST_STATE: usize = 512;

/// What the records of a lane's step say of themselves. Written by its tasks, taken by its observer; shared by both.
#[derive(Debug)]
pub struct Notes {
    oldest: AtomicI64,
    /// Nanoseconds that the tasks took to write down what changed.
    flush: AtomicU64,
    /// Contexts of producers whose trace is sampled. None: nobody wants to know.
    producers: Option<Mutex<Vec<SpanContext>>>,
}

/// What was noted in one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noted {
    /// When the oldest record was appended.
    pub oldest: Option<Millis>,
    /// How long the tasks took to write down what changed: profiles and the like, encoded.
    pub flush: Duration,
    /// Contexts of producers, each once, at most [`MOST_LINKS`].
    pub producers: Vec<SpanContext>,
}

impl Notes {
    /// Nothing noted. With `traced`, trace headers are looked at.
    #[must_use]
    pub fn new(traced: bool) -> Self {
        Notes {
            oldest: AtomicI64::new(NONE),
            flush: AtomicU64::new(0),
            producers: traced.then(Mutex::default),
        }
    }

    /// One thread writes and takes, so that no order between threads is needed.
    fn note(&self, record: &Record<'_>) {
        if record.append_time < self.oldest.load(Ordering::Relaxed) {
            self.oldest.store(record.append_time, Ordering::Relaxed);
        }
        if let Some(producers) = &self.producers
            && let Some(parent) = record.headers.get(headers::TRACEPARENT)
            && is_sampled(parent)
        {
            note_producer(producers, record.headers);
        }
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take(&self) -> Noted {
        let oldest = self.oldest.swap(NONE, Ordering::Relaxed);
        let producers = self
            .producers
            .as_ref()
            .map(|producers| std::mem::take(&mut *producers.lock().unwrap_or_else(PoisonError::into_inner)));
        Noted {
            oldest: (oldest != NONE).then_some(oldest),
            flush: Duration::from_nanos(self.flush.swap(0, Ordering::Relaxed)),
            producers: producers.unwrap_or_default(),
        }
    }
}

/// Whether the flags of a `traceparent` say so. A quick look, before the slow one: most producers send the header with
/// every record and sample few.
fn is_sampled(parent: &[u8]) -> bool {
    // version-trace-parent-flags: 2, 32, 16 and 2 hex digits.
    let digit = parent.get(54).and_then(|digit| char::from(*digit).to_digit(16));
    digit.is_some_and(|digit| digit & 1 == 1)
}

#[cold]
fn note_producer(producers: &Mutex<Vec<SpanContext>>, headers: &Headers) {
    let mut producers = producers.lock().unwrap_or_else(PoisonError::into_inner);
    if producers.len() >= MOST_LINKS as usize {
        return;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(headers));
    let producer = context.span().span_context().clone();
    // A producer that sends many records under one span is one link.
    let known = |known: &SpanContext| {
        known.span_id() == producer.span_id() && known.trace_id() == producer.trace_id()
    };
    if producer.is_valid() && !producers.iter().any(known) {
        producers.push(producer);
    }
}

/// Headers of a record as the propagator of W3C reads them.
struct Carrier<'a>(&'a Headers);

impl Extractor for Carrier<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).filter(|value| value.len() <= MOST_STATE)?;
        std::str::from_utf8(value).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// A task whose records are noted.
#[derive(Debug)]
pub struct Observed<T> {
    task: T,
    notes: Arc<Notes>,
}

impl<T> Observed<T> {
    /// The task, observed.
    pub fn new(task: T, notes: Arc<Notes>) -> Self {
        Observed { task, notes }
    }

    /// The task.
    pub fn inner(&self) -> &T {
        &self.task
    }

    /// The task, to tell it what the lane knows.
    pub fn inner_mut(&mut self) -> &mut T {
        &mut self.task
    }
}

// A method that is not passed on would be the default one, whatever the task does.
#[deny(clippy::missing_trait_methods)]
impl<T: Task> Task for Observed<T> {
    type Effect = T::Effect;

    fn ready(&mut self, record: &Record<'_>) -> Readiness {
        self.task.ready(record)
    }

    fn process(&mut self, record: &Record<'_>, step: &mut Step<T::Effect>) -> Result<(), Unreadable> {
        self.notes.note(record);
        self.task.process(record, step)
    }

    fn advance(&mut self, step: &mut Step<T::Effect>) {
        self.task.advance(step);
    }

    fn flush(&mut self, step: &mut Step<T::Effect>) {
        let begun = Instant::now();
        self.task.flush(step);
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.notes.flush.fetch_add(nanos, Ordering::Relaxed);
    }

    fn committed(&mut self) {
        self.task.committed();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.task.aborted()
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        self.task.changelogs()
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        self.task.restore(record)
    }

    fn arrival(&mut self, record: &Record<'_>) -> Millis {
        self.task.arrival(record)
    }

    fn rank(&self, record: &Record<'_>) -> usize {
        self.task.rank(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catchment_runtime::{Offset, TopicId};
    use opentelemetry::trace::{SpanId, TraceId};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn noted(traced: bool, records: &[(Millis, &[(&str, &str)])]) -> Noted {
        let notes = Notes::new(traced);
        for (append_time, headers) in records {
            let mut all = Headers::default();
            headers.iter().for_each(|(name, value)| all.push(*name, value.as_bytes()));
            notes.note(&Record {
                topic: TopicId(0),
                partition: 0,
                offset: Offset(0),
                append_time: *append_time,
                key: None,
                value: None,
                headers: &all,
            });
        }
        let noted = notes.take();
        assert_eq!(notes.take(), Noted::default(), "what was taken is gone");
        noted
    }

    #[test]
    fn the_oldest_record_of_a_step_is_known() {
        assert_eq!(noted(false, &[]).oldest, None);
        assert_eq!(noted(false, &[(7, &[]), (3, &[]), (9, &[])]).oldest, Some(3));
        assert_eq!(noted(false, &[(-5, &[]), (0, &[])]).oldest, Some(-5));
    }

    #[test]
    fn a_sampled_producer_is_linked_once() {
        let sampled: &[(&str, &str)] = &[("x", "y"), ("traceparent", PARENT), ("tracestate", "shop=1")];
        let producers = noted(true, &[(0, sampled), (1, &[]), (2, sampled)]).producers;
        assert_eq!(producers.len(), 1);
        assert_eq!(producers[0].trace_id(), TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap());
        assert_eq!(producers[0].span_id(), SpanId::from_hex("b7ad6b7169203331").unwrap());
        assert_eq!(producers[0].trace_state().header(), "shop=1");
        assert!(producers[0].is_remote() && producers[0].is_sampled());
        assert!(noted(false, &[(0, sampled)]).producers.is_empty(), "nobody wants to know");
    }

    #[test]
    fn other_headers_are_passed_over() {
        let not_sampled = PARENT.replace("-01", "-00");
        let (upper, zero) =
            (PARENT.replace("0af7", "0AF7"), format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)));
        let long = format!("{PARENT}-{}", "x".repeat(600));
        for parent in
            [not_sampled.as_str(), &upper, &zero, &long, "", "01", "00-1-1-01", "\u{1f980}", &"1".repeat(55)]
        {
            assert!(noted(true, &[(0, &[("traceparent", parent)])]).producers.is_empty(), "{parent}");
        }
        let long: &str = &"x=1,".repeat(200);
        let producers = noted(true, &[(0, &[("traceparent", PARENT), ("tracestate", long)])]).producers;
        assert_eq!(
            producers[0].trace_state().header(),
            "",
            "a state that is too long is left out, not the link"
        );
        // Bit 0 of the flags is the sampled one, whatever else is set.
        for (flags, sampled) in [("03", true), ("ff", true), ("0b", true), ("02", false), ("0a", false)] {
            assert_eq!(
                is_sampled(PARENT.replace("-01", &format!("-{flags}")).as_bytes()),
                sampled,
                "{flags}"
            );
        }
    }

    #[test]
    fn links_are_bounded() {
        let parents: Vec<String> = (1..=200).map(|n| PARENT.replace("3331", &format!("{n:04x}"))).collect();
        let headers: Vec<[(&str, &str); 1]> =
            parents.iter().map(|parent| [("traceparent", parent.as_str())]).collect();
        let records: Vec<(Millis, &[(&str, &str)])> =
            headers.iter().map(|headers| (0, headers.as_slice())).collect();
        assert_eq!(noted(true, &records).producers.len(), 128);
    }
}
