//! Whether a role may go on at an offset, and what that means for its input.

use std::fmt;

use anyhow::ensure;

/// What Kafka knows of a partition that a role reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// What the role has committed: the next offset that it would read.
    pub(super) committed: Option<i64>,
    /// The oldest record that is still there.
    pub(super) earliest: i64,
    /// Behind the newest record.
    pub(super) end: i64,
}

/// How a role gets to where it is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Forward, over records that it has not read.
    Skip {
        /// Committed before.
        from: i64,
    },
    /// Nothing is committed: it never read the partition, or Kafka has forgotten how far it was.
    Begin,
    /// More is committed than the partition holds: the topic was made anew, or cut off.
    CutOff {
        /// Committed before.
        committed: i64,
    },
}

impl Facts {
    /// The way to an offset.
    ///
    /// # Errors
    /// It lies outside of what is there, or behind records that are done.
    pub(super) fn way(&self, to: i64) -> anyhow::Result<Way> {
        let Facts { committed, earliest, end } = *self;
        let way = match committed {
            None => Way::Begin,
            Some(committed) if committed > end => Way::CutOff { committed },
            Some(from) => Way::Skip { from },
        };
        if let Way::Skip { from } = way {
            ensure!(to != from, "nothing to skip: offset {from} (committed) is the next to be read anyway");
            ensure!(
                to > from,
                "offset {to} lies before {from} (committed); going back is not skipping: the role would read again what it \
                 has done"
            );
        }
        ensure!(to >= earliest, "offset {to} is gone: the oldest that is left is {earliest}");
        ensure!(to <= end, "offset {to} lies behind the end of the partition, {end}");
        Ok(way)
    }

    /// The first offset that the role would have read and does not.
    pub(super) fn skipped_from(&self, way: Way) -> i64 {
        match way {
            Way::Skip { from } => from,
            Way::Begin | Way::CutOff { .. } => self.earliest,
        }
    }
}

impl Way {
    /// What happens, for the operator.
    pub(super) fn describe(self, facts: &Facts, to: i64, role: &str, at: &dyn fmt::Display) -> String {
        let Facts { earliest, end, .. } = *facts;
        let before = to - earliest;
        match self {
            Way::Skip { from } => {
                let there = (to - earliest.max(from)).max(0);
                format!(
                    "{role} skips offsets {from} to {} of {at}: {} in all, of which {} are gone and {there} could still be \
                     read.",
                    to - 1,
                    to - from,
                    to - from - there
                )
            }
            Way::Begin => format!(
                "{role} begins at offset {to} of {at}, of which nothing is committed. {} before it are not read, {} are.",
                before,
                end - to
            ),
            Way::CutOff { committed } => format!(
                "{role} begins at offset {to} of {at}, which ends at {end}, before the committed offset {committed}: the topic \
                 was made anew or cut off. {} before it are not read, {} are.",
                before,
                end - to
            ),
        }
    }

    /// Whether records may be read that were done before.
    pub(super) fn may_repeat(self) -> bool {
        !matches!(self, Way::Skip { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(facts: &Facts, to: i64, expected: Result<Way, &str>) {
        let found = facts.way(to).map_err(|error| error.to_string());
        match (&expected, &found) {
            (Ok(one), Ok(other)) if one == other => {}
            (Err(part), Err(text)) if text.contains(part) => {}
            _ => panic!("{facts:?} to {to}: {found:?}"),
        }
    }

    #[test]
    fn a_skip_goes_forward_and_not_beyond_the_end() {
        let facts = Facts { committed: Some(5), earliest: 0, end: 9 };
        check(&facts, 5, Err("nothing to skip: offset 5 (committed)"));
        check(&facts, 4, Err("lies before 5 (committed)"));
        check(&facts, 6, Ok(Way::Skip { from: 5 }));
        check(&facts, 9, Ok(Way::Skip { from: 5 }));
        check(&facts, 10, Err("behind the end of the partition, 9"));
        let gap = Facts { earliest: 7, ..facts };
        check(&gap, 6, Err("offset 6 is gone: the oldest that is left is 7"));
        check(&gap, 7, Ok(Way::Skip { from: 5 }));
        let read = Facts { committed: Some(9), ..facts };
        check(&read, 9, Err("nothing to skip"));
    }

    #[test]
    fn without_an_offset_a_role_may_begin_anywhere() {
        let facts = Facts { committed: None, earliest: 3, end: 9 };
        for to in [3, 4, 9] {
            check(&facts, to, Ok(Way::Begin));
        }
        check(&facts, 2, Err("offset 2 is gone"));
        check(&facts, 10, Err("behind the end"));
        let text = Way::Begin.describe(&facts, 4, "ingest", &"crm partition 0");
        assert_eq!(
            text,
            "ingest begins at offset 4 of crm partition 0, of which nothing is committed. 1 before it are not read, 5 are."
        );
        assert_eq!(facts.skipped_from(Way::Begin), 3);
    }

    #[test]
    fn in_a_topic_that_was_made_anew_a_role_may_go_back() {
        let facts = Facts { committed: Some(70), earliest: 0, end: 9 };
        let way = Way::CutOff { committed: 70 };
        for to in [0, 9] {
            check(&facts, to, Ok(way));
        }
        check(&facts, 70, Err("behind the end of the partition, 9"));
        check(&Facts { committed: Some(9), ..facts }, 0, Err("lies before 9"));
        let text = way.describe(&facts, 0, "ingest", &"crm partition 0");
        assert!(text.contains("ends at 9, before the committed offset 70"), "{text}");
        assert!(way.may_repeat() && !Way::Skip { from: 0 }.may_repeat());
    }
}
