//! An event as the domain sees it: checked, normalised, about somebody.

use crate::id::Identifier;
use crate::time::Millis;

/// What kind of statement an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Says who somebody is, and traits.
    Identify,
    /// Something was done; [`Event::name`] says what.
    Track,
    /// A web page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// Somebody belongs to a group.
    Group,
    /// Two ids mean the same.
    Alias,
    /// A CRM says something of a contact.
    Contact,
}

/// Names of track events that have a meaning here (Segment's e-commerce specification).
pub mod names {
    /// A product page was seen.
    pub const PRODUCT_VIEWED: &str = "Product Viewed";
    /// A product was put in the cart.
    pub const PRODUCT_ADDED: &str = "Product Added";
    /// A product was taken out of the cart.
    pub const PRODUCT_REMOVED: &str = "Product Removed";
    /// An order was placed.
    pub const ORDER_COMPLETED: &str = "Order Completed";
    /// Money for an order was given back, in part or all of it.
    pub const ORDER_REFUNDED: &str = "Order Refunded";
    /// An order was called off.
    pub const ORDER_CANCELLED: &str = "Order Cancelled";
    /// A survey was answered.
    pub const SURVEY_COMPLETED: &str = "Survey Completed";
    /// A newsletter was declined.
    pub const UNSUBSCRIBED: &str = "Unsubscribed";
}

/// What holds for a purpose, the stricter the greater: at equal time the stricter statement wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsentStatus {
    /// Consent was given.
    Granted,
    /// Nobody said anything that counts: no consent.
    Unknown,
    /// Consent was refused or withdrawn.
    Denied,
}

/// A statement about consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentStatement<'a> {
    /// Purpose, such as `email_marketing`.
    pub purpose: &'a str,
    /// What was said.
    pub status: ConsentStatus,
    /// When it was said.
    pub at: Millis,
}

/// A statement about a trait; a `None` value deletes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraitChange<'a> {
    /// Name.
    pub name: &'a str,
    /// Text of the value.
    pub value: Option<&'a str>,
}

/// A product of a commerce event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineItem<'a> {
    /// Product.
    pub product_id: &'a str,
    /// Variant.
    pub sku: Option<&'a str>,
    /// Category.
    pub category: Option<&'a str>,
    /// Price of one piece, in minor units of the event's currency.
    pub price: Option<i64>,
    /// Pieces, at least 1.
    pub quantity: i32,
}

/// What an order event says of the whole order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderTotal<'a> {
    /// Order number; an order is its number.
    pub order_id: &'a str,
    /// Amount paid, or given back, in minor units of the event's currency; `None` where it or the currency is not known.
    pub total: Option<i64>,
    /// Pieces over all lines.
    pub units: i32,
}

/// An answer to a survey question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SurveyResponse<'a> {
    /// Survey.
    pub survey: &'a str,
    /// Question.
    pub question: &'a str,
    /// Points.
    pub score: i32,
}

/// One event about one customer. It borrows from the record it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Id that its source gave it.
    pub id: &'a str,
    /// Source.
    pub source: &'a str,
    /// Kind.
    pub kind: EventKind,
    /// Name of a track event, page or screen.
    pub name: Option<&'a str>,
    /// When it happened, corrected for clock skew.
    pub occurred_at: Millis,
    /// When it arrived.
    pub received_at: Millis,
    /// Hour of the day that it was then where the customer was, 0 to 23, if the event says where that is.
    pub local_hour: Option<u8>,
    /// Whom it is about, the smallest first.
    pub identifiers: Vec<Identifier<'a>>,
    /// Traits it states.
    pub traits: Vec<TraitChange<'a>>,
    /// Consents it states.
    pub consents: Vec<ConsentStatement<'a>>,
    /// ISO 4217 code of its amounts.
    pub currency: Option<&'a str>,
    /// Products.
    pub items: Vec<LineItem<'a>>,
    /// Order.
    pub order: Option<OrderTotal<'a>>,
    /// Survey answer.
    pub survey: Option<SurveyResponse<'a>>,
}

impl Event<'_> {
    /// What campaigns call the event: the name of a track, else the kind of call.
    #[must_use]
    pub fn label(&self) -> &str {
        match (self.kind, self.name) {
            (EventKind::Track, Some(name)) => name,
            (EventKind::Track, None) => "track",
            (EventKind::Identify, _) => "identify",
            (EventKind::Page, _) => "page",
            (EventKind::Screen, _) => "screen",
            (EventKind::Group, _) => "group",
            (EventKind::Alias, _) => "alias",
            (EventKind::Contact, _) => "contact",
        }
    }
}
