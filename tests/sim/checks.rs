//! What must hold after a run, beside a reference to which nothing happened.

mod identity;
mod inputs;
mod records;

use crate::scheduler::Run;
use crate::shape::Kind;
use records::{Line, compacted, lines};

/// Differences that are told of one comparison.
const MOST: usize = 3;

/// Topics whose records are compared one by one. Those of dead letters come on top.
const EVENTS: [&str; 2] = ["customer.events", "customer.unattributed"];
const DECISIONS: [&str; 2] = ["campaign.decisions", "campaign.triggers"];

/// Everything that is wrong with a run.
pub(crate) fn check(run: &Run, reference: &Run) -> Vec<String> {
    let mut found = run.violations.clone();
    let exact = run.sim.shape.kind == Kind::Exact;
    for topic in EVENTS {
        compare(topic, lines(run, topic, exact), lines(reference, topic, exact), exact, &mut found);
    }
    let items = |of| compacted(of, "catalog.items", true);
    compare("catalog.items", items(run), items(reference), false, &mut found);
    for topic in records::dead_letter_topics(run) {
        compare(&topic, lines(run, &topic, false), lines(reference, &topic, false), exact, &mut found);
    }
    inputs::each_has_one_effect(run, &mut found);
    identity::is_at_rest(run, &mut found);
    identity::each_event_is_applied_once(run, &mut found);
    if !run.sim.shape.shares {
        let profiles = |of| compacted(of, "customer.profiles", exact);
        compare("customer.profiles", profiles(run), profiles(reference), false, &mut found);
    }
    if exact {
        for topic in DECISIONS {
            compare(topic, lines(run, topic, true), lines(reference, topic, true), true, &mut found);
        }
        let state = |of| compacted(of, "sim.profile.state", true);
        compare("sim.profile.state", state(run), state(reference), false, &mut found);
    } else {
        let causes = |of| records::causes(of, &["nudge", "thanks", "hello"]);
        compare("causes of decisions", causes(run), causes(reference), false, &mut found);
    }
    records::decisions_and_triggers_fit(run, &mut found);
    found
}

/// Compares records in order, or as a set in which each counts.
fn compare(what: &str, mut one: Vec<Line>, mut other: Vec<Line>, in_order: bool, found: &mut Vec<String>) {
    if one == other {
        return;
    }
    if !in_order {
        one.sort();
        other.sort();
        if one == other {
            return;
        }
    }
    let missing = minus(&other, &one);
    let surplus = minus(&one, &other);
    let (lost, doubled) = (missing.len(), surplus.len());
    found.push(format!("{what}: {lost} of {} records are missing, {doubled} are too many", other.len()));
    let some = |list: Vec<Line>, word: &str, found: &mut Vec<String>| {
        found.extend(list.iter().take(MOST).map(|line| format!("    {word} {line}")));
    };
    if lost + doubled == 0 {
        let first = one.iter().zip(&other).find(|(one, other)| one != other);
        let text = first.map(|(one, other)| format!("    {one}\n      instead of {other}"));
        found.push(format!("  the order differs:\n{}", text.unwrap_or_default()));
    }
    some(missing, "missing:", found);
    some(surplus, "too many:", found);
}

/// What is in one list and not in the other, each as often.
fn minus(one: &[Line], other: &[Line]) -> Vec<Line> {
    let mut counts = std::collections::BTreeMap::new();
    other.iter().for_each(|line| *counts.entry(line).or_insert(0) += 1);
    let mut left = Vec::new();
    for line in one {
        match counts.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => left.push(line.clone()),
        }
    }
    left
}
