//! Which event ids were seen lately.

mod ids;
mod record;

use super::StateFormat;
use crate::record::Millis;
use crate::task::Unreadable;
use ids::Ids;
use std::collections::VecDeque;

/// Buckets that a window is cut into.
const BUCKETS: i64 = 8;
/// Part of the limit at which a bucket is closed.
const PARTS: usize = 8;
/// Most ids in a record: 480 KB, about half of what a record may be.
pub const MOST_IDS: usize = 30_000;
const ID: usize = 16;

/// A set of 16-byte hashes that forgets by time, in buckets of an eighth of the window
/// (rounded up to a millisecond).
///
/// **Time is the append time of the input record**, never event time: in a replay, partitions drain at uneven speed and
/// an event-time window leaks. An id is kept at least `window` after it was first seen, and at most `window` and one
/// bucket; within that, seeing it again is a duplicate. A duplicate does not make it stay longer.
/// Append times that go back count as the latest seen.
///
/// A limit on the number of ids bounds memory: beyond it the oldest bucket goes early, and is counted. A bucket that
/// has reached an eighth of the limit is closed and another one of the same time begun, so that a burst costs an eighth
/// of what is remembered, and not all of it.
///
/// Memory is one set of hashes per bucket, about 19 to 39 bytes an id. One set for all ids would make a look-up one probe
/// instead of nine, but expiry would have to take out the ids of a bucket one by one, millions at once on a large
/// partition; so a bucket goes as a whole, for the price of one deallocation. A new id among 1.6 million costs
/// about 0.15 µs (`benches/state.rs`).
#[derive(Clone, Debug)]
pub struct Dedup {
    /// Milliseconds of a bucket.
    width: i64,
    limit: usize,
    /// Oldest first, numbers ascending; several of one number where one became too large.
    buckets: VecDeque<Bucket>,
    /// Number of the bucket of the latest append time seen.
    now: i64,
    len: usize,
    evicted_early: u64,
    step: Undo,
}

#[derive(Clone, Debug)]
struct Bucket {
    number: i64,
    ids: Ids,
}

/// What the step did, and what it was before.
#[derive(Clone, Debug, Default)]
struct Undo {
    fresh: Vec<(i64, [u8; ID])>,
    /// Buckets that went in this step, and how many ids were fresh by then: undo must go back in that order, since an
    /// id can go with its bucket and then be new again.
    gone: Vec<(usize, Bucket)>,
    now: i64,
    evicted_early: u64,
}

impl Dedup {
    /// Remembers ids for `window` milliseconds (at least 1), and at most `limit` of them (at least 1).
    #[must_use]
    pub fn new(window: u64, limit: usize) -> Self {
        let width = i64::try_from(window.div_ceil(BUCKETS.unsigned_abs())).unwrap_or(i64::MAX).max(1);
        let mut dedup = Dedup {
            width,
            limit: limit.max(1),
            buckets: VecDeque::new(),
            now: i64::MIN,
            len: 0,
            evicted_early: 0,
            step: Undo::default(),
        };
        dedup.commit();
        dedup
    }

    /// True if the id is new, which it then no longer is; false if it is a duplicate.
    pub fn check_and_insert(&mut self, id: [u8; ID], append_time: Millis) -> bool {
        self.tick(append_time.div_euclid(self.width));
        if self.buckets.iter().rev().any(|bucket| bucket.ids.contains(&id)) {
            return false;
        }
        self.insert(id);
        self.step.fresh.push((self.now, id));
        true
    }

    /// Moves time on, never back, and drops the buckets that are over.
    fn tick(&mut self, number: i64) {
        if number <= self.now {
            return;
        }
        self.now = number;
        while let Some(oldest) = self.buckets.front()
            && oldest.number.saturating_add(BUCKETS) < number
        {
            self.drop_oldest();
        }
    }

    /// Drops the oldest bucket; returns how many ids it held.
    fn drop_oldest(&mut self) -> usize {
        let Some(bucket) = self.buckets.pop_front() else {
            return 0;
        };
        let ids = bucket.ids.len();
        self.len -= ids;
        self.step.gone.push((self.step.fresh.len(), bucket));
        ids
    }

    fn insert(&mut self, id: [u8; ID]) {
        if self.len >= self.limit {
            self.evicted_early += self.drop_oldest() as u64;
        }
        let (number, part) = (self.now, (self.limit / PARTS).max(1));
        if self.buckets.back().is_none_or(|bucket| bucket.number != number || bucket.ids.len() >= part) {
            // As large as the one before, so that a bucket in steady state grows once and not by doubling.
            let expected = self.buckets.back().map_or(0, |bucket| bucket.ids.len());
            let ids = Ids::expecting(expected.min(self.limit));
            self.buckets.push_back(Bucket { number, ids });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            self.len += usize::from(bucket.ids.insert(id));
        }
    }

    /// Number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// About how much memory it takes, in bytes: an id, a byte of the set's own, and what a set has free.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.len * (ID + 1) * 3 / 2
    }

    /// True if it holds no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ids that went before their window was over, because of the limit, since this was made (a restore counts them
    /// again). A duplicate of one of them would pass: it is a metric with an alert.
    #[must_use]
    pub fn evicted_early(&self) -> u64 {
        self.evicted_early
    }

    /// Writes the changelog of this step: `write` gets the value of a record, nearly always of one with all new ids; more
    /// than [`MOST_IDS`] come in several, so that a step may be larger than a record. None if there are no new ids.
    pub fn encode_step(&self, format: StateFormat, mut write: impl FnMut(&[u8])) {
        let mut record = Vec::new();
        for ids in self.step.fresh.chunks(MOST_IDS) {
            record.clear();
            record::begin(format, &mut record);
            for group in ids.chunk_by(|a, b| a.0 == b.0) {
                let start = group.first().map_or(0, |(number, _)| number.saturating_mul(self.width));
                let last = start.saturating_add(self.width - 1);
                record::write(last, group.iter().map(|(_, id)| id), &mut record);
            }
            write(&record);
        }
    }

    /// Takes a changelog record back. Records must come in the order they were written.
    ///
    /// # Errors
    /// An unknown version, or bytes that are cut off; then nothing of the record counts.
    pub fn restore(&mut self, record: &[u8]) -> Result<(), Unreadable> {
        for (last, ids) in record::read(record)? {
            self.tick(last.div_euclid(self.width));
            for id in ids {
                if !self.buckets.iter().any(|bucket| bucket.ids.contains(id)) {
                    self.insert(*id);
                }
            }
        }
        self.commit();
        Ok(())
    }

    /// The step is committed: changes stay.
    pub fn commit(&mut self) {
        self.step.fresh.clear();
        self.step.gone.clear();
        self.step.now = self.now;
        self.step.evicted_early = self.evicted_early;
    }

    /// The step is not committed: new ids go, expired and evicted ones come back.
    pub fn undo(&mut self) {
        while let Some((fresh, bucket)) = self.step.gone.pop() {
            self.forget_fresh(fresh);
            self.len += bucket.ids.len();
            self.buckets.push_front(bucket);
        }
        self.forget_fresh(0);
        self.now = self.step.now;
        self.evicted_early = self.step.evicted_early;
    }

    /// Takes back the ids that are new in this step, but for that many of the first.
    fn forget_fresh(&mut self, keep: usize) {
        for (number, id) in self.step.fresh.drain(keep..).rev() {
            let holds = |bucket: &Bucket| bucket.number == number && bucket.ids.contains(&id);
            let Some(at) = self.buckets.iter().rposition(holds) else {
                continue;
            };
            let bucket = &mut self.buckets[at];
            self.len -= usize::from(bucket.ids.remove(&id));
            if bucket.ids.is_empty() {
                self.buckets.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
