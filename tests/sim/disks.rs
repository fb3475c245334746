//! The disks of the machines: snapshots outlive the processes that write them, and are lost, torn and put back.

use crate::random::Random;
use catchment_runtime::record::Cleanup;
use catchment_runtime::snapshot::format::{Changelog, Head};
use catchment_runtime::snapshot::memory::MemorySnapshots;
use catchment_runtime::{Snapshot, TopicPartition, TopicTable};
use std::collections::BTreeMap;

/// How long the brokers keep a tombstone.
pub(crate) const TOMBSTONES: i64 = 60 * 60_000;

/// What every snapshot here is called.
const NAME: &str = "snapshot";

/// A disk for each process and partition number, since time goes at a pace of its own for each number; and copies of what
/// stood there once.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    disks: BTreeMap<(usize, u32), MemorySnapshots>,
    copies: BTreeMap<(usize, u32), Vec<u8>>,
}

impl Disks {
    /// The snapshot of a task of `profile` on the disk of a process.
    pub(crate) fn open(
        &mut self,
        process: usize,
        number: u32,
        changelogs: Vec<TopicPartition>,
        table: &TopicTable,
    ) -> Box<dyn Snapshot> {
        let changelog = |at: &TopicPartition| {
            let spec = table.spec(at.topic);
            let retention = match spec.cleanup {
                Cleanup::Compact => None,
                Cleanup::Delete { retention_ms } => i64::try_from(retention_ms).ok(),
            };
            Changelog { topic: spec.name.clone(), partition: at.partition, retention }
        };
        let described = changelogs.iter().map(changelog).collect();
        let head = Head { identity: Vec::new(), changelogs: described, alive: 0 };
        // Half of the time that tombstones are kept, as `catchment run` has it.
        let disk = self.disks.entry((process, number));
        disk.or_insert_with(|| MemorySnapshots::new(TOMBSTONES / 2)).open(NAME, head, changelogs)
    }

    /// The clock that marks are made with.
    pub(crate) fn set_now(&self, process: usize, number: u32, now: i64) {
        if let Some(disk) = self.disks.get(&(process, number)) {
            disk.set_now(now);
        }
    }

    /// Something happens to one of the snapshots; says what.
    pub(crate) fn trouble(&mut self, random: &mut Random) -> Option<&'static str> {
        let place = random.below(self.disks.len().max(1));
        let (place, disk) = self.disks.iter().nth(place)?;
        let bytes = disk.bytes(NAME)?;
        Some(match random.below(5) {
            0 => {
                disk.put(NAME, None);
                "snapshot lost"
            }
            1 => {
                disk.tear(NAME, random.below(bytes.len() + 1));
                "snapshot torn"
            }
            2 => {
                let copy = self.copies.get(place);
                copy.inspect(|copy| disk.put(NAME, Some((*copy).clone())))?;
                "snapshot put back"
            }
            _ => {
                // Old ones are worth more.
                if random.chance(200) || !self.copies.contains_key(place) {
                    self.copies.insert(*place, bytes);
                }
                "snapshot copied"
            }
        })
    }

    /// Snapshots that were not used, and why.
    pub(crate) fn discarded(&self) -> impl Iterator<Item = &'static str> {
        self.disks.values().flat_map(MemorySnapshots::take_discarded).map(|(_, reason)| reason.word())
    }
}
