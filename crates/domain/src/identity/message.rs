//! What nodes say to each other.

use super::customer::{Content, Customer};
use super::limits::Limit;
use crate::id::NodeRef;
use crate::profile::Text;
use crate::time::Millis;
use std::collections::BTreeMap;

/// Why two identifiers belong together: one event named both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The smallest identifier of the event.
    pub p: NodeRef,
    /// The other one.
    pub j: NodeRef,
    /// Id of the event.
    pub event_id: Text,
    /// Source of the event.
    pub source: Text,
    /// When it occurred.
    pub at: Millis,
}

/// An event on its way to the customer of its smallest identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<E> {
    /// Id that its source gave it.
    pub id: Text,
    /// Source.
    pub source: Text,
    /// When it occurred.
    pub occurred_at: Millis,
    /// Its identifiers and their values, the smallest first.
    pub identifiers: Vec<(NodeRef, Text)>,
    /// The event itself, of which nothing is read here.
    pub event: E,
}

/// What the first alias that an event came over wrote on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// That alias.
    pub first: NodeRef,
    /// How many messages it had forwarded then, this one included.
    pub count: u64,
    /// Aliases that the event came over.
    pub aliases: u32,
}

/// An identifier was seen with one of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The one on the side of whoever receives this.
    pub x: NodeRef,
    /// Root of the other side when this was sent.
    pub target: NodeRef,
    /// The one on that side.
    pub y: NodeRef,
    /// How it is known.
    pub evidence: Evidence,
}

/// May my customer become a part of yours?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The root that asks.
    pub from: NodeRef,
    /// Its members.
    pub members: Vec<NodeRef>,
    /// What of it was forgotten, and up to when.
    pub forgotten: BTreeMap<NodeRef, Millis>,
    /// How it is known that they belong together.
    pub evidence: Evidence,
}

/// What is sent to a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<C: Content> {
    /// An event, for the customer of `own`.
    Observe {
        /// The event.
        event: Box<Seen<C::Event>>,
        /// The identifier that it counts for: its smallest, or where its device was routed to.
        own: NodeRef,
        /// It says something about a device, and links nothing.
        routed: bool,
        /// None before the first alias.
        stamp: Option<Stamp>,
    },
    /// An identifier was seen with one of somebody else.
    Link(Box<Link>),
    /// A larger root asks to become an alias.
    Ask(Box<Ask>),
    /// It may.
    Yes {
        /// The root that has granted it.
        root: NodeRef,
    },
    /// It may not.
    No {
        /// What the refusal is about.
        evidence: Box<Evidence>,
        /// What refuses it.
        limit: Limit,
    },
    /// The customer of a root that has become an alias, also if it is empty: whoever has granted it waits for it before
    /// it forgets anything.
    Absorb {
        /// All of it.
        customer: Box<Customer<C>>,
        /// That root.
        from: NodeRef,
    },
    /// A shorter way to the root, if nothing is under way on the longer one.
    Point {
        /// The root.
        root: NodeRef,
        /// How many messages the alias had forwarded when it stamped the event that this answers.
        count: u64,
    },
    /// Events that know a device only belong to this user for now.
    Route {
        /// When the user was seen with the device.
        at: Millis,
        /// The user.
        to: NodeRef,
    },
    /// Everything known of this customer goes, and nothing that occurred before brings it back.
    Forget {
        /// When that was asked for.
        at: Millis,
    },
}

/// A message that the protocol never sends to such a node: it was lost, doubled or made up. Taking it would lose events or
/// count them twice, so its partition must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// An answer to a node that asked nothing.
    #[error("an answer came to a node that has asked nothing")]
    Unasked,
    /// A grant by a larger node.
    #[error("a larger node has granted what it was asked for")]
    Upwards,
    /// A customer came to a node that was never granted one.
    #[error("a customer came to a node without one")]
    Nobody,
}
