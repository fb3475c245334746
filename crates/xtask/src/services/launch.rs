//! From a started process to a service that answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::fleet::{Fleet, Id, PAUSE, tail};
use super::ports::{HOST, is_clash};

/// A cold start on a machine that is busy with other things.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// How often other ports are tried.
const ATTEMPTS: u32 = 4;

/// A process that was started to serve.
#[derive(Clone, Debug)]
pub(super) struct Launched {
    /// As it is called in what is shown.
    pub(super) name: &'static str,
    pub(super) id: Id,
    pub(super) port: u16,
    /// What it writes; no other process writes there.
    pub(super) log: PathBuf,
    /// What it writes when it is up.
    pub(super) started: &'static str,
    /// Whether whoever listens on the port answers as it should. An error is a no.
    pub(super) answers: fn(u16) -> Result<bool>,
}

impl Launched {
    /// Where it listens.
    pub(super) fn address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// An error if it has ended.
    pub(super) fn check(&self, fleet: &Fleet) -> Result<()> {
        if let Some(status) = fleet.ended(self.id)? {
            bail!("{} ended by itself: {status}\n{}", self.name, tail(&self.log));
        }
        Ok(())
    }
}

/// Java in the directory of a service, kept small: it shares the machine with what it serves. The first tier of its
/// compiler alone halves the start; what it costs in throughput, no test that ends within seconds gets to see.
pub(super) fn java(directory: &Path, heap: &str) -> Command {
    let mut command = Command::new("java");
    command.current_dir(directory);
    command.args([heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]);
    command.arg("-Djava.io.tmpdir=tmp");
    command
}

/// A log for one start of a service, as the word of an earlier one that it is up would be taken for this one's.
pub(super) fn new_log(directory: &Path, name: &str) -> PathBuf {
    let mut logs = (1..).map(|number| directory.join(format!("{name}-{number}.log")));
    logs.find(|log| !log.exists()).unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Wait,
    /// It says that it is up: see whether it answers.
    Ask,
    /// Its port was taken between the choice and its start.
    TryOtherPorts,
    Failed,
}

/// Its own word comes first: as long as it starts, another process may answer on its port.
fn progress(ended: bool, log: &str, started: &str) -> Progress {
    match ended {
        true if is_clash(log) => Progress::TryOtherPorts,
        true => Progress::Failed,
        false if log.contains(started) => Progress::Ask,
        false => Progress::Wait,
    }
}

/// Waits until a service answers. Where its port was taken, it is launched again.
pub(super) fn settle(
    fleet: &Fleet,
    mut service: Launched,
    mut launch: impl FnMut() -> Result<Launched>,
) -> Result<Launched> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut attempts = 1;
    loop {
        // In this order: a log that is read after the end is complete.
        let ended = fleet.ended(service.id)?.is_some();
        let log = fs::read(&service.log)?;
        match progress(ended, &String::from_utf8_lossy(&log), service.started) {
            Progress::Ask if (service.answers)(service.port).unwrap_or(false) => return Ok(service),
            Progress::TryOtherPorts if attempts < ATTEMPTS => {
                attempts += 1;
                service = launch()?;
            }
            Progress::TryOtherPorts | Progress::Failed => service.check(fleet)?,
            Progress::Wait | Progress::Ask => {}
        }
        if Instant::now() > deadline {
            bail!("{}: not ready after {} s\n{}", service.name, READY_WITHIN.as_secs(), tail(&service.log));
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Command;

    use super::*;

    #[test]
    fn service_is_asked_only_when_it_says_that_it_is_up() {
        assert_eq!(progress(false, "starting", "is up"), Progress::Wait);
        assert_eq!(progress(false, "starting\nis up", "is up"), Progress::Ask);
        assert_eq!(progress(true, "starting\nis up", "is up"), Progress::Failed);
        assert_eq!(progress(true, "Address already in use", "is up"), Progress::TryOtherPorts);
        // It may yet go on without that port.
        assert_eq!(progress(false, "Address already in use", "is up"), Progress::Wait);
    }

    /// A stand-in for a service: a shell script that writes and then does as it likes.
    fn launch(fleet: &Fleet, directory: &tempfile::TempDir, port: u16, script: &str) -> Launched {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = directory.path().join(format!("{port}.log"));
        let id = fleet.spawn(&command, &log).unwrap();
        Launched { name: "a service", id, port, log, started: "is up", answers: |_| Ok(true) }
    }

    #[test]
    fn other_ports_are_tried_when_one_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let fleet = Fleet::default();
        let port = Cell::new(1);
        let service =
            settle(&fleet, launch(&fleet, &directory, 1, "echo Address already in use; exit 1"), || {
                port.set(port.get() + 1);
                let script =
                    if port.get() < 3 { "echo Address already in use" } else { "echo is up; exec sleep 600" };
                Ok(launch(&fleet, &directory, port.get(), script))
            })
            .unwrap();
        assert_eq!(service.port, 3);
        assert_eq!(service.address(), "127.0.0.1:3");
        service.check(&fleet).unwrap();
    }

    #[test]
    fn ports_are_not_tried_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let fleet = Fleet::default();
        let clash = || Ok(launch(&fleet, &directory, 1, "echo Address already in use; exit 1"));
        let error = settle(&fleet, clash().unwrap(), clash).unwrap_err();
        assert!(error.to_string().starts_with("a service ended by itself: exit status: 1\n"), "{error}");
    }

    #[test]
    fn service_that_fails_is_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let fleet = Fleet::default();
        let service = launch(&fleet, &directory, 1, "echo no memory; exit 1");
        let error = settle(&fleet, service, || panic!("nothing to try again")).unwrap_err();
        assert_eq!(error.to_string(), "a service ended by itself: exit status: 1\n  | no memory\n");
    }
}
