//! A span for a step, made only when somebody will look at it.
//!
//! A step is sampled if one of its records comes from a producer whose trace is sampled, or by its number. The span links
//! to the producers (a batch has many parents, so it can have none), under the names of OpenTelemetry's conventions for
//! messaging.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use catchment_connectors::otlp::{Fate, Otlp, OtlpSettings};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use crate::config;
use crate::metrics as names;

/// Traces of the process. Dropped, it sends what waits, for at most five seconds: drop it when all lanes have ended.
#[derive(Debug)]
pub struct Traces {
    otlp: Otlp,
    one_in: u32,
}

impl Traces {
    /// Traces as configured; none where no receiver is.
    ///
    /// # Errors
    /// The receiver's URL can't be used. A receiver that does not answer is no error.
    pub fn start(config: &config::Traces, instance: &str) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let settings = OtlpSettings {
            endpoint: endpoint.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: instance.to_owned(),
        };
        let [sent, dropped] =
            ["sent", "dropped"].map(|outcome| metrics::counter!(names::TRACE_SPANS, "outcome" => outcome));
        let count = move |fate, spans: usize| {
            let counter = match fate {
                Fate::Sent => &sent,
                Fate::Dropped => &dropped,
            };
            counter.increment(u64::try_from(spans).unwrap_or(u64::MAX));
        };
        let otlp = Otlp::start(&settings, &(Arc::new(count) as _)).context("`traces.endpoint`")?;
        Ok(Some(Traces { otlp, one_in: config.one_in }))
    }

    /// Spans of the steps of one lane.
    #[must_use]
    pub fn steps(&self, role: &str, lane: u16, group: &str, topics: &[&str]) -> StepSpans {
        let mut attributes = vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.consumer.group.name", group.to_owned()),
            KeyValue::new("catchment.role", role.to_owned()),
            KeyValue::new("catchment.lane", i64::from(lane)),
        ];
        // A span of several topics has no one destination.
        let name = match topics {
            [topic] => {
                attributes.push(KeyValue::new("messaging.destination.name", (*topic).to_owned()));
                format!("process {topic}")
            }
            _ => "process".to_owned(),
        };
        StepSpans { tracer: self.otlp.tracer(), name, attributes, one_in: self.one_in, unsampled: 0 }
    }
}

/// A step that has ended.
#[derive(Debug)]
pub struct TracedStep {
    /// When it began.
    pub start: SystemTime,
    /// Records that it read.
    pub records: usize,
    /// Producers of its records whose traces are sampled.
    pub producers: Vec<SpanContext>,
    /// Why it was not committed: a word, and what the log said.
    pub failure: Option<(&'static str, String)>,
}

/// Makes the spans of one lane's steps.
#[derive(Debug)]
pub struct StepSpans {
    tracer: SdkTracer,
    name: String,
    attributes: Vec<KeyValue>,
    one_in: u32,
    /// Steps since the last one that was sampled by its number.
    unsampled: u32,
}

impl StepSpans {
    /// The span of a step that ends now, if the step is sampled.
    pub fn ended(&mut self, step: TracedStep) {
        let (sampled, unsampled) = sample(step.producers.len(), self.one_in, self.unsampled);
        self.unsampled = unsampled;
        if !sampled {
            return;
        }
        let count = i64::try_from(step.records).unwrap_or(i64::MAX);
        let mut attributes = self.attributes.clone();
        attributes.push(KeyValue::new("messaging.batch.message_count", count));
        if let Some((error, _)) = &step.failure {
            attributes.push(KeyValue::new("error.type", *error));
        }
        let links = step.producers.into_iter().map(|producer| Link::new(producer, Vec::new(), 0));
        let span = SpanBuilder::from_name(self.name.clone())
            .with_kind(SpanKind::Consumer)
            .with_start_time(step.start)
            .with_attributes(attributes)
            .with_links(links.collect());
        // Not below what this thread happens to do.
        let mut span = self.tracer.build_with_context(span, &opentelemetry::Context::new());
        if let Some((_, reason)) = step.failure {
            span.set_status(Status::error(reason));
        }
        span.end();
    }
}

/// Whether a step is sampled, and how many were not, in a row, after it.
fn sample(producers: usize, one_in: u32, unsampled: u32) -> (bool, u32) {
    if producers > 0 {
        return (true, unsampled);
    }
    match (unsampled + 1).checked_rem(one_in) {
        Some(0) => (true, 0),
        Some(_) => (false, unsampled + 1),
        None => (false, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_sampled_by_its_producers_or_by_its_number() {
        let mut unsampled = 0;
        let mut steps = |producers: &[usize], one_in| -> Vec<bool> {
            unsampled = 0;
            let next = |producers: &usize| {
                let (sampled, after) = sample(*producers, one_in, unsampled);
                unsampled = after;
                sampled
            };
            producers.iter().map(next).collect()
        };
        assert_eq!(steps(&[0, 0, 0, 0, 0, 0], 3), [false, false, true, false, false, true]);
        assert_eq!(steps(&[0, 5, 0, 0, 0], 3), [false, true, false, true, false], "others are not counted");
        assert_eq!(steps(&[0, 1, 0], 0), [false, true, false], "0 is none");
        assert_eq!(steps(&[0, 0], 1), [true, true]);
    }

    #[test]
    fn nothing_is_traced_without_a_receiver() {
        let config = config::Traces { endpoint: None, one_in: 1 };
        assert!(Traces::start(&config, "here").unwrap().is_none());
    }
}
