//! From a configuration to what speaks to Kafka and to the schema registry.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use catchment_connectors::kafka::{Cluster, Properties};
use catchment_connectors::registry::{Login, RegistrySettings};

use crate::config::{self, Config, Kafka, Registry};
use crate::wiring;

/// A key that not every command needs, but this one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is missing in the configuration; this command needs it")]
pub(crate) struct MissingKey(pub(crate) &'static str);

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
    let brokers = kafka.brokers.clone().ok_or(MissingKey("kafka.brokers"))?;
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

/// The schema registry of a configuration; `None` if it names none.
///
/// # Errors
/// Two ways to log in, or half of one.
pub(crate) fn registry(registry: &Registry) -> anyhow::Result<Option<RegistrySettings>> {
    let Some(url) = registry.url.clone() else { return Ok(None) };
    let login = match (&registry.username, &registry.password_file, &registry.token_file) {
        (None, None, None) => Login::Anonymous,
        (Some(username), password_file, None) => {
            Login::Basic { username: username.clone(), password_file: password_file.clone() }
        }
        (None, None, Some(token_file)) => Login::Token { token_file: token_file.clone() },
        (None, Some(_), _) => anyhow::bail!("`registry.password_file` needs a `registry.username`"),
        (Some(_), _, Some(_)) => {
            anyhow::bail!("`registry.token_file` stands beside `registry.username`: one of them logs in")
        }
    };
    let timeout = Duration::from_millis(u64::try_from(registry.timeout.millis())?);
    Ok(Some(RegistrySettings { url, login, ca_file: registry.ca_file.clone(), timeout }))
}
