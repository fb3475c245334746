//! Campaigns: when to speak to whom, and the record of every decision.
//!
//! A campaign is a reviewed file ([`CampaignFile`]). [`Campaign::new`] checks and compiles it once;
//! [`Campaign::on_event`] says whether an event starts a decision, and [`Campaign::decide`] makes it. The steps of a
//! decision run in a fixed order and the record names the first that stopped it.

mod condition;
mod decide;
mod ledger;
mod quiet;
#[cfg(test)]
mod tests;

pub use condition::{Condition, ConditionError, VARIABLES};
pub use decide::{Cause, Decision, Match, Outcome, Reason, ScoreBefore, Situation, Trigger};
pub use ledger::{FOR_EVER, Ledger, MAX_SENT, MAX_SENT_OF_CAMPAIGN, MAX_TIMERS, Sent, Timer};
pub use quiet::QuietHours;

use crate::time::Millis;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// How a campaign reaches the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// To the e-mail address.
    Email,
    /// To the telephone number.
    Sms,
    /// To the device.
    Push,
    /// A banner in the shop, for the user or the device.
    Onsite,
}

impl Channel {
    /// Name, as files carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Push => "push",
            Channel::Onsite => "onsite",
        }
    }

    /// True for what reaches out to a customer who is not there: a file must say what allows it.
    fn reaches_out(self) -> bool {
        self != Channel::Onsite
    }
}

/// What one decision is about. One customer is sent at most one trigger for a campaign and scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The event that starts it.
    #[default]
    Event,
    /// The order of the event.
    Order,
    /// All that was put in the cart between two orders.
    Cart,
    /// The customer: once ever.
    Customer,
}

/// A span of time in a file, such as `30m`, `48h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Millis);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        // Any: a number without a unit is the usual mistake, and deserves an answer of its own.
        input.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl SpanVisitor {
    const EXPECTED: &'static str = "a span such as 30m, 48h or 7d";

    fn number<E: Error>(number: impl fmt::Display) -> Result<Span, E> {
        Err(E::custom(format_args!("expected {}, got the number {number}", Self::EXPECTED)))
    }
}

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        let span = humantime::parse_duration(text).ok().and_then(|span| i64::try_from(span.as_millis()).ok());
        span.map(Span).ok_or_else(|| E::custom(format_args!("expected {}, got `{text}`", Self::EXPECTED)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Span, E> {
        Self::number(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Span, E> {
        Self::number(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Span, E> {
        Self::number(number)
    }
}

/// What starts a decision.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerFile {
    /// Name of a track event, or the kind of another call (`identify`, `page`, …); any event if not said.
    #[serde(default)]
    pub event: Option<String>,
    /// What the event must have brought the customer to: from below, or from no score. An event that did not starts
    /// nothing, and nothing is recorded of it: a [condition](CampaignFile::condition) is asked when a decision is made.
    #[serde(default)]
    pub score: Option<ScoreFile>,
    /// How long to wait before deciding; at once if not said.
    #[serde(default)]
    pub after: Option<Span>,
    /// Events that end the wait without a decision.
    #[serde(default)]
    pub unless: Vec<String>,
}

/// A score that starts a decision.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFile {
    /// Name of the model.
    pub model: String,
    /// The least score, 0 to 1.
    pub at_least: f64,
}

/// A campaign file, as it is written (YAML). One that reaches out to a customer and says nothing of consent can't be
/// read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct CampaignFile {
    /// Name: letters, digits, `_` and `-`. Decisions, triggers and the ledger carry it, so it stays as it is.
    pub name: String,
    /// What it is for; for people.
    #[serde(default)]
    pub description: String,
    /// What starts a decision.
    pub trigger: TriggerFile,
    /// What the decision is about.
    #[serde(default)]
    pub scope: Scope,
    /// How old the event (or, after a wait, its end) may be; older ones are recorded as expired. Default `1d`.
    #[serde(default = "one_day")]
    pub max_age: Span,
    /// Condition in the Common Expression Language over [`VARIABLES`]; always true if not said.
    #[serde(default)]
    pub condition: Option<String>,
    /// How long a customer is left alone by this campaign after a trigger; never again for the same scope anyway.
    #[serde(default)]
    pub reentry: Option<Span>,
    /// How to reach the customer.
    pub channel: Channel,
    /// Purpose that must be granted, or the word `none`; see [`CampaignFile::purpose`]. Only `onsite` may leave it out,
    /// which means `none`.
    #[serde(default)]
    pub consent: Option<String>,
    /// When not to speak, where the customer is.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
}

/// What `consent` says where none is needed.
const NO_CONSENT: &str = "none";

impl CampaignFile {
    /// The purpose that must be granted; `None` for what needs no consent.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.consent.as_deref().filter(|purpose| *purpose != NO_CONSENT)
    }
}

impl<'de> Deserialize<'de> for CampaignFile {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        // The function of the same name that is derived above.
        let file = Self::deserialize(input)?;
        let says = file.consent.as_deref().is_some_and(|consent| !consent.trim().is_empty());
        if !says && (file.consent.is_some() || file.channel.reaches_out()) {
            return Err(D::Error::custom(format_args!(
                "channel {} needs `consent`: the purpose that must be granted, or `{NO_CONSENT}`",
                file.channel.as_str()
            )));
        }
        Ok(file)
    }
}

fn one_day() -> Span {
    Span(crate::time::DAY)
}

/// Why a campaign file is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CampaignError {
    /// The name can't be one.
    #[error("name `{0}`: expected 1 to 64 letters, digits, `_` or `-`")]
    Name(String),
    /// The trigger names no event.
    #[error("trigger.event must not be empty, and must be there where there is no trigger.score")]
    NoEvent,
    /// A wait for what?
    #[error("trigger.after needs trigger.event")]
    AfterWithoutEvent,
    /// A model that is not configured.
    #[error("trigger.score.model: there is no model `{0}`")]
    NoModel(String),
    /// A score that can't be.
    #[error("trigger.score.at_least: expected a number from 0 to 1, got {0}")]
    NoScore(f64),
    /// `unless` without `after` can never apply.
    #[error("trigger.unless needs trigger.after: without a wait there is nothing to end")]
    UnlessWithoutAfter,
    /// Quiet hours that begin when they end.
    #[error("quiet_hours: from and to must differ")]
    QuietHours,
    /// The condition.
    #[error("condition: {0}")]
    Condition(#[from] ConditionError),
}

impl TriggerFile {
    fn check(&self, models: &[&str]) -> Result<(), CampaignError> {
        match (&self.event, &self.score) {
            (None, None) => return Err(CampaignError::NoEvent),
            (Some(event), _) if event.trim().is_empty() => return Err(CampaignError::NoEvent),
            (None, Some(_)) if self.after.is_some() => return Err(CampaignError::AfterWithoutEvent),
            _ => {}
        }
        match &self.score {
            Some(score) if !models.contains(&score.model.as_str()) => {
                Err(CampaignError::NoModel(score.model.clone()))
            }
            Some(score) if !(0.0..=1.0).contains(&score.at_least) => {
                Err(CampaignError::NoScore(score.at_least))
            }
            _ => Ok(()),
        }
    }
}

/// A campaign that is checked and ready to decide.
#[derive(Debug)]
pub struct Campaign {
    file: CampaignFile,
    condition: Option<Condition>,
}

impl Campaign {
    /// Checks and compiles a file. `models` are the names of the models whose scores a condition may use.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(file: CampaignFile, models: &[&str]) -> Result<Campaign, CampaignError> {
        let name_ok = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if file.name.is_empty() || file.name.len() > 64 || !file.name.bytes().all(name_ok) {
            return Err(CampaignError::Name(file.name));
        }
        file.trigger.check(models)?;
        if file.trigger.after.is_none() && !file.trigger.unless.is_empty() {
            return Err(CampaignError::UnlessWithoutAfter);
        }
        if file.quiet_hours.is_some_and(QuietHours::is_empty) {
            return Err(CampaignError::QuietHours);
        }
        let condition = file.condition.as_deref().map(|text| Condition::new(text, models)).transpose()?;
        Ok(Campaign { file, condition })
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The file it was made from.
    #[must_use]
    pub fn file(&self) -> &CampaignFile {
        &self.file
    }
}
