//! Random events in random order, and every order of some.

use super::lines::{name, node};
use super::rest::Run;
use super::world::{World, event};
use catchment_domain::NodeRef;
use catchment_domain::identity::{Limits, Seen};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};

const NONE: Limits = Limits { of_type: [usize::MAX; 5], members: usize::MAX };
const ONE: Limits = Limits { of_type: [1; 5], members: 100 };
const THREE: Limits = Limits { of_type: [usize::MAX; 5], members: 3 };

const POOL: [&str; 10] = ["u1", "u2", "c1", "e1", "e2", "e3", "p1", "a1", "a2", "a3"];

fn events() -> impl Strategy<Value = Vec<Seen<u32>>> {
    let one = prop::collection::btree_set(0..POOL.len(), 1..=4);
    prop::collection::vec(one, 1..8).prop_map(|all| {
        let numbered = all.into_iter().zip(0..);
        numbered
            .map(|(places, number)| {
                let names: Vec<&str> = places.into_iter().map(|place| POOL[place]).collect();
                event(number, &names, i64::from(number))
            })
            .collect()
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![Just(NONE), Just(Limits::default()), Just(ONE), Just(THREE)]
}

fn world(limits: Limits) -> World {
    let mut world = World::new(limits);
    world.rules.route = false;
    world
}

/// Connected components of identifiers that events name together.
fn components(events: &[Seen<u32>]) -> BTreeSet<BTreeSet<NodeRef>> {
    let mut all: Vec<BTreeSet<NodeRef>> = Vec::new();
    for event in events {
        let mut joined: BTreeSet<NodeRef> = event.identifiers.iter().map(|(node, _)| *node).collect();
        all.retain(|known| {
            let apart = known.is_disjoint(&joined);
            if !apart {
                joined.extend(known);
            }
            apart
        });
        all.push(joined);
    }
    all.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// Events come in any order, some of them twice, and messages overtake each other where they may.
    #[test]
    fn any_order_comes_to_rest_as_it_must(
        events in events(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        limits in limits(),
        partitions in 1..6_u128,
        seed in any::<u64>(),
    ) {
        let mut inputs = events.clone();
        inputs.extend(again.iter().map(|index| index.get(&events).clone()));
        let mut run = Run::new(world(limits), partitions, inputs);
        let mut state = seed;
        while run.choices() > 0 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            run.act((state >> 33) as usize % run.choices());
        }
        run.check(&events);
        if limits == NONE {
            prop_assert_eq!(run.customers(), components(&events));
        }
    }
}

/// Every order of some events, each identifier on a partition of its own.
#[track_caller]
fn every_order(events: &[&[&str]], limits: Limits) {
    let events: Vec<Seen<u32>> =
        events.iter().zip(0..).map(|(names, number)| event(number, names, i64::from(number))).collect();
    let (mut seen, mut ends) = (HashSet::new(), HashSet::new());
    let mut open = vec![Run::new(world(limits), 101, events.clone())];
    while let Some(run) = open.pop() {
        for choice in 0..run.choices() {
            let mut next = run.clone();
            next.act(choice);
            if next.choices() == 0 {
                next.check(&events);
                ends.insert(format!("{:?}", next.customers().iter().map(words).collect::<Vec<_>>()));
            } else if seen.insert(key(&next)) {
                open.push(next);
            }
        }
    }
    if limits == NONE {
        assert_eq!(ends.len(), 1, "{ends:?}");
    }
    assert!(seen.len() > 3, "only {} states", seen.len());
}

fn words(nodes: &BTreeSet<NodeRef>) -> Vec<String> {
    nodes.iter().map(|node| name(*node)).collect()
}

/// What tells two states apart.
fn key(run: &Run) -> String {
    format!(
        "{:?} {:?} {:?}",
        run.world.nodes,
        run.queues,
        run.inputs.iter().map(|event| event.event).collect::<Vec<_>>()
    )
}

#[test]
fn every_order_of_a_few_events_comes_to_rest_as_it_must() {
    every_order(&[&["u1", "a1"], &["u2", "a1"]], Limits::default());
    every_order(&[&["u1", "e1"], &["u1", "e2"], &["e1", "e2"]], NONE);
    every_order(&[&["e2", "e3"], &["e1", "e2"], &["e3"]], ONE);
    every_order(&[&["u1", "e1"], &["u2", "e1"], &["e1"]], Limits::default());
    every_order(&[&["e3", "a1"], &["e2", "e3"], &["e1", "e2"]], THREE);
}

#[test]
fn a_chain_costs_five_messages_a_link_in_the_worst_order() {
    let names: Vec<String> = (1..=6).map(|number| format!("e{number}")).collect();
    let events: Vec<Seen<u32>> =
        (0..5).map(|at| event(at, &[&names[at as usize], &names[at as usize + 1]], 0)).collect();
    let mut run = Run::new(world(NONE), 6, events.clone());
    // All at once, and always the newest first.
    while run.choices() > 0 {
        run.act(if run.inputs.is_empty() { run.choices() - 1 } else { run.inputs.len() - 1 });
    }
    run.check(&events);
    assert_eq!(run.customers().len(), 1);
    assert!(run.sent <= 5 * events.len(), "{} messages for {} links", run.sent, events.len());
    assert!(run.world.nodes[&node("e6")].standing.parent().is_some());
}
