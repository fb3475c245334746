//! A map of decoded values that knows what changed since the last commit.

use crate::task::Unreadable;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::ops::Range;

/// A value with a stored form. The first byte of the form is its version (see [`super::versioned`]).
pub trait Stored: Sized {
    /// Writes the stored form to the end of the buffer.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads a stored form. `decode(encode(v))` must equal `v`: an abort relies on it.
    ///
    /// # Errors
    /// Bytes that are no stored form, or of a version that is not known.
    fn decode(bytes: &[u8]) -> Result<Self, Unreadable>;
}

/// Bytes of committed forms that a table keeps by default: those of some 8,000 profiles of 1 KB.
pub const DEFAULT_KEPT: usize = 8 << 20;

/// A map per task of decoded values, changed in place. At the first touch of a key within a step its committed stored
/// form is put into a buffer that is kept from step to step; an abort, which is rare, decodes it again.
///
/// That form is at hand if the key was written lately with [`encode_dirty`](Table::encode_dirty) (the encoding that the
/// changelog needs anyway); else the value is encoded. `benches/state.rs`, for a value of 40 small lists, 0.85 KB
/// encoded, per touched key and step, the encoding for the changelog left out:
///
/// | what is kept | time | memory |
/// |---|---|---|
/// | a clone, made at the first touch | 1.14 µs | none |
/// | the form, encoded at the first touch | 0.95 µs | none |
/// | a copy of the changelog's form with every entry | 0.13 µs | 0.85 KB an entry |
///
/// (A whole step with its changelog, on a busy machine: 2.5 µs a key with encoding at the first touch, 1.4 µs with
/// kept forms.) Memory is what limits a node, and customers come in bursts; so forms are kept, but only those written
/// last, up to a limit of bytes per table.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    map: FxHashMap<K, Entry<V>>,
    /// Touched keys in order of first touch, and where their committed form stands (`None`: there was no value).
    touched: Vec<(K, Option<Range<usize>>)>,
    before: Vec<u8>,
    /// Number of the step: an entry with an older one was not touched in this step.
    step: u64,
    live: usize,
    /// New forms of touched keys, if [`Table::encode_dirty`] was asked, in the order of `touched`.
    after: Vec<u8>,
    /// Where each of them ends; empty if the forms are not those of the values any more.
    after_ends: Vec<usize>,
    kept: Kept<K>,
}

/// Which entries keep their committed form: those written last, up to a limit.
#[derive(Clone, Debug)]
struct Kept<K> {
    limit: usize,
    bytes: usize,
    /// Keys in the order they got a form; a key may be stale, or there twice, after its entry was removed.
    order: VecDeque<K>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    /// `None`: removed in this step; the entry goes with the commit.
    value: Option<V>,
    touched: u64,
    /// The committed form, if it is kept.
    form: Option<Vec<u8>>,
}

impl<V> Entry<V> {
    fn new(value: Option<V>) -> Self {
        Entry { value, touched: 0, form: None }
    }
}

impl<K> Kept<K> {
    /// Sets the form of an entry to the new one, if there is one (a stored form is never empty), else drops it: it
    /// is not the committed one any more.
    fn replace(&mut self, key: K, form: &mut Option<Vec<u8>>, new: &[u8]) {
        self.bytes -= form.as_ref().map_or(0, Vec::len);
        if new.is_empty() || new.len() > self.limit {
            *form = None;
            return;
        }
        if form.is_none() {
            self.order.push_back(key);
        }
        let form = form.get_or_insert_default();
        form.clear();
        form.extend_from_slice(new);
        self.bytes += new.len();
    }

    /// A key whose form is to go, while there is too much.
    fn surplus(&mut self, entries: usize) -> Option<K> {
        // Stale keys are bounded too: a key that comes and goes would leave one each time.
        let over = self.bytes > self.limit || self.order.len() > 2 * entries + 16;
        if over { self.order.pop_front() } else { None }
    }
}

/// A key that was touched since the last commit.
#[derive(Debug)]
pub struct Dirty<'a, K, V> {
    /// The key.
    pub key: K,
    /// Its value now; `None` = removed (write a tombstone, unless there was nothing before).
    pub value: Option<&'a V>,
    /// Its committed stored form; `None` = there was no value. Equal to the new form: nothing needs to be written.
    pub before: Option<&'a [u8]>,
}

impl<K: Copy + Eq + Hash, V: Stored> Table<K, V> {
    /// An empty table that keeps [`DEFAULT_KEPT`] bytes of committed forms.
    #[must_use]
    pub fn new() -> Self {
        Self::with_kept(DEFAULT_KEPT)
    }

    /// An empty table that keeps committed forms of the entries written last, up to that many bytes; 0 keeps none.
    #[must_use]
    pub fn with_kept(limit: usize) -> Self {
        Table {
            map: FxHashMap::default(),
            touched: Vec::new(),
            before: Vec::new(),
            step: 1,
            live: 0,
            after: Vec::new(),
            after_ends: Vec::new(),
            kept: Kept { limit, bytes: 0, order: VecDeque::new() },
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)?.value.as_ref()
    }

    /// True if the key has a value.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, to change it. The key counts as touched, changed or not.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.after_ends.clear();
        let entry = self.map.get_mut(key)?;
        entry.value.as_ref()?;
        remember(entry, *key, self.step, &mut self.touched, &mut self.before);
        entry.value.as_mut()
    }

    /// The value of a key, to change it; made first if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.after_ends.clear();
        let entry = self.map.entry(key).or_insert(Entry::new(None));
        remember(entry, key, self.step, &mut self.touched, &mut self.before);
        let live = &mut self.live;
        entry.value.get_or_insert_with(|| {
            *live += 1;
            make()
        })
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        self.after_ends.clear();
        let entry = self.map.entry(key).or_insert(Entry::new(None));
        remember(entry, key, self.step, &mut self.touched, &mut self.before);
        if entry.value.replace(value).is_none() {
            self.live += 1;
        }
    }

    /// Takes the value of a key away.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.after_ends.clear();
        let entry = self.map.get_mut(key)?;
        entry.value.as_ref()?;
        remember(entry, *key, self.step, &mut self.touched, &mut self.before);
        self.live -= 1;
        entry.value.take()
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// True if there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// What was touched since the last commit, in order of first touch: that is the order a changelog is written in,
    /// and it must not depend on the hash.
    pub fn dirty(&self) -> impl Iterator<Item = Dirty<'_, K, V>> {
        self.touched.iter().map(|(key, before)| Dirty {
            key: *key,
            value: self.get(key),
            before: before.clone().map(|range| &self.before[range]),
        })
    }

    /// Number of keys touched since the last commit.
    #[must_use]
    pub fn dirty_len(&self) -> usize {
        self.touched.len()
    }

    /// As [`dirty`](Self::dirty), and encodes each value once: `write` gets the key, its value's new stored form (`None`
    /// = removed), and the committed form. A task that writes its changelog from here spares the table the encoding at
    /// the next first touch. To be called after the last change of a step: a change makes the forms worthless.
    pub fn encode_dirty(&mut self, mut write: impl FnMut(&K, Option<&[u8]>, Option<&[u8]>)) {
        self.after.clear();
        self.after_ends.clear();
        for (key, before) in &self.touched {
            let start = self.after.len();
            let value = self.map.get(key).and_then(|entry| entry.value.as_ref());
            if let Some(value) = value {
                value.encode(&mut self.after);
            }
            self.after_ends.push(self.after.len());
            let form = value.is_some().then(|| &self.after[start..]);
            write(key, form, before.clone().map(|range| &self.before[range]));
        }
    }

    /// The step is committed: changes stay.
    pub fn commit(&mut self) {
        let mut start = 0;
        let has_forms = self.after_ends.len() == self.touched.len();
        for (index, (key, _)) in self.touched.iter().enumerate() {
            let end = if has_forms { self.after_ends[index] } else { start };
            let form = &self.after[start..end];
            start = end;
            let Some(entry) = self.map.get_mut(key) else {
                continue;
            };
            self.kept.replace(*key, &mut entry.form, form);
            if entry.value.is_none() {
                self.map.remove(key);
            }
        }
        while let Some(key) = self.kept.surplus(self.map.len()) {
            if let Some(form) = self.map.get_mut(&key).and_then(|entry| entry.form.take()) {
                self.kept.bytes -= form.len();
            }
        }
        self.next_step();
    }

    /// The step is not committed: every touched key gets its committed value back.
    ///
    /// # Errors
    /// A stored form that can't be decoded again: the value's `decode` does not fit its `encode`. The other keys are
    /// undone; the task must not go on.
    pub fn undo(&mut self) -> Result<(), Unreadable> {
        let mut result = Ok(());
        for (key, before) in &self.touched {
            let value = match before {
                None => None,
                Some(range) => match V::decode(&self.before[range.clone()]) {
                    Ok(value) => Some(value),
                    Err(unreadable) => {
                        result = Err(unreadable);
                        continue;
                    }
                },
            };
            let Some(entry) = self.map.get_mut(key) else {
                continue;
            };
            match (entry.value.is_some(), value.is_some()) {
                (true, false) => self.live -= 1,
                (false, true) => self.live += 1,
                _ => {}
            }
            if value.is_some() {
                entry.value = value;
            } else {
                // Made in this step, so no form of it was kept.
                self.map.remove(key);
            }
        }
        self.next_step();
        result
    }

    fn next_step(&mut self) {
        self.touched.clear();
        self.before.clear();
        self.after.clear();
        self.after_ends.clear();
        self.step += 1;
    }

    /// Takes a stored form back into the table; `None` is a tombstone. Nothing is marked as touched.
    ///
    /// # Errors
    /// As [`Stored::decode`].
    pub fn restore(&mut self, key: K, stored: Option<&[u8]>) -> Result<(), Unreadable> {
        let value = stored.map(V::decode).transpose()?;
        self.restore_value(key, value);
        Ok(())
    }

    /// As [`restore`](Self::restore), of a value that the task decoded itself, for values whose changelog is spread
    /// over several records.
    pub fn restore_value(&mut self, key: K, value: Option<V>) {
        let had = match value {
            Some(value) => {
                self.live += 1;
                self.map.insert(key, Entry::new(Some(value)))
            }
            None => self.map.remove(&key),
        };
        if let Some(had) = had {
            self.live -= usize::from(had.value.is_some());
            self.kept.bytes -= had.form.map_or(0, |form| form.len());
        }
    }

    /// All values in order of key, for tools and tests: it sorts.
    pub fn iter_sorted(&self) -> impl Iterator<Item = (K, &V)>
    where
        K: Ord,
    {
        #[expect(clippy::disallowed_methods, reason = "sorted before anybody sees the order")]
        let mut all: Vec<(K, &V)> =
            self.map.iter().filter_map(|(key, entry)| Some((*key, entry.value.as_ref()?))).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter()
    }
}

/// Keeps the committed form of an entry at its first touch within the step.
fn remember<K, V: Stored>(
    entry: &mut Entry<V>,
    key: K,
    step: u64,
    touched: &mut Vec<(K, Option<Range<usize>>)>,
    before: &mut Vec<u8>,
) {
    if entry.touched == step {
        return;
    }
    entry.touched = step;
    let form = entry.value.as_ref().map(|value| {
        let start = before.len();
        match &entry.form {
            Some(kept) => before.extend_from_slice(kept),
            None => value.encode(before),
        }
        start..before.len()
    });
    touched.push((key, form));
}

impl<K: Copy + Eq + Hash, V: Stored> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
