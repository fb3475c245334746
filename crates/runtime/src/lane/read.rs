//! Reading: which records a step takes, and in which order.

use super::input::{self, Admission, Barrier, Input};
use super::{Lane, LaneError, Order, Slot};
use crate::lane::held::Hold;
use crate::log::{BatchLimits, Log, LogError};
use crate::record::{Record, TopicPartition};
use crate::task::{Step, Task};

/// A record that could not be taken, by the place of its input: the step is undone, and taken again without it.
pub(super) type Stumble = (usize, Barrier);

impl<L: Log, T: Task> Lane<L, T> {
    /// Reads and decides a batch.
    pub(super) fn read(&mut self) -> Result<Option<Stumble>, LaneError> {
        let mut limits = self.config.limits;
        limits.records = self.cap.unwrap_or(limits.records).min(limits.records);
        match self.config.order {
            Order::Offset => self.read_as_polled(&limits),
            Order::Arrival => self.read_by_arrival(&limits),
        }
    }

    fn read_as_polled(&mut self, limits: &BatchLimits) -> Result<Option<Stumble>, LaneError> {
        while let Err(error) = self.log.poll(limits, &mut self.batch) {
            self.hold_gap(error)?;
        }
        let (mut left, mut left_bytes) = (0, 0);
        for (place, record) in self.batch.iter().enumerate() {
            let at = record.topic_partition();
            let index = *self.by_partition.get(&at).ok_or(LogError::NotAssigned { at })?;
            let input = &mut self.inputs[index];
            let slot = &mut self.slots[input.task];
            match input.admit(slot, &record) {
                Admission::Take => {
                    if let Err(barrier) = process(slot, input, &record, &mut self.step) {
                        return Ok(Some((index, barrier)));
                    }
                    self.last = Some((index, record.offset));
                    continue;
                }
                Admission::Held => hold(&mut self.log, input)?,
                Admission::Leave => {}
            }
            left += 1;
            left_bytes += self.batch.size_of(place);
        }
        self.report.records = self.batch.len() - left;
        self.report.bytes = self.batch.bytes() - left_bytes;
        // A batch ends before the record that would pass the limit, so one that is nearly full may have more behind it.
        self.report.full = self.batch.len() >= limits.records || self.batch.bytes() > limits.bytes / 2;
        Ok(None)
    }

    fn read_by_arrival(&mut self, limits: &BatchLimits) -> Result<Option<Stumble>, LaneError> {
        if self.is_held_back() {
            // The clients of the log want to be served all the same.
            self.log.await_records()?;
            return Ok(None);
        }
        let nothing_at_hand = self.inputs.iter().all(|input| input.queue.is_empty());
        if nothing_at_hand && !self.log.await_records()? {
            return Ok(None);
        }
        for index in 0..self.inputs.len() {
            if self.inputs[index].is_unranked() {
                self.compete(index)?;
            }
        }
        self.refill()?;
        while let Some(first) = self.next_to_arrive() {
            let size = self.inputs[first].head_size();
            let over = self.report.records >= limits.records || self.report.bytes + size > limits.bytes;
            if over && self.report.records > 0 {
                self.report.full = true;
                break;
            }
            // The queue is taken out while its record is processed, since the rest of the input changes with it.
            let input = &mut self.inputs[first];
            let queue = std::mem::take(&mut input.queue);
            let written = self.step.outbox.len();
            let result = match queue.get(input.head) {
                Some(record) => {
                    self.last = Some((first, record.offset));
                    process(&mut self.slots[input.task], input, &record, &mut self.step)
                }
                None => Ok(()),
            };
            input.queue = queue;
            if let Err(barrier) = result {
                return Ok(Some((first, barrier)));
            }
            self.report.records += 1;
            self.report.bytes += size;
            let is_empty = input.drop_head();
            if self.wrote_to_itself(written) {
                // What it wrote arrived no later than what comes next, and can be read once it is committed.
                if !is_empty {
                    self.compete(first)?;
                }
                self.report.full = true;
                break;
            }
            if is_empty {
                self.refill()?;
            } else {
                self.compete(first)?;
            }
        }
        Ok(None)
    }

    /// Whether one of the records written since is for a partition that this lane reads.
    fn wrote_to_itself(&self, since: usize) -> bool {
        let written = &self.step.outbox.records()[since..];
        written.iter().any(|record| {
            let at = TopicPartition { topic: record.topic, partition: record.partition };
            self.by_partition.contains_key(&at)
        })
    }

    fn next_to_arrive(&self) -> Option<usize> {
        if self.is_held_back() { None } else { input::first(&self.inputs) }
    }

    /// In order of arrival: true while the arrival of a record is not known that may be earlier than all others.
    fn is_held_back(&self) -> bool {
        self.inputs.iter().any(|input| input.is_waiting() || self.slots[input.task].is_restoring())
    }

    fn compete(&mut self, index: usize) -> Result<(), LaneError> {
        let input = &mut self.inputs[index];
        if !input.compete(&mut self.slots[input.task]) {
            return Ok(());
        }
        // The queue of one that waits stays, and its record is asked for again.
        if !input.is_waiting() {
            input.empty_queue();
            hold(&mut self.log, input)?;
        }
        Ok(())
    }

    /// Fetches for every partition of which nothing is at hand. If one got something, those found empty before are
    /// asked again: what came to them before it must not be missed, or the order would depend on the moment.
    fn refill(&mut self) -> Result<(), LaneError> {
        loop {
            let mut found = false;
            for index in 0..self.inputs.len() {
                let input = &mut self.inputs[index];
                if input.held.is_some() || !input.queue.is_empty() || !self.slots[input.task].is_running() {
                    continue;
                }
                let polled = self.log.poll_partition(input.at, &self.config.limits, &mut input.queue);
                if let Err(error) = polled {
                    input.empty_queue();
                    self.hold_gap(error)?;
                } else if !self.inputs[index].queue.is_empty() {
                    found = true;
                    self.compete(index)?;
                }
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// Holds the partition that an error says has a gap; any other error comes back.
    fn hold_gap(&mut self, error: LogError) -> Result<(), LaneError> {
        if let LogError::OutOfRange { at, position, earliest } = error
            && let Some(input) = self.by_partition.get(&at).map(|index| &mut self.inputs[*index])
            && input.held.is_none()
        {
            input.hold(Hold::Gap { position, earliest });
            return hold(&mut self.log, input);
        }
        Err(error.into())
    }
}

/// Lets the log leave a partition alone from its next record on.
pub(super) fn hold<L: Log>(log: &mut L, input: &Input) -> Result<(), LaneError> {
    log.seek(input.at, input.next)?;
    Ok(log.hold(input.at)?)
}

fn process<T: Task>(
    slot: &mut Slot<T>,
    input: &mut Input,
    record: &Record<'_>,
    step: &mut Step<T::Effect>,
) -> Result<(), Barrier> {
    slot.run(step, |task, step| task.process(record, step)).map_err(|unreadable| Barrier {
        offset: record.offset,
        why: Hold::Unreadable { offset: record.offset, reason: unreadable.reason },
    })?;
    input.next = record.offset.next();
    Ok(())
}
