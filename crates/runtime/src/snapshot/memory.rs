//! Snapshots in memory, for simulations and tests: the bytes are those of a file, and can be lost, torn and put back.
//!
//! A [`MemorySnapshots`] is the disk of one machine. It outlives the lanes of a simulated process: open a snapshot for
//! each new task and hand it to the lane with [`Seat::Cached`](crate::Seat::Cached); drop the lane to crash it (what was
//! not marked is torn off by the next owner, or is not even there).

use super::format::{
    BlockReader, Chain, Entry, Head, Kind, Mark, entries, survey, write_block, write_entry, write_preamble,
};
use super::{Copied, Found, Opening, Reading, Reason, Snapshot};
use crate::log::BatchLimits;
use crate::record::{Headers, Millis, NextOffset, Offset, Record, TopicPartition};
use crate::task::Unreadable;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record block is closed at so many bytes: few, so that a simulated crash falls between blocks.
const BLOCK: usize = 256;

/// The disk of one machine. A handle: clones share it.
#[derive(Clone, Debug)]
pub struct MemorySnapshots {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    files: BTreeMap<String, Vec<u8>>,
    now: Millis,
    oldest: Millis,
    discarded: Vec<(String, Reason)>,
    /// Of each name, who opened it last: only that one may write.
    owners: BTreeMap<String, u64>,
    opened: u64,
}

impl MemorySnapshots {
    /// An empty disk, at time 0; snapshots may be `oldest` milliseconds old.
    #[must_use]
    pub fn new(oldest: Millis) -> Self {
        let (files, owners) = (BTreeMap::new(), BTreeMap::new());
        let disk = Disk { files, now: 0, oldest, discarded: Vec::new(), owners, opened: 0 };
        MemorySnapshots { disk: Arc::new(Mutex::new(disk)) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot of that name. The head's changelogs are those of the task, in its order; `at` are the same as the log
    /// knows them. Whoever had it before can't write it any more.
    #[must_use]
    pub fn open(&self, name: &str, head: Head, at: Vec<TopicPartition>) -> Box<dyn Snapshot> {
        let mut disk = self.disk();
        disk.opened += 1;
        let owner = disk.opened;
        disk.owners.insert(name.to_owned(), owner);
        drop(disk);
        Box::new(MemorySnapshot {
            disk: self.disk.clone(),
            name: name.to_owned(),
            head,
            at,
            owner,
            read: 0,
            end: 0,
            chain: Chain::default(),
            block: Vec::new(),
            dirty: false,
        })
    }

    /// Sets the clock that marks are made with.
    pub fn set_now(&self, now: Millis) {
        self.disk().now = now;
    }

    /// The names of what is there.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk().files.keys().cloned().collect()
    }

    /// The bytes under that name.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.disk().files.get(name).cloned()
    }

    /// Puts bytes under that name, such as an older copy; `None` loses what is there.
    pub fn put(&self, name: &str, bytes: Option<Vec<u8>>) {
        let mut disk = self.disk();
        match bytes {
            Some(bytes) => disk.files.insert(name.to_owned(), bytes),
            None => disk.files.remove(name),
        };
    }

    /// Tears the file of that name off at that byte.
    pub fn tear(&self, name: &str, at: usize) {
        if let Some(bytes) = self.disk().files.get_mut(name) {
            bytes.truncate(at);
        }
    }

    /// What was discarded since this was last asked, with the reasons.
    #[must_use]
    pub fn take_discarded(&self) -> Vec<(String, Reason)> {
        std::mem::take(&mut self.disk().discarded)
    }
}

#[derive(Debug)]
struct MemorySnapshot {
    disk: Arc<Mutex<Disk>>,
    name: String,
    head: Head,
    at: Vec<TopicPartition>,
    owner: u64,
    /// Bytes that were read.
    read: u64,
    /// Bytes up to the last mark.
    end: u64,
    chain: Chain,
    block: Vec<u8>,
    dirty: bool,
}

impl MemorySnapshot {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the file, if it is still this one's to change.
    fn write(&mut self, change: impl FnOnce(&mut Vec<u8>, &mut Chain)) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.owners.get(&self.name) == Some(&self.owner) {
            change(disk.files.entry(self.name.clone()).or_default(), &mut self.chain);
        }
    }

    fn flush(&mut self) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            self.write(|file, chain| write_block(file, chain, Kind::Records, &block));
        }
    }
}

impl Snapshot for MemorySnapshot {
    fn open(&mut self) -> Opening {
        let disk = self.disk();
        let Some(bytes) = disk.files.get(&self.name) else { return Opening::Nothing };
        let survey = survey(bytes.as_slice(), bytes.len() as u64);
        let mark = survey.as_ref().ok().and_then(|survey| survey.mark.as_ref());
        let age = mark.map_or(0, |mark| disk.now - mark.time);
        let ends = survey.as_ref().map_or((0, Chain::default()), |survey| (survey.end, survey.chain));
        let oldest = disk.oldest;
        drop(disk);
        (self.end, self.chain) = ends;
        Opening::Found(Box::new(Found { survey, wanted: self.head.clone(), age, oldest }))
    }

    fn read(
        &mut self,
        _limits: &BatchLimits,
        take: &mut dyn FnMut(&Record<'_>) -> Result<(), Unreadable>,
    ) -> Result<Reading, Unreadable> {
        let unreadable = |reason: &str| Unreadable { reason: reason.to_owned() };
        let bytes = self.disk().files.get(&self.name).cloned().ok_or_else(|| unreadable("it is gone"))?;
        let mut blocks = BlockReader::new(bytes.as_slice()).map_err(|_| unreadable("it is gone"))?;
        let headers = Headers::default();
        let changed = |_| unreadable("it was changed while it was read");
        while !blocks.has_reached(self.end, self.chain).map_err(changed)? {
            let from = blocks.position();
            let block = blocks.next_block().ok().flatten();
            let (kind, payload) = block.ok_or_else(|| unreadable("it was intact, and is no more"))?;
            if from < self.read || kind != Kind::Records {
                continue;
            }
            for entry in entries(payload) {
                let entry = entry.map_err(|_| unreadable("a malformed record"))?;
                let at = self.at.get(usize::from(entry.changelog)).copied();
                let at = at.ok_or_else(|| unreadable("a record of another changelog"))?;
                take(&Record {
                    topic: at.topic,
                    partition: at.partition,
                    offset: Offset(0),
                    append_time: entry.append_time,
                    key: entry.key,
                    value: entry.value,
                    headers: &headers,
                })?;
            }
            self.read = blocks.position();
            return Ok(Reading::More);
        }
        Ok(Reading::Done)
    }

    fn resume(&mut self) {
        let end = usize::try_from(self.end).unwrap_or(usize::MAX);
        self.write(|file, _| file.truncate(end));
    }

    fn begin(&mut self) {
        let mut head = Vec::new();
        self.head.encode(&mut head);
        self.chain = Chain::default();
        self.write(|file, chain| {
            file.clear();
            write_preamble(file);
            write_block(file, chain, Kind::Head, &head);
        });
    }

    fn discard(&mut self, reason: &Reason) {
        let mut disk = self.disk();
        disk.discarded.push((self.name.clone(), reason.clone()));
        disk.files.remove(&self.name);
    }

    fn append(&mut self, record: &Copied<'_>) {
        let Some(changelog) = self.at.iter().position(|at| *at == record.at) else { return };
        let append_time = record.append_time.unwrap_or(self.disk().now);
        let changelog = u16::try_from(changelog).unwrap_or(u16::MAX);
        let entry = Entry { changelog, append_time, key: record.key, value: record.value };
        write_entry(&mut self.block, &entry);
        self.dirty = true;
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }

    fn wants_mark(&self) -> bool {
        self.dirty
    }

    fn mark(&mut self, positions: &[(TopicPartition, NextOffset)]) {
        self.flush();
        let position = |at: &TopicPartition| positions.iter().find(|(of, _)| of == at).map(|(_, next)| *next);
        let Some(positions) = self.at.iter().map(position).collect() else { return };
        let (mut payload, time) = (Vec::new(), self.disk().now);
        Mark { time, positions }.encode(&mut payload);
        self.write(|file, chain| write_block(file, chain, Kind::Mark, &payload));
        self.dirty = false;
    }
}
