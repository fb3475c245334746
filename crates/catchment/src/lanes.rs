//! What lanes are made of, whatever the log: the roles as lanes need them, the seats of a lane's tasks, and what to do
//! about an error. `catchment run` makes its lanes of this on Kafka; the simulation makes the same on a log of its own.

use catchment_contracts::schemas::BuiltinSchemas;
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_pipeline::ingest;
use catchment_pipeline::topology::Topology;
use catchment_runtime::BatchLimits;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Clock, Config};
use crate::definitions::Definitions;
use crate::wiring;

pub use crate::run::react::{Reaction, react};
pub use crate::run::roles::{Catalog, Ingest, Profile, Role};
pub use crate::run::seats::{Seats, keep, place};

/// What the lanes of an installation without a schema registry are made with.
#[derive(Debug)]
pub struct Installation {
    /// The topics.
    pub topology: Arc<Topology>,
    /// How much a step takes.
    pub limits: BatchLimits,
    config: Config,
    profile: Arc<catchment_pipeline::profile::Shared>,
}

impl Installation {
    /// Wires a configuration; its raw topics have that many partitions. The ids of schemas are the built-in ones, and
    /// identifiers are hashed with the published secret.
    ///
    /// # Errors
    /// A configuration, campaign or model that is wrong.
    pub fn new(config: Config, raw_partitions: u32) -> anyhow::Result<Self> {
        let topology = Arc::new(wiring::topology(&config, raw_partitions, &BTreeMap::new())?);
        let definitions = Definitions::load(&config)?;
        let event_clock = config.clock == Clock::Event;
        let (secret, schemas) = (KeySecret::PUBLISHED, SchemaIds::builtin());
        let profile = wiring::profile(&config, &topology, definitions, &secret, schemas, event_clock)?;
        Ok(Installation { topology, limits: wiring::limits(&config)?, config, profile: Arc::new(profile) })
    }

    /// Each partition's own input says what time it is: which is right where no event has to be sent on to another.
    #[must_use]
    pub fn without_forwarding(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.profile) {
            shared.settings.reads_by_arrival = true;
        }
        self
    }

    /// The configuration that it was made of.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The role `ingest`, for one lane.
    ///
    /// # Errors
    /// A source that can't be wired.
    pub fn ingest(&self) -> anyhow::Result<Ingest> {
        let clock = match self.config.clock {
            Clock::Event => ingest::Clock::Event,
            Clock::Wall => ingest::Clock::Wall,
        };
        let schemas = (SchemaIds::builtin(), Arc::new(BuiltinSchemas) as Arc<_>);
        let sources = wiring::sources(&self.config)?;
        Ok(Ingest::new(Arc::clone(&self.topology), sources, KeySecret::PUBLISHED, schemas, clock))
    }

    /// The role `catalog`, for one lane.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        let event_clock = self.config.clock == Clock::Event;
        Catalog::new(&self.topology, wiring::catalog(&self.topology, SchemaIds::builtin(), event_clock))
    }

    /// The role `profile`, for one lane.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::new(&self.topology, Arc::clone(&self.profile))
    }
}
