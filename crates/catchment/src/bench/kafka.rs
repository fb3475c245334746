//! The parts of a benchmark on Kafka, one after the other, each with topics of its own making.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use catchment_connectors::kafka::{
    Cluster, Inspector, NamedPartition, Place, RawProducer, RawRecord, TopicAdmin, View,
};
use catchment_contracts::topics;
use catchment_domain::Millis;
use catchment_pipeline::topology::Topology;

use super::check::{Outputs, count};
use super::job::{Job, PREFIX, Work};
use super::latency::{self, Latency};
use super::load::{Load, LoadSpec};
use super::process::{Process, cpu_of};
use super::report::{Report, Restore, Throughput};
use super::{BenchArgs, Part};
use crate::config::Config;
use crate::connect;

/// Longest wait for one answer of Kafka.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait for a process to be ready, and for progress.
const STUCK: Duration = Duration::from_secs(120);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// Part of the events after which a process counts as warm.
const WARM: f64 = 0.2;
/// Offsets at the end of a partition that need not be read: markers of transactions, and watermarks still under way.
const TRAIL: i64 = 16;

/// A benchmark on Kafka.
pub(super) struct Bench<'a> {
    args: &'a BenchArgs,
    directory: &'a Path,
    job: Job,
    config: Config,
    topology: Topology,
    cluster: Cluster,
    spec: LoadSpec,
}

impl<'a> Bench<'a> {
    /// Prepares what is measured; Kafka is asked, not written to.
    pub(super) fn new(args: &'a BenchArgs, directory: &'a Path, brokers: &str) -> anyhow::Result<Self> {
        let now = now();
        let mut job = Job {
            brokers: brokers.to_owned(),
            app: format!("bench-{now}"),
            raw: args.topic.clone().unwrap_or_else(|| format!("{PREFIX}raw")),
            partitions: args.partitions,
            publish: args.publish.word().to_owned(),
            shift: 0,
            work: Work::Roles,
        };
        job.write(directory)?;
        let cluster = connect::cluster(&job.config(directory)?.kafka)?;
        if let Some(topic) = &args.topic {
            let inspector = Inspector::new(&cluster, None, View::Committed, PATIENCE)?;
            let found = inspector.partitions([topic.as_str()])?;
            let partitions = found.get(topic).with_context(|| format!("there is no topic {topic}"))?;
            job.partitions = u16::try_from(*partitions)?;
        }
        job.write(directory)?;
        let config = job.config(directory)?;
        let topology = job.topology(&config)?;
        // Events end about now, so that a wall clock fits them.
        let span = i64::try_from(args.events()).unwrap_or(i64::MAX).saturating_mul(200);
        let spec = LoadSpec {
            events: args.events(),
            customers: args.customers,
            seed: args.seed,
            start: now.saturating_sub(span),
            step: 200,
        };
        Ok(Bench { args, directory, job, config, topology, cluster, spec })
    }

    /// Measures what was asked for.
    pub(super) fn run(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
        let mut report = Report::new(self.args, &self.spec);
        self.delete_topics()?;
        let outcome = self.measure(&mut report, say);
        let cleared = self.delete_topics();
        outcome.and(cleared).map(|()| report)
    }

    fn measure(&mut self, report: &mut Report, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        self.make_topics(true)?;
        if self.args.topic.is_none() {
            say("making the load");
            let mut load = Load::new(self.spec);
            self.send(&mut load)?;
            report.load = Some(load.counts());
        } else {
            self.job.shift = self.shift()?;
        }
        if self.args.measures(Part::Ceiling) {
            say("ceiling: a copy of the raw topic");
            report.ceiling = Some(self.throughput(Work::Copy)?.0);
        }
        if !self.args.parts.iter().any(|part| *part != Part::Ceiling) {
            return Ok(());
        }
        say("throughput: both roles");
        let (throughput, process) = self.throughput(Work::Roles)?;
        report.throughput = Some(throughput);
        say("counting what came of it");
        report.outputs = Some(self.outputs()?);
        if self.args.measures(Part::Restore) {
            say("restore: killed, and started again");
            process.kill()?;
            let (restore, process) = self.restore()?;
            report.restore = Some(restore);
            self.paced(report, process, say)
        } else {
            self.paced(report, process, say)
        }
    }

    /// The paced part, if it was asked for.
    fn paced(&self, report: &mut Report, process: Process, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        if self.args.measures(Part::Latency) && self.args.topic.is_none() {
            let half = report.throughput.as_ref().map_or(0.0, |throughput| throughput.per_second() / 2.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
            let rate = self.args.rate.unwrap_or((half as u64).max(1_000)).max(1);
            say(&format!("latency: {rate} events a second for {} s", self.args.seconds));
            report.latency = Some(self.latency(rate)?);
        }
        drop(process);
        Ok(())
    }

    // ---- topics ----

    /// All topics of the job, empty; the raw one only with `raw`.
    fn make_topics(&self, raw: bool) -> anyhow::Result<()> {
        let mut wanted = self.job.wanted(&self.config, &self.topology);
        wanted.retain(|topic| topic.name != self.job.raw || (raw && self.args.topic.is_none()));
        TopicAdmin::new(&self.cluster, PATIENCE)?.create(&wanted)?;
        Ok(())
    }

    /// What this and former runs have made.
    fn delete_topics(&self) -> anyhow::Result<()> {
        let inspector = Inspector::new(&self.cluster, None, View::Committed, PATIENCE)?;
        let start = Instant::now();
        loop {
            let names = inspector.topics()?;
            let ours: Vec<&str> =
                names.iter().map(String::as_str).filter(|name| name.starts_with(PREFIX)).collect();
            if ours.is_empty() {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < PATIENCE, "topics of a former run are still there");
            // One that is being deleted may still be listed.
            let _ = TopicAdmin::new(&self.cluster, PATIENCE)?.delete(&ours);
            std::thread::sleep(LOOK);
        }
    }

    fn partitions_of(&self, topic: &str) -> Vec<NamedPartition> {
        let name = self.job.name(topic);
        (0..i32::from(self.job.partitions)).map(|number| NamedPartition::new(name.clone(), number)).collect()
    }

    /// Sends a load to the raw topic.
    fn send(&self, load: &mut Load) -> anyhow::Result<()> {
        let producer = RawProducer::new(&self.cluster)?;
        for record in load {
            producer.send(&RawRecord {
                topic: &self.job.raw,
                key: Some(record.key.as_bytes()),
                value: Some(record.value.as_bytes()),
                ..RawRecord::default()
            })?;
        }
        Ok(producer.flush(PATIENCE)?)
    }

    /// What is to be added to the time of day, so that the newest record of the raw topic is of now.
    fn shift(&self) -> anyhow::Result<Millis> {
        let raw = self.partitions_of("raw");
        let ends =
            Inspector::new(&self.cluster, None, View::Committed, PATIENCE)?.offsets(&raw, Place::End)?;
        let mut newest = None;
        for (at, end) in raw.iter().zip(ends) {
            let last = end.unwrap_or(0).saturating_sub(1);
            newest = newest.max(super::check::time_at(&self.cluster, at, last, PATIENCE)?);
        }
        Ok(newest.map_or(0, |newest: Millis| newest.saturating_sub(now())))
    }

    // ---- measuring ----

    fn start(&mut self, work: Work) -> anyhow::Result<Process> {
        self.job.work = work;
        self.job.write(self.directory)?;
        Process::start(self.directory)
    }

    /// From the start of the process to the moment at which all of its input is committed. It goes on afterwards.
    fn throughput(&mut self, work: Work) -> anyhow::Result<(Throughput, Process)> {
        let raw = self.partitions_of("raw");
        let ends = Inspector::new(&self.cluster, None, View::Uncommitted, PATIENCE)?;
        let total = sum(&ends.offsets(&raw, Place::End)?) - sum(&ends.offsets(&raw, Place::Earliest)?);
        anyhow::ensure!(total > 0, "the raw topic is empty");
        let broker = self.broker_cpu()?;
        let process = self.start(work)?;
        process.ready(STUCK)?;
        let progress = match work {
            Work::Copy => Progress::new(self, vec![("copy", raw)])?,
            Work::Roles => {
                let events = self.partitions_of(topics::CUSTOMER_EVENTS);
                Progress::new(self, vec![(topics::INGEST, raw), (topics::PROFILE, events)])?
            }
        };
        let (mut start, mut warm) = (None, None);
        let mut moved = (Instant::now(), 0);
        let end = loop {
            let done = progress.look(&ends)?;
            let sample = Sample { at: Instant::now(), cpu: process.used()?.cpu, done: done.least };
            if done.least > 0 && start.is_none() {
                start = Some(Sample { done: 0, ..sample });
            }
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let part = done.least as f64 / total as f64;
            if part >= WARM && warm.is_none() {
                warm = Some(sample);
            }
            if done.all {
                break sample;
            }
            if done.least > moved.1 {
                moved = (Instant::now(), done.least);
            }
            anyhow::ensure!(moved.0.elapsed() < STUCK, "no progress for {} s", STUCK.as_secs());
            std::thread::sleep(LOOK);
        };
        let used = process.used()?;
        let throughput = Throughput {
            events: u64::try_from(total)?,
            wall: end.at - start.unwrap_or(end).at,
            cpu: used.cpu,
            warm: warm.map(|warm| (end.done.abs_diff(warm.done), end.at - warm.at, end.cpu - warm.cpu)),
            peak: used.peak,
            broker_cpu: self.broker_cpu()?.zip(broker).map(|(after, before)| after - before),
        };
        Ok((throughput, process))
    }

    fn broker_cpu(&self) -> anyhow::Result<Option<f64>> {
        self.args.broker_pid.map(cpu_of).transpose().context("--broker-pid")
    }

    fn outputs(&self) -> anyhow::Result<Outputs> {
        let of = |topic: &str| self.partitions_of(topic);
        count(&self.cluster, of, PATIENCE)
    }

    /// Started anew, without any file of its own.
    fn restore(&mut self) -> anyhow::Result<(Restore, Process)> {
        let inspector = Inspector::new(&self.cluster, None, View::Uncommitted, PATIENCE)?;
        let mut records = 0;
        let app = self.job.app.clone();
        for topic in
            [topics::CUSTOMER_PROFILES.to_owned(), topics::profile_state(&app), topics::profile_dedup(&app)]
        {
            let partitions = self.partitions_of(&topic);
            records += sum(&inspector.offsets(&partitions, Place::End)?)
                - sum(&inspector.offsets(&partitions, Place::Earliest)?);
        }
        let process = self.start(Work::Roles)?;
        let wall = process.ready(STUCK)?;
        let used = process.used()?;
        let restoring = super::report::restored_seconds(&self.directory.join("log"))?;
        Ok((Restore { records: u64::try_from(records)?, wall, restoring, cpu: used.cpu }, process))
    }

    fn latency(&self, rate: u64) -> anyhow::Result<Vec<(String, Latency)>> {
        let watched = [topics::CAMPAIGN_TRIGGERS, topics::CUSTOMER_PROFILES];
        let partitions = watched.iter().flat_map(|topic| self.partitions_of(topic)).collect::<Vec<_>>();
        let seconds = Duration::from_secs(self.args.seconds);
        let pace = latency::Pace { rate, seconds, spec: self.spec, topic: &self.job.raw };
        latency::measure(&self.cluster, &partitions, &pace, PATIENCE)
    }
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    cpu: f64,
    done: i64,
}

/// How far groups are in their input.
struct Progress {
    groups: Vec<(Inspector, Vec<NamedPartition>)>,
    /// Where the first one ends: its input does not grow.
    end: Vec<Option<i64>>,
}

struct Done {
    /// Committed records of the group that has fewest, markers included.
    least: i64,
    all: bool,
}

impl Progress {
    fn new(bench: &Bench<'_>, groups: Vec<(&str, Vec<NamedPartition>)>) -> anyhow::Result<Self> {
        let ends = Inspector::new(&bench.cluster, None, View::Uncommitted, PATIENCE)?;
        let end = ends.offsets(groups.first().map_or(&[], |(_, of)| of.as_slice()), Place::End)?;
        let groups = groups.into_iter().map(|(role, of)| {
            let group = topics::group(&bench.job.app, role);
            Ok((Inspector::new(&bench.cluster, Some(&group), View::Uncommitted, PATIENCE)?, of))
        });
        Ok(Progress { groups: groups.collect::<anyhow::Result<_>>()?, end })
    }

    fn look(&self, ends: &Inspector) -> anyhow::Result<Done> {
        let mut done = Done { least: i64::MAX, all: true };
        for (place, (group, of)) in self.groups.iter().enumerate() {
            let committed = group.committed(of)?;
            done.least = done.least.min(sum(&committed));
            if !done.all {
                continue;
            }
            let (end, trail) =
                if place == 0 { (self.end.clone(), 0) } else { (ends.offsets(of, Place::End)?, TRAIL) };
            let mut pairs = committed.iter().zip(&end);
            done.all = pairs.all(|(read, end)| read.unwrap_or(0) + trail >= end.unwrap_or(0));
        }
        Ok(done)
    }
}

fn sum(offsets: &[Option<i64>]) -> i64 {
    offsets.iter().flatten().sum()
}

/// The time of day, in milliseconds since 1970.
pub(super) fn now() -> Millis {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
