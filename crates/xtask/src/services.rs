//! A real broker and a real schema registry for tests: downloaded once, started in a directory of their own on free
//! ports of this machine, and stopped with what started them.
//!
//! All lies in `target/services`: what was downloaded, and for each run `run-PID` with data and logs. The directory
//! of a run is removed at its end, or, where that end was a failure, by the next run.
//!
//! Tests find what a run started by its variables: [`BROKERS`] and those beside it. A test that has to stop, kill or
//! freeze a service starts its own, a [`Broker`] or a [`Registry`], from what was downloaded ([`kafka_libs`],
//! [`registry_home`]).

mod acl;
mod broker;
pub(crate) mod fetch;
mod fleet;
mod kafka;
mod launch;
mod ports;
mod proxy;
mod registry;
mod tls;

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::say;
use fleet::Fleet;

pub use acl::deny;
pub use broker::{Broker, BrokerOptions};
pub use proxy::Proxy;
pub use registry::Registry;

/// Variable: where tests find a broker, as `host:port`.
pub const BROKERS: &str = "CATCHMENT_TEST_BROKERS";
/// Variable: where tests find a registry, as URL.
pub const REGISTRY: &str = "CATCHMENT_TEST_REGISTRY";
/// Variable: where the broker listens with `SASL_SSL` and SCRAM-SHA-512, as `host:port`.
pub const SASL_SSL: &str = "CATCHMENT_TEST_SASL_SSL";
/// Variable: where the broker listens with TLS and wants a certificate of the client, as `host:port`.
pub const MTLS: &str = "CATCHMENT_TEST_MTLS";
/// Variable: directory with the certificates and passwords for both, as [`Broker::tls`] lists them.
pub const TLS_DIR: &str = "CATCHMENT_TEST_TLS_DIR";
/// Variable: directory with the jars of Kafka, for [`Broker::start`].
pub const KAFKA_LIBS: &str = "CATCHMENT_TEST_KAFKA_LIBS";
/// Variable: directory with the registry's download, for [`Registry::start`].
pub const REGISTRY_HOME: &str = "CATCHMENT_TEST_REGISTRY_HOME";

/// What [`Broker::start`] needs, if the test run has it.
#[must_use]
pub fn kafka_libs() -> Option<PathBuf> {
    given(KAFKA_LIBS).map(PathBuf::from)
}

/// What [`Registry::start`] needs, if the test run has it.
#[must_use]
pub fn registry_home() -> Option<PathBuf> {
    given(REGISTRY_HOME).map(PathBuf::from)
}

fn given(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// In the directory of a run, the file whose lock says that the run lives.
const LOCK: &str = "lock";
/// In the directory of a run, the file that keeps it from being removed.
const KEPT: &str = "kept";

/// Starts both, says where they are, and waits for a signal. With `keep`, data and logs stay.
pub(crate) fn run(keep: bool) -> Result<()> {
    let running = match Running::start(Wanted { kafka: true, registry: true })? {
        Start::Started(running) => running,
        Start::Absent(what) => bail!("not started: {what}"),
    };
    if keep {
        running.keep()?;
    }
    for (name, value) in running.variables() {
        say(&format!("{name}={value}\n"))?;
    }
    tell(&format!("services: data and logs in {}; stop with Ctrl-C", running.directory.display()));
    loop {
        running.check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

/// What tests run against.
#[derive(Debug, Default)]
pub(crate) struct ForTests {
    running: Option<Box<Running>>,
    said: Vec<String>,
}

/// What is said where nobody asked for services.
const NOT_ASKED: &str = "not started; tests that need them say that they were skipped";

impl ForTests {
    /// Starts what no variable names, if it is wanted. False where CI lacks what it takes; another machine may.
    pub(crate) fn start(&mut self, wanted_at_all: bool) -> Result<bool> {
        let [brokers, registry] = [given(BROKERS), given(REGISTRY)];
        for (name, value) in [(BROKERS, &brokers), (REGISTRY, &registry)] {
            if let Some(value) = value {
                self.said.push(format!("{name}={} as given", value.display()));
            }
        }
        let wanted = Wanted { kafka: brokers.is_none(), registry: registry.is_none() };
        let nothing = !wanted.kafka && !wanted.registry;
        if !wanted_at_all && !nothing {
            self.said.push(NOT_ASKED.into());
        }
        if !wanted_at_all || nothing {
            say(&format!("{}\n", self.summary()))?;
            return Ok(true);
        }
        let passed = match Running::start(wanted) {
            Ok(Start::Started(running)) => {
                self.said.extend(running.names().into_iter().map(|name| format!("{name} started")));
                self.running = Some(running);
                true
            }
            Ok(Start::Absent(what)) => {
                self.said.push(format!("not started: {what}"));
                !in_ci(std::env::var_os("CI").as_deref())
            }
            Err(error) => {
                self.said.push("not started: failed".into());
                return Err(error);
            }
        };
        say(&format!("{}\n", self.summary()))?;
        Ok(passed)
    }

    /// What tests must know of the services that were started.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        self.running.as_ref().map(|running| running.variables()).unwrap_or_default()
    }

    /// What was used, as a line.
    pub(crate) fn summary(&self) -> String {
        if self.said.is_empty() {
            "services: none".into()
        } else {
            format!("services: {}", self.said.join(", "))
        }
    }

    /// Stops what was started. After a failure the logs stay until the next run.
    pub(crate) fn stop(&mut self, passed: bool) -> Result<()> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        if passed {
            return running.finish();
        }
        say(&format!("services: logs in {}\n", running.directory.display()))
    }
}

/// Whether this is CI, where nothing may be left out.
pub(crate) fn in_ci(variable: Option<&OsStr>) -> bool {
    variable.is_some_and(|value| value == "true")
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    kafka: bool,
    registry: bool,
}

enum Start {
    Started(Box<Running>),
    /// This machine lacks something; what.
    Absent(String),
}

/// Services, which stop when this is dropped.
#[derive(Debug)]
struct Running {
    // Before the lock, as fields are dropped in order: the run lives as long as its services.
    fleet: Arc<Fleet>,
    broker: Option<Broker>,
    registry: Option<Registry>,
    home: PathBuf,
    directory: PathBuf,
    _lock: File,
}

impl Running {
    fn start(wanted: Wanted) -> Result<Start> {
        let home = home();
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        if let Some(what) = lacks(&home, wanted) {
            return Ok(Start::Absent(what));
        }
        let fleet = Arc::new(Fleet::default());
        fleet.end_on_signals()?;
        // One at a time downloads, and removes what others left behind.
        let gate = File::create(home.join(LOCK))?;
        gate.lock()?;
        if let Err(error) = get(&fleet, &home, wanted) {
            return Ok(Start::Absent(format!("{error:#}")));
        }
        sweep(&home)?;
        let directory = home.join(format!("run-{}", std::process::id()));
        // Of a dead process with the same id, and kept; this one's is worth more.
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let lock = File::create(directory.join(LOCK))?;
        lock.lock()?;
        drop(gate);
        fleet.scratch(Some(directory.clone()));
        let (broker, registry) = start(&fleet, &home, &directory, wanted)
            .with_context(|| format!("the logs are in {}", directory.display()))?;
        let running = Self { fleet, broker, registry, home, directory, _lock: lock };
        Ok(Start::Started(Box::new(running)))
    }

    fn names(&self) -> Vec<&'static str> {
        let kafka = self.broker.as_ref().map(|_| kafka::NAME);
        kafka.into_iter().chain(self.registry.as_ref().map(|_| registry::NAME)).collect()
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |path: PathBuf| path.display().to_string();
        let mut variables = Vec::new();
        if let Some(broker) = &self.broker {
            variables.extend([
                (BROKERS, broker.address()),
                (SASL_SSL, broker.sasl_ssl()),
                (MTLS, broker.mtls()),
                (TLS_DIR, path(broker.tls())),
                (KAFKA_LIBS, path(kafka::libs(&self.home))),
            ]);
        }
        if let Some(registry) = &self.registry {
            variables.push((REGISTRY, registry.url()));
            variables.push((REGISTRY_HOME, path(registry::home(&self.home))));
        }
        variables
    }

    /// An error if a service has ended by itself.
    fn check(&self) -> Result<()> {
        self.broker.as_ref().map_or(Ok(()), Broker::check)?;
        self.registry.as_ref().map_or(Ok(()), Registry::check)
    }

    /// Keeps data and logs, whatever comes.
    fn keep(&self) -> Result<()> {
        self.fleet.scratch(None);
        Ok(fs::write(self.directory.join(KEPT), "")?)
    }

    /// Stops the services and removes data and logs.
    fn finish(self) -> Result<()> {
        // In order, and both at once; dropped, each would be killed.
        self.fleet.end();
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}

/// The folder of all this.
fn home() -> PathBuf {
    crate::target().join("services")
}

/// What must be installed first, if anything.
fn lacks(home: &Path, wanted: Wanted) -> Option<String> {
    let fetched =
        (!wanted.kafka || kafka::is_fetched(home)) && (!wanted.registry || registry::is_fetched(home));
    let mut missing = Vec::new();
    if !can_run("java", "-version") {
        missing.push("java (openjdk-17-jre-headless)");
    }
    if !fetched && !can_run("mvn", "--version") {
        missing.push("mvn (maven)");
    }
    if missing.is_empty() {
        return None;
    }
    Some(format!("this machine lacks {}; the names in brackets are Debian's packages", missing.join(" and ")))
}

fn can_run(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Downloads what is wanted and not there.
fn get(fleet: &Fleet, home: &Path, wanted: Wanted) -> Result<()> {
    if wanted.kafka && !kafka::is_fetched(home) {
        tell(&format!("services: downloading {}, 43 MB", kafka::NAME));
        kafka::get(fleet, home).with_context(|| format!("cannot download {}", kafka::NAME))?;
    }
    if wanted.registry && !registry::is_fetched(home) {
        tell(&format!("services: downloading {}, 109 MB", registry::NAME));
        registry::get(fleet, home).with_context(|| format!("cannot download {}", registry::NAME))?;
    }
    Ok(())
}

/// Removes the directories of runs that live no more.
fn sweep(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home)? {
        let directory = entry?.path();
        let is_run = directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"));
        if !is_run || directory.join(KEPT).exists() {
            continue;
        }
        let alive = File::open(directory.join(LOCK))
            .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        // Its own process may be removing it too.
        if !alive
            && let Err(error) = fs::remove_dir_all(&directory)
            && directory.exists()
        {
            return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
        }
    }
    Ok(())
}

/// Starts what is wanted, both at once, and waits until it answers.
fn start(
    fleet: &Arc<Fleet>,
    home: &Path,
    directory: &Path,
    wanted: Wanted,
) -> Result<(Option<Broker>, Option<Registry>)> {
    let begin = Instant::now();
    let own = |name| directory.join(name);
    // The slower one first.
    let registry = if wanted.registry {
        Some(Registry::launch(fleet, &registry::home(home), &own("registry"))?)
    } else {
        None
    };
    let broker = if wanted.kafka {
        let options = BrokerOptions { tls: true, ..BrokerOptions::default() };
        Some(Broker::start_in(fleet, &kafka::libs(home), &own("kafka"), options)?)
    } else {
        None
    };
    let registry = registry.map(Registry::settled).transpose()?;
    tell(&format!("services: up in {:.1} s", begin.elapsed().as_secs_f64()));
    Ok((broker, registry))
}

/// Says how it goes, beside what is asked for on stdout.
fn tell(text: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_that_live_or_are_kept_stay() {
        let home = tempfile::tempdir().unwrap();
        let run = |name: &str| {
            let directory = home.path().join(name);
            fs::create_dir(&directory).unwrap();
            (File::create(directory.join(LOCK)).unwrap(), directory)
        };
        let (alive, alive_directory) = run("run-1");
        alive.lock().unwrap();
        let (_, dead) = run("run-2");
        let (_, kept) = run("run-3");
        fs::write(kept.join(KEPT), "").unwrap();
        let (_, no_run) = run("kafka");
        sweep(home.path()).unwrap();
        assert!(alive_directory.exists() && kept.exists() && no_run.exists());
        assert!(!dead.exists());
        drop(alive);
        sweep(home.path()).unwrap();
        assert!(!alive_directory.exists());
    }

    #[test]
    fn ci_is_true_and_nothing_else() {
        assert!(in_ci(Some(OsStr::new("true"))));
        assert!(!in_ci(Some(OsStr::new("false"))));
        assert!(!in_ci(None));
    }

    #[test]
    fn services_that_nobody_asked_for_are_not_started_and_it_is_said() {
        let mut services = ForTests::default();
        assert!(services.start(false).unwrap());
        let given = [BROKERS, REGISTRY].iter().all(|name| std::env::var_os(name).is_some());
        assert_eq!(services.summary().ends_with(NOT_ASKED), !given, "{}", services.summary());
        assert!(services.variables().is_empty());
        services.stop(true).unwrap();
    }
}
