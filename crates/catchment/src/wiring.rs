//! From a configuration to what the roles are made with. The same for every log.

use crate::config::{self, Config, ConfigErrors, Document};
use crate::definitions::{self, Definitions};
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_domain::identity::{Limits, Rules};
use catchment_domain::normalise::Policy;
use catchment_pipeline::catalog::CatalogSettings;
use catchment_pipeline::ingest::foreign::Foreign;
use catchment_pipeline::ingest::{Format, Mapping, SourceSpec, Tombstone};
use catchment_pipeline::profile::{Expiry, Publish, Shared, SharedSettings};
use catchment_pipeline::topology::{Clash, Shape, Topology};
use catchment_runtime::BatchLimits;
use catchment_runtime::state::StateFormat;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What ids of events are hashed with; a constant of the program, so that a restart finds what was seen before it.
const DEDUP_PURPOSE: &str = "catchment 2026 event ids of deduplication";

/// The topics of a configuration: raw topics with the partitions that they have, or else with `raw_partitions`.
///
/// # Errors
/// Sources that can't be beside each other, or beside our own topics.
pub(crate) fn topology(
    config: &Config,
    raw_partitions: u32,
    existing: &BTreeMap<String, u32>,
) -> Result<Topology, Clash> {
    Topology::new(&Shape {
        app: &config.app,
        partitions: u32::from(config.partitions),
        sources: config.sources.iter().map(|source| (source.name.as_str(), source.topic.as_str())).collect(),
        raw_partitions,
        existing,
        dedup_window: u64::try_from(config.dedup.window.millis()).unwrap_or(0),
    })
}

/// As [`topology`], of the file that the configuration was read from: a clash is shown where it stands.
///
/// # Errors
/// A clash, with its line.
pub(crate) fn topology_of_file(path: &Path, config: &Config) -> Result<Topology, ConfigErrors> {
    topology(config, 1, &BTreeMap::new()).or_else(|clash| {
        let key = match &clash {
            Clash::OwnTopic { source_index, .. } => format!("sources[{source_index}].topic"),
            Clash::DeadLetters { source_index, .. } => format!("sources[{source_index}].name"),
        };
        Err(Document::read(path)?.error_at(&key, clash.to_string()).into())
    })
}

/// How much a step takes.
///
/// # Errors
/// Numbers beyond what this machine can count.
pub(crate) fn limits(config: &Config) -> anyhow::Result<BatchLimits> {
    Ok(BatchLimits {
        records: usize::try_from(config.batch.max_records)?,
        bytes: usize::try_from(config.batch.max_bytes.bytes())?,
    })
}

/// What is decided of identifiers.
pub(crate) fn policy(config: &Config) -> Policy {
    let identity = &config.identity;
    let strips = identity.plus_addressing == config::PlusAddressing::Strip;
    Policy::new(identity.blocked.iter().map(String::as_str), strips)
}

/// The sources as ingest knows them, in the order of the configuration.
///
/// # Errors
/// A path of an arrival field that is none.
pub(crate) fn sources(config: &Config) -> anyhow::Result<Vec<SourceSpec>> {
    // Before the first record, whose step would stand still meanwhile.
    catchment_domain::normalise::prepare();
    let policy = policy(config);
    let policy = (!policy.is_nothing()).then(|| Arc::new(policy));
    config.sources.iter().map(|of| Ok(SourceSpec { policy: policy.clone(), ..source(of)? })).collect()
}

/// How a source's payloads are brought into the form that its mapping takes.
fn via(path: &Path, mapping: Mapping) -> Result<Arc<Foreign>, ConfigErrors> {
    let foreign = definitions::mapping(path)?;
    if foreign.to() != mapping {
        let message = "maps to another form than the `mapping` of the source that names it";
        return Err(Document::read(path)?.error_at("to", message).into());
    }
    Ok(Arc::new(foreign))
}

fn source(source: &config::Source) -> anyhow::Result<SourceSpec> {
    let mapping = match source.mapping {
        config::Mapping::Segment => Mapping::Segment,
        config::Mapping::Hubspot => Mapping::Hubspot,
        config::Mapping::Salesforce => Mapping::Salesforce,
        config::Mapping::Contact => Mapping::Contact,
        config::Mapping::Catalog => Mapping::Catalog,
    };
    Ok(SourceSpec {
        name: source.name.clone(),
        topic: source.topic.clone(),
        format: match source.format {
            config::Format::Json => Format::Json,
            config::Format::Avro => Format::Avro,
        },
        mapping,
        policy: None,
        via: source.via.as_deref().map(|path| via(path, mapping)).transpose()?,
        arrival: source.arrival.as_deref().map(str::parse).transpose()?,
        max_bytes: usize::try_from(source.max_bytes.bytes())?,
        tombstone: match source.tombstone {
            config::Tombstone::DeadLetter => Tombstone::DeadLetter,
            config::Tombstone::Ignore => Tombstone::Ignore,
        },
        default_currency: source.default_currency.clone(),
    })
}

/// What all catalog tasks work by.
pub(crate) fn catalog(topology: &Topology, schemas: SchemaIds, event_clock: bool) -> CatalogSettings {
    CatalogSettings { items: topology.catalog_items, schemas, event_clock }
}

/// What the configuration says of identity.
fn identity_rules(identity: &config::Identity) -> Rules {
    let limits = &identity.limits;
    let of_type = [limits.user_id, limits.crm_id, limits.email, limits.phone, limits.anonymous_id];
    Rules {
        limits: Limits { of_type: of_type.map(usize::from), members: usize::from(limits.members) },
        route: identity.shared_devices == config::SharedDevices::Route,
        retry_after: identity.retry_after.millis(),
        ..Rules::default()
    }
}

/// What all profile tasks share.
///
/// # Errors
/// Numbers beyond what this machine can count.
pub(crate) fn profile(
    config: &Config,
    topology: &Topology,
    definitions: Definitions,
    secret: &KeySecret,
    schemas: SchemaIds,
    event_clock: bool,
) -> anyhow::Result<Shared> {
    let partitions_of = |at: usize| topology.table.spec(topology.raw[at]).partitions;
    let sources = config.sources.iter().enumerate();
    let settings = SharedSettings {
        sources: sources.map(|(at, source)| (source.name.clone(), partitions_of(at))).collect(),
        profiles: topology.profiles,
        state: topology.profile_state,
        dedup: topology.profile_dedup,
        triggers: topology.triggers,
        decisions: topology.decisions,
        inbox: topology.inbox,
        merges: topology.merges,
        partitions: u32::from(config.partitions),
        identity: identity_rules(&config.identity),
        schemas,
        state_format: StateFormat(u8::try_from(config.state.format)?),
        dedup_key: secret.derived(DEDUP_PURPOSE),
        dedup_window: u64::try_from(config.dedup.window.millis())?,
        dedup_limit: usize::try_from(config.dedup.max_entries)?,
        expiry: Expiry {
            anonymous: Some(config.expiry.anonymous.millis()).filter(|kept| *kept > 0),
            known: Some(config.expiry.known.millis()).filter(|kept| *kept > 0),
        },
        timer_grace: config.timers.grace.millis(),
        publish: match config.profiles.publish {
            config::Publish::Step => Publish::Step,
            config::Publish::Event => Publish::Event,
        },
        event_clock,
        reads_by_arrival: false,
    };
    let Definitions { models, campaigns } = definitions;
    Ok(Shared { models, campaigns, settings })
}
