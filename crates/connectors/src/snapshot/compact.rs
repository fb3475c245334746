//! Rewriting a file without what is superseded, in slices between which the thread does its other work.
//!
//! The file is read twice up to its last mark: first to learn the last record of each key, then to copy what is left to a
//! new file. What was appended meanwhile is copied as it is, and when nothing is left of that, the new file is put in the
//! place of the old one. Until then nothing of the old one changes, so that it may end at any point.

use super::disk::Disk;
use super::file::{Marked, Out};
use catchment_runtime::Millis;
use catchment_runtime::snapshot::format::{BlockReader, Entry, Kind, Mark, entries, write_entry};
use catchment_runtime::snapshot::{Head, Unusable};
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// What is written at once.
const BLOCK: usize = 256 << 10;

/// The disk is made to write so many bytes at a time, so that the last time takes no longer than the others.
const SYNC: u64 = 8 << 20;

/// The last record of a key.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// Its number in the file, from 0.
    record: u64,
    /// Bytes that it takes; 0 for a tombstone, which is left out with all that it ends.
    size: u64,
}

/// About 50 bytes a key while a file is compacted, one file of the process at a time.
type Index = FxHashMap<[u8; 16], Last>;

#[derive(Debug)]
enum Stage {
    /// Learning what is superseded; and bytes of what is kept whatever comes.
    Index(u64),
    Copy(Box<Out>),
    /// What came after the mark.
    Tail(Box<Out>),
}

#[derive(Debug)]
pub(super) struct Compaction {
    disk: Disk,
    path: PathBuf,
    new: PathBuf,
    head: Head,
    reader: BlockReader<BufReader<File>>,
    /// The mark up to which the file is read twice.
    until: Marked,
    index: Index,
    /// Records read in this stage.
    records: u64,
    block: Vec<u8>,
    synced: u64,
    stage: Option<Stage>,
}

/// Whether there is more to do.
#[derive(Debug)]
pub(super) enum Progress {
    More,
    /// This is the file from now on.
    Done(Box<Out>),
}

/// Whether a file is worth it: half of it may be garbage, and it is not small.
pub(super) fn is_due(out: &Out, from: u64) -> bool {
    out.mark.is_some() && out.len >= from && out.len / 2 >= out.head.alive
}

/// The name of the file that is being written.
pub(super) fn new_name(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn blocks(path: &Path) -> io::Result<BlockReader<BufReader<File>>> {
    let file = BufReader::with_capacity(64 << 10, File::open(path)?);
    BlockReader::new(file).map_err(|unusable| match unusable {
        Unusable::Unreadable(reason) => io::Error::other(reason),
        other => io::Error::other(format!("{other:?}")),
    })
}

fn key_of(entry: &Entry<'_>, key: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&entry.changelog.to_le_bytes()).update(key);
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

impl Compaction {
    /// Of the file as it is up to its last mark; none, if it has no mark.
    pub(super) fn new(disk: Disk, path: &Path, out: &Out) -> io::Result<Option<Self>> {
        let Some(until) = out.mark.clone() else { return Ok(None) };
        Ok(Some(Compaction {
            disk,
            path: path.to_path_buf(),
            new: new_name(path),
            head: out.head.clone(),
            reader: blocks(path)?,
            until,
            index: Index::default(),
            records: 0,
            block: Vec::new(),
            synced: 0,
            stage: Some(Stage::Index(0)),
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// One block of work. `len` is where the old file ends now.
    ///
    /// # Errors
    /// The old file can't be read, or the new one can't be written: it is to be [abandoned](Self::abandon).
    pub(super) fn slice(&mut self, len: u64) -> io::Result<Progress> {
        match self.stage.take() {
            None => Err(io::Error::other("compaction goes on after its end")),
            Some(Stage::Index(kept)) => self.learn(kept),
            Some(Stage::Copy(out)) => self.copy(out),
            Some(Stage::Tail(out)) => self.tail(out, len),
        }
    }

    /// The entry is kept whatever comes, for as long as its changelog keeps it; none: that depends on its key.
    fn by_time(&self, entry: &Entry<'_>) -> Option<bool> {
        let retention: Option<Millis> =
            self.head.changelogs.get(usize::from(entry.changelog)).and_then(|changelog| changelog.retention);
        match (retention, entry.key) {
            (Some(retention), _) => Some(entry.append_time >= self.until.mark.time.saturating_sub(retention)),
            // Without a key nothing supersedes it.
            (None, None) => Some(true),
            (None, Some(_)) => None,
        }
    }

    /// Whether the file is read up to the mark. An error, if it is not the file that was written.
    fn has_read_all(&self) -> io::Result<bool> {
        self.reader.has_reached(self.until.end, self.until.chain).map_err(|_| malformed())
    }

    fn learn(&mut self, mut kept: u64) -> io::Result<Progress> {
        if self.has_read_all()? {
            let alive = self.index.values().map(|last| last.size).sum::<u64>() + kept;
            let head = Head { alive, ..self.head.clone() };
            let out = Out::create(&self.disk, &self.new, head)?;
            self.reader = blocks(&self.path)?;
            self.records = 0;
            self.stage = Some(Stage::Copy(Box::new(out)));
            return Ok(Progress::More);
        }
        let payload = next_records(&mut self.reader)?;
        for entry in entries(&payload) {
            let entry = entry.map_err(|_| malformed())?;
            let size = entry.size() as u64;
            match (self.by_time(&entry), entry.key) {
                (Some(keep), _) => kept += if keep { size } else { 0 },
                (None, key) => {
                    let size = if entry.value.is_some() { size } else { 0 };
                    let last = Last { record: self.records, size };
                    self.index.insert(key_of(&entry, key.unwrap_or_default()), last);
                }
            }
            self.records += 1;
        }
        self.stage = Some(Stage::Index(kept));
        Ok(Progress::More)
    }

    fn copy(&mut self, mut out: Box<Out>) -> io::Result<Progress> {
        if self.has_read_all()? {
            self.flush(&mut out)?;
            out.mark(&self.disk, self.until.mark.clone())?;
            self.index = Index::default();
            self.stage = Some(Stage::Tail(out));
            return Ok(Progress::More);
        }
        let payload = next_records(&mut self.reader)?;
        for entry in entries(&payload) {
            let entry = entry.map_err(|_| malformed())?;
            let keep = self.by_time(&entry).unwrap_or_else(|| {
                let last = self.index.get(&key_of(&entry, entry.key.unwrap_or_default()));
                last.is_some_and(|last| last.record == self.records && last.size > 0)
            });
            if keep {
                write_entry(&mut self.block, &entry);
            }
            self.records += 1;
        }
        if self.block.len() >= BLOCK {
            self.flush(&mut out)?;
        }
        self.stage = Some(Stage::Copy(out));
        Ok(Progress::More)
    }

    fn flush(&mut self, out: &mut Out) -> io::Result<()> {
        if !self.block.is_empty() {
            out.append(&self.disk, Kind::Records, &self.block)?;
            self.block.clear();
        }
        self.sync_some(out)
    }

    fn sync_some(&mut self, out: &Out) -> io::Result<()> {
        if out.len - self.synced >= SYNC {
            self.synced = out.len;
            out.sync(&self.disk)?;
        }
        Ok(())
    }

    fn tail(&mut self, mut out: Box<Out>, len: u64) -> io::Result<Progress> {
        if self.reader.position() < len {
            let (kind, payload) = self.reader.next_block()?.ok_or_else(malformed)?;
            match kind {
                Kind::Mark => out.mark(&self.disk, Mark::decode(payload).map_err(|_| malformed())?)?,
                kind => out.append(&self.disk, kind, payload)?,
            }
            self.sync_some(&out)?;
            self.stage = Some(Stage::Tail(out));
            return Ok(Progress::More);
        }
        out.sync(&self.disk)?;
        self.disk.rename(&self.new, &self.path)?;
        Ok(Progress::Done(out))
    }

    /// Leaves nothing behind but the old file.
    pub(super) fn abandon(self) {
        // What can't be removed now is removed at the next start.
        let _ = self.disk.remove(&self.new);
    }
}

/// The next block's records; of another block, none.
fn next_records(reader: &mut BlockReader<BufReader<File>>) -> io::Result<Vec<u8>> {
    let (kind, payload) = reader.next_block()?.ok_or_else(malformed)?;
    Ok(if kind == Kind::Records { payload.to_vec() } else { Vec::new() })
}

fn malformed() -> io::Error {
    io::Error::other("a block that was intact is no more")
}
