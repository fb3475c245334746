//! What is done to files, so that a test can cut the power at each point.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Options of a file that only its owner reads and writes.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a directory that only its owner looks into, and those above it as usual.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// The disk. Each call is one thing that happens or does not; a test lets it end after so many.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) fuel: super::tests::Fuel,
}

impl Disk {
    /// How many bytes may still be written of so many; an error if nothing may be done any more.
    #[cfg(test)]
    fn allow(&self, bytes: usize) -> io::Result<usize> {
        self.fuel.burn(bytes)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the power is never cut")]
    fn allow(&self, bytes: usize) -> io::Result<usize> {
        Ok(bytes)
    }

    /// An empty file of that name; what stood there is gone.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.allow(1)?;
        if let Some(directory) = path.parent() {
            make_directory(directory)?;
        }
        private().create(true).write(true).truncate(true).open(path)
    }

    /// A file to be written on, cut off at that length.
    pub(super) fn reopen(&self, path: &Path, len: u64) -> io::Result<File> {
        self.allow(1)?;
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(len))?;
        Ok(file)
    }

    pub(super) fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let allowed = self.allow(bytes.len())?;
        file.write_all(&bytes[..allowed])?;
        if allowed < bytes.len() { Err(io::Error::other("the power was cut")) } else { Ok(()) }
    }

    /// What was written lasts.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.allow(1)?;
        file.sync_data()
    }

    /// Puts a file under the name of another, which is gone then.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.allow(1)?;
        fs::rename(from, to)?;
        #[cfg(unix)]
        if let Some(directory) = to.parent() {
            // The rename lasts once the directory is written. If it does not, the file of before is as good.
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }

    /// Removes a file; if there is none, that is as well.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.allow(1)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}
