//! The metrics: names, labels and what they count. A metric that is not in this table is not recorded anywhere.

use metrics::{Unit, describe_counter, describe_histogram};

/// How a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A distribution of seconds.
    Seconds,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// How it is measured.
    pub kind: Kind,
    /// Names of its labels. Each has few values: names of sources, models, campaigns, codes, never of customers.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $labels:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: &str = $name;
        )+

        /// All metrics.
        pub const ALL: &[Metric] = &[$(
            Metric { name: $name, kind: Kind::$kind, labels: &$labels, help: $help },
        )+];
    };
}

metrics! {
    INGEST_EVENTS = "catchment_ingest_events_total", Counter, ["source", "type"],
        "Events that ingest took.";
    DEAD_LETTERS = "catchment_dead_letters_total", Counter, ["source", "code"],
        "Records that went to the dead letters.";
    SKIPPED = "catchment_ingest_skipped_total", Counter, ["source", "reason"],
        "Records that were fine and said nothing.";
    AMOUNTS_DROPPED = "catchment_amounts_dropped_total", Counter, ["source"],
        "Records whose amounts were left out, because nobody lists their currency.";
    DUPLICATES = "catchment_duplicates_total", Counter, ["source"],
        "Events that had been seen before and were left out.";
    UNATTRIBUTED = "catchment_unattributed_total", Counter, ["source"],
        "Events without a usable identifier.";
    PROFILES_PUBLISHED = "catchment_profiles_published_total", Counter, [],
        "Profiles that were published.";
    PREDICTIONS = "catchment_predictions_total", Counter, ["model"],
        "Scores that were computed.";
    DECISIONS = "catchment_decisions_total", Counter, ["campaign", "outcome"],
        "Decisions of campaigns, sent or not.";
    TRIGGERS = "catchment_triggers_total", Counter, ["campaign"],
        "Triggers that were published.";
    STEP_SECONDS = "catchment_step_seconds", Seconds, ["role", "phase"],
        "Time that a phase of a step took.";
}

/// Tells the recorder of the process what the metrics mean. Call it once the recorder is installed.
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
            Kind::Seconds => describe_histogram!(metric.name, Unit::Seconds, metric.help),
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

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for (index, metric) in ALL.iter().enumerate() {
            assert!(metric.name.starts_with("catchment_"), "{}", metric.name);
            let ending = match metric.kind {
                Kind::Counter => "_total",
                Kind::Seconds => "_seconds",
            };
            assert!(metric.name.ends_with(ending), "{}", metric.name);
            assert!(ALL[..index].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
