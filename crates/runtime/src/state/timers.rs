//! Pending timers in the order they are due.

use crate::record::Millis;
use std::collections::BTreeSet;

/// A pending timer. Ordered by due time, then key, then token, which is the order they fire in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer<K> {
    /// When it is due.
    pub due: Millis,
    /// Whose it is.
    pub key: K,
    /// Which of the key's timers: whatever the task needs to find it again in its state.
    pub token: u64,
}

/// An index of timers that live in the task's own stored state: it is not stored itself, but built again while the
/// state is restored. Setting, cancelling and popping cost `O(log n)`; a step in which nothing is due costs one look
/// at the first timer, however many are pending.
#[derive(Clone, Debug)]
pub struct TimerIndex<K> {
    pending: BTreeSet<Timer<K>>,
    journal: Vec<Change<K>>,
}

#[derive(Clone, Copy, Debug)]
enum Change<K> {
    Added(Timer<K>),
    Removed(Timer<K>),
}

impl<K: Copy + Ord> TimerIndex<K> {
    /// No timers.
    #[must_use]
    pub fn new() -> Self {
        TimerIndex { pending: BTreeSet::new(), journal: Vec::new() }
    }

    /// Adds a timer; false if that very timer is pending already.
    pub fn set(&mut self, due: Millis, key: K, token: u64) -> bool {
        let timer = Timer { due, key, token };
        let added = self.pending.insert(timer);
        if added {
            self.journal.push(Change::Added(timer));
        }
        added
    }

    /// Takes a timer away; false if it is not pending.
    pub fn cancel(&mut self, due: Millis, key: K, token: u64) -> bool {
        let timer = Timer { due, key, token };
        let removed = self.pending.remove(&timer);
        if removed {
            self.journal.push(Change::Removed(timer));
        }
        removed
    }

    /// When the next timer is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.pending.first().map(|timer| timer.due)
    }

    /// Takes the first timer that is due at `now` (`due <= now`).
    pub fn pop_due(&mut self, now: Millis) -> Option<Timer<K>> {
        if self.next_due()? > now {
            return None;
        }
        let timer = self.pending.pop_first()?;
        self.journal.push(Change::Removed(timer));
        Some(timer)
    }

    /// Number of pending timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// About how much memory they take, in bytes: nodes of the tree are two thirds full.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.pending.len() * size_of::<Timer<K>>() * 3 / 2
    }

    /// True if none is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Pending timers, in the order they fire.
    pub fn iter(&self) -> impl Iterator<Item = &Timer<K>> {
        self.pending.iter()
    }

    /// The step is committed: changes stay. Also after a restore, and now and then during a long one: the journal
    /// keeps every change since the last call.
    pub fn commit(&mut self) {
        self.journal.clear();
    }

    /// The step is not committed: back to what it was before.
    pub fn undo(&mut self) {
        while let Some(change) = self.journal.pop() {
            match change {
                Change::Added(timer) => self.pending.remove(&timer),
                Change::Removed(timer) => self.pending.insert(timer),
            };
        }
    }
}

impl<K: Copy + Ord> Default for TimerIndex<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(timers: &mut TimerIndex<u32>, now: Millis) -> Vec<(Millis, u32, u64)> {
        std::iter::from_fn(|| timers.pop_due(now)).map(|timer| (timer.due, timer.key, timer.token)).collect()
    }

    #[test]
    fn timers_fire_in_order_of_due_key_token_and_not_before() {
        let mut timers = TimerIndex::new();
        for (due, key, token) in [(20, 1, 1), (10, 2, 1), (10, 1, 2), (10, 1, 1), (30, 1, 1)] {
            assert!(timers.set(due, key, token));
        }
        assert_eq!(timers.next_due(), Some(10));
        assert_eq!(drain(&mut timers, 9), []);
        assert_eq!(drain(&mut timers, 20), [(10, 1, 1), (10, 1, 2), (10, 2, 1), (20, 1, 1)]);
        assert_eq!((timers.len(), timers.next_due()), (1, Some(30)));
    }

    #[test]
    fn a_cancelled_timer_does_not_fire() {
        let mut timers = TimerIndex::new();
        timers.set(10, 1_u32, 7);
        assert!(!timers.set(10, 1, 7));
        assert!(timers.cancel(10, 1, 7));
        assert!(!timers.cancel(10, 1, 7));
        assert_eq!(drain(&mut timers, 100), []);
        assert!(timers.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn undo_brings_back_the_last_commit(
            before in prop::collection::vec((0_i64..20, 0_u32..3, 0_u64..3), 0..20),
            changes in prop::collection::vec((0_u8..3, 0_i64..20, 0_u32..3, 0_u64..3), 0..40),
        ) {
            let mut timers = TimerIndex::new();
            for (due, key, token) in before {
                timers.set(due, key, token);
            }
            timers.commit();
            let kept: Vec<_> = timers.iter().copied().collect();
            for (kind, due, key, token) in changes {
                match kind {
                    0 => { timers.set(due, key, token); }
                    1 => { timers.cancel(due, key, token); }
                    _ => { timers.pop_due(due); }
                }
            }
            timers.undo();
            prop_assert_eq!(timers.iter().copied().collect::<Vec<_>>(), kept);
        }
    }
}
