//! From a configuration to what speaks to Kafka.

use std::path::Path;

use anyhow::Context as _;
use catchment_connectors::kafka::{Cluster, Properties};

use crate::config::{self, Config, Kafka};
use crate::wiring;

/// The configuration in a file, overridden by the environment, with sources that can be beside each other.
///
/// # Errors
/// All that is wrong with it, by line.
pub(crate) fn config(path: &Path) -> anyhow::Result<Config> {
    let config = config::load(path, std::env::vars())?;
    wiring::topology_of_file(path, &config)?;
    Ok(config)
}

/// The Kafka of a configuration, with its secrets read anew.
///
/// # Errors
/// `kafka.brokers` is missing, a property is refused, or a secret can't be read.
pub(crate) fn cluster(kafka: &Kafka) -> anyhow::Result<Cluster> {
    let brokers = kafka.brokers.clone().context("`kafka.brokers` is missing in the configuration")?;
    let mut properties = kafka.properties.clone();
    for (name, file) in &kafka.secret_files {
        let secret = std::fs::read_to_string(file)
            .with_context(|| format!("`kafka.secret_files.{name}`: {} can't be read", file.display()))?;
        let secret = secret.trim_end_matches(['\r', '\n']).to_owned();
        anyhow::ensure!(
            properties.insert(name.clone(), secret).is_none(),
            "`{name}` stands in `kafka.properties` and in `kafka.secret_files`"
        );
    }
    Ok(Cluster { brokers, properties: Properties::new(properties)? })
}

/// `transactional.id` of an operator's command: two runs of one command fence each other.
pub(crate) fn operator(app: &str, command: &str) -> String {
    format!("{app}.operator.{command}")
}
