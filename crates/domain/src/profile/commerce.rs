//! What was bought, put in the cart, looked at and answered.

use super::{Profile, Text, insert};
use crate::event::{Event, LineItem, OrderTotal, names};
use crate::time::{Millis, day_of};

/// Most orders that are kept one by one: the newest; older ones are summed.
pub const MAX_ORDERS: usize = 256;
/// Most entries of the cart: the newest.
pub const MAX_CART: usize = 32;
/// Most recent products: the newest.
pub const MAX_RECENT: usize = 20;
/// Most entries of affinity: the newest by (day, category).
pub const MAX_AFFINITIES: usize = 64;
/// Most answers to surveys: the newest.
pub const MAX_SURVEYS: usize = 20;

/// An order. An order is its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// When it was placed.
    pub at: Millis,
    /// Number.
    pub order_id: Text,
    /// Amount paid, in minor units of the currency; `None` where it or the currency is not known.
    pub total: Option<i64>,
    /// ISO 4217 code; `None` where it is not known.
    pub currency: Option<Text>,
    /// Pieces.
    pub units: i32,
}

/// Sum of the orders that are older than those kept one by one. Amounts of different currencies are never added, and
/// orders of unknown amount have a sum of their own, which has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderSum {
    /// ISO 4217 code; `None` for the orders whose amount is not known.
    pub currency: Option<Text>,
    /// Orders.
    pub orders: u64,
    /// Amount paid, in minor units; `None` where the currency is.
    pub total: Option<i64>,
    /// Pieces.
    pub units: i64,
    /// Earliest of them.
    pub first_at: Millis,
}

/// What was put in the cart and not ordered since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartItem {
    /// Variant, or the product where no variant is named.
    pub sku: Text,
    /// Product.
    pub product_id: Text,
    /// When it was last put in or taken out.
    pub at: Millis,
    /// Taken out again. Kept, so that a late addition does not bring it back.
    pub removed: bool,
    /// Pieces.
    pub quantity: i32,
}

/// A product that was viewed or put in the cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentProduct {
    /// Variant, or the product where no variant is named.
    pub sku: Text,
    /// Product.
    pub product_id: Text,
    /// When it was last seen.
    pub at: Millis,
}

/// Interest in a category on one UTC day: integers, decayed when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Category.
    pub category: Text,
    /// A view counts 1, an addition to the cart 3, an order 5.
    pub points: u32,
}

/// An answer to a survey.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SurveyAnswer {
    /// When it was given.
    pub at: Millis,
    /// Survey.
    pub survey: Text,
    /// Question.
    pub question: Text,
    /// Points.
    pub score: i32,
}

impl Profile {
    pub(super) fn take_commerce(&mut self, event: &Event<'_>) {
        let at = event.occurred_at;
        let points = match event.label() {
            names::PRODUCT_VIEWED => 1,
            names::PRODUCT_ADDED => 3,
            names::ORDER_COMPLETED => 5,
            names::PRODUCT_REMOVED => 0,
            names::ORDER_REFUNDED | names::ORDER_CANCELLED => return self.take_return(event),
            _ => return self.take_survey(event),
        };
        for item in &event.items {
            if points == 1 || points == 3 {
                self.take_recent(sku_of(item), item.product_id, at);
            }
            if let Some(category) = item.category.filter(|_| points > 0) {
                self.take_affinity(category, day_of(at), points);
            }
            if points == 3 || points == 0 {
                self.take_cart_item(item, at, points == 0);
            }
        }
        if let Some(order) = event.order {
            self.take_order(&order, event.currency, at);
            self.close_cart(at);
        }
    }

    fn take_order(&mut self, order: &OrderTotal<'_>, currency: Option<&str>, at: Millis) {
        let OrderTotal { order_id, total, units } = *order;
        let (total, currency) = (total.filter(|_| currency.is_some()), currency.map(Text::from));
        self.put_order(Order { at, order_id: Text::from(order_id), total, currency, units });
    }

    pub(super) fn put_order(&mut self, new: Order) {
        if let Some(known) = self.orders.iter().position(|known| known.order_id == new.order_id) {
            // The same order told twice, under two event ids: the greater by (time, …) stays, whichever comes first.
            if self.orders[known] >= new {
                return;
            }
            self.orders.remove(known);
        }
        let place = self.orders.partition_point(|known| *known < new);
        if self.orders.len() < MAX_ORDERS {
            insert(&mut self.orders, place, new);
        } else if place == 0 {
            self.sum_up(&new);
        } else {
            let oldest = self.orders.remove(0);
            insert(&mut self.orders, place - 1, new);
            self.sum_up(&oldest);
        }
    }

    fn sum_up(&mut self, order: &Order) {
        // An order of unknown amount is no order of 0.
        let currency = order.currency.clone().filter(|_| order.total.is_some());
        let total = order.total.filter(|_| currency.is_some());
        let units = i64::from(order.units);
        self.put_sum(OrderSum { currency, orders: 1, total, units, first_at: order.at });
    }

    pub(super) fn put_sum(&mut self, new: OrderSum) {
        match self.older_orders.binary_search_by(|sum| sum.currency.cmp(&new.currency)) {
            Err(place) => insert(&mut self.older_orders, place, new),
            Ok(place) => {
                let sum = &mut self.older_orders[place];
                sum.orders = sum.orders.saturating_add(new.orders);
                sum.total = sum.total.zip(new.total).map(|(sum, total)| sum.saturating_add(total));
                sum.units = sum.units.saturating_add(new.units);
                sum.first_at = sum.first_at.min(new.first_at);
            }
        }
    }

    pub(super) fn close_cart(&mut self, at: Millis) {
        let closed = self.cart_closed_at.map_or(at, |known| known.max(at));
        self.cart_closed_at = Some(closed);
        self.cart.retain(|item| item.at > closed);
    }

    fn take_cart_item(&mut self, item: &LineItem<'_>, at: Millis, removed: bool) {
        self.put_in_cart(sku_of(item), item.product_id, at, removed, item.quantity);
    }

    pub(super) fn put_in_cart(
        &mut self,
        sku: &str,
        product_id: &str,
        at: Millis,
        removed: bool,
        quantity: i32,
    ) {
        if self.cart_closed_at.is_some_and(|closed| at <= closed) {
            return;
        }
        match self.cart.binary_search_by(|known| known.sku.as_str().cmp(sku)) {
            Ok(place) => {
                let known = &mut self.cart[place];
                // A total order, so that two statements of the same moment give the same entry in any order.
                if (known.at, known.removed, known.quantity, known.product_id.as_str())
                    < (at, removed, quantity, product_id)
                {
                    (known.at, known.removed, known.quantity) = (at, removed, quantity);
                    if known.product_id != product_id {
                        known.product_id = Text::from(product_id);
                    }
                }
            }
            Err(place) => {
                let product_id = Text::from(product_id);
                insert(
                    &mut self.cart,
                    place,
                    CartItem { sku: Text::from(sku), product_id, at, removed, quantity },
                );
                if self.cart.len() > MAX_CART {
                    let oldest = (0..self.cart.len()).min_by_key(|i| (self.cart[*i].at, *i));
                    self.cart.remove(oldest.unwrap_or_default());
                }
            }
        }
    }

    pub(super) fn take_recent(&mut self, sku: &str, product_id: &str, at: Millis) {
        // Newest first, by (time, sku).
        let before = |known: &RecentProduct| (known.at, known.sku.as_str()) > (at, sku);
        let known = self.recent.iter().position(|known| known.sku == sku);
        let mut entry = match known {
            Some(place) if self.recent[place].stands(at, product_id) => return,
            Some(place) => self.recent.remove(place),
            None if self.recent.len() >= MAX_RECENT && self.recent.last().is_some_and(before) => return,
            None => RecentProduct { sku: Text::from(sku), product_id: Text::from(product_id), at },
        };
        entry.at = at;
        if entry.product_id != product_id {
            entry.product_id = Text::from(product_id);
        }
        // Never longer than it may be, so that a full list is not copied to a larger one.
        self.recent.truncate(MAX_RECENT - 1);
        let place = self.recent.partition_point(before);
        insert(&mut self.recent, place, entry);
    }

    pub(super) fn take_affinity(&mut self, category: &str, day: i32, points: u32) {
        let found = self
            .affinity
            .binary_search_by(|known| (known.day, known.category.as_str()).cmp(&(day, category)));
        match found {
            Ok(place) => self.affinity[place].points = self.affinity[place].points.saturating_add(points),
            Err(0) if self.affinity.len() >= MAX_AFFINITIES => {}
            Err(mut place) => {
                if self.affinity.len() >= MAX_AFFINITIES {
                    self.affinity.remove(0);
                    place -= 1;
                }
                insert(&mut self.affinity, place, Affinity { day, category: Text::from(category), points });
            }
        }
    }

    fn take_survey(&mut self, event: &Event<'_>) {
        let Some(response) = event.survey else { return };
        self.put_answer(SurveyAnswer {
            at: event.occurred_at,
            survey: Text::from(response.survey),
            question: Text::from(response.question),
            score: response.score,
        });
    }

    pub(super) fn put_answer(&mut self, new: SurveyAnswer) {
        if let Err(place) = self.surveys.binary_search(&new) {
            insert(&mut self.surveys, place, new);
            if self.surveys.len() > MAX_SURVEYS {
                self.surveys.remove(0);
            }
        }
    }
}

impl RecentProduct {
    /// True if a statement about the same sku changes nothing. The product stands in the order too, so that two
    /// statements of the same moment give the same entry in any order.
    fn stands(&self, at: Millis, product_id: &str) -> bool {
        (self.at, self.product_id.as_str()) >= (at, product_id)
    }
}

/// Variant, or the product where no variant is named.
fn sku_of<'a>(item: &LineItem<'a>) -> &'a str {
    item.sku.filter(|sku| !sku.is_empty()).unwrap_or(item.product_id)
}
