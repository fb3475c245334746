//! The private part of a customer: what was sent, and what is still due.

use crate::profile::Text;
use crate::time::Millis;

/// Most entries of one campaign in the ledger: the newest. Entries of [`FOR_EVER`] do not count and are never dropped.
pub const MAX_SENT_OF_CAMPAIGN: usize = 32;
/// Most entries of the ledger. Beyond, the oldest goes that is not the newest of its campaign (which `reentry` is judged
/// by); if there is none, the oldest. Entries of [`FOR_EVER`] stay: there is one for each campaign that speaks once ever.
pub const MAX_SENT: usize = 512;
/// Scope of campaigns that speak to a customer once ever.
pub const FOR_EVER: &str = "customer";
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
    /// When the event behind it happened.
    pub occurred_at: Millis,
}

impl Sent {
    /// Triggers of one moment stand in an order that does not depend on who tells of them first.
    fn place(&self) -> (Millis, &str, &str, &str, Millis) {
        (self.at, &self.campaign, &self.scope, &self.trigger_id, self.occurred_at)
    }
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

    /// The triggers of a campaign, oldest first.
    pub fn sent_by<'a>(&'a self, campaign: &'a str) -> impl Iterator<Item = &'a Sent> {
        self.sent.iter().filter(move |sent| sent.campaign == campaign)
    }

    /// When a campaign last spoke to the customer.
    #[must_use]
    pub fn last_sent(&self, campaign: &str) -> Option<Millis> {
        self.sent_by(campaign).map(|sent| sent.at).max()
    }

    /// Notes a trigger, and drops what is beyond the bounds.
    pub fn record(&mut self, sent: Sent) {
        let campaign = sent.campaign.clone();
        self.sent.push(sent);
        let may_go = |entry: &Sent| entry.scope != FOR_EVER;
        let mut of_campaign =
            (0..self.sent.len()).filter(|at| may_go(&self.sent[*at]) && self.sent[*at].campaign == campaign);
        if let Some(oldest) = of_campaign.next()
            && of_campaign.count() >= MAX_SENT_OF_CAMPAIGN
        {
            self.sent.remove(oldest);
        }
        if self.sent.len() > MAX_SENT {
            let is_newest =
                |at: usize| !self.sent[at + 1..].iter().any(|s| s.campaign == self.sent[at].campaign);
            let oldest = (0..self.sent.len())
                .filter(|at| may_go(&self.sent[*at]))
                .min_by_key(|at| (is_newest(*at), *at));
            if let Some(oldest) = oldest {
                self.sent.remove(oldest);
            }
        }
    }

    /// Takes in what was sent to somebody who turned out to be the same, and what is due for her: whatever was sent to either
    /// was sent. Of the timers some may be pointless now, so it is for the caller to [bound](Self::bound) them.
    pub fn absorb(&mut self, other: Ledger) {
        let mut sent = std::mem::take(&mut self.sent);
        sent.extend(other.sent);
        sent.sort_by(|one, other| one.place().cmp(&other.place()));
        sent.dedup();
        sent.into_iter().for_each(|sent| self.record(sent));
        self.timers.extend(other.timers);
        self.timers.sort_unstable();
        self.timers.dedup();
    }

    /// Takes out the timers that are beyond the bound, the latest ones.
    pub fn bound(&mut self) -> Vec<Timer> {
        self.timers.split_off(self.timers.len().min(MAX_TIMERS))
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

    /// The timers of a campaign, in order.
    pub fn timers_of<'a>(&'a self, campaign: &'a str) -> impl Iterator<Item = &'a Timer> {
        self.timers.iter().filter(move |timer| timer.campaign == campaign)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_sent() -> impl Strategy<Value = Sent> {
        (0..40_i64, 0..3_usize, 0..4_usize).prop_map(|(at, campaign, scope)| Sent {
            campaign: Text::from(["cart", "stock", "hello"][campaign]),
            scope: Text::from(["a", "b", "c", FOR_EVER][scope]),
            trigger_id: Text::from(format!("{at}-{campaign}-{scope}")),
            at,
            occurred_at: at,
        })
    }

    fn any_timer() -> impl Strategy<Value = Timer> {
        (0..200_i64, 0..3_usize).prop_map(|(due, scope)| Timer {
            due,
            campaign: Text::from("cart"),
            scope: Text::from(["a", "b", "c"][scope]),
            event_id: Text::from(due.to_string()),
            source: Text::from("web"),
            occurred_at: due - 1,
        })
    }

    fn any_ledger() -> impl Strategy<Value = Ledger> {
        (prop::collection::vec(any_sent(), 0..60), prop::collection::vec(any_timer(), 0..60)).prop_map(
            |(mut sent, timers)| {
                sent.sort_by_key(|sent| sent.at);
                let mut ledger = Ledger::default();
                sent.into_iter().for_each(|sent| ledger.record(sent));
                for timer in timers.into_iter().filter(|timer| timer.due >= 0) {
                    ledger.set(timer);
                }
                ledger.timers.dedup();
                ledger
            },
        )
    }

    proptest! {
        #[test]
        fn two_ledgers_become_one_whoever_absorbs_whom(one in any_ledger(), other in any_ledger()) {
            let (mut first, mut second) = (one.clone(), other.clone());
            first.absorb(other.clone());
            second.absorb(one.clone());
            prop_assert_eq!(first.bound(), second.bound());
            prop_assert_eq!(&first, &second);
            prop_assert!(first.timers.len() <= MAX_TIMERS && first.timers.is_sorted());
            // What a campaign is judged by is never lost.
            for campaign in ["cart", "stock", "hello"] {
                let newest = one.last_sent(campaign).max(other.last_sent(campaign));
                prop_assert_eq!(first.last_sent(campaign), newest);
            }
            for sent in one.sent.iter().chain(&other.sent).filter(|sent| sent.scope == FOR_EVER) {
                prop_assert!(first.sent.contains(sent));
            }
            second.absorb(Ledger::default());
            prop_assert_eq!((second.bound(), second), (Vec::new(), first));
        }
    }

    #[test]
    fn timers_beyond_the_bound_are_told() {
        let ledger = |from: i64| {
            let mut ledger = Ledger::default();
            for due in from..from + 40 {
                let name = Text::from("x");
                let timer = Timer {
                    due,
                    campaign: name.clone(),
                    scope: name.clone(),
                    event_id: name.clone(),
                    source: name,
                    occurred_at: 0,
                };
                assert!(ledger.set(timer));
            }
            ledger
        };
        let mut one = ledger(0);
        one.absorb(ledger(40));
        let dropped = one.bound();
        assert_eq!((one.timers.len(), dropped.len(), dropped[0].due), (MAX_TIMERS, 16, 64));
    }
}
