//! Who is who when traffic rests: what must hold of any result, and what the reference has, too.

use super::records::{Line, compacted, records, topic};
use crate::scheduler::Run;
use catchment_contracts::{CustomerProfile, NodeState, wire};
use catchment_domain::identity::Limits;
use std::collections::{BTreeMap, BTreeSet};

/// A node by its key alone.
type Key = [u8; 16];

/// What is stored of each node.
fn nodes(run: &Run) -> Vec<(Key, Vec<u8>)> {
    let stored = compacted(run, "sim.profile.state", true);
    stored.into_iter().filter_map(Line::into_parts).map(|(key, value)| (node(&key), value)).collect()
}

fn profiles(run: &Run) -> Vec<(Key, Vec<u8>)> {
    let stored = compacted(run, "customer.profiles", true);
    stored.into_iter().filter_map(Line::into_parts).map(|(key, value)| (node(&key), value)).collect()
}

fn node(key: &[u8]) -> Key {
    key.try_into().unwrap()
}

/// No customer breaks a limit, nobody waits, each alias leads to the root that lists it, and what is published is the
/// members'.
pub(super) fn is_at_rest(run: &Run, found: &mut Vec<String>) {
    let nodes = nodes(run);
    let mut parents: BTreeMap<Key, Key> = BTreeMap::new();
    let mut members: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
    for (key, value) in &nodes {
        let state = NodeState::decode(&value[1..]).unwrap();
        if let Some(parent) = state.parent {
            parents.insert(*key, parent.key);
            continue;
        }
        if state.asking.is_some() || !state.waiting.is_empty() || !state.expected.is_empty() {
            found.push(format!("node {key:02x?} waits at the end: {state:?}"));
        }
        if state.members.iter().any(|member| member.awaits.is_some()) {
            found.push(format!("node {key:02x?} has a member whose customer never came"));
        }
        let limits = Limits::default();
        for (place, most) in limits.of_type.iter().enumerate() {
            let of_type = state.members.iter().filter(|member| member.node.r#type as usize == place).count();
            if of_type > *most {
                found.push(format!("node {key:02x?} has {of_type} members of one type"));
            }
        }
        members.insert(*key, state.members.iter().map(|member| member.node.key).collect());
    }
    for (key, parent) in &parents {
        let mut root = *parent;
        for _ in 0..parents.len() {
            root = parents.get(&root).copied().unwrap_or(root);
        }
        if !members.get(&root).is_some_and(|members| members.contains(key)) {
            found.push(format!("node {key:02x?} leads to {root:02x?}, which does not know it"));
        }
    }
    for (root, listed) in &members {
        for member in listed.iter().filter(|member| *member != root && !parents.contains_key(*member)) {
            found.push(format!("node {root:02x?} lists {member:02x?}, which is a customer of its own"));
        }
    }
    for (key, _) in profiles(run) {
        if parents.contains_key(&key) {
            found.push(format!("alias {key:02x?} has a profile"));
        }
    }
}

/// Every event that was not seen before is in one profile, and an identifier is published with one.
pub(super) fn each_event_is_applied_once(run: &Run, found: &mut Vec<String>) {
    let mut distinct = BTreeSet::new();
    for record in records(run, topic(run, "customer.events")) {
        let (_, datum) = wire::split(record.value.as_deref().unwrap_or_default()).unwrap();
        let event = catchment_contracts::CustomerEvent::decode(datum).unwrap();
        distinct.insert((record.key.clone(), event.source.to_owned(), event.event_id.to_owned()));
    }
    let (mut applied, mut published) = (0, BTreeMap::new());
    for (key, value) in profiles(run) {
        let profile = CustomerProfile::decode(wire::split(&value).unwrap().1).unwrap();
        applied += profile.events;
        for known in &profile.identifiers {
            if let Some(other) = published.insert((known.r#type, known.value.to_owned()), key) {
                found.push(format!("{} is published of {key:02x?} and of {other:02x?}", known.value));
            }
        }
    }
    // What is sent again after the window counts again.
    let forgets = run.sim.shape.window < 24;
    let expected = i64::try_from(distinct.len()).unwrap();
    if applied < expected || applied > expected && !forgets {
        found.push(format!("{applied} events are in profiles, of {expected} that came"));
    }
}
