//! The shop, as it stands in `deploy/`, inside the program.

use anyhow::Context as _;
use std::path::{Path, PathBuf};

macro_rules! shipped {
    ($($path:literal,)+) => {
        &[$(($path, include_bytes!(concat!("../../../../deploy/", $path)).as_slice()),)+]
    };
}

/// Path below `deploy/`, content. Paths are kept, so that those in the configuration hold.
const FILES: &[(&str, &[u8])] = shipped![
    "examples/awesomeshoes/catchment.yaml",
    "examples/awesomeshoes/campaigns/cart_abandoned.yaml",
    "examples/awesomeshoes/campaigns/early_access.yaml",
    "examples/awesomeshoes/data/behaviour.ndjson",
    "examples/awesomeshoes/data/catalog.ndjson",
    "examples/awesomeshoes/data/crm_contacts.ndjson",
    "examples/awesomeshoes/data/crm_hubspot.ndjson",
    "examples/awesomeshoes/data/crm_salesforce.ndjson",
    "models/buys_again_90d/model.yaml",
];

/// Number of records of all sources.
pub(super) fn records() -> u64 {
    let data = FILES.iter().filter(|(path, _)| path.ends_with(".ndjson"));
    data.map(|(_, content)| content.iter().filter(|byte| **byte == b'\n').count() as u64).sum()
}

/// Writes the files below a directory and returns that of the shop.
pub(super) fn unpack(directory: &Path) -> anyhow::Result<PathBuf> {
    for (path, content) in FILES {
        let file = directory.join(path);
        let parent = file.parent().unwrap_or(directory);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, content))
            .with_context(|| format!("{} can't be written", file.display()))?;
    }
    Ok(directory.join("examples/awesomeshoes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_configuration_names_is_shipped() {
        let directory = tempfile::tempdir().unwrap();
        let shop = unpack(directory.path()).unwrap();
        let config = crate::config::load(&shop.join("catchment.yaml"), []).unwrap();
        for source in &config.sources {
            assert!(shop.join("data").join(format!("{}.ndjson", source.name)).is_file(), "{}", source.name);
        }
        crate::definitions::Definitions::load(&config).unwrap();
        assert_eq!(records(), 2_614);
    }
}
