//! The thread that writes all snapshots of a process.

use super::FORGOTTEN;
use super::compact::{self, Compaction, Progress};
use super::disk::Disk;
use super::file::{Found, TaskFile, look};
use super::status::{Shared, SharedFile};
use catchment_runtime::snapshot::{Head, Mark, Survey};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// How often forgotten files are looked for.
const SWEEP: Duration = Duration::from_secs(3_600);

/// How often a trouble of the disk is said again.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What the lanes' ends say. A file is named by the number of its [handle](super::handle).
#[derive(Debug)]
pub(super) enum Message {
    Open {
        id: u64,
        path: PathBuf,
        file: Arc<SharedFile>,
        say: Sender<Opened>,
    },
    Resume {
        id: u64,
        survey: Box<Survey>,
    },
    Begin {
        id: u64,
        head: Box<Head>,
    },
    Remove {
        id: u64,
    },
    Records {
        id: u64,
        block: Vec<u8>,
    },
    Mark {
        id: u64,
        mark: Mark,
    },
    Close {
        id: u64,
    },
    /// No more of anything.
    Stop,
    /// Ends the compaction that is under way, and says so.
    #[cfg(test)]
    Settle(Sender<()>),
}

/// What is there; none if there is no file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) survey: Option<Found>,
    pub(super) reader: Option<File>,
}

/// A file to be looked into, and who wants to know.
pub(super) struct Look {
    path: PathBuf,
    say: Sender<Opened>,
}

/// Looks into files, one after the other: on a thread of its own, since a large one is read for seconds, and what the lanes write
/// must not wait for that.
pub(super) fn look_into(looks: &Receiver<Look>) {
    while let Ok(Look { path, say }) = looks.recv() {
        let (survey, reader) = look(&path);
        // The lane that asked may be gone.
        let _ = say.send(Opened { survey, reader });
    }
}

pub(super) struct Writer {
    looks: Sender<Look>,
    directory: PathBuf,
    compact_from: u64,
    /// How old a snapshot may be that is used.
    oldest: Duration,
    started: Instant,
    disk: Disk,
    shared: Arc<Shared>,
    files: BTreeMap<u64, TaskFile>,
    compaction: Option<(u64, Compaction)>,
    swept: Option<Instant>,
    said: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        directory: PathBuf,
        (compact_from, oldest): (u64, Duration),
        disk: Disk,
        shared: Arc<Shared>,
        looks: Sender<Look>,
    ) -> Self {
        let files = BTreeMap::new();
        let started = Instant::now();
        Writer {
            looks,
            directory,
            compact_from,
            oldest,
            started,
            disk,
            shared,
            files,
            compaction: None,
            swept: None,
            said: None,
        }
    }

    /// Works until it is told to stop, or nobody is left who could.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            if self.swept.is_none_or(|swept| swept.elapsed() > SWEEP) {
                self.swept = Some(Instant::now());
                self.sweep();
            }
            // What the lanes say comes first: a compaction waits for a moment without.
            let message = match inbox.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if self.compaction.is_some() => {
                    self.compact();
                    continue;
                }
                Err(TryRecvError::Empty) => match inbox.recv_timeout(SWEEP) {
                    Ok(message) => message,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            if matches!(message, Message::Stop) {
                break;
            }
            self.take(message);
        }
        self.cancel(None);
        for (_, mut file) in std::mem::take(&mut self.files) {
            let closed = file.close();
            self.note(&file.shared, "close", closed);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Open { id, path, file, say } => self.open(id, path, file, say),
            Message::Resume { id, survey } => self.with(id, "cut off", |file| file.resume(*survey)),
            Message::Begin { id, head } => {
                self.cancel(Some(id));
                self.with(id, "begin", |file| file.begin(*head));
            }
            Message::Remove { id } => {
                self.cancel(Some(id));
                self.with(id, "remove", TaskFile::remove);
            }
            Message::Records { id, block } => {
                let len = block.len() as u64;
                self.with(id, "write", |file| file.append(&block));
                self.shared.written.fetch_add(len, Ordering::Relaxed);
                self.shared.queued.fetch_sub(len, Ordering::Relaxed);
                self.shared.give_back(block);
                // Under a load that never pauses it goes on nevertheless.
                self.compact();
            }
            Message::Mark { id, mark } => {
                self.with(id, "write", |file| file.mark(mark));
                self.begin_compaction(id);
            }
            Message::Close { id } => {
                self.cancel(Some(id));
                if let Some(mut file) = self.files.remove(&id) {
                    let closed = file.close();
                    self.note(&file.shared, "close", closed);
                }
            }
            Message::Stop => {}
            #[cfg(test)]
            Message::Settle(say) => {
                while self.compaction.is_some() {
                    self.compact();
                }
                say.send(()).unwrap();
            }
        }
    }

    fn open(&mut self, id: u64, path: PathBuf, shared: Arc<SharedFile>, say: Sender<Opened>) {
        // The log has given the task to another lane: who had it does not know yet.
        let before = self.files.iter().find(|(_, file)| file.path == path).map(|(id, _)| *id);
        if let Some(before) = before {
            self.cancel(Some(before));
            if let Some(mut file) = self.files.remove(&before) {
                file.give_up();
            }
        }
        self.files.insert(id, TaskFile::new(path.clone(), shared, self.disk.clone()));
        // Nobody writes the file until the lane has its answer.
        if self.looks.send(Look { path, say }).is_err() {
            // Then the lane is told, as its channel is gone.
            tracing::debug!("nobody looks into snapshots any more");
        }
    }

    /// Does something to a file. One that could not be done is the last thing that is tried.
    fn with(&mut self, id: u64, action: &'static str, work: impl FnOnce(&mut TaskFile) -> io::Result<()>) {
        let Some(file) = self.files.get_mut(&id).filter(|file| !file.shared.is_dead()) else { return };
        let result = work(file);
        if result.is_err() {
            file.give_up();
            let shared = Arc::clone(&file.shared);
            self.cancel(Some(id));
            self.note(&shared, action, result);
        }
    }

    /// Counts what the disk did not do, and says it now and then.
    fn note(&mut self, file: &SharedFile, action: &'static str, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        if self.said.is_none_or(|said| said.elapsed() > SAY_AGAIN) {
            self.said = Some(Instant::now());
            let name = file.name();
            tracing::warn!(
                "{name}: the disk refuses to {action} it ({error}); the lane goes on, and will restore from its changelogs"
            );
        }
    }

    fn begin_compaction(&mut self, id: u64) {
        let Some(file) = self.files.get(&id).filter(|_| self.compaction.is_none()) else { return };
        let Some(out) = file.out().filter(|out| compact::is_due(out, self.compact_from)) else { return };
        match Compaction::new(self.disk.clone(), &file.path, out) {
            Ok(compaction) => self.compaction = compaction.map(|compaction| (id, compaction)),
            Err(error) => {
                let shared = Arc::clone(&file.shared);
                self.note(&shared, "compact", Err(error));
            }
        }
    }

    /// A piece of the compaction that is under way.
    fn compact(&mut self) {
        let Some((id, mut compaction)) = self.compaction.take() else { return };
        let Some(file) = self.files.get_mut(&id) else { return compaction.abandon() };
        let len = file.out().map_or(0, |out| out.len);
        match compaction.slice(len) {
            Ok(Progress::More) => self.compaction = Some((id, compaction)),
            Ok(Progress::Done(out)) => {
                tracing::debug!("{}: compacted from {len} to {} bytes", file.shared.name(), out.len);
                file.replace(*out);
                self.shared.compactions.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // The file of before is as it was; its next mark tries again.
                let shared = Arc::clone(&file.shared);
                compaction.abandon();
                self.note(&shared, "compact", Err(error));
            }
        }
    }

    /// Ends the compaction of a file, or of any.
    fn cancel(&mut self, of: Option<u64>) {
        if let Some((_, compaction)) = self.compaction.take_if(|(id, _)| of.is_none_or(|of| of == *id)) {
            tracing::debug!("the compaction of {} is given up", compaction.path().display());
            compaction.abandon();
        }
    }

    /// Removes what a crash left behind, and what nobody here wanted for long.
    fn sweep(&mut self) {
        let directories = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for directory in directories.filter(|entry| entry.path().is_dir()) {
            for entry in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
                let path = entry.path();
                if self.is_left_over(&path) {
                    match self.disk.remove(&path) {
                        Ok(()) => tracing::info!("{}: removed, nobody here has its task", path.display()),
                        Err(error) => tracing::warn!("{}: cannot be removed: {error}", path.display()),
                    }
                }
            }
        }
    }

    fn is_left_over(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("new") => {
                self.compaction.as_ref().is_none_or(|(_, now)| compact::new_name(now.path()) != path)
            }
            Some("snapshot") => {
                let age = fs::metadata(path).and_then(|data| data.modified()).map(|time| time.elapsed());
                // A process that was away for long finds what it left, as long as that can be used.
                let just_started = self.started.elapsed() < SWEEP;
                let forgotten = if just_started { self.oldest.max(FORGOTTEN) } else { FORGOTTEN };
                let old = matches!(age, Ok(Ok(age)) if age > forgotten);
                old && !self.files.values().any(|file| file.path == path)
            }
            _ => false,
        }
    }
}
