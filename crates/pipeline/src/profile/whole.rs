//! All that is known of a customer besides who it is.

use catchment_domain::campaign::Ledger;
use catchment_domain::identity::{Content, Seen};
use catchment_domain::{NodeRef, Profile};

/// A customer's content as the machine of [`identity`](catchment_domain::identity) moves it: profile and ledger. Between two
/// messages a node holds its ledger here, and the profile stands in a table of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// What is known, while it moves.
    pub profile: Option<Box<Profile>>,
    /// What was sent, and what is due.
    pub ledger: Ledger,
    /// What came of the message in hand.
    pub(super) outcome: Outcome,
}

/// What the machine did with the content.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The event in hand is to be applied.
    pub(super) is_applied: bool,
    /// Somebody's content was joined.
    pub(super) is_joined: bool,
}

impl Content for Whole {
    /// The event in hand, which need not be carried: a node forwards what it has just got, and keeps none.
    type Event = ();

    fn is_empty(&self) -> bool {
        self.profile.is_none() && self.ledger.is_empty()
    }

    fn apply(&mut self, _own: NodeRef, _event: &Seen<()>) {
        self.outcome.is_applied = true;
    }

    fn absorb(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        match (&mut self.profile, other.profile) {
            (Some(profile), Some(other)) => profile.absorb(*other),
            (profile @ None, other) => *profile = other,
            (Some(_), None) => {}
        }
        self.ledger.absorb(other.ledger);
        self.outcome.is_joined = true;
    }
}
