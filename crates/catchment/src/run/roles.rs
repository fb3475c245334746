//! What differs between the roles of a lane.

use std::cmp::Reverse;
use std::sync::Arc;

use catchment_contracts::schemas::Schemas;
use catchment_contracts::wire::SchemaIds;
use catchment_domain::KeySecret;
use catchment_pipeline::catalog::{CatalogEffect, CatalogSettings, CatalogTask};
use catchment_pipeline::ingest::{Clock, IngestEffect, IngestSettings, IngestTask, SourceSpec};
use catchment_pipeline::profile::{ProfileEffect, ProfileTask, Shared};
use catchment_pipeline::topology::Topology;
use catchment_runtime::{Millis, Order, Partition, Task, TopicId, TopicPartition};

use crate::effects::{self, IngestCounts};
use crate::observe::lane::StateSize;

/// A role, as a lane's thread needs it. Each lane has a value of its own.
pub trait Role: Send + 'static {
    /// What a partition number of the role is.
    type Task: Task + Send + 'static;

    /// Its name in groups, metrics and logs.
    const NAME: &'static str;

    /// The topic whose partitions the group deals out.
    fn topic(&self) -> TopicId;

    /// Topics that are read besides: of each the partitions with the numbers that the lane was given.
    fn followed(&self) -> Vec<TopicId>;

    /// A topic that the role has to do with and that its group does not deal out.
    fn bystander(&self) -> TopicId;

    /// The order of reading.
    fn order(&self) -> Order;

    /// A task without state, for a partition number that reads these partitions.
    ///
    /// # Errors
    /// A wiring that is wrong.
    fn task(&self, number: Partition, inputs: &[TopicPartition]) -> anyhow::Result<Self::Task>;

    /// Takes what a committed step did.
    fn effect(&mut self, effect: <Self::Task as Task>::Effect);

    /// A step is committed and its effects are taken.
    fn step_done(&mut self) {}

    /// Whether its tasks have state, whose size is worth telling.
    const HAS_STATE: bool;

    /// Whether its tasks keep their state in local files, too: where there is so much that reading it back takes long.
    const HAS_SNAPSHOTS: bool = false;

    /// Adds how much state a task holds.
    fn measure(_task: &Self::Task, _size: &mut StateSize) {}

    /// All that was in a partition by `time` (wall clock) has been processed.
    fn caught_up(_task: &mut Self::Task, _at: TopicPartition, _time: Millis) {}
}

/// Raw records to events.
#[derive(Debug)]
pub struct Ingest {
    topology: Arc<Topology>,
    sources: Vec<SourceSpec>,
    secret: KeySecret,
    schemas: SchemaIds,
    source_schemas: Arc<dyn Schemas>,
    clock: Clock,
    counts: IngestCounts,
}

impl Ingest {
    /// `schemas` are the ids of our own, and where those of Avro sources are found.
    pub fn new(
        topology: Arc<Topology>,
        sources: Vec<SourceSpec>,
        secret: KeySecret,
        (schemas, source_schemas): (SchemaIds, Arc<dyn Schemas>),
        clock: Clock,
    ) -> Self {
        let counts = IngestCounts::new(sources.iter().map(|source| source.name.clone()).collect());
        Ingest { topology, sources, secret, schemas, source_schemas, clock, counts }
    }

    /// The raw topics, each once.
    fn topics(&self) -> Vec<TopicId> {
        let mut topics = self.topology.raw.clone();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

impl Role for Ingest {
    type Task = IngestTask;

    const NAME: &'static str = "ingest";

    const HAS_STATE: bool = false;

    /// The one with the most partitions, so that every partition of the others has its number dealt out, too; of several
    /// the first by name. Every lane of the group must choose the same one: while it changes, because another raw topic
    /// has the most partitions now, old and new processes must not run side by side.
    fn topic(&self) -> TopicId {
        let spec = |topic: &TopicId| self.topology.table.spec(*topic);
        let order = |topic: &TopicId| (Reverse(spec(topic).partitions), spec(topic).name.as_str());
        self.topics().into_iter().min_by(|a, b| order(a).cmp(&order(b))).unwrap_or(TopicId(0))
    }

    fn followed(&self) -> Vec<TopicId> {
        let dealt = self.topic();
        self.topics().into_iter().filter(|topic| *topic != dealt).collect()
    }

    fn bystander(&self) -> TopicId {
        self.topology.customer_events
    }

    fn order(&self) -> Order {
        match self.clock {
            Clock::Wall => Order::Offset,
            Clock::Event => Order::Arrival,
        }
    }

    fn task(&self, _number: Partition, inputs: &[TopicPartition]) -> anyhow::Result<IngestTask> {
        let settings = IngestSettings {
            sources: self.sources.clone(),
            secret: self.secret.clone(),
            schemas: self.schemas,
            source_schemas: Arc::clone(&self.source_schemas),
            clock: self.clock,
            inputs: inputs.to_vec(),
        };
        Ok(IngestTask::new(settings, &self.topology.table)?)
    }

    fn effect(&mut self, effect: IngestEffect) {
        self.counts.add(effect);
    }

    fn step_done(&mut self) {
        self.counts.flush();
    }

    fn caught_up(task: &mut IngestTask, at: TopicPartition, time: Millis) {
        task.caught_up(at, time);
    }
}

/// Events to profiles and decisions.
#[derive(Debug)]
pub struct Profile {
    customer_events: TopicId,
    inbox: TopicId,
    customer_profiles: TopicId,
    shared: Arc<Shared>,
}

impl Profile {
    /// `shared` is what all profile tasks of the process share.
    pub fn new(topology: &Topology, shared: Arc<Shared>) -> Self {
        let (customer_events, inbox) = (topology.customer_events, topology.inbox);
        Profile { customer_events, inbox, customer_profiles: topology.profiles, shared }
    }
}

impl Role for Profile {
    type Task = ProfileTask;

    const NAME: &'static str = "profile";

    const HAS_STATE: bool = true;

    const HAS_SNAPSHOTS: bool = true;

    fn topic(&self) -> TopicId {
        self.customer_events
    }

    fn followed(&self) -> Vec<TopicId> {
        vec![self.inbox]
    }

    fn bystander(&self) -> TopicId {
        self.customer_profiles
    }

    fn order(&self) -> Order {
        Order::Offset
    }

    fn task(&self, number: Partition, _inputs: &[TopicPartition]) -> anyhow::Result<ProfileTask> {
        Ok(ProfileTask::new(number, Arc::clone(&self.shared)))
    }

    fn effect(&mut self, effect: ProfileEffect) {
        effects::count_profile(&effect);
    }

    fn measure(task: &ProfileTask, size: &mut StateSize) {
        size.profiles += task.customers().len();
        size.timers += task.pending_timers();
        size.dedup_entries += task.dedup().len();
        size.dedup_evicted += task.dedup().evicted_early();
        let asking = [size.asking_since, task.asking_since()];
        size.asking_since = asking.into_iter().flatten().min();
        size.bytes += task.memory();
    }
}

/// What is said of products to products.
#[derive(Debug)]
pub struct Catalog {
    updates: TopicId,
    settings: CatalogSettings,
}

impl Catalog {
    /// `settings` are those of all its tasks.
    pub fn new(topology: &Topology, settings: CatalogSettings) -> Self {
        Catalog { updates: topology.catalog_updates, settings }
    }
}

impl Role for Catalog {
    type Task = CatalogTask;

    const NAME: &'static str = "catalog";

    /// It is small.
    const HAS_STATE: bool = false;

    fn topic(&self) -> TopicId {
        self.updates
    }

    fn followed(&self) -> Vec<TopicId> {
        Vec::new()
    }

    fn bystander(&self) -> TopicId {
        self.settings.items
    }

    fn order(&self) -> Order {
        Order::Offset
    }

    fn task(&self, number: Partition, _inputs: &[TopicPartition]) -> anyhow::Result<CatalogTask> {
        Ok(CatalogTask::new(number, self.settings))
    }

    fn effect(&mut self, effect: CatalogEffect) {
        effects::count_catalog(effect);
    }
}
