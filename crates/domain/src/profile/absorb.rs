//! Two customers turn out to be one.

use super::{Order, Prediction, Profile};
use crate::event::ConsentStatement;

impl Profile {
    /// Takes in what is known of somebody who turned out to be the same. The events behind the two are disjoint, and the result
    /// is what all of them together would have given, in any order. Two things are apart, as they are of single events:
    /// predictions, of which the newest stay until there is a new one; and an order that both know, one of them only in a
    /// sum, counts twice. The identifiers stay as they are: [`identity`](crate::identity) says which belong to the customer.
    pub fn absorb(&mut self, other: Profile) {
        if other.events == 0 {
            return;
        }
        if self.events == 0 {
            *self = other;
            return;
        }
        self.events = self.events.saturating_add(other.events);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        for known in &other.traits {
            self.take_trait(&known.name, known.value.as_deref(), known.at, &known.source);
        }
        for known in &other.consents {
            let (purpose, status, at) = (known.purpose.as_str(), known.status, known.at);
            self.take_consent(&ConsentStatement { purpose, status, at }, &known.source);
        }
        for known in &other.freshness {
            self.take_freshness(&known.source, known.at);
        }
        self.absorb_activity(&other);
        self.absorb_commerce(other);
    }

    fn absorb_activity(&mut self, other: &Profile) {
        for known in &other.counts {
            self.count(&known.event, known.count, known.last_at);
        }
        other.hours.iter().for_each(|known| self.count_hour(*known));
        for known in &other.days {
            if let Some(day) = self.day_mut(known.day) {
                day.viewed = day.viewed.saturating_add(known.viewed);
                day.added = day.added.saturating_add(known.added);
                day.ordered = day.ordered.saturating_add(known.ordered);
                day.other = day.other.saturating_add(known.other);
            }
        }
    }

    fn absorb_commerce(&mut self, other: Profile) {
        // Those that both know first: they take the place of one that is there, and push none into the sum.
        let is_known = |order: &Order| self.orders.iter().any(|known| known.order_id == order.order_id);
        let (known, new): (Vec<Order>, Vec<Order>) = other.orders.into_iter().partition(is_known);
        known.into_iter().chain(new).for_each(|order| self.put_order(order));
        other.older_orders.into_iter().for_each(|sum| self.put_sum(sum));
        other.returns.into_iter().for_each(|known| self.put_return(known));
        other.older_returns.into_iter().for_each(|sum| self.put_return_sum(sum));
        // Before the items: what either has ordered is in the cart of neither.
        if let Some(closed) = other.cart_closed_at {
            self.close_cart(closed);
        }
        for item in &other.cart {
            self.put_in_cart(&item.sku, &item.product_id, item.at, item.removed, item.quantity);
        }
        for product in &other.recent {
            self.take_recent(&product.sku, &product.product_id, product.at);
        }
        for interest in &other.affinity {
            self.take_affinity(&interest.category, interest.day, interest.points);
        }
        other.surveys.into_iter().for_each(|answer| self.put_answer(answer));
        other.predictions.into_iter().for_each(|prediction| self.keep_newer(prediction));
    }

    fn keep_newer(&mut self, other: Prediction) {
        match self.predictions.binary_search_by(|known| known.model.cmp(&other.model)) {
            Ok(place)
                if (self.predictions[place].at, &self.predictions[place].version)
                    < (other.at, &other.version) =>
            {
                self.predictions[place] = other;
            }
            Ok(_) => {}
            Err(place) => super::insert(&mut self.predictions, place, other),
        }
    }
}
