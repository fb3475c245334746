//! What was measured, as a table and as JSON.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::check::Outputs;
use super::latency::Latency;
use super::load::{LoadCounts, LoadSpec};
use super::{BenchArgs, Publish};

/// A bulk of events, worked off as fast as it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Throughput {
    /// Raw records.
    pub(super) events: u64,
    /// From the first commit to the one that covers all.
    pub(super) wall: Duration,
    /// CPU seconds of the process, from its start.
    pub(super) cpu: f64,
    /// The last four fifths: records of the slower hop, wall time, CPU seconds.
    pub(super) warm: Option<(u64, Duration, f64)>,
    /// The most memory in RAM, in bytes.
    pub(super) peak: u64,
    /// CPU seconds of the broker meanwhile.
    pub(super) broker_cpu: Option<f64>,
}

/// A start without any state at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Restore {
    /// Records of the changelogs, by their offsets.
    pub(super) records: u64,
    /// From the start of the process until it serves.
    pub(super) wall: Duration,
    /// Of that, reading state back.
    pub(super) restoring: Option<f64>,
    /// CPU seconds until it served.
    pub(super) cpu: f64,
}

impl Throughput {
    pub(super) fn per_second(&self) -> f64 {
        ratio(self.events, self.wall.as_secs_f64())
    }

    fn per_cpu_second(&self) -> f64 {
        ratio(self.events, self.cpu)
    }

    fn json(&self) -> Value {
        json!({
            "events": self.events,
            "wall_s": round(self.wall.as_secs_f64(), 3),
            "cpu_s": round(self.cpu, 2),
            "per_s": self.per_second().round(),
            "per_cpu_s": self.per_cpu_second().round(),
            "warm_per_s": self.warm.map(|(events, wall, _)| ratio(events, wall.as_secs_f64()).round()),
            "warm_per_cpu_s": self.warm.map(|(events, _, cpu)| ratio(events, cpu).round()),
            "peak_rss_mb": self.peak / 1_000_000,
            "broker_cpu_s": self.broker_cpu.map(|seconds| round(seconds, 2)),
        })
    }

    fn row(&self, name: &str) -> [String; 7] {
        let whole = |value: f64| format!("{value:.0}");
        let or_dash = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        [
            name.to_owned(),
            whole(self.per_second()),
            whole(self.per_cpu_second()),
            or_dash(self.warm.map(|(events, wall, _)| ratio(events, wall.as_secs_f64())), 0),
            or_dash(self.warm.map(|(events, _, cpu)| ratio(events, cpu)), 0),
            (self.peak / 1_000_000).to_string(),
            or_dash(self.broker_cpu, 2),
        ]
    }
}

/// All that was measured.
#[derive(Clone, Debug)]
pub(super) struct Report {
    on: &'static str,
    publish: Publish,
    customers: u32,
    seed: u64,
    pub(super) load: Option<LoadCounts>,
    pub(super) ceiling: Option<Throughput>,
    pub(super) throughput: Option<Throughput>,
    pub(super) outputs: Option<Outputs>,
    pub(super) restore: Option<Restore>,
    pub(super) latency: Option<Vec<(String, Latency)>>,
}

impl Report {
    pub(super) fn new(args: &BenchArgs, spec: &LoadSpec) -> Self {
        Report {
            on: if args.brokers.is_some() { "kafka" } else { "embedded" },
            publish: args.publish,
            customers: spec.customers,
            seed: spec.seed,
            load: None,
            ceiling: None,
            throughput: None,
            outputs: None,
            restore: None,
            latency: None,
        }
    }

    /// What does not add up; empty if nothing was lost and nothing doubled, as far as the counts tell.
    pub(super) fn faults(&self) -> Vec<String> {
        let (Some(outputs), Some(throughput)) = (&self.outputs, &self.throughput) else { return Vec::new() };
        let mut faults = Vec::new();
        let mut equal = |what: &str, found: u64, expected: u64| {
            if found != expected {
                faults.push(format!("{what}: {found}, expected {expected}"));
            }
        };
        let (events, letters) = (outputs.events, outputs.dead_letters);
        equal("events and dead letters together", events + letters, throughput.events);
        if let Some(load) = &self.load {
            equal("dead letters", letters, load.malformed);
            equal("events counted in profiles", outputs.applied, load.new);
        }
        faults
    }

    pub(super) fn json(&self) -> Value {
        let restore = |restore: &Restore| {
            json!({
                "records": restore.records,
                "wall_s": round(restore.wall.as_secs_f64(), 3),
                "restoring_s": restore.restoring.map(|seconds| round(seconds, 3)),
                "records_per_s": restore.restoring.map(|seconds| ratio(restore.records, seconds).round()),
                "cpu_s": round(restore.cpu, 2),
            })
        };
        let latency = |all: &Vec<(String, Latency)>| -> Value {
            all.iter()
                .map(|(topic, latency)| (topic.clone(), json!(latency)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "on": self.on,
            "publish": self.publish.word(),
            "customers": self.customers,
            "seed": self.seed,
            "load": self.load.map(|load| json!({"new": load.new, "copies": load.copies, "malformed": load.malformed})),
            "ceiling": self.ceiling.as_ref().map(Throughput::json),
            "throughput": self.throughput.as_ref().map(Throughput::json),
            "outputs": self.outputs,
            "bytes_per_profile": self.bytes_per_profile(),
            "restore": self.restore.as_ref().map(restore),
            "latency_ms": self.latency.as_ref().map(latency),
            "faults": self.faults(),
        })
    }

    fn bytes_per_profile(&self) -> Option<u64> {
        self.outputs.map(|outputs| outputs.profile_bytes / outputs.customers.max(1))
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!("On {}, profiles published per {}.\n\n", self.on, self.publish.word());
        let head = ["", "events/s", "events/CPU-s", "warm/s", "warm/CPU-s", "peak MB", "broker CPU-s"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.ceiling.iter().map(|ceiling| ceiling.row("copy, one hop")));
        rows.extend(self.throughput.iter().map(|throughput| throughput.row("both roles")));
        if rows.len() > 1 {
            text.push_str(&columns(&rows));
        }
        if let Some(outputs) = &self.outputs {
            let Outputs { events, dead_letters, applied, customers, decisions, triggers, .. } = *outputs;
            text.push_str(&format!(
                "\n{events} events, of which {applied} are counted in {customers} profiles and {} were duplicates; \
                 {dead_letters} dead letters, {decisions} decisions, {triggers} triggers.\n\
                 {} profile records; a profile has {} bytes.\n",
                events.saturating_sub(applied),
                outputs.profile_records,
                self.bytes_per_profile().unwrap_or(0),
            ));
        }
        if let Some(Restore { records, wall, restoring, .. }) = self.restore {
            let of_that =
                restoring.map_or(String::new(), |seconds| format!(", {seconds:.2} s of that reading"));
            text.push_str(&format!(
                "\nKilled and started again: served after {:.2} s{of_that}, {records} records.\n",
                wall.as_secs_f64()
            ));
        }
        for (topic, latency) in self.latency.iter().flatten() {
            let Latency { records, p50, p90, p99, max } = latency;
            text.push_str(&format!(
                "\n{topic}: p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, max {max} ms from event to committed record ({records} records).\n"
            ));
        }
        for fault in self.faults() {
            text.push_str(&format!("\nWRONG: {fault}\n"));
        }
        text
    }
}

/// Rows of equal columns; all but the first stand right.
fn columns(rows: &[[String; 7]]) -> String {
    let mut widths = [0; 7];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (place, (width, cell)) in widths.iter().zip(row).enumerate() {
            text.push_str(&if place == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") });
        }
        text.push('\n');
    }
    text
}

/// What a process said in its log about how long it read its state back; the last one counts.
pub(super) fn restored_seconds(log: &Path) -> anyhow::Result<Option<f64>> {
    let text = fs::read_to_string(log).context("the log can't be read")?;
    let lines = text.lines().filter(|line| line.contains("the state is restored"));
    let last = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).next_back();
    let seconds = |line: &Value| line.get("seconds").or_else(|| line.get("fields")?.get("seconds"))?.as_f64();
    Ok(last.as_ref().and_then(seconds))
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn ratio(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn round(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}
