//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::FileError;

/// A file that is being written and appears under its name only at [`AtomicFile::commit`], whole. Dropped before
/// that, it leaves nothing behind, and what stood under the name stays.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` after the commit.
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Begins to write. The directory is created if it is not there.
    ///
    /// # Errors
    /// The directory or a file in it can't be created, or the path names no file.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let refused = |action, error| FileError::new(path, action, error);
        let Some(name) = path.file_name() else {
            return Err(refused("create", io::ErrorKind::InvalidInput.into()));
        };
        let directory = directory_of(path);
        fs::create_dir_all(directory)
            .map_err(|error| FileError::new(directory, "create the directory", error))?;
        // In the same directory, because a rename across file systems is none. The process id keeps two apart.
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.tmp", std::process::id()));
        let temporary = directory.join(temporary_name);
        let file = File::create(&temporary).map_err(|error| refused("create", error))?;
        Ok(AtomicFile {
            path: path.to_path_buf(),
            temporary,
            writer: Some(BufWriter::with_capacity(64 << 10, file)),
        })
    }

    /// Makes what was written durable and puts it under its name.
    ///
    /// # Errors
    /// The rest can't be written, or the file can't be renamed. The name then holds what it held before.
    pub fn commit(mut self) -> Result<(), FileError> {
        let writer = self.writer.take();
        let result = writer.map_or(Ok(()), |writer| self.publish(writer));
        if result.is_err() {
            self.discard();
        }
        result.map_err(|error| FileError::new(&self.path, "write", error))
    }

    fn publish(&self, writer: BufWriter<File>) -> io::Result<()> {
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        // The rename itself lasts only once the directory is written.
        #[cfg(unix)]
        File::open(directory_of(&self.path))?.sync_all()?;
        Ok(())
    }

    /// Best effort: a file left behind does no harm, and there is nobody to tell.
    fn discard(&self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(writer) => writer.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.writer.is_some() {
            self.discard();
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a file so that it holds either what it held before or all of `bytes`.
///
/// # Errors
/// See [`AtomicFile::create`] and [`AtomicFile::commit`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(|error| FileError::new(path, "write", error))?;
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn file_appears_whole_and_alone_in_a_new_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out/deep/a.ndjson");
        write_atomic(&path, b"one\n").unwrap();
        write_atomic(&path, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two\n");
        assert_eq!(names(path.parent().unwrap()), ["a.ndjson"]);
    }

    #[test]
    fn nothing_shows_before_the_commit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "before").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(&vec![b'x'; 200_000]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn failed_commit_leaves_the_name_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"x").unwrap();
        // A directory that is not empty can't be replaced by a file.
        fs::create_dir_all(path.join("full")).unwrap();
        let error = file.commit().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot write", path.display())), "{error}");
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn path_without_a_name_is_refused() {
        let error = write_atomic(Path::new("/"), b"").unwrap_err().to_string();
        assert!(error.starts_with("/: cannot create"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_atomic(&file.join("a"), b"").unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot create the directory", file.display())), "{error}");
    }
}
