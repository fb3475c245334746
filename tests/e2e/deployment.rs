//! The example shop on Kafka: a broker, topics, registered schemas, and the processes of a test.

use crate::place::Place;
use crate::process::Process;
use crate::support::{catchment, finished, root};
use crate::wait::PATIENCE;
use catchment_connectors::kafka::{Cluster, RawProducer, RawRecord, TopicAdmin};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use xtask::services::{Broker, BrokerOptions};

/// What a deployment of the shop is configured by, beyond its file.
pub(crate) type Changes<'a> = &'a [(&'a str, &'a str)];

/// A broker with the shop's topics.
pub(crate) struct Deployment {
    pub(crate) broker: Broker,
    /// Of its cluster.
    pub(crate) others: Vec<Broker>,
    pub(crate) directory: TempDir,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) config: PathBuf,
    /// Given back once all others have ended.
    _place: Place,
}

/// Directory of the example.
pub(crate) fn shop() -> PathBuf {
    root().join("deploy/examples/awesomeshoes")
}

/// Where Kafka's jars and the registry are. None: says so, past the capture of the test harness.
pub(crate) fn services(test: &str) -> Option<(PathBuf, String)> {
    let libs = std::env::var_os("CATCHMENT_TEST_KAFKA_LIBS").map(PathBuf::from);
    let registry = std::env::var("CATCHMENT_TEST_REGISTRY").ok();
    if libs.is_none() || registry.is_none() {
        let text = "skipped: CATCHMENT_TEST_KAFKA_LIBS and CATCHMENT_TEST_REGISTRY name no services";
        writeln!(std::io::stderr(), "e2e::{test}: {text}").unwrap();
    }
    libs.zip(registry)
}

impl Deployment {
    /// A broker of its own, with topics and schemas; `None` where this machine has none.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let deployment = Self::bare(test, BrokerOptions::default())?;
        deployment.set_up();
        Some(deployment)
    }

    /// As [`new`](Self::new), without topics and schemas.
    pub(crate) fn bare(test: &str, options: BrokerOptions) -> Option<Self> {
        let (libs, registry) = services(test)?;
        Some(Self::at(Place::shared(), (&libs, &registry), options))
    }

    /// As [`bare`](Self::bare), with no other test beside: for what is measured.
    pub(crate) fn alone(test: &str, options: BrokerOptions) -> Option<Self> {
        let (libs, registry) = services(test)?;
        Some(Self::at(Place::alone(), (&libs, &registry), options))
    }

    fn at(place: Place, (libs, registry): (&Path, &str), options: BrokerOptions) -> Self {
        let directory = TempDir::new().unwrap();
        let broker = Broker::start(libs, &directory.path().join("kafka"), options).unwrap();
        Self::on(place, directory, (broker, Vec::new()), registry)
    }

    /// As [`bare`](Self::bare), on three brokers: of every partition each has a copy, and two must have it.
    pub(crate) fn on_three(test: &str) -> Option<Self> {
        let (libs, registry) = services(test)?;
        let place = Place::shared();
        let directory = TempDir::new().unwrap();
        let home = directory.path().join("kafka");
        let [broker, others @ ..]: [Broker; 3] =
            Broker::start_cluster(&libs, &home, &BrokerOptions::default()).unwrap();
        let mut deployment = Self::on(place, directory, (broker, Vec::from(others)), &registry);
        deployment.set("TOPICS__REPLICATION", "3");
        deployment.set("TOPICS__MIN_INSYNC", "2");
        Some(deployment)
    }

    fn on(place: Place, directory: TempDir, (broker, others): (Broker, Vec<Broker>), registry: &str) -> Self {
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "5e".repeat(32)).unwrap();
        let mut environment = Vec::new();
        let mut set = |key: &str, value: &str| {
            environment.push((format!("CATCHMENT__{key}"), value.to_owned()));
        };
        set("KAFKA__BROKERS", &addresses(&broker, &others));
        set("KAFKA__SESSION_TIMEOUT", "6s");
        set("KAFKA__STATISTICS_INTERVAL", "1s");
        set("REGISTRY__URL", registry);
        set("IDENTITY__SECRET_FILE", secret.to_str().unwrap());
        set("TOPICS__REPLICATION", "1");
        set("TOPICS__MIN_INSYNC", "1");
        set("TOPICS__RAW_PARTITIONS", "1");
        set("ADMIN__LISTEN", "127.0.0.1:0");
        let config = shop().join("catchment.yaml");
        Deployment { broker, others, directory, environment, config, _place: place }
    }

    /// Topics and schemas.
    pub(crate) fn set_up(&self) {
        self.done(&["topics", "create"]);
        self.done(&["contracts", "register"]);
    }

    /// Changes a key of the configuration by its variable, as `CLOCK` or `KAFKA__BROKERS`.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let name = format!("CATCHMENT__{key}");
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with the deployment's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.launcher().command(arguments)
    }

    /// What starts processes of the deployment, as it is configured now.
    pub(crate) fn launcher(&self) -> Launcher {
        let directory = self.directory.path().to_owned();
        Launcher { directory, config: self.config.clone(), environment: self.environment.clone() }
    }

    /// What the command printed; it must go well.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, output, error) = finished(&mut self.command(arguments));
        assert_eq!(code, 0, "{arguments:?}\n{output}\n{error}");
        output
    }

    /// What the command printed and said; it must fail.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let (code, output, error) = finished(&mut self.command(arguments));
        assert_ne!(code, 0, "{arguments:?}\n{output}\n{error}");
        (code, output + &error)
    }

    /// Starts roles in a process of that name.
    pub(crate) fn run(&self, instance: &str, roles: &[&str], changes: Changes<'_>) -> Process {
        self.launcher().run(instance, roles, changes)
    }

    /// Sends the shop's files.
    pub(crate) fn load(&self) {
        let data = shop().join("data");
        self.done(&["load", "--input", data.to_str().unwrap()]);
    }

    /// Sends a record as upstream does, to partition 0.
    pub(crate) fn send(&self, topic: &str, headers: &[(&str, &str)], value: &[u8]) {
        let producer = RawProducer::new(&self.cluster()).unwrap();
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let record = RawRecord {
            topic,
            partition: Some(0),
            value: Some(value),
            headers: &headers,
            ..RawRecord::default()
        };
        producer.send(&record).unwrap();
        producer.flush(PATIENCE).unwrap();
    }

    /// URL of the registry.
    pub(crate) fn registry(&self) -> String {
        let url = self.environment.iter().find(|(name, _)| name == "CATCHMENT__REGISTRY__URL");
        url.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster { brokers: addresses(&self.broker, &self.others), ..Cluster::default() }
    }

    /// Deletes the records of a partition before that offset, as retention would.
    pub(crate) fn forget(&self, topic: &str, partition: u32, before: u64) {
        let admin = TopicAdmin::new(&self.cluster(), PATIENCE).unwrap();
        admin.delete_records(topic, partition, before).unwrap();
    }

    /// What a topic holds.
    pub(crate) fn read(&self, topic: &str) -> Vec<Value> {
        lines(&self.done(&["read", topic]))
    }

    /// What the sandbox makes of the shop's files, by the same configuration.
    pub(crate) fn sandbox(&self) -> PathBuf {
        let (output, data) = (self.path("sandbox"), shop().join("data"));
        self.done(&["sandbox", "--input", data.to_str().unwrap(), "--output", output.to_str().unwrap()]);
        output
    }
}

/// Starts processes of a deployment, while something is done to its brokers.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    directory: PathBuf,
    config: PathBuf,
    environment: Vec<(String, String)>,
}

impl Launcher {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = catchment(arguments);
        command.arg("--config").arg(&self.config);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts roles in a process of that name.
    pub(crate) fn run(&self, instance: &str, roles: &[&str], changes: Changes<'_>) -> Process {
        let mut command = self.command(&[&["run"], roles].concat());
        command.env("CATCHMENT__INSTANCE", instance);
        command.envs(changes.iter().map(|(key, value)| (format!("CATCHMENT__{key}"), value)));
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Process::start(&mut command, self.directory.join(format!("{instance}-{number}.log")))
    }
}

fn addresses(broker: &Broker, others: &[Broker]) -> String {
    let all: Vec<String> = [broker].into_iter().chain(others).map(Broker::address).collect();
    all.join(",")
}

/// Lines of JSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The file that the sandbox wrote of a topic.
pub(crate) fn file(directory: &Path, topic: &str) -> Vec<Value> {
    lines(&std::fs::read_to_string(directory.join(format!("{topic}.ndjson"))).unwrap())
}
