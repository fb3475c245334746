//! The schemas of each release, frozen: what a next version is held against.
//!
//! At a release, `schemas/*.avsc` is copied to `released/<version>/`, and the release is added to [`ALL`]. A copy is
//! never changed afterwards: topics hold what was written under it.

/// The schemas of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: &'static str,
    /// Name of each contract, and its schema.
    pub schemas: &'static [(&'static str, &'static str)],
}

impl Release {
    /// The schema of a contract; `None` if the release did not have it.
    #[must_use]
    pub fn schema(&self, contract: &str) -> Option<&'static str> {
        self.schemas.iter().find(|(name, _)| *name == contract).map(|(_, schema)| *schema)
    }
}

macro_rules! release {
    ($version:literal: $($name:literal)*) => {
        Release {
            version: $version,
            schemas: &[$(($name, include_str!(concat!("../released/", $version, "/", $name, ".avsc")))),*],
        }
    };
}

/// All releases, the oldest first.
pub static ALL: [Release; 1] = [release!("0.1.0":
    "behaviour_event"
    "campaign_decision"
    "campaign_trigger"
    "catalog_item"
    "catalog_item_snapshot"
    "crm_contact"
    "customer_event"
    "customer_profile"
    "node_state"
    "watermark"
)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::compatibility::breaking;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn every_frozen_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/released");
        let mut files = BTreeSet::new();
        for version in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            for file in fs::read_dir(version.path()).unwrap().map(Result::unwrap) {
                let (version, file) = (version.file_name(), file.file_name());
                files.insert(format!("{}/{}", version.to_str().unwrap(), file.to_str().unwrap()));
            }
        }
        let listed = ALL.iter().flat_map(|release| {
            release.schemas.iter().map(move |(name, _)| format!("{}/{name}.avsc", release.version))
        });
        assert_eq!(listed.collect::<BTreeSet<_>>(), files);
    }

    #[test]
    fn no_contract_breaks_with_a_release() {
        for release in &ALL {
            for (name, schema) in release.schemas {
                let contract = catalogue::find(name).unwrap_or_else(|| panic!("{name} is gone"));
                let found = breaking(schema, contract.schema, contract.compatibility()).unwrap();
                assert!(found.is_empty(), "{name}: {found:?}");
            }
        }
    }
}
