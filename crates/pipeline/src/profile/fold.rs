//! What one event does to one customer: fold, score, and what campaigns make of it. Pure.

use catchment_contracts::wire::SchemaIds;
use catchment_domain::campaign::{Campaign, Ledger, Match, Timer};
use catchment_domain::identity::{Evidence, Rules};
use catchment_domain::model::Model;
use catchment_domain::profile::Text;
use catchment_domain::{Event, IdentifierType, Millis, Profile};
use catchment_runtime::state::StateFormat;
use catchment_runtime::{Partition, TopicId};
use smallvec::SmallVec;

/// What all profile tasks of a process share.
#[derive(Debug)]
pub struct Shared {
    /// Models, in the order of the configuration.
    pub models: Vec<Model>,
    /// Campaigns, in the order of the configuration.
    pub campaigns: Vec<Campaign>,
    /// Everything else.
    pub settings: SharedSettings,
}

/// Topics and limits of the role.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// Names of the configured sources, each with its number of partitions: whose watermarks time waits for.
    pub sources: Vec<(String, u32)>,
    /// `customer.profiles`.
    pub profiles: TopicId,
    /// `<app>.profile.state`.
    pub state: TopicId,
    /// `<app>.profile.dedup`.
    pub dedup: TopicId,
    /// `campaign.triggers`.
    pub triggers: TopicId,
    /// `campaign.decisions`.
    pub decisions: TopicId,
    /// `customer.inbox`.
    pub inbox: TopicId,
    /// `customer.merges`.
    pub merges: TopicId,
    /// Partitions of every topic that is keyed by node key.
    pub partitions: Partition,
    /// What the deployment decides of identity.
    pub identity: Rules,
    /// Ids of our contracts.
    pub schemas: SchemaIds,
    /// Which versions of stored records are written.
    pub state_format: StateFormat,
    /// Key that event ids are hashed with: clients choose them, and must not be able to choose where their hashes fall
    /// or whether an id was seen. Derived from the deployment's secret.
    pub dedup_key: [u8; 32],
    /// How long an event id is remembered, in milliseconds.
    pub dedup_window: u64,
    /// Most event ids of a task.
    pub dedup_limit: usize,
    /// When a profile is published.
    pub publish: super::Publish,
    /// How long a decision waits at least, from the arrival of its event, for what arrives with it. Milliseconds.
    pub timer_grace: Millis,
    /// How long what is known of a customer is kept from her newest event on.
    pub expiry: Expiry,
    /// True if `now` is the watermark of the input, false if it is the wall clock.
    pub event_clock: bool,
    /// True if one lane has all partitions and reads them in order of arrival: then what a partition's own input says of
    /// the time is true of all. Else every task tells the others how far it has read.
    pub reads_by_arrival: bool,
}

/// How long what is known of customers is kept, in milliseconds from their newest event on; `None`: for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Of those who are known by devices alone.
    pub anonymous: Option<Millis>,
    /// Of all others.
    pub known: Option<Millis>,
}

impl Expiry {
    /// How long this profile is kept.
    pub(super) fn of(&self, profile: &Profile) -> Option<Millis> {
        let is_device = |kind| kind == IdentifierType::AnonymousId;
        let anonymous = profile.identifiers.iter().all(|identifier| is_device(identifier.kind));
        if anonymous { self.anonymous } else { self.known }
    }

    /// How long any is kept at least.
    pub(super) fn soonest(&self) -> Option<Millis> {
        self.anonymous.into_iter().chain(self.known).min()
    }
}

/// Scores of a customer, in the order of the models.
pub(super) type Scores = SmallVec<[Option<f64>; 4]>;

/// What campaigns made of an event.
#[derive(Debug, Default, PartialEq)]
pub struct Reaction {
    /// Decisions to make now: place of the campaign, scope.
    pub now: Vec<(usize, Text)>,
    /// Timers to set: place of the campaign, timer.
    pub set: Vec<(usize, Timer)>,
    /// Timers that the event ends.
    pub ended: Vec<Timer>,
}

impl Reaction {
    /// True if campaigns make nothing of the event, as of most.
    pub fn is_empty(&self) -> bool {
        self.now.is_empty() && self.set.is_empty() && self.ended.is_empty()
    }
}

impl Shared {
    /// Scores a profile with every model at `now`, and counts for each model the scores it gave. Returns the scores as they
    /// were before, by model.
    pub fn score(&self, profile: &mut Profile, now: Millis, counts: &mut [u64]) -> Scores {
        let mut before = Scores::new();
        for (model, count) in self.models.iter().zip(counts) {
            before.push(profile.prediction(model.name()).map(|known| known.score));
            if let Some(score) = model.score(profile, now) {
                profile.predict(model.name(), model.version(), score, now);
                *count += 1;
            }
        }
        before
    }

    /// What campaigns make of an event that arrived then and was just applied; `before` is what [`score`](Self::score) returned.
    pub fn react(
        &self,
        event: &Event<'_>,
        (profile, before): (&Profile, &Scores),
        ledger: &Ledger,
        arrived_at: Millis,
    ) -> Reaction {
        let score_before = |name: &str| {
            let place = self.models.iter().position(|model| model.name() == name)?;
            before.get(place).copied().flatten()
        };
        let earliest = arrived_at.saturating_add(self.settings.timer_grace);
        let mut reaction = Reaction::default();
        for (place, campaign) in self.campaigns.iter().enumerate() {
            let ended = ledger.timers.iter().filter(|timer| campaign.ends(event, timer));
            reaction.ended.extend(ended.cloned());
            match campaign.on_event(event, (profile, &score_before), ledger, earliest) {
                Match::No => {}
                Match::Now(scope) => reaction.now.push((place, scope)),
                Match::Wait(timer) => reaction.set.push((place, timer)),
            }
        }
        reaction
    }

    /// What campaigns make of two customers who turned out to be one at that time; `scores` are the higher ones of those that the
    /// two had.
    pub fn react_to_merge(
        &self,
        evidence: &Evidence,
        (profile, scores): (&Profile, &[(Text, f64)]),
        ledger: &Ledger,
        at: Millis,
    ) -> Reaction {
        let before = |name: &str| scores.iter().find(|(model, _)| *model == name).map(|(_, score)| *score);
        let earliest = at.saturating_add(self.settings.timer_grace);
        let mut reaction = Reaction::default();
        for (place, campaign) in self.campaigns.iter().enumerate() {
            match campaign.on_merge(evidence, (profile, &before), ledger, earliest) {
                Match::No => {}
                Match::Now(scope) => reaction.now.push((place, scope)),
                Match::Wait(timer) => reaction.set.push((place, timer)),
            }
        }
        reaction
    }

    /// The campaign of that name, if it is still configured.
    pub fn campaign(&self, name: &str) -> Option<&Campaign> {
        self.campaigns.iter().find(|campaign| campaign.name() == name)
    }
}
