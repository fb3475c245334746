//! What committed steps did, as metrics. The same for every log.

use std::collections::HashMap;

use catchment_pipeline::catalog::CatalogEffect;
use catchment_pipeline::ingest::{IngestEffect, SourceIndex};
use catchment_pipeline::profile::ProfileEffect;

use crate::metrics as names;

/// Effects of ingest, gathered until the step is counted: a counter is looked up once a step, not once a record.
#[derive(Debug)]
pub(crate) struct IngestCounts {
    sources: Vec<String>,
    counts: HashMap<IngestEffect, u64, rustc_hash::FxBuildHasher>,
}

impl IngestCounts {
    /// Nothing counted yet. The names of the sources, in the order of the configuration.
    pub(crate) fn new(sources: Vec<String>) -> Self {
        IngestCounts { sources, counts: HashMap::default() }
    }

    pub(crate) fn add(&mut self, effect: IngestEffect) {
        *self.counts.entry(effect).or_default() += 1;
    }

    /// Adds what was gathered to the metrics.
    pub(crate) fn flush(&mut self) {
        for (effect, count) in self.counts.drain() {
            count_ingest(&self.sources, effect, count);
        }
    }
}

fn count_ingest(sources: &[String], effect: IngestEffect, count: u64) {
    let name = |at: SourceIndex| sources.get(usize::from(at.0)).cloned().unwrap_or_default();
    match effect {
        IngestEffect::Routed { source, kind } => {
            metrics::counter!(names::INGEST_EVENTS, "source" => name(source), "type" => kind.as_str())
                .increment(count);
        }
        IngestEffect::Unattributed { source, kind } => {
            metrics::counter!(names::INGEST_EVENTS, "source" => name(source), "type" => kind.as_str())
                .increment(count);
            metrics::counter!(names::UNATTRIBUTED, "source" => name(source)).increment(count);
        }
        IngestEffect::Item { .. } => {}
        IngestEffect::DeadLettered { source, code } => {
            let source = source.map_or_else(String::new, name);
            metrics::counter!(names::DEAD_LETTERS, "source" => source, "code" => code.as_str())
                .increment(count);
        }
        IngestEffect::Skipped { source, reason } => {
            metrics::counter!(names::SKIPPED, "source" => name(source), "reason" => reason.as_str())
                .increment(count);
        }
        IngestEffect::AmountsDropped { source } => {
            metrics::counter!(names::AMOUNTS_DROPPED, "source" => name(source)).increment(count);
        }
    }
}

/// Adds an effect of profile to the metrics. All but duplicates and decisions come once a step.
pub(crate) fn count_catalog(effect: CatalogEffect) {
    metrics::counter!(names::CATALOG_STATEMENTS).increment(effect.statements);
    metrics::counter!(names::CATALOG_PUBLISHED).increment(effect.published);
}

/// Adds an effect of profile to the metrics.
pub(crate) fn count_profile(effect: &ProfileEffect) {
    match effect {
        ProfileEffect::Did(tally) => {
            metrics::counter!(names::PROFILES_PUBLISHED).increment(tally.published);
            for (kind, count) in tally.messages.iter().filter(|(_, count)| *count > 0) {
                metrics::counter!(names::INBOX_MESSAGES, "kind" => kind).increment(count);
            }
            metrics::counter!(names::MERGES).increment(tally.merged);
            metrics::counter!(names::EVENTS_FORGOTTEN).increment(tally.forgotten);
            metrics::counter!(names::CUSTOMERS_FORGOTTEN).increment(tally.erased);
            metrics::counter!(names::CUSTOMERS_EXPIRED).increment(tally.expired);
        }
        ProfileEffect::Refused { limit } => {
            metrics::counter!(names::MERGES_REFUSED, "limit" => limit.as_str()).increment(1);
        }
        ProfileEffect::Scored { model, count } => {
            metrics::counter!(names::PREDICTIONS, "model" => model.clone()).increment(*count);
        }
        ProfileEffect::Duplicate { source, .. } => {
            metrics::counter!(names::DUPLICATES, "source" => source.clone()).increment(1);
        }
        ProfileEffect::Decided { campaign, outcome, .. } => {
            let labels = [("campaign", campaign.clone()), ("outcome", outcome.as_str().to_owned())];
            metrics::counter!(names::DECISIONS, &labels).increment(1);
            if outcome.is_sent() {
                metrics::counter!(names::TRIGGERS, "campaign" => campaign.clone()).increment(1);
            }
        }
        ProfileEffect::Orphaned { campaign } => {
            tracing::warn!(campaign, "a timer was dropped: its campaign is not configured any more");
        }
    }
}
