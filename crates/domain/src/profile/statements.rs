//! What sources state: identifiers, traits, consents. The newest statement by its own time wins.

use super::{Profile, Text, insert};
use crate::event::{ConsentStatement, ConsentStatus, Event};
use crate::id::IdentifierType;
use crate::time::Millis;

/// Most traits: those in [`RESERVED_TRAITS`], and the first by name of all others.
pub const MAX_TRAITS: usize = 64;
/// The trait that says where the customer's clock stands: an IANA time zone.
pub const TIMEZONE: &str = "timezone";
/// Traits that the program itself reads, so that no number of others pushes them out.
pub const RESERVED_TRAITS: [&str; 1] = [TIMEZONE];
/// Most consents; the first by purpose are kept.
pub const MAX_CONSENTS: usize = 32;
/// Most sources whose freshness is kept; the first by name.
pub const MAX_SOURCES: usize = 32;

/// An identifier of the customer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileIdentifier {
    /// Type.
    pub kind: IdentifierType,
    /// Normalised value.
    pub value: Text,
    /// When the earliest event that named it occurred.
    pub at: Millis,
}

/// A trait with its time and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trait {
    /// Name.
    pub name: Text,
    /// Text of the value; `None` after a deletion, whose time is kept, so that an older statement does not bring the
    /// value back.
    pub value: Option<Text>,
    /// When it was stated.
    pub at: Millis,
    /// Who stated it.
    pub source: Text,
}

/// The newest statement about a purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Purpose.
    pub purpose: Text,
    /// What holds.
    pub status: ConsentStatus,
    /// When it was said.
    pub at: Millis,
    /// Who said it.
    pub source: Text,
}

/// The newest event time of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Source.
    pub source: Text,
    /// Newest event.
    pub at: Millis,
}

impl Profile {
    pub(super) fn take_statements(&mut self, event: &Event<'_>) {
        for change in &event.traits {
            self.take_trait(change.name, change.value, event.occurred_at, event.source);
        }
        for statement in &event.consents {
            self.take_consent(statement, event.source);
        }
        self.take_freshness(event.source, event.occurred_at);
    }

    pub(super) fn take_trait(&mut self, name: &str, value: Option<&str>, at: Millis, source: &str) {
        match self.traits.binary_search_by(|known| known.name.as_str().cmp(name)) {
            Ok(place) => {
                let known = &mut self.traits[place];
                // A total order, so that two statements of the same moment give the same winner in any order.
                if (known.at, known.source.as_str(), known.value.as_deref()) < (at, source, value) {
                    known.at = at;
                    if known.value.as_deref() != value {
                        known.value = value.map(Text::from);
                    }
                    if known.source != source {
                        known.source = Text::from(source);
                    }
                }
            }
            Err(place) => {
                let (source, value) = (Text::from(source), value.map(Text::from));
                insert(&mut self.traits, place, Trait { name: Text::from(name), value, at, source });
                super::beyond(&self.traits, MAX_TRAITS, &RESERVED_TRAITS, |known| &known.name)
                    .map(|place| self.traits.remove(place));
            }
        }
    }

    pub(super) fn take_consent(&mut self, statement: &ConsentStatement<'_>, source: &str) {
        let ConsentStatement { purpose, status, at } = *statement;
        match self.consents.binary_search_by(|known| known.purpose.as_str().cmp(purpose)) {
            Ok(place) => {
                let known = &mut self.consents[place];
                // The stricter status is the greater one: it wins at the same moment.
                if (known.at, known.status, known.source.as_str()) < (at, status, source) {
                    (known.at, known.status, known.source) = (at, status, Text::from(source));
                }
            }
            Err(place) => {
                let consent =
                    Consent { purpose: Text::from(purpose), status, at, source: Text::from(source) };
                insert(&mut self.consents, place, consent);
                self.consents.truncate(MAX_CONSENTS);
            }
        }
    }

    pub(super) fn take_freshness(&mut self, source: &str, at: Millis) {
        match self.freshness.binary_search_by(|known| known.source.as_str().cmp(source)) {
            Ok(place) => self.freshness[place].at = self.freshness[place].at.max(at),
            Err(place) => {
                insert(&mut self.freshness, place, Freshness { source: Text::from(source), at });
                self.freshness.truncate(MAX_SOURCES);
            }
        }
    }
}
