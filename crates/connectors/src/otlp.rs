//! Traces to a receiver of OTLP, over HTTP with protobuf.
//!
//! Spans are handed to the batch processor of the OpenTelemetry SDK, whose thread sends them. Who ends a span never waits:
//! what does not fit into the queue is dropped and counted, and so is what the receiver did not take. Headers for the
//! receiver, such as a token, come from the standard variable `OTEL_EXPORTER_OTLP_HEADERS`, and more attributes of the
//! resource from `OTEL_RESOURCE_ATTRIBUTES`.

mod bounded;
mod sender;

use bounded::Bounded;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use sender::Sender;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Most links of a span; what is above is not kept.
pub const MOST_LINKS: u32 = 128;

/// Most spans that wait to be sent.
const QUEUE: usize = 2_048;

/// Most spans in one request.
const BATCH: usize = 512;

/// How long a span waits for others to be sent with.
const DELAY: Duration = Duration::from_secs(1);

/// Bound of a request, its repetitions included.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Bound of the last requests when traces are stopped.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The receiver took them.
    Sent,
    /// They are lost: too many at once, or the receiver did not take them.
    Dropped,
}

/// Counts spans by their fate. Called from several threads.
pub type Count = Arc<dyn Fn(Fate, usize) + Send + Sync>;

/// Where traces go, and who sends them.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// URL of the receiver. `/v1/traces` is added, unless it is there.
    pub endpoint: String,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`: this process among those of the service.
    pub instance: String,
}

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The HTTP client can't be made: certificates of the system, or a proxy of the environment.
    #[error("no HTTP client for traces: {0}")]
    Client(#[from] reqwest::Error),
    /// The endpoint is no URL, or a variable `OTEL_EXPORTER_OTLP_…` asks for what there is not.
    #[error("traces to {endpoint}: {reason}")]
    Exporter {
        /// Where they were to go.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// The operating system gives no way to wait for answers.
    #[error("traces can't be sent: {0}")]
    Start(#[from] io::Error),
}

/// The way of spans to the receiver. Dropped, it sends what waits, for at most five seconds.
pub struct Otlp {
    provider: SdkTracerProvider,
}

impl Otlp {
    /// Opens the way. Nothing is asked of the receiver yet: one that is down costs spans, not the start.
    ///
    /// # Errors
    /// See [`OtlpError`].
    pub fn start(settings: &OtlpSettings, count: &Count) -> Result<Self, OtlpError> {
        let endpoint = traces_url(&settings.endpoint);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client(&endpoint)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&endpoint)
            .with_timeout(TIMEOUT)
            .build();
        let exporter = exporter
            .map_err(|error| OtlpError::Exporter { endpoint: endpoint.clone(), reason: error.to_string() })?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let sender = Sender::new(exporter, endpoint, Arc::clone(&waiting), Arc::clone(count))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(sender).with_batch_config(batches).build();
        let resource = Resource::builder().with_attributes([
            KeyValue::new("service.name", "catchment"),
            KeyValue::new("service.version", settings.version.clone()),
            KeyValue::new("service.instance.id", settings.instance.clone()),
        ]);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded::new(processor, QUEUE, waiting, Arc::clone(count)))
            // Who makes a span has decided already.
            .with_sampler(Sampler::AlwaysOn)
            .with_max_links_per_span(MOST_LINKS)
            .with_resource(resource.build())
            .build();
        Ok(Otlp { provider })
    }

    /// What makes spans.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("catchment")
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_SPANS) {
            tracing::debug!(%error, "not all spans were sent");
        }
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").finish_non_exhaustive()
    }
}

/// As the specification of OTLP builds it from the base.
fn traces_url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

fn client(endpoint: &str) -> Result<reqwest::Client, reqwest::Error> {
    // TLS by ring for the whole process; whoever comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        // The runtime sleeps between two requests, and would not see that the receiver closed a connection.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("catchment/", env!("CARGO_PKG_VERSION")));
    if endpoint.starts_with("http://") {
        // Else an image without certificates could not even send without TLS.
        client = client.tls_certs_only([]);
    }
    client.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_known_by_its_base() {
        for (endpoint, url) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://collector/otlp", "https://collector/otlp/v1/traces"),
            ("https://collector/v1/traces", "https://collector/v1/traces"),
        ] {
            assert_eq!(traces_url(endpoint), url);
        }
    }

    #[test]
    fn clients_are_made_with_and_without_tls() {
        for endpoint in ["http://collector:4318", "https://collector:4318"] {
            drop(client(endpoint).unwrap());
        }
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_named() {
        let settings = OtlpSettings {
            endpoint: "http://col lector".to_owned(),
            version: "1".to_owned(),
            instance: "here".to_owned(),
        };
        let count: Count = Arc::new(|_, _| {});
        let error = Otlp::start(&settings, &count).unwrap_err().to_string();
        assert!(error.starts_with("traces to http://col lector/v1/traces: "), "{error}");
    }
}
