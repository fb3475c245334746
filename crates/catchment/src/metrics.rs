//! The metrics: names, labels and what they count. A metric that is not in this table is not recorded anywhere.
//!
//! Names follow Prometheus: prefix, base units, `_total` on what only grows. Two groups keep names that others already
//! read, `kafka_consumergroup_lag` and `process_*`.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Upper bounds of the buckets of a distribution; what is above the last one is counted without a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// Seconds of what takes milliseconds: steps, requests.
    Short,
    /// Seconds of what takes from milliseconds to hours: age of records, restores.
    Long,
    /// Numbers of records.
    Records,
}

impl Buckets {
    /// The bounds, rising.
    #[must_use]
    pub fn bounds(self) -> &'static [f64] {
        match self {
            Buckets::Short => {
                &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]
            }
            Buckets::Long => &[
                0.005, 0.01, 0.02, 0.03, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0,
                7_200.0, 43_200.0,
            ],
            Buckets::Records => {
                &[1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0]
            }
        }
    }
}

/// How a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution over buckets.
    Histogram(Buckets),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// How it is measured.
    pub kind: Kind,
    /// Names of its labels. Each has few values: names of sources, topics, models, campaigns, codes, never of customers.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl Metric {
    /// The unit that its name ends with.
    #[must_use]
    pub fn unit(&self) -> Unit {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        match name.rsplit('_').next() {
            Some("seconds") => Unit::Seconds,
            Some("bytes") => Unit::Bytes,
            _ => Unit::Count,
        }
    }
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, $labels:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: &str = $name;
        )+

        /// All metrics.
        pub const ALL: &[Metric] = &[$(
            Metric { name: $name, kind: $kind, labels: &$labels, help: $help },
        )+];
    };
}

metrics! {
    INGEST_EVENTS = "catchment_ingest_events_total", Kind::Counter, ["source", "type"],
        "Events that ingest took.";
    DEAD_LETTERS = "catchment_dead_letters_total", Kind::Counter, ["source", "code"],
        "Records that went to the dead letters.";
    SKIPPED = "catchment_ingest_skipped_total", Kind::Counter, ["source", "reason"],
        "Records that were fine and said nothing.";
    AMOUNTS_DROPPED = "catchment_amounts_dropped_total", Kind::Counter, ["source"],
        "Records whose amounts were left out, because nobody lists their currency.";
    DUPLICATES = "catchment_duplicates_total", Kind::Counter, ["source"],
        "Events that had been seen before and were left out.";
    UNATTRIBUTED = "catchment_unattributed_total", Kind::Counter, ["source"],
        "Events without a usable identifier.";
    CATALOG_STATEMENTS = "catchment_catalog_statements_total", Kind::Counter, [],
        "What was said of products, taken by `catalog`.";
    CATALOG_PUBLISHED = "catchment_catalog_items_published_total", Kind::Counter, [],
        "Products written to `catalog.items`: those that a statement changed.";
    INBOX_MESSAGES = "catchment_inbox_messages_total", Kind::Counter, ["kind"],
        "Messages that nodes sent to each other.";
    MERGES = "catchment_merges_total", Kind::Counter, [],
        "Customers that became a part of another.";
    MERGES_REFUSED = "catchment_merges_refused_total", Kind::Counter, ["limit"],
        "Identifiers that were seen together and stay apart, because a customer would break a limit.";
    EVENTS_FORGOTTEN = "catchment_events_forgotten_total", Kind::Counter, [],
        "Events that were left out, because what they say was forgotten.";
    CUSTOMERS_FORGOTTEN = "catchment_customers_forgotten_total", Kind::Counter, [],
        "Customers that were forgotten.";
    ASKING_SECONDS = "catchment_identity_asking_seconds", Kind::Gauge, ["lane"],
        "How long the node has waited that has waited longest for the answer of another; 0 if none does.";
    CUSTOMERS_EXPIRED = "catchment_customers_expired_total", Kind::Counter, [],
        "Customers of whom everything known was let go, because their newest event is older than `expiry` says.";
    PROFILES_PUBLISHED = "catchment_profiles_published_total", Kind::Counter, [],
        "Profiles that were published.";
    PREDICTIONS = "catchment_predictions_total", Kind::Counter, ["model"],
        "Scores that were computed.";
    DECISIONS = "catchment_decisions_total", Kind::Counter, ["campaign", "outcome"],
        "Decisions of campaigns, sent or not.";
    TRIGGERS = "catchment_triggers_total", Kind::Counter, ["campaign"],
        "Triggers that were published.";
    STEP_SECONDS = "catchment_step_seconds", Kind::Histogram(Buckets::Short), ["role", "phase"],
        "Time that a phase of a step took; steps that had nothing to do are left out.";
    STEP_RECORDS = "catchment_step_records", Kind::Histogram(Buckets::Records), ["role"],
        "Records that a step read.";
    RECORDS_READ = "catchment_records_read_total", Kind::Counter, ["role"],
        "Records that were read and committed.";
    READ_BYTES = "catchment_read_bytes_total", Kind::Counter, ["role"],
        "Bytes of the records that were read and committed: keys, values and headers.";
    RECORDS_WRITTEN = "catchment_records_written_total", Kind::Counter, ["role"],
        "Records that were written and committed, changelogs included.";
    WRITTEN_BYTES = "catchment_written_bytes_total", Kind::Counter, ["role"],
        "Bytes of the records that were written and committed: keys and values.";
    COMMITS = "catchment_commits_total", Kind::Counter, ["role", "outcome"],
        "Transactions by how they ended.";
    COMMITS_SETTLED = "catchment_commits_settled_total", Kind::Counter, ["role", "found"],
        "Transactions of which Kafka did not say how they ended, by what the offsets told of them.";
    LAST_COMMIT = "catchment_last_commit_timestamp_seconds", Kind::Gauge, ["role", "lane"],
        "Time of the last commit of a lane, in seconds since 1970; 0 before the first.";
    RECORD_AGE = "catchment_record_age_seconds", Kind::Histogram(Buckets::Long), ["role"],
        "Age of the oldest record of a step when the step was committed, from when it was appended to its topic.";
    LAG = "kafka_consumergroup_lag", Kind::Gauge, ["consumergroup", "topic", "partition"],
        "Records of a partition that this process has to read and has not read yet.";
    PARTITION_HELD = "catchment_partition_held", Kind::Gauge, ["role", "topic", "partition", "reason"],
        "1 while a partition stands still until somebody acts, else 0.";
    INPUT_GAP = "catchment_input_gap_records", Kind::Gauge, ["role", "topic", "partition"],
        "Offsets that retention deleted before they were read; 0 once they are skipped by command.";
    LANES = "catchment_lanes", Kind::Gauge, ["role", "state"],
        "Lanes of this process by state.";
    LANE_TURNED = "catchment_lane_turned_timestamp_seconds", Kind::Gauge, ["role", "lane"],
        "Time at which the loop of a lane turned last, in seconds since 1970.";
    LANE_RESTARTS = "catchment_lane_restarts_total", Kind::Counter, ["role", "reason"],
        "Lanes that were dropped and made anew.";
    REBALANCES = "catchment_rebalances_total", Kind::Counter, ["role"],
        "Assignments and revocations of partitions that lanes of this process took part in.";
    READY = "catchment_ready", Kind::Gauge, [],
        "1 while /readyz says so, else 0.";
    WAITING = "catchment_waiting", Kind::Gauge, ["for"],
        "Parts of this process that wait for the outside.";
    RESTORED = "catchment_restored_records_total", Kind::Counter, ["role"],
        "Records of changelogs that were read back, counted by their offsets.";
    RESTORE_REMAINING = "catchment_restore_remaining_records", Kind::Gauge, ["role", "lane"],
        "Offsets of changelogs that a lane still has to read back.";
    RESTORE_LEFT = "catchment_restore_left_seconds", Kind::Gauge, ["role", "lane"],
        "Time until a lane has read its state back, at its pace so far.";
    RESTORE_SECONDS = "catchment_restore_seconds", Kind::Histogram(Buckets::Long), ["role"],
        "Time that a lane took to read its state back.";
    STATE_RECORDS = "catchment_state_records_total", Kind::Counter, ["role", "origin"],
        "Records that state was read back from.";
    SNAPSHOT_AGE = "catchment_snapshot_age_seconds", Kind::Gauge, ["role", "partition"],
        "Time since the last mark of a task's snapshot: what is younger is read from the changelogs after a restart.";
    SNAPSHOT_BYTES = "catchment_snapshot_bytes", Kind::Gauge, ["role", "partition"],
        "Size of a task's snapshot on the disk.";
    SNAPSHOT_WRITTEN = "catchment_snapshot_written_bytes_total", Kind::Counter, [],
        "Bytes that were copied to snapshots, compaction left out.";
    SNAPSHOT_COMPACTIONS = "catchment_snapshot_compactions_total", Kind::Counter, [],
        "Snapshots that were rewritten without what is superseded.";
    SNAPSHOTS_USED = "catchment_snapshots_used_total", Kind::Counter, [],
        "Tasks that were restored from a snapshot.";
    SNAPSHOTS_DISCARDED = "catchment_snapshots_discarded_total", Kind::Counter, ["reason"],
        "Snapshots that were not used.";
    SNAPSHOTS_DROPPED = "catchment_snapshots_dropped_total", Kind::Counter, [],
        "Snapshots that are not kept up any more, because the disk was too slow, until their task is restored the next time.";
    SNAPSHOT_FAILURES = "catchment_snapshot_failures_total", Kind::Counter, [],
        "Things that the disk of snapshots did not do.";
    PROFILES = "catchment_profiles", Kind::Gauge, ["lane"],
        "Profiles in memory.";
    TIMERS = "catchment_timers_pending", Kind::Gauge, ["lane"],
        "Decisions that wait for their time.";
    DEDUP_ENTRIES = "catchment_dedup_entries", Kind::Gauge, ["lane"],
        "Event ids in memory.";
    STATE_BYTES = "catchment_state_bytes", Kind::Gauge, ["lane"],
        "Memory that profiles, timers and event ids take, estimated.";
    DEDUP_EVICTED = "catchment_dedup_evicted_total", Kind::Counter, [],
        "Event ids that were forgotten before their time, because there were too many.";
    REGISTRY_REQUESTS = "catchment_registry_requests_total", Kind::Counter, ["outcome"],
        "Schemas that the registry was asked for, by what came of it.";
    TRACE_SPANS = "catchment_trace_spans_total", Kind::Counter, ["outcome"],
        "Spans that were sent to the receiver of traces, or dropped.";
    KAFKA_BROKERS_UP = "catchment_kafka_brokers_up", Kind::Gauge, ["role", "lane", "client"],
        "Brokers that a client is connected to.";
    KAFKA_RTT = "catchment_kafka_broker_rtt_seconds", Kind::Gauge, ["role", "lane", "client"],
        "Time until an answer of the slowest broker, the mean since the statistics before.";
    KAFKA_THROTTLE = "catchment_kafka_throttle_seconds", Kind::Gauge, ["role", "lane", "client"],
        "Time by which the most throttling broker held a client back, the mean since the statistics before.";
    KAFKA_CONNECTS = "catchment_kafka_connects_total", Kind::Counter, ["role", "lane", "client"],
        "Attempts to connect to brokers.";
    KAFKA_DISCONNECTS = "catchment_kafka_disconnects_total", Kind::Counter, ["role", "lane", "client"],
        "Connections to brokers that ended.";
    KAFKA_REQUESTS_WAITING = "catchment_kafka_requests_waiting", Kind::Gauge, ["role", "lane", "client"],
        "Requests that wait to be sent to a broker.";
    KAFKA_REQUESTS_IN_FLIGHT = "catchment_kafka_requests_in_flight", Kind::Gauge, ["role", "lane", "client"],
        "Requests that wait for the answer of a broker.";
    KAFKA_SENT_BYTES = "catchment_kafka_sent_bytes_total", Kind::Counter, ["role", "lane", "client"],
        "Bytes sent to brokers.";
    KAFKA_RECEIVED_BYTES = "catchment_kafka_received_bytes_total", Kind::Counter, ["role", "lane", "client"],
        "Bytes received from brokers.";
    KAFKA_PRODUCER_QUEUE = "catchment_kafka_producer_queue_bytes", Kind::Gauge, ["role", "lane"],
        "Bytes that were written and are not acknowledged by the brokers yet.";
    KAFKA_FETCHED = "catchment_kafka_fetched_bytes", Kind::Gauge, ["role", "lane"],
        "Bytes that were fetched ahead and not read yet, of the fullest queue.";
    BUILD_INFO = "catchment_build_info", Kind::Gauge, ["version"],
        "1, with the version of the program.";
    PROCESS_CPU = "process_cpu_seconds_total", Kind::Counter, [],
        "Time that the process used processors, in user and in system mode.";
    PROCESS_MEMORY = "process_resident_memory_bytes", Kind::Gauge, [],
        "Memory of the process that is in RAM.";
    PROCESS_START = "process_start_time_seconds", Kind::Gauge, [],
        "When the process started, in seconds since 1970.";
    PROCESS_FDS = "process_open_fds", Kind::Gauge, [],
        "File descriptors that are open.";
    PROCESS_MAX_FDS = "process_max_fds", Kind::Gauge, [],
        "File descriptors that may be open.";
    PROCESS_THREADS = "process_threads", Kind::Gauge, [],
        "Threads of the process.";
}

/// Tells the recorder of the process what the metrics mean. Call it once the recorder is installed.
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.unit(), metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.unit(), metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.unit(), metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString};

    use super::*;

    /// Notes what is described.
    #[derive(Default)]
    struct Notes(Mutex<Vec<(String, Option<Unit>, String)>>);

    impl Notes {
        fn note(&self, key: &KeyName, unit: Option<Unit>, help: &SharedString) {
            let note = (key.as_str().to_owned(), unit, help.to_string());
            self.0.lock().unwrap().push(note);
        }
    }

    impl Recorder for Notes {
        fn describe_counter(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
            self.note(&key, unit, &help);
        }

        fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
            self.note(&key, unit, &help);
        }

        fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
            self.note(&key, unit, &help);
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_metric_is_described_to_the_recorder() {
        let notes = Notes::default();
        metrics::with_local_recorder(&notes, describe);
        let described: Vec<String> = notes.0.lock().unwrap().iter().map(|note| note.0.clone()).collect();
        let names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(described, names);
    }

    /// Names that others already read, and so without our prefix.
    const FOREIGN: [&str; 7] =
        [LAG, PROCESS_CPU, PROCESS_MEMORY, PROCESS_START, PROCESS_FDS, PROCESS_MAX_FDS, PROCESS_THREADS];

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for (index, Metric { name, kind, labels, help }) in ALL.iter().enumerate() {
            assert!(name.starts_with("catchment_") != FOREIGN.contains(name), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let reserved = ["_count", "_sum", "_bucket", "_info"].iter().any(|ending| name.ends_with(ending));
            assert!(!reserved || *name == BUILD_INFO, "{name}");
            if let Kind::Histogram(buckets) = kind {
                let unit = if *buckets == Buckets::Records { "_records" } else { "_seconds" };
                assert!(name.ends_with(unit), "{name}");
            }
            assert!(
                labels.iter().all(|label| !["le", "quantile", "job", "instance"].contains(label)),
                "{name}"
            );
            assert!(help.ends_with('.'), "{name}");
            assert!(ALL[..index].iter().all(|other| other.name != *name), "{name}");
        }
    }

    #[test]
    fn a_unit_is_what_the_name_says() {
        let unit = |name: &str| ALL.iter().find(|metric| metric.name == name).unwrap().unit();
        assert_eq!(unit(STEP_SECONDS), Unit::Seconds);
        assert_eq!(unit(PROCESS_CPU), Unit::Seconds);
        assert_eq!(unit(READ_BYTES), Unit::Bytes);
        assert_eq!(unit(COMMITS), Unit::Count);
    }

    #[test]
    fn bounds_rise() {
        for buckets in [Buckets::Short, Buckets::Long, Buckets::Records] {
            assert!(buckets.bounds().is_sorted_by(|one, other| one < other), "{buckets:?}");
        }
    }
}
