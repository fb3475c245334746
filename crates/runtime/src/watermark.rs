//! Up to which time a set of inputs has been read.

use crate::record::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// The watermark of every expected input and their minimum. `K` names an input: a partition, or (source, partition).
///
/// A watermark only grows. The minimum is known once every expected input has spoken; it can fall only when a new
/// input is [expected](Watermarks::expect). Changes are undone or kept together with the step they belong to.
#[derive(Clone, Debug)]
pub struct Watermarks<K> {
    inputs: BTreeMap<K, Option<Millis>>,
    // The same, by time: the minimum must be cheap, since a reader by event time asks for it at every record.
    order: BTreeSet<(Millis, K)>,
    journal: Vec<(K, Before)>,
}

/// An input before it was changed: not expected, or expected with the watermark it had.
type Before = Option<Option<Millis>>;

impl<K: Copy + Ord> Watermarks<K> {
    /// All these inputs are expected, none has spoken.
    #[must_use]
    pub fn new(expected: impl IntoIterator<Item = K>) -> Self {
        Watermarks {
            inputs: expected.into_iter().map(|input| (input, None)).collect(),
            order: BTreeSet::new(),
            journal: Vec::new(),
        }
    }

    /// Waits for this input from now on; no change if it is expected already.
    pub fn expect(&mut self, input: K) {
        if !self.inputs.contains_key(&input) {
            self.journal.push((input, None));
            self.put(input, Some(None));
        }
    }

    /// Leaves an input out (it is idle, or has ended).
    pub fn leave_out(&mut self, input: K) {
        if let Some(before) = self.inputs.get(&input) {
            self.journal.push((input, Some(*before)));
            self.put(input, None);
        }
    }

    /// The input was read up to `at`. Returns true if its watermark grew; an earlier time and an input that is not
    /// expected change nothing.
    pub fn advance(&mut self, input: K, at: Millis) -> bool {
        match self.inputs.get(&input) {
            Some(before) if before.is_none_or(|before| at > before) => {
                self.journal.push((input, Some(*before)));
                self.put(input, Some(Some(at)));
                true
            }
            _ => false,
        }
    }

    fn put(&mut self, input: K, value: Before) {
        let before = match value {
            Some(watermark) => self.inputs.insert(input, watermark),
            None => self.inputs.remove(&input),
        };
        if let Some(Some(at)) = before {
            self.order.remove(&(at, input));
        }
        if let Some(Some(at)) = value {
            self.order.insert((at, input));
        }
    }

    /// The time up to which all expected inputs have been read; `None` while one of them has not spoken, or if none
    /// is expected.
    #[must_use]
    pub fn min(&self) -> Option<Millis> {
        if self.order.len() < self.inputs.len() {
            return None;
        }
        self.order.first().map(|(at, _)| *at)
    }

    /// The watermark of one input.
    #[must_use]
    pub fn get(&self, input: K) -> Option<Millis> {
        self.inputs.get(&input).copied().flatten()
    }

    /// Expected inputs and their watermarks, in order of `K`.
    pub fn iter(&self) -> impl Iterator<Item = (K, Option<Millis>)> {
        self.inputs.iter().map(|(input, at)| (*input, *at))
    }

    /// The step is committed: changes stay.
    pub fn commit(&mut self) {
        self.journal.clear();
    }

    /// The step is not committed: back to what it was before.
    pub fn undo(&mut self) {
        while let Some((input, before)) = self.journal.pop() {
            self.put(input, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_until_every_expected_input_has_spoken() {
        let mut marks = Watermarks::new([1_u32, 2]);
        assert_eq!(marks.min(), None);
        assert!(marks.advance(1, 10));
        assert_eq!(marks.min(), None);
        assert!(marks.advance(2, 5));
        assert_eq!(marks.min(), Some(5));
        assert_eq!(Watermarks::<u32>::new([]).min(), None);
    }

    #[test]
    fn an_input_never_goes_back() {
        let mut marks = Watermarks::new(["a"]);
        assert!(marks.advance("a", 10));
        assert!(!marks.advance("a", 9));
        assert!(!marks.advance("a", 10));
        assert_eq!(marks.min(), Some(10));
        assert!(!marks.advance("unexpected", 1));
        assert_eq!(marks.iter().count(), 1);
    }

    #[test]
    fn equal_watermarks_of_two_inputs_are_kept_apart() {
        let mut marks = Watermarks::new([1, 2]);
        marks.advance(1, 5);
        marks.advance(2, 5);
        marks.advance(1, 7);
        assert_eq!(marks.min(), Some(5));
        assert_eq!((marks.get(1), marks.get(2)), (Some(7), Some(5)));
    }

    #[test]
    fn an_idle_input_is_left_out_and_comes_back() {
        let mut marks = Watermarks::new([1, 2]);
        marks.advance(1, 10);
        marks.leave_out(2);
        assert_eq!(marks.min(), Some(10));
        marks.expect(2);
        assert_eq!(marks.min(), None);
        marks.advance(2, 3);
        assert_eq!(marks.min(), Some(3));
    }

    #[test]
    fn undo_takes_back_what_the_step_changed_and_no_more() {
        let mut marks = Watermarks::new([1, 2]);
        marks.advance(1, 10);
        marks.advance(2, 20);
        marks.commit();
        marks.advance(1, 30);
        marks.advance(1, 40);
        marks.leave_out(2);
        marks.expect(3);
        marks.undo();
        assert_eq!(marks.iter().collect::<Vec<_>>(), [(1, Some(10)), (2, Some(20))]);
        assert_eq!(marks.min(), Some(10));
    }
}
