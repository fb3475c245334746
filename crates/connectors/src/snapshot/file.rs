//! One task's file, as the thread writes it.

use super::disk::Disk;
use super::status::SharedFile;
use catchment_runtime::snapshot::format::{Chain, Kind, write_header, write_preamble};
use catchment_runtime::snapshot::{Head, Mark, Survey, Unusable};
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What was found under a name.
pub(super) type Found = Result<Survey, Unusable>;

#[derive(Debug)]
pub(super) struct TaskFile {
    pub(super) path: PathBuf,
    pub(super) shared: Arc<SharedFile>,
    disk: Disk,
    out: Option<Out>,
}

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Out {
    file: File,
    pub(super) head: Head,
    /// Bytes.
    pub(super) len: u64,
    pub(super) mark: Option<Marked>,
    chain: Chain,
}

/// The last mark of a file.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    pub(super) mark: Mark,
    /// Bytes up to its end.
    pub(super) end: u64,
    /// The chain there.
    pub(super) chain: Chain,
}

impl Out {
    /// A new file, with its head.
    pub(super) fn create(disk: &Disk, path: &Path, head: Head) -> io::Result<Self> {
        let file = disk.create(path)?;
        let mut out = Out { file, head, len: 0, mark: None, chain: Chain::default() };
        let (mut bytes, mut payload) = (Vec::new(), Vec::new());
        write_preamble(&mut bytes);
        disk.write(&mut out.file, &bytes)?;
        out.len = bytes.len() as u64;
        out.head.encode(&mut payload);
        out.append(disk, Kind::Head, &payload)?;
        Ok(out)
    }

    pub(super) fn append(&mut self, disk: &Disk, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let mut header = Vec::with_capacity(16);
        write_header(&mut header, &mut self.chain, kind, payload);
        disk.write(&mut self.file, &header)?;
        disk.write(&mut self.file, payload)?;
        self.len += (header.len() + payload.len()) as u64;
        Ok(())
    }

    pub(super) fn mark(&mut self, disk: &Disk, mark: Mark) -> io::Result<()> {
        let mut payload = Vec::new();
        mark.encode(&mut payload);
        self.append(disk, Kind::Mark, &payload)?;
        self.mark = Some(Marked { mark, end: self.len, chain: self.chain });
        Ok(())
    }

    pub(super) fn sync(&self, disk: &Disk) -> io::Result<()> {
        disk.sync(&self.file)
    }
}

impl TaskFile {
    /// A file that nothing is done with until it is [resumed](Self::resume) or [begun](Self::begin).
    pub(super) fn new(path: PathBuf, shared: Arc<SharedFile>, disk: Disk) -> Self {
        TaskFile { path, shared, disk, out: None }
    }

    pub(super) fn out(&self) -> Option<&Out> {
        self.out.as_ref()
    }

    /// Goes on behind the last mark of what was found there.
    pub(super) fn resume(&mut self, survey: Survey) -> io::Result<()> {
        let file = self.disk.reopen(&self.path, survey.end)?;
        let (len, chain, head) = (survey.end, survey.chain, survey.head);
        let mark = survey.mark.map(|mark| Marked { mark, end: len, chain });
        self.replace(Out { file, head, len, mark, chain });
        Ok(())
    }

    /// Begins with nothing.
    pub(super) fn begin(&mut self, head: Head) -> io::Result<()> {
        self.out = None;
        let out = Out::create(&self.disk, &self.path, head)?;
        self.replace(out);
        Ok(())
    }

    /// Is this file from now on.
    pub(super) fn replace(&mut self, out: Out) {
        self.shared.set_marked_at(out.mark.as_ref().map(|marked| marked.mark.time));
        self.shared.bytes.store(out.len, Ordering::Relaxed);
        self.out = Some(out);
    }

    pub(super) fn remove(&mut self) -> io::Result<()> {
        self.out = None;
        self.shared.set_marked_at(None);
        self.shared.bytes.store(0, Ordering::Relaxed);
        self.disk.remove(&self.path)
    }

    /// Appends a block of records.
    pub(super) fn append(&mut self, block: &[u8]) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        out.append(&self.disk, Kind::Records, block)?;
        self.shared.bytes.store(out.len, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn mark(&mut self, mark: Mark) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let time = mark.time;
        out.mark(&self.disk, mark)?;
        self.shared.bytes.store(out.len, Ordering::Relaxed);
        self.shared.set_marked_at(Some(time));
        Ok(())
    }

    /// Everything is on the disk.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self.out.take() {
            Some(out) => out.sync(&self.disk),
            None => Ok(()),
        }
    }

    /// Nothing is written any more.
    pub(super) fn give_up(&mut self) {
        self.shared.set_dead();
        self.out = None;
    }
}

/// What is in a file, if there is one, and the file, to be read from its start.
pub(super) fn look(path: &Path) -> (Option<Found>, Option<File>) {
    match survey(path) {
        Ok((found, reader)) => (Some(found), Some(reader)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(error) => (Some(Err(Unusable::Unreadable(error.to_string()))), None),
    }
}

fn survey(path: &Path) -> io::Result<(Found, File)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let found = catchment_runtime::snapshot::format::survey(BufReader::with_capacity(64 << 10, &file), bytes);
    // The same file, whatever is put in its place meanwhile.
    file.rewind()?;
    Ok((found, file))
}
