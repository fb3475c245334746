//! What time it is for a task: how far its input is read, and what is due by then.

use super::{ProfileEffect, ProfileTask};
use crate::profile::fold::SharedSettings;
use crate::profile::message;
use crate::profile::stored::unreadable;
use catchment_contracts::{CustomerEvent, ReadUpTo, Watermark, headers, watermark, wire};
use catchment_domain::Millis;
use catchment_runtime::{Headers, Partition, Record, Step, Unreadable, Watermarks};

/// Shortest time between two watermarks that are passed on by the wall clock: each goes to all partitions, whose tasks commit
/// that they read it. A wait ends so much later at most.
const PASS_EVERY: Millis = 5_000;

/// How far the input is read.
#[derive(Debug)]
pub(super) struct Time {
    /// Source partitions, as read into this partition of `customer.events`.
    sources: Watermarks<(u16, Partition)>,
    /// All partitions of `customer.events`, as far as their tasks have read and what they sent has come here.
    tasks: Watermarks<Partition>,
    /// The last watermark that was passed on, and when; now and at the last commit.
    passed: Option<(Millis, Millis)>,
    passed_before: Option<(Millis, Millis)>,
}

impl Time {
    pub(super) fn new(settings: &SharedSettings) -> Self {
        let inputs = settings.sources.iter().zip(0u16..);
        let inputs =
            inputs.flat_map(|((_, partitions), source)| (0..*partitions).map(move |at| (source, at)));
        Time {
            sources: Watermarks::new(inputs),
            tasks: Watermarks::new(0..settings.partitions),
            passed: None,
            passed_before: None,
        }
    }

    pub(super) fn commit(&mut self) {
        self.sources.commit();
        self.tasks.commit();
        self.passed_before = self.passed;
    }

    pub(super) fn undo(&mut self) {
        self.sources.undo();
        self.tasks.undo();
        self.passed = self.passed_before;
    }
}

impl ProfileTask {
    /// With the clock of the events, `now` is the watermark of the task's input. A task that was just restored has not
    /// heard of it yet: it takes the arrival of the event, which is what the watermark before it said.
    pub(super) fn set_clock(&self, arrival: Millis, step: &mut Step<ProfileEffect>) {
        if self.shared.settings.event_clock {
            step.now = step.now.max(self.time.sources.min().unwrap_or(arrival));
        }
    }

    /// Takes what is said of the input's progress.
    pub(super) fn take_watermark(
        &mut self,
        bytes: &[u8],
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let mark = watermark::read(bytes).map_err(|error| unreadable("watermark", &error))?;
        for read in &mark.read {
            let source = self.shared.settings.sources.iter().position(|(name, _)| name == read.source);
            // A source that is not configured any more holds nobody up.
            let Some(source) = source.and_then(|at| u16::try_from(at).ok()) else { continue };
            let Ok(partition) = u32::try_from(read.partition) else { continue };
            // A partition that upstream added is waited for from now on.
            self.time.sources.expect((source, partition));
            self.time.sources.advance((source, partition), read.arrival);
        }
        let Some(read) = self.time.sources.min() else { return Ok(()) };
        if self.shared.settings.reads_by_arrival {
            // Whatever arrived before, in any partition, has been processed, and all that came of it.
            self.let_known_time_pass(step)?;
            self.let_go(step)?;
        }
        if self.shared.settings.event_clock {
            step.now = step.now.max(read);
        }
        if !self.shared.settings.reads_by_arrival {
            self.pass_on(read, step);
        }
        Ok(())
    }

    /// Says to all tasks how far this one has read. It stands behind all that this one sent them before.
    fn pass_on(&mut self, read: Millis, step: &mut Step<ProfileEffect>) {
        let settings = &self.shared.settings;
        let is_news = self.time.passed.is_none_or(|(last, _)| read > last);
        // By the wall clock there is a next watermark in any case.
        let is_due = settings.event_clock
            || self.time.passed.is_none_or(|(_, at)| step.now >= at.saturating_add(PASS_EVERY));
        if !is_news || !is_due {
            return;
        }
        self.time.passed = Some((read, step.now));
        let partition = i32::try_from(self.partition).unwrap_or(i32::MAX);
        let mark = Watermark { read: vec![ReadUpTo { source: "", partition, arrival: read }] };
        let mut bytes = Vec::new();
        watermark::write(&mark, &mut bytes);
        for partition in 0..settings.partitions {
            let mut headers = Headers::default();
            headers.push(headers::WATERMARK, bytes.clone());
            step.outbox.push(step.to(settings.inbox, partition), None, None, headers);
        }
    }

    /// Takes what other tasks say of their progress, and decides what is due by now.
    pub(super) fn take_passed(
        &mut self,
        bytes: &[u8],
        step: &mut Step<ProfileEffect>,
    ) -> Result<(), Unreadable> {
        let mark = watermark::read(bytes).map_err(|error| unreadable("watermark", &error))?;
        for read in &mark.read {
            if let Ok(partition) = Partition::try_from(read.partition) {
                self.time.tasks.advance(partition, read.arrival);
            }
        }
        self.let_known_time_pass(step)?;
        self.let_go(step)
    }

    /// Decides what is due by what is known of the time.
    pub(super) fn let_known_time_pass(&mut self, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        self.known(step.now).map_or(Ok(()), |now| self.let_time_pass(now, step))
    }

    /// Lets go what has outlived its time, some of it with each watermark: with each letter, a step could become all of it.
    fn let_go(&mut self, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        self.known(step.now).map_or(Ok(()), |now| self.expire(now, step))
    }

    /// Up to when everything is read, and no later than now.
    fn known(&self, now: Millis) -> Option<Millis> {
        let Time { sources, tasks, .. } = &self.time;
        let known = if self.shared.settings.reads_by_arrival { sources.min() } else { tasks.min() }?;
        Some(if self.shared.settings.event_clock { known } else { known.min(now) })
    }

    /// Decides what is due by then. Timers fire here and nowhere else, so that it does not matter where a batch ends: a
    /// watermark stands among the events, behind all that arrived before it.
    fn let_time_pass(&mut self, now: Millis, step: &mut Step<ProfileEffect>) -> Result<(), Unreadable> {
        while let Some(due) = self.timers.next_due().filter(|due| *due <= now) {
            if self.shared.settings.event_clock {
                // Time passes through every moment at which something is due, so that a timer of 14:30 is decided at
                // 14:30 also where the next record is of 14:55.
                step.now = step.now.max(due);
            }
            self.fire(due, step)?;
        }
        Ok(())
    }
}

/// When the raw record arrived that a record goes back to; of one that can't be read, the beginning of time: it comes at
/// once, and stops its partition.
pub(super) fn arrival(record: &Record<'_>, settings: &SharedSettings) -> Millis {
    let of_mark = |bytes: &[u8]| watermark::read(bytes).ok()?.read.iter().map(|read| read.arrival).min();
    let of_letter = |bytes: &[u8]| message::read(bytes).ok().map(|letter| letter.at);
    let of_event = |bytes: &[u8]| {
        let datum = wire::datum(bytes, settings.schemas.customer_event).ok()?;
        CustomerEvent::decode(datum).ok().map(|event| event.received_at)
    };
    let arrival = match (record.value, record.headers.get(headers::WATERMARK)) {
        (Some(value), _) if record.topic == settings.inbox => of_letter(value),
        (Some(value), _) => of_event(value),
        (None, mark) => mark.and_then(of_mark),
    };
    arrival.unwrap_or(Millis::MIN)
}

/// Who is first of those that arrived in one moment: what nodes say, since it comes of something that was read already;
/// then what is due by then; then events.
pub(super) fn rank(record: &Record<'_>, settings: &SharedSettings) -> usize {
    match record.value {
        _ if record.topic == settings.inbox => 0,
        None => 1,
        Some(_) => 2,
    }
}
