//! Every raw record has exactly one committed effect: an event, an item, or a dead letter.

use super::records::{dead_letter_topics, records, topic};
use crate::scheduler::Run;
use catchment_contracts::{CustomerEvent, headers, wire};
use std::collections::BTreeMap;

/// Topic, partition and offset of a raw record.
type Place = (String, u32, u64);

pub(super) fn each_has_one_effect(run: &Run, found: &mut Vec<String>) {
    let topology = &run.sim.installation().topology;
    let mut effects: BTreeMap<Place, u32> = BTreeMap::new();
    for raw in &topology.raw {
        let name = &topology.table.spec(*raw).name;
        for record in records(run, *raw) {
            effects.insert((name.clone(), record.partition, record.offset.0), 0);
        }
    }
    let sources = &run.sim.installation().config().sources;
    let topic_of = |source: &str| sources.iter().find(|known| known.name == source).map(|known| &known.topic);
    for name in ["customer.events", "customer.unattributed"] {
        for record in records(run, topic(run, name)) {
            let (_, datum) = wire::split(record.value.as_deref().unwrap_or_default()).unwrap();
            let event = CustomerEvent::decode(datum).unwrap();
            let raw = topic_of(event.source).unwrap().clone();
            let place = (raw, event.source_partition.cast_unsigned(), event.source_offset.cast_unsigned());
            *effects.entry(place).or_default() += 1;
        }
    }
    for name in dead_letter_topics(run) {
        for record in records(run, topic(run, &name)) {
            let text =
                |name| String::from_utf8_lossy(record.headers.get(name).unwrap_or_default()).into_owned();
            let (partition, offset) = (text(headers::STREAMS_PARTITION), text(headers::STREAMS_OFFSET));
            let place = (text(headers::STREAMS_TOPIC), partition.parse().unwrap(), offset.parse().unwrap());
            *effects.entry(place).or_default() += 1;
        }
    }
    // An item does not say which record it came from.
    let catalog = "catalog.items.raw";
    let items = records(run, topic(run, "catalog.items")).len();
    let raw_items = effects.keys().filter(|(topic, ..)| topic == catalog).count();
    // The cleaner takes away what is superseded.
    if items > raw_items {
        found.push(format!("{raw_items} raw items became {items}"));
    }
    for ((topic, partition, offset), count) in effects {
        if count != 1 && topic != catalog {
            found.push(format!("{topic} partition {partition} offset {offset} has {count} effects"));
        }
    }
}
