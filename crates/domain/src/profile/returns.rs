//! What was given back, and what orders come to without it.

use super::{Order, Profile, Text, insert};
use crate::event::{Event, names};
use crate::time::Millis;

/// Most returns that are kept one by one: the first by (order, currency, statement); of all others only the sum is known.
pub const MAX_RETURNS: usize = 64;

/// What was given back of an order, by one statement. One that comes again, in whatever time, is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Number of the order.
    pub order_id: Text,
    /// ISO 4217 code; `None` where no amount is known.
    pub currency: Option<Text>,
    /// When it was given back, or called off.
    pub at: Millis,
    /// The amount stated, in minor units.
    pub amount: i64,
    /// The order was called off, or all of it given back.
    pub whole: bool,
    /// Which statement: the first 8 bytes of the BLAKE3 hash of source, zero, event id.
    pub statement: u64,
}

/// Amounts that were given back of orders that are not known one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnSum {
    /// ISO 4217 code.
    pub currency: Text,
    /// Minor units.
    pub amount: i64,
}

/// What a customer has bought in one currency and kept: with the time of the newest order, what recency, frequency and monetary
/// value are read from. Of orders that are known as a sum only, what was given back is taken off where an amount was stated; one that
/// was called off without an amount counts again from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// ISO 4217 code; `None` for the orders whose amount is not known.
    pub currency: Option<Text>,
    /// Orders that were not called off.
    pub orders: u64,
    /// What they came to, without what was given back, in minor units; 0 where the currency is not known.
    pub total: i64,
    /// The newest of them; `None` if only the sum of older orders is known.
    pub last_at: Option<Millis>,
}

impl Profile {
    pub(super) fn take_return(&mut self, event: &Event<'_>) {
        let Some(order) = event.order else { return };
        let is_cancelled = event.label() == names::ORDER_CANCELLED;
        // Who gives something back and does not say how much gives all of it back. Where only the currency is unknown,
        // something was said.
        let whole = is_cancelled || order.total.is_none() && event.currency.is_some();
        let currency = event.currency.filter(|_| order.total.is_some()).map(Text::from);
        let amount = order.total.unwrap_or(0);
        self.put_return(Return {
            order_id: Text::from(order.order_id),
            currency,
            at: event.occurred_at,
            amount,
            whole,
            statement: statement(event),
        });
    }

    pub(super) fn put_return(&mut self, new: Return) {
        let order = |known: &Return| {
            let by_order = known.order_id.cmp(&new.order_id);
            by_order.then_with(|| known.currency.cmp(&new.currency)).then(known.statement.cmp(&new.statement))
        };
        match self.returns.binary_search_by(order) {
            Ok(place) => {
                let known = &mut self.returns[place];
                // The same, or two things under one id: the greater, whichever comes first.
                known.amount = known.amount.max(new.amount);
                known.at = known.at.max(new.at);
                known.whole |= new.whole;
            }
            Err(place) => {
                insert(&mut self.returns, place, new);
                if self.returns.len() > MAX_RETURNS
                    && let Some(Return { currency: Some(currency), amount, .. }) = self.returns.pop()
                {
                    self.put_return_sum(ReturnSum { currency, amount });
                }
            }
        }
    }

    pub(super) fn put_return_sum(&mut self, new: ReturnSum) {
        match self.older_returns.binary_search_by(|known| known.currency.cmp(&new.currency)) {
            Ok(place) => {
                let known = &mut self.older_returns[place];
                known.amount = known.amount.saturating_add(new.amount);
            }
            Err(place) => insert(&mut self.older_returns, place, new),
        }
    }

    /// What an order came to: nothing is left of one that was called off (`None`); of the others, the total without what was
    /// given back in the same currency.
    #[must_use]
    pub fn kept(&self, order: &Order) -> Option<Kept> {
        if self.returns.is_empty() {
            return Some(Kept { total: order.total });
        }
        let mut total = order.total;
        for known in self.returns.iter().filter(|known| known.order_id == order.order_id) {
            if known.whole {
                return None;
            }
            if known.currency == order.currency {
                total = total.map(|total| total.saturating_sub(known.amount).max(0));
            }
        }
        Some(Kept { total })
    }

    /// What was bought and kept, by currency; orders of unknown amount first.
    #[must_use]
    pub fn lifetime(&self) -> Vec<Lifetime> {
        let mut all: Vec<Lifetime> = Vec::new();
        for sum in &self.older_orders {
            all.push(Lifetime {
                currency: sum.currency.clone(),
                orders: sum.orders,
                total: sum.total.unwrap_or(0),
                last_at: None,
            });
        }
        for order in &self.orders {
            let Some(Kept { total }) = self.kept(order) else { continue };
            let currency = order.currency.as_ref().filter(|_| order.total.is_some());
            let place = all.binary_search_by(|known| known.currency.as_ref().cmp(&currency));
            let place = place.unwrap_or_else(|place| {
                let currency = currency.cloned();
                all.insert(place, Lifetime { currency, orders: 0, total: 0, last_at: None });
                place
            });
            let known = &mut all[place];
            known.orders = known.orders.saturating_add(1);
            known.total = known.total.saturating_add(total.unwrap_or(0));
            known.last_at = known.last_at.max(Some(order.at));
        }
        if !(self.older_orders.is_empty() && self.older_returns.is_empty()) {
            self.subtract_sums(&mut all);
        }
        all
    }

    /// What was given back of orders that are not known one by one any more was a part of their sums; and of returns that are
    /// not known one by one only the sum is known.
    fn subtract_sums(&self, all: &mut [Lifetime]) {
        let is_summed = |of: &&Return| {
            !self.older_orders.is_empty() && !self.orders.iter().any(|order| order.order_id == of.order_id)
        };
        let unknown = self.returns.iter().filter(is_summed);
        let unknown = unknown.filter_map(|known| Some((known.currency.as_ref()?, known.amount)));
        let older = self.older_returns.iter().map(|known| (&known.currency, known.amount));
        for (currency, amount) in unknown.chain(older) {
            if let Some(known) = all.iter_mut().find(|known| known.currency.as_ref() == Some(currency)) {
                known.total = known.total.saturating_sub(amount).max(0);
            }
        }
    }
}

fn statement(event: &Event<'_>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(event.source.as_bytes()).update(&[0]).update(event.id.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

/// What is left of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// In minor units of the order's currency; `None` where it is not known.
    pub total: Option<i64>,
}
