//! The lane's end of a snapshot.

use super::status::{SharedFile, now};
use super::writer::{Message, Opened};
use super::{BLOCK, QUEUE, Wanted};
use catchment_runtime::log::BatchLimits;
use catchment_runtime::snapshot::format::{BlockReader, Chain, Entry, Kind, Mark, entries, write_entry};
use catchment_runtime::snapshot::{Copied, Found, Opening, Reading, Reason};
use catchment_runtime::{Headers, Millis, NextOffset, Offset, Record, Snapshot, TopicPartition, Unreadable};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// The longest that `open` waits for the thread.
const PATIENCE: Duration = Duration::from_millis(5);

/// Bytes of one slice of reading: about 20 ms of decoding.
const SLICE: usize = 2 << 20;

/// A mark is renewed after so long, also where nothing was copied: it says how old the snapshot is.
const RENEW: Millis = 3_600_000;

/// See the [module](super).
#[derive(Debug)]
pub(super) struct FileSnapshot {
    id: u64,
    path: PathBuf,
    wanted: Wanted,
    oldest: Millis,
    messages: Sender<Message>,
    file: Arc<SharedFile>,
    answer: Receiver<Opened>,
    opened: Option<Opening>,
    reader: Option<BlockReader<BufReader<File>>>,
    /// Bytes up to the last mark, and the chain there.
    marked: (u64, Chain),
    /// Records on their way.
    block: Vec<u8>,
    /// When the first record of the block was copied.
    begun: Millis,
    dirty: bool,
}

impl FileSnapshot {
    pub(super) fn open(
        id: u64,
        path: PathBuf,
        wanted: Wanted,
        oldest: Duration,
        messages: Sender<Message>,
        file: Arc<SharedFile>,
    ) -> Self {
        let (say, answer) = channel();
        let oldest = Millis::try_from(oldest.as_millis()).unwrap_or(Millis::MAX);
        let handle = FileSnapshot {
            id,
            path: path.clone(),
            wanted,
            oldest,
            messages,
            file: Arc::clone(&file),
            answer,
            opened: None,
            reader: None,
            marked: (0, Chain::default()),
            block: Vec::new(),
            begun: 0,
            dirty: false,
        };
        // It is checked ahead of the lane: while that restores the one before.
        handle.say(Message::Open { id, path, file, say });
        handle
    }

    fn say(&self, message: Message) {
        if self.messages.send(message).is_err() {
            self.file.set_dead();
        }
    }

    fn take_answer(&mut self, opened: Opened) -> Opening {
        let Some(survey) = opened.survey else { return Opening::Nothing };
        if let Ok(survey) = &survey {
            self.marked = (survey.end, survey.chain);
        }
        self.reader = opened.reader.and_then(|file| BlockReader::new(BufReader::new(file)).ok());
        let mark = survey.as_ref().ok().and_then(|survey| survey.mark.as_ref());
        let age = mark.map_or(0, |mark| now().saturating_sub(mark.time));
        Opening::Found(Box::new(Found { survey, wanted: self.wanted.head.clone(), age, oldest: self.oldest }))
    }

    /// Hands the block over, if there is room for it.
    fn flush(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let shared = &self.file.shared;
        let block = std::mem::replace(&mut self.block, shared.take_spare());
        let len = block.len() as u64;
        if shared.queued.fetch_add(len, Ordering::Relaxed) + len > QUEUE {
            shared.queued.fetch_sub(len, Ordering::Relaxed);
            self.drop_it();
            return;
        }
        self.say(Message::Records { id: self.id, block });
    }

    #[cold]
    fn drop_it(&mut self) {
        self.file.set_dropped();
        self.file.shared.dropped.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            "{}: the disk does not keep up; it stays as it is until its task is restored the next time",
            self.file.name()
        );
        self.block = Vec::new();
    }

    /// Whether all was read up to the last mark.
    fn is_read(&self) -> Result<bool, Unreadable> {
        let reader = self.reader.as_ref().ok_or_else(|| unreadable(&self.path, "is gone"))?;
        let (end, chain) = self.marked;
        reader.has_reached(end, chain).map_err(|_| unreadable(&self.path, "was changed while it was read"))
    }

    fn read_block(
        &mut self,
        take: &mut dyn FnMut(&Record<'_>) -> Result<(), Unreadable>,
    ) -> Result<(usize, usize), Unreadable> {
        let unreadable = |what: &str| unreadable(&self.path, what);
        let reader = self.reader.as_mut().ok_or_else(|| unreadable("is gone"))?;
        let block = reader.next_block().map_err(|error| unreadable(&error.to_string()))?;
        let (kind, payload) = block.ok_or_else(|| unreadable("was intact, and is no more"))?;
        if kind != Kind::Records {
            return Ok((0, payload.len()));
        }
        let (headers, mut count) = (Headers::default(), 0);
        for entry in entries(payload) {
            let entry = entry.map_err(|_| unreadable("a record is malformed"))?;
            let at = self.wanted.changelogs.get(usize::from(entry.changelog));
            let at = at.ok_or_else(|| unreadable("a record of another changelog"))?;
            count += 1;
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
        Ok((count, payload.len()))
    }
}

fn unreadable(path: &Path, what: &str) -> Unreadable {
    Unreadable { reason: format!("{}: {what}", path.display()) }
}

impl Snapshot for FileSnapshot {
    fn open(&mut self) -> Opening {
        if self.opened.is_none() {
            self.opened = match self.answer.recv_timeout(PATIENCE) {
                Ok(opened) => Some(self.take_answer(opened)),
                Err(RecvTimeoutError::Timeout) => return Opening::Pending,
                // The thread has ended.
                Err(RecvTimeoutError::Disconnected) => Some(Opening::Nothing),
            };
        }
        self.opened.clone().unwrap_or(Opening::Pending)
    }

    fn read(
        &mut self,
        limits: &BatchLimits,
        take: &mut dyn FnMut(&Record<'_>) -> Result<(), Unreadable>,
    ) -> Result<Reading, Unreadable> {
        let (mut records, mut bytes) = (0, 0);
        while !self.is_read()? {
            let (more, size) = self.read_block(take)?;
            records += more;
            bytes += size;
            if records >= limits.records || bytes >= limits.bytes.min(SLICE) {
                return Ok(Reading::More);
            }
        }
        Ok(Reading::Done)
    }

    fn resume(&mut self) {
        self.reader = None;
        if let Some(Opening::Found(found)) = self.opened.take()
            && let Ok(survey) = found.survey
        {
            self.file.shared.used.fetch_add(1, Ordering::Relaxed);
            self.say(Message::Resume { id: self.id, survey: Box::new(survey) });
        }
    }

    fn begin(&mut self) {
        self.reader = None;
        self.opened = None;
        self.say(Message::Begin { id: self.id, head: Box::new(self.wanted.head.clone()) });
    }

    fn discard(&mut self, reason: &Reason) {
        self.file.shared.discarded(reason);
        tracing::warn!("{} is not used: {reason}", self.file.name());
        self.reader = None;
        self.say(Message::Remove { id: self.id });
    }

    fn append(&mut self, record: &Copied<'_>) {
        if !self.file.is_kept_up() {
            return;
        }
        let Some(changelog) = self.wanted.changelogs.iter().position(|at| *at == record.at) else { return };
        if self.block.is_empty() {
            self.begun = now();
        }
        let changelog = u16::try_from(changelog).unwrap_or(u16::MAX);
        // A clock is not asked for each record: a block is short beside any retention.
        let append_time = record.append_time.unwrap_or(self.begun);
        let entry = Entry { changelog, append_time, key: record.key, value: record.value };
        write_entry(&mut self.block, &entry);
        self.dirty = true;
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }

    fn wants_mark(&self) -> bool {
        let old = || self.file.marked_at().is_none_or(|time| now().saturating_sub(time) > RENEW);
        self.file.is_kept_up() && (self.dirty || old())
    }

    fn mark(&mut self, positions: &[(TopicPartition, NextOffset)]) {
        self.flush();
        if !self.file.is_kept_up() {
            return;
        }
        let position = |at: &TopicPartition| positions.iter().find(|(of, _)| of == at).map(|(_, next)| *next);
        let positions = self.wanted.changelogs.iter().map(position).collect();
        if let Some(positions) = positions {
            self.dirty = false;
            self.say(Message::Mark { id: self.id, mark: Mark { time: now(), positions } });
        }
    }
}

impl Drop for FileSnapshot {
    fn drop(&mut self) {
        self.file.leave();
        self.say(Message::Close { id: self.id });
    }
}
