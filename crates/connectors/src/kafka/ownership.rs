//! Which partitions a lane has, by what its group told: values alone, so that it can be read and tested as a table.

use super::context::GroupEvent;
use catchment_runtime::{Partition, Reassignment, TopicPartition};
use std::collections::BTreeSet;

/// What a lane owns, and what changed since its owner was told.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    /// As the lane's owner knows it.
    assignment: Vec<TopicPartition>,
    /// Partition numbers that the group gave. Unused where the assignment is static.
    numbers: BTreeSet<Partition>,
    /// What changed and was not yet handed to the lane's owner.
    change: Reassignment,
}

/// What comes of an event at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Not to be read any more: they may belong to others from now on.
    pub(super) gone: Vec<TopicPartition>,
    /// Numbers that were gained and of which the lane knows no partition: they were added after the start.
    pub(super) unknown: Vec<Partition>,
}

impl Ownership {
    /// A static assignment.
    pub(super) fn fixed(partitions: &[TopicPartition]) -> Self {
        Ownership { assignment: partitions.to_vec(), ..Self::default() }
    }

    pub(super) fn assignment(&self) -> &[TopicPartition] {
        &self.assignment
    }

    /// True if the lane's owner knows all that the group told.
    pub(super) fn is_settled(&self) -> bool {
        self.change.is_empty()
    }

    /// What the owner has not heard of yet.
    pub(super) fn gained(&self) -> &[TopicPartition] {
        &self.change.gained
    }

    /// Takes what the group told; `share` gives the partitions that come with a number. What is told again changes
    /// nothing.
    pub(super) fn take(
        &mut self,
        event: &GroupEvent,
        share: impl Fn(Partition) -> Vec<TopicPartition>,
    ) -> Told {
        let mut told = Told::default();
        let numbers = |partitions: &[i32]| -> Vec<Partition> {
            partitions.iter().filter_map(|number| Partition::try_from(*number).ok()).collect()
        };
        match event {
            GroupEvent::Assigned(partitions) => {
                for number in numbers(partitions) {
                    if self.numbers.insert(number) {
                        let share = share(number);
                        if share.is_empty() {
                            told.unknown.push(number);
                        }
                        self.change.gained.extend(share);
                    }
                }
            }
            GroupEvent::Revoked { partitions, lost } => {
                for number in numbers(partitions) {
                    if self.numbers.remove(&number) {
                        told.gone.extend(share(number));
                    }
                }
                told.gone.iter().for_each(|at| self.give_up(*at, *lost));
            }
        }
        told
    }

    fn give_up(&mut self, at: TopicPartition, lost: bool) {
        self.change.gained.retain(|gained| *gained != at);
        let is_told = self.change.revoked.contains(&at) || self.change.lost.contains(&at);
        // Gained and given up before the owner heard of it: nothing happened.
        if self.assignment.contains(&at) && !is_told {
            let list = if lost { &mut self.change.lost } else { &mut self.change.revoked };
            list.push(at);
        }
    }

    /// What changed; the lane's owner knows it from now on.
    pub(super) fn settle(&mut self) -> Reassignment {
        let mut change = std::mem::take(&mut self.change);
        for list in [&mut change.gained, &mut change.revoked, &mut change.lost] {
            list.sort_unstable();
        }
        self.assignment.retain(|at| !change.revoked.contains(at) && !change.lost.contains(at));
        self.assignment.extend(&change.gained);
        self.assignment.sort_unstable();
        self.assignment.dedup();
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catchment_runtime::TopicId;

    fn at(topic: u16, partition: Partition) -> TopicPartition {
        TopicPartition { topic: TopicId(topic), partition }
    }

    /// Each number comes with a partition of two topics; 9 was added after the start.
    fn share(number: Partition) -> Vec<TopicPartition> {
        if number == 9 { Vec::new() } else { vec![at(0, number), at(1, number)] }
    }

    /// Events as `+1,2` (assigned), `-1` (revoked), `!1` (lost) and `.` (the owner takes the change up); then what the last
    /// change was, as numbers gained, revoked and lost, and what is owned.
    #[track_caller]
    fn check(events: &str, [gained, revoked, lost]: [&[Partition]; 3], owned: &[Partition]) {
        let mut ownership = Ownership::default();
        let mut last = Reassignment::default();
        for event in events.split(' ') {
            let (kind, numbers) = event.split_at(1);
            let numbers = numbers.split(',').filter_map(|number| number.parse().ok()).collect();
            match kind {
                "+" => drop(ownership.take(&GroupEvent::Assigned(numbers), share)),
                "-" => drop(ownership.take(&GroupEvent::Revoked { partitions: numbers, lost: false }, share)),
                "!" => drop(ownership.take(&GroupEvent::Revoked { partitions: numbers, lost: true }, share)),
                _ => last = ownership.settle(),
            }
        }
        let both = |numbers: &[Partition]| {
            let mut both: Vec<_> = numbers.iter().flat_map(|number| share(*number)).collect();
            both.sort_unstable();
            both
        };
        let expected = Reassignment { gained: both(gained), revoked: both(revoked), lost: both(lost) };
        assert_eq!(last, expected, "{events}");
        assert_eq!(ownership.assignment(), both(owned), "{events}");
        assert!(ownership.is_settled());
    }

    #[test]
    fn partitions_come_and_go_by_their_numbers() {
        check("+0,1 .", [&[0, 1], &[], &[]], &[0, 1]);
        check("+0,1 . -1 .", [&[], &[1], &[]], &[0]);
        check("+0,1 . !0,1 .", [&[], &[], &[0, 1]], &[]);
        check("+0 . +1 . -0 +2 .", [&[2], &[0], &[]], &[1, 2]);
        // A rebalance that moves nothing.
        check("+0 . + .", [&[], &[], &[]], &[0]);
    }

    #[test]
    fn what_is_gained_and_given_up_before_the_owner_hears_of_it_never_happened() {
        check("+0 . +1 -1 .", [&[], &[], &[]], &[0]);
        check("+0 . +1 !1 .", [&[], &[], &[]], &[0]);
    }

    #[test]
    fn what_comes_back_is_made_anew_because_others_may_have_had_it() {
        check("+0 . -0 +0 .", [&[0], &[0], &[]], &[0]);
        check("+0 . !0 +0 .", [&[0], &[], &[0]], &[0]);
        check("+0 . !0 +0 -0 .", [&[], &[], &[0]], &[]);
    }

    #[test]
    fn what_is_told_twice_or_was_never_owned_changes_nothing() {
        check("+0 +0 .", [&[0], &[], &[]], &[0]);
        check("+0 . -0 -0 .", [&[], &[0], &[]], &[]);
        check("+0 . -3 !4 .", [&[], &[], &[]], &[0]);
        check("+0,-1 .", [&[0], &[], &[]], &[0]);
    }

    #[test]
    fn what_is_gone_is_named_at_once_and_so_is_what_nobody_knows() {
        let mut ownership = Ownership::default();
        let told = ownership.take(&GroupEvent::Assigned(vec![0, 9]), share);
        assert_eq!(told, Told { gone: Vec::new(), unknown: vec![9] });
        assert_eq!(ownership.gained(), [at(0, 0), at(1, 0)]);
        let lost = GroupEvent::Revoked { partitions: vec![0], lost: true };
        assert_eq!(ownership.take(&lost, share).gone, [at(0, 0), at(1, 0)]);
        assert_eq!(ownership.gained(), []);
    }
}
