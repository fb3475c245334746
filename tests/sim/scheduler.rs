//! The scheduler: one seed decides who acts next, what goes wrong, and what time it is.
//!
//! Everything runs in one thread. A lane that waits inside of a commit lets others act meanwhile, so that a step is no
//! more of one piece here than it is between processes.

mod act;
mod quiesce;

use crate::disks::Disks;
use crate::faults::{Control, Fate};
use crate::group::{Group, LaneId};
use crate::processes::{Actor, Worker};
use crate::random::Random;
use crate::shape::{Kind, Shape};
use crate::trace::Trace;
use crate::upstream::{BEGIN, Raw};
use catchment::lanes::{Installation, Role};
use catchment_contracts::headers;
use catchment_runtime::embedded::Fault;
use catchment_runtime::outbox::Outbox;
use catchment_runtime::{
    BatchLimits, CommitOutcome, EmbeddedLog, Headers, NextOffset, Origins, Reassignment, Snapshot, TopicId,
    TopicPartition,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Violations that are kept of a run: the first ones say enough.
const MOST_VIOLATIONS: usize = 20;

/// How deep lanes act inside of the waits of others.
const DEPTH: usize = 2;

/// A role, as the simulation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RoleName {
    Ingest,
    Profile,
    Catalog,
}

impl RoleName {
    fn name(self) -> &'static str {
        match self {
            RoleName::Ingest => "ingest",
            RoleName::Profile => "profile",
            RoleName::Catalog => "catalog",
        }
    }
}

/// The roles, in the order of the groups.
const ROLES: [RoleName; 3] = [RoleName::Ingest, RoleName::Profile, RoleName::Catalog];

/// Those that most happens to.
const BUSY: [RoleName; 2] = [RoleName::Ingest, RoleName::Profile];

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Up,
    Down,
    /// It stands still: a machine without a moment for it, a long page fault.
    Paused,
}

/// The place of a lane; processes come and go in it.
struct Slot {
    role: RoleName,
    process: usize,
    index: usize,
    /// Of the process that is there.
    control: RefCell<Option<Rc<Control>>>,
    /// `None` while it acts, too.
    actor: RefCell<Option<Box<dyn Actor>>>,
}

struct State {
    random: Random,
    trace: Trace,
    now: i64,
    input: std::vec::IntoIter<Raw>,
    end_of_input: Option<i64>,
    said_again: u32,
    /// How often everything was cleaned and dealt out anew, once all was done.
    shaken: u32,
    groups: [Group; 3],
    processes: Vec<Process>,
    lives: u64,
    /// Which life took a partition number last.
    holders: BTreeMap<(RoleName, u32), u64>,
    violations: Vec<String>,
    happened: BTreeMap<&'static str, u64>,
    disks: Disks,
}

/// A world that runs.
pub(crate) struct Sim {
    pub(crate) shape: Shape,
    pub(crate) log: EmbeddedLog,
    installation: Rc<Installation>,
    /// Topics that each role reads.
    topics: [Vec<TopicId>; 3],
    slots: Vec<Slot>,
    zombies: RefCell<Vec<Box<dyn Actor>>>,
    state: RefCell<State>,
    depth: Cell<usize>,
    /// Nothing goes wrong any more.
    calm: Cell<bool>,
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) sim: Rc<Sim>,
    pub(crate) hash: u64,
    pub(crate) violations: Vec<String>,
    /// How often each thing happened.
    pub(crate) happened: BTreeMap<&'static str, u64>,
    pub(crate) lines: Vec<String>,
}

impl Run {
    /// Runs a world to its end.
    pub(crate) fn of(shape: Shape, installation: &Rc<Installation>, input: Vec<Raw>, readable: bool) -> Run {
        let sim = Rc::new(Sim::new(shape, Rc::clone(installation), input, readable));
        sim.start();
        for _ in 0..sim.shape.actions {
            sim.act();
        }
        sim.quiesce();
        match sim.timers() {
            0 => {}
            left => sim.violation(format!("{left} timers never fired")),
        }
        sim.compare_states();
        sim.count_discarded();
        sim.trace_log();
        let mut state = sim.state.borrow_mut();
        let run = Run {
            sim: Rc::clone(&sim),
            hash: state.trace.hash(),
            violations: std::mem::take(&mut state.violations),
            happened: std::mem::take(&mut state.happened),
            lines: state.trace.lines().to_vec(),
        };
        drop(state);
        // Lanes know the world and the world knows them.
        sim.slots.iter().for_each(|slot| drop(slot.actor.take()));
        sim.zombies.borrow_mut().clear();
        run
    }
}

impl Sim {
    fn new(shape: Shape, installation: Rc<Installation>, input: Vec<Raw>, readable: bool) -> Sim {
        let topology = &installation.topology;
        let ingest = installation.ingest().unwrap();
        let ingest_topics = [ingest.topic()].into_iter().chain(ingest.followed()).collect();
        let profile = installation.profile();
        let profile_topics = [profile.topic()].into_iter().chain(profile.followed()).collect();
        let lanes = |roles: &'static [RoleName]| {
            let places =
                (0..shape.processes).flat_map(|process| roles.iter().map(move |role| (process, *role)));
            places.flat_map(move |(process, role)| (0..shape.lanes).map(move |index| (process, role, index)))
        };
        // Those of the catalog stand last.
        let slots = lanes(&BUSY).chain(lanes(&[RoleName::Catalog])).map(|(process, role, index)| Slot {
            role,
            process,
            index,
            control: RefCell::default(),
            actor: RefCell::default(),
        });
        Sim {
            log: EmbeddedLog::new(topology.table.clone()),
            topics: [ingest_topics, profile_topics, vec![installation.catalog().topic()]],
            slots: slots.collect(),
            zombies: RefCell::default(),
            state: RefCell::new(State {
                random: Random::new(shape.seed),
                trace: Trace::new(readable),
                now: BEGIN,
                input: input.into_iter(),
                end_of_input: None,
                said_again: 0,
                shaken: 0,
                groups: [shape.raw_partitions, shape.partitions, shape.partitions].map(Group::new),
                processes: vec![Process::Down; shape.processes],
                lives: 0,
                holders: BTreeMap::new(),
                violations: Vec::new(),
                happened: BTreeMap::new(),
                disks: Disks::default(),
            }),
            depth: Cell::new(0),
            calm: Cell::new(false),
            shape,
            installation,
        }
    }

    fn start(self: &Rc<Self>) {
        for process in 0..self.shape.processes {
            self.start_process(process);
        }
        ROLES.iter().for_each(|role| self.rebalance(*role));
        while self.shape.kind == Kind::Replay && self.end_of_input().is_none() {
            self.feed();
        }
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.installation
    }

    // ---- what lanes ask ----

    /// The place of a task for its snapshot, on the disk of its process; `None` but for profile, and in worlds without
    /// snapshots.
    pub(crate) fn snapshot(
        &self,
        control: &Control,
        number: u32,
        changelogs: Vec<TopicPartition>,
    ) -> Option<Box<dyn Snapshot>> {
        let is_profile = self.slots[control.lane].role == RoleName::Profile;
        if !is_profile || self.shape.rates.mark == 0 {
            return None;
        }
        let process = self.slots[control.lane].process;
        let table = &self.installation.topology.table;
        let snapshot = self.state.borrow_mut().disks.open(process, number, changelogs, table);
        self.set_disk_clocks(control, &[number]);
        Some(snapshot)
    }

    /// Whether a lane with these numbers is to mark its snapshots now.
    pub(crate) fn marks(&self, control: &Control, numbers: &[u32]) -> bool {
        let known = self.set_disk_clocks(control, numbers);
        self.state.borrow_mut().random.chance(self.shape.rates.mark) && known
    }

    /// The clock of a snapshot's marks and of the tombstones that it may miss is the same. False if it is not known what it
    /// says: it is set too late then, which makes snapshots older.
    fn set_disk_clocks(&self, control: &Control, numbers: &[u32]) -> bool {
        let process = self.slots[control.lane].process;
        let mut all_known = true;
        for number in numbers {
            let clock = self.clock_of(*number);
            all_known &= clock.is_some();
            let state = self.state.borrow();
            state.disks.set_now(process, *number, clock.unwrap_or(state.now));
        }
        all_known
    }

    /// A lane is about to mark the snapshots of tasks with these changelogs.
    pub(crate) fn marking(&self, control: &Control, changelogs: &[TopicPartition]) {
        let role = self.slots[control.lane].role;
        let mut state = self.state.borrow_mut();
        let holds = |number: u32| state.holders.get(&(role, number)) == Some(&control.life);
        if !Self::numbers(changelogs).into_iter().all(holds) {
            *state.happened.entry("mark by one who was expelled").or_default() += 1;
        }
    }

    pub(crate) fn restored(&self, origins: Origins) {
        let mut state = self.state.borrow_mut();
        *state.happened.entry("records from snapshots").or_default() += origins.snapshots;
    }

    fn count_discarded(&self) {
        let mut state = self.state.borrow_mut();
        let words: Vec<&str> = state.disks.discarded().collect();
        for word in words {
            *state.happened.entry(word).or_default() += 1;
        }
    }

    pub(crate) fn limits(&self) -> BatchLimits {
        BatchLimits { records: self.shape.batch, bytes: 1 << 20 }
    }

    pub(crate) fn now(&self) -> i64 {
        self.state.borrow().now
    }

    /// The time that a step is given.
    pub(crate) fn lane_now(&self) -> Option<i64> {
        self.shape.kind.is_wall().then(|| self.now())
    }

    /// All input is there, and time goes on to then.
    pub(crate) fn end_of_input(&self) -> Option<i64> {
        self.state.borrow().end_of_input
    }

    /// Group and transactional id of a lane, as `catchment run` names them.
    pub(crate) fn names(&self, control: &Control) -> (String, String) {
        let slot = &self.slots[control.lane];
        let role = slot.role.name();
        (format!("sim.{role}"), format!("sim.{role}.p{}-{}", slot.process, slot.index))
    }

    /// Whether it is the process that has the name now.
    pub(crate) fn is_current(&self, control: &Control) -> bool {
        let current = self.slots[control.lane].control.borrow();
        current.as_ref().is_some_and(|current| current.life == control.life)
    }

    /// A lane joins its group: what it is to read. One whose process was replaced gets nothing.
    pub(crate) fn join(&self, control: &Control) -> Vec<TopicPartition> {
        control.offer.take();
        if !self.is_current(control) {
            return Vec::new();
        }
        let role = self.slots[control.lane].role;
        let numbers = self.state.borrow_mut().groups[role as usize].join(control.lane);
        self.spread_news();
        self.inputs(role, &numbers)
    }

    /// What the group wants a lane to own at this moment; `None` if it is no member any more.
    pub(crate) fn wanted(&self, control: &Control) -> Option<Vec<TopicPartition>> {
        if !self.is_current(control) {
            return None;
        }
        let role = self.slots[control.lane].role;
        let numbers = self.state.borrow_mut().groups[role as usize].ask(control.lane);
        Some(self.inputs(role, &numbers))
    }

    /// The partitions with these numbers of all topics of a role.
    fn inputs(&self, role: RoleName, numbers: &[u32]) -> Vec<TopicPartition> {
        let topics = self.topics[role as usize].iter();
        let all = topics.flat_map(|topic| {
            numbers.iter().map(|number| TopicPartition { topic: *topic, partition: *number })
        });
        all.collect()
    }

    fn numbers(inputs: &[TopicPartition]) -> Vec<u32> {
        let mut numbers: Vec<u32> = inputs.iter().map(|at| at.partition).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// A lane's log has taken partitions over.
    pub(crate) fn gained(&self, control: &Control, inputs: &[TopicPartition]) {
        let role = self.slots[control.lane].role;
        let mut state = self.state.borrow_mut();
        for number in Self::numbers(inputs) {
            state.holders.insert((role, number), control.life);
        }
    }

    /// A lane's log has taken up what the group changed.
    pub(crate) fn reassigned(&self, control: &Control, assignment: &[TopicPartition], change: &Reassignment) {
        self.gained(control, &change.gained);
        self.note(format_args!("  reassigned {:?}", change));
        let role = self.slots[control.lane].role;
        let mut state = self.state.borrow_mut();
        let group = &mut state.groups[role as usize];
        group.has(control.lane, &Self::numbers(assignment));
        drop(state);
        self.spread_news();
    }

    /// What becomes of a commit of that many records.
    pub(crate) fn fate(&self, records: usize) -> Fate {
        if self.calm.get() {
            return Fate::default();
        }
        let mut state = self.state.borrow_mut();
        let (random, rates) = (&mut state.random, &self.shape.rates);
        let fault = if random.chance(rates.abort) {
            Some(("abort", Fault::Abort))
        } else if random.chance(rates.lost_answer) {
            Some(("lost answer", Fault::LostAnswer))
        } else if random.chance(rates.lost_request) {
            Some(("lost request", Fault::LostRequest))
        } else if random.chance(rates.cut) {
            Some(("cut", Fault::Cut { after: random.below(records + 1) }))
        } else if random.chance(rates.delayed_markers) {
            Some(("delayed markers", Fault::DelayedMarkers { answered: random.chance(700) }))
        } else {
            None
        };
        let crash = random.chance(rates.crash_in_commit);
        if let Some((name, _)) = fault {
            *state.happened.entry(name).or_default() += 1;
        }
        Fate { fault: fault.map(|(_, fault)| fault), crash }
    }

    /// A lane's commit has come to an end, whether the lane hears of it or not.
    pub(crate) fn committed(
        &self,
        control: &Control,
        fate: Fate,
        outcome: &CommitOutcome,
        outbox: &Outbox,
        offsets: &[(TopicPartition, NextOffset)],
    ) {
        let life = control.life;
        self.note(format_args!(
            "  commit of life {life}: {} records, {offsets:?}, {fate:?}: {outcome:?}",
            outbox.len()
        ));
        let decided = matches!(fate.fault, Some(Fault::LostAnswer | Fault::DelayedMarkers { .. }));
        let committed = *outcome == CommitOutcome::Committed
            || (decided && matches!(outcome, CommitOutcome::Unknown { .. }));
        if let CommitOutcome::Fenced(_) = outcome {
            *self.state.borrow_mut().happened.entry("fenced").or_default() += 1;
        }
        if !committed || outbox.is_empty() {
            return;
        }
        let role = self.slots[control.lane].role;
        let holds = |number: u32| self.state.borrow().holders.get(&(role, number)) == Some(&life);
        // A task of profile writes its own number everywhere, but for what it says to others, and commits an offset of its
        // own. Ingest writes to all of them: it must hold something.
        let inbox = self.installation.topology.inbox;
        let allowed = match role {
            RoleName::Profile | RoleName::Catalog => {
                let mut own = outbox.records().iter().filter(|record| record.topic != inbox);
                own.all(|record| holds(record.partition)) && offsets.iter().all(|(at, _)| holds(at.partition))
            }
            RoleName::Ingest => (0..self.shape.raw_partitions).any(holds),
        };
        if !allowed {
            self.violation(format!("lane {} committed for partitions that another lane owns", control.lane));
        }
    }

    // ---- bookkeeping ----

    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.state.borrow_mut().trace.note(what);
    }

    pub(crate) fn violation(&self, what: String) {
        self.note(format_args!("VIOLATION {what}"));
        let mut state = self.state.borrow_mut();
        if state.violations.len() < MOST_VIOLATIONS && !state.violations.contains(&what) {
            state.violations.push(what);
        }
    }

    fn happened(&self, what: &'static str) {
        *self.state.borrow_mut().happened.entry(what).or_default() += 1;
    }

    /// Appends what upstream sends next: a few records, and all that arrive with the last of them.
    fn feed(&self) {
        let mut state = self.state.borrow_mut();
        let some = 1 + state.random.below(5);
        let mut fed = 0;
        while let Some(raw) = state.input.as_slice().first() {
            if fed >= some && raw.arrival > state.now {
                break;
            }
            let Some(raw) = state.input.next() else { break };
            let mut headers = Headers::default();
            if let Some(says) = raw.says {
                headers.push(headers::SOURCE, says.as_bytes());
            }
            let at = TopicPartition {
                topic: self.installation.topology.raw[raw.source],
                partition: raw.partition,
            };
            self.log.producer_append(at, raw.arrival, None, raw.value.as_deref(), headers).unwrap();
            state.now = state.now.max(raw.arrival);
            fed += 1;
        }
        if state.input.as_slice().is_empty() && state.end_of_input.is_none() {
            state.end_of_input = Some(state.now + 24 * 60 * 60_000);
        }
        let State { trace, now, .. } = &mut *state;
        trace.note(format_args!("feed {fed} until {now}"));
    }

    /// All that the log holds at the end is part of the trace.
    fn trace_log(&self) {
        let topics = self.log.topics();
        let mut state = self.state.borrow_mut();
        for (topic, spec) in topics.iter() {
            for partition in 0..spec.partitions {
                let at = TopicPartition { topic, partition };
                for record in self.log.read_committed(at).unwrap() {
                    let (offset, time) = (record.offset.0, record.append_time);
                    state.trace.note(format_args!("{} {partition} {offset} {time}", spec.name));
                    state.trace.bytes(record.key.as_deref().unwrap_or(b"-"));
                    state.trace.bytes(record.value.as_deref().unwrap_or(b"-"));
                }
            }
        }
    }

    /// What each task holds is what its changelog says.
    fn compare_states(&self) {
        for slot in &self.slots {
            let actor = slot.actor.borrow();
            let Some(actor) = actor.as_ref() else { continue };
            for (number, held, restored) in actor.state(self) {
                let different = held.iter().zip(&restored).find(|(held, restored)| held != restored);
                if let Some((held, restored)) = different {
                    self.violation(format!(
                        "task {number} holds other state than its changelog:\n      task {held}\n      log  {restored}"
                    ));
                } else if held.len() != restored.len() {
                    let (held, restored) = (held.len(), restored.len());
                    self.violation(format!("task {number} holds {held} things, its changelog {restored}"));
                }
            }
        }
    }

    fn make(&self, role: RoleName, control: Rc<Control>) -> Box<dyn Actor> {
        match role {
            RoleName::Ingest => Box::new(Worker::new(self.installation.ingest().unwrap(), control)),
            RoleName::Profile => Box::new(Worker::new(self.installation.profile(), control)),
            RoleName::Catalog => Box::new(Worker::new(self.installation.catalog(), control)),
        }
    }

    fn lane_ids(&self, role: RoleName) -> impl Iterator<Item = LaneId> + '_ {
        (0..self.slots.len()).filter(move |lane| self.slots[*lane].role == role)
    }
}
