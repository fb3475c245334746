//! The same roles on the embedded log, in this process and one thread: needs nothing, and bounds what is ours alone.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;
use std::{fs, process};

use anyhow::Context as _;
use catchment_domain::KeySecret;

use super::BenchArgs;
use super::job::{Job, Work};
use super::load::{Load, LoadSpec};
use super::process::cpu_of;
use super::report::{Report, Throughput};
use crate::definitions::Definitions;
use crate::sandbox::{Engine, Feed};
use crate::stop::Stop;

/// Measures what can be measured without Kafka: the work of the roles.
pub(super) fn run(args: &BenchArgs, directory: &Path, say: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
    let spec =
        LoadSpec { events: args.events(), customers: args.customers, seed: args.seed, ..LoadSpec::default() };
    let job = Job {
        brokers: "none:0".to_owned(),
        app: "bench".to_owned(),
        raw: "raw".to_owned(),
        partitions: args.partitions,
        publish: args.publish.word().to_owned(),
        shift: 0,
        work: Work::Roles,
    };
    job.write(directory)?;
    say("making the load");
    let mut load = Load::new(spec);
    let input = fs::File::create(directory.join("bench.ndjson")).context("the load can't be written")?;
    let mut input = std::io::BufWriter::new(input);
    for record in load.by_ref() {
        writeln!(input, "{}", record.value)?;
    }
    input.flush()?;
    let config = job.config(directory)?;
    let mut engine = Engine::new(&config, Definitions::load(&config)?, KeySecret::PUBLISHED)?;
    let mut feed = Feed::open(&config, directory)?;
    say("throughput: both roles");
    let (start, cpu) = (Instant::now(), cpu_of(process::id())?);
    engine.run(&mut feed, &mut |_| {}, &Stop::never())?;
    let mut report = Report::new(args, &spec);
    report.load = Some(load.counts());
    report.throughput = Some(Throughput {
        events: spec.events,
        wall: start.elapsed(),
        cpu: cpu_of(process::id())? - cpu,
        warm: None,
        peak: super::process::peak_of(process::id())?,
        broker_cpu: None,
    });
    Ok(report)
}
