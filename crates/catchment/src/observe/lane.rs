//! What a lane tells of itself: one value beside it, fed by the loop.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use catchment_runtime::{
    Held, LaneError, Millis, Origins, RestoreProgress, StepReport, Tail, TopicId, TopicPartition, TopicTable,
};
use metrics::{Counter, Gauge, Histogram};

use super::health::{HeldPartition, LaneHealth, NamedPartition, State, hold};
use super::log::Times;
use super::task::{Noted, Notes};
use super::trace::{StepSpans, TracedStep, Traces};
use crate::metrics as names;

/// Which lane.
#[derive(Clone, Debug)]
pub struct LaneName {
    /// Its role.
    pub role: &'static str,
    /// Its number among those of the role in this process.
    pub index: u16,
    /// Its consumer group.
    pub group: String,
    /// The topics that it reads as its input.
    pub inputs: Vec<TopicId>,
    /// What topics are called.
    pub topics: Arc<TopicTable>,
}

/// Why a lane was dropped and made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Another lane took over.
    Fenced,
    /// The outcome of a commit could not be told.
    UnknownCommit,
    /// A snapshot could not be read to its end.
    Snapshot,
    /// The client of Kafka gave up.
    Broken,
    /// Kafka could not be reached.
    Kafka,
    /// Kafka did not let the lane in, or not do what it has to. The clients of the next one read the secrets anew.
    Denied,
    /// A bug ended it.
    Panicked,
    /// An error that a lane can't go on after; the log says which.
    Stuck,
}

impl Restart {
    const ALL: [Restart; 8] = [
        Restart::Fenced,
        Restart::UnknownCommit,
        Restart::Snapshot,
        Restart::Broken,
        Restart::Kafka,
        Restart::Denied,
        Restart::Panicked,
        Restart::Stuck,
    ];

    /// The word in metrics and log lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Restart::Fenced => "fenced",
            Restart::UnknownCommit => "unknown_commit",
            Restart::Snapshot => "snapshot",
            Restart::Broken => "broken_client",
            Restart::Kafka => "kafka",
            Restart::Denied => "denied",
            Restart::Panicked => "panicked",
            Restart::Stuck => "stuck",
        }
    }
}

/// How much state a lane holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Profiles.
    pub profiles: usize,
    /// Timers that are not due yet.
    pub timers: usize,
    /// Event ids.
    pub dedup_entries: usize,
    /// Event ids that were forgotten early since the tasks were made.
    pub dedup_evicted: u64,
    /// Since when the node waits that has waited longest for the answer of another; `None` if none does.
    pub asking_since: Option<Millis>,
    /// Memory that all of it takes, estimated.
    pub bytes: usize,
}

/// Feeds metrics, traces and health from what a lane's loop does. Belongs to the lane's thread.
pub struct LaneObserver {
    role: &'static str,
    index: String,
    topics: Arc<TopicTable>,
    health: LaneHealth,
    notes: Arc<Notes>,
    spans: Option<StepSpans>,
    begun: Option<(Instant, SystemTime)>,
    restore: Option<Restore>,
    evicted: u64,
    group: String,
    /// Partitions whose lag was shown.
    lagging: Vec<TopicPartition>,
    metrics: Metrics,
}

/// State that is being read back.
#[derive(Clone, Copy, Debug)]
struct Restore {
    since: Instant,
    done: u64,
    remaining: u64,
    /// When it was said in the log.
    said: Instant,
}

/// How often a restore says how far it has come.
const SAY_RESTORE: Duration = Duration::from_secs(5);

impl Restore {
    fn new(remaining: u64) -> Self {
        let now = Instant::now();
        Restore { since: now, done: 0, remaining, said: now }
    }
}

/// How long it will take to read what is left, at the pace so far. `None` as long as that is nothing to go by.
fn time_left(done: u64, remaining: u64, elapsed: Duration) -> Option<Duration> {
    if remaining == 0 {
        return Some(Duration::ZERO);
    }
    let nanos = elapsed.as_nanos().saturating_mul(u128::from(remaining)).checked_div(u128::from(done))?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// Looked up once: a step records several of them.
struct Metrics {
    poll: Histogram,
    process: Histogram,
    flush: Histogram,
    commit: Histogram,
    all: Histogram,
    records: Histogram,
    age: Histogram,
    read: Counter,
    read_bytes: Counter,
    written: Counter,
    written_bytes: Counter,
    committed: Counter,
    aborted: Counter,
    fenced: Counter,
    unknown: Counter,
    settled_committed: Counter,
    settled_aborted: Counter,
    last_commit: Gauge,
    restored: Counter,
}

impl Metrics {
    fn new(role: &'static str, index: &str) -> Self {
        let seconds =
            |phase: &'static str| metrics::histogram!(names::STEP_SECONDS, "role" => role, "phase" => phase);
        let commits =
            |outcome: &'static str| metrics::counter!(names::COMMITS, "role" => role, "outcome" => outcome);
        let settled =
            |found: &'static str| metrics::counter!(names::COMMITS_SETTLED, "role" => role, "found" => found);
        let counter = |name: &'static str| metrics::counter!(name, "role" => role);
        // So that the first restart is an increase from 0, and not an unknown time series.
        for reason in Restart::ALL {
            metrics::counter!(names::LANE_RESTARTS, "role" => role, "reason" => reason.as_str()).increment(0);
        }
        Metrics {
            poll: seconds("poll"),
            process: seconds("process"),
            flush: seconds("flush"),
            commit: seconds("commit"),
            all: seconds("all"),
            records: metrics::histogram!(names::STEP_RECORDS, "role" => role),
            age: metrics::histogram!(names::RECORD_AGE, "role" => role),
            read: counter(names::RECORDS_READ),
            read_bytes: counter(names::READ_BYTES),
            written: counter(names::RECORDS_WRITTEN),
            written_bytes: counter(names::WRITTEN_BYTES),
            committed: commits("committed"),
            aborted: commits("aborted"),
            fenced: commits("fenced"),
            unknown: commits("unknown"),
            settled_committed: settled("committed"),
            settled_aborted: settled("aborted"),
            last_commit: metrics::gauge!(names::LAST_COMMIT, "role" => role, "lane" => index.to_owned()),
            restored: counter(names::RESTORED),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
fn float(number: usize) -> f64 {
    number as f64
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl LaneObserver {
    /// Of a lane that is about to start.
    #[must_use]
    pub fn new(name: &LaneName, health: LaneHealth, traces: Option<&Traces>) -> Self {
        let index = name.index.to_string();
        let inputs: Vec<&str> = name.inputs.iter().map(|id| name.topics.spec(*id).name.as_str()).collect();
        LaneObserver {
            role: name.role,
            topics: Arc::clone(&name.topics),
            health,
            notes: Arc::new(Notes::new(traces.is_some())),
            spans: traces.map(|traces| traces.steps(name.role, name.index, &name.group, &inputs)),
            begun: None,
            restore: None,
            evicted: 0,
            group: name.group.clone(),
            lagging: Vec::new(),
            metrics: Metrics::new(name.role, &index),
            index,
        }
    }

    /// The health of the lane.
    #[must_use]
    pub fn health(&self) -> &LaneHealth {
        &self.health
    }

    /// What the tasks of the lane are to be [observed](super::task::Observed) with.
    #[must_use]
    pub fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }

    /// The span that the lane's thread is in, so that each of its log lines names the lane.
    #[must_use]
    pub fn log_span(&self) -> tracing::Span {
        tracing::error_span!("lane", role = self.role, lane = %self.index)
    }

    /// A step begins now.
    pub fn step_begins(&mut self) {
        self.begun = Some((Instant::now(), SystemTime::now()));
    }

    /// The step has ended so, and its log took so long. Steps that had nothing to do leave no trace.
    pub fn step_ended(&mut self, result: &Result<StepReport, LaneError>, times: Times) {
        let noted = self.notes.take();
        let Some((begun, start)) = self.begun.take() else { return };
        if let Ok(report) = result
            && report.settled
        {
            let metrics = &self.metrics;
            let found = if report.committed { &metrics.settled_committed } else { &metrics.settled_aborted };
            found.increment(1);
        }
        let failure = match result {
            Ok(report) if report.records == 0 && report.outputs == 0 && report.aborted.is_none() => return,
            Ok(report) => match &report.aborted {
                None => {
                    self.committed(report, begun.elapsed(), times, &noted);
                    None
                }
                Some(reason) => {
                    self.metrics.aborted.increment(1);
                    Some(("aborted", reason.clone()))
                }
            },
            Err(error) => Some((self.failed(error), error.describe(&self.topics))),
        };
        if let Some(spans) = &mut self.spans {
            let records = result.as_ref().map_or(0, |report| report.records);
            spans.ended(TracedStep { start, records, producers: noted.producers, failure });
        }
    }

    fn committed(&self, report: &StepReport, all: Duration, times: Times, noted: &Noted) {
        let metrics = &self.metrics;
        metrics.poll.record(times.poll.as_secs_f64());
        metrics.commit.record(times.commit.as_secs_f64());
        metrics.flush.record(noted.flush.as_secs_f64());
        metrics.process.record(all.saturating_sub(times.poll + noted.flush + times.commit).as_secs_f64());
        metrics.all.record(all.as_secs_f64());
        metrics.records.record(float(report.records));
        metrics.read.increment(whole(report.records));
        metrics.read_bytes.increment(whole(report.bytes));
        metrics.written.increment(whole(report.outputs));
        metrics.written_bytes.increment(whole(report.output_bytes));
        metrics.committed.increment(1);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        metrics.last_commit.set(now.as_secs_f64());
        if let Some(oldest) = noted.oldest {
            metrics.age.record(age(now, oldest));
        }
        self.health.kafka_answered();
    }

    /// A word for an error; those of a commit are counted with the commits.
    fn failed(&self, error: &LaneError) -> &'static str {
        match error {
            LaneError::Fenced(_) => {
                self.metrics.fenced.increment(1);
                "fenced"
            }
            LaneError::MustRestore => {
                self.metrics.unknown.increment(1);
                "unknown_commit"
            }
            LaneError::Unreadable { .. } => "unreadable",
            _ => "other",
        }
    }

    fn name(&self, at: TopicPartition) -> NamedPartition {
        (self.topics.spec(at.topic).name.clone(), at.partition)
    }

    /// The lane has these partitions now.
    pub fn assigned(&self, partitions: &[TopicPartition]) {
        self.health.set_partitions(partitions.iter().map(|at| self.name(*at)).collect());
    }

    /// These partitions stand still now ([`Lane::held`](catchment_runtime::Lane::held)).
    pub fn held<'a>(&self, held: impl IntoIterator<Item = &'a Held>) {
        let held = held.into_iter().map(|held| {
            let (reason, missing) = hold::word(&held.why);
            HeldPartition { at: self.name(held.at), reason, why: held.describe(&self.topics), missing }
        });
        self.health.set_held(held.collect());
    }

    /// The partitions of the lane end there ([`Lane::tails`](catchment_runtime::Lane::tails)), to be told about once a second. A
    /// partition that the lane has no more is not said to lag here: its new owner says it.
    pub fn tails(&mut self, tails: &[Tail]) {
        let gone = |at: &TopicPartition| tails.iter().all(|tail| tail.at != *at);
        let lagging = std::mem::take(&mut self.lagging);
        for at in lagging.into_iter().filter(gone) {
            self.lag(at, 0);
        }
        for tail in tails {
            let left = if tail.caught_up { 0 } else { tail.end.0.saturating_sub(tail.next.0) };
            self.lag(tail.at, left);
        }
        self.lagging = tails.iter().map(|tail| tail.at).collect();
        if !tails.is_empty() {
            self.health.kafka_answered();
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
    fn lag(&self, at: TopicPartition, records: u64) {
        let (topic, partition) = self.name(at);
        let labels =
            [("consumergroup", self.group.clone()), ("topic", topic), ("partition", partition.to_string())];
        metrics::gauge!(names::LAG, &labels).set(records as f64);
    }

    /// This is still to be read back ([`Lane::restoring`](catchment_runtime::Lane::restoring)): the lane is restoring, or,
    /// if it is nothing, running. To be told while the lane has partitions or could have, after each piece of work.
    pub fn restoring(&mut self, progress: impl IntoIterator<Item = RestoreProgress>) {
        let mut changelogs = progress.into_iter().peekable();
        let is_done = changelogs.peek().is_none();
        let remaining = changelogs.map(|at| at.target.0.saturating_sub(at.position.0)).sum();
        match (&mut self.restore, is_done) {
            (None, true) => self.health.set(State::Running),
            (None, false) => self.restore = Some(Restore::new(remaining)),
            (Some(restore), _) => {
                // More than before: the group gave more partitions meanwhile.
                let read = restore.remaining.saturating_sub(remaining);
                self.metrics.restored.increment(read);
                *restore = Restore { done: restore.done + read, remaining, ..*restore };
            }
        }
        let Some(restore) = &mut self.restore else { return };
        let (done, remaining, elapsed) = (restore.done, restore.remaining, restore.since.elapsed());
        let left = if is_done { Some(Duration::ZERO) } else { time_left(done, remaining, elapsed) };
        if let Some(left) = left {
            metrics::gauge!(names::RESTORE_LEFT, "role" => self.role, "lane" => self.index.clone())
                .set(left.as_secs_f64());
        }
        if is_done {
            self.restore = None;
            metrics::histogram!(names::RESTORE_SECONDS, "role" => self.role).record(elapsed.as_secs_f64());
            self.health.set(State::Running);
            return;
        }
        if restore.said.elapsed() >= SAY_RESTORE {
            restore.said = Instant::now();
            let a_second = u128::from(done) * 1_000 / elapsed.as_millis().max(1);
            let left = left.map(|left| left.as_secs());
            tracing::info!(done, of = done + remaining, a_second, seconds_left = left, "restoring");
        }
        self.health.set(State::Restoring { done, of: done + remaining });
    }

    /// All state is back, and came from there.
    pub fn restored_from(&self, Origins { snapshots, changelogs }: Origins) {
        for (origin, count) in [("snapshot", snapshots), ("changelog", changelogs)] {
            metrics::counter!(names::STATE_RECORDS, "role" => self.role, "origin" => origin).increment(count);
        }
    }

    /// The lane is dropped and made anew.
    pub fn restarted(&self, reason: Restart) {
        metrics::counter!(names::LANE_RESTARTS, "role" => self.role, "reason" => reason.as_str())
            .increment(1);
    }

    /// The state that the lane holds, to be told now and then. Roles without such state need not.
    pub fn holds(&mut self, size: StateSize) {
        let gauge = |name: &'static str| metrics::gauge!(name, "lane" => self.index.clone());
        gauge(names::PROFILES).set(float(size.profiles));
        gauge(names::TIMERS).set(float(size.timers));
        gauge(names::DEDUP_ENTRIES).set(float(size.dedup_entries));
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        gauge(names::ASKING_SECONDS).set(size.asking_since.map_or(0.0, |since| age(now, since)));
        gauge(names::STATE_BYTES).set(float(size.bytes));
        // Tasks that were given up take their number with them.
        let evicted = size.dedup_evicted.saturating_sub(self.evicted);
        metrics::counter!(names::DEDUP_EVICTED).increment(evicted);
        self.evicted = size.dedup_evicted;
    }
}

/// Seconds from when a record was appended. A broker's clock may be ahead of ours.
fn age(now: Duration, appended: Millis) -> f64 {
    let appended = Duration::from_millis(u64::try_from(appended).unwrap_or(0));
    now.saturating_sub(appended).as_secs_f64()
}

impl fmt::Debug for LaneObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneObserver")
            .field("role", &self.role)
            .field("lane", &self.index)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
