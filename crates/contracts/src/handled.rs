//! Records of `<app>.dlq.handled`: which dead letters were replayed or dropped.
//!
//! A topic of dead letters is a log: a letter that was dealt with stays where it is. What was done with it is written
//! here, in the same transaction as the replay, one record for each run and partition of letters. The key is
//! `topic/partition`, the value a JSON object; members that are not known are passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was done with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Written back to the topic that they came from.
    Replayed,
    /// Given up.
    Dropped,
}

/// Letters of one partition that were dealt with in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// What was done.
    pub action: Action,
    /// Offsets, as first and last of each run, in order.
    pub letters: Vec<(i64, i64)>,
    /// Append time of the newest of them, in milliseconds since 1970. A letter of the same offset that is newer is
    /// another one: the topic was deleted and made again.
    pub newest: i64,
    /// When, in milliseconds since 1970, by the clock of the machine that the tool ran on.
    pub at: i64,
    /// Who, as far as the machine knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why. Must hold nothing personal: it is kept longer than the letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Handled {
    /// Takes a letter in; offsets must come in order.
    pub fn add(&mut self, offset: i64, append_time: i64) {
        match self.letters.last_mut() {
            Some((_, last)) if *last + 1 == offset => *last = offset,
            _ => self.letters.push((offset, offset)),
        }
        self.newest = self.newest.max(append_time);
    }

    /// The key of its record.
    #[must_use]
    pub fn key(topic: &str, partition: i32) -> String {
        format!("{topic}/{partition}")
    }

    /// The value of its record.
    ///
    /// # Errors
    /// None that this type can cause.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads the value of its record.
    ///
    /// # Errors
    /// If it is not what [`encode`](Self::encode) writes.
    pub fn decode(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }
}

/// All letters that were dealt with, as the records say, read in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandledLetters {
    /// By key of the record; there by the first offset of a run, with its last and the newest append time in it.
    /// Runs of one partition don't overlap.
    runs: BTreeMap<String, BTreeMap<i64, Run>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    last: i64,
    newest: i64,
    action: Action,
}

impl HandledLetters {
    /// Takes the next record in. Where its letters have the offsets of earlier ones, these are gone: the topic was made
    /// again.
    pub fn add(&mut self, key: &str, handled: &Handled) {
        let runs = self.runs.entry(key.to_owned()).or_default();
        for (first, last) in handled.letters.iter().copied().filter(|(first, last)| first <= last) {
            cut(runs, first, last);
            runs.insert(first, Run { last, newest: handled.newest, action: handled.action });
        }
    }

    /// What was done with a letter; `None` for one that still waits.
    #[must_use]
    pub fn action(&self, topic: &str, partition: i32, offset: i64, append_time: i64) -> Option<Action> {
        let runs = self.runs.get(&Handled::key(topic, partition))?;
        let (_, run) = runs.range(..=offset).next_back()?;
        (offset <= run.last && append_time <= run.newest).then_some(run.action)
    }
}

/// Takes the offsets from `first` to `last` out of all runs.
fn cut(runs: &mut BTreeMap<i64, Run>, first: i64, last: i64) {
    let mut touched: Vec<i64> = runs.range(first..=last).map(|(start, _)| *start).collect();
    touched.extend(runs.range(..first).next_back().map(|(start, _)| *start));
    for start in touched {
        let Some(run) = runs.remove(&start) else { continue };
        if start < first {
            runs.insert(start, Run { last: run.last.min(first - 1), ..run });
        }
        if run.last > last {
            runs.insert(last + 1, run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handled(action: Action, letters: &[(i64, i64)], newest: i64) -> Handled {
        Handled { action, letters: letters.to_vec(), newest, at: 0, by: None, reason: None }
    }

    #[test]
    fn the_stored_form_stays() {
        let mut mark = handled(Action::Dropped, &[], 0);
        for (offset, time) in [(5, 100), (6, 90), (9, 101)] {
            mark.add(offset, time);
        }
        mark.reason = Some("test data".to_owned());
        let bytes = mark.encode().unwrap();
        let text = r#"{"action":"dropped","letters":[[5,6],[9,9]],"newest":101,"at":0,"reason":"test data"}"#;
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
        assert_eq!(Handled::decode(&bytes).unwrap(), mark);
        Handled::decode(br#"{"action":"eaten","letters":[],"newest":0,"at":0}"#).unwrap_err();
    }

    #[test]
    fn a_letter_is_found_by_place_and_not_taken_for_one_of_a_topic_that_was_made_again() {
        let mut all = HandledLetters::default();
        all.add("dlq.web/0", &handled(Action::Replayed, &[(0, 3), (7, 7)], 1_000));
        let found = |topic, partition, offset, time| all.action(topic, partition, offset, time);
        for (offset, expected) in [(0, true), (3, true), (4, false), (7, true), (8, false), (-1, false)] {
            assert_eq!(found("dlq.web", 0, offset, 500).is_some(), expected, "{offset}");
        }
        assert_eq!(found("dlq.web", 1, 0, 500), None);
        assert_eq!(found("dlq.crm", 0, 0, 500), None);
        assert_eq!(found("dlq.web", 0, 0, 1_001), None, "newer than what was dealt with");
    }

    #[test]
    fn later_records_stand_over_earlier_ones() {
        let mut all = HandledLetters::default();
        all.add("t/0", &handled(Action::Replayed, &[(0, 100)], 10));
        all.add("t/0", &handled(Action::Dropped, &[(40, 45)], 2_000));
        let action = |offset, time| all.action("t", 0, offset, time);
        assert_eq!(action(39, 10), Some(Action::Replayed));
        assert_eq!(action(40, 1_500), Some(Action::Dropped));
        assert_eq!(action(46, 10), Some(Action::Replayed));
        assert_eq!(action(46, 1_500), None);
        assert_eq!(action(101, 10), None);
    }
}
