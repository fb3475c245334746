//! `catchment run`: roles on Kafka.
//!
//! Each lane is a thread; this thread waits for the world, starts the lanes, and waits for the request to stop. What is
//! said of the process at `/metrics`, `/healthz` and `/readyz` is there before anything is waited for.

mod lane;
pub(crate) mod react;
pub(crate) mod roles;
pub(crate) mod seats;
mod snapshots;
mod watch;
mod world;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use catchment_connectors::registry::{Patience, Registry, RegistrySchemas};
use catchment_contracts::schemas::{BuiltinSchemas, Schemas};
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_pipeline::ingest;
use catchment_pipeline::topology::Topology;
use catchment_runtime::{BatchLimits, Millis, TopicTable};

use crate::commands::{Role as RoleName, RunArgs};
use crate::config::{Clock, Config};
use crate::definitions::Definitions;
use crate::observe::health::{Health, World};
use crate::observe::registry::RegistryCounts;
use crate::observe::trace::Traces;
use crate::preflight::PreflightError;
use crate::stop::Stop;
use crate::{connect, logging, observe, preflight, wiring};
use lane::Worker;
use roles::{Catalog, Ingest, Profile, Role};
use snapshots::{Cache, SnapshotMetrics};
use watch::Watched;
use world::{Answer, wait_for};

/// Lanes have so long to finish their step; then the process ends without them, which is as safe as any crash.
const LAST_STEPS: Duration = Duration::from_secs(25);

/// What all lanes of the process share.
struct Plan {
    config: Config,
    /// The topics, by the names that they have in Kafka.
    table: Arc<TopicTable>,
    /// Name of this process among its like.
    instance: String,
    limits: BatchLimits,
    commit_interval: Duration,
    health: Health,
    traces: Option<Traces>,
    snapshots: Option<Cache>,
    stop: Stop,
    /// Added to the time of day: 0, but in a benchmark of old events.
    shift: Millis,
}

/// What the lanes are made with.
struct Parts {
    topology: Arc<Topology>,
    definitions: Definitions,
    secret: KeySecret,
    schemas: SchemaIds,
    /// Of Avro sources; one cache for all lanes.
    source_schemas: Arc<dyn Schemas>,
}

/// Runs roles until a signal asks to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let config = connect::config(&args.config)?;
    logging::init(&args.log, Some(&config.log));
    let definitions = Definitions::load(&config)?;
    let secret =
        preflight::usable_secret(&config).map_err(|finding| PreflightError::Refused(vec![finding]))?;
    let instance = instance(&config)?;
    let stop = Stop::install().context("signals can't be caught")?;
    let rendered = observe::metrics::install()?;
    let health = Health::new(config.kafka.statistics_interval.as_duration());
    let admin = observe::admin::serve(&config.admin, &rendered, &health)?;
    let address = admin.address().to_string();
    tracing::info!(address, instance, "metrics and health are served");

    let Some(topology) = wait_for(World::Kafka, &health, &stop, || topics(&config))? else {
        return Ok(());
    };
    let registry = connect::registry(&config.registry)?.ok_or(connect::MissingKey("registry.url"))?;
    let registry = Registry::start(registry)?;
    let Some(schemas) = wait_for(World::Registry, &health, &stop, || schemas(&registry))? else {
        return Ok(());
    };
    let table = Arc::new(topology.table.clone());
    let plan = Arc::new(Plan {
        snapshots: if is_wanted(&args.roles, RoleName::Profile) {
            Cache::start(&config, &table, &secret)
        } else {
            None
        },
        table,
        limits: wiring::limits(&config)?,
        commit_interval: config.commit.min_interval.as_duration(),
        health,
        traces: Traces::start(&config.traces, &instance)?,
        instance,
        stop: stop.clone(),
        shift: 0,
        config,
    });
    let source_schemas = Arc::new(RegistrySchemas::new(registry, Patience::default()));
    let (cache, mut counts) = (RegistrySchemas::clone(&source_schemas), RegistryCounts::new());
    let parts = Parts { topology: Arc::new(topology), definitions, secret, schemas, source_schemas };
    let lanes = start(&plan, &args.roles, parts)?;
    let mut snapshots = SnapshotMetrics::default();
    while !stop.requested() {
        counts.tell(cache.counts());
        plan.snapshots.iter().for_each(|cache| snapshots.tell(cache));
        thread::sleep(Duration::from_millis(100));
    }
    tracing::info!("stopping: each lane finishes its step");
    let finished = finish(&lanes);
    plan.snapshots.iter().for_each(Cache::finish);
    finished?;
    tracing::info!("stopped");
    Ok(())
}

/// Roles without what comes before and around them: topics that are known to be as they must, no registry, no server.
pub(crate) struct Bare {
    pub(crate) config: Config,
    pub(crate) topology: Topology,
    /// The topics by their names in Kafka.
    pub(crate) table: TopicTable,
    /// Added to the time of day.
    pub(crate) shift: Millis,
    pub(crate) stop: Stop,
}

/// Runs bare roles until they are asked to stop, for a benchmark; `watch` is called again and again meanwhile.
pub(crate) fn run_bare(bare: Bare, mut watch: impl FnMut(&Health)) -> anyhow::Result<()> {
    let Bare { config, topology, table, shift, stop } = bare;
    let definitions = Definitions::load(&config)?;
    let secret =
        preflight::usable_secret(&config).map_err(|finding| PreflightError::Refused(vec![finding]))?;
    let _page = observe::metrics::install()?;
    let health = Health::new(config.kafka.statistics_interval.as_duration());
    let table = Arc::new(table);
    let plan = Arc::new(Plan {
        limits: wiring::limits(&config)?,
        commit_interval: config.commit.min_interval.as_duration(),
        health: health.clone(),
        traces: None,
        snapshots: Cache::start(&config, &table, &secret),
        table,
        instance: instance(&config)?,
        stop: stop.clone(),
        shift,
        config,
    });
    let (schemas, source_schemas) = (SchemaIds::builtin(), Arc::new(BuiltinSchemas));
    let parts = Parts { topology: Arc::new(topology), definitions, secret, schemas, source_schemas };
    let lanes = start(&plan, &[], parts)?;
    while !stop.requested() {
        watch(&health);
        thread::sleep(Duration::from_millis(5));
    }
    let finished = finish(&lanes);
    plan.snapshots.iter().for_each(Cache::finish);
    finished
}

/// Waits until the lanes have ended.
fn finish(lanes: &[JoinHandle<()>]) -> anyhow::Result<()> {
    let begin = Instant::now();
    while lanes.iter().any(|lane| !lane.is_finished()) {
        anyhow::ensure!(
            begin.elapsed() < LAST_STEPS,
            "a lane did not end in {} s; what it had not committed will be done again",
            LAST_STEPS.as_secs()
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The topics, if they are what they must be.
fn topics(config: &Config) -> Answer<Topology> {
    let cluster = match connect::cluster(&config.kafka) {
        Ok(cluster) => cluster,
        Err(error) => return Answer::Never(error),
    };
    match preflight::check(config, &cluster) {
        Ok(topology) => Answer::Here(topology),
        Err(error @ PreflightError::Refused(_)) => Answer::Never(error.into()),
        Err(error) => Answer::Later(error.to_string()),
    }
}

/// The ids of our schemas.
fn schemas(registry: &Registry) -> Answer<SchemaIds> {
    match registry.schema_ids() {
        Ok(ids) => Answer::Here(ids),
        Err(error) if error.is_unreachable() => Answer::Later(error.to_string()),
        Err(error) => Answer::Never(error.into()),
    }
}

/// All roles where none is named.
fn is_wanted(roles: &[RoleName], role: RoleName) -> bool {
    roles.is_empty() || roles.contains(&role)
}

/// Starts the lanes of the roles.
fn start(plan: &Arc<Plan>, roles: &[RoleName], parts: Parts) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let wanted = |role| is_wanted(roles, role);
    let Parts { topology, definitions, secret, schemas, source_schemas } = parts;
    let config = &plan.config;
    let event_clock = config.clock == Clock::Event;
    let (mut lanes, mut groups) = (Vec::new(), Vec::new());
    if wanted(RoleName::Ingest) {
        let clock = if event_clock { ingest::Clock::Event } else { ingest::Clock::Wall };
        for index in 0..config.lanes.ingest {
            let sources = wiring::sources(config)?;
            let ids = (schemas, Arc::clone(&source_schemas));
            let role = Ingest::new(Arc::clone(&topology), sources, secret.clone(), ids, clock);
            groups.extend((index == 0).then(|| watched(plan, &role)));
            lanes.push(spawn(role, plan, index)?);
        }
    }
    if wanted(RoleName::Profile) {
        let shared = wiring::profile(config, &topology, definitions, &secret, schemas, event_clock)?;
        let shared = Arc::new(shared);
        for index in 0..config.lanes.profile {
            let role = Profile::new(&topology, Arc::clone(&shared));
            groups.extend((index == 0).then(|| watched(plan, &role)));
            lanes.push(spawn(role, plan, index)?);
        }
    }
    if wanted(RoleName::Catalog) && (!roles.is_empty() || RoleName::Catalog.has_work(config)) {
        let settings = wiring::catalog(&topology, schemas, event_clock);
        for index in 0..config.lanes.catalog {
            let role = Catalog::new(&topology, settings);
            groups.extend((index == 0).then(|| watched(plan, &role)));
            lanes.push(spawn(role, plan, index)?);
        }
    }
    watch::start(config, groups, plan.stop.clone())?;
    Ok(lanes)
}

/// The group of a role.
fn watched<R: Role>(plan: &Plan, role: &R) -> Watched {
    let (dealt, bystander) = (plan.table.spec(role.topic()), plan.table.spec(role.bystander()));
    Watched {
        group: lane::group(&plan.config, R::NAME),
        topic: dealt.name.clone(),
        partitions: dealt.partitions,
        bystander: bystander.name.clone(),
        suspects: Vec::new(),
    }
}

fn spawn<R: Role>(role: R, plan: &Arc<Plan>, index: u16) -> anyhow::Result<JoinHandle<()>> {
    let worker = Worker::new(role, Arc::clone(plan), index);
    let name = format!("{}-{index}", R::NAME);
    thread::Builder::new().name(name).spawn(move || worker.run()).context("a thread could not be started")
}

/// The configured name, else the host's.
fn instance(config: &Config) -> anyhow::Result<String> {
    if let Some(instance) = &config.instance {
        return Ok(instance.clone());
    }
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let host = host.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let host = host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    host.context("the host has no name: set `instance` in the configuration")
}
