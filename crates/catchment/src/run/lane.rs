//! A lane's thread: joins the group, restores, steps, and rebuilds the lane when it can't go on.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use catchment_connectors::kafka::{KafkaLane, LaneSettings};
use catchment_connectors::retry::Backoff;
use catchment_runtime::{
    Held, Hold, Kept, Lane, LaneConfig, LaneError, Log as _, LogError, Millis, Order, Origins, Partition,
    Restored, Seat, StepReport, Task as _, TopicPartition,
};

use super::Plan;
use super::react::{Reaction, react};
use super::roles::Role;
use super::seats::{Seats, part, place};
use super::world::nap;
use crate::config::{Clock, Config};
use crate::observe::health::{State, World};
use crate::observe::lane::{LaneName, LaneObserver, Restart, StateSize};
use crate::observe::log::Timed;
use crate::observe::task::Observed;
use crate::{connect, observe};

/// How often a lane asks where its inputs end.
const TAILS: Duration = Duration::from_secs(1);

/// From when on it is said that something does not go on.
const LONG_UNKNOWN: Duration = Duration::from_secs(10);

/// How often a held partition is tried again whose task was not ready.
const RETRY: Duration = Duration::from_millis(500);

/// How often all offsets are committed, also those that did not move: Kafka forgets offsets of topics that a group reads
/// without a subscription, once they are older than `offsets.retention.minutes`.
const RECOMMIT: Duration = Duration::from_secs(3_600);

/// Longest wait for a place in the group.
const JOIN: Duration = Duration::from_secs(15);

/// Longest wait for the first record of a step, which ends with the record.
const IDLE: Duration = Duration::from_millis(100);

/// As [`IDLE`], of lanes that read in order of arrival: they wait for each empty partition in turn.
const IDLE_BY_ARRIVAL: Duration = Duration::from_millis(10);

/// A turn that has nothing to do takes at least so long.
const BREATH: Duration = Duration::from_millis(2);

/// A lane that lived so long was well.
const WELL: Duration = Duration::from_secs(60);

/// Longest wait between two attempts: what a lane is late at most once its trouble is over.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait of a lane that has to ask again at once.
const NAP: Duration = Duration::from_millis(50);

/// A lane's thread.
pub(super) struct Worker<R: Role> {
    role: R,
    plan: Arc<Plan>,
    /// Number of the lane among those of its role in this process, from 0.
    index: u16,
    observer: LaneObserver,
    /// Since when the current trouble lasts, and how long to wait until the next attempt.
    trouble: Backoff,
    /// How long to wait until the next lane is made. A life that ends soon after it began was no success.
    rebuilds: Backoff,
}

/// Why a lane is to be made anew.
struct Broken {
    why: Restart,
    error: anyhow::Error,
}

/// A lane with the partition numbers of its tasks, by place.
struct Seated<R: Role> {
    lane: Lane<Timed<KafkaLane>, Observed<R::Task>>,
    numbers: Vec<Partition>,
    schedule: Schedule,
    /// Partitions that are known to be held.
    held: Vec<Held>,
}

impl<R: Role> Worker<R> {
    pub(super) fn new(role: R, plan: Arc<Plan>, index: u16) -> Self {
        let inputs = [role.topic()].into_iter().chain(role.followed()).collect();
        let (group, topics) = (group(&plan.config, R::NAME), Arc::clone(&plan.table));
        let name = LaneName { role: R::NAME, index, group, inputs, topics };
        let health = plan.health.lane(R::NAME, index);
        let observer = LaneObserver::new(&name, health, plan.traces.as_ref());
        let trouble = Backoff::new(Duration::from_millis(200), LONGEST);
        let rebuilds = Backoff::new(Duration::from_millis(200), LONGEST);
        Worker { role, plan, index, observer, trouble, rebuilds }
    }

    /// Works until the process is asked to stop. Never gives up: whatever goes wrong, the lane is made anew.
    pub(super) fn run(mut self) {
        let span = self.observer.log_span();
        let _entered = span.enter();
        while !self.plan.stop.requested() {
            // A panic is a bug; it costs this lane's state, which is restored, and not the process.
            let begun = Instant::now();
            let life = panic::catch_unwind(AssertUnwindSafe(|| self.life()));
            let life =
                life.unwrap_or_else(|_| Err(Broken::by(Restart::Panicked, anyhow::anyhow!("panicked"))));
            match life {
                Ok(()) => break,
                Err(broken) => {
                    if begun.elapsed() > WELL {
                        self.rebuilds.reset();
                    }
                    self.mourn(&broken);
                }
            }
        }
        self.observer.health().set(State::Stopped { reason: "asked to stop".to_owned() });
        tracing::info!("lane stopped");
    }

    /// Says why the lane is gone, and waits before the next one.
    fn mourn(&mut self, broken: &Broken) {
        let Broken { why, error } = broken;
        self.observer.restarted(*why);
        self.observer.assigned(&[]);
        self.observer.tails(&[]);
        let waiting_for = matches!(why, Restart::Kafka | Restart::Denied).then_some(World::Kafka);
        self.observer.health().set(State::Starting { waiting_for });
        let wait = self.rebuilds.next_wait();
        if self.rebuilds.is_worth_saying() {
            let (attempts, why) = (self.rebuilds.attempts(), why.as_str());
            tracing::error!(why, attempts, "the lane is made anew: {error:#}");
        }
        self.nap(wait);
    }

    /// A lane from joining the group to the request to stop.
    fn life(&mut self) -> Result<(), Broken> {
        let mut seated = self.join()?;
        while !self.plan.stop.requested() {
            self.observer.health().turned();
            let turn = self.turn(&mut seated);
            match turn.as_ref().map_err(react) {
                Ok(()) => self.trouble.reset(),
                Err(Reaction::Wait) => self.wait(turn),
                Err(Reaction::Reassign) => {
                    seated = self.reassign(seated)?;
                    self.trouble.reset();
                }
                Err(Reaction::Rebuild(why)) => {
                    let error = turn.err().map(|error| error.describe(&self.plan.table)).unwrap_or_default();
                    return Err(Broken::by(why, anyhow::anyhow!(error)));
                }
            }
        }
        // So that the next start has nothing to read that was written until now.
        if let Err(error) = seated.lane.mark() {
            tracing::debug!("the last mark is missing: {}", error.describe(&self.plan.table));
        }
        if self.plan.stop.is_leaving() {
            let (log, _) = seated.lane.dissolve();
            if let Err(error) = log.into_inner().leave() {
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
            tracing::warn!(seconds, "the lane waits: {}", error.describe(&self.plan.table));
        }
        self.nap(wait);
    }

    fn join(&mut self) -> Result<Seated<R>, Broken> {
        let settings = self.settings().map_err(|error| Broken::by(Restart::Kafka, error))?;
        if self.rebuilds.attempts() == 0 {
            self.observer.health().set(State::Joining);
        }
        self.observer.health().away(settings.join_timeout);
        let log = KafkaLane::join(settings).map_err(|error| self.broken(&LaneError::Log(error)))?;
        self.seat(Timed::new(log), BTreeMap::new())
    }

    /// An error that ends a lane.
    fn broken(&self, error: &LaneError) -> Broken {
        let why = match react(error) {
            Reaction::Rebuild(why) => why,
            Reaction::Wait | Reaction::Reassign => Restart::Kafka,
        };
        Broken::by(why, anyhow::anyhow!(error.describe(&self.plan.table)))
    }

    /// A lane over the log, with the tasks that are kept and new ones for all other partition numbers.
    fn seat(
        &mut self,
        log: Timed<KafkaLane>,
        kept: BTreeMap<Partition, Kept<Observed<R::Task>>>,
    ) -> Result<Seated<R>, Broken> {
        let owned = log.assignment().to_vec();
        let snapshots = self.plan.snapshots.as_ref().filter(|_| R::HAS_SNAPSHOTS);
        let new = |number: Partition, task: R::Task| {
            let snapshot = snapshots.and_then(|all| all.of(R::NAME, number, task.changelogs()));
            let task = Observed::new(task, self.observer.notes());
            match snapshot {
                Some(snapshot) => Seat::Cached(task, snapshot),
                None => Seat::New(task),
            }
        };
        let seats = Seats::new(&self.role, &owned, kept, new);
        let Seats { numbers, seats } = seats.map_err(|error| Broken::by(Restart::Stuck, error))?;
        tracing::info!(partitions = ?numbers, "the lane owns partitions");
        let place = |at: TopicPartition| place(&numbers, at);
        let config = LaneConfig { limits: self.plan.limits, order: self.role.order() };
        let lane = Lane::assemble(log, seats, place, config).map_err(|error| self.broken(&error))?;
        self.observer.assigned(&owned);
        self.observer.restoring(lane.restoring());
        Ok(Seated { lane, numbers, schedule: Schedule::new(&self.plan.config), held: Vec::new() })
    }

    /// Takes up what the group changed; tasks that stay keep their state.
    fn reassign(&mut self, seated: Seated<R>) -> Result<Seated<R>, Broken> {
        let (mut log, tasks) = seated.lane.dissolve();
        let change = loop {
            self.observer.health().turned();
            match log.reassign() {
                Ok(change) => break change,
                Err(LogError::Retry { reason }) if !self.plan.stop.requested() => {
                    tracing::debug!("the reassignment waits: {reason}");
                    thread::sleep(NAP);
                }
                Err(error) => return Err(self.broken(&LaneError::Log(error))),
            }
        };
        let (kept, gone) = part(seated.numbers, tasks, &change);
        // Snapshots are closed here, so that whoever gets the partition next can open them.
        bury(gone.into_iter().map(|kept| kept.task).collect());
        self.seat(log, kept)
    }

    /// One turn of the loop: what is due, a slice of restoring, and a step.
    fn turn(&mut self, seated: &mut Seated<R>) -> Result<(), LaneError> {
        self.keep_up(seated)?;
        let more = !seated.lane.is_restored() && self.restore(seated)?;
        self.step(seated, more)
    }

    /// True if there is more to be restored at once.
    fn restore(&mut self, seated: &mut Seated<R>) -> Result<bool, LaneError> {
        let restored = match seated.lane.restore_some() {
            // Tasks that have their state go on.
            Err(LaneError::Log(LogError::Retry { reason })) => {
                seated.schedule.unread_state(&reason);
                return Ok(false);
            }
            restored => restored?,
        };
        seated.schedule.state.reset();
        self.observer.restoring(seated.lane.restoring());
        match restored {
            Restored::Done => {
                let seconds = seated.schedule.made.elapsed().as_secs_f64();
                let Origins { snapshots, changelogs } = seated.lane.origins();
                self.observer.restored_from(seated.lane.origins());
                tracing::info!(seconds, snapshots, changelogs, "the state is restored");
            }
            // Somebody's open transaction hides the rest; the other tasks go on.
            Restored::Held { .. } => thread::sleep(Duration::from_millis(5)),
            Restored::More => {}
        }
        Ok(restored == Restored::More)
    }

    fn step(&mut self, seated: &mut Seated<R>, restoring: bool) -> Result<(), LaneError> {
        let started = Instant::now();
        let role = &mut self.role;
        let now = match self.plan.config.clock {
            Clock::Wall => Some(self.plan.now()),
            Clock::Event => None,
        };
        self.observer.step_begins();
        let step = seated.lane.step(now, &mut |effect| role.effect(effect));
        self.observer.step_ended(&step, seated.lane.log_mut().take_times());
        let report = step?;
        self.role.step_done();
        if let Some(reason) = &report.aborted {
            tracing::warn!("a step is undone and taken again: {reason}");
        }
        if !(restoring && report.is_idle()) {
            self.pace(&report, started);
        }
        Ok(())
    }

    /// Keeps the distance between two commits, unless there is more to read at once: under load the batch grows by
    /// itself.
    fn pace(&self, report: &StepReport, started: Instant) {
        if report.aborted.is_some() {
            thread::sleep(NAP);
        } else if report.is_idle() {
            // A poll waits for records; where it did not, what is there can't be read yet.
            thread::sleep(BREATH.saturating_sub(started.elapsed()));
        } else if !report.is_idle() && !report.full {
            thread::sleep(self.plan.commit_interval.saturating_sub(started.elapsed()));
        }
    }

    /// What is done now and then between two steps.
    fn keep_up(&mut self, seated: &mut Seated<R>) -> Result<(), LaneError> {
        if seated.schedule.tails.is_due() {
            self.ask_for_tails(seated)?;
            self.see_held(seated);
            if R::HAS_STATE {
                let mut size = StateSize::default();
                seated.lane.tasks().for_each(|task| R::measure(task.inner(), &mut size));
                self.observer.holds(size);
            }
        }
        if !seated.held.is_empty() && seated.schedule.retry.is_due() {
            seated.lane.retry()?;
        }
        if seated.schedule.mark.is_due() {
            self.mark(seated)?;
        }
        if seated.schedule.recommit.is_due() {
            seated.lane.recommit();
        }
        Ok(())
    }

    /// Says how far the snapshots reach.
    fn mark(&self, seated: &mut Seated<R>) -> Result<(), LaneError> {
        match seated.lane.mark() {
            // As good in a moment.
            Err(LaneError::Log(LogError::Retry { reason })) => {
                tracing::debug!("the snapshots are not marked: {reason}");
                Ok(())
            }
            Ok(false) => {
                tracing::debug!("the snapshots are not marked: the transaction was not committed");
                Ok(())
            }
            marked => marked.map(|_| ()),
        }
    }

    /// Where the inputs end: for the lag, and for tasks whose time goes on while nothing comes.
    fn ask_for_tails(&mut self, seated: &mut Seated<R>) -> Result<(), LaneError> {
        let asked_at = self.plan.now();
        let tails = match seated.lane.tails() {
            Ok(tails) => tails,
            // Not known now. Steps go on: one broker that does not answer must not keep the others waiting.
            Err(LaneError::Log(LogError::Retry { reason })) => {
                seated.schedule.unknown_ends(&reason);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        seated.schedule.ends.reset();
        self.observer.tails(&tails);
        if self.plan.config.clock == Clock::Wall {
            let Seated { lane, numbers, .. } = seated;
            for (number, task) in numbers.iter().zip(lane.tasks_mut()) {
                for tail in tails.iter().filter(|tail| tail.complete && tail.at.partition == *number) {
                    R::caught_up(task.inner_mut(), tail.at, asked_at);
                }
            }
        }
        Ok(())
    }

    /// Says what has come to be held.
    fn see_held(&self, seated: &mut Seated<R>) {
        let now: Vec<Held> = seated.lane.held().cloned().collect();
        self.observer.held(&now);
        for held in now.iter().filter(|held| !seated.held.contains(held)) {
            let text = held.describe(&self.plan.table);
            match held.why {
                Hold::Waiting => tracing::warn!("{text}"),
                _ => tracing::error!("{text}; the other partitions go on"),
            }
        }
        seated.held = now;
    }

    fn settings(&self) -> anyhow::Result<LaneSettings> {
        let Plan { config, table, instance, .. } = &*self.plan;
        let cluster = connect::cluster(&config.kafka)?;
        let mut settings = LaneSettings::new(cluster, Arc::clone(table), self.role.topic());
        let index = self.index;
        settings.followed = self.role.followed();
        settings.group = group(config, R::NAME);
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
        settings.join_timeout = JOIN;
        let sink = observe::kafka::sink(R::NAME, self.index, self.observer.health().clone());
        settings.statistics = Some((sink, config.kafka.statistics_interval.as_duration()));
        Ok(settings)
    }

    /// Waits, but no longer than until the request to stop.
    fn nap(&self, wait: Duration) {
        self.observer.health().away(wait);
        nap(wait, &self.plan.stop);
    }
}

impl Broken {
    fn by(why: Restart, error: anyhow::Error) -> Self {
        Broken { why, error }
    }
}

/// Drops tasks that were given up elsewhere: a task of 1,000,000 customers takes half a second to take apart, which the
/// partitions that stay need not wait for.
fn bury<T: Send + 'static>(tasks: Vec<T>) {
    if !tasks.is_empty() {
        // Where there is no thread to be had, they are dropped here.
        let _ = thread::Builder::new().name("given-up".to_owned()).spawn(move || drop(tasks));
    }
}

/// When what is done now and then is due.
struct Schedule {
    made: Instant,
    tails: Every,
    retry: Every,
    recommit: Every,
    mark: Every,
    /// Since when it is not known where the inputs end.
    ends: Backoff,
    /// Changelogs that can't be read on.
    state: Backoff,
}

impl Schedule {
    fn new(config: &Config) -> Self {
        Schedule {
            made: Instant::now(),
            tails: Every::new(TAILS),
            retry: Every::new(RETRY),
            recommit: Every::new(RECOMMIT),
            mark: Every::new(config.state.snapshot_interval.as_duration()),
            ends: Backoff::new(TAILS, TAILS),
            state: Backoff::new(TAILS, TAILS),
        }
    }

    /// It was asked where the inputs end, and nobody could say. For a while that is nothing; then the lag that is told is
    /// an old one, and timers wait for partitions that have nothing to read.
    fn unknown_ends(&mut self, reason: &str) {
        say_once_it_lasts(&mut self.ends, "the ends of the inputs are not known, nor the lag", reason);
    }

    /// A changelog could not be read on. For a while that is nothing; then somebody waits for a task.
    fn unread_state(&mut self, reason: &str) {
        say_once_it_lasts(&mut self.state, "the state is not read on", reason);
    }
}

/// Says what does not go on: as a warning once that has lasted, and then now and again.
fn say_once_it_lasts(trouble: &mut Backoff, what: &str, reason: &str) {
    trouble.next_wait();
    let seconds = trouble.lasted().as_secs();
    if trouble.lasted() < LONG_UNKNOWN {
        tracing::debug!("{what}: {reason}");
    } else if trouble.is_worth_saying() {
        tracing::warn!(seconds, "{what}: {reason}");
    }
}

/// Something that is done again and again.
struct Every {
    interval: Duration,
    last: Instant,
}

impl Every {
    fn new(interval: Duration) -> Self {
        Every { interval, last: Instant::now() }
    }

    /// True once an interval.
    fn is_due(&mut self) -> bool {
        let due = self.last.elapsed() >= self.interval;
        if due {
            self.last = Instant::now();
        }
        due
    }
}

/// `group.id` of a role.
pub(crate) fn group(config: &Config, role: &str) -> String {
    format!("{}.{role}", config.app)
}

impl Plan {
    /// The time of day, in milliseconds since 1970.
    fn now(&self) -> Millis {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX).saturating_add(self.shift)
    }
}
