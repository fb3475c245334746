//! A lane's thread: joins the group, restores, steps, and rebuilds the lane when it can't go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use catchment_connectors::kafka::{KafkaLane, LaneSettings};
use catchment_connectors::retry::Backoff;
use catchment_runtime::{
    Kept, Lane, LaneConfig, LaneError, Log as _, LogError, Millis, Order, Partition, Restored, Seat,
    StepReport, TopicPartition,
};

use super::Plan;
use super::react::{Reaction, Why, react};
use super::roles::Role;
use crate::config::Clock;
use crate::connect;

/// How often a lane asks where its inputs end.
const TAILS: Duration = Duration::from_secs(1);

/// Longest wait for the first record of a step, which ends with the record.
const IDLE: Duration = Duration::from_millis(100);

/// As [`IDLE`], of lanes that read in order of arrival: they wait for each empty partition in turn.
const IDLE_BY_ARRIVAL: Duration = Duration::from_millis(10);

/// Naps between looks at the request to stop.
const NAP: Duration = Duration::from_millis(100);

/// A lane's thread.
pub(super) struct Worker<R: Role> {
    role: R,
    plan: Arc<Plan>,
    /// Number of the lane among those of its role in this process, from 0.
    index: u16,
    /// Since when the current trouble lasts, and how long to wait until the next attempt.
    trouble: Backoff,
}

/// Why a lane is to be made anew.
struct Broken {
    why: Why,
    error: anyhow::Error,
}

/// A lane with the partition numbers of its tasks, by place.
struct Seated<R: Role> {
    lane: Lane<KafkaLane, R::Task>,
    numbers: Vec<Partition>,
}

impl<R: Role> Worker<R> {
    pub(super) fn new(role: R, plan: Arc<Plan>, index: u16) -> Self {
        let trouble = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        Worker { role, plan, index, trouble }
    }

    /// Works until the process is asked to stop. Never gives up: whatever goes wrong, the lane is made anew.
    pub(super) fn run(mut self) {
        let span = tracing::info_span!("lane", role = R::NAME, lane = self.index);
        let _entered = span.enter();
        while !self.plan.stop.requested() {
            match self.life() {
                Ok(()) => break,
                Err(broken) => self.mourn(&broken),
            }
        }
        tracing::info!("lane stopped");
    }

    /// Says why the lane is gone, and waits before the next one.
    fn mourn(&mut self, broken: &Broken) {
        let Broken { why, error } = broken;
        let wait = self.trouble.next_wait();
        if self.trouble.is_worth_saying() {
            tracing::error!(
                why = why.as_str(),
                attempts = self.trouble.attempts(),
                "lane is made anew: {error:#}"
            );
        }
        self.nap(wait);
    }

    /// A lane from joining the group to the request to stop.
    fn life(&mut self) -> Result<(), Broken> {
        let mut seated = self.join()?;
        let mut asked = Instant::now();
        while !self.plan.stop.requested() {
            let turn = self.turn(&mut seated, &mut asked);
            match turn.as_ref().map_err(react) {
                Ok(()) => self.trouble.reset(),
                Err(Reaction::Wait) => self.wait(turn),
                Err(Reaction::Reassign) => seated = self.reassign(seated)?,
                Err(Reaction::Rebuild(why)) => {
                    let error = turn.err().map_or_else(|| anyhow::anyhow!("unknown"), anyhow::Error::from);
                    return Err(Broken { why, error });
                }
            }
        }
        if self.plan.stop.is_leaving() {
            let (log, _) = seated.lane.dissolve();
            if let Err(error) = log.leave() {
                tracing::warn!("the group could not be told that this lane leaves: {error}");
            }
        }
        Ok(())
    }

    /// The world is at fault; the same lane goes on.
    fn wait(&mut self, turn: Result<(), LaneError>) {
        let wait = self.trouble.next_wait();
        if let Err(error) = turn
            && self.trouble.is_worth_saying()
        {
            let seconds = self.trouble.lasted().as_secs();
            tracing::warn!(seconds, "lane waits: {error}");
        }
        self.nap(wait);
    }

    fn join(&mut self) -> Result<Seated<R>, Broken> {
        let broken = |error: anyhow::Error| Broken { why: Why::Broken, error };
        let settings = self.settings().map_err(broken)?;
        let log = KafkaLane::join(settings).map_err(|error| broken(error.into()))?;
        self.seat(log, BTreeMap::new())
    }

    /// A lane over the log, with the tasks that are kept and new ones for all other partition numbers.
    fn seat(
        &self,
        log: KafkaLane,
        mut kept: BTreeMap<Partition, Kept<R::Task>>,
    ) -> Result<Seated<R>, Broken> {
        let stuck = |error: anyhow::Error| Broken { why: Why::Stuck, error };
        let mut inputs: BTreeMap<Partition, Vec<TopicPartition>> = BTreeMap::new();
        for at in log.assignment() {
            inputs.entry(at.partition).or_default().push(*at);
        }
        let mut seats = Vec::with_capacity(inputs.len());
        for (number, inputs) in &inputs {
            seats.push(match kept.remove(number) {
                Some(kept) => Seat::Kept(kept),
                None => Seat::New(self.role.task(*number, inputs).map_err(stuck)?),
            });
        }
        let numbers: Vec<Partition> = inputs.into_keys().collect();
        tracing::info!(partitions = ?numbers, "lane owns partitions");
        let place = |at: TopicPartition| numbers.iter().position(|number| *number == at.partition);
        let config = LaneConfig { limits: self.plan.limits, order: self.role.order() };
        match Lane::assemble(log, seats, place, config) {
            Ok(lane) => Ok(Seated { lane, numbers }),
            Err(error) => {
                let why = match react(&error) {
                    Reaction::Rebuild(why) => why,
                    Reaction::Wait | Reaction::Reassign => Why::Broken,
                };
                Err(Broken { why, error: error.into() })
            }
        }
    }

    /// Takes up what the group changed; tasks that stay keep their state.
    fn reassign(&self, seated: Seated<R>) -> Result<Seated<R>, Broken> {
        let (mut log, tasks) = seated.lane.dissolve();
        let change = loop {
            match log.reassign() {
                Ok(change) => break change,
                Err(LogError::Retry { reason }) if !self.plan.stop.requested() => {
                    tracing::debug!("reassignment waits: {reason}");
                    thread::sleep(NAP);
                }
                Err(error) => return Err(Broken { why: Why::Broken, error: error.into() }),
            }
        };
        let numbers = seated.numbers.into_iter();
        let mut kept: BTreeMap<Partition, Kept<R::Task>> =
            numbers.zip(tasks).filter_map(|(number, kept)| Some((number, kept?))).collect();
        for at in change.revoked.iter().chain(&change.lost) {
            kept.remove(&at.partition);
        }
        self.seat(log, kept)
    }

    /// One turn of the loop: a slice of restoring, or a step.
    fn turn(&mut self, seated: &mut Seated<R>, asked: &mut Instant) -> Result<(), LaneError> {
        match seated.lane.restore_some()? {
            Restored::More => return Ok(()),
            Restored::Held { at, position, target } => {
                return Err(LaneError::RestoreHeld { at, position, target });
            }
            Restored::Done => {}
        }
        if asked.elapsed() >= TAILS {
            *asked = Instant::now();
            self.ask_for_tails(seated)?;
        }
        let started = Instant::now();
        let role = &mut self.role;
        let now = match self.plan.config.clock {
            Clock::Wall => Some(wall_clock()),
            Clock::Event => None,
        };
        let report = seated.lane.step(now, &mut |effect| role.effect(effect))?;
        role.step_done();
        self.pace(&report, started);
        Ok(())
    }

    /// Keeps the distance between two commits, unless there is more to read at once: under load the batch grows by
    /// itself.
    fn pace(&self, report: &StepReport, started: Instant) {
        if report.aborted.is_some() {
            thread::sleep(NAP);
        } else if !report.is_idle() && !report.full {
            thread::sleep(self.plan.commit_interval.saturating_sub(started.elapsed()));
        }
    }

    fn ask_for_tails(&self, _seated: &mut Seated<R>) -> Result<(), LaneError> {
        Ok(())
    }

    fn settings(&self) -> anyhow::Result<LaneSettings> {
        let Plan { config, table, instance, .. } = &*self.plan;
        let cluster = connect::cluster(&config.kafka)?;
        let mut settings = LaneSettings::new(cluster, Arc::clone(table), self.role.topic());
        let index = self.index;
        settings.followed = self.role.followed();
        settings.group = format!("{}.{}", config.app, R::NAME);
        settings.instance = format!("{instance}-{}-{index}", R::NAME);
        settings.transactional_id = format!("{}.{}.{instance}-{index}", config.app, R::NAME);
        settings.session_timeout = config.kafka.session_timeout.as_duration();
        settings.transaction_timeout = config.kafka.transaction_timeout.as_duration();
        settings.request_timeout = config.kafka.request_timeout.as_duration();
        settings.poll_wait = match self.role.order() {
            Order::Offset => IDLE,
            Order::Arrival => IDLE_BY_ARRIVAL,
        };
        settings.queue_kib = u32::try_from(config.kafka.fetch_ahead.bytes() >> 10)?;
        settings.record_limit = usize::try_from(config.kafka.max_record.bytes())?;
        Ok(settings)
    }

    /// Waits, but no longer than until the request to stop.
    fn nap(&self, wait: Duration) {
        let end = Instant::now() + wait;
        while !self.plan.stop.requested() && Instant::now() < end {
            thread::sleep(NAP.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

/// Milliseconds since 1970.
fn wall_clock() -> Millis {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
