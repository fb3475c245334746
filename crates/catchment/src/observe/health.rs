//! Whether the process is alive, and whether it is ready: what the lanes say of themselves, and what follows from it.
//!
//! **Alive**: every loop turns. Nothing that a restart can't mend makes it red: not a broker that is down, not a long
//! restore, not a partition that is held. **Ready**: every lane has its partitions and their state, and Kafka has
//! answered it lately. Whether there is anything to read plays no part.

mod report;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use catchment_connectors::admin::Answer;

use crate::metrics as names;

/// A loop that has not turned for so long is stuck, unless it said that it would be away.
const STUCK: Duration = Duration::from_secs(60);

/// Kafka may be silent for so long before a lane is not ready, and longer where its statistics come more rarely than
/// that. A member of a group hears from Kafka every 3 seconds, also where there is nothing to read.
const SILENCE: Duration = Duration::from_secs(30);

/// Part of the world that something waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// No broker answers.
    Kafka,
    /// The schema registry does not answer.
    Registry,
    /// Topics are missing, or not as they must be.
    Topics,
}

impl World {
    /// The word in metrics and pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            World::Kafka => "kafka",
            World::Registry => "registry",
            World::Topics => "topics",
        }
    }
}

/// What a lane is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not in its group yet.
    Starting {
        /// What it waits for, if it has to.
        waiting_for: Option<World>,
    },
    /// Waits for the group to give it partitions.
    Joining,
    /// Reads the state of its partitions back.
    Restoring {
        /// Offsets of changelogs that are read.
        done: u64,
        /// All of them.
        of: u64,
    },
    /// Steps.
    Running,
    /// Has ended.
    Stopped {
        /// Why.
        reason: String,
    },
}

impl State {
    /// The words in metrics and pages, in the order of a lane's life.
    pub const WORDS: [&str; 5] = ["starting", "joining", "restoring", "running", "stopped"];

    /// The word of this one.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Starting { .. } => "starting",
            State::Joining => "joining",
            State::Restoring { .. } => "restoring",
            State::Running => "running",
            State::Stopped { .. } => "stopped",
        }
    }

    fn waiting_for(&self) -> Option<World> {
        match self {
            State::Starting { waiting_for } => *waiting_for,
            _ => None,
        }
    }
}

/// A partition that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPartition {
    /// Which.
    pub at: NamedPartition,
    /// The word in metrics: one of [`hold::WORDS`], or [`hold::WAITING`].
    pub reason: &'static str,
    /// The same in a sentence.
    pub why: String,
    /// Offsets that retention deleted before they were read.
    pub missing: u64,
}

/// The words for why a partition stands still.
pub mod hold {
    use catchment_runtime::Hold;

    /// It goes on by itself, once the world gives what a record needs. No alert of its own: what is waited for has one.
    pub const WAITING: &str = "waiting";

    /// It stands still until somebody acts.
    pub const WORDS: [&str; 6] =
        ["input_gap", "cut_off", "no_offset", "unreadable", "too_large", "unrestorable"];

    /// The word for a hold, and how many offsets are missing.
    #[must_use]
    pub fn word(hold: &Hold) -> (&'static str, u64) {
        match hold {
            Hold::Waiting => (WAITING, 0),
            Hold::Gap { position, earliest } if position < earliest => ("input_gap", earliest.0 - position.0),
            Hold::Gap { .. } => ("cut_off", 0),
            Hold::NoOffset { .. } => ("no_offset", 0),
            Hold::Unreadable { .. } => ("unreadable", 0),
            Hold::TooLarge { .. } => ("too_large", 0),
            Hold::Unrestorable { .. } => ("unrestorable", 0),
        }
    }
}

/// A partition, by the names that Kafka knows it by.
pub type NamedPartition = (String, u32);

/// The health of the process; clones share it.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    /// What the moments of the lanes are counted from.
    start: Instant,
    silence: Duration,
    lanes: Mutex<Vec<Arc<Lane>>>,
    waiting: Mutex<Vec<World>>,
    /// The metric that says what `/readyz` says.
    ready: metrics::Gauge,
}

/// The health of one lane; clones share it.
#[derive(Clone)]
pub struct LaneHealth {
    lane: Arc<Lane>,
}

#[derive(Debug)]
struct Lane {
    role: &'static str,
    index: u16,
    start: Instant,
    /// Milliseconds from `start` to the last turn of the loop.
    turned: AtomicU64,
    /// The metric of the same.
    turned_at: metrics::Gauge,
    /// Until when the loop has time to turn again.
    turn_by: AtomicU64,
    /// The last answer of Kafka; 0 before the first.
    answered: AtomicU64,
    facts: Mutex<Facts>,
}

#[derive(Debug)]
struct Facts {
    state: State,
    since: SystemTime,
    partitions: Vec<NamedPartition>,
    held: Vec<HeldPartition>,
}

impl Facts {
    /// What the lane, or a part of it, waits for.
    fn waiting_for(&self) -> Option<World> {
        // What a task can miss of the outside is a schema.
        let waits = self.held.iter().any(|held| held.reason == hold::WAITING);
        self.state.waiting_for().or(waits.then_some(World::Registry))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Health {
    /// Of a process whose Kafka clients tell their statistics that often. Its metrics go to the recorder in force now:
    /// [install](super::metrics::install) it first.
    #[must_use]
    pub fn new(statistics_interval: Duration) -> Self {
        for world in [World::Kafka, World::Registry, World::Topics] {
            metrics::gauge!(names::WAITING, "for" => world.as_str()).set(0.0);
        }
        let ready = metrics::gauge!(names::READY);
        ready.set(0.0);
        let silence = SILENCE.max(3 * statistics_interval);
        let (lanes, waiting) = (Mutex::default(), Mutex::default());
        Health { shared: Arc::new(Shared { start: Instant::now(), silence, lanes, waiting, ready }) }
    }

    /// A lane more, which starts. Its loop has to [turn](LaneHealth::turned) from now on.
    #[must_use]
    pub fn lane(&self, role: &'static str, index: u16) -> LaneHealth {
        let state = State::Starting { waiting_for: None };
        for word in State::WORDS {
            metrics::gauge!(names::LANES, "role" => role, "state" => word).increment(0.0);
        }
        metrics::gauge!(names::LANES, "role" => role, "state" => state.as_str()).increment(1.0);
        let facts = Facts { state, since: SystemTime::now(), partitions: Vec::new(), held: Vec::new() };
        let lane = Arc::new(Lane {
            role,
            index,
            start: self.shared.start,
            turned: AtomicU64::new(0),
            turned_at: metrics::gauge!(names::LANE_TURNED, "role" => role, "lane" => index.to_string()),
            turn_by: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            facts: Mutex::new(facts),
        });
        lock(&self.shared.lanes).push(Arc::clone(&lane));
        let lane = LaneHealth { lane };
        lane.turned();
        lane
    }

    /// The process, and not one of its lanes, waits for something until the value is dropped.
    #[must_use]
    pub fn waiting_for(&self, world: World) -> Waiting {
        lock(&self.shared.waiting).push(world);
        metrics::gauge!(names::WAITING, "for" => world.as_str()).increment(1.0);
        Waiting { health: self.clone(), world }
    }

    /// The page `/healthz`.
    #[must_use]
    pub fn alive(&self) -> Answer {
        self.alive_at(Instant::now())
    }

    /// The page `/readyz`; the metric says the same from then on.
    #[must_use]
    pub fn ready(&self) -> Answer {
        self.ready_at(Instant::now())
    }
}

/// Something is waited for as long as this lives.
#[derive(Debug)]
pub struct Waiting {
    health: Health,
    world: World,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = lock(&self.health.shared.waiting);
        if let Some(at) = waiting.iter().position(|world| *world == self.world) {
            waiting.swap_remove(at);
        }
        metrics::gauge!(names::WAITING, "for" => self.world.as_str()).decrement(1.0);
    }
}

impl LaneHealth {
    /// The loop has turned. To be called at least once a minute, whatever goes wrong.
    pub fn turned(&self) {
        self.away(Duration::ZERO);
    }

    /// The loop has turned, and is about to wait for at most so long: in a call that joins a group, say.
    pub fn away(&self, longest: Duration) {
        let now = millis(self.lane.start.elapsed());
        let by = now.saturating_add(millis(longest)).saturating_add(millis(STUCK));
        self.lane.turned.store(now, Ordering::Relaxed);
        self.lane.turned_at.set(unix_seconds());
        self.lane.turn_by.store(by, Ordering::Relaxed);
    }

    /// Kafka has answered: an answered heartbeat, fetch or commit.
    pub fn kafka_answered(&self) {
        self.lane.answered.store(millis(self.lane.start.elapsed()).max(1), Ordering::Relaxed);
    }

    /// What the lane is doing from now on. Saying the same again changes nothing but the progress of a restore.
    pub fn set(&self, state: State) {
        let role = self.lane.role;
        let mut facts = lock(&self.lane.facts);
        if facts.state == state {
            return;
        }
        let (before, after) = (facts.state.as_str(), state.as_str());
        if before != after {
            metrics::gauge!(names::LANES, "role" => role, "state" => before).decrement(1.0);
            metrics::gauge!(names::LANES, "role" => role, "state" => after).increment(1.0);
            facts.since = SystemTime::now();
            if state == State::Running {
                self.kafka_answered();
            }
        }
        if let State::Restoring { done, of } = state {
            self.remaining(of.saturating_sub(done));
        } else if matches!(facts.state, State::Restoring { .. }) {
            self.remaining(0);
        }
        let waited_for = facts.waiting_for();
        facts.state = state;
        show_waiting(waited_for, facts.waiting_for());
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating-point number")]
    fn remaining(&self, offsets: u64) {
        let lane = self.lane.index.to_string();
        metrics::gauge!(names::RESTORE_REMAINING, "role" => self.lane.role, "lane" => lane)
            .set(offsets as f64);
    }

    /// The partitions that the lane has, and only those. What it had to hold of others is no longer its business.
    pub fn set_partitions(&self, mut partitions: Vec<NamedPartition>) {
        partitions.sort_unstable();
        let mut facts = lock(&self.lane.facts);
        let held = facts.held.iter().filter(|held| partitions.contains(&held.at)).cloned().collect();
        facts.partitions = partitions;
        self.replace_held(&mut facts, held);
    }

    /// The partitions that stand still, and only those.
    pub fn set_held(&self, held: Vec<HeldPartition>) {
        self.replace_held(&mut lock(&self.lane.facts), held);
    }

    fn replace_held(&self, facts: &mut Facts, held: Vec<HeldPartition>) {
        let waited_for = facts.waiting_for();
        let before = std::mem::replace(&mut facts.held, held);
        let same =
            |one: &HeldPartition, other: &HeldPartition| one.at == other.at && one.reason == other.reason;
        for gone in before.iter().filter(|gone| !facts.held.iter().any(|held| same(gone, held))) {
            self.show_held(gone, false);
        }
        facts.held.iter().for_each(|held| self.show_held(held, true));
        show_waiting(waited_for, facts.waiting_for());
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating-point number")]
    fn show_held(&self, held: &HeldPartition, is_held: bool) {
        if held.reason == hold::WAITING {
            return;
        }
        let (topic, partition) = &held.at;
        let at = [
            ("role", self.lane.role.to_owned()),
            ("topic", topic.clone()),
            ("partition", partition.to_string()),
        ];
        if held.missing > 0 {
            metrics::gauge!(names::INPUT_GAP, &at).set(if is_held { held.missing as f64 } else { 0.0 });
        }
        let [role, topic, partition] = at;
        let labels = [role, topic, partition, ("reason", held.reason.to_owned())];
        metrics::gauge!(names::PARTITION_HELD, &labels).set(f64::from(u8::from(is_held)));
    }
}

fn show_waiting(before: Option<World>, after: Option<World>) {
    if before != after {
        let gauge = |world: World| metrics::gauge!(names::WAITING, "for" => world.as_str());
        before.into_iter().for_each(|world| gauge(world).decrement(1.0));
        after.into_iter().for_each(|world| gauge(world).increment(1.0));
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes = lock(&self.shared.lanes);
        f.debug_struct("Health").field("lanes", &lanes).finish_non_exhaustive()
    }
}

impl fmt::Debug for LaneHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lane { role, index, .. } = &*self.lane;
        f.debug_struct("LaneHealth").field("role", role).field("lane", index).finish_non_exhaustive()
    }
}
