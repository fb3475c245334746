//! One lane: a log handle, its tasks, and the loop body that makes a step one transaction.

mod input;
mod report;
#[cfg(test)]
mod tests;

use crate::log::{Batch, CommitOutcome, Fence, Log, LogError};
use crate::outcome::{Decision, decide};
use crate::record::{Millis, NextOffset, Record, TopicPartition};
use crate::task::{Step, Task};
use input::Input;
pub use report::{Kept, LaneConfig, LaneError, Order, Restored, Seat, StepReport};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Restoring,
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
}

#[derive(Debug)]
struct Slot<T> {
    task: T,
    /// `now` as the task left it. Kept per task: with an event clock each has a time of its own.
    now: Millis,
    /// `now` at the last commit.
    now_before: Millis,
    wrote: bool,
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
}

#[derive(Debug)]
struct Changelog {
    task: usize,
    at: TopicPartition,
    position: NextOffset,
    target: NextOffset,
}

/// A log handle and the tasks of its partitions.
///
/// Life: [`new`](Lane::new), [`restore`](Lane::restore), then [`step`](Lane::step) again and again, with the clock
/// and the waiting done by the caller. After [`LaneError::Fenced`] or [`LaneError::MustRestore`] it is dropped and a
/// new one made; a crash is the same without the error. After [`LogError::Reassigned`] it is taken apart
/// ([`dissolve`](Lane::dissolve)), its log told to [`reassign`](Log::reassign), and put together again
/// ([`assemble`](Lane::assemble)) with the tasks that stay and new ones for what was gained.
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
    restoring: VecDeque<Changelog>,
}

impl<L: Log, T: Task> Lane<L, T> {
    /// A lane with its tasks, which are empty as made; `task_of` says which task (by its place in `tasks`) a
    /// partition belongs to, and is asked once for each assigned partition. A partition without a committed offset is
    /// read from its earliest record.
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
        let mut restoring = VecDeque::new();
        let mut slots = Vec::with_capacity(seats.len());
        for (index, seat) in seats.into_iter().enumerate() {
            let (task, now) = match seat {
                Seat::Kept(kept) => (kept.task, kept.now),
                Seat::New(task) => {
                    for at in task.changelogs() {
                        let (position, target) = (log.earliest(at)?, log.high_watermark(at)?);
                        restoring.push_back(Changelog { task: index, at, position, target });
                    }
                    (task, 0)
                }
            };
            slots.push(Slot { task, now, now_before: now, wrote: false });
        }
        Ok(Lane {
            log,
            slots,
            inputs,
            by_partition,
            config,
            batch: Batch::default(),
            step: Step::new(),
            sent: Vec::new(),
            report: StepReport::default(),
            phase: Phase::Restoring,
            restoring,
        })
    }

    /// The log handle and the tasks, by place, each with its state as of the last commit; `None` for a task whose
    /// state is not that (not restored to its end, or a commit is not settled): it is to be made anew.
    #[must_use]
    pub fn dissolve(self) -> (L, Vec<Option<Kept<T>>>) {
        let settled = matches!(self.phase, Phase::Restoring | Phase::Running | Phase::Rewinding);
        let unfinished: Vec<usize> = self.restoring.iter().map(|changelog| changelog.task).collect();
        let keep = |(index, slot): (usize, Slot<T>)| {
            (settled && !unfinished.contains(&index))
                .then_some(Kept { task: slot.task, now: slot.now_before })
        };
        (self.log, self.slots.into_iter().enumerate().map(keep).collect())
    }

    /// Reads all state back. Can be called again after [`LaneError::RestoreHeld`] and goes on from there.
    ///
    /// # Errors
    /// [`LaneError::RestoreHeld`], [`LaneError::Unreadable`], [`LaneError::Log`].
    pub fn restore(&mut self) -> Result<(), LaneError> {
        loop {
            match self.restore_some()? {
                Restored::Done => return Ok(()),
                Restored::More => {}
                Restored::Held { at, position, target } => {
                    return Err(LaneError::RestoreHeld { at, position, target });
                }
            }
        }
    }

    /// Reads at most one batch of state back, so that the caller can do something else in between.
    ///
    /// A changelog is read to the high watermark that a `read_uncommitted` reader saw when the lane was made, but
    /// its records are read committed.
    ///
    /// # Errors
    /// [`LaneError::Unreadable`] (a stored record can't be decoded: the start is refused), [`LaneError::Log`].
    pub fn restore_some(&mut self) -> Result<Restored, LaneError> {
        let Some(changelog) = self.restoring.front_mut() else {
            if self.phase == Phase::Restoring {
                self.phase = Phase::Running;
            }
            return Ok(Restored::Done);
        };
        let Changelog { at, position, target, .. } = *changelog;
        if position < target {
            let read = self.log.restore(at, position, &self.config.limits, &mut self.batch)?;
            let task = &mut self.slots[changelog.task].task;
            for record in self.batch.iter() {
                task.restore(&record).map_err(|unreadable| LaneError::Unreadable {
                    at,
                    offset: record.offset,
                    unreadable,
                })?;
            }
            changelog.position = read.position;
            if read.position < target {
                let held = Restored::Held { at, position: read.position, target };
                return Ok(if read.at_end { held } else { Restored::More });
            }
        }
        self.restoring.pop_front();
        Ok(Restored::More)
    }

    /// One step: read a batch, decide record by record, advance, flush, commit, and only then run the effects.
    ///
    /// `now` is the wall clock's value, given by the edge; `None` leaves the time to the tasks (event clock): what a
    /// task sets stays from record to record and from step to step, and is undone with the step. A new lane begins
    /// at 0.
    ///
    /// A step that was not committed is no error: see [`StepReport::aborted`].
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
            Phase::Restoring => return Err(LaneError::NotRestored),
            Phase::Dead(Death::Fenced(fence)) => return Err(LaneError::Fenced(fence)),
            Phase::Dead(Death::MustRestore) => return Err(LaneError::MustRestore),
            Phase::Unsettled => return self.settle(effects),
            Phase::Rewinding => self.rewind()?,
            Phase::Running => {}
        }
        self.begin(now);
        let outcome = match self.decide().and_then(|()| self.commit()) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.undo()?;
                return Err(error);
            }
        };
        match outcome {
            CommitOutcome::Committed => Ok(self.keep(effects)),
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

    fn begin(&mut self, now: Option<Millis>) {
        self.step.clear();
        self.report = StepReport::default();
        for slot in &mut self.slots {
            slot.wrote = false;
            slot.now = now.unwrap_or(slot.now);
        }
    }

    /// Everything between the last commit and this one that can change state.
    fn decide(&mut self) -> Result<(), LaneError> {
        match self.config.order {
            Order::Offset => self.read_as_polled()?,
            Order::Arrival => self.read_by_arrival()?,
        }
        for slot in &mut self.slots {
            slot.run(&mut self.step, T::advance);
        }
        for slot in &mut self.slots {
            slot.run(&mut self.step, T::flush);
        }
        self.report.outputs = self.step.outbox.len();
        self.report.output_bytes = self.step.outbox.bytes();
        Ok(())
    }

    fn read_as_polled(&mut self) -> Result<(), LaneError> {
        let limits = self.config.limits;
        self.log.poll(&limits, &mut self.batch)?;
        for record in self.batch.iter() {
            let at = record.topic_partition();
            let index = *self.by_partition.get(&at).ok_or(LogError::NotAssigned { at })?;
            process(&mut self.slots, &mut self.inputs[index], &record, &mut self.step)?;
        }
        self.report.records = self.batch.len();
        self.report.bytes = self.batch.bytes();
        // A batch ends before the record that would pass the limit, so one that is nearly full may have more behind it.
        self.report.full = self.batch.len() >= limits.records || self.batch.bytes() > limits.bytes / 2;
        Ok(())
    }

    fn read_by_arrival(&mut self) -> Result<(), LaneError> {
        let limits = self.config.limits;
        self.refill()?;
        while let Some(first) = input::first(&self.inputs) {
            let size = self.inputs[first].head_size();
            let over = self.report.records >= limits.records || self.report.bytes + size > limits.bytes;
            if over && self.report.records > 0 {
                self.report.full = true;
                break;
            }
            // The queue is taken out while its record is processed, since the rest of the input changes with it.
            let input = &mut self.inputs[first];
            let queue = std::mem::take(&mut input.queue);
            let result = match queue.get(input.head) {
                Some(record) => process(&mut self.slots, input, &record, &mut self.step),
                None => Ok(()),
            };
            input.queue = queue;
            result?;
            self.report.records += 1;
            self.report.bytes += size;
            if input.drop_head() {
                self.refill()?;
            } else {
                input.compete(&mut self.slots[input.task].task);
            }
        }
        Ok(())
    }

    /// Fetches for every partition of which nothing is at hand. If one got something, those found empty before are
    /// asked again: what came to them before it must not be missed, or the order would depend on the moment.
    fn refill(&mut self) -> Result<(), LaneError> {
        loop {
            let mut found = false;
            for input in self.inputs.iter_mut().filter(|input| input.queue.is_empty()) {
                self.log.poll_partition(input.at, &self.config.limits, &mut input.queue)?;
                if !input.queue.is_empty() {
                    found = true;
                    input.compete(&mut self.slots[input.task].task);
                }
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// Commits what the step wrote, with an offset of every task that wrote, also where nothing was read: that is
    /// what fences a lane that lost its partitions.
    fn commit(&mut self) -> Result<CommitOutcome, LaneError> {
        self.sent.clear();
        self.sent
            .extend(self.inputs.iter().filter(|input| input.has_moved()).map(|input| (input.at, input.next)));
        for (index, slot) in self.slots.iter().enumerate() {
            let mut of_task = self.inputs.iter().filter(|input| input.task == index);
            if slot.wrote && !of_task.clone().any(Input::has_moved) {
                self.sent.extend(of_task.next().map(|input| (input.at, input.next)));
            }
        }
        if self.sent.is_empty() && self.step.outbox.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        Ok(self.log.commit(&self.step.outbox, &self.sent)?)
    }

    /// The transaction is known to be committed.
    fn keep(&mut self, effects: &mut dyn FnMut(T::Effect)) -> StepReport {
        for (at, offset) in &self.sent {
            if let Some(index) = self.by_partition.get(at) {
                self.inputs[*index].commit(*offset);
            }
        }
        for slot in &mut self.slots {
            slot.task.committed();
            slot.now_before = slot.now;
        }
        self.phase = Phase::Running;
        self.step.outbox.clear();
        for effect in self.step.effects.drain(..) {
            effects(effect);
        }
        self.report.committed = true;
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
        for slot in &mut self.slots {
            if slot.task.aborted().is_err() {
                self.phase = Phase::Dead(Death::MustRestore);
                return Err(LaneError::MustRestore);
            }
            slot.now = slot.now_before;
        }
        self.phase = Phase::Rewinding;
        self.rewind()
    }

    /// Sets every partition back to where the last commit left it.
    fn rewind(&mut self) -> Result<(), LaneError> {
        for input in &mut self.inputs {
            input.rewind();
            self.log.seek(input.at, input.next)?;
        }
        self.phase = Phase::Running;
        Ok(())
    }

    /// After a commit of unknown outcome: a new producer settles it, and the committed offsets tell. An error leaves
    /// everything as it is, so that the next step tries again.
    fn settle(&mut self, effects: &mut dyn FnMut(T::Effect)) -> Result<StepReport, LaneError> {
        self.log.recover()?;
        let partitions: Vec<TopicPartition> = self.sent.iter().map(|(at, _)| *at).collect();
        let read_back = self.log.committed(&partitions)?;
        let read_back: Vec<_> = partitions.iter().copied().zip(read_back).collect();
        let before: Vec<_> = self.inputs.iter().map(|input| (input.at, input.committed)).collect();
        match decide(&self.sent, &before, &read_back) {
            Decision::Keep => Ok(self.keep(effects)),
            Decision::Undo => self.abort("the commit did not arrive".to_owned()),
            Decision::Restore => {
                self.phase = Phase::Dead(Death::MustRestore);
                Err(LaneError::MustRestore)
            }
        }
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

fn process<T: Task>(
    slots: &mut [Slot<T>],
    input: &mut Input,
    record: &Record<'_>,
    step: &mut Step<T::Effect>,
) -> Result<(), LaneError> {
    let slot = &mut slots[input.task];
    slot.run(step, |task, step| task.process(record, step)).map_err(|unreadable| LaneError::Unreadable {
        at: input.at,
        offset: record.offset,
        unreadable,
    })?;
    input.next = record.offset.next();
    Ok(())
}
