//! `catchment bench`: what the roles cost, beside what the client alone costs.
//!
//! On Kafka the roles run in a process of their own, as `run` runs them, and are looked at from outside: how far their
//! groups have committed, how much CPU and memory they took, what a consumer finds. In the same run a copy of the raw
//! topic, by the same client with nothing decided, says what no pipeline can be faster than.

mod check;
mod embedded;
mod job;
mod kafka;
mod latency;
pub mod load;
mod process;
mod report;
mod worker;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::out::Out;

#[derive(clap::Args, Debug)]
pub(crate) struct BenchArgs {
    /// Kafka to measure on, as `host:port`; the embedded log where it is absent
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,
    /// Events to make [default: 1000000, on the embedded log 200000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    events: Option<u64>,
    /// Customers that the events are of, a few busy and most seldom seen
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// The same seed gives the same events
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Partitions of the topics
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    partitions: u16,
    /// When a changed profile is published
    #[arg(long, value_name = "WHEN", default_value = "step")]
    publish: Publish,
    /// Read this topic of calls of Segment's specification instead of making events; it is left as it is
    #[arg(long, value_name = "TOPIC", requires = "brokers")]
    topic: Option<String>,
    /// What to measure
    #[arg(
        long,
        value_name = "PARTS",
        value_delimiter = ',',
        default_value = "ceiling,throughput,restore,latency"
    )]
    parts: Vec<Part>,
    /// Events a second of the latency part [default: half of what the throughput part reached]
    #[arg(long, value_name = "COUNT")]
    rate: Option<u64>,
    /// Length of the latency part
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    seconds: u64,
    /// Process of the broker, if it is on this machine: its CPU is shown beside
    #[arg(long, value_name = "PID", requires = "brokers")]
    broker_pid: Option<u32>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Be the process that is measured
    #[arg(long, hide = true)]
    worker: Option<PathBuf>,
}

/// When a changed profile is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Publish {
    /// Once a step, with its last state
    Step,
    /// After every event
    Event,
}

impl Publish {
    fn word(self) -> &'static str {
        match self {
            Publish::Step => "step",
            Publish::Event => "event",
        }
    }
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// A copy of the raw topic, with nothing decided
    Ceiling,
    /// Both roles, as fast as they go
    Throughput,
    /// Both roles killed, and started again without local state
    Restore,
    /// Both roles at a steady pace: from event to committed trigger and profile
    Latency,
}

impl BenchArgs {
    fn events(&self) -> u64 {
        self.events.unwrap_or(if self.brokers.is_some() { 1_000_000 } else { 200_000 })
    }

    /// Whether this is the process that is measured, which logs as its job says.
    pub(crate) fn is_worker(&self) -> bool {
        self.worker.is_some()
    }

    fn measures(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

/// Measures, and prints what came out.
///
/// # Errors
/// Kafka or the disk fails, or the counts of a run do not add up.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    if let Some(directory) = &args.worker {
        return worker::run(directory);
    }
    let directory = tempfile::tempdir().context("no temporary directory can be made")?;
    let mut say = |what: &str| tracing::info!("{what}");
    let report = match &args.brokers {
        Some(brokers) => kafka::Bench::new(args, directory.path(), brokers)?.run(&mut say),
        None => embedded::run(args, directory.path(), &mut say),
    };
    let report = report.map_err(|error| with_log(error, directory.path()))?;
    let mut out = Out::stdout();
    if args.json {
        out.line(report.json())?;
    } else {
        out.text(&report.table())?;
    }
    let faults = report.faults();
    anyhow::ensure!(faults.is_empty(), "the counts do not add up: {}", faults.join("; "));
    Ok(())
}

/// The last that the measured process said, which is gone with its directory.
fn with_log(error: anyhow::Error, directory: &std::path::Path) -> anyhow::Error {
    let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].join("\n");
    if last.is_empty() { error } else { error.context(format!("the process said:\n{last}")) }
}
