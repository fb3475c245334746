//! Lanes as processes run them: what the loop of `catchment run` does in a turn, without its thread and its clock.

use crate::faults::{Control, SimLane};
use crate::scheduler::Sim;
use catchment::lanes::{Reaction, Role, Seats, keep, place, react};
use catchment::observe::lane::Restart;
use catchment_pipeline::catalog::CatalogTask;
use catchment_pipeline::ingest::IngestTask;
use catchment_pipeline::profile::ProfileTask;
use catchment_runtime::{
    Hold, Kept, Lane, LaneConfig, LaneError, Log as _, LogError, Partition, Restored, Seat, Stored as _,
    Task, TopicPartition,
};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There was nothing to do.
    Idle,
    Busy,
    /// It can't go on as it is, and begins anew with its next turn.
    Anew,
}

/// A lane of a process.
pub(crate) trait Actor {
    fn control(&self) -> &Rc<Control>;

    fn turn(&mut self, sim: &Rc<Sim>) -> Turn;

    /// Has what its group gave it, and all state.
    fn is_complete(&self) -> bool;

    /// What the tasks hold, by partition number, beside what a fresh task holds that was restored from its changelog.
    fn state(&self, sim: &Sim) -> Vec<(Partition, Vec<String>, Vec<String>)>;

    /// Timers that are not due yet.
    fn pending_timers(&self) -> usize;
}

/// What the simulation must know of a task.
pub(crate) trait Inspect: Task {
    /// The input has ended, up to then.
    fn finish(&mut self, _until: i64) {}

    /// All that it holds, in a form to compare.
    fn holds(&self) -> Vec<String> {
        Vec::new()
    }

    fn pending(&self) -> usize {
        0
    }
}

impl Inspect for IngestTask {
    fn finish(&mut self, until: i64) {
        IngestTask::finish(self, until);
    }
}

impl Inspect for CatalogTask {
    fn holds(&self) -> Vec<String> {
        let products = self.products().sorted().unwrap();
        products.into_iter().map(|(_, product)| format!("{:?}", product.0)).collect()
    }
}

impl Inspect for ProfileTask {
    fn holds(&self) -> Vec<String> {
        let mut held = Vec::new();
        for (key, customer) in self.customers().sorted().unwrap() {
            held.push(format!("profile of {key:?}: {:?}", customer.profile));
        }
        for (key, node) in self.nodes().sorted().unwrap() {
            let mut bytes = Vec::new();
            node.encode(catchment_pipeline::profile::NEWEST_FORMAT, &mut bytes);
            held.push(format!("node {key:?}: {node:?} {bytes:?}"));
        }
        held.push(format!("{} timers", self.pending_timers()));
        held
    }

    fn pending(&self) -> usize {
        self.pending_timers()
    }
}

struct Seated<T: Task> {
    lane: Lane<SimLane, T>,
    numbers: Vec<Partition>,
    asked_for_tails: Option<i64>,
}

/// A lane that was taken apart, and waits for its log to take up what the group changed.
struct Apart<T> {
    log: SimLane,
    numbers: Vec<Partition>,
    tasks: Vec<Option<Kept<T>>>,
}

enum State<T: Task> {
    Away,
    Seated(Box<Seated<T>>),
    Apart(Box<Apart<T>>),
}

/// A lane of a role.
pub(crate) struct Worker<R: Role> {
    role: R,
    control: Rc<Control>,
    state: State<R::Task>,
}

impl<R: Role<Task: Inspect>> Worker<R> {
    pub(crate) fn new(role: R, control: Rc<Control>) -> Self {
        Worker { role, control, state: State::Away }
    }

    fn join(&mut self, sim: &Rc<Sim>) -> Result<(), LaneError> {
        let (group, id) = sim.names(&self.control);
        let assignment = sim.join(&self.control);
        let inner = sim.log.lane(&group, &id, &assignment)?;
        let log = SimLane::new(inner, id, Rc::clone(&self.control), Rc::clone(sim));
        self.seat(sim, log, BTreeMap::new())
    }

    fn seat(
        &mut self,
        sim: &Sim,
        log: SimLane,
        kept: BTreeMap<Partition, Kept<R::Task>>,
    ) -> Result<(), LaneError> {
        let new = |number, task: R::Task| match sim.snapshot(&self.control, number, task.changelogs()) {
            Some(snapshot) => Seat::Cached(task, snapshot),
            None => Seat::New(task),
        };
        let seats = Seats::new(&self.role, log.assignment(), kept, new);
        let Seats { numbers, seats } = seats.map_err(|error| LaneError::Wiring(error.to_string()))?;
        let config = LaneConfig { limits: sim.limits(), order: self.role.order() };
        let lane = Lane::assemble(log, seats, |at: TopicPartition| place(&numbers, at), config)?;
        self.state = State::Seated(Box::new(Seated { lane, numbers, asked_for_tails: None }));
        Ok(())
    }

    fn reassign(&mut self, sim: &Sim) -> Result<(), LaneError> {
        let State::Apart(apart) = std::mem::replace(&mut self.state, State::Away) else {
            return Ok(());
        };
        let Apart { mut log, numbers, tasks } = *apart;
        match log.reassign() {
            Ok(change) => self.seat(sim, log, keep(numbers, tasks, &change)),
            Err(error) => {
                self.state = State::Apart(Box::new(Apart { log, numbers, tasks }));
                Err(error.into())
            }
        }
    }

    fn try_turn(&mut self, sim: &Rc<Sim>) -> Result<Turn, LaneError> {
        match &mut self.state {
            State::Away => self.join(sim).map(|()| Turn::Busy),
            State::Apart(_) => self.reassign(sim).map(|()| Turn::Busy),
            State::Seated(seated) => {
                let role = &mut self.role;
                seated.turn::<R>(role, &self.control, sim)
            }
        }
    }
}

impl<T: Inspect> Seated<T> {
    /// As the loop of `catchment run`: what is due, a slice of restoring, and a step.
    fn turn<R: Role<Task = T>>(
        &mut self,
        role: &mut R,
        control: &Control,
        sim: &Sim,
    ) -> Result<Turn, LaneError> {
        self.ask_for_tails::<R>(sim)?;
        if !self.lane.is_restored() && self.lane.restore_some()? == Restored::Done {
            sim.restored(self.lane.origins());
        }
        if sim.marks(control, &self.numbers) {
            self.lane.mark()?;
        }
        let mut too_early = false;
        let report = self.lane.step(sim.lane_now(), &mut |effect| {
            too_early |= !control.knows.get();
            role.effect(effect);
        })?;
        role.step_done();
        if too_early {
            sim.violation(format!(
                "lane {}: an effect ran before its transaction was committed",
                control.lane
            ));
        }
        for held in self.lane.held().filter(|held| held.why != Hold::Waiting) {
            sim.violation(format!("lane {}: {}", control.lane, held.describe(&sim.log.topics())));
        }
        sim.note(format_args!("  step {} {} {:?}", report.records, report.outputs, report.aborted));
        let idle = report.is_idle() && self.lane.is_restored();
        Ok(if idle { Turn::Idle } else { Turn::Busy })
    }

    /// Where the inputs end, for tasks whose time goes on while nothing comes.
    fn ask_for_tails<R: Role<Task = T>>(&mut self, sim: &Sim) -> Result<(), LaneError> {
        let now = sim.now();
        let until = sim.end_of_input();
        let due = self.asked_for_tails.is_none_or(|last| now >= last + 1_000);
        if !(until.is_some() || sim.lane_now().is_some() && due) {
            return Ok(());
        }
        self.asked_for_tails = Some(now);
        let tails = match self.lane.tails() {
            Err(LaneError::Log(LogError::Retry { .. })) => return Ok(()),
            tails => tails?,
        };
        let Seated { lane, numbers, .. } = self;
        for (number, task) in numbers.iter().zip(lane.tasks_mut()) {
            let mut own = tails.iter().filter(|tail| tail.at.partition == *number);
            match until {
                Some(until) if sim.lane_now().is_none() => {
                    if own.all(|tail| tail.complete) {
                        task.finish(until);
                    }
                }
                _ => own.filter(|tail| tail.complete).for_each(|tail| R::caught_up(task, tail.at, now)),
            }
        }
        Ok(())
    }
}

impl<R: Role<Task: Inspect>> Actor for Worker<R> {
    fn control(&self) -> &Rc<Control> {
        &self.control
    }

    fn turn(&mut self, sim: &Rc<Sim>) -> Turn {
        let error = match self.try_turn(sim) {
            Ok(turn) => return turn,
            Err(error) => error,
        };
        if self.control.killed.get() {
            return Turn::Anew;
        }
        let reaction = react(&error);
        sim.note(format_args!("  {error} -> {reaction:?}"));
        match reaction {
            // A handle that could not be made whole is dropped, and joins again.
            Reaction::Wait => Turn::Busy,
            Reaction::Reassign => {
                if let State::Seated(seated) = std::mem::replace(&mut self.state, State::Away) {
                    let Seated { lane, numbers, .. } = *seated;
                    let (log, tasks) = lane.dissolve();
                    self.state = State::Apart(Box::new(Apart { log, numbers, tasks }));
                }
                Turn::Busy
            }
            Reaction::Rebuild(why) => {
                let bad =
                    matches!(why, Restart::Stuck | Restart::Denied | Restart::Panicked | Restart::Broken);
                if bad && sim.is_current(&self.control) {
                    sim.violation(format!("lane {}: {error}", self.control.lane));
                }
                self.state = State::Away;
                Turn::Anew
            }
        }
    }

    fn is_complete(&self) -> bool {
        matches!(&self.state, State::Seated(seated) if seated.lane.is_restored())
    }

    fn state(&self, sim: &Sim) -> Vec<(Partition, Vec<String>, Vec<String>)> {
        let State::Seated(seated) = &self.state else { return Vec::new() };
        let mut states = Vec::new();
        for (number, task) in seated.numbers.iter().zip(seated.lane.tasks()) {
            let inputs: Vec<TopicPartition> =
                seated.lane.positions().map(|(at, _)| at).filter(|at| at.partition == *number).collect();
            let mut fresh = self.role.task(*number, &inputs).unwrap();
            for changelog in fresh.changelogs() {
                for record in sim.log.read_committed(changelog).unwrap() {
                    fresh.restore(&record.as_record()).unwrap();
                }
            }
            states.push((*number, task.holds(), fresh.holds()));
        }
        states
    }

    fn pending_timers(&self) -> usize {
        match &self.state {
            State::Seated(seated) => seated.lane.tasks().map(Inspect::pending).sum(),
            _ => 0,
        }
    }
}
