//! `docs/topics.md`: what each topic is.

use std::collections::BTreeMap;

use catchment_contracts::topics::{self, Party, TABLE};
use catchment_pipeline::topology::{Shape, Topology};

use super::{code, table};

const APP: &str = "app";

pub(super) fn topics() -> anyhow::Result<String> {
    let wired = wired();
    let rows = TABLE.iter().map(|spec| {
        let written = wired.contains(&spec.name);
        [
            code(spec.name),
            spec.key.to_string(),
            spec.partitions.to_string(),
            spec.cleanup.to_string(),
            spec.timestamps.to_string(),
            if spec.is_raw() { "theirs" } else { "`topics.replication`" }.to_owned(),
            parties(spec.writers),
            parties(spec.readers),
            if spec.personal { "yes" } else { "no" }.to_owned(),
            if written { "yes" } else { "not yet" }.to_owned(),
        ]
    });
    let head = [
        "topic",
        "key",
        "partitions",
        "cleanup",
        "time",
        "replicas",
        "written by",
        "read by",
        "personal",
        "in use",
    ];
    Ok(table(head, rows))
}

fn parties(list: &[Party]) -> String {
    list.iter().map(|party| party.as_str()).collect::<Vec<_>>().join(", ")
}

/// Rows of the table that the program makes topics for today.
fn wired() -> Vec<&'static str> {
    let sources = vec![
        ("behaviour", topics::BEHAVIOUR_EVENTS),
        ("crm", topics::CRM_CONTACTS),
        ("catalog", topics::CATALOG_ITEMS_RAW),
    ];
    let existing = BTreeMap::new();
    let shape =
        Shape { app: APP, partitions: 1, sources, raw_partitions: 1, existing: &existing, dedup_window: 1 };
    let Ok(topology) = Topology::new(&shape) else { return Vec::new() };
    let candidates = TABLE.iter().map(|spec| (spec.name, spec.name.replace("<app>", APP)));
    let candidates = candidates.map(|(row, name)| (row, name.replace("<source>", "behaviour")));
    candidates.filter(|(_, name)| topology.table.find(name).is_some()).map(|(row, _)| row).collect()
}
