//! An exporter that waits for its asynchronous client in the thread of the batch processor, counts, and says once a minute
//! what goes wrong.

use super::{Count, Fate};
use crate::retry::Backoff;
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Sends batches.
pub(super) struct Sender {
    exporter: OtlpExporter,
    endpoint: String,
    /// The processor's thread is a plain one, and the client needs a reactor.
    runtime: Runtime,
    waiting: Arc<AtomicUsize>,
    count: Count,
    /// Says when a trouble is worth a line; the waiting is done by the exporter, within a batch.
    trouble: Mutex<Backoff>,
}

impl Sender {
    pub(super) fn new(
        exporter: OtlpExporter,
        endpoint: String,
        waiting: Arc<AtomicUsize>,
        count: Count,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let trouble = Mutex::new(Backoff::new(Duration::from_secs(1), Duration::from_secs(60)));
        Ok(Sender { exporter, endpoint, runtime, waiting, count, trouble })
    }
}

impl SpanExporter for Sender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::AcqRel);
        let result = self.runtime.block_on(self.exporter.export(batch));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(()) => {
                trouble.reset();
                (self.count)(Fate::Sent, spans);
            }
            Err(error) => {
                (self.count)(Fate::Dropped, spans);
                if trouble.is_worth_saying() {
                    tracing::warn!(spans, endpoint = self.endpoint, %error, "the receiver took no spans: they are dropped");
                }
            }
        }
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
