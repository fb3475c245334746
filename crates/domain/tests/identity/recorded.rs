//! 10,000 histories that the model has recorded: `python3 model.py record --runs 10000`.

use super::lines::{line, node, state};
use super::world::{World, event};
use catchment_domain::identity::{Effects, Limits, Message};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

const HISTORIES: &[u8] = include_bytes!("histories.ndjson.gz");

#[derive(Deserialize)]
struct History {
    /// Of each type, then of all.
    limits: [usize; 6],
    /// Identifiers and time, by number.
    events: BTreeMap<u32, (Vec<String>, i64)>,
    /// What was delivered, in order.
    deliveries: Vec<String>,
    /// What the nodes are then.
    end: BTreeMap<String, String>,
}

/// Messages under way: by what they say, since two that say the same are the same.
type UnderWay = BTreeMap<String, Vec<Message<super::lines::Parts>>>;

fn send(under_way: &mut UnderWay, effects: Effects<super::lines::Parts>) {
    for (to, message) in effects.sent {
        under_way.entry(line(to, &message)).or_default().push(message);
    }
}

fn play(number: usize, history: &History) {
    let [user, crm, email, phone, device, members] = history.limits;
    let mut world = World::new(Limits { of_type: [user, crm, email, phone, device], members });
    let mut under_way = UnderWay::new();
    for delivery in &history.deliveries {
        let words: Vec<&str> = delivery.split(' ').collect();
        let to = node(words[1]);
        let sent = under_way.get_mut(delivery).and_then(Vec::pop);
        let effects = match (sent, words[0]) {
            (Some(message), _) => world.deliver(to, &message),
            (None, "Event") => {
                let id = words[2].parse().unwrap();
                let (identifiers, at) = &history.events[&id];
                let identifiers: Vec<&str> = identifiers.iter().map(String::as_str).collect();
                world.arrive(&event(id, &identifiers, *at))
            }
            (None, "Forget") => world.deliver(to, &Message::Forget { at: words[2].parse().unwrap() }),
            _ => panic!(
                "history {number}: the model has sent {delivery:?}, and {:?} are under way",
                left(&under_way)
            ),
        };
        send(&mut under_way, effects);
    }
    assert!(left(&under_way).is_empty(), "history {number}: never delivered: {:?}", left(&under_way));
    let end: BTreeMap<String, String> =
        world.nodes.values().filter_map(|node| Some((super::lines::name(node.own), state(node)?))).collect();
    assert_eq!(end, history.end, "history {number}");
}

fn left(under_way: &UnderWay) -> Vec<&String> {
    under_way.iter().filter(|(_, messages)| !messages.is_empty()).map(|(line, _)| line).collect()
}

#[test]
fn the_machine_does_what_the_model_does_message_by_message() {
    let mut histories = 0;
    for (number, text) in BufReader::new(GzDecoder::new(HISTORIES)).lines().enumerate() {
        play(number, &serde_json::from_str(&text.unwrap()).unwrap());
        histories += 1;
    }
    assert_eq!(histories, 10_000);
}
