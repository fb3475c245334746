//! A real broker and a real schema registry for tests: downloaded once, started in a directory of their own on free
//! ports of this machine, and stopped with what started them.
//!
//! All lies in `target/services`: what was downloaded, and for each run `run-PID` with data and logs. The directory
//! of a run is removed at its end, or, where that end was a failure, by the next run.

mod fetch;
mod fleet;
mod kafka;
mod launch;
mod ports;
mod registry;

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::say;
use fleet::Fleet;
use launch::{Launched, settle};

/// Where tests find a broker, as `host:port`.
const BROKERS: &str = "CATCHMENT_TEST_BROKERS";
/// Where tests find a registry, as URL.
const REGISTRY: &str = "CATCHMENT_TEST_REGISTRY";

/// In the directory of a run, the file whose lock says that the run lives.
const LOCK: &str = "lock";
/// In the directory of a run, the file that keeps it from being removed.
const KEPT: &str = "kept";

/// Starts both, says where they are, and waits for a signal. With `keep`, data and logs stay.
pub(crate) fn run(root: &Path, keep: bool) -> Result<()> {
    let running = match Running::start(root, Wanted { kafka: true, registry: true })? {
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
        for service in &running.services {
            service.check(&running.fleet)?;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// What tests run against.
#[derive(Debug, Default)]
pub(crate) struct ForTests {
    running: Option<Running>,
    said: Vec<String>,
}

/// What is said where nobody asked for services.
const NOT_ASKED: &str = "not started; tests that need them say that they were skipped (--services)";

impl ForTests {
    /// Starts what no variable names, if it is wanted. False where CI lacks what it takes; another machine may.
    pub(crate) fn start(&mut self, root: &Path, wanted_at_all: bool) -> Result<bool> {
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
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
        let passed = match Running::start(root, wanted) {
            Ok(Start::Started(running)) => {
                self.said.extend(running.services.iter().map(|service| format!("{} started", service.name)));
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
        self.running.as_ref().map(Running::variables).unwrap_or_default()
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
    Started(Running),
    /// This machine lacks something; what.
    Absent(String),
}

/// Services, which stop when this is dropped.
#[derive(Debug)]
struct Running {
    // Before the lock, as fields are dropped in order: the run lives as long as its services.
    fleet: Fleet,
    services: Vec<Launched>,
    directory: PathBuf,
    _lock: File,
}

impl Running {
    fn start(root: &Path, wanted: Wanted) -> Result<Start> {
        let home = home(root);
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        if let Some(what) = lacks(&home, wanted) {
            return Ok(Start::Absent(what));
        }
        let fleet = Fleet::default();
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
        fs::create_dir_all(directory.join("tmp"))?;
        let lock = File::create(directory.join(LOCK))?;
        lock.lock()?;
        drop(gate);
        fleet.scratch(Some(directory.clone()));
        let services = start(&fleet, &directory, wanted)
            .with_context(|| format!("the logs are in {}", directory.display()))?;
        Ok(Start::Started(Self { fleet, services, directory, _lock: lock }))
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let variable = |service: &Launched| match service.name {
            kafka::NAME => (BROKERS, service.address()),
            _ => (REGISTRY, format!("http://{}{}", service.address(), registry::PATH)),
        };
        self.services.iter().map(variable).collect()
    }

    /// Keeps data and logs, whatever comes.
    fn keep(&self) -> Result<()> {
        self.fleet.scratch(None);
        Ok(fs::write(self.directory.join(KEPT), "")?)
    }

    /// Stops the services and removes data and logs.
    fn finish(self) -> Result<()> {
        self.fleet.end();
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}

/// The folder of all this, where cargo puts what it builds.
fn home(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // Children run elsewhere.
    std::path::absolute(&target).unwrap_or(target).join("services")
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
fn start(fleet: &Fleet, directory: &Path, wanted: Wanted) -> Result<Vec<Launched>> {
    let begin = Instant::now();
    let launch_registry = || registry::launch(fleet, directory);
    let launch_kafka = || kafka::launch(fleet, directory);
    // The slower one first.
    let registry = if wanted.registry { Some(launch_registry()?) } else { None };
    let mut services = Vec::new();
    if wanted.kafka {
        kafka::format(fleet, directory)?;
        services.push(settle(fleet, launch_kafka()?, launch_kafka)?);
    }
    if let Some(registry) = registry {
        services.push(settle(fleet, registry, launch_registry)?);
    }
    tell(&format!("services: up in {:.1} s", begin.elapsed().as_secs_f64()));
    Ok(services)
}

/// Java in the directory of a run, kept small: it shares the machine with what it serves. The first tier of its
/// compiler alone halves the start; what it costs in throughput, no test that ends within seconds gets to see.
fn java(run: &Path, heap: &str) -> Command {
    let mut command = Command::new("java");
    command.current_dir(run);
    command.args([heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]);
    command.arg("-Djava.io.tmpdir=tmp");
    command
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
        assert!(services.start(Path::new("no such workspace"), false).unwrap());
        let given = [BROKERS, REGISTRY].iter().all(|name| std::env::var_os(name).is_some());
        assert_eq!(services.summary().ends_with(NOT_ASKED), !given, "{}", services.summary());
        assert!(services.variables().is_empty());
        services.stop(true).unwrap();
    }
}
