//! Child processes that do not outlive this one.
//!
//! Each child leads a process group of its own, so that it is stopped by its id, and so that Ctrl-C in a terminal
//! reaches it only through here. It is stopped at the end, by an error, by a panic and by a signal. Against SIGKILL,
//! which nobody can answer, it is tied to this process by `setpriv` where there is one that can (Linux).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long a child may take to stop in order.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a child.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// A child, by its process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u32);

/// The children. Dropping it stops them all.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    crew: Arc<Mutex<Crew>>,
}

#[derive(Debug, Default)]
struct Crew {
    children: Vec<Child>,
    /// What a signal removes once the children have stopped.
    scratch: Option<PathBuf>,
}

impl Fleet {
    /// From now on SIGINT, SIGTERM and SIGHUP stop the children, and then end this process with 128 + signal.
    pub(super) fn end_on_signals(&self) -> Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
        let crew = Arc::clone(&self.crew);
        let watch = move || {
            if let Some(signal) = signals.forever().next() {
                // Held to the end: nothing starts any more, and nobody reports the end of a child as an error.
                let mut crew = lock(&crew);
                crew.end();
                if let Some(scratch) = &crew.scratch {
                    // What is left is removed by the next run.
                    let _ = fs::remove_dir_all(scratch);
                }
                std::process::exit(128 + signal);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(watch).context("cannot start a thread")?;
        Ok(())
    }

    /// Names the directory that a signal removes, after the children have stopped.
    pub(super) fn scratch(&self, directory: Option<PathBuf>) {
        lock(&self.crew).scratch = directory;
    }

    /// Starts a child. What it writes is appended to the file `log`.
    ///
    /// The thread that calls this must outlive the child: to the kernel, the end of that thread is the end of the
    /// parent.
    pub(super) fn spawn(&self, command: &Command, log: &Path) -> Result<Id> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = tied(command);
        command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Started under the lock, so that a signal sees a child or prevents it.
        let mut crew = lock(&self.crew);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let id = Id(child.id());
        crew.children.push(child);
        Ok(id)
    }

    /// How a child has ended, if it has.
    pub(super) fn ended(&self, id: Id) -> Result<Option<ExitStatus>> {
        let mut crew = lock(&self.crew);
        let Some(child) = crew.children.iter_mut().find(|child| child.id() == id.0) else {
            bail!("process {} was not started here", id.0);
        };
        Ok(child.try_wait()?)
    }

    /// Runs a child to its end. An error has the end of what it wrote.
    pub(super) fn run(&self, command: &Command, log: &Path, limit: Duration) -> Result<()> {
        let id = self.spawn(command, log)?;
        let deadline = Instant::now() + limit;
        let program = command.get_program().to_string_lossy();
        loop {
            match self.ended(id)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{program}: {status}\n{}", tail(log)),
                None if Instant::now() > deadline => {
                    self.end();
                    bail!("{program}: not done after {} s\n{}", limit.as_secs(), tail(log));
                }
                None => thread::sleep(PAUSE),
            }
        }
    }

    /// Stops a child in order, and waits until it has ended. One that has ended already is no error.
    pub(super) fn stop(&self, id: Id) {
        let mut crew = lock(&self.crew);
        let (mut one, others) = crew.part(id);
        one.end();
        crew.children = others;
    }

    /// Kills a child, and waits until it is dead.
    pub(super) fn kill(&self, id: Id) {
        let mut crew = lock(&self.crew);
        let (mut one, others) = crew.part(id);
        one.kill();
        crew.children = others;
    }

    /// Sends a signal, such as `STOP`, to the group of a child.
    pub(super) fn signal(&self, id: Id, name: &str) -> Result<()> {
        let crew = lock(&self.crew);
        let Some(child) = crew.children.iter().find(|child| child.id() == id.0) else {
            bail!("process {} does not run", id.0);
        };
        signal(child, name);
        Ok(())
    }

    /// Stops all children, and waits until they have ended.
    pub(super) fn end(&self) {
        lock(&self.crew).end();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end();
    }
}

impl Crew {
    /// A crew of this child alone, and all the others.
    fn part(&mut self, id: Id) -> (Crew, Vec<Child>) {
        let (one, others) = self.children.drain(..).partition(|child| child.id() == id.0);
        (Crew { children: one, scratch: None }, others)
    }

    fn end(&mut self) {
        // A child that has ended is left alone: its id may be another's by now.
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        for child in &self.children {
            signal(child, "TERM");
            // One that was frozen does not hear it before.
            signal(child, "CONT");
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.children.is_empty() && Instant::now() < deadline {
            thread::sleep(PAUSE);
            self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        }
        self.kill();
    }

    fn kill(&mut self) {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        for child in &mut self.children {
            signal(child, "KILL");
            // Again without the help of a shell. An error means that it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.children.clear();
    }
}

fn lock(crew: &Mutex<Crew>) -> MutexGuard<'_, Crew> {
    // A panic elsewhere is no reason to leave children behind.
    crew.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a signal to the group of a child that was not waited for, so that the id is still its own. Through the
/// shell, whose `kill` is everywhere: the standard library can only kill.
fn signal(child: &Child, name: &str) {
    let script = format!("kill -s {name} -- -{}", child.id());
    // The caller waits for the child anyway, and kills it at the end.
    let _ = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stderr(Stdio::null()).status();
}

/// The same command, killed by the kernel when this process ends without having stopped it.
fn tied(command: &Command) -> Command {
    const TIE: [&str; 3] = ["--pdeathsig", "KILL", "--"];
    static CAN: OnceLock<bool> = OnceLock::new();
    let can = *CAN.get_or_init(|| {
        let mut probe = Command::new("setpriv");
        probe.args(TIE).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    let mut tied = if can {
        let mut tied = Command::new("setpriv");
        tied.args(TIE).arg(command.get_program());
        tied
    } else {
        Command::new(command.get_program())
    };
    tied.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        tied.current_dir(directory);
    }
    tied
}

/// The last lines of a log, indented.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(20)..];
    last.iter().map(|line| format!("  | {line}\n")).collect()
}

#[cfg(test)]
mod tests;
