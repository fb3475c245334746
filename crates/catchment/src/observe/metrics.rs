//! The recorder of the process, and the page that it makes of what was recorded.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::process;
use crate::metrics::{self as table, Kind};

/// How often what was recorded for distributions is counted into their buckets. Until then each value takes memory,
/// also where nobody asks for the page.
const UPKEEP: Duration = Duration::from_secs(5);

/// The type of the page: Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// What was recorded; clones show the same.
#[derive(Clone)]
pub struct Rendered {
    handle: PrometheusHandle,
    /// Its end tells the thread of the upkeep that nobody asks any more.
    _upkeep: Arc<Sender<()>>,
}

impl Rendered {
    /// The page as of now, with the metrics of the process.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = self.handle.render();
        process::render(&process::read(), &mut page);
        page
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").finish_non_exhaustive()
    }
}

/// From now on the process records metrics.
///
/// # Errors
/// Something records them already, or there can be no more threads.
pub fn install() -> anyhow::Result<Rendered> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).context("metrics are recorded already")?;
    start(handle)
}

/// A recorder with the buckets of the table, for [`install`], and for tests that record for themselves.
///
/// # Errors
/// Buckets that the exporter refuses.
pub fn recorder() -> anyhow::Result<PrometheusRecorder> {
    let mut builder = PrometheusBuilder::new();
    for metric in table::ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, buckets.bounds())?;
        }
    }
    Ok(builder.build_recorder())
}

/// Says what the metrics mean to the recorder in force, and keeps it tidy.
pub(super) fn start(handle: PrometheusHandle) -> anyhow::Result<Rendered> {
    table::describe();
    metrics::gauge!(table::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let (upkeep, ended) = mpsc::channel::<()>();
    let tidied = handle.clone();
    let tidy = move || {
        while ended.recv_timeout(UPKEEP) == Err(RecvTimeoutError::Timeout) {
            tidied.run_upkeep();
        }
    };
    thread::Builder::new().name("metrics".to_owned()).spawn(tidy).context("no thread for the metrics")?;
    Ok(Rendered { handle, _upkeep: Arc::new(upkeep) })
}

#[cfg(test)]
pub(crate) mod tests;
