//! A small map.

use std::fmt::{self, Debug};

/// A map in order of key, in one piece of memory. Nearly all customers have a few identifiers, of which a tree would make room
/// for eleven at once; lookups are by halving, an insertion moves what comes after it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K: Ord, V> Sorted<K, V> {
    /// No entries, and no memory.
    #[must_use]
    pub const fn new() -> Self {
        Sorted(Vec::new())
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|place| &mut self.0[place].1)
    }

    /// True if the key has a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// The value of a key, made if there is none.
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                if self.0.len() == self.0.capacity() {
                    // Many of them have one entry, or two.
                    self.0.reserve_exact(1 + self.0.len() / 4);
                }
                self.0.insert(place, (key, make()));
                place
            }
        };
        &mut self.0[place].1
    }

    /// Gives a key a value; the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(_) => {
                self.or_insert_with(key, || value);
                None
            }
        }
    }

    /// Takes a key out; the value that it had.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|place| self.0.remove(place).1)
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Keys and values, in order, to change these.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Values, in order of their keys, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<K: Debug, V: Debug> Debug for Sorted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, value)| (key, value))).finish()
    }
}

impl<K: Ord, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut sorted = Sorted(Vec::with_capacity(entries.size_hint().0));
        for (key, value) in entries {
            sorted.insert(key, value);
        }
        sorted
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Sorted<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(changes in prop::collection::vec((0_u8..3, 0_u8..12, any::<u16>()), 0..60)) {
            let (mut sorted, mut map) = (Sorted::new(), BTreeMap::new());
            for (kind, key, value) in changes {
                match kind {
                    0 => prop_assert_eq!(sorted.insert(key, value), map.insert(key, value)),
                    1 => prop_assert_eq!(sorted.remove(&key), map.remove(&key)),
                    _ => prop_assert_eq!(sorted.or_insert_with(key, || value), map.entry(key).or_insert(value)),
                }
                prop_assert_eq!(sorted.get(&key), map.get(&key));
                prop_assert_eq!(sorted.contains_key(&key), map.contains_key(&key));
            }
            prop_assert_eq!(sorted.len(), map.len());
            prop_assert!(sorted.iter().eq(map.iter()));
            prop_assert_eq!(map.into_iter().collect::<Sorted<_, _>>(), sorted);
        }
    }
}
