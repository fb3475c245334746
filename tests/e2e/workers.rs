//! Workers under load: several processes of one deployment, and what is sent to them meanwhile.

use crate::deployment::{Changes, Deployment, Launcher};
use crate::groups::owned;
use crate::load::{CAMPAIGNS, Expected, Load, Records};
use crate::process::Process;
use crate::wait::{PATIENCE, until};
use catchment_connectors::kafka::{RawProducer, RawRecord};
use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The groups of the roles begin with it.
pub(crate) const APP: &str = "chaos";
/// Of `behaviour.events`, and of `customer.events`.
pub(crate) const PARTITIONS: u32 = 4;

/// What the groups deal out.
const TOPICS: [&str; 2] = ["customer.events", "behaviour.events"];

const CONFIG: &str = "
app: chaos
partitions: 4
sources:
  - {name: behaviour, topic: behaviour.events, mapping: segment, arrival: receivedAt}
campaigns: [ordered.yaml, cart.yaml]
timers: {grace: 0s}
";

/// Configures a deployment, which has no topics and schemas yet, for a [`Load`].
pub(crate) fn prepared(mut deployment: Deployment) -> Deployment {
    deployment.config = deployment.path("catchment.yaml");
    fs::write(&deployment.config, CONFIG).unwrap();
    for (file, text) in CAMPAIGNS {
        fs::write(deployment.path(file), text).unwrap();
    }
    deployment.set("TOPICS__RAW_PARTITIONS", &PARTITIONS.to_string());
    deployment.set_up();
    deployment
}

/// Says a figure past the capture of the test harness.
pub(crate) fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// Sends a load to its end.
pub(crate) fn send(deployment: &Deployment, records: Records) -> Sent {
    Sender::new(deployment, records).finish(|_| true)
}

/// What was sent.
pub(crate) struct Sent {
    /// The bytes of all of it, a line each.
    pub(crate) lines: Vec<u8>,
    /// What must come of it.
    pub(crate) expected: Expected,
}

impl Sent {
    /// Both, of which the events differ.
    pub(crate) fn and(mut self, other: Sent) -> Sent {
        self.lines.extend(other.lines);
        self.expected.add(other.expected);
        self
    }
}

struct Sender {
    producer: RawProducer,
    records: Records,
    lines: Vec<u8>,
}

impl Sender {
    fn new(deployment: &Deployment, records: Records) -> Self {
        Sender { producer: RawProducer::new(&deployment.cluster()).unwrap(), records, lines: Vec::new() }
    }

    /// Sends while it may: asked before each record, with the number of those before.
    fn finish(mut self, mut may: impl FnMut(u64) -> bool) -> Sent {
        let mut number = 0;
        while may(number)
            && let Some((partition, bytes)) = self.records.next(PARTITIONS)
        {
            let record = RawRecord {
                topic: "behaviour.events",
                partition: Some(partition),
                value: Some(&bytes),
                ..RawRecord::default()
            };
            self.producer.send(&record).unwrap();
            self.lines.extend_from_slice(&bytes);
            self.lines.push(b'\n');
            number += 1;
        }
        self.producer.flush(PATIENCE).unwrap();
        Sent { lines: self.lines, expected: self.records.expected }
    }
}

/// A load that is sent at an even pace until it is stopped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

impl Stream {
    /// So many records a second.
    pub(crate) fn start(deployment: &Deployment, load: Load, pace: u64) -> Self {
        let (stop, sender) = (Arc::<AtomicBool>::default(), Sender::new(deployment, load.records()));
        let (stopped, start) = (Arc::clone(&stop), Instant::now());
        let may = move |number: u64| {
            let due = Duration::from_micros(number * 1_000_000 / pace);
            thread::sleep(due.saturating_sub(start.elapsed()));
            !stopped.load(Ordering::Relaxed)
        };
        let thread = thread::spawn(move || sender.finish(may));
        Stream { stop, thread }
    }

    /// All that was sent.
    pub(crate) fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Workers of all roles, each under a name that it keeps.
pub(crate) struct Workers<'a> {
    launcher: Launcher,
    changes: Changes<'a>,
    running: Vec<Process>,
}

impl<'a> Workers<'a> {
    pub(crate) fn start(deployment: &Deployment, count: usize, changes: Changes<'a>) -> Self {
        let launcher = deployment.launcher();
        let running = (0..count).map(|number| launcher.run(&name(number), &[], changes)).collect();
        Workers { launcher, changes, running }
    }

    pub(crate) fn all(&self) -> &[Process] {
        &self.running
    }

    /// `kill -9`, and a new one under the same name.
    pub(crate) fn kill(&mut self, number: usize) {
        self.running[number].kill_now();
        self.running[number] = self.launcher.run(&name(number), &[], self.changes);
    }

    /// Asks one to stop, and starts a new one under the same name.
    pub(crate) fn restart(&mut self, number: usize) {
        assert!(self.running[number].end_now("TERM").success());
        self.running[number] = self.launcher.run(&name(number), &[], self.changes);
    }

    /// Waits until each has a share of the partitions.
    #[track_caller]
    pub(crate) fn share_out(&self) {
        let shared = |topic| self.running.iter().all(|worker| !owned(worker, topic).is_empty());
        until(|| TOPICS.into_iter().all(shared).then_some(()), || self.text());
    }

    /// Waits until all that there is has been worked off, timers included.
    #[track_caller]
    pub(crate) fn drained(&self, patience: Duration) {
        let sum = |name: &str| self.running.iter().map(|worker| worker.metric(name, &[])).sum::<f64>();
        let ready = |worker: &Process| worker.get("/readyz").is_some_and(|(status, _)| status == 200);
        let owned = |topic| self.running.iter().flat_map(|worker| owned(worker, topic)).collect::<Vec<_>>();
        let open = || {
            let ready = self.running.iter().filter(|worker| ready(worker)).count();
            let timers = sum("catchment_timers_pending");
            let lag = self.running.iter().map(Process::lag).sum::<f64>();
            (ready, lag, timers, TOPICS.map(|topic| sorted(owned(topic))))
        };
        let all = || (0..u64::from(PARTITIONS)).collect::<Vec<_>>();
        let done = (self.running.len(), 0.0, 0.0, [all(), all()]);
        let start = Instant::now();
        let mut since = Instant::now();
        // Workers look at their lag once a second: what one of them says may be older than what it was handed since.
        while since.elapsed() < Duration::from_millis(2_500) {
            let open = open();
            if open != done {
                since = Instant::now();
            }
            assert!(
                start.elapsed() < patience,
                "(ready, lag, timers, owned) {open:?} after {patience:?}\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn text(&self) -> String {
        self.running.iter().map(Process::text).collect::<Vec<_>>().join("\n---\n")
    }
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

fn name(number: usize) -> String {
    format!("worker-{number}")
}
