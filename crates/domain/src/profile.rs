//! What is known of one customer.
//!
//! Every field merges in the events' own time by a rule that is commutative, associative and idempotent, so that any
//! order of arrival gives the same profile and a backfill can't overwrite what is newer. (Counts are not idempotent by
//! themselves: an event is applied once, which deduplication sees to before it comes here.) Lists are bounded by count
//! under a total order, so that what is cut off does not depend on arrival either. Predictions are apart: they are of
//! the moment in which they were made.

mod activity;
mod commerce;
mod statements;
#[cfg(test)]
mod tests;

pub use activity::{Day, EventCount, MAX_COUNTS, MAX_DAYS, OTHER};
pub use commerce::{
    Affinity, CartItem, MAX_AFFINITIES, MAX_CART, MAX_ORDERS, MAX_RECENT, MAX_SURVEYS, Order, OrderSum,
    RecentProduct, SurveyAnswer,
};
pub use statements::{
    Consent, Freshness, MAX_CONSENTS, MAX_IDENTIFIERS, MAX_SOURCES, MAX_TRAITS, ProfileIdentifier, Trait,
};

use crate::event::{ConsentStatus, Event};
use crate::id::IdentifierType;
use crate::time::Millis;
use compact_str::CompactString;

/// Short text: up to 24 bytes without an allocation, which covers nearly all names and ids.
pub type Text = CompactString;

/// The score that a model gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Name of the model.
    pub model: Text,
    /// Version of the model.
    pub version: Text,
    /// Score; for probabilities 0 to 1.
    pub score: f64,
    /// When it was computed.
    pub at: Millis,
}

/// One customer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Distinct events applied.
    pub events: u64,
    /// Earliest event.
    pub first_seen: Millis,
    /// Newest event.
    pub last_seen: Millis,
    /// Latest arrival among the events applied.
    pub updated_at: Millis,
    /// By type and value.
    pub identifiers: Vec<ProfileIdentifier>,
    /// By name.
    pub traits: Vec<Trait>,
    /// By purpose.
    pub consents: Vec<Consent>,
    /// By event.
    pub counts: Vec<EventCount>,
    /// By day.
    pub days: Vec<Day>,
    /// By (time, number).
    pub orders: Vec<Order>,
    /// Sums of orders older than those, by currency.
    pub older_orders: Vec<OrderSum>,
    /// Newest order: what was put in the cart up to then is no longer in it.
    pub cart_closed_at: Option<Millis>,
    /// By sku.
    pub cart: Vec<CartItem>,
    /// Newest first.
    pub recent: Vec<RecentProduct>,
    /// By (day, category).
    pub affinity: Vec<Affinity>,
    /// By (time, survey, question, score).
    pub surveys: Vec<SurveyAnswer>,
    /// By source.
    pub freshness: Vec<Freshness>,
    /// By model.
    pub predictions: Vec<Prediction>,
}

impl Profile {
    /// Takes an event in. The caller has seen to it that no event comes twice.
    pub fn apply(&mut self, event: &Event<'_>) {
        let at = event.occurred_at;
        if self.events == 0 {
            (self.first_seen, self.last_seen, self.updated_at) = (at, at, event.received_at);
        }
        self.events += 1;
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
        self.updated_at = self.updated_at.max(event.received_at);
        self.take_statements(event);
        self.take_activity(event);
        self.take_commerce(event);
    }

    /// What holds for a purpose; never stated is unknown.
    #[must_use]
    pub fn consent(&self, purpose: &str) -> ConsentStatus {
        let found = self.consents.iter().find(|consent| consent.purpose == purpose);
        found.map_or(ConsentStatus::Unknown, |consent| consent.status)
    }

    /// The value of a trait, if it is stated and not deleted.
    #[must_use]
    pub fn trait_value(&self, name: &str) -> Option<&str> {
        let at = self.traits.binary_search_by(|known| known.name.as_str().cmp(name)).ok()?;
        self.traits[at].value.as_deref()
    }

    /// The first identifier of a type, in order of value.
    #[must_use]
    pub fn identifier(&self, kind: IdentifierType) -> Option<&ProfileIdentifier> {
        self.identifiers.iter().find(|identifier| identifier.kind == kind)
    }

    /// Newest time at which something was done.
    #[must_use]
    pub fn last_done(&self, event: &str) -> Option<Millis> {
        let at = self.counts.binary_search_by(|count| count.event.as_str().cmp(event)).ok()?;
        Some(self.counts[at].last_at)
    }

    /// Stores the newest score of a model.
    pub fn predict(&mut self, model: &str, version: &str, score: f64, at: Millis) {
        let found = self.predictions.binary_search_by(|known| known.model.as_str().cmp(model));
        match found {
            Ok(place) => {
                let known = &mut self.predictions[place];
                (known.score, known.at) = (score, at);
                if known.version != version {
                    known.version = Text::from(version);
                }
            }
            Err(place) => {
                let prediction =
                    Prediction { model: Text::from(model), version: Text::from(version), score, at };
                self.predictions.insert(place, prediction);
            }
        }
    }

    /// The newest score of a model.
    #[must_use]
    pub fn prediction(&self, model: &str) -> Option<&Prediction> {
        self.predictions.iter().find(|prediction| prediction.model == model)
    }
}
