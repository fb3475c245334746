//! `docs/metrics.md`: names and labels of metrics.

use super::{code, table};
use crate::metrics::{ALL, Kind};

pub(super) fn metrics() -> anyhow::Result<String> {
    let rows = ALL.iter().map(|metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| code(label)).collect();
        [code(metric.name), kind.to_owned(), labels.join(", "), metric.help.to_owned()]
    });
    Ok(table(["metric", "kind", "labels", "meaning"], rows))
}
