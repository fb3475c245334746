//! What is known of a customer is not kept for ever.
//!
//! Each customer has a moment at which she is looked at: no later than what is known of her may go. Her events do not move it; where
//! it comes too early, the next one is set. So an event costs nothing here, and a task that was restored decides as one that was not.

use super::nodes::Call;
use super::{Hand, ProfileEffect, ProfileTask};
use crate::profile::stored::Customer;
use catchment_domain::{Millis, NodeKey, NodeRef};
use catchment_runtime::{Headers, Step, Unreadable};

/// Customers that are looked at for one watermark, at most: the others wait for the next.
const AT_ONCE: usize = 1_000;

/// A customer who is about to move is looked at again so much later.
const LATER: Millis = 60 * 60 * 1_000;

impl ProfileTask {
    /// What is known of a customer has grown by that of another.
    pub(super) fn watch_expiry(&mut self, key: NodeKey, last_seen: Millis) {
        if let Some(kept) = self.shared.settings.expiry.soonest() {
            self.expiry.set(last_seen.saturating_add(kept), key, 0);
        }
    }

    /// As [`watch_expiry`](Self::watch_expiry), of a stored form that takes the place of the one before.
    pub(super) fn restore_expiry(&mut self, key: NodeKey, form: Option<&[u8]>) {
        let Some(kept) = self.shared.settings.expiry.soonest() else { return };
        let due =
            |form: Option<&[u8]>| form.and_then(Customer::last_seen).map(|seen| seen.saturating_add(kept));
        let (before, after) = (due(self.customers.form(&key)), due(form));
        if before == after {
            return;
        }
        if let Some(due) = before {
            self.expiry.cancel(due, key, 0);
        }
        if let Some(due) = after {
            self.expiry.set(due, key, 0);
        }
        self.expiry.commit();
    }

    /// Lets go what has outlived its time by then.
    pub(super) fn expire(&mut self, now: Millis, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        for _ in 0..AT_ONCE {
            let Some(timer) = self.expiry.pop_due(now) else { break };
            self.look_at(timer.key, now, step)?;
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        key: NodeKey,
        now: Millis,
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let kept = self.shared.settings.expiry;
        let Some(customer) = self.customers.get(&key)? else { return Ok(()) };
        let Some(kept) = kept.of(&customer.profile) else {
            // Kept for good: who is known once stays so.
            return Ok(());
        };
        let due = customer.profile.last_seen.saturating_add(kept);
        let first = customer.profile.identifiers.first().map(|identifier| identifier.kind);
        if due > now {
            self.expiry.set(due, key, 0);
            return Ok(());
        }
        let kind = self.nodes.get(&key)?.and_then(|node| node.kind).or(first);
        let Some(kind) = kind else { return Ok(()) };
        let hand = Hand { headers: &Headers::default(), at: now, datum: &[] };
        self.drive(NodeRef { kind, key }, Call::Expire, None, hand, step)?;
        if self.customers.contains(&key) {
            self.expiry.set(now.saturating_add(LATER), key, 0);
        }
        Ok(())
    }
}
