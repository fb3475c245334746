//! Products: what is known of one, whatever order its statements come in.
//!
//! A product is joined from statements, each true at a moment. What describes it, whether it is withdrawn, and each of its
//! variants by itself is as the newest statement about it says. So [`Product::join`] is commutative, associative and
//! idempotent: a snapshot that arrives late, or twice, replaces nothing that is newer.

use crate::money::Currency;
use crate::time::Millis;
use std::cmp::{Ordering, Reverse};

/// The most variants of a product; of more, those that changed last are kept.
pub const MAX_VARIANTS: usize = 2_048;

/// How long price and stock of a variant are believed, in milliseconds: 30 days. The contract's `freshness` says the same.
pub const FRESH_FOR: Millis = 30 * 24 * 60 * 60 * 1_000;

/// A product, as its statements so far describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: Box<str>,
    /// The newest description; `None` while only withdrawals are known.
    pub listing: Option<Listing>,
    /// When it was last taken out of the assortment, if ever.
    pub withdrawn_at: Option<Millis>,
    /// Where the newest statement came from.
    pub origin: Origin,
    /// By stock keeping unit, each once.
    variants: Vec<Variant>,
}

/// What describes a product. Of two of the same moment the greater one wins, which means nothing and is always the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listing {
    /// When it was true.
    pub at: Millis,
    /// Name for people.
    pub title: Option<Box<str>>,
    /// Brand.
    pub brand: Option<Box<str>>,
    /// Category.
    pub category: Option<Box<str>>,
    /// Currency that the shop states; each price has its own.
    pub currency: Option<Currency>,
}

/// A raw record that a statement was made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the statement was true.
    pub at: Millis,
    /// When it arrived.
    pub received_at: Millis,
    /// Name of the source.
    pub source: Box<str>,
    /// Partition of the raw record.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Whether a variant can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// Nothing is known of it now.
    Unknown,
    /// It can't be had.
    OutOfStock,
    /// It can be ordered, and comes later.
    Backorder,
    /// It can be had.
    InStock,
}

/// A price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// Minor units, at least 0.
    pub minor: i64,
    /// Of this currency.
    pub currency: Currency,
}

/// A variant that can be sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Stock keeping unit.
    pub sku: Box<str>,
    /// Size.
    pub size: Option<Box<str>>,
    /// Colour.
    pub colour: Option<Box<str>>,
    /// Price of one piece; `None` is unknown.
    pub price: Option<Price>,
    /// Pieces in stock; `None` is unknown, which is not none.
    pub stock: Option<i64>,
    /// What the shop says of it beside the stock.
    pub stated: Option<Availability>,
    /// When all this was true.
    pub updated_at: Millis,
}

impl Variant {
    /// Whether it can be bought, as far as is known at `now`: the shop's word, else the stock. Of what was said more than
    /// [`FRESH_FOR`] ago nothing is known any more.
    #[must_use]
    pub fn availability(&self, now: Millis) -> Availability {
        if now.saturating_sub(self.updated_at) > FRESH_FOR {
            return Availability::Unknown;
        }
        match (self.stated, self.stock) {
            (Some(stated), _) => stated,
            (None, None) => Availability::Unknown,
            (None, Some(1..)) => Availability::InStock,
            (None, Some(_)) => Availability::OutOfStock,
        }
    }

    /// Which of two statements about a variant counts: the newer one; of the same moment the one that promises less.
    fn rank(&self) -> impl Ord {
        let promise = (self.stated, self.stock, Reverse(self.price));
        (self.updated_at, Reverse(promise), self.size.clone(), self.colour.clone())
    }
}

impl Product {
    /// What one statement says. Of several variants with one stock keeping unit the one that counts is kept.
    #[must_use]
    pub fn new(
        id: Box<str>,
        listing: Option<Listing>,
        withdrawn_at: Option<Millis>,
        origin: Origin,
        variants: Vec<Variant>,
    ) -> Self {
        let mut product = Product { id, listing, withdrawn_at, origin, variants: Vec::new() };
        product.join_variants(variants);
        product
    }

    /// The variants, by stock keeping unit.
    #[must_use]
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// True if it is not sold any more. A description of the same moment does not bring it back.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        let listed = self.listing.as_ref().map(|listing| listing.at);
        self.withdrawn_at.is_some() && self.withdrawn_at >= listed
    }

    /// Takes what other statements about the same product say.
    pub fn join(&mut self, other: Product) {
        if other.origin.rank() > self.origin.rank() {
            self.origin = other.origin;
        }
        self.listing = self.listing.take().max(other.listing);
        self.withdrawn_at = self.withdrawn_at.max(other.withdrawn_at);
        self.join_variants(other.variants);
    }

    fn join_variants(&mut self, others: Vec<Variant>) {
        for other in others {
            match self.variants.binary_search_by(|known| known.sku.cmp(&other.sku)) {
                Ok(at) if self.variants[at].rank() < other.rank() => self.variants[at] = other,
                Ok(_) => {}
                Err(at) => self.variants.insert(at, other),
            }
        }
        if self.variants.len() > MAX_VARIANTS {
            self.variants.sort_by(newest_first);
            self.variants.truncate(MAX_VARIANTS);
            self.variants.sort_by(|a, b| a.sku.cmp(&b.sku));
        }
    }
}

fn newest_first(a: &Variant, b: &Variant) -> Ordering {
    b.updated_at.cmp(&a.updated_at).then_with(|| a.sku.cmp(&b.sku))
}

impl Origin {
    /// The newest statement; of the same moment the one that arrived first.
    fn rank(&self) -> impl Ord + '_ {
        (self.at, Reverse((self.received_at, &self.source, self.partition, self.offset)))
    }
}

#[cfg(test)]
mod tests;
