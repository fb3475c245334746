//! The private part of a node: the value of `<app>.profile.state`.

use super::super::convert;
use super::super::whole::Whole;
use super::{Customer as PublicCustomer, long, unreadable};
use catchment_contracts::NodeState;
use catchment_domain::campaign::Ledger;
use catchment_domain::identity::{Customer, Member, Node, Root, Route, Sorted, Standing};
use catchment_domain::{IdentifierType, NodeKey, NodeRef};
use catchment_runtime::Unreadable;
use catchment_runtime::state::{StateFormat, Stored, Versions};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// 1 = Avro `NodeState` of ledger and timers alone, as written before there was identity; 2 = with who is one with whom.
const VERSIONS: Versions =
    Versions { what: "node state", since: &[(StateFormat::FIRST, 1), (StateFormat(2), 2)] };

/// The fields that the second version added at the end, each as if it were empty: a byte of zero.
const ADDED_BY_2: [u8; 11] = [0; 11];

/// A node, but for its key and the profile of its customer. Stored as a version byte and Avro `NodeState`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredNode {
    /// Kind of the identifier; `None` if the record is of the first version.
    pub kind: Option<IdentifierType>,
    /// What it is.
    pub standing: Standing<Whole>,
    /// Of a shared device.
    pub route: Option<Route>,
}

impl StoredNode {
    /// An identifier that was never seen.
    pub(in super::super) fn nothing() -> Self {
        StoredNode { kind: None, standing: Standing::New, route: None }
    }

    /// What a node is of which nothing is stored but, perhaps, a profile: a customer of its own.
    pub(in super::super) fn derived(key: NodeKey, known: Option<&PublicCustomer>) -> Self {
        let identifiers = known.map_or(&[][..], |known| &known.profile.identifiers);
        let Some(first) = identifiers.first() else {
            return Self::nothing();
        };
        // The first in order of kind is of this node's; if there are two of a kind, nobody has said which.
        let is_only = identifiers.iter().filter(|other| other.kind == first.kind).count() == 1;
        let member = Member {
            value: is_only.then(|| first.value.clone()),
            since: is_only.then_some(first.at),
            ..Member::default()
        };
        let own = NodeRef { kind: first.kind, key };
        StoredNode {
            kind: Some(first.kind),
            standing: Standing::Root(Box::new(root(own, member))),
            route: None,
        }
    }

    /// The node, which is of this kind.
    pub(in super::super) fn into_node(self, own: NodeRef) -> Node<Whole> {
        let mut standing = self.standing;
        if let Standing::Root(root) = &mut standing {
            // A record of the first version says nothing of identifiers.
            if root.customer.members.is_empty() {
                root.customer.members.insert(own, Member::default());
            }
        }
        Node { own, standing, route: self.route }
    }

    /// The ledger of a root.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        match &self.standing {
            Standing::Root(root) => Some(&root.customer.content.ledger),
            Standing::New | Standing::Alias(_) => None,
        }
    }

    pub(in super::super) fn ledger_mut(&mut self) -> Option<&mut Ledger> {
        match &mut self.standing {
            Standing::Root(root) => Some(&mut root.customer.content.ledger),
            Standing::New | Standing::Alias(_) => None,
        }
    }

    /// False if nothing waits for its time in a stored form, and nothing was sent: then its first two lists are empty.
    pub(in super::super) fn may_wait(form: &[u8]) -> bool {
        form.get(1..3) != Some(&[0, 0])
    }

    /// True if a stored form is a root that waits for the answer of another. Of most it can be told without reading lists: before the
    /// root that was asked stand kind, parent, a count and the route.
    pub(in super::super) fn asks(form: &[u8]) -> bool {
        if Self::may_wait(form) {
            let stored = Self::decode(form);
            return stored.is_ok_and(
                |stored| matches!(&stored.standing, Standing::Root(root) if root.asking.is_some()),
            );
        }
        asks(form.get(3..).unwrap_or_default()).unwrap_or(false)
    }

    /// True if there is nothing to be stored of it.
    pub(in super::super) fn is_nothing(&self, key: NodeKey, known: Option<&PublicCustomer>) -> bool {
        if self.route.is_some() {
            return false;
        }
        match &self.standing {
            Standing::New => true,
            Standing::Alias(_) => false,
            Standing::Root(root) => {
                let Root { customer, asking, waiting } = &**root;
                let is_alone = customer.members.len() == 1
                    && customer.expected.is_empty()
                    && customer.tried.is_empty()
                    && customer.shared.is_empty()
                    && customer.forgotten.is_empty()
                    && customer.content.ledger.is_empty()
                    && asking.is_none()
                    && waiting.is_empty();
                is_alone && is_told(customer, key, known)
            }
        }
    }

    /// A stored form, but for the timers in it: for a bug that is planted in tests, and never called else.
    pub(in super::super) fn without_timers(form: &[u8], format: StateFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(mut stored) = Self::decode(form) {
            stored.ledger_mut().into_iter().for_each(|ledger| ledger.timers.clear());
            stored.encode(format, &mut bytes);
        }
        bytes
    }
}

/// True if a customer of one identifier is what its profile says, or is nobody, who was only asked about.
fn is_told(customer: &Customer<Whole>, key: NodeKey, known: Option<&PublicCustomer>) -> bool {
    let Some((own, member)) = customer.members.iter().next() else { return false };
    let Member { value, since, evidence, awaits } = member;
    let is_plain = own.key == key && evidence.is_none() && awaits.is_none();
    is_plain
        && match known.map(|known| known.profile.identifiers.as_slice()) {
            None => value.is_none() && since.is_none(),
            Some([only]) => {
                only.kind == own.kind && value.as_ref() == Some(&only.value) && *since == Some(only.at)
            }
            Some(_) => false,
        }
}

fn root(own: NodeRef, member: Member) -> Root<Whole> {
    let customer = Customer {
        members: Sorted::from([(own, member)]),
        expected: BTreeSet::new(),
        tried: Sorted::new(),
        shared: BTreeMap::new(),
        forgotten: BTreeMap::new(),
        content: Whole::default(),
    };
    Root { customer, asking: None, waiting: Vec::new() }
}

impl Stored for StoredNode {
    fn encode(&self, format: StateFormat, out: &mut Vec<u8>) {
        out.push(VERSIONS.written_in(format));
        convert::wire_state(self.kind, &self.standing, self.route).encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (version, datum) = VERSIONS.split(bytes)?;
        let datum = match version {
            1 => Cow::Owned([datum, &ADDED_BY_2].concat()),
            _ => Cow::Borrowed(datum),
        };
        let unreadable = |error: &dyn std::fmt::Display| unreadable("node state", error);
        let record = NodeState::decode(&datum).map_err(|error| unreadable(&error))?;
        let (kind, standing, route) = convert::state(&record).map_err(|error| unreadable(&error))?;
        Ok(StoredNode { kind, standing, route })
    }

    /// What tells versions apart. The rest is read when somebody speaks to the node.
    fn check(bytes: &[u8]) -> Result<(), Unreadable> {
        VERSIONS.split(bytes).map(drop)
    }
}

/// Whether the one that was asked is there, behind what stands before it.
fn asks(mut rest: &[u8]) -> Option<bool> {
    let rest = &mut rest;
    if is_there(rest)? {
        long(rest)?;
    }
    if is_there(rest)? {
        skip_node(rest)?;
    }
    long(rest)?;
    if is_there(rest)? {
        long(rest)?;
        skip_node(rest)?;
    }
    is_there(rest)
}

/// Which branch of a union of null and something follows.
fn is_there(rest: &mut &[u8]) -> Option<bool> {
    Some(long(rest)? == 1)
}

fn skip_node(rest: &mut &[u8]) -> Option<()> {
    long(rest)?;
    *rest = rest.get(16..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::any;
    use super::super::testing::{check_frozen, check_whole, encoded, formats};
    use super::*;
    use catchment_domain::campaign::{Sent, Timer};
    use catchment_domain::identity::{Alias, Evidence, Limit, Tried, Waiting};
    use catchment_domain::profile::Text;
    use proptest::prelude::*;

    fn ledger() -> Ledger {
        let sent = Sent {
            campaign: Text::from("back_in_stock"),
            scope: Text::from("run-aero-42"),
            trigger_id: Text::from("t-1"),
            at: 1_772_701_200_000,
            occurred_at: 1_772_701_140_000,
        };
        let timer = Timer {
            due: 1_772_703_000_000,
            campaign: Text::from("cart_abandoned"),
            scope: Text::from("cart"),
            event_id: Text::from("e-1"),
            source: Text::from("web"),
            occurred_at: 1_772_701_200_000,
        };
        Ledger { sent: vec![sent], timers: vec![timer] }
    }

    const USER: NodeRef = NodeRef { kind: IdentifierType::UserId, key: NodeKey([1; 16]) };
    const DEVICE: NodeRef = NodeRef { kind: IdentifierType::AnonymousId, key: NodeKey([2; 16]) };

    /// A root in which everything is filled.
    fn full() -> StoredNode {
        let at = 1_772_701_200_000;
        let evidence =
            Evidence { p: USER, j: DEVICE, event_id: Text::from("e-1"), source: Text::from("web"), at };
        let mut root =
            root(USER, Member { value: Some(Text::from("u")), since: Some(at), ..Member::default() });
        let device = Member { evidence: Some(Box::new(evidence)), awaits: Some(DEVICE), ..Member::default() };
        let tried = Tried { value: Text::from("a"), since: at, until: at, refused: Some(Limit::Busy) };
        root.customer.members.insert(DEVICE, device);
        root.customer.expected.insert(DEVICE);
        root.customer.tried.insert(DEVICE, tried);
        root.customer.shared.insert(DEVICE, at);
        root.customer.forgotten.insert(USER, at);
        root.customer.content.ledger = ledger();
        root.asking = Some(DEVICE);
        root.waiting = vec![Waiting::Forget { at }];
        let route = Some(Route { at, to: USER });
        StoredNode { kind: Some(IdentifierType::UserId), standing: Standing::Root(Box::new(root)), route }
    }

    #[test]
    fn a_record_of_any_release_is_read_and_written_as_ever() {
        let mut of_old = root(USER, Member::default());
        of_old.customer.members.clear();
        of_old.customer.content.ledger = ledger();
        let of_old = StoredNode { kind: None, standing: Standing::Root(Box::new(of_old)), route: None };
        check_frozen(&of_old, include_str!("../../../golden/ledger.v1.hex"), &[]);
        check_frozen(&full(), include_str!("../../../golden/node.v2.hex"), &[2]);
        let parent = Alias { parent: USER, forwarded: 7 };
        let alias = StoredNode {
            kind: Some(IdentifierType::AnonymousId),
            standing: Standing::Alias(parent),
            route: None,
        };
        check_frozen(&alias, include_str!("../../../golden/alias.v2.hex"), &[2]);
    }

    #[test]
    fn what_was_stored_before_there_was_identity_is_a_customer_of_its_own() {
        let bytes = [&[1][..], &[0, 0]].concat();
        let node = StoredNode::decode(&bytes).unwrap().into_node(DEVICE);
        assert_eq!(node.standing, Standing::Root(Box::new(root(DEVICE, Member::default()))));
    }

    #[test]
    fn a_record_that_is_cut_off_or_of_a_newer_release_is_refused() {
        let mut form = encoded(&full(), StateFormat(2));
        check_whole::<StoredNode>(&form);
        form[0] = 9;
        let refusal = StoredNode::decode(&form).unwrap_err().to_string();
        assert!(refusal.starts_with("node state of version 9, where this release reads 1, 2: "), "{refusal}");
        let refusal = StoredNode::decode(&[2, 2]).unwrap_err().to_string();
        assert!(refusal.starts_with("node state: "), "{refusal}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_node_is_read_back_in_every_format(
            standing in any::standing(),
            kind in prop::sample::select(IdentifierType::ALL.to_vec()),
            route in prop::option::of(any::route()),
        ) {
            let node = StoredNode { kind: Some(kind), standing, route };
            let asks = matches!(&node.standing, Standing::Root(root) if root.asking.is_some());
            for format in formats() {
                let form = encoded(&node, format);
                prop_assert_eq!(&StoredNode::decode(&form).unwrap(), &node);
                prop_assert_eq!(StoredNode::asks(&form), asks);
            }
        }
    }
}
