//! A set of ids that never stands still for long.
//!
//! A hash set that is full moves all it holds, at once: 20 ms for 1,000,000 ids (`benches/pauses.rs`). Here they are in
//! parts, each of which grows by itself. A look-up is in one of them.

use super::ID;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Number of parts.
const PARTS: usize = 16;

type Part = HashSet<[u8; ID], BuildHasherDefault<First8>>;

/// A set of ids.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    parts: [Part; PARTS],
    len: usize,
    /// Ids that a part is made for.
    expected: usize,
}

impl Ids {
    /// A set that will probably hold that many. Nothing is allocated before the first of a part comes.
    pub(super) fn expecting(ids: usize) -> Self {
        Ids { parts: Default::default(), len: 0, expected: ids / PARTS }
    }

    pub(super) fn contains(&self, id: &[u8; ID]) -> bool {
        self.parts[place(id)].contains(id)
    }

    /// False if it was there.
    pub(super) fn insert(&mut self, id: [u8; ID]) -> bool {
        let part = &mut self.parts[place(&id)];
        if part.capacity() == 0 {
            part.reserve(self.expected);
        }
        let new = part.insert(id);
        self.len += usize::from(new);
        new
    }

    /// False if it was not there.
    pub(super) fn remove(&mut self, id: &[u8; ID]) -> bool {
        let was_there = self.parts[place(id)].remove(id);
        self.len -= usize::from(was_there);
        was_there
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in no order.
    #[cfg(test)]
    pub(super) fn to_vec(&self) -> Vec<[u8; ID]> {
        self.parts.iter().flat_map(|part| part.clone().into_iter()).collect()
    }
}

/// Which part an id is in: by its last byte. The sets go by the first eight.
fn place(id: &[u8; ID]) -> usize {
    usize::from(id[ID - 1]) % PARTS
}

/// The ids are hashes already: their first 8 bytes are as good as any hash of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct First8(u64);

impl Hasher for First8 {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // An array hashes its length too, which says nothing here.
    fn write_usize(&mut self, _: usize) {}
}
