//! What holds for any record.

use super::shop::lines;
use crate::ingest::testing::{ARRIVAL, tell};
use crate::ingest::{ArrivalPath, Mapping, Verdict};
use catchment_contracts::IdentifierType;
use catchment_domain::normalise;
use proptest::prelude::*;
use std::sync::LazyLock;

const FILES: [(&str, Mapping); 5] = [
    ("behaviour.ndjson", Mapping::Segment),
    ("crm_hubspot.ndjson", Mapping::Hubspot),
    ("crm_salesforce.ndjson", Mapping::Salesforce),
    ("crm_contacts.ndjson", Mapping::Contact),
    ("catalog.ndjson", Mapping::Catalog),
];

/// Lines of the shop, the large one left out.
static LINES: LazyLock<Vec<(Mapping, Vec<u8>)>> = LazyLock::new(|| {
    let of = |(name, mapping)| lines(name).into_iter().map(move |(_, line)| (mapping, line));
    FILES.into_iter().flat_map(of).filter(|(_, line)| line.len() < 5_000).collect()
});

fn any_line() -> impl Strategy<Value = (Mapping, Vec<u8>)> {
    any::<prop::sample::Index>().prop_map(|index| index.get(&LINES).clone())
}

/// A change of a line: at a place, some bytes are replaced by others.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let pieces = prop::sample::select(vec![
        "", "null", "1e400", "-1", "[]", "{", "}", "\"", "\\", "\\ud800", "[[[[", ",", ":", "true", "\"\"",
        "0", "é", "\u{feff}",
    ]);
    let piece = prop_oneof![
        3 => pieces.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<prop::sample::Index>(), 0usize..12, piece)
}

/// Everything that was written is within its limits and in its one spelling.
fn hold_invariants(mapping: Mapping, line: &[u8]) -> Result<(), TestCaseError> {
    let told = tell(mapping, line);
    let findings = told.findings();
    prop_assert_eq!(matches!(told.verdict, Verdict::DeadLetter(_)), !findings.is_empty());
    for event in told.all() {
        prop_assert!(event.identifiers.is_sorted_by(|a, b| (a.r#type, a.key) < (b.r#type, b.key)));
        prop_assert!(event.identifiers.len() <= 16 && event.traits.len() <= 64);
        prop_assert!(event.traits.is_sorted_by(|a, b| a.name < b.name));
        prop_assert!(event.occurred_at <= event.received_at);
        prop_assert!(!event.event_id.is_empty());
        for id in &event.identifiers {
            let spelled = match id.r#type {
                IdentifierType::Email => normalise::email(id.value),
                IdentifierType::Phone => normalise::phone(id.value),
                _ => normalise::plain_id(id.value),
            };
            prop_assert_eq!(spelled.as_deref(), Some(id.value));
        }
        for item in &event.items {
            prop_assert!(
                item.quantity >= 1
                    && !item.product_id.is_empty()
                    && item.price.is_none_or(|price| price >= 0)
            );
        }
    }
    for item in told.items.iter().map(|item| catchment_contracts::CatalogItem::decode(item).unwrap()) {
        prop_assert!(item.updated_at <= ARRIVAL && item.variants.iter().all(|v| v.updated_at <= ARRIVAL));
    }
    let again = tell(mapping, line);
    prop_assert_eq!(told, again);
    Ok(())
}

/// The members of an object, from the back to the front, at every level.
fn backwards(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let text = |(name, value): (&String, &serde_json::Value)| {
                format!("{}:{}", serde_json::json!(name), backwards(value))
            };
            let members: Vec<String> = members.iter().rev().map(text).collect();
            format!("{{{}}}", members.join(","))
        }
        serde_json::Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(backwards).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_line_is_mapped_or_refused((mapping, mut line) in any_line(), changes in prop::collection::vec(change(), 1..4)) {
        for (at, cut, piece) in changes {
            let start = at.index(line.len() + 1);
            let end = (start + cut).min(line.len());
            line.splice(start..end, piece);
        }
        hold_invariants(mapping, &line)?;
        for path in ["receivedAt", "payload.ChangeEventHeader.commitTimestamp", "a.b.c"] {
            let _ = path.parse::<ArrivalPath>().unwrap().read(&line);
        }
    }

    #[test]
    fn a_line_in_another_mapping_is_mapped_or_refused((_, line) in any_line(), (_, mapping) in prop::sample::select(FILES.to_vec())) {
        hold_invariants(mapping, &line)?;
    }

    #[test]
    fn any_bytes_are_mapped_or_refused(line in prop::collection::vec(any::<u8>(), 0..200), (_, mapping) in prop::sample::select(FILES.to_vec())) {
        hold_invariants(mapping, &line)?;
    }

    #[test]
    fn the_order_of_names_does_not_matter((mapping, line) in any_line()) {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&line) else { return Ok(()) };
        // Through the same writer, so that only the order differs; ids that come from the bytes are left out.
        let (forth, back) = (tell(mapping, value.to_string()), tell(mapping, backwards(&value)));
        prop_assert_eq!(&forth.verdict, &back.verdict);
        prop_assert_eq!(&forth.items, &back.items);
        for (mut a, mut b) in forth.all().into_iter().zip(back.all()) {
            if a.event_id.len() == 32 {
                (a.event_id, b.event_id) = ("", "");
            }
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn what_serde_takes_for_an_object_is_read_and_nothing_else(text in "[\\[\\]{}\",:0-9a-e.+\\-\\\\ nultrue]{0,40}") {
        let valid = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        let told = tell(Mapping::Segment, &text).findings();
        prop_assert_eq!(told[0].starts_with("invalid_json :"), !valid, "{} {:?}", text, told);
    }
}
