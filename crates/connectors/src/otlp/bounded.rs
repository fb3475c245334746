//! A span processor that knows what it drops. The one of the SDK keeps the number to itself.

use super::{Count, Fate};
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Hands spans on as long as fewer than `most` wait, so that the queue behind it is never full.
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    most: usize,
    /// Taken from by the sender, when a batch leaves the queue.
    waiting: Arc<AtomicUsize>,
    count: Count,
}

impl Bounded {
    pub(super) fn new(
        batches: BatchSpanProcessor,
        most: usize,
        waiting: Arc<AtomicUsize>,
        count: Count,
    ) -> Self {
        Bounded { batches, most, waiting, count }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) < self.most {
            self.batches.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            (self.count)(Fate::Dropped, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("most", &self.most).finish_non_exhaustive()
    }
}
