//! `catchment run`: roles on Kafka.
//!
//! Each lane is a thread; this thread starts them and waits for the request to stop.

mod lane;
mod react;
mod roles;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_pipeline::ingest;
use catchment_pipeline::topology::Topology;
use catchment_runtime::{BatchLimits, TopicTable};

use crate::commands::{Role as RoleName, RunArgs};
use crate::config::{self, Clock, Config};
use crate::definitions::Definitions;
use crate::stop::Stop;
use crate::{brokers, connect, logging, wiring};
use lane::Worker;
use roles::{Ingest, Profile, Role};

/// What all lanes of the process share.
struct Plan {
    config: Config,
    /// The topics, by the names that they have in Kafka.
    table: Arc<TopicTable>,
    /// Name of this process among its like.
    instance: String,
    limits: BatchLimits,
    commit_interval: Duration,
    stop: Stop,
}

/// Runs roles until a signal asks to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let config = config::load(&args.config, std::env::vars())?;
    logging::init(&args.log, Some(&config.log));
    let definitions = Definitions::load(&config)?;
    let secret = config.secret()?.context("`identity.secret_file` is missing")?;
    let stop = Stop::install().context("signals can't be caught")?;
    let instance = instance(&config)?;
    let topology = Arc::new(brokers::topology(&config, &connect::cluster(&config.kafka)?)?);
    let schemas = SchemaIds::builtin();
    let plan = Arc::new(Plan {
        table: Arc::new(topology.table.clone()),
        instance,
        limits: wiring::limits(&config)?,
        commit_interval: config.commit.min_interval.as_duration(),
        stop: stop.clone(),
        config,
    });
    let lanes = start(&plan, &args.roles, &topology, definitions, &secret, schemas)?;
    while !stop.requested() {
        thread::sleep(Duration::from_millis(100));
    }
    tracing::info!("stopping: each lane finishes its step");
    for lane in lanes {
        if lane.join().is_err() {
            tracing::error!("a lane ended by a panic");
        }
    }
    Ok(())
}

/// Starts the lanes of the roles.
fn start(
    plan: &Arc<Plan>,
    roles: &[RoleName],
    topology: &Arc<Topology>,
    definitions: Definitions,
    secret: &KeySecret,
    schemas: SchemaIds,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let wanted = |role| roles.is_empty() || roles.contains(&role);
    let config = &plan.config;
    let event_clock = config.clock == Clock::Event;
    let mut lanes = Vec::new();
    if wanted(RoleName::Ingest) {
        let clock = if event_clock { ingest::Clock::Event } else { ingest::Clock::Wall };
        for index in 0..config.lanes.ingest {
            let sources = wiring::sources(config)?;
            let role = Ingest::new(Arc::clone(topology), sources, secret.clone(), schemas, clock);
            lanes.push(spawn(role, plan, index)?);
        }
    }
    if wanted(RoleName::Profile) {
        let shared = wiring::profile(config, topology, definitions, secret, schemas, event_clock)?;
        let shared = Arc::new(shared);
        for index in 0..config.lanes.profile {
            lanes.push(spawn(Profile::new(topology, Arc::clone(&shared)), plan, index)?);
        }
    }
    Ok(lanes)
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
