//! The process that is measured, from outside: its CPU, its memory, its end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::worker::READY;

/// Clock ticks in a second: 100 on every architecture that Rust runs Linux on.
const TICKS: f64 = 100.0;

/// A process of this program. Killed when it is dropped.
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    started: Instant,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Used {
    /// Seconds on processors, in user and in system mode.
    pub(super) cpu: f64,
    /// The most memory that it had in RAM, in bytes.
    pub(super) peak: u64,
}

impl Process {
    /// Starts to work on the job in a directory. What it logs is added to `log` there.
    pub(super) fn start(directory: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log"));
        let mut child = Command::new(program)
            .args(["bench", "--worker"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.context("the log can't be written")?)
            .spawn()
            .context("the process can't be started")?;
        let (sender, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Process { child, lines, started: Instant::now() })
    }

    /// Waits until it works; returns how long that took from its start.
    pub(super) fn ready(&self, patience: Duration) -> anyhow::Result<Duration> {
        loop {
            match self.lines.recv_timeout(patience.saturating_sub(self.started.elapsed())) {
                Ok(line) if line == READY => return Ok(self.started.elapsed()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    anyhow::bail!("not ready within {} s", patience.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("it ended before it was ready"),
            }
        }
    }

    /// What it has used so far.
    pub(super) fn used(&self) -> anyhow::Result<Used> {
        Ok(Used { cpu: cpu_of(self.child.id())?, peak: peak_of(self.child.id())? })
    }

    /// Ends it at once, as a crash does.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("the process can't be killed")?;
        self.child.wait().context("the process can't be waited for")?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds that a process was on processors.
pub(super) fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The second field is the name in brackets, which may hold anything; the first one behind it is the third.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split(' ').collect());
    let ticks = |number: usize| fields.get(number - 2).and_then(|field| field.parse::<f64>().ok());
    ticks(14)
        .zip(ticks(15))
        .map(|(user, system)| (user + system) / TICKS)
        .context("/proc says nothing of CPU")
}

pub(super) fn peak_of(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("/proc says nothing of memory")? << 10)
}
