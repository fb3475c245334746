//! What is measured: a configuration with its model and campaign, and the topics it works on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use catchment_connectors::kafka::WantedTopic;
use catchment_domain::Millis;
use catchment_pipeline::topology::Topology;
use catchment_runtime::TopicTable;
use catchment_runtime::record::TopicSpec;
use serde::{Deserialize, Serialize};

use crate::config::{self, Config};
use crate::{preflight, wiring};

/// What names of topics that a bench makes begin with, so that it may run beside a deployment and clear up behind it.
pub(super) const PREFIX: &str = "catchment-bench.";
/// Where the ceiling is copied to.
pub(super) const COPY: &str = "copy";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
const FILES: [(&str, &str); 4] = [
    ("catchment.yaml", include_str!("job/catchment.yaml")),
    ("model.yaml", include_str!("job/model.yaml")),
    ("campaign.yaml", include_str!("job/campaign.yaml")),
    ("secret", SECRET),
];
const SETTINGS: &str = "job.json";

/// What the process that is measured does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// Runs the roles.
    Roles,
    /// Copies the raw topic as it is.
    Copy,
}

/// What a configuration file does not say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) brokers: String,
    /// First part of names of groups and internal topics: one for each run, since a group remembers its members.
    pub(super) app: String,
    /// The raw topic, by its full name.
    pub(super) raw: String,
    pub(super) partitions: u16,
    pub(super) publish: String,
    /// What the process that is measured adds to the time of day: events of a year ago are then of now.
    pub(super) shift: Millis,
    pub(super) work: Work,
}

impl Job {
    /// Writes all files of the job to a directory.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        for (name, text) in FILES {
            fs::write(directory.join(name), text).with_context(|| format!("{name} can't be written"))?;
        }
        let text = serde_json::to_string(self)?;
        fs::write(directory.join(SETTINGS), text).with_context(|| format!("{SETTINGS} can't be written"))
    }

    /// The job that was written to a directory.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(directory.join(SETTINGS)).context("the job can't be read")?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The configuration in a directory that [`write`](Self::write) filled. The environment has its say, as in `run`, so
    /// that a setting can be tried; but for what the job is.
    pub(super) fn config(&self, directory: &Path) -> anyhow::Result<Config> {
        let ours = [
            ("CATCHMENT__APP", self.app.clone()),
            ("CATCHMENT__KAFKA__BROKERS", self.brokers.clone()),
            ("CATCHMENT__PARTITIONS", self.partitions.to_string()),
            ("CATCHMENT__TOPICS__RAW_PARTITIONS", self.partitions.to_string()),
            ("CATCHMENT__PROFILES__PUBLISH", self.publish.clone()),
        ];
        let theirs = std::env::vars().filter(|(key, _)| ours.iter().all(|(our, _)| key != our));
        let ours = ours.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        Ok(config::load(&directory.join("catchment.yaml"), theirs.chain(ours))?)
    }

    /// The topics as roles know them.
    pub(super) fn topology(&self, config: &Config) -> anyhow::Result<Topology> {
        let existing = BTreeMap::from([("raw".to_owned(), u32::from(self.partitions))]);
        Ok(wiring::topology(config, self.partitions.into(), &existing)?)
    }

    /// The name in Kafka of a topic of the job.
    pub(super) fn name(&self, topic: &str) -> String {
        if topic == "raw" { self.raw.clone() } else { format!("{PREFIX}{topic}") }
    }

    /// The same topics by their names in Kafka.
    pub(super) fn table(&self, topology: &Topology) -> TopicTable {
        let mut table = TopicTable::new();
        for (_, spec) in topology.table.iter() {
            table.add(TopicSpec { name: self.name(&spec.name), ..spec.clone() });
        }
        table
    }

    /// What the topics must be, those of the ceiling and of the load included.
    pub(super) fn wanted(&self, config: &Config, topology: &Topology) -> Vec<WantedTopic> {
        let mut wanted = preflight::wanted(config, topology);
        let raw = wanted.iter().find(|topic| topic.name == "raw").cloned();
        wanted.extend(raw.map(|raw| WantedTopic { name: COPY.to_owned(), ..raw }));
        for topic in &mut wanted {
            topic.name = self.name(&topic.name);
        }
        wanted
    }
}
