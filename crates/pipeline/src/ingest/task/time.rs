//! How far the source partitions of a task have been read.

use catchment_contracts::{ReadUpTo, Watermark};
use catchment_runtime::{Millis, Partition};

/// How often `clock: wall` writes a watermark, at most.
const INTERVAL: Millis = 1_000;

/// A partition of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Read {
    source: usize,
    partition: Partition,
    /// Arrival of the last record.
    arrival: Option<Millis>,
    /// Up to when there was nothing more to read, where that is known.
    caught_up: Option<Millis>,
}

/// What changes during a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Now {
    reads: Vec<Read>,
    /// `clock: event`: the last watermark written. `clock: wall`: when the last one was.
    written: Option<Millis>,
    /// The end of the input, once it is said.
    ended: Option<Millis>,
}

/// Arrival times of source partitions, and the last watermark: as they are, and as they were at the last commit, so that
/// a step that is aborted and taken again writes the same bytes.
#[derive(Debug, Default)]
pub(super) struct Times {
    now: Now,
    committed: Now,
    changed: bool,
}

impl Times {
    /// Times of these source partitions, nothing read yet.
    pub(super) fn new(read: Vec<(usize, Partition)>) -> Self {
        let read = read.into_iter();
        let reads =
            read.map(|(source, partition)| Read { source, partition, arrival: None, caught_up: None });
        let now = Now { reads: reads.collect(), written: None, ended: None };
        Times { committed: now.clone(), now, changed: false }
    }

    fn find(&self, source: usize, partition: Partition) -> Option<&Read> {
        self.now.reads.iter().find(|read| read.source == source && read.partition == partition)
    }

    /// Not before the last record of that source partition.
    pub(super) fn clamp(&self, source: usize, partition: Partition, arrival: Millis) -> Millis {
        let last = self.find(source, partition).and_then(|read| read.arrival);
        last.map_or(arrival, |last| last.max(arrival))
    }

    /// A record of that source partition arrived then. A partition that nobody announced joins the list.
    pub(super) fn seen(&mut self, source: usize, partition: Partition, arrival: Millis) {
        let read = self.entry(source, partition);
        if read.arrival != Some(arrival) {
            read.arrival = Some(arrival);
            self.changed = true;
        }
    }

    /// There was nothing more to read in that source partition.
    pub(super) fn caught_up(&mut self, source: usize, partition: Partition, at: Millis) {
        let read = self.entry(source, partition);
        if read.caught_up < Some(at) {
            read.caught_up = Some(at);
            self.changed = true;
        }
    }

    fn entry(&mut self, source: usize, partition: Partition) -> &mut Read {
        let reads = &mut self.now.reads;
        let known = reads.iter().position(|read| read.source == source && read.partition == partition);
        let at = known.unwrap_or_else(|| {
            reads.push(Read { source, partition, arrival: None, caught_up: None });
            reads.len() - 1
        });
        &mut reads[at]
    }

    /// `clock: event`: everything that arrived before `arrival` is read. True if that is news.
    pub(super) fn advance(&mut self, arrival: Millis) -> bool {
        if self.now.written >= Some(arrival) {
            return false;
        }
        self.now.written = Some(arrival);
        for read in &mut self.now.reads {
            read.caught_up = read.caught_up.max(Some(arrival));
        }
        self.changed = true;
        true
    }

    /// The input has ended: everything that arrived up to `until` is read. True the first time, also where that is no
    /// later than what was said before: timers that are due by then may fire now.
    pub(super) fn end(&mut self, until: Millis) -> bool {
        if self.now.ended == Some(until) {
            return false;
        }
        self.advance(until);
        self.now.ended = Some(until);
        self.changed = true;
        true
    }

    /// `clock: wall`: true once a second.
    pub(super) fn tick(&mut self, now: Millis) -> bool {
        if self.now.written.is_some_and(|last| now < last.saturating_add(INTERVAL)) {
            return false;
        }
        self.now.written = Some(now);
        self.changed = true;
        true
    }

    /// The last watermark written, or when it was.
    pub(super) fn written(&self) -> Option<Millis> {
        self.now.written
    }

    /// The header of a watermark; `None` if there is nothing to say. A partition that nothing is known of is left out:
    /// who waits for it goes on waiting.
    pub(super) fn watermark<'n>(&self, name: impl Fn(usize) -> &'n str) -> Option<Vec<u8>> {
        let read = self.now.reads.iter().filter_map(|read| {
            Some(ReadUpTo {
                source: name(read.source),
                partition: i32::try_from(read.partition).ok()?,
                arrival: read.arrival.max(read.caught_up)?,
            })
        });
        let watermark = Watermark { read: read.collect() };
        if watermark.read.is_empty() {
            return None;
        }
        let mut datum = Vec::new();
        catchment_contracts::watermark::write(&watermark, &mut datum);
        Some(datum)
    }

    pub(super) fn commit(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.committed.clone_from(&self.now);
        }
    }

    pub(super) fn undo(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.now.clone_from(&self.committed);
        }
    }
}
