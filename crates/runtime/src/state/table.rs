//! A map of stored forms, of which those in use are decoded, and which knows what changed since the last commit.

use super::StateFormat;
use super::shards::Shards;
use crate::task::Unreadable;
use std::collections::VecDeque;
use std::hash::Hash;

/// A value with a stored form. The form says its version, with its first byte (see [`super::Versions`]) or with the id of its
/// schema before it.
pub trait Stored: Sized {
    /// Writes the stored form, in the version that belongs to `format` and never empty, to the end of the buffer.
    fn encode(&self, format: StateFormat, out: &mut Vec<u8>);

    /// Reads a stored form of any version. `decode(encode(v))` must equal `v`: a value that is not in use is kept encoded.
    /// So under a format that can't hold a part of a value, the task must not make that part.
    ///
    /// # Errors
    /// Bytes that are no stored form, or of a version that is not known.
    fn decode(bytes: &[u8]) -> Result<Self, Unreadable>;

    /// Whether [`decode`](Self::decode) would read the form; asked of each that is restored, so that a version that is
    /// not known refuses the start. May look at less than all of it.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn check(bytes: &[u8]) -> Result<(), Unreadable> {
        Self::decode(bytes).map(drop)
    }
}

/// Bytes of stored forms whose values a table keeps decoded by default: some 7,000 profiles of 600 bytes. Decoded they
/// take several times as much.
pub const DEFAULT_DECODED: usize = 4 << 20;

/// A map per task, changed in place. Of each key it holds the **committed stored form**, as the changelog has it. A value
/// is decoded when it is asked for, and stays so while it is in use: those asked for last, up to a limit of bytes.
///
/// So an abort forgets the decoded values that were touched and decodes nothing; a restore takes the bytes as they come;
/// and a customer who is not there costs the bytes of her record and some 64 more, not the many small lists and texts of
/// a decoded one. The price is a decoding for each customer that comes back (`benches/state.rs` compares all decoded with
/// none); and a form that is broken inside, which only a bug can write, is found when its key is
/// asked for.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    format: StateFormat,
    map: Shards<K, Entry<V>>,
    /// Keys touched since the last commit, in order of first touch.
    touched: Vec<K>,
    /// Number of the step: an entry with an older one was not touched in this step.
    step: u64,
    live: usize,
    /// Bytes of all committed forms.
    stored: usize,
    /// New forms of touched keys, in the order of `touched`.
    forms: Vec<u8>,
    /// Where each of them ends; empty if the forms are not those of the values any more.
    ends: Vec<usize>,
    decoded: Decoded<K>,
}

/// Which entries are decoded.
#[derive(Clone, Debug)]
struct Decoded<K> {
    limit: usize,
    /// Bytes of the committed forms of the entries that are decoded.
    bytes: usize,
    /// Keys in the order they were decoded. A key may be stale, or there twice, after its entry was removed.
    order: VecDeque<K>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    /// The committed form; empty if there is none.
    form: Vec<u8>,
    now: Now<V>,
    /// The step in which it was touched last.
    touched: u64,
}

/// What the value is now.
#[derive(Clone, Debug)]
enum Now<V> {
    /// As the form says.
    Stored,
    /// Decoded; if it is touched, the form is what it was before.
    Value(Box<V>),
    /// Removed in this step; the entry goes with the commit.
    Removed,
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

impl<V: Stored> Entry<V> {
    fn new(form: Vec<u8>, now: Now<V>) -> Self {
        Entry { form, now, touched: 0 }
    }

    fn value(&self) -> Option<&V> {
        match &self.now {
            Now::Value(value) => Some(value),
            Now::Stored | Now::Removed => None,
        }
    }

    fn before(&self) -> Option<&[u8]> {
        Some(self.form.as_slice()).filter(|form| !form.is_empty())
    }

    /// The value, decoded if it is not yet.
    fn load<K>(&mut self, key: K, decoded: &mut Decoded<K>) -> Result<Option<&mut V>, Unreadable> {
        if matches!(self.now, Now::Stored) {
            self.now = Now::Value(Box::new(V::decode(&self.form)?));
            decoded.bytes += self.form.len();
            decoded.order.push_back(key);
        }
        Ok(match &mut self.now {
            Now::Value(value) => Some(value),
            Now::Stored | Now::Removed => None,
        })
    }

    /// The new committed form. Memory is taken anew if there is not enough, or more than twice as much as it takes.
    fn set_form(&mut self, form: &[u8]) {
        if form.len() > self.form.capacity() || form.len() < self.form.capacity() / 2 {
            // A little more, since records grow by a few bytes at a time.
            self.form = Vec::with_capacity(form.len() + form.len() / 16);
        }
        self.form.clear();
        self.form.extend_from_slice(form);
    }
}

impl<K: Copy + Eq + Hash, V: Stored> Table<K, V> {
    /// An empty table that keeps values of [`DEFAULT_DECODED`] bytes decoded.
    #[must_use]
    pub fn new() -> Self {
        Self::with_decoded(DEFAULT_DECODED)
    }

    /// An empty table that keeps values decoded whose stored forms take so many bytes together. Within a step it keeps
    /// all that are asked for.
    #[must_use]
    pub fn with_decoded(limit: usize) -> Self {
        Table {
            format: StateFormat::FIRST,
            map: Shards::new(),
            touched: Vec::new(),
            step: 1,
            live: 0,
            stored: 0,
            forms: Vec::new(),
            ends: Vec::new(),
            decoded: Decoded { limit, bytes: 0, order: VecDeque::new() },
        }
    }

    /// The same table, which writes its values in this format. For a table without values.
    #[must_use]
    pub fn in_format(self, format: StateFormat) -> Self {
        Table { format, ..self }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// A stored form that can't be decoded, here and in the other calls that give a value.
    pub fn get(&mut self, key: &K) -> Result<Option<&V>, Unreadable> {
        match self.map.get_mut(key) {
            Some(entry) => Ok(entry.load(*key, &mut self.decoded)?.map(|value| &*value)),
            None => Ok(None),
        }
    }

    /// A copy of the value of a key, for tools and tests: it decodes each time.
    ///
    /// # Errors
    /// See [`get`](Self::get).
    pub fn copied(&self, key: &K) -> Result<Option<V>, Unreadable>
    where
        V: Clone,
    {
        self.map.get(key).and_then(copied).transpose()
    }

    /// The committed stored form of a key: nothing is decoded.
    #[must_use]
    pub fn form(&self, key: &K) -> Option<&[u8]> {
        self.map.get(key).and_then(Entry::before)
    }

    /// True if the key has a value.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.map.get(key).is_some_and(|entry| !matches!(entry.now, Now::Removed))
    }

    /// The value of a key, to change it. The key counts as touched, changed or not.
    ///
    /// # Errors
    /// See [`get`](Self::get).
    pub fn get_mut(&mut self, key: &K) -> Result<Option<&mut V>, Unreadable> {
        self.ends.clear();
        let Some(entry) = self.map.get_mut(key) else { return Ok(None) };
        load_to_change(entry, *key, &mut self.decoded, (self.step, &mut self.touched))
    }

    /// The value of a key, to change it; made first if there is none.
    ///
    /// # Errors
    /// See [`get`](Self::get).
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> Result<&mut V, Unreadable> {
        self.ends.clear();
        let Table { map, live, decoded, step, touched, .. } = self;
        let entry = map.get_or_insert_with(key, || Entry::new(Vec::new(), Now::Removed));
        if matches!(entry.now, Now::Removed) {
            *live += 1;
            decoded.set(entry, key, make());
        }
        match load_to_change(entry, key, decoded, (*step, touched))? {
            Some(value) => Ok(value),
            None => Err(Unreadable { reason: "a value that was just made is not there".to_owned() }),
        }
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        self.ends.clear();
        let entry = self.map.get_or_insert_with(key, || Entry::new(Vec::new(), Now::Removed));
        self.live += usize::from(matches!(entry.now, Now::Removed));
        self.decoded.set(entry, key, value);
        touch(entry, key, self.step, &mut self.touched);
    }

    /// Takes the value of a key away; true if there was one.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(entry) = self.map.get_mut(key).filter(|entry| !matches!(entry.now, Now::Removed)) else {
            return false;
        };
        self.ends.clear();
        touch(entry, *key, self.step, &mut self.touched);
        self.live -= 1;
        self.decoded.forget(entry, Now::Removed);
        true
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// About how much memory it takes, in bytes: committed forms, what is kept of each key, and decoded values, which take
    /// some four times as much as their forms.
    #[must_use]
    pub fn memory(&self) -> usize {
        // Key, entry and a byte of the map's own, of which at least an eighth is free; and a form's allocation.
        let of_key = (size_of::<K>() + size_of::<Entry<V>>() + 1) * 3 / 2 + 16;
        self.stored + self.live * of_key + 4 * self.decoded.bytes
    }

    /// True if there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// What was touched since the last commit, in order of first touch: that is the order a changelog is written in,
    /// and it must not depend on the hash.
    pub fn dirty(&self) -> impl Iterator<Item = Dirty<'_, K, V>> {
        self.touched.iter().filter_map(|key| {
            let entry = self.map.get(key)?;
            Some(Dirty { key: *key, value: entry.value(), before: entry.before() })
        })
    }

    /// Number of keys touched since the last commit.
    #[must_use]
    pub fn dirty_len(&self) -> usize {
        self.touched.len()
    }

    /// As [`dirty`](Self::dirty), and encodes each value once: `write` gets the key, its value's new stored form (`None`
    /// = removed), and the committed form. To be called after the last change of a step: a change makes the forms
    /// worthless, and the commit encodes again.
    pub fn encode_dirty(&mut self, mut write: impl FnMut(&K, Option<&[u8]>, Option<&[u8]>)) {
        self.forms.clear();
        self.ends.clear();
        for key in &self.touched {
            let start = self.forms.len();
            let entry = self.map.get(key);
            let value = entry.and_then(Entry::value);
            if let Some(value) = value {
                value.encode(self.format, &mut self.forms);
            }
            self.ends.push(self.forms.len());
            let form = value.is_some().then(|| &self.forms[start..]);
            write(key, form, entry.and_then(Entry::before));
        }
    }

    /// The step is committed: changes stay.
    pub fn commit(&mut self) {
        if self.ends.len() != self.touched.len() {
            self.encode_dirty(|_, _, _| {});
        }
        let mut start = 0;
        for (key, end) in self.touched.iter().zip(&self.ends) {
            let form = &self.forms[start..*end];
            start = *end;
            let Some(entry) = self.map.get_mut(key) else { continue };
            self.stored = self.stored - entry.form.len() + form.len();
            if form.is_empty() {
                self.map.remove(key);
            } else {
                // A touched value is decoded.
                self.decoded.bytes = self.decoded.bytes - entry.form.len() + form.len();
                entry.set_form(form);
            }
        }
        self.next_step();
        self.let_go();
    }

    /// Values that were not asked for lately go back to their stored form, while there are too many.
    fn let_go(&mut self) {
        for _ in 0..self.decoded.order.len() {
            if !self.decoded.is_over(self.map.len()) {
                break;
            }
            let Some(key) = self.decoded.order.pop_front() else { break };
            let Some(entry) = self.map.get_mut(&key).filter(|entry| entry.value().is_some()) else {
                continue;
            };
            // Touched in one of the last steps: a second chance.
            if entry.touched + 4 > self.step {
                self.decoded.order.push_back(key);
            } else {
                self.decoded.forget(entry, Now::Stored);
            }
        }
    }

    /// The step is not committed: every touched key has its committed value again.
    pub fn undo(&mut self) {
        for key in &self.touched {
            let Some(entry) = self.map.get_mut(key) else { continue };
            let is_live = !matches!(entry.now, Now::Removed);
            self.decoded.forget(entry, Now::Stored);
            match (is_live, entry.form.is_empty()) {
                (true, true) => self.live -= 1,
                (false, false) => self.live += 1,
                _ => {}
            }
            if entry.form.is_empty() {
                self.map.remove(key);
            }
        }
        self.next_step();
    }

    fn next_step(&mut self) {
        self.touched.clear();
        self.forms.clear();
        self.ends.clear();
        self.step += 1;
    }

    /// Takes a stored form back into the table; `None` is a tombstone. Nothing is marked as touched.
    ///
    /// # Errors
    /// As [`Stored::check`].
    pub fn restore(&mut self, key: K, stored: Option<&[u8]>) -> Result<(), Unreadable> {
        let Some(form) = stored else {
            if let Some(mut entry) = self.map.remove(&key) {
                self.decoded.forget(&mut entry, Now::Stored);
                self.live -= 1;
                self.stored -= entry.form.len();
            }
            return Ok(());
        };
        V::check(form)?;
        let entry = self.map.get_or_insert_with(key, || {
            self.live += 1;
            Entry::new(Vec::new(), Now::Stored)
        });
        self.decoded.forget(entry, Now::Stored);
        self.stored = self.stored - entry.form.len() + form.len();
        entry.set_form(form);
        Ok(())
    }

    /// All values in order of key, for tools and tests: it sorts, and decodes each.
    ///
    /// # Errors
    /// See [`get`](Self::get).
    pub fn sorted(&self) -> Result<Vec<(K, V)>, Unreadable>
    where
        K: Ord,
        V: Clone,
    {
        let all = self
            .map
            .iter_unordered()
            .filter_map(|(key, entry)| Some(copied(entry)?.map(|value| (*key, value))));
        let mut all = all.collect::<Result<Vec<(K, V)>, Unreadable>>()?;
        all.sort_unstable_by_key(|(key, _)| *key);
        Ok(all)
    }
}

impl<K> Decoded<K> {
    /// Gives an entry a value.
    fn set<V: Stored>(&mut self, entry: &mut Entry<V>, key: K, value: V) {
        if let Now::Value(known) = &mut entry.now {
            **known = value;
            return;
        }
        entry.now = Now::Value(Box::new(value));
        self.bytes += entry.form.len();
        self.order.push_back(key);
    }

    /// Drops the decoded value of an entry, if it has one.
    fn forget<V: Stored>(&mut self, entry: &mut Entry<V>, now: Now<V>) {
        if entry.value().is_some() {
            self.bytes -= entry.form.len();
        }
        entry.now = now;
    }

    /// Too many values are decoded, or too many keys are stale: one that comes and goes leaves one each time.
    fn is_over(&self, entries: usize) -> bool {
        self.bytes > self.limit || self.order.len() > 2 * entries + 16
    }
}

/// The value of an entry that is about to be changed.
fn load_to_change<'e, K: Copy, V: Stored>(
    entry: &'e mut Entry<V>,
    key: K,
    decoded: &mut Decoded<K>,
    (step, touched): (u64, &mut Vec<K>),
) -> Result<Option<&'e mut V>, Unreadable> {
    if entry.load(key, decoded)?.is_some() {
        touch(entry, key, step, touched);
    }
    entry.load(key, decoded)
}

fn touch<K, V>(entry: &mut Entry<V>, key: K, step: u64, touched: &mut Vec<K>) {
    if entry.touched != step {
        entry.touched = step;
        touched.push(key);
    }
}

fn copied<V: Stored + Clone>(entry: &Entry<V>) -> Option<Result<V, Unreadable>> {
    match &entry.now {
        Now::Removed => None,
        Now::Stored => Some(V::decode(&entry.form)),
        Now::Value(value) => Some(Ok(V::clone(value))),
    }
}

impl<K: Copy + Eq + Hash, V: Stored> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
