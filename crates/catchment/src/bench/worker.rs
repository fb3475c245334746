//! The process that is measured: the roles as `run` runs them, or a copy of bytes, and nothing else.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catchment_connectors::kafka::{KafkaLane, LaneSettings};
use catchment_runtime::outbox::To;
use catchment_runtime::{
    Batch, BatchLimits, CommitOutcome, Log as _, NextOffset, Outbox, Partition, TopicId, TopicPartition,
};

use super::job::{COPY, Job, Work};
use crate::cli::LogArgs;
use crate::config::Config;
use crate::run::{Bare, run_bare};
use crate::stop::Stop;
use crate::{connect, logging, wiring};

/// What it says, a line each, on its standard output.
pub(super) const READY: &str = "ready";

/// Works until it is asked to stop; a copy also when it has nothing to copy any more.
pub(super) fn run(directory: &Path) -> anyhow::Result<()> {
    let job = Job::read(directory)?;
    let config = job.config(directory)?;
    logging::init(&LogArgs::default(), Some(&config.log));
    let stop = Stop::install()?;
    match job.work {
        Work::Copy => copy(&job, &config, &stop),
        Work::Roles => {
            let topology = job.topology(&config)?;
            let table = job.table(&topology);
            let mut is_told = false;
            run_bare(Bare { config, topology, table, shift: job.shift, stop }, |health| {
                if !is_told && health.ready().status == 200 {
                    is_told = true;
                    say(READY);
                }
            })
        }
    }
}

/// Whoever started it may be gone; then it is asked to stop, too.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The ceiling of one hop: records from one topic to another by the client that lanes use, with nothing decided.
fn copy(job: &Job, config: &Config, stop: &Stop) -> anyhow::Result<()> {
    let topology = job.topology(config)?;
    let mut table = job.table(&topology);
    let raw = topology.raw.first().copied().unwrap_or(TopicId(0));
    let to =
        table.add(catchment_runtime::record::TopicSpec { name: job.name(COPY), ..table.spec(raw).clone() });
    let mut settings = LaneSettings::new(connect::cluster(&config.kafka)?, Arc::new(table), raw);
    settings.group = format!("{}.copy", job.app);
    settings.instance = format!("{}-copy", job.app);
    settings.transactional_id = settings.group.clone();
    settings.queue_kib = u32::try_from(config.kafka.fetch_ahead.bytes() >> 10)?;
    settings.poll_wait = Duration::from_millis(100);
    let mut lane = KafkaLane::join(settings)?;
    for at in lane.assignment().to_vec() {
        lane.release(at)?;
    }
    say(READY);
    let limits = wiring::limits(config)?;
    let (mut batch, mut outbox) = (Batch::default(), Outbox::default());
    while !stop.requested() {
        let started = Instant::now();
        if !copy_step(&mut lane, &limits, to, (&mut batch, &mut outbox))? {
            let pause = config.commit.min_interval.as_duration();
            std::thread::sleep(pause.saturating_sub(started.elapsed()));
        }
    }
    Ok(())
}

/// True if there is probably more.
fn copy_step(
    lane: &mut KafkaLane,
    limits: &BatchLimits,
    to: TopicId,
    (batch, outbox): (&mut Batch, &mut Outbox),
) -> anyhow::Result<bool> {
    lane.poll(limits, batch)?;
    outbox.clear();
    let mut next: Vec<(TopicPartition, NextOffset)> = Vec::new();
    for record in batch.iter() {
        let partition: Partition = record.partition;
        outbox.push(To { topic: to, partition, time: 0 }, record.key, record.value, record.headers.clone());
        let at = record.topic_partition();
        match next.iter_mut().find(|(known, _)| *known == at) {
            Some((_, offset)) => *offset = record.offset.next(),
            None => next.push((at, record.offset.next())),
        }
    }
    if next.is_empty() {
        return Ok(false);
    }
    let outcome = lane.commit(outbox, &next)?;
    anyhow::ensure!(outcome == CommitOutcome::Committed, "the copy's transaction: {outcome:?}");
    Ok(batch.len() >= limits.records || batch.bytes() > limits.bytes / 2)
}
