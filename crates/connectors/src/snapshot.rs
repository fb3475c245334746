//! Snapshots on the local disk: one file for each task, written by one thread of the process, and checked by another when they are
//! opened.
//!
//! ```text
//! <directory>/lock                         held by the one process that works here
//! <directory>/<app>.<role>/<partition>.snapshot
//! <directory>/<app>.<role>/<partition>.new         while a snapshot is compacted
//! ```
//!
//! A lane copies what it committed into a block of memory ([`FileSnapshot`](handle)) and hands full blocks to the thread,
//! which checksums, appends, compacts and renames. What waits for the thread is bounded ([`QUEUE`]): if it can't keep
//! up, the snapshot stays as it was at its last mark until its task is restored the next time. The lane never waits.
//!
//! Files are read and written by their owner alone (mode 0600): they hold what the changelogs hold, which is personal.
//! Nothing here is needed for the truth, so nothing here is an error to a lane: a disk that is full or read-only is said,
//! counted, and done without.

mod compact;
mod disk;
mod file;
mod handle;
mod status;
#[cfg(test)]
mod tests;
mod writer;

pub use status::{Counts, FileStatus};

use catchment_runtime::snapshot::Head;
use catchment_runtime::{Partition, Snapshot, TopicPartition};
use disk::Disk;
use handle::FileSnapshot;
use status::Shared;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use writer::{Message, Writer, look_into};

/// Bytes of blocks that may wait for the thread, of all tasks of the process together.
pub const QUEUE: u64 = 32 << 20;

/// A block is handed over at so many bytes.
const BLOCK: usize = 256 << 10;

/// A file of a task that nobody here had for so long is removed.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);

/// Smaller files are not compacted.
const COMPACT_FROM: u64 = 8 << 20;

/// Why there are no snapshots.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another process works there.
    #[error("{}: another process has its snapshots there; give each process a directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What a process has of snapshots.
#[derive(Debug)]
pub struct Snapshots {
    directory: PathBuf,
    oldest: Duration,
    next: AtomicU64,
    messages: Sender<Message>,
    shared: Arc<Shared>,
    /// Says that the thread has ended.
    ended: Mutex<Receiver<()>>,
    /// Held as long as this lives.
    _lock: File,
}

/// Whose snapshot is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the directory of its role: `<app>.<role>`, letters that a file name can have.
    pub role: String,
    /// Its partition.
    pub partition: Partition,
    /// What stands in its head; its changelogs are in the order of the task's.
    pub head: Head,
    /// The changelogs as the log knows them, in the same order.
    pub changelogs: Vec<TopicPartition>,
}

impl Snapshots {
    /// Takes the directory, which is made if it is not there, and starts the thread. Snapshots older than `oldest` are
    /// not used: half of what the changelogs keep tombstones.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn start(directory: &Path, oldest: Duration) -> Result<Self, SnapshotError> {
        Self::with(directory, oldest, COMPACT_FROM, Disk::default())
    }

    fn with(
        directory: &Path,
        oldest: Duration,
        compact_from: u64,
        disk: Disk,
    ) -> Result<Self, SnapshotError> {
        let lock = lock(directory)?;
        let shared = Arc::new(Shared::default());
        let (messages, inbox) = channel();
        let (say_ended, ended) = channel();
        let (say_looks, looks) = channel();
        let (place, limits) = (directory.to_path_buf(), (compact_from, oldest));
        let writer = Writer::new(place, limits, disk, Arc::clone(&shared), say_looks);
        let run = move || {
            writer.run(&inbox);
            // Nobody listens any more: then it does not matter.
            let _ = say_ended.send(());
        };
        start("snapshots", directory, run)?;
        start("snapshot checks", directory, move || look_into(&looks))?;
        Ok(Snapshots {
            directory: directory.to_path_buf(),
            oldest,
            next: AtomicU64::new(0),
            messages,
            shared,
            ended: Mutex::new(ended),
            _lock: lock,
        })
    }

    /// Says whether a directory can be used, and leaves it as it was.
    ///
    /// # Errors
    /// As [`start`](Self::start); one that is in use can be.
    pub fn check(directory: &Path) -> Result<(), SnapshotError> {
        let was_there = directory.is_dir();
        match lock(directory) {
            // The process that works there found that it can.
            Err(SnapshotError::InUse { .. }) => return Ok(()),
            result => drop(result?),
        }
        if !was_there {
            // What was made only for this; if it stays, that does no harm.
            let _ = std::fs::remove_file(directory.join("lock"));
            let _ = std::fs::remove_dir(directory);
        }
        Ok(())
    }

    /// The snapshot of a task. Whoever had it before, in this process, can't write it any more.
    #[must_use]
    pub fn open(&self, wanted: Wanted) -> Box<dyn Snapshot> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(&wanted.role).join(format!("{}.snapshot", wanted.partition));
        let file = self.shared.enter(id, &wanted);
        let handle = FileSnapshot::open(id, path, wanted, self.oldest, self.messages.clone(), file);
        Box::new(handle)
    }

    /// What is there now.
    #[must_use]
    pub fn files(&self) -> Vec<FileStatus> {
        self.shared.files()
    }

    /// What happened since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Waits until everything that was handed over is on the disk, and ends. False if that took too long. To be called
    /// when no lane is left: what comes later is not written.
    pub fn finish(&self, patience: Duration) -> bool {
        if self.messages.send(Message::Stop).is_err() {
            return true;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(ended.recv_timeout(patience), Err(std::sync::mpsc::RecvTimeoutError::Timeout))
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        // A thread that has ended already can't be told.
        let _ = self.messages.send(Message::Stop);
    }
}

/// Starts a thread for the snapshots in that directory.
fn start(name: &str, directory: &Path, run: impl FnOnce() + Send + 'static) -> Result<(), SnapshotError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|source| SnapshotError::Io {
        path: directory.to_path_buf(),
        action: "start a thread for snapshots",
        source,
    })
}

/// Makes the directory, for its owner alone, and takes it.
fn lock(directory: &Path) -> Result<File, SnapshotError> {
    let io = |path: &Path, action, source| SnapshotError::Io { path: path.to_path_buf(), action, source };
    disk::make_directory(directory).map_err(|error| io(directory, "make the directory", error))?;
    let path = directory.join("lock");
    let file = disk::private().create(true).write(true).truncate(false).open(&path);
    let file = file.map_err(|error| io(&path, "write", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SnapshotError::InUse { path: directory.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(io(&path, "lock", error)),
    }
}
