//! The coordinator of a role's group: who is to have which partition number, and who has it.
//!
//! Cooperative, as on Kafka: a number is taken from one lane before it is given to another, unless that lane is taken for
//! dead; then it is not asked.

use std::collections::{BTreeMap, BTreeSet};

/// A lane, by its place among those of the simulation.
pub(crate) type LaneId = usize;

#[derive(Debug)]
pub(crate) struct Group {
    /// Who is to have it, by number.
    target: Vec<Option<LaneId>>,
    /// Who has it, by number, as the group knows.
    owner: Vec<Option<LaneId>>,
    /// What each member was told last.
    told: BTreeMap<LaneId, Vec<u32>>,
    /// Members that lost something and do not know it.
    unaware: BTreeSet<LaneId>,
}

impl Group {
    pub(crate) fn new(numbers: u32) -> Self {
        let nobody = vec![None; numbers as usize];
        Group { target: nobody.clone(), owner: nobody, told: BTreeMap::new(), unaware: BTreeSet::new() }
    }

    pub(crate) fn numbers(&self) -> usize {
        self.target.len()
    }

    /// Sets who is to have a number.
    pub(crate) fn aim(&mut self, number: usize, lane: Option<LaneId>) {
        self.target[number] = lane;
    }

    pub(crate) fn owner(&self, number: usize) -> Option<LaneId> {
        self.owner[number]
    }

    /// What a lane is to have now: what is meant for it and belongs to nobody else.
    fn wanted(&self, lane: LaneId) -> Vec<u32> {
        let pairs = self.target.iter().zip(&self.owner).zip(0..);
        let free = |owner: &Option<LaneId>| owner.is_none_or(|owner| owner == lane);
        pairs
            .filter(|((target, owner), _)| **target == Some(lane) && free(owner))
            .map(|(_, number)| number)
            .collect()
    }

    /// A lane joins: what it gets.
    pub(crate) fn join(&mut self, lane: LaneId) -> Vec<u32> {
        self.forget(lane);
        let wanted = self.wanted(lane);
        self.has(lane, &wanted);
        self.told.insert(lane, wanted.clone());
        wanted
    }

    /// What a member that asks is to have.
    pub(crate) fn ask(&mut self, lane: LaneId) -> Vec<u32> {
        self.unaware.remove(&lane);
        let wanted = self.wanted(lane);
        self.told.insert(lane, wanted.clone());
        wanted
    }

    /// Some number is meant for nobody.
    pub(crate) fn has_homeless(&self) -> bool {
        self.target.iter().any(Option::is_none)
    }

    /// The lane is gone, or is to be: it has what it had until somebody else gets it.
    pub(crate) fn forget(&mut self, lane: LaneId) {
        self.told.remove(&lane);
        self.unaware.remove(&lane);
    }

    /// Takes a number from its owner, who is not asked.
    pub(crate) fn expel(&mut self, number: usize) {
        if let Some(lane) = self.owner[number].take() {
            self.unaware.insert(lane);
        }
    }

    /// Lanes hear what they lost.
    pub(crate) fn tell(&mut self) {
        self.unaware.clear();
    }

    /// What members are to be told: those to whom something new applies.
    pub(crate) fn news(&mut self) -> Vec<(LaneId, Vec<u32>)> {
        let aware: Vec<LaneId> =
            self.told.keys().copied().filter(|lane| !self.unaware.contains(lane)).collect();
        let mut news = Vec::new();
        for lane in aware {
            let wanted = self.wanted(lane);
            if self.told[&lane] == wanted {
                // Also what was to be taken from it, and then was not.
                self.has(lane, &wanted);
            } else {
                self.told.insert(lane, wanted.clone());
                news.push((lane, wanted));
            }
        }
        news
    }

    /// A lane has these numbers now, and no others: what it had before is free.
    pub(crate) fn has(&mut self, lane: LaneId, numbers: &[u32]) {
        let owner = self.owner.iter_mut();
        owner.filter(|owner| **owner == Some(lane)).for_each(|owner| *owner = None);
        for number in numbers {
            self.owner[*number as usize] = Some(lane);
        }
    }

    /// Every number is where it is meant to be, and everybody knows.
    pub(crate) fn is_settled(&self) -> bool {
        self.unaware.is_empty() && self.target == self.owner && self.owner.iter().all(Option::is_some)
    }
}
