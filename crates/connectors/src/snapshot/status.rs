//! What the process knows of its snapshots, for metrics.

use super::Wanted;
use catchment_runtime::snapshot::Reason;
use catchment_runtime::{Millis, Partition};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// No mark.
const NEVER: Millis = Millis::MIN;

/// The snapshot of a task that a lane of this process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Name of the directory of its role.
    pub role: String,
    /// Its partition.
    pub partition: Partition,
    /// Its bytes.
    pub bytes: u64,
    /// Time of its last mark, since 1970; none if it has none.
    pub marked_at: Option<Millis>,
    /// It is kept up: what is committed now is copied. False after it was dropped or could not be written.
    pub kept_up: bool,
}

/// What happened since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Snapshots that were not used, by [`Reason::word`].
    pub discarded: BTreeMap<&'static str, u64>,
    /// Snapshots that were used.
    pub used: u64,
    /// Snapshots that were given up until their task is restored again, because the disk could not keep up.
    pub dropped: u64,
    /// Things that the disk did not do.
    pub failures: u64,
    /// Files that were compacted.
    pub compactions: u64,
    /// Bytes written.
    pub written: u64,
}

/// One file, as the lane and the thread see it.
#[derive(Debug)]
pub(super) struct SharedFile {
    role: String,
    partition: Partition,
    pub(super) bytes: AtomicU64,
    marked_at: AtomicI64,
    /// The thread writes nothing of what comes any more.
    dead: AtomicBool,
    /// The lane hands nothing over any more; what it did is still written.
    dropped: AtomicBool,
    pub(super) shared: Arc<Shared>,
    id: u64,
}

impl SharedFile {
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(super) fn set_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(super) fn is_kept_up(&self) -> bool {
        !self.is_dead() && !self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn set_dropped(&self) {
        self.dropped.store(true, Ordering::Relaxed);
    }

    pub(super) fn marked_at(&self) -> Option<Millis> {
        Some(self.marked_at.load(Ordering::Relaxed)).filter(|time| *time != NEVER)
    }

    pub(super) fn set_marked_at(&self, time: Option<Millis>) {
        self.marked_at.store(time.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// As a message names it.
    pub(super) fn name(&self) -> String {
        format!("snapshot of {} partition {}", self.role, self.partition)
    }

    /// The lane has it no more.
    pub(super) fn leave(&self) {
        self.shared.lock().remove(&self.id);
    }
}

/// What all files share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    files: Mutex<BTreeMap<u64, Arc<SharedFile>>>,
    /// Bytes of blocks on their way to the thread.
    pub(super) queued: AtomicU64,
    /// Blocks to be filled again.
    spare: Mutex<Vec<Vec<u8>>>,
    discarded: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) used: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) written: AtomicU64,
}

/// Blocks that are kept to be filled again.
const SPARE: usize = 16;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<SharedFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, id: u64, wanted: &Wanted) -> Arc<SharedFile> {
        let file = Arc::new(SharedFile {
            role: wanted.role.clone(),
            partition: wanted.partition,
            bytes: AtomicU64::new(0),
            marked_at: AtomicI64::new(NEVER),
            dead: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            shared: Arc::clone(self),
            id,
        });
        self.lock().insert(id, Arc::clone(&file));
        file
    }

    pub(super) fn files(&self) -> Vec<FileStatus> {
        let status = |file: &Arc<SharedFile>| FileStatus {
            role: file.role.clone(),
            partition: file.partition,
            bytes: file.bytes.load(Ordering::Relaxed),
            marked_at: file.marked_at(),
            kept_up: file.is_kept_up(),
        };
        self.lock().values().map(status).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            discarded: self.discarded.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            used: number(&self.used),
            dropped: number(&self.dropped),
            failures: number(&self.failures),
            compactions: number(&self.compactions),
            written: number(&self.written),
        }
    }

    pub(super) fn discarded(&self, reason: &Reason) {
        let mut discarded = self.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        *discarded.entry(reason.word()).or_default() += 1;
    }

    pub(super) fn take_spare(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(super::BLOCK + super::BLOCK / 4))
    }

    pub(super) fn give_back(&self, mut block: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        // One that grew for a large record would be kept for ever.
        if spare.len() < SPARE && block.capacity() <= 2 * super::BLOCK {
            block.clear();
            spare.push(block);
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> Millis {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
