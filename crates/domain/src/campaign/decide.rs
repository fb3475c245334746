//! One decision, step by step.

use super::condition::Verdict;
use super::ledger::FOR_EVER;
use super::{Campaign, Channel, Ledger, Scope, Timer};
use crate::event::{ConsentStatus, Event, EventKind};
use crate::id::{IdentifierType, NodeKey};
use crate::identity::Evidence;
use crate::profile::{Consent, Prediction, Profile, ProfileIdentifier, TIMEZONE, Text};
use crate::time::Millis;
use jiff::tz::TimeZone;

/// How a decision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A trigger, to be sent now.
    Send,
    /// A trigger, to be sent later.
    Deferred,
    /// No trigger.
    Suppressed,
    /// No trigger: the customer is in the holdout.
    HeldOut,
    /// No trigger: too late.
    Expired,
}

impl Outcome {
    /// The word in records, reports and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Send => "send",
            Outcome::Deferred => "deferred",
            Outcome::Suppressed => "suppressed",
            Outcome::HeldOut => "held_out",
            Outcome::Expired => "expired",
        }
    }

    /// Whether a trigger was made.
    #[must_use]
    pub fn is_sent(self) -> bool {
        matches!(self, Outcome::Send | Outcome::Deferred)
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a decision ended as it did: the first step that stopped it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// The closed list, in the order of the steps.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// Name, as decisions carry it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The event, or the end of the wait, is older than the campaign's `max_age`.
    TooLate = "too_late",
    /// As many decisions of this customer are waiting as may be.
    TooManyTimers = "too_many_timers",
    /// The condition is false.
    Condition = "condition",
    /// The condition can't be computed for this customer, such as a number from a trait that is none.
    ConditionError = "condition_error",
    /// The condition asks for something that is not known of this customer, such as a score.
    MissingData = "missing_data",
    /// The campaign has already spoken to this customer about this.
    AlreadySent = "already_sent",
    /// The campaign has spoken to this customer within its `reentry` time.
    Reentry = "reentry",
    /// The customer refused, or withdrew consent.
    ConsentDenied = "consent_denied",
    /// The customer never consented, which is not consent.
    ConsentUnknown = "consent_unknown",
    /// There is no address for the channel.
    Unreachable = "unreachable",
    /// It is quiet hours where the customer is; the trigger waits until they end.
    QuietHours = "quiet_hours",
    /// Nothing stopped it.
    Matched = "matched",
}

/// The event behind a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause<'a> {
    /// Its id.
    pub event_id: &'a str,
    /// Its source.
    pub source: &'a str,
    /// When it happened.
    pub occurred_at: Millis,
}

impl<'a> Cause<'a> {
    /// The event that shows that two customers are one.
    #[must_use]
    pub fn of_merge(evidence: &'a Evidence) -> Self {
        Cause { event_id: &evidence.event_id, source: &evidence.source, occurred_at: evidence.at }
    }

    /// An event as a cause.
    #[must_use]
    pub fn of(event: &Event<'a>) -> Self {
        Cause { event_id: event.id, source: event.source, occurred_at: event.occurred_at }
    }

    /// The event that started a timer.
    #[must_use]
    pub fn of_timer(timer: &'a Timer) -> Self {
        Cause { event_id: &timer.event_id, source: &timer.source, occurred_at: timer.occurred_at }
    }
}

/// A message to the customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Idempotency key: 32 hex digits of BLAKE3 over campaign, node key and scope.
    pub id: String,
    /// Channel.
    pub channel: Channel,
    /// Where to reach the customer.
    pub address: ProfileIdentifier,
    /// Not before.
    pub not_before: Millis,
    /// Not after: the campaign's `max_age` behind [`Trigger::not_before`], or behind the moment at which the decision was
    /// due if that is later.
    pub expires_at: Millis,
    /// The statement of consent that it rests on, if the campaign asks for one.
    pub consent: Option<Consent>,
    /// Time zone that quiet hours were judged in.
    pub timezone: Option<Text>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What it was about.
    pub scope: Text,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// When.
    pub decided_at: Millis,
    /// The message, if there is one.
    pub trigger: Option<Trigger>,
    /// Scores that the condition names, as they were; by model.
    pub scores: Vec<Prediction>,
}

/// What an event means to a campaign.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Nothing.
    No,
    /// Decide now, about this scope.
    Now(Text),
    /// Decide when the timer is due.
    Wait(Timer),
}

/// What a customer's score by a model was before an event.
pub type ScoreBefore<'a> = &'a dyn Fn(&str) -> Option<f64>;

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The customer's node.
    pub key: NodeKey,
    /// What is known of the customer.
    pub profile: &'a Profile,
    /// What was sent to her.
    pub ledger: &'a Ledger,
    /// The event behind it.
    pub cause: Cause<'a>,
    /// When it was due: the event's time, or the end of the wait.
    pub due: Millis,
    /// The moment of the decision.
    pub now: Millis,
}

impl Campaign {
    /// What an event, already applied to the profile, means to the campaign. A wait ends `after` the event happened, but
    /// not before `earliest`: what belongs to an event that arrives late (an upload of a phone that was offline) arrives
    /// right behind it, and an order must have its chance to end the wait for it.
    ///
    /// `before` says what the customer's score by a model was before the event, for campaigns that a score starts: it must
    /// have been lower, or unknown.
    #[must_use]
    pub fn on_event(
        &self,
        event: &Event<'_>,
        (profile, before): (&Profile, ScoreBefore<'_>),
        ledger: &Ledger,
        earliest: Millis,
    ) -> Match {
        let trigger = &self.file().trigger;
        if trigger.event.as_ref().is_some_and(|name| event.label() != name) {
            return Match::No;
        }
        let reached = |score: &super::ScoreFile| {
            let is_above = |value: f64| value >= score.at_least;
            let now = profile.prediction(&score.model).map(|known| known.score);
            now.is_some_and(is_above) && !before(&score.model).is_some_and(is_above)
        };
        if trigger.score.as_ref().is_some_and(|score| !reached(score)) {
            return Match::No;
        }
        let scope = self.scope(event);
        if trigger.after.is_none() {
            return Match::Now(scope);
        }
        // The exception may have arrived before its event: an order that overtook its cart.
        let ended = self.is_ended(event.label(), event.occurred_at, profile);
        // A timer that this very event ends does not stand in its way.
        let waits = ledger.timers_of(self.name()).any(|timer| {
            let same =
                self.same_matter(profile, (&scope, event.occurred_at), (&timer.scope, timer.occurred_at));
            same && !self.ends(event, timer)
        });
        if ended || waits {
            return Match::No;
        }
        Match::Wait(Timer {
            due: self.end_of_wait(event.occurred_at).max(earliest),
            campaign: Text::from(self.name()),
            scope,
            event_id: Text::from(event.id),
            source: Text::from(event.source),
            occurred_at: event.occurred_at,
        })
    }

    /// What it means to the campaign that two customers turned out to be one, known by `evidence`: a score that neither had reached
    /// may be reached now. A campaign that an event starts is not started by that.
    #[must_use]
    pub fn on_merge(
        &self,
        evidence: &Evidence,
        (profile, before): (&Profile, ScoreBefore<'_>),
        ledger: &Ledger,
        earliest: Millis,
    ) -> Match {
        if self.file().trigger.event.is_some() || self.file().trigger.score.is_none() {
            return Match::No;
        }
        let event = Event {
            id: &evidence.event_id,
            source: &evidence.source,
            kind: EventKind::Alias,
            name: None,
            occurred_at: evidence.at,
            received_at: evidence.at,
            local_hour: None,
            identifiers: Vec::new(),
            traits: Vec::new(),
            consents: Vec::new(),
            currency: None,
            items: Vec::new(),
            order: None,
            survey: None,
        };
        self.on_event(&event, (profile, before), ledger, earliest)
    }

    /// Whether an exception is known to an event of this name and time. Of an exception only the newest time is known; one
    /// after the end of the wait ends it too, which errs on the side of silence. An event that is its own exception is no
    /// exception to itself: a later one is, and starts the wait anew.
    fn is_ended(&self, label: &str, occurred_at: Millis, profile: &Profile) -> bool {
        self.file().trigger.unless.iter().any(|name| {
            let done = profile.last_done(name);
            done.is_some_and(|at| at > occurred_at || (at == occurred_at && name != label))
        })
    }

    /// The timers of this campaign that are pointless since two customers turned out to be one: what the one did ends the
    /// wait of the other, or both wait because of the same matter, of which the earlier goes on. `profile` and `timers` are
    /// those of both together.
    #[must_use]
    pub fn pointless<'t>(&self, profile: &Profile, timers: &'t [Timer]) -> Vec<&'t Timer> {
        let label = self.file().trigger.event.as_deref().unwrap_or_default();
        let (mut going, mut pointless) = (Vec::<&Timer>::new(), Vec::new());
        let mut of_campaign: Vec<&Timer> =
            timers.iter().filter(|timer| timer.campaign == self.name()).collect();
        of_campaign.sort_by_key(|timer| timer.occurred_at);
        for timer in of_campaign {
            let matter = (timer.scope.as_str(), timer.occurred_at);
            let same =
                |other: &&Timer| self.same_matter(profile, matter, (other.scope.as_str(), other.occurred_at));
            if self.is_ended(label, timer.occurred_at, profile) || going.iter().any(same) {
                pointless.push(timer);
            } else {
                going.push(timer);
            }
        }
        pointless
    }

    /// When the wait for an exception to an event ends, by the time of the events.
    #[must_use]
    pub fn end_of_wait(&self, occurred_at: Millis) -> Millis {
        occurred_at.saturating_add(self.file().trigger.after.map_or(0, |after| after.0))
    }

    /// True if an event ends the wait of a timer of this campaign.
    #[must_use]
    pub fn ends(&self, event: &Event<'_>, timer: &Timer) -> bool {
        timer.campaign == self.name()
            && timer.occurred_at <= event.occurred_at
            && event.occurred_at <= self.end_of_wait(timer.occurred_at)
            && self.file().trigger.unless.iter().any(|name| name == event.label())
    }

    fn scope(&self, event: &Event<'_>) -> Text {
        match (self.file().scope, event.order) {
            (Scope::Customer, _) => Text::from(FOR_EVER),
            (Scope::Cart, _) => Text::from(format!("{CART}{}", event.occurred_at)),
            (Scope::Order, Some(order)) => Text::from(order.order_id),
            (Scope::Order, None) | (Scope::Event, _) => Text::from(format!("{}:{}", event.source, event.id)),
        }
    }

    /// True if two decisions, each with its scope and the time of its event, are about the same. The scope of a cart
    /// carries the time of the event that started the decision, and any addition may be that one: whether two times are
    /// of one cart is judged by the orders between them, also by those that became known since.
    fn same_matter(&self, profile: &Profile, one: (&str, Millis), other: (&str, Millis)) -> bool {
        let of_carts =
            self.file().scope == Scope::Cart && one.0.starts_with(CART) && other.0.starts_with(CART);
        one.0 == other.0 || (of_carts && profile.same_cart(one.1, other.1))
    }

    /// Decides. The steps run in the order of [`Reason`]; the first that applies ends it.
    #[must_use]
    pub fn decide(&self, scope: Text, situation: &Situation<'_>) -> Decision {
        let &Situation { key, profile, due, now, .. } = situation;
        let scores = self.used_scores(profile);
        let stop = self.stop(&scope, situation);
        let address = address(self.file().channel, profile);
        let (outcome, reason, trigger) = match (stop, address) {
            (Some((outcome, reason)), _) => (outcome, reason, None),
            (None, None) => (Outcome::Suppressed, Reason::Unreachable, None),
            (None, Some(address)) => {
                let timezone = profile.trait_value(TIMEZONE);
                let until = self.quiet_until(timezone, now);
                let not_before = until.unwrap_or(now);
                let purpose = self.file().purpose();
                let trigger = Trigger {
                    id: trigger_id(self.name(), key, &scope),
                    channel: self.file().channel,
                    address: address.clone(),
                    not_before,
                    expires_at: not_before.max(due).saturating_add(self.file().max_age.0),
                    consent: purpose.and_then(|purpose| profile.consent_statement(purpose)).cloned(),
                    timezone: timezone.map(Text::from),
                };
                match until {
                    Some(_) => (Outcome::Deferred, Reason::QuietHours, Some(trigger)),
                    None => (Outcome::Send, Reason::Matched, Some(trigger)),
                }
            }
        };
        Decision { scope, outcome, reason, decided_at: now, trigger, scores }
    }

    /// The record of a decision that could not wait, because the customer has as many timers as may be.
    #[must_use]
    pub fn refuse_timer(&self, scope: Text, now: Millis) -> Decision {
        let (outcome, reason) = (Outcome::Suppressed, Reason::TooManyTimers);
        Decision { scope, outcome, reason, decided_at: now, trigger: None, scores: Vec::new() }
    }

    fn stop(&self, scope: &str, situation: &Situation<'_>) -> Option<(Outcome, Reason)> {
        let &Situation { profile, ledger, cause, due, now, .. } = situation;
        let file = self.file();
        let suppressed = |reason| Some((Outcome::Suppressed, reason));
        if now.saturating_sub(due) > file.max_age.0 {
            return Some((Outcome::Expired, Reason::TooLate));
        }
        match self.condition.as_ref().map(|condition| condition.check(profile)) {
            None | Some(Verdict::Holds) => {}
            Some(Verdict::Fails) => return suppressed(Reason::Condition),
            Some(Verdict::Error) => return suppressed(Reason::ConditionError),
            Some(Verdict::Missing) => return suppressed(Reason::MissingData),
        }
        let about = (scope, cause.occurred_at);
        let mut sent = ledger.sent_by(self.name());
        if sent.any(|sent| self.same_matter(profile, about, (&sent.scope, sent.occurred_at))) {
            return suppressed(Reason::AlreadySent);
        }
        let again = file.reentry.zip(ledger.last_sent(self.name()));
        if again.is_some_and(|(wait, last)| now < last.saturating_add(wait.0)) {
            return suppressed(Reason::Reentry);
        }
        match file.purpose().map(|purpose| profile.consent(purpose)) {
            Some(ConsentStatus::Denied) => suppressed(Reason::ConsentDenied),
            Some(ConsentStatus::Unknown) => suppressed(Reason::ConsentUnknown),
            Some(ConsentStatus::Granted) | None => None,
        }
    }

    fn quiet_until(&self, timezone: Option<&str>, now: Millis) -> Option<Millis> {
        let hours = self.file().quiet_hours?;
        // Where the customer is unknown, UTC is as good a guess as any, and a documented one.
        let zone = timezone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        hours.until(now, &zone)
    }

    fn used_scores(&self, profile: &Profile) -> Vec<Prediction> {
        let names = self.condition.as_ref().map(super::Condition::scores).unwrap_or_default();
        let started_by = self.file().trigger.score.as_ref().map(|score| score.model.as_str());
        let used = profile.predictions.iter().filter(|prediction| {
            started_by == Some(prediction.model.as_str())
                || names.iter().any(|name| prediction.model == name.as_str())
        });
        used.cloned().collect()
    }
}

/// What scopes of carts begin with.
const CART: &str = "cart:";

fn address(channel: Channel, profile: &Profile) -> Option<&ProfileIdentifier> {
    let kinds: &[IdentifierType] = match channel {
        Channel::Email => &[IdentifierType::Email],
        Channel::Sms => &[IdentifierType::Phone],
        Channel::Push => &[IdentifierType::AnonymousId],
        Channel::Onsite => &[IdentifierType::UserId, IdentifierType::AnonymousId],
    };
    kinds.iter().find_map(|kind| profile.identifier(*kind))
}

/// Made once, from what does not change by a replay: whoever decides again about the same gets the same id.
fn trigger_id(campaign: &str, key: NodeKey, scope: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(campaign.as_bytes()).update(&[0]).update(&key.0).update(scope.as_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}
