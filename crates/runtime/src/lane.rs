//! One lane: a log handle, its tasks, and the loop body that makes a step one transaction.

mod held;
mod input;
mod proof;
mod read;
mod report;
mod restore;
mod snapshot;
mod tail;
#[cfg(test)]
mod tests;

pub use held::{Held, Hold};
pub use report::{Kept, LaneConfig, LaneError, Order, Restored, Seat, StepReport};
pub use restore::{Origins, RestoreProgress};
pub use tail::Tail;

use crate::log::{Batch, CommitOutcome, Fence, Log, LogError};
use crate::outcome::{Decision, decide};
use crate::planted::{self, Bug};
use crate::record::{Millis, NextOffset, Offset, TopicPartition};
use crate::snapshot::Snapshot;
use crate::task::{Step, Task};
use input::{Barrier, Input};
use read::Stumble;
use restore::Restoration;
use rustc_hash::FxHashMap;
use snapshot::Copies;
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// State is undone, but the log still has to be set back.
    Rewinding,
    /// A commit of unknown outcome is to be settled.
    Unsettled,
    /// Drop it.
    Dead(Death),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Fenced(Fence),
    MustRestore,
    /// A snapshot could be read halfway only.
    HalfRestored,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing yet: its state is being read back.
    Restoring,
    Running,
    /// Nothing for the life of the lane: its partitions are held.
    Stopped,
}

#[derive(Debug)]
struct Slot<T> {
    task: T,
    state: State,
    /// `now` as the task left it. Kept per task: with an event clock each has a time of its own.
    now: Millis,
    /// `now` at the last commit.
    now_before: Millis,
    wrote: bool,
    snapshot: Option<Box<dyn Snapshot>>,
}

impl<T: Task> Slot<T> {
    fn run<R>(
        &mut self,
        step: &mut Step<T::Effect>,
        work: impl FnOnce(&mut T, &mut Step<T::Effect>) -> R,
    ) -> R {
        step.now = self.now;
        let before = step.outbox.len();
        let result = work(&mut self.task, step);
        self.now = step.now;
        self.wrote |= step.outbox.len() > before;
        result
    }

    fn is_running(&self) -> bool {
        self.state == State::Running
    }

    fn is_restoring(&self) -> bool {
        self.state == State::Restoring
    }
}

/// A log handle and the tasks of its partitions.
///
/// Life: [`new`](Lane::new), then [`step`](Lane::step) again and again, and [`restore_some`](Lane::restore_some) in
/// between until [`is_restored`](Lane::is_restored), with the clock and the waiting done by the caller. After
/// [`LaneError::Fenced`] or [`LaneError::MustRestore`] it is dropped and a new one made; a crash is the same without
/// the error. After [`LogError::Reassigned`] it is taken apart ([`dissolve`](Lane::dissolve)), its log told to
/// [`reassign`](Log::reassign), and put together again ([`assemble`](Lane::assemble)) with the tasks that stay and new
/// ones for what was gained.
///
/// What can't go on stops alone: a partition is [held](Lane::held) while the others are read, a task is
/// [restored](Lane::restoring) while the others run. With [`Order::Arrival`] there is less to gain: a partition that
/// waits, or a task that is restored, holds the whole lane back, since the arrival of its next record is not known.
#[derive(Debug)]
pub struct Lane<L: Log, T: Task> {
    log: L,
    slots: Vec<Slot<T>>,
    /// In order of topic and partition.
    inputs: Vec<Input>,
    by_partition: FxHashMap<TopicPartition, usize>,
    config: LaneConfig,
    batch: Batch,
    step: Step<T::Effect>,
    sent: Vec<(TopicPartition, NextOffset)>,
    report: StepReport,
    phase: Phase,
    /// Tasks without their state, in the order they get it.
    restoring: VecDeque<Restoration>,
    /// The record that was processed last in this step, by the place of its input.
    last: Option<(usize, Offset)>,
    /// Records of a step, at most, while one is looked for whose result is too large.
    cap: Option<usize>,
    /// The next commit carries the offset of every partition.
    recommit: bool,
    copies: Copies,
    origins: Origins,
}

impl<L: Log, T: Task> Lane<L, T> {
    /// A lane with its tasks, which are empty as made; `task_of` says which task (by its place in `tasks`) a
    /// partition belongs to, and is asked once for each assigned partition. A partition without a committed offset is
    /// read from its earliest record, if its task has no state: else it is held ([`Hold::NoOffset`]). The first
    /// transaction of a task commits an offset of each of its partitions, so that this can be told apart.
    ///
    /// # Errors
    /// [`LaneError::Wiring`]; [`LaneError::Log`].
    pub fn new(
        log: L,
        tasks: Vec<T>,
        task_of: impl Fn(TopicPartition) -> Option<usize>,
        config: LaneConfig,
    ) -> Result<Self, LaneError> {
        Self::assemble(log, tasks.into_iter().map(Seat::New).collect(), task_of, config)
    }

    /// As [`new`](Lane::new), with tasks that keep their state and are not restored.
    ///
    /// # Errors
    /// [`LaneError::Wiring`]; [`LaneError::Log`].
    pub fn assemble(
        mut log: L,
        seats: Vec<Seat<T>>,
        task_of: impl Fn(TopicPartition) -> Option<usize>,
        config: LaneConfig,
    ) -> Result<Self, LaneError> {
        let inputs = input::inputs(&mut log, seats.len(), task_of)?;
        let by_partition = inputs.iter().enumerate().map(|(index, input)| (input.at, index)).collect();
        let mut restorations = Vec::with_capacity(seats.len());
        let mut slots = Vec::with_capacity(seats.len());
        for (place, seat) in seats.into_iter().enumerate() {
            let (task, now, restoration, snapshot) = match seat {
                Seat::Kept(kept) => (kept.task, kept.now, kept.restoration, kept.snapshot),
                Seat::New(task) => {
                    let restoration = Restoration::new(&mut log, &task)?;
                    (task, 0, restoration.unless_empty(), None)
                }
                Seat::Cached(task, mut snapshot) => {
                    let restoration = Restoration::new(&mut log, &task)?.with_snapshot(&mut *snapshot);
                    (task, 0, restoration.unless_empty(), Some(snapshot))
                }
            };
            let state = if restoration.is_some() { State::Restoring } else { State::Running };
            restorations.extend(restoration.map(|restoration| restoration.at(place)));
            slots.push(Slot { task, state, now, now_before: now, wrote: false, snapshot });
        }
        let mut lane = Lane {
            copies: Copies::new(&slots),
            origins: Origins::default(),
            log,
            slots,
            inputs,
            by_partition,
            config,
            batch: Batch::default(),
            step: Step::new(),
            sent: Vec::new(),
            report: StepReport::default(),
            phase: Phase::Running,
            restoring: restorations.into(),
            last: None,
            cap: None,
            recommit: false,
        };
        lane.settle_in()?;
        Ok(lane)
    }

    /// The log handle and the tasks, by place, each with its state as of the last commit, or as far as it is restored;
    /// `None` for a task whose state is not that (a commit is not settled, or it can't be restored): it is to be made
    /// anew.
    #[must_use]
    pub fn dissolve(mut self) -> (L, Vec<Option<Kept<T>>>) {
        // Of a commit that carried nothing there is nothing to be settled.
        let is_empty = self.phase == Phase::Unsettled && self.sent.is_empty();
        let settled = is_empty || matches!(self.phase, Phase::Running | Phase::Rewinding);
        let keep = |(task, slot): (usize, Slot<T>)| {
            let mut restorations = self.restoring.iter();
            let restoration = restorations.position(|restoration| restoration.task == task);
            let restoration = restoration.and_then(|place| self.restoring.remove(place));
            // A kept task is not asked whether it has state without an offset, so that is asked anew.
            let mut of_task = self.inputs.iter().filter(|input| input.task == task);
            let whole = settled && slot.state != State::Stopped && of_task.all(Input::has_offset);
            let Slot { task, now_before: now, snapshot, .. } = slot;
            whole.then_some(Kept { task, now, restoration, snapshot })
        };
        (self.log, self.slots.into_iter().enumerate().map(keep).collect())
    }

    /// One step: read a batch, decide record by record, advance, flush, commit, and only then run the effects. It
    /// may be called while tasks are being restored: they, and their partitions, are left out.
    ///
    /// `now` is the wall clock's value, given by the edge; `None` leaves the time to the tasks (event clock): what a
    /// task sets stays from record to record and from step to step, and is undone with the step. A new lane begins
    /// at 0.
    ///
    /// A step that was not committed is no error: see [`StepReport::aborted`]. Nor is a partition that can't go on: see
    /// [`held`](Lane::held).
    ///
    /// # Errors
    /// See [`LaneError`]. After any error nothing of the step has taken effect, or it is not known yet whether it has,
    /// and a later step settles it first.
    pub fn step(
        &mut self,
        now: Option<Millis>,
        effects: &mut dyn FnMut(T::Effect),
    ) -> Result<StepReport, LaneError> {
        match self.phase {
            Phase::Dead(Death::Fenced(fence)) => return Err(LaneError::Fenced(fence)),
            Phase::Dead(Death::MustRestore) => return Err(LaneError::MustRestore),
            Phase::Dead(Death::HalfRestored) => return Err(LaneError::HalfRestored),
            Phase::Unsettled => return self.settle(effects),
            Phase::Rewinding => self.rewind()?,
            Phase::Running => {}
        }
        if let Some(reason) = self.prove_holds()? {
            self.report = StepReport::default();
            return if self.phase == Phase::Unsettled { self.settle(effects) } else { self.abort(reason) };
        }
        self.inputs.iter_mut().for_each(|input| input.held_now = false);
        // Every round but the last finds a record that can't be taken, and goes on without it.
        let mut rounds = self.inputs.len();
        while let Some((input, barrier)) = self.attempt(now)? {
            self.undo()?;
            self.inputs[input].barrier = Some(barrier);
            if rounds == 0 {
                return self.abort("records that can't be read, again and again".to_owned());
            }
            rounds -= 1;
        }
        if planted::is(Bug::EffectsBeforeCommit) {
            self.step.effects.drain(..).for_each(&mut *effects);
        }
        let outcome = match self.commit() {
            Ok(outcome) => outcome,
            Err(LogError::TooLarge { at, bytes, limit }) => return self.too_large(at, bytes, limit),
            Err(error) => {
                self.undo()?;
                return Err(error.into());
            }
        };
        match outcome {
            CommitOutcome::Committed => {
                let report = self.keep(effects);
                // An error comes again with the next step, which can say so.
                let _ = self.prove_holds();
                Ok(report)
            }
            CommitOutcome::Aborted { reason } => self.abort(reason),
            CommitOutcome::Unknown { .. } => {
                self.phase = Phase::Unsettled;
                self.settle(effects)
            }
            CommitOutcome::Fenced(fence) => {
                self.phase = Phase::Dead(Death::Fenced(fence));
                Err(LaneError::Fenced(fence))
            }
        }
    }

    /// Reads and decides. After an error the step is undone; after a record that can't be taken it is to be.
    fn attempt(&mut self, now: Option<Millis>) -> Result<Option<Stumble>, LaneError> {
        self.begin(now);
        let decided = self.decide();
        if decided.is_err() {
            self.undo()?;
        }
        decided
    }

    fn begin(&mut self, now: Option<Millis>) {
        self.step.clear();
        self.report = StepReport::default();
        self.last = None;
        for slot in &mut self.slots {
            slot.wrote = false;
            slot.now = now.unwrap_or(slot.now);
        }
    }

    /// Everything between the last commit and this one that can change state.
    fn decide(&mut self) -> Result<Option<Stumble>, LaneError> {
        if let Some(stumble) = self.read()? {
            return Ok(Some(stumble));
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.is_running()) {
            slot.run(&mut self.step, T::advance);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.is_running()) {
            slot.run(&mut self.step, T::flush);
        }
        self.report.outputs = self.step.outbox.len();
        self.report.output_bytes = self.step.outbox.bytes();
        Ok(None)
    }

    /// Commits what the step wrote, with an offset of every task that wrote, also where nothing was read: that is
    /// what fences a lane that lost its partitions.
    fn commit(&mut self) -> Result<CommitOutcome, LogError> {
        self.collect_offsets();
        if self.sent.is_empty() && self.step.outbox.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        if planted::is(Bug::OffsetOffByOne) {
            self.sent.iter_mut().for_each(|(_, offset)| offset.0 = offset.0.saturating_sub(1));
        }
        self.log.commit(&self.step.outbox, &self.sent)
    }

    fn collect_offsets(&mut self) {
        self.sent.clear();
        let all = self.recommit;
        let chosen = self.inputs.iter().filter(|input| {
            input.has_moved() || all && input.can_repeat(self.slots[input.task].is_running())
        });
        self.sent.extend(chosen.map(|input| (input.at, input.next)));
        for (index, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_running()) {
            let of_task = || self.inputs.iter().filter(|input| input.task == index && input.has_offset());
            let moved = of_task().any(Input::has_moved);
            if all || !(slot.wrote || moved) {
                continue;
            }
            // Whoever finds state later must find the offset of each partition that it was made from.
            let first_time = of_task().filter(|input| input.committed.is_none() && !input.has_moved());
            let before = self.sent.len();
            self.sent.extend(first_time.map(|input| (input.at, input.next)));
            if !moved && self.sent.len() == before && !planted::is(Bug::StepWithoutOffsets) {
                self.sent.extend(of_task().next().map(|input| (input.at, input.next)));
            }
        }
    }

    /// A result was above the limit of the log. What it came of is looked for by smaller and smaller steps; once it is
    /// found, its partition is held there.
    fn too_large(
        &mut self,
        output: TopicPartition,
        bytes: usize,
        limit: usize,
    ) -> Result<StepReport, LaneError> {
        let (records, last) = (self.report.records, self.last);
        self.undo()?;
        let error = LogError::TooLarge { at: output, bytes, limit };
        match (records, last) {
            (1, Some((input, offset))) => {
                let why = Hold::TooLarge { offset, output, bytes, limit };
                self.inputs[input].barrier = Some(Barrier { offset, why });
                self.cap = None;
            }
            (2.., _) => self.cap = Some(records / 2),
            // It came of no record: a timer. There is nothing to hold.
            _ => return Err(error.into()),
        }
        self.report.aborted = Some(error.to_string());
        Ok(self.report.clone())
    }

    /// The transaction is known to be committed.
    fn keep(&mut self, effects: &mut dyn FnMut(T::Effect)) -> StepReport {
        for (at, offset) in &self.sent {
            if let Some(index) = self.by_partition.get(at) {
                self.inputs[*index].commit(*offset);
            }
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.is_running()) {
            slot.task.committed();
            slot.now_before = slot.now;
        }
        self.recommit &= self.sent.is_empty();
        self.cap = self.cap.map(|cap| cap * 2).filter(|cap| *cap < self.config.limits.records);
        self.phase = Phase::Running;
        self.copies.take(&self.step.outbox, &mut self.slots);
        self.step.outbox.clear();
        for effect in self.step.effects.drain(..) {
            effects(effect);
        }
        self.report.committed = true;
        let is_news = |input: &&Input| input.held.is_some() && (input.held_now || input.awaits_proof());
        self.report.held = self.inputs.iter().filter(is_news).count();
        self.report.clone()
    }

    /// The transaction is known not to be committed.
    fn abort(&mut self, reason: String) -> Result<StepReport, LaneError> {
        self.undo()?;
        self.report.aborted = Some(reason);
        Ok(self.report.clone())
    }

    fn undo(&mut self) -> Result<(), LaneError> {
        self.step.clear();
        for slot in self.slots.iter_mut().filter(|slot| slot.is_running()) {
            if slot.task.aborted().is_err() {
                self.phase = Phase::Dead(Death::MustRestore);
                return Err(LaneError::MustRestore);
            }
            slot.now = slot.now_before;
        }
        if planted::is(Bug::AbortWithoutRewind) {
            return Ok(());
        }
        self.phase = Phase::Rewinding;
        self.rewind()
    }

    /// Sets every partition back to where the last commit left it.
    fn rewind(&mut self) -> Result<(), LaneError> {
        for input in &mut self.inputs {
            input.rewind();
            self.log.seek(input.at, input.next)?;
            if input.held.is_none() && self.slots[input.task].is_running() {
                self.log.release(input.at)?;
            }
        }
        self.phase = Phase::Running;
        Ok(())
    }

    /// After a commit of unknown outcome: a new producer settles it, and the committed offsets tell. An error leaves
    /// everything as it is, so that the next step tries again.
    fn settle(&mut self, effects: &mut dyn FnMut(T::Effect)) -> Result<StepReport, LaneError> {
        self.log.recover()?;
        if self.sent.is_empty() {
            // Nothing was in it, whatever became of it: see `prove`.
            return Ok(self.keep(effects));
        }
        self.report.settled = true;
        let partitions: Vec<TopicPartition> = self.sent.iter().map(|(at, _)| *at).collect();
        let read_back = self.log.committed(&partitions)?;
        let read_back: Vec<_> = partitions.iter().copied().zip(read_back).collect();
        let before: Vec<_> = self.inputs.iter().map(|input| (input.at, input.committed)).collect();
        match decide(&self.sent, &before, &read_back) {
            Decision::Keep if !planted::is(Bug::UndoAfterLostAnswer) => Ok(self.keep(effects)),
            Decision::Undo | Decision::Keep => self.abort("the commit did not arrive".to_owned()),
            Decision::Restore => {
                self.phase = Phase::Dead(Death::MustRestore);
                Err(LaneError::MustRestore)
            }
        }
    }

    /// The partitions that are not read on, in order of topic and partition. What waits shows in the step that met it; so
    /// does everything else, once a commit has shown that the lane is still the owner of the partition.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.inputs.iter().filter(|input| !input.awaits_proof()).filter_map(|input| input.held.as_ref())
    }

    /// Partitions that are [waiting](Hold::Waiting) are read again from the next step on, which asks their tasks again.
    /// How long they wait is the owner's decision.
    ///
    /// # Errors
    /// [`LaneError::Log`].
    pub fn retry(&mut self) -> Result<(), LaneError> {
        for input in self.inputs.iter_mut().filter(|input| input.is_waiting()) {
            self.log.release(input.at)?;
            input.held = None;
        }
        Ok(())
    }

    /// The next step commits the offset of every partition, also where nothing was read. Brokers forget the offset of a
    /// partition that nothing was committed for during `offsets.retention.minutes` (7 days), if the group does not
    /// subscribe to its topic: the owner calls this once in a while, well before.
    pub fn recommit(&mut self) {
        self.recommit = true;
    }

    /// The tasks, by place.
    pub fn tasks(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &slot.task)
    }

    /// The tasks, by place, for the edge to tell them what it knows (an input has ended, a partition is read to its end).
    /// What they make of it must show in the next step, not before.
    pub fn tasks_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|slot| &mut slot.task)
    }

    /// The log handle, to ask for watermarks and the like.
    pub fn log_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// Where each partition will be read next, by topic and partition: with the high watermarks, the lag.
    pub fn positions(&self) -> impl Iterator<Item = (TopicPartition, NextOffset)> {
        self.inputs.iter().map(|input| (input.at, input.next))
    }
}
