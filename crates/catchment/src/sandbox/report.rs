//! What came of a run, in numbers.

use crate::config::Config;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// A stage of the pipeline, for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Reading the input.
    Read,
    /// Decode, check, map, route.
    Ingest,
    /// Deduplicate, fold, score, decide.
    Profile,
    /// Join what is said of products.
    Catalog,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Ingest => "ingest",
            Stage::Profile => "profile",
            Stage::Catalog => "catalog",
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Records read, of all sources.
    pub(crate) events_in: u64,
    /// Event ids that came again, with the lines on which they did, as dropped by profile.
    pub(crate) duplicates: BTreeMap<String, Vec<u64>>,
    /// Dead letters by code.
    pub(crate) dead_letters: BTreeMap<&'static str, u64>,
    /// Events without an identifier.
    pub(crate) unattributed: u64,
    /// Records that were fine and said nothing.
    pub(crate) skipped: u64,
    /// Records whose amounts were left out, because nobody lists their currency.
    pub(crate) amounts_dropped: u64,
    /// What was said of products.
    pub(crate) catalog_statements: u64,
    /// Products at the end.
    pub(crate) catalog_items: u64,
    /// Events applied to profiles.
    pub(crate) applied: u64,
    /// Customers that became a part of another.
    pub(crate) merged: u64,
    /// Identifiers that were seen together and kept apart, by limit.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    /// Profiles at the end.
    pub(crate) profiles: u64,
    /// Bytes of the records of profiles: of half of them at most, of all but a hundredth, of the largest.
    pub(crate) profile_bytes: Sizes,
    /// Bytes of the private records of nodes, in the same way.
    pub(crate) node_bytes: Sizes,
    /// Scores computed.
    pub(crate) predictions: u64,
    /// Triggers published.
    pub(crate) triggers: u64,
    /// Decisions by outcome.
    pub(crate) decisions: BTreeMap<&'static str, u64>,
    /// Decisions by campaign, outcome and reason.
    pub(crate) reasons: BTreeMap<(String, &'static str, &'static str), u64>,
    /// Timers that are still due.
    pub(crate) timers_pending: u64,
    /// Time spent, by stage.
    pub(crate) stages: BTreeMap<Stage, Duration>,
    /// Time spent in all.
    pub(crate) elapsed: Duration,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sizes {
    median: usize,
    p99: usize,
    largest: usize,
}

impl Sizes {
    /// Of records of these sizes; 0 if there is none.
    pub(crate) fn of(mut sizes: Vec<usize>) -> Self {
        sizes.sort_unstable();
        let at = |part: usize| sizes.get(sizes.len().saturating_sub(1) * part / 100).copied().unwrap_or(0);
        Sizes { median: at(50), p99: at(99), largest: at(100) }
    }
}

/// The numbers as one JSON object.
#[derive(Serialize)]
struct Json<'a, D> {
    events_in: u64,
    duplicates: D,
    dead_letters: &'a BTreeMap<&'static str, u64>,
    unattributed: u64,
    skipped: u64,
    amounts_dropped: u64,
    catalog_statements: u64,
    catalog_items: u64,
    merged: u64,
    refused: &'a BTreeMap<&'static str, u64>,
    profiles: u64,
    profile_bytes: Sizes,
    node_bytes: Sizes,
    predictions: u64,
    triggers: u64,
    decisions: &'a BTreeMap<&'static str, u64>,
    timers_pending: u64,
    seconds: f64,
}

impl Report {
    /// Number of duplicates dropped.
    pub(crate) fn duplicate_count(&self) -> u64 {
        self.duplicates.values().map(|lines| lines.len() as u64).sum()
    }

    /// The numbers as JSON; `seconds` is the time that the run took.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.json(self.duplicate_count(), self.elapsed.as_secs_f64()))
    }

    /// As [`to_json`](Self::to_json), with the duplicates one by one. `seconds` is the time that the data span, so
    /// that the same input gives the same bytes.
    pub(crate) fn to_summary(&self, span: Duration) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&self.json(&self.duplicates, span.as_secs_f64()))
    }

    fn json<D: Serialize>(&self, duplicates: D, seconds: f64) -> Json<'_, D> {
        Json {
            events_in: self.events_in,
            duplicates,
            dead_letters: &self.dead_letters,
            unattributed: self.unattributed,
            skipped: self.skipped,
            amounts_dropped: self.amounts_dropped,
            catalog_statements: self.catalog_statements,
            catalog_items: self.catalog_items,
            merged: self.merged,
            refused: &self.refused,
            profiles: self.profiles,
            profile_bytes: self.profile_bytes,
            node_bytes: self.node_bytes,
            predictions: self.predictions,
            triggers: self.triggers,
            decisions: &self.decisions,
            timers_pending: self.timers_pending,
            seconds,
        }
    }

    /// The numbers for people.
    pub(crate) fn human(&self, config: &Config) -> String {
        let mut text = String::new();
        let dead: u64 = self.dead_letters.values().sum();
        let mut line = |name: &str, count: u64, what: &str| {
            let _ = writeln!(text, "{name:<11} {count:>7}  {what}");
        };
        line("events in", self.events_in, &format!("records of {} sources", config.sources.len()));
        line("duplicates", self.duplicate_count(), "dropped: the same event came again");
        line("dead", dead, "letters, each with its reason and its bytes");
        for (code, count) in &self.dead_letters {
            line("", *count, code);
        }
        line("nobody's", self.unattributed, "events without an identifier");
        if self.skipped > 0 {
            line("skipped", self.skipped, "records that say nothing of a contact or product");
        }
        if self.amounts_dropped > 0 {
            line("amounts", self.amounts_dropped, "left out: ISO 4217 does not list their currency");
        }
        line("catalog", self.catalog_items, &format!("products from {} statements", self.catalog_statements));
        line("profiles", self.profiles, &format!("from {} distinct events", self.applied));
        line("merged", self.merged, "customers that turned out to be another");
        for (limit, count) in &self.refused {
            line("", *count, &format!("kept apart, by the limit of {limit}"));
        }
        line("predictions", self.predictions, "scores");
        line("decisions", self.decisions.values().sum(), "");
        for ((campaign, outcome, reason), count) in &self.reasons {
            line("", *count, &format!("{campaign}: {outcome} ({reason})"));
        }
        line("triggers", self.triggers, "published");
        text
    }

    /// Time by stage, for people.
    pub(crate) fn times(&self) -> String {
        let mut text = String::new();
        for (stage, time) in &self.stages {
            let _ = writeln!(text, "{:<11} {:>9.3} s", stage.as_str(), time.as_secs_f64());
        }
        let _ = writeln!(text, "{:<11} {:>9.3} s", "in all", self.elapsed.as_secs_f64());
        text
    }
}
