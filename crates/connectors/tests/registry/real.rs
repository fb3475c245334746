//! What a real registry does.

use crate::support::{HASTE, real, settle, subject};
use catchment_connectors::registry::{LevelChange, Refusal, RegistryError, RegistrySchemas, VersionChange};
use catchment_contracts::catalogue::{self, Compatibility};
use catchment_contracts::schemas::Lookup;
use catchment_contracts::wire::{SchemaId, SchemaKey};

const V1: &str = r#"{"type":"record","name":"Shoe","doc":"A shoe.","fields":[
    {"name":"sku","type":"string","unit":"none"}]}"#;
const V2: &str = r#"{"type":"record","name":"Shoe","doc":"A shoe.","fields":[
    {"name":"sku","type":"string","unit":"none"},{"name":"size","type":["null","string"],"default":null}]}"#;
const BREAKS: &str = r#"{"type":"record","name":"Shoe","fields":[
    {"name":"sku","type":"string"},{"name":"price","type":"long"}]}"#;

#[test]
fn a_schema_is_registered_once_and_its_next_version_after_it() {
    let Some(registry) = real("register") else { return };
    let subject = subject("shoe");
    let level = Compatibility::FullTransitive;
    assert_eq!(registry.versions(&subject), Ok(None));
    assert_eq!((registry.lookup(&subject, V1), registry.level(&subject)), (Ok(None), Ok(None)));
    let first = registry.publish(&subject, V1, level).unwrap();
    assert_eq!(first.version, VersionChange::First);
    assert_eq!(registry.level(&subject), Ok(Some("FULL_TRANSITIVE".to_owned())));

    let again = registry.publish(&subject, V1, level).unwrap();
    assert_eq!((again.id, again.version), (first.id, VersionChange::Unchanged));
    assert_eq!(again.level, LevelChange::Unchanged);
    let spread = V1.replace(',', " ,\n");
    assert_eq!(registry.lookup(&subject, &spread), Ok(Some(first.id)), "white space means nothing");
    assert_eq!(registry.lookup(&subject, V2), Ok(None));

    let second = registry.publish(&subject, V2, Compatibility::BackwardTransitive).unwrap();
    assert_eq!(second.version, VersionChange::Added);
    assert_eq!(second.level, LevelChange::Set(Some("FULL_TRANSITIVE".to_owned())));
    assert_ne!(second.id, first.id);
    assert_eq!(registry.versions(&subject), Ok(Some(vec![1, 2])));
    assert_eq!(registry.version(&subject, 1).unwrap().text, V1);
}

#[test]
fn what_breaks_readers_is_refused_by_the_registry_too() {
    let Some(registry) = real("incompatible") else { return };
    let subject = subject("shoe");
    registry.publish(&subject, V1, Compatibility::FullTransitive).unwrap();
    assert_eq!(registry.is_compatible(&subject, V2), Ok(true));
    assert_eq!(registry.is_compatible(&subject, BREAKS), Ok(false));
    let refused = registry.publish(&subject, BREAKS, Compatibility::FullTransitive).unwrap_err();
    assert!(matches!(refused, RegistryError::Refused(Refusal::Incompatible(_))), "{refused}");
    let refused = registry.register(&subject, "{\"type\":\"recor\"}").unwrap_err();
    assert!(matches!(refused, RegistryError::Refused(Refusal::Invalid(_))), "{refused}");
    assert_eq!(registry.versions(&subject), Ok(Some(vec![1])));
}

#[test]
fn our_contracts_are_found_under_the_ids_they_are_registered_with() {
    let Some(registry) = real("contracts") else { return };
    let mut ids = Vec::new();
    for contract in catalogue::ALL {
        let Some(subject) = contract.subject() else { continue };
        let done = registry.publish(&subject, contract.schema, contract.compatibility()).unwrap();
        ids.push((contract.name, done.id));
    }
    let found = registry.schema_ids().unwrap();
    let of = |name| ids.iter().find(|(contract, _)| *contract == name).unwrap().1;
    assert_eq!(found.customer_event, of("customer_event"));
    assert_eq!(found.campaign_decision, of("campaign_decision"));
}

#[test]
fn schemas_of_records_are_found_by_id_and_unknown_ones_are_told() {
    let Some(registry) = real("schemas") else { return };
    let subject = subject("shoe");
    let id = registry.publish(&subject, V1, Compatibility::FullTransitive).unwrap().id;
    let schemas = RegistrySchemas::new(registry, HASTE);
    let Lookup::Known(schema) = settle(&schemas, SchemaKey::Id(id)) else { panic!("{id:?} is not known") };
    let mut text = String::new();
    schema.to_json(&[4, b'a', b'b'], 100, &mut text).unwrap();
    assert_eq!(text, r#"{"sku":"ab"}"#);
    for key in [
        SchemaKey::Id(SchemaId(2_000_000_000)),
        SchemaKey::Id(SchemaId(0)),
        SchemaKey::Id(SchemaId(u32::MAX)),
        SchemaKey::Guid([7; 16]),
    ] {
        let found = settle(&schemas, key);
        assert!(matches!(found, Lookup::Unknown), "{key}: {found:?}");
    }
    let counts = schemas.counts();
    assert_eq!((counts.fetched, counts.failed, counts.refused, counts.pending), (1, 0, 2, 0));
}
