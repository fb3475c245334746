//! From an assignment to the tasks of a lane, and back.

use std::collections::BTreeMap;

use catchment_runtime::{Kept, Partition, Reassignment, Seat, TopicPartition};

use super::roles::Role;

/// The tasks of a lane, each with the partition number that it is.
#[derive(Debug)]
pub struct Seats<T> {
    /// Partition numbers, by place of their task.
    pub numbers: Vec<Partition>,
    /// The tasks, by place.
    pub seats: Vec<Seat<T>>,
}

impl<T> Seats<T> {
    /// A task for each partition number of an assignment: the one that is kept, else a new one of the role, which `seat`
    /// gives what belongs to it.
    ///
    /// # Errors
    /// A wiring that is wrong ([`Role::task`]).
    pub fn new<R: Role>(
        role: &R,
        assignment: &[TopicPartition],
        mut kept: BTreeMap<Partition, Kept<T>>,
        mut seat: impl FnMut(Partition, R::Task) -> Seat<T>,
    ) -> anyhow::Result<Self> {
        let mut inputs: BTreeMap<Partition, Vec<TopicPartition>> = BTreeMap::new();
        for at in assignment {
            inputs.entry(at.partition).or_default().push(*at);
        }
        let mut seats = Vec::with_capacity(inputs.len());
        for (number, inputs) in &inputs {
            seats.push(match kept.remove(number) {
                Some(kept) => Seat::Kept(kept),
                None => seat(*number, role.task(*number, inputs)?),
            });
        }
        Ok(Seats { numbers: inputs.into_keys().collect(), seats })
    }
}

/// Place of the task that a partition belongs to.
#[must_use]
pub fn place(numbers: &[Partition], at: TopicPartition) -> Option<usize> {
    numbers.iter().position(|number| *number == at.partition)
}

/// The tasks of a lane that was taken apart which go on after a reassignment, by partition number.
#[must_use]
pub fn keep<T>(
    numbers: Vec<Partition>,
    tasks: Vec<Option<Kept<T>>>,
    change: &Reassignment,
) -> BTreeMap<Partition, Kept<T>> {
    part(numbers, tasks, change).0
}

/// As [`keep`], and the tasks that are given up.
pub(super) fn part<T>(
    numbers: Vec<Partition>,
    tasks: Vec<Option<Kept<T>>>,
    change: &Reassignment,
) -> (BTreeMap<Partition, Kept<T>>, Vec<Kept<T>>) {
    let tasks = numbers.into_iter().zip(tasks);
    let mut kept: BTreeMap<_, _> = tasks.filter_map(|(number, kept)| Some((number, kept?))).collect();
    let gone = change.revoked.iter().chain(&change.lost).filter_map(|at| kept.remove(&at.partition));
    let gone = gone.collect();
    (kept, gone)
}
