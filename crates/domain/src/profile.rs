//! What is known of one customer.
//!
//! Every field merges in the events' own time by a rule that is commutative, associative and idempotent, so that any
//! order of arrival gives the same profile and a backfill can't overwrite what is newer. (Counts are not idempotent by
//! themselves: an event is applied once, which deduplication sees to before it comes here.) Lists are bounded by count
//! under a total order, so that what is cut off does not depend on arrival either. Two things are apart. Predictions are
//! of the moment in which they were made. And an order that is told again, under another event id, after it left the
//! list of orders counts a second time: of the orders summed up, only the sum is known. (Told again while it is in the
//! list, it counts once, by its greatest time.)

mod absorb;
mod activity;
mod commerce;
mod returns;
mod statements;
#[cfg(test)]
mod tests;

pub use activity::{Day, EventCount, HourCount, MAX_COUNTS, MAX_DAYS, OTHER, RESERVED_COUNTS};
pub use commerce::{
    Affinity, CartItem, MAX_AFFINITIES, MAX_CART, MAX_ORDERS, MAX_RECENT, MAX_SURVEYS, Order, OrderSum,
    RecentProduct, SurveyAnswer,
};
pub use returns::{Kept, Lifetime, MAX_RETURNS, Return, ReturnSum};
pub use statements::{
    Consent, Freshness, MAX_CONSENTS, MAX_SOURCES, MAX_TRAITS, ProfileIdentifier, RESERVED_TRAITS, TIMEZONE,
    Trait,
};

use crate::event::{ConsentStatus, Event};
use crate::id::IdentifierType;
use crate::model::Score;
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
    /// A feature was missing, and the value that the model declares for that stood in.
    pub missing: bool,
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
    /// By type and value. Which they are is decided by [`identity`](crate::identity), not by what events name.
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
    /// Sums of orders older than those, by currency; orders of unknown amount first.
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
    /// By hour of the day where the customer was.
    pub hours: Vec<HourCount>,
    /// By (order, currency).
    pub returns: Vec<Return>,
    /// Sums of what was given back besides, by currency.
    pub older_returns: Vec<ReturnSum>,
}

impl Profile {
    /// Takes an event in, but for its identifiers. The caller has seen to it that no event comes twice.
    pub fn apply(&mut self, event: &Event<'_>) {
        let at = event.occurred_at;
        if self.events == 0 {
            (self.first_seen, self.last_seen) = (at, at);
        }
        self.events += 1;
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
        self.take_statements(event);
        self.take_activity(event);
        self.take_commerce(event);
    }

    /// What holds for a purpose; never stated is unknown.
    #[must_use]
    pub fn consent(&self, purpose: &str) -> ConsentStatus {
        self.consent_statement(purpose).map_or(ConsentStatus::Unknown, |consent| consent.status)
    }

    /// The newest statement about a purpose.
    #[must_use]
    pub fn consent_statement(&self, purpose: &str) -> Option<&Consent> {
        self.consents.iter().find(|consent| consent.purpose == purpose)
    }

    /// The value of a trait, if it is stated and not deleted.
    #[must_use]
    pub fn trait_value(&self, name: &str) -> Option<&str> {
        let at = self.traits.binary_search_by(|known| known.name.as_str().cmp(name)).ok()?;
        self.traits[at].value.as_deref()
    }

    /// The newest identifier of a type: the one that came last. Of several of one moment, the first.
    #[must_use]
    pub fn identifier(&self, kind: IdentifierType) -> Option<&ProfileIdentifier> {
        let of_kind = self.identifiers.iter().filter(|identifier| identifier.kind == kind);
        of_kind.reduce(|newest, next| if next.at > newest.at { next } else { newest })
    }

    /// True if what was put in the cart at these two times was in one cart: no order that is known lies between. An
    /// order closes what was put in up to its own time.
    #[must_use]
    pub fn same_cart(&self, one: Millis, other: Millis) -> bool {
        let between = one.min(other)..one.max(other);
        !self.cart_closed_at.is_some_and(|closed| between.contains(&closed))
            && !self.orders.iter().any(|order| between.contains(&order.at))
    }

    /// Number of orders.
    #[must_use]
    pub fn order_count(&self) -> u64 {
        self.older_orders.iter().fold(self.orders.len() as u64, |sum, older| sum.saturating_add(older.orders))
    }

    /// Newest time at which something was done.
    #[must_use]
    pub fn last_done(&self, event: &str) -> Option<Millis> {
        let at = self.counts.binary_search_by(|count| count.event.as_str().cmp(event)).ok()?;
        Some(self.counts[at].last_at)
    }

    /// Stores the newest score of a model.
    pub fn predict(&mut self, model: &str, version: &str, score: Score, at: Millis) {
        let Score { value, missing } = score;
        match self.predictions.binary_search_by(|known| known.model.as_str().cmp(model)) {
            Ok(place) => {
                let known = &mut self.predictions[place];
                (known.score, known.at, known.missing) = (value, at, missing);
                if known.version != version {
                    known.version = Text::from(version);
                }
            }
            Err(place) => {
                let (model, version) = (Text::from(model), Text::from(version));
                insert(
                    &mut self.predictions,
                    place,
                    Prediction { model, version, score: value, at, missing },
                );
            }
        }
    }

    /// The newest score of a model.
    #[must_use]
    pub fn prediction(&self, model: &str) -> Option<&Prediction> {
        self.predictions.iter().find(|prediction| prediction.model == model)
    }
}

/// Inserts, and takes little more memory than is needed: profiles are many, and most of their lists have one entry or two,
/// where a `Vec` makes room for four at once and then for twice as many.
fn insert<T>(list: &mut Vec<T>, place: usize, entry: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 4);
    }
    list.insert(place, entry);
}

/// The place of the entry that is to go, if a list in order of name has one too many: the last that is not reserved.
/// Reserved names have their places whether they are taken or not, so which names are kept depends on the names alone,
/// and any order of arrival leaves the same ones.
fn beyond<T>(list: &[T], most: usize, reserved: &[&str], name: impl Fn(&T) -> &str) -> Option<usize> {
    let most = most - reserved.len();
    if list.len() <= most {
        return None;
    }
    let mut others = (0..list.len()).filter(|place| !reserved.contains(&name(&list[*place])));
    let beyond = others.nth(most)?;
    Some(others.last().unwrap_or(beyond))
}
