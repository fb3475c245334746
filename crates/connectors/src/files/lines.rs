//! Reading a file line by line, with bounds.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::FileError;

/// How long a line may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineLimits {
    /// A longer line is handed out in full but marked [`Line::oversize`], because a dead letter keeps the whole record.
    pub max_line: usize,
    /// A line beyond this is an error. It bounds the memory of a reader.
    pub hard_limit: usize,
}

impl LineLimits {
    /// The most bytes of a line that are ever held: 16 MiB.
    pub const HARD_LIMIT: usize = 16 << 20;

    /// Marks lines above `max_line` bytes and fails at [`LineLimits::HARD_LIMIT`].
    #[must_use]
    pub fn new(max_line: usize) -> Self {
        LineLimits { max_line, hard_limit: Self::HARD_LIMIT.max(max_line) }
    }
}

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes without the line feed. A carriage return before it belongs to the line: it is what was sent.
    pub bytes: &'a [u8],
    /// Its number, counted from 1.
    pub number: u64,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Whether it is longer than [`LineLimits::max_line`].
    pub oversize: bool,
}

/// Reads a file line by line. It holds one line at a time.
#[derive(Debug)]
pub struct Lines<R = File> {
    path: PathBuf,
    reader: BufReader<R>,
    limits: LineLimits,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

impl Lines<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// There is no such file, or it can't be opened.
    pub fn open(path: &Path, limits: LineLimits) -> Result<Self, FileError> {
        let refused = |error| FileError::new(path, "open", error);
        let file = File::open(path).map_err(refused)?;
        // Opening a directory succeeds; without this, the error would come from the first read, and be obscure.
        if file.metadata().map_err(refused)?.is_dir() {
            return Err(refused(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::new(path, file, limits))
    }
}

impl<R: Read> Lines<R> {
    /// Reads lines from anything; `path` is what errors call it.
    pub fn new(path: &Path, reader: R, limits: LineLimits) -> Self {
        Lines {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(64 << 10, reader),
            limits,
            line: Vec::new(),
            number: 0,
            offset: 0,
        }
    }

    /// The next line, `None` behind the last. A last line without a line feed counts; an empty rest does not.
    ///
    /// # Errors
    /// The file can't be read on, or the line is longer than [`LineLimits::hard_limit`]. The reader is of no more use
    /// after that.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, FileError> {
        let offset = self.offset;
        self.line.clear();
        // One byte more than the limit tells a line that is too long; the line feed is another.
        let most = self.limits.hard_limit as u64 + 2;
        let read = (&mut self.reader)
            .take(most)
            .read_until(b'\n', &mut self.line)
            .map_err(|error| FileError::new(&self.path, "read", error))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.offset += read as u64;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        if self.line.len() > self.limits.hard_limit {
            return Err(FileError::LineTooLong {
                path: self.path.clone(),
                line: self.number,
                limit: self.limits.hard_limit,
            });
        }
        Ok(Some(Line {
            bytes: &self.line,
            number: self.number,
            offset,
            oversize: self.line.len() > self.limits.max_line,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_line: usize, hard_limit: usize) -> LineLimits {
        LineLimits { max_line, hard_limit }
    }

    /// Bytes, number, offset and whether it is oversize.
    type Read = (Vec<u8>, u64, u64, bool);

    fn lines(content: &[u8], limits: LineLimits) -> Result<Vec<Read>, String> {
        let mut lines = Lines::new(Path::new("in.ndjson"), content, limits);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().map_err(|error| error.to_string())? {
            all.push((line.bytes.to_vec(), line.number, line.offset, line.oversize));
        }
        Ok(all)
    }

    #[track_caller]
    fn check(content: &str, expected: &[(&str, u64)]) {
        let read = lines(content.as_bytes(), LineLimits::new(100)).unwrap();
        let read: Vec<(&str, u64)> =
            read.iter().map(|(bytes, _, offset, _)| (std::str::from_utf8(bytes).unwrap(), *offset)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn lines_end_at_line_feeds_and_at_the_end() {
        check("", &[]);
        check("\n", &[("", 0)]);
        check("a", &[("a", 0)]);
        check("a\n", &[("a", 0)]);
        check("a\n\nbc\nd", &[("a", 0), ("", 2), ("bc", 3), ("d", 6)]);
        check("a\r\nb\r", &[("a\r", 0), ("b\r", 3)]);
    }

    #[test]
    fn bytes_that_are_no_text_pass() {
        let read = lines(b"\xff\x00\n\xfe", LineLimits::new(100)).unwrap();
        assert_eq!(read[0].0, b"\xff\x00");
        assert_eq!(read[1].0, b"\xfe");
    }

    #[test]
    fn oversize_line_is_whole_and_marked_and_reading_goes_on() {
        let content = [b"ok\n".as_slice(), &[b'x'; 300_000], b"\nok\n"].concat();
        let read = lines(&content, LineLimits::new(1_000)).unwrap();
        assert_eq!(read[1].0.len(), 300_000);
        assert_eq!(read.iter().map(|line| line.3).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(read[2], (b"ok".to_vec(), 3, 300_004, false));
    }

    #[test]
    fn line_beyond_the_hard_limit_is_an_error() {
        let refused = Err("in.ndjson: line 2 is longer than 4 bytes".to_owned());
        for content in ["1\n12345", "1\n12345\n", "1\n123456\n", "1\n1234567890123\n"] {
            assert_eq!(lines(content.as_bytes(), limits(2, 4)), refused, "{content:?}");
        }
        for content in ["1\n1234", "1\n1234\n"] {
            let read = lines(content.as_bytes(), limits(2, 4)).unwrap();
            assert_eq!(read[1], (b"1234".to_vec(), 2, 2, true));
        }
    }

    #[test]
    fn missing_file_and_directory_say_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none.ndjson");
        let error = Lines::open(&path, LineLimits::new(9)).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: no such file", path.display()));
        let error = Lines::open(directory.path(), LineLimits::new(9)).unwrap_err();
        assert!(error.to_string().contains("cannot open"), "{error}");
    }
}
