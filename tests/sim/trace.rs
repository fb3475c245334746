//! What happened, as a hash and, if asked for, as lines to read.

use std::fmt;

/// Every choice of a run, and every record that came of it.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
    text: String,
}

impl Trace {
    /// Nothing happened yet. `readable` keeps the lines.
    pub(crate) fn new(readable: bool) -> Self {
        Trace { hash: 0xCBF2_9CE4_8422_2325, lines: readable.then(Vec::new), text: String::new() }
    }

    pub(crate) fn note(&mut self, what: fmt::Arguments<'_>) {
        self.text.clear();
        let _ = fmt::write(&mut self.text, what);
        let text = std::mem::take(&mut self.text);
        self.bytes(text.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(text.clone());
        }
        self.text = text;
    }

    /// Bytes that no line shows. FNV-1a, taken in words.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.word(u64::from(*byte));
        }
        self.word(bytes.len() as u64);
    }

    fn word(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01B3).rotate_left(29);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
