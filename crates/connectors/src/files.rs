//! Files: sources read line by line, outputs that appear whole or not at all.

mod atomic;
mod lines;

use std::io;
use std::path::{Path, PathBuf};

pub use atomic::{AtomicFile, write_atomic};
pub use lines::{Line, LineLimits, Lines};

/// Why a file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A line is longer than any record may be, so that the file is most likely not what it was taken for.
    #[error("{}: line {line} is longer than {limit} bytes", path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The most bytes that are read of one line.
        limit: usize,
    },
    /// The operating system refused.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl FileError {
    fn new(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => FileError::Missing { path },
            _ => FileError::Io { path, action, source },
        }
    }
}
