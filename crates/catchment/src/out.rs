//! Output to stdout, which may be a pipe that its reader closes early.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// The reader of the output has gone. No failure: it has seen enough.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the reader of the output has gone")]
pub(crate) struct ClosedPipe;

/// Where results go. Logs go to stderr.
#[derive(Debug)]
pub(crate) struct Out<W: Write> {
    writer: W,
}

impl Out<io::StdoutLock<'static>> {
    /// The process's own output.
    pub(crate) fn stdout() -> Self {
        Out { writer: io::stdout().lock() }
    }
}

impl<W: Write> Out<W> {
    /// Results that go elsewhere.
    #[cfg(test)]
    pub(crate) fn new(writer: W) -> Self {
        Out { writer }
    }

    /// Writes a text as it is.
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.writer.write_all(bytes).and_then(|()| self.writer.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => ClosedPipe.into(),
            _ => anyhow::Error::new(error).context("cannot write the output"),
        })
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> anyhow::Result<()> {
        self.text(&format!("{line}\n"))
    }

    /// Writes rows in columns, two blanks apart.
    pub(crate) fn table<const N: usize>(&mut self, indent: &str, rows: &[[String; N]]) -> anyhow::Result<()> {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in rows {
            let mut line = indent.to_owned();
            for (width, cell) in widths.iter().zip(row) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        self.text(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_pipe_is_told_from_a_failure() {
        let write = |kind| Out { writer: Closed(kind) }.line("x").unwrap_err();
        assert!(write(io::ErrorKind::BrokenPipe).is::<ClosedPipe>());
        assert!(!write(io::ErrorKind::StorageFull).is::<ClosedPipe>());
    }

    #[test]
    fn table_is_aligned_by_characters() {
        let mut bytes = Vec::new();
        let rows = [["ä".to_owned(), "b".to_owned()], ["ccc".to_owned(), String::new()]];
        Out { writer: &mut bytes }.table("  ", &rows).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "  ä    b\n  ccc\n");
    }
}
