//! The private part of a customer: what was sent, and what is still due.

use crate::profile::Text;
use crate::time::Millis;

/// Most entries of the ledger; the newest.
pub const MAX_SENT: usize = 256;
/// Most timers of a customer. One more is not set, which its decision records.
pub const MAX_TIMERS: usize = 64;

/// A trigger that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Campaign.
    pub campaign: Text,
    /// What it was about.
    pub scope: Text,
    /// The trigger.
    pub trigger_id: Text,
    /// When it was decided.
    pub at: Millis,
}

/// A decision that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When it is due.
    pub due: Millis,
    /// Campaign.
    pub campaign: Text,
    /// What it is about.
    pub scope: Text,
    /// The event that started it.
    pub event_id: Text,
    /// Source of that event.
    pub source: Text,
    /// When that event happened.
    pub occurred_at: Millis,
}

/// What was sent to a customer, and what is still due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Sent, oldest first.
    pub sent: Vec<Sent>,
    /// Due, in order.
    pub timers: Vec<Timer>,
}

impl Ledger {
    /// Nothing was sent and nothing is due: such a record need not be stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.timers.is_empty()
    }

    /// The trigger that was sent for a campaign and scope.
    #[must_use]
    pub fn sent(&self, campaign: &str, scope: &str) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.campaign == campaign && sent.scope == scope)
    }

    /// When a campaign last spoke to the customer.
    #[must_use]
    pub fn last_sent(&self, campaign: &str) -> Option<Millis> {
        self.sent.iter().filter(|sent| sent.campaign == campaign).map(|sent| sent.at).max()
    }

    /// Notes a trigger.
    pub fn record(&mut self, sent: Sent) {
        self.sent.push(sent);
        if self.sent.len() > MAX_SENT {
            self.sent.remove(0);
        }
    }

    /// Sets a timer. False if there are as many as may be.
    pub fn set(&mut self, timer: Timer) -> bool {
        if self.timers.len() >= MAX_TIMERS {
            return false;
        }
        let place = self.timers.partition_point(|known| *known < timer);
        self.timers.insert(place, timer);
        true
    }

    /// True if a decision of that campaign and scope is waiting.
    #[must_use]
    pub fn waits(&self, campaign: &str, scope: &str) -> bool {
        self.timers.iter().any(|timer| timer.campaign == campaign && timer.scope == scope)
    }

    /// Takes out the first timer that is due.
    pub fn take_due(&mut self, now: Millis) -> Option<Timer> {
        (self.timers.first()?.due <= now).then(|| self.timers.remove(0))
    }

    /// When the first timer is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.timers.first().map(|timer| timer.due)
    }
}
