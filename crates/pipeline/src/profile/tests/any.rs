//! Anything that a node may be, and that nodes may say to each other.

use crate::profile::whole::Whole;
use catchment_domain::campaign::{Ledger, Sent, Timer};
use catchment_domain::identity::{
    Alias, Ask, Customer, Evidence, Limit, Link, Member, Message, Root, Route, Standing, Tried, Waiting,
};
use catchment_domain::profile::Text;
use catchment_domain::{IdentifierType, Millis, NodeKey, NodeRef};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(in crate::profile) fn node() -> impl Strategy<Value = NodeRef> {
    (prop::sample::select(IdentifierType::ALL.to_vec()), 0..9_u8)
        .prop_map(|(kind, key)| NodeRef { kind, key: NodeKey([key; 16]) })
}

fn text() -> impl Strategy<Value = Text> {
    ".{0,12}".prop_map(|text| Text::from(text.as_str()))
}

fn limit() -> impl Strategy<Value = Limit> {
    let types = IdentifierType::ALL.into_iter().map(Limit::Type);
    prop::sample::select(types.chain([Limit::Members, Limit::Busy]).collect::<Vec<_>>())
}

fn evidence() -> impl Strategy<Value = Evidence> {
    (node(), node(), text(), text(), any::<Millis>()).prop_map(|(p, j, event_id, source, at)| Evidence {
        p,
        j,
        event_id,
        source,
        at,
    })
}

fn member() -> impl Strategy<Value = Member> {
    (
        option::of(text()),
        option::of(any::<Millis>()),
        option::of(evidence().prop_map(Box::new)),
        option::of(node()),
    )
        .prop_map(|(value, since, evidence, awaits)| Member { value, since, evidence, awaits })
}

fn tried() -> impl Strategy<Value = Tried> {
    (text(), any::<Millis>(), any::<Millis>(), option::of(limit()))
        .prop_map(|(value, since, until, refused)| Tried { value, since, until, refused })
}

fn sent() -> impl Strategy<Value = Sent> {
    (text(), text(), text(), any::<Millis>(), any::<Millis>()).prop_map(
        |(campaign, scope, trigger_id, at, occurred_at)| Sent {
            campaign,
            scope,
            trigger_id,
            at,
            occurred_at,
        },
    )
}

fn timer() -> impl Strategy<Value = Timer> {
    (any::<Millis>(), text(), text(), text(), text(), any::<Millis>()).prop_map(
        |(due, campaign, scope, event_id, source, occurred_at)| Timer {
            due,
            campaign,
            scope,
            event_id,
            source,
            occurred_at,
        },
    )
}

fn ledger() -> impl Strategy<Value = Ledger> {
    (vec(sent(), 0..4), vec(timer(), 0..4)).prop_map(|(sent, timers)| Ledger { sent, timers })
}

pub(in crate::profile) fn customer() -> impl Strategy<Value = Customer<Whole>> {
    (
        btree_map(node(), member(), 1..4),
        btree_set(node(), 0..3),
        btree_map(node(), tried(), 0..3),
        btree_map(node(), any::<Millis>(), 0..3),
        btree_map(node(), any::<Millis>(), 0..3),
        ledger(),
    )
        .prop_map(|(members, expected, tried, shared, forgotten, ledger)| Customer {
            members: members.into_iter().collect(),
            expected,
            tried: tried.into_iter().collect(),
            shared,
            forgotten,
            content: Whole { ledger, ..Whole::default() },
        })
}

fn link() -> impl Strategy<Value = Box<Link>> {
    (node(), node(), node(), evidence())
        .prop_map(|(x, target, y, evidence)| Box::new(Link { x, target, y, evidence }))
}

fn ask() -> impl Strategy<Value = Box<Ask>> {
    (node(), vec(node(), 0..4), btree_map(node(), any::<Millis>(), 0..3), evidence())
        .prop_map(|(from, members, forgotten, evidence)| Box::new(Ask { from, members, forgotten, evidence }))
}

fn waiting() -> impl Strategy<Value = Waiting> {
    prop_oneof![
        link().prop_map(Waiting::Link),
        ask().prop_map(Waiting::Ask),
        any::<Millis>().prop_map(|at| Waiting::Forget { at }),
    ]
}

pub(in crate::profile) fn standing() -> impl Strategy<Value = Standing<Whole>> {
    let alias = (node(), 0..u64::MAX / 2)
        .prop_map(|(parent, forwarded)| Standing::Alias(Alias { parent, forwarded }));
    let root = (customer(), option::of(node()), vec(waiting(), 0..4))
        .prop_map(|(customer, asking, waiting)| Standing::Root(Box::new(Root { customer, asking, waiting })));
    prop_oneof![alias, root]
}

pub(in crate::profile) fn route() -> impl Strategy<Value = Route> {
    (any::<Millis>(), node()).prop_map(|(at, to)| Route { at, to })
}

/// Any message but an event.
pub(in crate::profile) fn message() -> impl Strategy<Value = Message<Whole>> {
    prop_oneof![
        link().prop_map(Message::Link),
        ask().prop_map(Message::Ask),
        node().prop_map(|root| Message::Yes { root }),
        (evidence(), limit())
            .prop_map(|(evidence, limit)| Message::No { evidence: Box::new(evidence), limit }),
        (customer(), node())
            .prop_map(|(customer, from)| Message::Absorb { customer: Box::new(customer), from }),
        (node(), 0..u64::MAX / 2).prop_map(|(root, count)| Message::Point { root, count }),
        route().prop_map(|Route { at, to }| Message::Route { at, to }),
        any::<Millis>().prop_map(|at| Message::Forget { at }),
    ]
}
