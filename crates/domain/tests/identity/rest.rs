//! What must hold when nothing is under way any more.

use super::lines::{Parts, name};
use super::world::World;
use catchment_domain::NodeRef;
use catchment_domain::identity::{Customer, Message, Note, Root, Seen, Standing};
use std::collections::{BTreeMap, BTreeSet};

/// What one partition has sent to another.
type Queue = Vec<(NodeRef, Message<Parts>)>;

/// A world in which messages wait in a queue for each pair of partitions.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) world: World,
    partitions: u128,
    /// What is to arrive: events at their smallest identifiers.
    pub(crate) inputs: Vec<Seen<u32>>,
    pub(crate) queues: BTreeMap<(u128, u128), Queue>,
    pub(crate) notes: Vec<Note>,
    /// Events in the order they arrived.
    arrived: Vec<(NodeRef, u32)>,
    /// Messages sent, but for those that shorten ways.
    pub(crate) sent: usize,
}

impl Run {
    pub(crate) fn new(world: World, partitions: u128, inputs: Vec<Seen<u32>>) -> Self {
        Run {
            world,
            partitions,
            inputs,
            queues: BTreeMap::new(),
            notes: Vec::new(),
            arrived: Vec::new(),
            sent: 0,
        }
    }

    fn partition(&self, node: NodeRef) -> u128 {
        (u128::from_be_bytes(node.key.0) * 7 + node.kind as u128) % self.partitions
    }

    /// How many things may happen next.
    pub(crate) fn choices(&self) -> usize {
        self.inputs.len() + self.queues.len()
    }

    /// Lets one of them happen.
    pub(crate) fn act(&mut self, choice: usize) {
        let (at, effects) = if choice < self.inputs.len() {
            let event = self.inputs.remove(choice);
            let at = event.identifiers[0].0;
            if !self.arrived.iter().any(|(_, known)| *known == event.event) {
                self.arrived.push((at, event.event));
            }
            (at, self.world.arrive(&event))
        } else {
            let key = *self.queues.keys().nth(choice - self.inputs.len()).unwrap();
            let queue = self.queues.get_mut(&key).unwrap();
            let (to, message) = queue.remove(0);
            if queue.is_empty() {
                self.queues.remove(&key);
            }
            (to, self.world.deliver(to, &message))
        };
        let from = self.partition(at);
        for (to, message) in effects.sent {
            self.sent += usize::from(!matches!(message, Message::Point { .. } | Message::Route { .. }));
            let key = (from, self.partition(to));
            self.queues.entry(key).or_default().push((to, message));
        }
        self.notes.extend(effects.notes);
    }

    fn root_of(&self, mut node: NodeRef) -> NodeRef {
        while let Some(parent) = self.world.nodes[&node].standing.parent() {
            node = parent;
        }
        node
    }

    fn roots(&self) -> BTreeMap<NodeRef, &Root<Parts>> {
        let roots = self.world.nodes.values().filter_map(|node| match &node.standing {
            Standing::Root(root) => Some((node.own, &**root)),
            Standing::New | Standing::Alias(_) => None,
        });
        roots.collect()
    }

    /// All of it. `events`: those that came, each once.
    pub(crate) fn check(&self, events: &[Seen<u32>]) {
        assert_eq!(self.choices(), 0);
        let roots = self.roots();
        for (at, root) in &roots {
            assert!(root.asking.is_none() && root.waiting.is_empty(), "{} waits", name(*at));
            assert!(root.customer.expected.is_empty(), "{} expects somebody", name(*at));
            let points: BTreeSet<NodeRef> = self.world.nodes.keys().copied().collect();
            let points: BTreeSet<NodeRef> =
                points.into_iter().filter(|node| self.root_of(*node) == *at).collect();
            let members: BTreeSet<NodeRef> = root.customer.members.keys().copied().collect();
            assert_eq!(points, members, "{}", name(*at));
            check_evidence(*at, &root.customer);
            // An identifier that was refused before any event of its own is a root of which nothing is known.
            let known = if root.customer.content.0.is_empty() { 0 } else { members.len() };
            assert_eq!(root.customer.published().count(), known, "values of {}", name(*at));
        }
        self.check_events(events, &roots);
        self.check_pairs(events, &roots);
        assert!(self.sent <= 16 * events.len(), "{} messages for {} events", self.sent, events.len());
    }

    /// Every event counts once, at the root of its smallest identifier, in the order of arrival.
    fn check_events(&self, events: &[Seen<u32>], roots: &BTreeMap<NodeRef, &Root<Parts>>) {
        let counted: usize =
            roots.values().flat_map(|root| root.customer.content.0.values()).map(Vec::len).sum();
        assert_eq!(counted, events.len());
        for event in events {
            let own = event.identifiers[0].0;
            let root = roots[&self.root_of(own)];
            let arrived = self.arrived.iter().filter(|(at, _)| *at == own).map(|(_, number)| *number);
            assert_eq!(
                root.customer.content.0[&own],
                arrived.collect::<Vec<u32>>(),
                "events of {}",
                name(own)
            );
        }
    }

    /// What was seen together is together, or a limit keeps it apart as it is now, which was told.
    fn check_pairs(&self, events: &[Seen<u32>], roots: &BTreeMap<NodeRef, &Root<Parts>>) {
        for event in events {
            let p = event.identifiers[0].0;
            for (j, _) in &event.identifiers {
                let mine = &roots[&self.root_of(p)].customer.members;
                if mine.contains_key(j) {
                    continue;
                }
                let known = self.world.nodes.contains_key(j).then(|| self.root_of(*j));
                let theirs = known.and_then(|root| roots.get(&root));
                let union: BTreeSet<NodeRef> = match theirs {
                    Some(root) => mine.keys().chain(root.customer.members.keys()).copied().collect(),
                    None => mine.keys().copied().chain([*j]).collect(),
                };
                let limits = self.world.rules.limits;
                let types = catchment_domain::IdentifierType::ALL.into_iter().zip(limits.of_type);
                let mut broken = types
                    .filter(|(kind, most)| union.iter().filter(|node| node.kind == *kind).count() > *most);
                let is_broken = union.len() > limits.members || broken.next().is_some();
                assert!(is_broken, "{} and {} are apart for nothing", name(p), name(*j));
                let told = self.notes.iter().any(|note| match note {
                    Note::Refused { evidence, .. } => {
                        evidence.j == *j && self.root_of(evidence.p) == self.root_of(p)
                    }
                    _ => false,
                });
                assert!(told, "nobody said why {} and {} are apart", name(p), name(*j));
            }
        }
    }

    /// The customers, as sets of identifiers.
    pub(crate) fn customers(&self) -> BTreeSet<BTreeSet<NodeRef>> {
        self.roots().values().map(|root| root.customer.members.keys().copied().collect()).collect()
    }
}

/// Every member but the one that the customer began with was joined by an event that names two of the members, and these
/// events connect all of them.
fn check_evidence(at: NodeRef, customer: &Customer<Parts>) {
    let members = &customer.members;
    let mut reached = BTreeSet::from([at]);
    loop {
        let before = reached.len();
        for evidence in members.iter().filter_map(|(_, member)| member.evidence.as_ref()) {
            if reached.contains(&evidence.p) || reached.contains(&evidence.j) {
                reached.extend([evidence.p, evidence.j]);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    assert_eq!(reached, members.keys().copied().collect(), "evidence of {}", name(at));
    let without = members.iter().filter(|(_, member)| member.evidence.is_none()).count();
    assert_eq!(without, 1, "{} has members that nobody linked", name(at));
}
