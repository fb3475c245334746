//! What a root holds.

use super::limits::Limit;
use super::message::{Evidence, Seen};
use super::sorted::Sorted;
use crate::id::NodeRef;
use crate::profile::Text;
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// What is known of a customer besides who it is: a profile, and what belongs to it.
pub trait Content: Clone + Debug + Default + PartialEq {
    /// What it is made of.
    type Event: Clone + Debug + PartialEq;

    /// True if nothing is known.
    fn is_empty(&self) -> bool;

    /// Takes an event of an identifier of the customer.
    fn apply(&mut self, own: NodeRef, event: &Seen<Self::Event>);

    /// Takes what was known of somebody who turned out to be the same. The events behind the two are disjoint. Those of one
    /// identifier may be behind both; then the other's are the older ones.
    fn absorb(&mut self, other: Self);
}

/// An identifier of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its normalised value; `None` while no event of this customer has told it.
    pub value: Option<Text>,
    /// When the earliest event occurred that told it.
    pub since: Option<Millis>,
    /// How it came here; `None` for the identifier that a customer began with. So the evidence of the members is a tree.
    pub evidence: Option<Box<Evidence>>,
    /// The root that it came with, while that one's customer is on its way. Until then it counts for limits, and is neither
    /// published nor addressed: what comes may say that it must not be.
    pub awaits: Option<NodeRef>,
}

/// An identifier that was seen with the customer and is no member: it was asked for, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its normalised value.
    pub value: Text,
    /// When the earliest event occurred that named it.
    pub since: Millis,
    /// From then on it is tried again.
    pub until: Millis,
    /// What refused it; `None` while it is asked for.
    pub refused: Option<Limit>,
}

/// What a root holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer<C> {
    /// Its identifiers.
    pub members: Sorted<NodeRef, Member>,
    /// Roots that were granted and whose customer is still on its way.
    pub expected: BTreeSet<NodeRef>,
    /// Identifiers that are no members.
    pub tried: Sorted<NodeRef, Tried>,
    /// Devices that others use as well, and when their events were last asked for.
    pub shared: BTreeMap<NodeRef, Millis>,
    /// Up to when a member was forgotten.
    pub forgotten: BTreeMap<NodeRef, Millis>,
    /// What is known.
    pub content: C,
}

impl Member {
    /// An event of the customer that occurred then has told the value.
    pub(super) fn tell(&mut self, value: &Text, at: Millis) {
        self.value.get_or_insert_with(|| value.clone());
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }
}

/// How much a customer remembers besides its members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) tried: usize,
    pub(super) shared: usize,
}

impl<C: Content> Customer<C> {
    pub(super) fn of(node: NodeRef) -> Self {
        Customer {
            members: Sorted::from([(node, Member::default())]),
            expected: BTreeSet::new(),
            tried: Sorted::new(),
            shared: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            content: C::default(),
        }
    }

    /// The identifiers that may be published and addressed, with their values and since when they are known.
    pub fn published(&self) -> impl Iterator<Item = (NodeRef, &Text, Millis)> {
        self.members.iter().filter_map(|(node, member)| {
            let (value, since) = (member.value.as_ref()?, member.since?);
            (member.awaits.is_none() && !self.shared.contains_key(node)).then_some((*node, value, since))
        })
    }

    /// True if an event of this customer that occurred then and names no identifier but these changes nothing but the
    /// [content](Self::content): an event that needs no other treatment than [`Content::apply`].
    pub fn knows(&self, mut named: impl Iterator<Item = NodeRef>, occurred_at: Millis) -> bool {
        self.forgotten.is_empty()
            && named.all(|node| {
                let member = self.members.get(&node);
                let told = member.and_then(|member| member.since).is_some_and(|since| since <= occurred_at);
                told && !self.shared.contains_key(&node)
            })
    }

    /// True if an event that counts for `own` says something of a time that was forgotten.
    pub(super) fn has_forgotten<E>(&self, own: NodeRef, event: &Seen<E>) -> bool {
        let mut named = event.identifiers.iter().map(|(node, _)| *node).chain([own]);
        !self.forgotten.is_empty()
            && named
                .any(|node| self.forgotten.get(&node).is_some_and(|forgotten| event.occurred_at < *forgotten))
    }

    /// True if it is known by an event of a time that was forgotten that two identifiers belong together.
    pub(super) fn has_forgotten_evidence(&self, evidence: &Evidence) -> bool {
        let until = |node| self.forgotten.get(node);
        [&evidence.p, &evidence.j].into_iter().filter_map(until).any(|forgotten| evidence.at < *forgotten)
    }

    pub(super) fn forgotten_until(&mut self, node: NodeRef, at: Millis) {
        let known = self.forgotten.entry(node).or_insert(at);
        *known = at.max(*known);
    }

    /// Lets everything go but who belongs to it.
    pub(super) fn empty(&mut self) {
        self.content = C::default();
        self.tried.clear();
        self.members.values_mut().for_each(|member| *member = Member::default());
    }

    /// Joins another customer, whose members were granted before.
    pub(super) fn take_in(&mut self, other: Customer<C>, most: Most) {
        for (node, brought) in other.members {
            let member = self.members.or_insert_with(node, Member::default);
            if let (Some(value), Some(since)) = (brought.value, brought.since) {
                member.tell(&value, since);
            }
            member.evidence = brought.evidence.or(member.evidence.take());
            member.awaits = brought.awaits;
        }
        for (node, tried) in other.tried {
            self.try_out(node, tried, most.tried);
        }
        self.expected.extend(other.expected);
        for (device, at) in other.shared {
            let known = self.shared.entry(device).or_insert(at);
            *known = at.max(*known);
        }
        self.bound_shared(most.shared);
        for (node, at) in other.forgotten {
            self.forgotten_until(node, at);
        }
        self.content.absorb(other.content);
        self.learn_values();
    }

    /// Remembers that an identifier was tried. Of too many the one goes that would be tried again first: then an event
    /// tries it early, which costs a message.
    pub(super) fn try_out(&mut self, node: NodeRef, mut tried: Tried, most: usize) {
        if let Some(known) = self.tried.get(&node) {
            tried.since = tried.since.min(known.since);
        }
        self.tried.insert(node, tried);
        while self.tried.len() > most {
            let first = self.tried.iter().min_by_key(|(node, tried)| (tried.until, **node));
            let Some(node) = first.map(|(node, _)| *node) else { return };
            self.tried.remove(&node);
        }
    }

    /// Members take their values from what was tried, before they were members.
    pub(super) fn learn_values(&mut self) {
        let Customer { members, tried, .. } = self;
        if tried.is_empty() {
            return;
        }
        for (node, member) in members.iter_mut() {
            if let Some(Tried { value, since, .. }) = tried.remove(node) {
                member.tell(&value, since);
            }
        }
    }

    /// A device that others use as well; of too many the one goes whose events were asked for longest ago, and before all others
    /// one that is no member: a member that is not known as shared would be published, and addressed.
    pub(super) fn share(&mut self, device: NodeRef, now: Millis, most: usize) {
        self.shared.entry(device).or_insert(now);
        self.bound_shared(most);
    }

    fn bound_shared(&mut self, most: usize) {
        while self.shared.len() > most {
            let order = |(node, at): &(&NodeRef, &Millis)| (self.members.contains_key(node), **at, **node);
            let oldest = self.shared.iter().min_by_key(order).map(|(node, _)| *node);
            let Some(oldest) = oldest else { return };
            self.shared.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{IdentifierType, NodeKey};

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Nothing;

    impl Content for Nothing {
        type Event = ();

        fn is_empty(&self) -> bool {
            true
        }

        fn apply(&mut self, _: NodeRef, _: &Seen<()>) {}

        fn absorb(&mut self, _: Self) {}
    }

    #[test]
    fn a_member_that_others_use_is_remembered_before_devices_that_are_no_members() {
        let device = |number| NodeRef { kind: IdentifierType::AnonymousId, key: NodeKey([number; 16]) };
        let mut customer = Customer::<Nothing>::of(device(1));
        customer.share(device(1), 1, 2);
        for (number, at) in [(2, 2), (3, 3), (4, 4)] {
            customer.share(device(number), at, 2);
        }
        let shared: Vec<_> = customer.shared.keys().copied().collect();
        assert_eq!(shared, [device(1), device(4)], "it would be published, and addressed");
    }
}
