//! What the commands of an operator share.

use std::time::SystemTime;

use catchment_contracts::topics;

use super::run::Role;
use crate::config::{Config, Mapping, Source};

impl Role {
    /// All roles.
    pub(super) const ALL: [Role; 3] = [Role::Ingest, Role::Profile, Role::Catalog];

    /// The word for it, in groups, topics and headers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Role::Ingest => topics::INGEST,
            Role::Profile => topics::PROFILE,
            Role::Catalog => topics::CATALOG,
        }
    }

    /// Whether a configuration has work for it.
    pub(crate) fn has_work(self, config: &Config) -> bool {
        let catalog = |source: &Source| source.mapping == Mapping::Catalog;
        self != Role::Catalog || config.sources.iter().any(catalog)
    }

    /// The topics that it reads under its group, each once.
    pub(crate) fn inputs(self, config: &Config) -> Vec<&str> {
        match self {
            Role::Ingest => {
                let mut inputs: Vec<&str> = Vec::new();
                for source in &config.sources {
                    if !inputs.contains(&source.topic.as_str()) {
                        inputs.push(&source.topic);
                    }
                }
                inputs
            }
            Role::Profile => vec![topics::CUSTOMER_EVENTS, topics::CUSTOMER_INBOX],
            Role::Catalog => vec![topics::CATALOG_UPDATES],
        }
    }
}

/// The time of day, in milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Who runs the command, as far as the environment says.
pub(super) fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|name| !name.is_empty())
}
