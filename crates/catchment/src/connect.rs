//! From a configuration to what speaks to Kafka.

use anyhow::Context as _;
use catchment_connectors::kafka::{Cluster, Properties};

use crate::config::Kafka;

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
