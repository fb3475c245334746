//! Nodes, customers and messages in the words of the model.

use catchment_domain::identity::{Content, Customer, Evidence, Message, Node, Seen, Standing};
use catchment_domain::{IdentifierType, Millis, NodeKey, NodeRef};
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

const TYPES: &str = "ucepa";

/// `e2` for the second address.
pub(crate) fn name(node: NodeRef) -> String {
    let kind = IdentifierType::ALL.iter().position(|kind| *kind == node.kind).unwrap();
    format!("{}{}", &TYPES[kind..=kind], u128::from_be_bytes(node.key.0))
}

pub(crate) fn node(name: &str) -> NodeRef {
    let kind = TYPES.find(&name[..1]).unwrap();
    let number: u128 = name[1..].parse().unwrap();
    NodeRef { kind: IdentifierType::ALL[kind], key: NodeKey(number.to_be_bytes()) }
}

/// The numbers of the events that were taken, by the identifier that they counted for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parts(pub(crate) BTreeMap<NodeRef, Vec<u32>>);

impl Content for Parts {
    type Event = u32;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn apply(&mut self, own: NodeRef, event: &Seen<u32>) {
        self.0.entry(own).or_default().push(event.event);
    }

    fn absorb(&mut self, other: Self) {
        for (own, mut events) in other.0 {
            let newer = self.0.remove(&own).unwrap_or_default();
            events.extend(newer);
            self.0.insert(own, events);
        }
    }
}

fn joined<T: Display>(all: impl Iterator<Item = T>, by: &str) -> String {
    let text = all.map(|one| one.to_string()).collect::<Vec<_>>().join(by);
    if text.is_empty() { "-".to_owned() } else { text }
}

fn listed<'a>(nodes: impl Iterator<Item = &'a NodeRef>) -> String {
    joined(nodes.map(|node| name(*node)), ",")
}

fn timed(nodes: &BTreeMap<NodeRef, Millis>) -> String {
    joined(nodes.iter().map(|(node, at)| format!("{}@{at}", name(*node))), ",")
}

fn because(evidence: &Evidence) -> String {
    format!("{}~{}@{}", name(evidence.p), name(evidence.j), evidence.at)
}

fn told(customer: &Customer<Parts>) -> String {
    let parts = customer.content.0.iter();
    let parts = parts.map(|(own, events)| format!("{}:{}", name(*own), joined(events.iter(), "+")));
    [
        listed(customer.members.keys()),
        joined(parts, ";"),
        // That a member was tried before it was one is no matter.
        listed(customer.tried.keys().filter(|node| !customer.members.contains_key(node))),
        listed(customer.shared.keys()),
        listed(customer.expected.iter()),
        timed(&customer.forgotten),
    ]
    .join(" ")
}

/// A message in one line.
pub(crate) fn line(to: NodeRef, message: &Message<Parts>) -> String {
    let to = name(to);
    match message {
        Message::Observe { event, own, routed, stamp } => {
            let stamp = stamp.map_or("-".to_owned(), |stamp| {
                format!("{}/{}/{}", name(stamp.first), stamp.count, stamp.aliases)
            });
            format!("Observe {to} {} {} {} {stamp}", event.event, name(*own), u8::from(*routed))
        }
        Message::Link(link) => {
            let [x, target, y] = [link.x, link.target, link.y].map(name);
            format!("Link {to} {x} {target} {y} {}", because(&link.evidence))
        }
        Message::Ask(ask) => {
            let (from, members) = (name(ask.from), listed(ask.members.iter()));
            format!("Ask {to} {from} {members} {} {}", timed(&ask.forgotten), because(&ask.evidence))
        }
        Message::Yes { root } => format!("Yes {to} {}", name(*root)),
        Message::No { evidence, .. } => format!("No {to} {}", because(evidence)),
        Message::Absorb { customer, from } => format!("Absorb {to} {} {}", name(*from), told(customer)),
        Message::Point { root, count } => format!("Point {to} {} {count}", name(*root)),
        Message::Route { at, to: user } => format!("Route {to} {at} {}", name(*user)),
        Message::Forget { at } => format!("Forget {to} {at}"),
    }
}

/// A node in one line; `None` of one that was never seen.
pub(crate) fn state(node: &Node<Parts>) -> Option<String> {
    let mut text = match &node.standing {
        Standing::New => return None,
        Standing::Alias(alias) => format!("alias {} {} ", name(alias.parent), alias.forwarded),
        Standing::Root(root) => format!("root {} ", told(&root.customer)),
    };
    match node.route {
        Some(route) => write!(text, "{}/{}", route.at, name(route.to)).unwrap(),
        None => text.push('-'),
    }
    Some(text)
}
