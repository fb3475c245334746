//! All that is known of a customer besides who it is.

use catchment_domain::campaign::Ledger;
use catchment_domain::identity::{Content, Seen};
use catchment_domain::profile::Text;
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
    /// Of each model the higher one of the scores that the two had.
    pub(super) scores: Vec<(Text, f64)>,
}

impl Outcome {
    fn had(&mut self, profile: &Profile) {
        for known in &profile.predictions {
            match self.scores.iter_mut().find(|(model, _)| *model == known.model) {
                Some((_, score)) => *score = score.max(known.score),
                None => self.scores.push((known.model.clone(), known.score)),
            }
        }
    }
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
        for profile in [&self.profile, &other.profile].into_iter().flatten() {
            self.outcome.had(profile);
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
