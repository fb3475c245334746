//! The shop's data and what must come out of it (`deploy/examples/awesomeshoes/data`, see its README.md).

use crate::ingest::testing::{Told, identifiers, spec, tell_with};
use crate::ingest::{ArrivalPath, Mapping, Verdict};
use catchment_contracts::EventType;
use catchment_domain::money::parse_minor;
use catchment_domain::time::{format_rfc3339, parse_rfc3339};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/../../deploy/examples/awesomeshoes/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn expected() -> Value {
    serde_json::from_slice(&file("expected.json")).unwrap()
}

/// Number and text of each line.
pub(in crate::ingest) fn lines(name: &str) -> Vec<(u64, Vec<u8>)> {
    let bytes = file(name);
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    (1..).zip(lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())).collect()
}

/// What became of each line, by its number. A line arrives when its field says, else with the one before it.
fn tell_all(name: &str, mapping: Mapping, arrival: &str) -> BTreeMap<u64, Told> {
    let path: ArrivalPath = arrival.parse().unwrap();
    let (spec, mut at) = (spec(mapping), 0);
    let tell = |(number, line): (u64, Vec<u8>)| {
        at = path.read(&line).unwrap_or(at).max(at);
        (number, tell_with(&spec, Some(&line), at))
    };
    lines(name).into_iter().map(tell).collect()
}

/// Refused lines: number, code and field, as `expected.json` writes them.
fn refused(told: &BTreeMap<u64, Told>) -> Vec<(u64, String, String)> {
    let of = |(number, told): (&u64, &Told)| match &told.verdict {
        Verdict::DeadLetter(errors) => {
            assert_eq!(errors.len(), 1, "line {number} has exactly one fault: {errors:?}");
            Some((*number, errors[0].code.to_string(), errors[0].field.clone()))
        }
        _ => None,
    };
    told.iter().filter_map(of).collect()
}

fn malformed(expected: &Value) -> Vec<(u64, String, String)> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = expected.as_array().unwrap().iter();
    lines.map(|line| (line["line"].as_u64().unwrap(), text(line, "code"), text(line, "field"))).collect()
}

fn numbers(expected: &Value) -> BTreeSet<u64> {
    expected.as_array().unwrap().iter().map(|line| line["line"].as_u64().or(line.as_u64()).unwrap()).collect()
}

fn counts(expected: &Value) -> BTreeMap<String, u64> {
    expected
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, count)| (name.clone(), count.as_u64().unwrap()))
        .collect()
}

#[test]
fn behaviour_is_refused_and_counted_as_expected() {
    let expected = &expected()["behaviour"];
    let told = tell_all("behaviour.ndjson", Mapping::Segment, "receivedAt");
    assert_eq!(told.len() as u64, expected["lines"].as_u64().unwrap());
    assert_eq!(refused(&told), malformed(&expected["malformed"]));

    let either = numbers(&expected["either"]);
    let (mut lines, mut types, mut events) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut seen, mut unattributable) = (BTreeSet::new(), BTreeSet::new());
    for (number, told) in told.iter().filter(|(_, told)| !told.events.is_empty()) {
        let event = told.event();
        if event.identifiers.is_empty() {
            unattributable.insert(*number);
        }
        if either.contains(number) {
            continue;
        }
        *lines.entry(event.r#type.as_str().to_owned()).or_default() += 1;
        if seen.insert(event.event_id.to_owned()) {
            *types.entry(event.r#type.as_str().to_owned()).or_default() += 1;
            if event.r#type == EventType::Track {
                *events.entry(event.event.unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    assert_eq!(seen.len() as u64, expected["well_formed_distinct"].as_u64().unwrap());
    assert_eq!(lines, counts(&expected["well_formed_lines_by_type"]));
    assert_eq!(types, counts(&expected["distinct_by_type"]));
    assert_eq!(events, counts(&expected["distinct_by_event"]));
    assert_eq!(unattributable, numbers(&expected["unattributable"]));
    assert!(either.iter().all(|number| told[number].events.len() == 1), "what may be taken is taken");
}

#[test]
fn clocks_of_clients_are_corrected_as_expected() {
    let expected = &expected()["behaviour"]["clock_skew"];
    let told = tell_all("behaviour.ndjson", Mapping::Segment, "receivedAt");
    let lines = expected.as_array().unwrap();
    assert!(!lines.is_empty());
    for line in lines {
        let told = &told[&line["line"].as_u64().unwrap()];
        let event = told.event();
        assert_eq!(event.event_id, line["message_id"].as_str().unwrap());
        assert_eq!(format_rfc3339(event.occurred_at), line["occurred_at"].as_str().unwrap());
    }
}

#[test]
fn orders_and_surveys_add_up_as_expected() {
    let expected = &expected()["behaviour"];
    let either = numbers(&expected["either"]);
    let told = tell_all("behaviour.ndjson", Mapping::Segment, "receivedAt");
    let (mut orders, mut answers, mut seen) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    for (_, told) in told.iter().filter(|(number, told)| !told.events.is_empty() && !either.contains(number))
    {
        let event = told.event();
        if let Some(order) = event.order {
            assert_eq!(event.currency, Some("USD"));
            orders.entry(order.order_id.to_owned()).or_insert((order.total.unwrap(), order.units));
        }
        if let Some(survey) = event.survey.filter(|_| seen.insert(event.event_id.to_owned())) {
            assert_eq!(survey.question, "nps");
            answers.push(survey.score);
        }
    }
    let (facts, nps) = (&expected["orders"], &expected["nps"]);
    assert_eq!(orders.len() as u64, facts["orders"].as_u64().unwrap());
    assert_eq!(orders.values().map(|order| order.0).sum::<i64>(), facts["total_cents"].as_i64().unwrap());
    assert_eq!(
        orders.values().map(|order| i64::from(order.1)).sum::<i64>(),
        facts["units"].as_i64().unwrap()
    );
    assert_eq!(answers.len() as u64, nps["responses"].as_u64().unwrap());
    let of = |range: std::ops::RangeInclusive<i32>| {
        answers.iter().filter(|score| range.contains(score)).count() as u64
    };
    assert_eq!(
        (of(9..=10), of(0..=6)),
        (nps["promoters"].as_u64().unwrap(), nps["detractors"].as_u64().unwrap())
    );
}

#[test]
fn crm_lines_are_refused_as_expected_and_all_others_map() {
    let expected = &expected()["crm"];
    let mut contacts = BTreeSet::new();
    for (name, mapping, arrival) in [
        ("crm_hubspot.ndjson", Mapping::Hubspot, "occurredAt"),
        ("crm_salesforce.ndjson", Mapping::Salesforce, "payload.ChangeEventHeader.commitTimestamp"),
        ("crm_contacts.ndjson", Mapping::Contact, "updated_at"),
    ] {
        let told = tell_all(name, mapping, arrival);
        assert_eq!(told.len() as u64, expected[name]["lines"].as_u64().unwrap());
        assert_eq!(refused(&told), malformed(&expected[name]["malformed"]), "{name}");
        for told in told.values().filter(|told| !matches!(told.verdict, Verdict::DeadLetter(_))) {
            assert!(!told.events.is_empty());
            for event in told.all() {
                assert_eq!(event.r#type, EventType::Contact);
                let crm = |id: &String| id.starts_with("crm_id:");
                contacts.extend(identifiers(&event).into_iter().filter(crm));
            }
        }
    }
    assert_eq!(contacts.len() as u64, expected["distinct_contacts"].as_u64().unwrap());
}

#[test]
fn customers_are_the_components_of_all_identifiers() {
    let expected = &expected()["identity"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let shared: BTreeSet<String> = expected["shared_devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| format!("anonymous_id:{}", text(&device["anonymous_id"])))
        .collect();
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for (name, mapping) in [
        ("behaviour.ndjson", Mapping::Segment),
        ("crm_hubspot.ndjson", Mapping::Hubspot),
        ("crm_salesforce.ndjson", Mapping::Salesforce),
        ("crm_contacts.ndjson", Mapping::Contact),
    ] {
        for told in tell_all(name, mapping, "at").values() {
            for event in told.all() {
                let mut group: BTreeSet<String> =
                    identifiers(&event).into_iter().filter(|id| !shared.contains(id)).collect();
                groups.retain(|known| {
                    let apart = known.is_disjoint(&group);
                    if !apart {
                        group.extend(known.iter().cloned());
                    }
                    apart
                });
                groups.extend(Some(group).filter(|group| !group.is_empty()));
            }
        }
    }
    let customers: BTreeSet<BTreeSet<String>> = expected["customers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|customer| customer.as_array().unwrap().iter().map(text).collect())
        .collect();
    assert_eq!(groups.into_iter().collect::<BTreeSet<_>>(), customers);
}

#[test]
fn catalog_lines_give_the_final_price_and_stock_of_every_sku() {
    let expected = &expected()["catalog"];
    let told = tell_all("catalog.ndjson", Mapping::Catalog, "published_at");
    assert_eq!(refused(&told), malformed(&expected["malformed"]));
    let (mut skus, mut withdrawn) = (BTreeMap::new(), BTreeMap::new());
    for told in told.values().filter(|told| !told.items.is_empty()) {
        let item = told.item();
        if item.withdrawn {
            withdrawn.insert(item.product_id.to_owned(), item.updated_at);
        }
        for variant in item.variants {
            let entry = skus.entry(variant.sku.to_owned()).or_insert((i64::MIN, None, None));
            if variant.updated_at > entry.0 {
                *entry = (variant.updated_at, variant.price, variant.stock);
            }
        }
    }
    let at = |value: &Value| parse_rfc3339(value.as_str().unwrap()).unwrap();
    for (sku, facts) in expected["skus"].as_object().unwrap() {
        let price = facts["price"].as_number().map(|price| parse_minor(&price.to_string(), 2).unwrap());
        assert_eq!(skus.get(sku), Some(&(at(&facts["updated_at"]), price, facts["stock"].as_i64())), "{sku}");
    }
    let gone = expected["withdrawn"].as_object().unwrap().iter();
    assert_eq!(withdrawn, gone.map(|(product, when)| (product.clone(), at(when))).collect());
}
