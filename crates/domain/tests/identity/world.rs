//! Nodes, and the messages between them.

use super::lines::{Parts, name, node};
use catchment_domain::NodeRef;
use catchment_domain::identity::{Content as _, Effects, Limits, Message, Node, Rules, Seen, Standing};
use std::collections::{BTreeMap, BTreeSet};

/// Far enough that nothing is tried again.
const NEVER: i64 = i64::MAX;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) nodes: BTreeMap<NodeRef, Node<Parts>>,
    seen: BTreeSet<u32>,
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        let rules = Rules {
            limits,
            retry_after: NEVER,
            most_tried: usize::MAX,
            most_shared: usize::MAX,
            route_every: 0,
            ..Rules::default()
        };
        World { rules, nodes: BTreeMap::new(), seen: BTreeSet::new() }
    }

    pub(crate) fn node(&mut self, own: NodeRef) -> &mut Node<Parts> {
        self.nodes.entry(own).or_insert_with(|| Node::new(own))
    }

    /// An event at its smallest identifier; nothing happens if it was there before.
    pub(crate) fn arrive(&mut self, event: &Seen<u32>) -> Effects<Parts> {
        let (to, rules) = (event.identifiers[0].0, self.rules);
        let mut effects = Effects::default();
        if self.seen.insert(event.event) {
            let before = self.node(to).clone();
            self.node(to).arrive(Box::new(event.clone()), &rules, 0, &mut effects).unwrap();
            if before.route.is_none() {
                self.check_known(&before, (event, to), &effects);
            }
        }
        self.check(to);
        effects
    }

    pub(crate) fn deliver(&mut self, to: NodeRef, message: &Message<Parts>) -> Effects<Parts> {
        let (rules, mut effects) = (self.rules, Effects::default());
        let before = self.node(to).clone();
        self.node(to).take(message.clone(), &rules, 0, &mut effects).unwrap();
        if let Message::Observe { event, own, stamp, .. } = message
            && stamp.is_none_or(|stamp| stamp.aliases < 2)
        {
            self.check_known(&before, (event, *own), &effects);
        }
        self.check(to);
        effects
    }

    /// An event that names nobody but members is applied, and nothing else comes of it.
    fn check_known(
        &self,
        before: &Node<Parts>,
        (event, own): (&Seen<u32>, NodeRef),
        effects: &Effects<Parts>,
    ) {
        let mut expected = before.clone();
        let Standing::Root(root) = &mut expected.standing else { return };
        if root.customer.knows(event.identifiers.iter().map(|(node, _)| *node), event.occurred_at) {
            root.customer.content.apply(own, event);
            assert_eq!(self.nodes[&before.own], expected);
            assert_eq!(effects, &Effects::default());
        }
    }

    /// What must hold of a node after every message.
    fn check(&self, at: NodeRef) {
        let Some(node) = self.nodes.get(&at) else { return };
        match &node.standing {
            Standing::New => {}
            Standing::Alias(alias) => assert!(alias.parent < at, "{} points up", name(at)),
            Standing::Root(root) => {
                let customer = &root.customer;
                let Limits { of_type, members } = self.rules.limits;
                assert!(customer.members.len() <= members, "{} has too many members", name(at));
                for (kind, most) in catchment_domain::IdentifierType::ALL.into_iter().zip(of_type) {
                    let count = customer.members.keys().filter(|member| member.kind == kind).count();
                    assert!(count <= most, "{} has too many members of a type", name(at));
                }
                assert!(root.asking.is_none_or(|asked| asked < at), "{} asks upwards", name(at));
            }
        }
    }
}

/// An event of the second `at` with these identifiers.
pub(crate) fn event(number: u32, identifiers: &[&str], at: i64) -> Seen<u32> {
    let identifiers = identifiers.iter().map(|text| (node(text), (*text).into())).collect();
    Seen { id: number.to_string().into(), source: "test".into(), occurred_at: at, identifiers, event: number }
}
