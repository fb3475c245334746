//! What campaigns make of an event, and of the time that goes by.

use super::{ProfileEffect, ProfileTask, token};
use crate::profile::convert;
use crate::profile::fold::Reaction;
use catchment_contracts::wire;
use catchment_domain::campaign::{Campaign, Cause, Decision, Ledger, Sent, Situation, Timer};
use catchment_domain::profile::Text;
use catchment_domain::{NodeKey, Profile};
use catchment_runtime::{Headers, Millis, Step, Unreadable};
use std::sync::Arc;

/// What a decision comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The event.
    pub(super) cause: Cause<'a>,
    /// The trace that the event belongs to. A timer keeps none: when it fires, that trace is long over.
    pub(super) trace: &'a Headers,
}

impl ProfileTask {
    pub(super) fn carry_out(
        &mut self,
        key: NodeKey,
        reaction: Reaction,
        origin: Origin<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        for timer in &reaction.ended {
            self.ledger_mut(key)?.timers.retain(|known| known != timer);
            self.timers.cancel(timer.due, key, token(timer));
        }
        for (place, timer) in reaction.set {
            let (due, token, scope) = (timer.due, token(&timer), timer.scope.clone());
            if self.ledger_mut(key)?.set(timer) {
                self.timers.set(due, key, token);
            } else if let Some(campaign) = shared.campaigns.get(place) {
                let decision = campaign.refuse_timer(scope, step.now);
                self.record(key, campaign, &decision, origin, step)?;
            }
        }
        for (place, scope) in reaction.now {
            if let Some(campaign) = shared.campaigns.get(place) {
                self.decide(key, campaign, scope, origin, origin.cause.occurred_at, step)?;
            }
        }
        Ok(())
    }

    /// Fires all timers that are due at `now`, in order of (due, node).
    pub(super) fn fire(&mut self, now: Millis, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        while let Some(entry) = self.timers.pop_due(now) {
            // Two customers who became one may both have waited: then one entry stands for two timers.
            let is_it = |timer: &Timer| timer.due == entry.due && token(timer) == entry.token;
            while let Some(timer) = self.take_timer(entry.key, is_it)? {
                self.decide_timer(entry.key, &timer, step)?;
            }
        }
        Ok(())
    }

    fn take_timer(
        &mut self,
        key: NodeKey,
        is_it: impl Fn(&Timer) -> bool,
    ) -> Result<Option<Timer>, Unreadable> {
        let timers = &mut self.ledger_mut(key)?.timers;
        Ok(timers.iter().position(is_it).map(|place| timers.remove(place)))
    }

    fn decide_timer(
        &mut self,
        key: NodeKey,
        timer: &Timer,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let shared = Arc::clone(&self.shared);
        let Some(campaign) = shared.campaign(&timer.campaign) else {
            step.effects.push(ProfileEffect::Orphaned { campaign: timer.campaign.to_string() });
            return Ok(());
        };
        let due = campaign.end_of_wait(timer.occurred_at);
        let origin = Origin { cause: Cause::of_timer(timer), trace: &Headers::default() };
        self.decide(key, campaign, timer.scope.clone(), origin, due, step)
    }

    fn decide(
        &mut self,
        key: NodeKey,
        campaign: &Campaign,
        scope: Text,
        origin: Origin<'_>,
        due: Millis,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let (nobody, nothing) = (Profile::default(), Ledger::default());
        let profile = self.customers.get(&key)?.map_or(&nobody, |customer| &customer.profile);
        let ledger = self.nodes.get(&key)?.and_then(|node| node.ledger()).unwrap_or(&nothing);
        let situation = Situation { key, profile, ledger, cause: origin.cause, due, now: step.now };
        let decision = campaign.decide(scope, &situation);
        if let Some(trigger) = &decision.trigger {
            self.ledger_mut(key)?.record(Sent {
                campaign: Text::from(campaign.name()),
                scope: decision.scope.clone(),
                trigger_id: Text::from(trigger.id.as_str()),
                at: decision.decided_at,
                occurred_at: origin.cause.occurred_at,
            });
        }
        self.record(key, campaign, &decision, origin, step)
    }

    pub(super) fn record(
        &mut self,
        key: NodeKey,
        campaign: &Campaign,
        decision: &Decision,
        Origin { cause, trace }: Origin<'_>,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let settings = &self.shared.settings;
        let name = campaign.name();
        let to = step.to(settings.decisions, self.partition);
        step.outbox.push_with(to, Some(&key.0), trace.clone(), |out| {
            wire::write_header(out, settings.schemas.campaign_decision);
            convert::wire_decision(name, key, &cause, decision).encode(out);
        });
        let nobody = Profile::default();
        let profile = self.customers.get(&key)?.map_or(&nobody, |customer| &customer.profile);
        if let Some(trigger) = convert::wire_trigger(name, key, &cause, decision, profile) {
            let to = step.to(settings.triggers, self.partition);
            step.outbox.push_with(to, Some(&key.0), trace.clone(), |out| {
                wire::write_header(out, settings.schemas.campaign_trigger);
                trigger.encode(out);
            });
        }
        step.effects.push(ProfileEffect::Decided {
            campaign: name.to_owned(),
            outcome: decision.outcome,
            reason: decision.reason.as_str(),
        });
        Ok(())
    }
}
