//! Nodes, and what they say to each other, between contract records and domain values.

use super::{identifier_type, ledger, wire_identifier_type, wire_sent, wire_timer};
use crate::profile::whole::Whole;
use catchment_contracts as wire;
use catchment_domain::identity::{
    Alias, Ask, Customer, Evidence, Limit, Link, Member, Root, Route, Standing, Tried, Waiting,
};
use catchment_domain::profile::Text;
use catchment_domain::{IdentifierType, Millis, NodeKey, NodeRef};
use std::collections::BTreeMap;

/// Something that only a newer release writes, or nobody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::profile) enum Foreign {
    #[error("an identifier of a kind that this release does not know")]
    Kind,
    #[error("a limit that this release does not know")]
    Limit,
    #[error("a message that waits and says nothing")]
    Waiting,
}

type Known<T> = Result<T, Foreign>;

pub(in crate::profile) fn wire_node(node: NodeRef) -> wire::NodeRef {
    wire::NodeRef { r#type: wire_identifier_type(node.kind), key: node.key.0 }
}

pub(in crate::profile) fn kind(kind: wire::IdentifierType) -> Known<IdentifierType> {
    identifier_type(kind).ok_or(Foreign::Kind)
}

pub(in crate::profile) fn node(record: &wire::NodeRef) -> Known<NodeRef> {
    Ok(NodeRef { kind: kind(record.r#type)?, key: NodeKey(record.key) })
}

fn nodes(records: &[wire::NodeRef]) -> Known<Vec<NodeRef>> {
    records.iter().map(node).collect()
}

pub(in crate::profile) fn wire_evidence(evidence: &Evidence) -> wire::Evidence<'_> {
    wire::Evidence {
        p: wire_node(evidence.p),
        j: wire_node(evidence.j),
        event_id: &evidence.event_id,
        source: &evidence.source,
        at: evidence.at,
    }
}

pub(in crate::profile) fn evidence(record: &wire::Evidence<'_>) -> Known<Evidence> {
    Ok(Evidence {
        p: node(&record.p)?,
        j: node(&record.j)?,
        event_id: Text::from(record.event_id),
        source: Text::from(record.source),
        at: record.at,
    })
}

pub(in crate::profile) fn wire_limit(limit: Limit) -> wire::Limit {
    match limit {
        Limit::Type(IdentifierType::UserId) => wire::Limit::UserId,
        Limit::Type(IdentifierType::CrmId) => wire::Limit::CrmId,
        Limit::Type(IdentifierType::Email) => wire::Limit::Email,
        Limit::Type(IdentifierType::Phone) => wire::Limit::Phone,
        Limit::Type(IdentifierType::AnonymousId) => wire::Limit::AnonymousId,
        Limit::Members => wire::Limit::Members,
        Limit::Busy => wire::Limit::Busy,
    }
}

pub(in crate::profile) fn limit(record: wire::Limit) -> Known<Limit> {
    Ok(match record {
        wire::Limit::UserId => Limit::Type(IdentifierType::UserId),
        wire::Limit::CrmId => Limit::Type(IdentifierType::CrmId),
        wire::Limit::Email => Limit::Type(IdentifierType::Email),
        wire::Limit::Phone => Limit::Type(IdentifierType::Phone),
        wire::Limit::AnonymousId => Limit::Type(IdentifierType::AnonymousId),
        wire::Limit::Members => Limit::Members,
        wire::Limit::Busy => Limit::Busy,
        wire::Limit::Other => return Err(Foreign::Limit),
    })
}

pub(in crate::profile) fn wire_link(link: &Link) -> wire::LinkMessage<'_> {
    wire::LinkMessage {
        x: wire_node(link.x),
        target: wire_node(link.target),
        y: wire_node(link.y),
        evidence: wire_evidence(&link.evidence),
    }
}

pub(in crate::profile) fn link(record: &wire::LinkMessage<'_>) -> Known<Link> {
    Ok(Link {
        x: node(&record.x)?,
        target: node(&record.target)?,
        y: node(&record.y)?,
        evidence: evidence(&record.evidence)?,
    })
}

pub(in crate::profile) fn wire_ask(ask: &Ask) -> wire::AskMessage<'_> {
    wire::AskMessage {
        from: wire_node(ask.from),
        members: ask.members.iter().copied().map(wire_node).collect(),
        forgotten: wire_forgotten(&ask.forgotten),
        evidence: wire_evidence(&ask.evidence),
    }
}

pub(in crate::profile) fn ask(record: &wire::AskMessage<'_>) -> Known<Ask> {
    Ok(Ask {
        from: node(&record.from)?,
        members: nodes(&record.members)?,
        forgotten: forgotten(&record.forgotten)?,
        evidence: evidence(&record.evidence)?,
    })
}

fn wire_forgotten(forgotten: &BTreeMap<NodeRef, Millis>) -> Vec<wire::Forgotten> {
    forgotten.iter().map(|(node, at)| wire::Forgotten { node: wire_node(*node), at: *at }).collect()
}

fn forgotten(records: &[wire::Forgotten]) -> Known<BTreeMap<NodeRef, Millis>> {
    records.iter().map(|record| Ok((node(&record.node)?, record.at))).collect()
}

fn wire_route(route: Route) -> wire::Route {
    wire::Route { at: route.at, to: wire_node(route.to) }
}

pub(in crate::profile) fn route(record: &wire::Route) -> Known<Route> {
    Ok(Route { at: record.at, to: node(&record.to)? })
}

fn wire_waiting(waiting: &Waiting) -> wire::Waiting<'_> {
    let nothing = wire::Waiting { link: None, ask: None, forget: None };
    match waiting {
        Waiting::Link(link) => wire::Waiting { link: Some(wire_link(link)), ..nothing },
        Waiting::Ask(ask) => wire::Waiting { ask: Some(wire_ask(ask)), ..nothing },
        Waiting::Forget { at } => wire::Waiting { forget: Some(*at), ..nothing },
    }
}

fn waiting(record: &wire::Waiting<'_>) -> Known<Waiting> {
    match record {
        wire::Waiting { link: Some(record), .. } => Ok(Waiting::Link(Box::new(link(record)?))),
        wire::Waiting { ask: Some(record), .. } => Ok(Waiting::Ask(Box::new(ask(record)?))),
        wire::Waiting { forget: Some(at), .. } => Ok(Waiting::Forget { at: *at }),
        _ => Err(Foreign::Waiting),
    }
}

fn wire_member<'m>((own, member): (&NodeRef, &'m Member)) -> wire::Member<'m> {
    wire::Member {
        node: wire_node(*own),
        value: member.value.as_deref(),
        since: member.since,
        evidence: member.evidence.as_deref().map(wire_evidence),
        awaits: member.awaits.map(wire_node),
    }
}

fn member(record: &wire::Member<'_>) -> Known<(NodeRef, Member)> {
    let known = Member {
        value: record.value.map(Text::from),
        since: record.since,
        evidence: record.evidence.as_ref().map(evidence).transpose()?.map(Box::new),
        awaits: record.awaits.as_ref().map(node).transpose()?,
    };
    Ok((node(&record.node)?, known))
}

fn wire_tried<'t>((own, tried): (&NodeRef, &'t Tried)) -> wire::Tried<'t> {
    wire::Tried {
        node: wire_node(*own),
        value: &tried.value,
        since: tried.since,
        until: tried.until,
        refused: tried.refused.map(wire_limit),
    }
}

fn tried(record: &wire::Tried<'_>) -> Known<(NodeRef, Tried)> {
    let known = Tried {
        value: Text::from(record.value),
        since: record.since,
        until: record.until,
        refused: record.refused.map(limit).transpose()?,
    };
    Ok((node(&record.node)?, known))
}

fn nobody() -> wire::NodeState<'static> {
    wire::NodeState {
        sent: Vec::new(),
        timers: Vec::new(),
        r#type: None,
        parent: None,
        forwarded: 0,
        route: None,
        asking: None,
        waiting: Vec::new(),
        members: Vec::new(),
        expected: Vec::new(),
        tried: Vec::new(),
        shared: Vec::new(),
        forgotten: Vec::new(),
    }
}

/// A customer as it is stored and sent, but for the profile.
pub(in crate::profile) fn wire_customer(customer: &Customer<Whole>) -> wire::NodeState<'_> {
    let Whole { ledger, .. } = &customer.content;
    wire::NodeState {
        sent: ledger.sent.iter().map(wire_sent).collect(),
        timers: ledger.timers.iter().map(wire_timer).collect(),
        members: customer.members.iter().map(wire_member).collect(),
        expected: customer.expected.iter().copied().map(wire_node).collect(),
        tried: customer.tried.iter().map(wire_tried).collect(),
        shared: customer
            .shared
            .iter()
            .map(|(node, at)| wire::SharedDevice { node: wire_node(*node), routed_at: *at })
            .collect(),
        forgotten: wire_forgotten(&customer.forgotten),
        ..nobody()
    }
}

/// As [`wire_customer`], back.
pub(in crate::profile) fn customer(record: &wire::NodeState<'_>) -> Known<Customer<Whole>> {
    let shared = |shared: &wire::SharedDevice| Ok((node(&shared.node)?, shared.routed_at));
    Ok(Customer {
        members: record.members.iter().map(member).collect::<Known<_>>()?,
        expected: record.expected.iter().map(node).collect::<Known<_>>()?,
        tried: record.tried.iter().map(tried).collect::<Known<_>>()?,
        shared: record.shared.iter().map(shared).collect::<Known<_>>()?,
        forgotten: forgotten(&record.forgotten)?,
        content: Whole { ledger: ledger(record), ..Whole::default() },
    })
}

/// A node as it is stored.
pub(in crate::profile) fn wire_state<'s>(
    kind: Option<IdentifierType>,
    standing: &'s Standing<Whole>,
    route: Option<Route>,
) -> wire::NodeState<'s> {
    let record = match standing {
        Standing::New => nobody(),
        Standing::Alias(Alias { parent, forwarded }) => wire::NodeState {
            parent: Some(wire_node(*parent)),
            forwarded: super::signed(*forwarded),
            ..nobody()
        },
        Standing::Root(root) => wire::NodeState {
            asking: root.asking.map(wire_node),
            waiting: root.waiting.iter().map(wire_waiting).collect(),
            ..wire_customer(&root.customer)
        },
    };
    wire::NodeState { r#type: kind.map(wire_identifier_type), route: route.map(wire_route), ..record }
}

/// As [`wire_state`], back.
pub(in crate::profile) fn state(
    record: &wire::NodeState<'_>,
) -> Known<(Option<IdentifierType>, Standing<Whole>, Option<Route>)> {
    let standing = match &record.parent {
        Some(parent) => {
            Standing::Alias(Alias { parent: node(parent)?, forwarded: super::unsigned(record.forwarded) })
        }
        None => Standing::Root(Box::new(Root {
            customer: customer(record)?,
            asking: record.asking.as_ref().map(node).transpose()?,
            waiting: record.waiting.iter().map(waiting).collect::<Known<_>>()?,
        })),
    };
    let kind = record.r#type.map(kind).transpose()?;
    Ok((kind, standing, record.route.as_ref().map(route).transpose()?))
}
