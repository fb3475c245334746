//! The roles on the embedded log, in one thread: the wiring that production does over Kafka.

use super::feed::{Feed, Input};
use super::report::{Report, Sizes, Stage};
use crate::config::Config;
use crate::definitions::Definitions;
use crate::effects::{self, IngestCounts};
use crate::metrics as names;
use crate::stop::Stop;
use crate::wiring;
use catchment_connectors::files::LineLimits;
use catchment_contracts::headers;
use catchment_contracts::schemas::BuiltinSchemas;
use catchment_contracts::wire::SchemaIds;
use catchment_domain::time::format_rfc3339;
use catchment_domain::{KeySecret, Millis};
use catchment_pipeline::catalog::CatalogTask;
use catchment_pipeline::ingest::{Clock, Format, IngestEffect, IngestSettings, IngestTask};
use catchment_pipeline::profile::{ProfileEffect, ProfileTask};
use catchment_pipeline::topology::Topology;
use catchment_runtime::{
    EmbeddedLane, EmbeddedLog, Headers, Lane, LaneConfig, Order, StepReport, TopicId, TopicPartition,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// Records that are fed before the roles catch up. Bounds what the log holds unread.
const CHUNK: usize = 2_000;

/// How far a run has come: records fed.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64);

/// Where each record of a raw topic came from: source and line, by offset.
type Origins = HashMap<TopicId, Vec<(usize, u64)>>;

/// All roles over one embedded log.
pub(crate) struct Engine {
    topology: Topology,
    log: EmbeddedLog,
    sources: Vec<String>,
    ingest: Lane<EmbeddedLane, IngestTask>,
    profile: Lane<EmbeddedLane, ProfileTask>,
    catalog: Lane<EmbeddedLane, CatalogTask>,
    origins: Origins,
    counts: IngestCounts,
    report: Report,
    /// Arrival of the first record and the time that was reached.
    span: Option<(Millis, Millis)>,
}

impl Engine {
    /// Wires the roles of a configuration; its raw topics have one partition. The clock is that of the events, whatever the configuration says.
    ///
    /// # Errors
    /// A configuration that can't be wired.
    pub(crate) fn new(
        config: &Config,
        definitions: Definitions,
        secret: KeySecret,
    ) -> anyhow::Result<Engine> {
        let topology = wiring::topology(config, 1, &BTreeMap::new())?;
        // A dead letter holds its record whole, with headers about it, however large a line of a file is.
        let log = EmbeddedLog::with_record_limit(topology.table.clone(), 2 * LineLimits::HARD_LIMIT);
        let profile = profile_lane(config, &topology, &log, definitions, &secret)?;
        let catalog = catalog_lane(config, &topology, &log)?;
        let ingest = ingest_lane(config, &topology, &log, secret)?;
        let sources: Vec<String> = config.sources.iter().map(|source| source.name.clone()).collect();
        let counts = IngestCounts::new(sources.clone());
        let (origins, report) = (Origins::new(), Report::default());
        Ok(Engine { topology, log, sources, ingest, profile, catalog, origins, counts, report, span: None })
    }

    /// Takes the whole input, or as much as comes before a request to stop.
    ///
    /// # Errors
    /// Input that can't be read, or a lane that can't go on.
    pub(crate) fn run(&mut self, feed: &mut Feed, progress: Progress<'_>, stop: &Stop) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let reading = Instant::now();
            let fed = self.feed(feed)?;
            *self.report.stages.entry(Stage::Read).or_default() += reading.elapsed();
            self.catch_up()?;
            progress(self.report.events_in);
            if fed < CHUNK || stop.requested() {
                break;
            }
        }
        self.report.elapsed += start.elapsed();
        Ok(())
    }

    /// The input has ended: time stays at the last arrival, or goes on to `until`.
    ///
    /// # Errors
    /// A lane that can't go on, or a time before the last arrival.
    pub(crate) fn finish(&mut self, until: Option<Millis>) -> anyhow::Result<()> {
        let start = Instant::now();
        let end = match (self.span, until) {
            (Some((_, last)), Some(until)) => {
                anyhow::ensure!(
                    until >= last,
                    "--until is before the last arrival, {}",
                    format_rfc3339(last)
                );
                Some(until)
            }
            (Some((_, last)), None) => Some(last),
            (None, until) => until,
        };
        if let Some(end) = end {
            self.span = Some((self.span.map_or(end, |(first, _)| first), end));
            self.ingest.tasks_mut().for_each(|task| task.finish(end));
            self.catch_up()?;
        }
        self.report.profiles = self.profile.tasks().map(|task| task.customers().len() as u64).sum();
        self.report.catalog_items = self.catalog.tasks().map(|task| task.products().len() as u64).sum();
        let sizes = |topic| -> anyhow::Result<Sizes> {
            let records = super::output::read_topic(self, topic)?;
            Ok(Sizes::of(records.iter().filter_map(|record| record.value.as_ref().map(Vec::len)).collect()))
        };
        let (profiles, nodes) = (sizes(self.topology.profiles)?, sizes(self.topology.profile_state)?);
        (self.report.profile_bytes, self.report.node_bytes) = (profiles, nodes);
        self.report.timers_pending = self.profile.tasks().map(|task| task.pending_timers() as u64).sum();
        self.report.elapsed += start.elapsed();
        Ok(())
    }

    fn feed(&mut self, feed: &mut Feed) -> anyhow::Result<usize> {
        let mut fed = 0;
        while fed < CHUNK {
            let Some(Input { source, line, arrival, bytes }) = feed.next()? else {
                break;
            };
            let topic = self.topology.raw[source];
            let mut headers = Headers::default();
            headers.push(headers::SOURCE, self.sources[source].as_bytes());
            let at = TopicPartition { topic, partition: 0 };
            self.log.producer_append(at, arrival, None, Some(&bytes), headers)?;
            self.origins.entry(topic).or_default().push((source, line));
            let (first, _) = self.span.unwrap_or((arrival, arrival));
            self.span = Some((first, arrival));
            self.report.events_in += 1;
            fed += 1;
        }
        Ok(fed)
    }

    /// Steps all roles until nothing is left to read.
    fn catch_up(&mut self) -> anyhow::Result<()> {
        while self.step()? {}
        Ok(())
    }

    /// One step of each role; false if none had anything to do.
    fn step(&mut self) -> anyhow::Result<bool> {
        let Engine { ingest, profile, catalog, report, sources, origins, topology, counts, .. } = self;
        let start = Instant::now();
        let ingest = ingest.step(None, &mut |effect| {
            counts.add(effect);
            note_ingest(report, effect);
        })?;
        counts.flush();
        let between = Instant::now();
        let profile = profile
            .step(None, &mut |effect| note_profile(report, sources, &topology.raw, origins, effect))?;
        let after = Instant::now();
        let catalog = catalog.step(None, &mut effects::count_catalog)?;
        record_step(report, Stage::Ingest, between - start, &ingest);
        record_step(report, Stage::Profile, after - between, &profile);
        record_step(report, Stage::Catalog, after.elapsed(), &catalog);
        // In a sandbox nobody comes to look after a partition while the others go on.
        let mut held = self.ingest.held().chain(self.profile.held()).chain(self.catalog.held());
        if let Some(held) = held.next() {
            anyhow::bail!("{}", held.describe(&topology.table));
        }
        Ok(!ingest.is_idle() || !profile.is_idle() || !catalog.is_idle())
    }

    /// What came of it so far.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// The time that was reached.
    pub(crate) fn now(&self) -> Millis {
        self.span.map_or(0, |(_, last)| last)
    }

    /// The time that the data span.
    pub(crate) fn span(&self) -> std::time::Duration {
        let (first, last) = self.span.unwrap_or_default();
        std::time::Duration::from_millis(u64::try_from(last - first).unwrap_or(0))
    }

    /// The log, to read what came of it.
    pub(crate) fn log(&self) -> &EmbeddedLog {
        &self.log
    }

    /// The topics.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The line of the input that a raw record was.
    pub(crate) fn line_of(&self, topic: TopicId, offset: u64) -> Option<u64> {
        line_of(&self.origins, topic, offset)
    }

    /// Raw topic of a source.
    pub(crate) fn raw_topic(&self, source: &str) -> Option<TopicId> {
        self.sources.iter().position(|name| name == source).map(|at| self.topology.raw[at])
    }
}

fn line_of(origins: &Origins, topic: TopicId, offset: u64) -> Option<u64> {
    let at = usize::try_from(offset).ok()?;
    origins.get(&topic)?.get(at).map(|(_, line)| *line)
}

fn record_step(report: &mut Report, stage: Stage, time: std::time::Duration, step: &StepReport) {
    if step.is_idle() {
        return;
    }
    *report.stages.entry(stage).or_default() += time;
    metrics::histogram!(names::STEP_SECONDS, "role" => stage.as_str(), "phase" => "all")
        .record(time.as_secs_f64());
}

fn ingest_lane(
    config: &Config,
    topology: &Topology,
    log: &EmbeddedLog,
    secret: KeySecret,
) -> anyhow::Result<Lane<EmbeddedLane, IngestTask>> {
    let limits = wiring::limits(config)?;
    let mut inputs: Vec<TopicPartition> = Vec::new();
    for topic in &topology.raw {
        let input = TopicPartition { topic: *topic, partition: 0 };
        if !inputs.contains(&input) {
            inputs.push(input);
        }
    }
    let mut sources = wiring::sources(config)?;
    // Files hold the JSON form of every source, a line a record.
    sources.iter_mut().for_each(|source| source.format = Format::Json);
    let settings = IngestSettings {
        sources,
        secret,
        schemas: SchemaIds::builtin(),
        source_schemas: Arc::new(BuiltinSchemas),
        clock: Clock::Event,
        inputs: inputs.clone(),
    };
    let task = IngestTask::new(settings, &topology.table)?;
    let lane = log.lane(&format!("{}.ingest", config.app), &format!("{}.ingest.0", config.app), &inputs)?;
    let mut lane = Lane::new(lane, vec![task], |_| Some(0), LaneConfig { limits, order: Order::Arrival })?;
    lane.restore()?;
    Ok(lane)
}

fn profile_lane(
    config: &Config,
    topology: &Topology,
    log: &EmbeddedLog,
    definitions: Definitions,
    secret: &KeySecret,
) -> anyhow::Result<Lane<EmbeddedLane, ProfileTask>> {
    let limits = wiring::limits(config)?;
    let mut shared = wiring::profile(config, topology, definitions, secret, SchemaIds::builtin(), true)?;
    shared.settings.reads_by_arrival = true;
    let shared = Arc::new(shared);
    let partitions = u32::from(config.partitions);
    let tasks = (0..partitions).map(|partition| ProfileTask::new(partition, Arc::clone(&shared))).collect();
    let topics = [topology.customer_events, topology.inbox];
    let inputs: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| (0..partitions).map(|partition| TopicPartition { topic: *topic, partition }))
        .collect();
    let lane = log.lane(&format!("{}.profile", config.app), &format!("{}.profile.0", config.app), &inputs)?;
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let mut lane = Lane::new(lane, tasks, task_of, LaneConfig { limits, order: Order::Arrival })?;
    lane.restore()?;
    Ok(lane)
}

fn catalog_lane(
    config: &Config,
    topology: &Topology,
    log: &EmbeddedLog,
) -> anyhow::Result<Lane<EmbeddedLane, CatalogTask>> {
    let limits = wiring::limits(config)?;
    let settings = wiring::catalog(topology, SchemaIds::builtin(), true);
    let partitions = u32::from(config.partitions);
    let tasks = (0..partitions).map(|partition| CatalogTask::new(partition, settings)).collect();
    let topic = topology.catalog_updates;
    let inputs: Vec<TopicPartition> =
        (0..partitions).map(|partition| TopicPartition { topic, partition }).collect();
    let lane = log.lane(&format!("{}.catalog", config.app), &format!("{}.catalog.0", config.app), &inputs)?;
    let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
    let mut lane = Lane::new(lane, tasks, task_of, LaneConfig { limits, order: Order::Arrival })?;
    lane.restore()?;
    Ok(lane)
}

/// What the report says beyond the metrics.
fn note_ingest(report: &mut Report, effect: IngestEffect) {
    match effect {
        IngestEffect::Routed { .. } => {}
        IngestEffect::Unattributed { .. } => report.unattributed += 1,
        IngestEffect::Item { .. } => report.catalog_statements += 1,
        IngestEffect::DeadLettered { code, .. } => {
            *report.dead_letters.entry(code.as_str()).or_default() += 1;
        }
        IngestEffect::Skipped { .. } => report.skipped += 1,
        IngestEffect::AmountsDropped { .. } => report.amounts_dropped += 1,
    }
}

/// As [`note_ingest`], of profile.
fn note_profile(
    report: &mut Report,
    sources: &[String],
    raw: &[TopicId],
    origins: &Origins,
    effect: ProfileEffect,
) {
    effects::count_profile(&effect);
    match effect {
        ProfileEffect::Did(tally) => {
            report.applied += tally.applied;
            report.merged += tally.merged;
        }
        ProfileEffect::Scored { count, .. } => report.predictions += count,
        ProfileEffect::Duplicate { source, event_id, offset, .. } => {
            let topic = sources.iter().position(|name| *name == source).map(|at| raw[at]);
            let line =
                topic.zip(u64::try_from(offset).ok()).and_then(|(topic, at)| line_of(origins, topic, at));
            report.duplicates.entry(event_id).or_default().extend(line);
        }
        ProfileEffect::Decided { campaign, outcome, reason } => {
            *report.decisions.entry(outcome.as_str()).or_default() += 1;
            report.triggers += u64::from(outcome.is_sent());
            *report.reasons.entry((campaign, outcome.as_str(), reason)).or_default() += 1;
        }
        ProfileEffect::Refused { limit } => *report.refused.entry(limit.as_str()).or_default() += 1,
        ProfileEffect::Orphaned { .. } => {}
    }
}

#[cfg(test)]
mod tests;
