//! Which subject holds which contract.

use std::collections::BTreeMap;

use catchment_contracts::catalogue::{self, Contract};
use catchment_contracts::topics;

use crate::commands::UsageError;
use crate::config::{Config, Format, Mapping};

/// The contract that a source's Avro records have, if its mapping has one.
fn avro_contract(mapping: Mapping) -> Option<&'static Contract> {
    match mapping {
        Mapping::Segment => Some(&catalogue::BEHAVIOUR_EVENT),
        Mapping::Contact => Some(&catalogue::CRM_CONTACT),
        Mapping::Catalog => Some(&catalogue::CATALOG_ITEM_SNAPSHOT),
        // Their records have the schemas of these systems.
        Mapping::Hubspot | Mapping::Salesforce => None,
    }
}

/// Subjects and their contracts, by subject: those of our own topics and of the usual topics of sources, and those of
/// the Avro sources that are configured, which have the last word.
pub(super) fn subjects(config: &Config) -> Result<BTreeMap<String, &'static Contract>, UsageError> {
    let usual = catalogue::ALL.into_iter();
    let usual = usual.filter_map(|contract| Some((contract.subject()?, contract)));
    let mut subjects: BTreeMap<_, _> = usual.collect();
    let mut configured: BTreeMap<String, &'static Contract> = BTreeMap::new();
    for source in config.sources.iter().filter(|source| source.format == Format::Avro) {
        let Some(contract) = avro_contract(source.mapping) else { continue };
        let before = configured.insert(topics::value_subject(&source.topic), contract);
        if let Some(before) = before.filter(|before| before.name != contract.name) {
            return Err(UsageError(format!(
                "source `{}`: values of topic `{}` would have the contract `{}` and `{}`; a subject of the registry \
                 holds one",
                source.name, source.topic, before.name, contract.name
            )));
        }
    }
    subjects.append(&mut configured);
    Ok(subjects)
}
