//! What to do after a commit whose outcome is not known.

use crate::record::{NextOffset, TopicPartition};

/// What the lane does with the state that it changed for that transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was committed: keep the state, run the effects.
    Keep,
    /// It was not: undo, read again.
    Undo,
    /// The offsets don't tell: the tasks must be restored from their changelogs.
    Restore,
}

/// Decides from facts alone: the offsets that the transaction carried, those committed before it, and those read
/// back after a new producer was initialised (which settles the transaction). The lists may come in any order;
/// every partition of `sent` must be in the other two.
///
/// Offsets and records of a transaction are committed together, so the offsets tell all of it. Two cases don't:
/// a transaction that carried only unchanged offsets (timers fired, nothing was read) looks the same either way,
/// and offsets that are neither were written by somebody else.
#[must_use]
pub fn decide(
    sent: &[(TopicPartition, NextOffset)],
    before: &[(TopicPartition, Option<NextOffset>)],
    read_back: &[(TopicPartition, Option<NextOffset>)],
) -> Decision {
    let find = |list: &[(TopicPartition, Option<NextOffset>)], at: TopicPartition| {
        list.iter().find(|(partition, _)| *partition == at).map(|(_, offset)| *offset)
    };
    let (mut is_sent, mut is_before) = (true, true);
    for (at, offset) in sent {
        let (Some(before), Some(now)) = (find(before, *at), find(read_back, *at)) else {
            return Decision::Restore;
        };
        is_sent &= now == Some(*offset);
        is_before &= now == before;
    }
    match (is_sent, is_before) {
        (true, false) => Decision::Keep,
        (false, true) => Decision::Undo,
        (true, true) | (false, false) => Decision::Restore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TopicId;

    /// Columns: sent, before, read back; one offset per partition, `-` = none committed, `?` = not in the answer.
    fn check(sent: &str, before: &str, read_back: &str, expected: Decision) {
        let at = |partition: usize| TopicPartition {
            topic: TopicId(0),
            partition: u32::try_from(partition).unwrap(),
        };
        let parse = |text: &str| {
            text.split(' ')
                .enumerate()
                .filter(|(_, word)| !matches!(*word, "?" | ""))
                .map(|(partition, word)| (at(partition), word.parse().ok().map(NextOffset)))
                .collect::<Vec<_>>()
        };
        let sent_list: Vec<_> =
            parse(sent).into_iter().filter_map(|(at, offset)| Some((at, offset?))).collect();
        let mut reversed = parse(read_back);
        reversed.reverse();
        assert_eq!(
            decide(&sent_list, &parse(before), &reversed),
            expected,
            "sent {sent}, before {before}, read back {read_back}"
        );
    }

    #[test]
    fn offsets_tell_whether_the_transaction_was_committed() {
        check("5", "3", "5", Decision::Keep);
        check("5", "3", "3", Decision::Undo);
        check("5 7", "3 7", "5 7", Decision::Keep);
        check("5 7", "3 7", "3 7", Decision::Undo);
        check("5", "-", "5", Decision::Keep);
        check("5", "-", "-", Decision::Undo);
        check("0", "-", "0", Decision::Keep);
        check("0", "-", "-", Decision::Undo);
    }

    #[test]
    fn unchanged_offsets_tell_nothing() {
        check("5", "5", "5", Decision::Restore);
        check("5 7", "5 7", "5 7", Decision::Restore);
        check("", "", "", Decision::Restore);
    }

    #[test]
    fn offsets_of_somebody_else_force_a_restore() {
        check("5", "3", "4", Decision::Restore);
        check("5", "3", "9", Decision::Restore);
        check("5", "3", "-", Decision::Restore);
        check("5 7", "3 6", "5 6", Decision::Restore);
        check("5 7", "3 6", "3 7", Decision::Restore);
    }

    #[test]
    fn a_partition_missing_from_an_answer_forces_a_restore() {
        check("5 7", "3 6", "5 ?", Decision::Restore);
        check("5 7", "3 ?", "5 7", Decision::Restore);
    }
}
