//! What was asked of the schema registry, as metrics.

use catchment_connectors::registry::SchemaCounts;
use metrics::Counter;

use crate::metrics as names;

/// Counts on from what was told before.
pub struct RegistryCounts {
    told: SchemaCounts,
    answered: Counter,
    refused: Counter,
    failed: Counter,
}

impl RegistryCounts {
    /// Nothing told yet.
    #[must_use]
    pub fn new() -> Self {
        let counter =
            |outcome: &'static str| metrics::counter!(names::REGISTRY_REQUESTS, "outcome" => outcome);
        RegistryCounts {
            told: SchemaCounts::default(),
            answered: counter("answered"),
            refused: counter("refused"),
            failed: counter("failed"),
        }
    }

    /// What the cache of schemas has done so far. To be told now and then.
    pub fn tell(&mut self, counts: SchemaCounts) {
        self.answered.increment(counts.fetched.saturating_sub(self.told.fetched));
        self.refused.increment(counts.refused.saturating_sub(self.told.refused));
        self.failed.increment(counts.failed.saturating_sub(self.told.failed));
        self.told = counts;
    }
}

impl Default for RegistryCounts {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RegistryCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryCounts").field("told", &self.told).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::tests::{page_of, value_of};

    #[test]
    fn counts_grow_by_what_is_new() {
        let page = page_of(|| {
            let mut counts = RegistryCounts::new();
            counts.tell(SchemaCounts { fetched: 2, failed: 1, refused: 0, pending: 5 });
            counts.tell(SchemaCounts { fetched: 3, failed: 4, refused: 1, pending: 0 });
        });
        let value = |outcome| value_of(&page, names::REGISTRY_REQUESTS, &[("outcome", outcome)]);
        assert_eq!(["answered", "failed", "refused"].map(value), [3.0, 4.0, 1.0]);
    }
}
