//! The metrics of one lane. Handles are looked up once, so that a step pays for the counting alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use catchment_runtime::{StepReport, TopicPartition, TopicTable};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::react::Why;
use crate::metrics as names;

/// How a transaction ended; the label `outcome`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    Committed,
    Aborted,
    Failed,
}

/// How long the parts of a step took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phases {
    pub(super) poll: Duration,
    pub(super) process: Duration,
    pub(super) commit: Duration,
}

pub(super) struct Meters {
    role: &'static str,
    lane: String,
    group: String,
    records_read: Counter,
    read_bytes: Counter,
    records_written: Counter,
    written_bytes: Counter,
    step_records: Histogram,
    seconds: [Histogram; 4],
    committed: Counter,
    aborted: Counter,
    failed: Counter,
    last_commit: Gauge,
    rebalances: Counter,
    lags: BTreeMap<TopicPartition, Gauge>,
}

impl Meters {
    pub(super) fn new(role: &'static str, lane: u16, group: String) -> Self {
        let seconds = |phase| histogram!(names::STEP_SECONDS, "role" => role, "phase" => phase);
        let commits = |outcome| counter!(names::COMMITS, "role" => role, "outcome" => outcome);
        let lane = lane.to_string();
        let last_commit = gauge!(names::LAST_COMMIT, "role" => role, "lane" => lane.clone());
        last_commit.set(0.0);
        Meters {
            role,
            group,
            records_read: counter!(names::RECORDS_READ, "role" => role),
            read_bytes: counter!(names::READ_BYTES, "role" => role),
            records_written: counter!(names::RECORDS_WRITTEN, "role" => role),
            written_bytes: counter!(names::WRITTEN_BYTES, "role" => role),
            step_records: histogram!(names::STEP_RECORDS, "role" => role),
            seconds: ["poll", "process", "commit", "all"].map(seconds),
            committed: commits("committed"),
            aborted: commits("aborted"),
            failed: commits("failed"),
            last_commit,
            rebalances: counter!(names::REBALANCES, "role" => role),
            lags: BTreeMap::new(),
            lane,
        }
    }

    /// A step that did something.
    pub(super) fn step(&self, report: &StepReport, phases: Phases) {
        let Phases { poll, process, commit } = phases;
        let all = poll + process + commit;
        for (histogram, time) in self.seconds.iter().zip([poll, process, commit, all]) {
            histogram.record(time.as_secs_f64());
        }
        if !report.committed {
            return self.ended(Ended::Aborted);
        }
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.records_read.increment(count(report.records));
        self.read_bytes.increment(count(report.bytes));
        self.records_written.increment(count(report.outputs));
        self.written_bytes.increment(count(report.output_bytes));
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 records")]
        self.step_records.record(report.records as f64);
        self.ended(Ended::Committed);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.last_commit.set(now.as_secs_f64());
    }

    pub(super) fn ended(&self, how: Ended) {
        match how {
            Ended::Committed => self.committed.increment(1),
            Ended::Aborted => self.aborted.increment(1),
            Ended::Failed => self.failed.increment(1),
        }
    }

    /// The state is read back.
    pub(super) fn restored(&self, time: Duration) {
        histogram!(names::RESTORE_SECONDS, "role" => self.role).record(time.as_secs_f64());
    }

    pub(super) fn rebalance(&self) {
        self.rebalances.increment(1);
    }

    pub(super) fn restart(&self, why: Why) {
        counter!(names::LANE_RESTARTS, "role" => self.role, "reason" => why.as_str()).increment(1);
    }

    /// How many records of a partition are still to be read.
    pub(super) fn lag(&mut self, table: &TopicTable, at: TopicPartition, lag: u64) {
        let gauge = self.lags.entry(at).or_insert_with(|| {
            let labels = [
                ("consumergroup", self.group.clone()),
                ("topic", table.spec(at.topic).name.clone()),
                ("partition", at.partition.to_string()),
            ];
            gauge!(names::LAG, &labels)
        });
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^52 records")]
        gauge.set(lag as f64);
    }

    /// Partitions that are no more this lane's say nothing: their new owner does.
    pub(super) fn forget_lags(&mut self) {
        for gauge in std::mem::take(&mut self.lags).into_values() {
            gauge.set(0.0);
        }
    }

    pub(super) fn lane(&self) -> &str {
        &self.lane
    }
}
