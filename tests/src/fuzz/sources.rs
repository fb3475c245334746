//! What comes from outside: Avro by somebody else's schema, and the JSON of sources.

use std::fs;
use std::sync::{Arc, LazyLock};

use catchment::config::Document;
use catchment_contracts::transcode::WriterSchema;
use catchment_contracts::{CatalogItem, CustomerEvent, catalogue};
use catchment_domain::KeySecret;
use catchment_domain::time::Millis;
use catchment_pipeline::ingest::foreign::{Brought, Foreign};
use catchment_pipeline::ingest::{
    ArrivalPath, Mapped, Mapping, RawRecord, Scratch, SourceSpec, Verdict, map,
};

use serde_json::Value;

use super::{PLAN, Target, choose, chosen, file, golden, root};

/// Every type that there is, each in a field of its own.
const EVERYTHING: &str = r#"{"type":"record","name":"Everything","fields":[
    {"name":"nothing","type":"null"},{"name":"yes","type":"boolean"},{"name":"int","type":"int"},
    {"name":"long","type":"long"},{"name":"float","type":"float"},{"name":"double","type":"double"},
    {"name":"text","type":"string"},{"name":"bytes","type":"bytes"},
    {"name":"fixed","type":{"type":"fixed","name":"F","size":3}},
    {"name":"uuid","type":{"type":"string","logicalType":"uuid"}},
    {"name":"decimal","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":4}},
    {"name":"date","type":{"type":"int","logicalType":"date"}},
    {"name":"time","type":{"type":"long","logicalType":"time-micros"}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"local","type":{"type":"long","logicalType":"local-timestamp-millis"}},
    {"name":"colour","type":{"type":"enum","name":"C","symbols":["RED","GREEN"]}},
    {"name":"nothings","type":{"type":"array","items":"null"}},
    {"name":"maybes","type":{"type":"map","values":["null","long",{"type":"array","items":"string"}]}},
    {"name":"next","type":["null","Everything"]}]}"#;

/// The contracts' schemas, and that of everything.
static SCHEMAS: LazyLock<Vec<WriterSchema>> = LazyLock::new(|| {
    let contracts = catalogue::ALL.into_iter().map(|contract| contract.schema);
    contracts.chain([EVERYTHING]).map(|schema| WriterSchema::parse(schema, &[]).unwrap()).collect()
});

/// Data of known schemas, as JSON.
pub(super) const TRANSCODE: Target = Target {
    name: "transcode",
    body: transcode,
    seeds: || {
        let contracts = catalogue::ALL.into_iter().enumerate();
        let hot = contracts.filter(|(_, contract)| has_golden(contract.name));
        let mut seeds: Vec<_> = hot
            .map(|(at, contract)| chosen(at, &golden(&format!("{}.v{}", contract.name, contract.version))))
            .collect();
        let mut everything = vec![1, 2, 4];
        everything.extend_from_slice(&[0; 12]);
        everything.extend_from_slice(&[2, b'a', 2, b'b', 1, 2, 3, 0, 2, 9, 8, 10, 12, 14, 2]);
        everything.extend_from_slice(&[6, 0, 2, 2, b'k', 2, 8, 0, 0]);
        seeds.push(chosen(catalogue::ALL.len(), &everything));
        seeds
    },
    least: 16_384,
    // Sixteen times the datum as text, which may have to move while it grows.
    per_byte: 64,
};

fn has_golden(contract: &str) -> bool {
    !matches!(contract, "behaviour_event" | "crm_contact" | "catalog_item_snapshot")
}

/// As ingest bounds it.
const fn limit(datum: &[u8]) -> usize {
    datum.len() * 16 + 4_096
}

fn transcode(input: &[u8]) {
    let Some((schema, datum)) = choose(input, SCHEMAS.len()) else { return };
    text_of(&SCHEMAS[schema], datum);
}

fn text_of(schema: &WriterSchema, datum: &[u8]) {
    let mut text = "kept".to_owned();
    if schema.to_json(datum, limit(datum), &mut text).is_err() {
        assert_eq!(text, "kept");
        return;
    }
    let json = &text["kept".len()..];
    assert!(serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok(), "no JSON: {json}");
}

/// A schema, a zero byte, a datum.
pub(super) const SCHEMA: Target = Target {
    name: "schema",
    body: schema,
    seeds: || {
        let with = |schema: &str, datum: &[u8]| [schema.as_bytes(), &[0], datum].concat();
        let small = catalogue::ALL.into_iter().filter(|contract| contract.schema.len() < 5_000);
        let mut seeds: Vec<_> = small.map(|contract| with(contract.schema, &[2, 4, 0])).collect();
        seeds.push(with(EVERYTHING, &[0; 40]));
        seeds.push(with(r#"{"type":"array","items":["null","int"]}"#, &[4, 2, 2, 0, 0]));
        seeds
    },
    // What is made of a schema is kept once per schema; a byte of it can be a node with a name.
    least: 65_536,
    per_byte: 2_048,
};

fn schema(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (Some(schema), datum) = (parts.next(), parts.next().unwrap_or_default()) else { return };
    let Ok(schema) = std::str::from_utf8(schema) else { return };
    match WriterSchema::parse(schema, &[]) {
        Ok(schema) => text_of(&schema, datum),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

const MAPPINGS: [(Mapping, &str); 5] = [
    (Mapping::Segment, "behaviour.ndjson"),
    (Mapping::Hubspot, "crm_hubspot.ndjson"),
    (Mapping::Salesforce, "crm_salesforce.ndjson"),
    (Mapping::Contact, "crm_contacts.ndjson"),
    (Mapping::Catalog, "catalog.ndjson"),
];

/// Records of JSON sources.
pub(super) const INGEST: Target = Target {
    name: "ingest",
    body: ingest,
    seeds: || {
        let lines = |(at, (_, name)): (usize, &(Mapping, &str))| {
            let text = file(&format!("deploy/examples/awesomeshoes/data/{name}"));
            let lines = text.split(|byte| *byte == b'\n').filter(|line| (1..5_000).contains(&line.len()));
            // The first, and some from all over the file.
            let step = (lines.clone().count() / 40).max(1);
            lines.step_by(step).map(|line| chosen(at, line)).collect::<Vec<_>>()
        };
        MAPPINGS.iter().enumerate().flat_map(lines).collect()
    },
    // 32 findings of a few texts each, and the buffers that are kept from record to record.
    least: 131_072 + PLAN,
    per_byte: 256,
};

/// The mappings that come with the program, by name.
static FOREIGN: LazyLock<Vec<(String, Arc<Foreign>)>> = LazyLock::new(|| {
    let mut names: Vec<String> = fs::read_dir(root().join("deploy/mappings"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    let compiled = |name: String| {
        let document = Document::read(&root().join(format!("deploy/mappings/{name}.yaml"))).unwrap();
        (name, Arc::new(Foreign::new(&document.parse().unwrap()).unwrap()))
    };
    names.into_iter().map(compiled).collect()
});

/// Foreign payloads.
pub(super) const FOREIGN_PAYLOADS: Target = Target {
    name: "foreign",
    body: foreign,
    seeds: || {
        let samples = |(at, (name, _)): (usize, &(String, Arc<Foreign>))| {
            let folder = root().join("deploy/mappings").join(name);
            let mut paths: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths.retain(|path| !path.to_str().unwrap().ends_with("expected.json"));
            let payloads = paths.into_iter().map(|path| fs::read_to_string(path).unwrap());
            let small = payloads.map(|text| serde_json::from_str::<Value>(&text).unwrap().to_string());
            small
                .filter(|text| text.len() < 5_000)
                .map(|text| chosen(at, text.as_bytes()))
                .collect::<Vec<_>>()
        };
        FOREIGN.iter().enumerate().flat_map(samples).collect()
    },
    // What is written of a payload, twice for what it is written into, and what the checks find.
    least: 524_288 + PLAN,
    per_byte: 512,
};

fn foreign(input: &[u8]) {
    let Some((mapping, payload)) = choose(input, FOREIGN.len()) else { return };
    let foreign = &FOREIGN[mapping].1;
    if let Ok(Ok(Brought::Texts(texts))) = std::str::from_utf8(payload).map(|text| foreign.bring(text)) {
        for text in texts {
            assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "no JSON: {text}");
        }
    }
    let mut spec = SourceSpec::new("fuzz", "raw", foreign.to());
    spec.via = Some(Arc::clone(foreign));
    taken(&spec, payload);
}

/// 2026-03-05T09:00:00Z.
const ARRIVAL: Millis = 1_772_701_200_000;

fn ingest(input: &[u8]) {
    let Some((mapping, value)) = choose(input, MAPPINGS.len()) else { return };
    taken(&SourceSpec::new("fuzz", "raw", MAPPINGS[mapping].0), value);
    for path in ["receivedAt", "payload.ChangeEventHeader.commitTimestamp", "a.b.c"] {
        let at = path.parse::<ArrivalPath>().unwrap().read(value);
        assert!(at.is_none_or(|at| at >= 0), "{at:?}");
    }
}

/// A record is taken, or refused without any effect.
fn taken(spec: &SourceSpec, value: &[u8]) {
    let record = RawRecord { value: Some(value), partition: 0, offset: 0, arrival: ARRIVAL };
    let mut handed = 0;
    let verdict = map(spec, &KeySecret::PUBLISHED, &record, &mut Scratch::default(), &mut |mapped| {
        handed += 1;
        readable(mapped);
    });
    match verdict {
        Verdict::DeadLetter(errors) => {
            assert!(handed == 0 && (1..=32).contains(&errors.len()), "{errors:?}");
        }
        Verdict::Nothing(_) => assert_eq!(handed, 0),
        Verdict::Item { .. } => assert_eq!(handed, 1),
        Verdict::Events { count, .. } => assert_eq!(handed, count),
    }
}

/// What was mapped is a record that the next role reads.
fn readable(mapped: Mapped<'_>) {
    let mut bytes = Vec::new();
    match mapped {
        Mapped::Event(event) => {
            event.encode(&mut bytes);
            assert_eq!(CustomerEvent::decode(&bytes).as_ref(), Ok(event));
            assert!(event.occurred_at <= event.received_at && !event.event_id.is_empty());
        }
        Mapped::Item(item) => {
            item.encode(&mut bytes);
            assert_eq!(CatalogItem::decode(&bytes).as_ref(), Ok(item));
        }
    }
}
