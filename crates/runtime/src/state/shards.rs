//! A hash map that never stands still for long.
//!
//! A hash map that is full moves all it holds into one of twice the size, at once: with 1,000,000 keys
//! that takes 100 ms and more (`benches/pauses.rs`). Here keys are spread over many small
//! maps, each of which grows by itself. Parts that were equally large would all be full at nearly the same time, within
//! one or two steps; so the last is meant to hold twice as many keys as the first, and the others lie between. While the whole
//! doubles, they grow one after the other.

use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::{BuildHasher, Hash};

/// Number of maps. At 2,000,000 keys the largest holds 11,000, and moves them in a millisecond.
const SHARDS: usize = 256;
/// Parts of the hashes, each of which belongs to one map.
const SLOTS: usize = 4_096;

/// Which map each part of the hashes belongs to.
static SLOT: [u8; SLOTS] = slots();

/// Gives each map its share: from `1 / SHARDS` of two thirds of the slots for the first, to twice that for the last.
const fn slots() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let (mut slot, mut shard, mut shares) = (0, 0, 0);
    // All shares together: shard `i` has SHARDS + i of them.
    let all = SHARDS * SHARDS + SHARDS * (SHARDS - 1) / 2;
    while shard < SHARDS {
        shares += SHARDS + shard;
        while slot < SLOTS * shares / all {
            slots[slot] = shard.to_le_bytes()[0];
            slot += 1;
        }
        shard += 1;
    }
    slots
}

/// A map in parts.
#[derive(Clone, Debug)]
pub(super) struct Shards<K, V> {
    shards: Box<[FxHashMap<K, V>]>,
    len: usize,
}

impl<K: Eq + Hash, V> Shards<K, V> {
    /// An empty map; nothing is allocated for its parts yet.
    pub(super) fn new() -> Self {
        Shards { shards: (0..SHARDS).map(|_| FxHashMap::default()).collect(), len: 0 }
    }

    fn shard(&self, key: &K) -> &FxHashMap<K, V> {
        &self.shards[place(key)]
    }

    fn shard_mut(&mut self, key: &K) -> &mut FxHashMap<K, V> {
        &mut self.shards[place(key)]
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.shard(key).get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.shard_mut(key).get_mut(key)
    }

    /// The value of a key, made first if there is none.
    pub(super) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let len = &mut self.len;
        self.shards[place(&key)].entry(key).or_insert_with(|| {
            *len += 1;
            make()
        })
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let before = self.shard_mut(key).remove(key)?;
        self.len -= 1;
        Some(before)
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of it, in no order: sort before anybody sees it.
    pub(super) fn iter_unordered(&self) -> impl Iterator<Item = (&K, &V)> {
        #[expect(clippy::disallowed_methods, reason = "the caller sorts, and its name says so")]
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

/// Which part a key is in: by bits in the middle of its hash. The maps themselves use the lowest and the highest.
fn place<K: Hash>(key: &K) -> usize {
    let hash = (FxBuildHasher.hash_one(key) >> 32) % SLOTS as u64;
    usize::try_from(hash).map_or(0, |slot| usize::from(SLOT[slot]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Node keys are hashes; tests have small numbers. Both must be spread.
    fn filled(keys: u64, key: impl Fn(u64) -> [u8; 16]) -> Shards<[u8; 16], u8> {
        let mut map = Shards::new();
        for number in 0..keys {
            map.get_or_insert_with(key(number), || 0);
        }
        map
    }

    fn hashed(number: u64) -> [u8; 16] {
        u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
    }

    #[test]
    fn every_map_has_its_share_and_the_last_twice_that_of_the_first() {
        for map in [filled(128_000, hashed), filled(128_000, |number| u128::from(number).to_be_bytes())] {
            let sizes: Vec<usize> = map.shards.iter().map(FxHashMap::len).collect();
            let mean = |sizes: &[usize]| sizes.iter().sum::<usize>() / sizes.len();
            let (first, last) = (mean(&sizes[..32]), mean(&sizes[SHARDS - 32..]));
            assert!((335..390).contains(&first) && (610..665).contains(&last), "{first}, {last}");
            assert!(sizes.iter().all(|size| (250..800).contains(size)), "{sizes:?}");
        }
    }

    #[test]
    fn maps_do_not_grow_all_at_once() {
        let mut map = filled(200_000, hashed);
        let capacity = |map: &Shards<[u8; 16], u8>| -> Vec<usize> {
            map.shards.iter().map(FxHashMap::capacity).collect()
        };
        // While the whole doubles each grows about once, in steps of a hundredth no more than a few.
        let (mut before, mut all) = (capacity(&map), 0);
        for step in 100..200_u64 {
            for number in step * 2_000..(step + 1) * 2_000 {
                map.get_or_insert_with(hashed(number), || 0);
            }
            let after = capacity(&map);
            let grown = before.iter().zip(&after).filter(|(before, after)| before < after).count();
            assert!(grown <= 12, "{grown} grew in one step");
            (before, all) = (after, all + grown);
        }
        assert!((200..=300).contains(&all), "{all}");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Insert(u8, u8),
        Remove(u8),
        Change(u8, u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (any::<u8>(), any::<u8>()).prop_map(|(key, value)| Act::Insert(key, value)),
            any::<u8>().prop_map(Act::Remove),
            (any::<u8>(), any::<u8>()).prop_map(|(key, value)| Act::Change(key, value)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_map(acts in prop::collection::vec(act(), 0..200)) {
            let (mut map, mut model) = (Shards::new(), BTreeMap::new());
            for act in acts {
                match act {
                    Act::Insert(key, value) => {
                        *map.get_or_insert_with(key, || value) = value;
                        model.insert(key, value);
                    }
                    Act::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Act::Change(key, value) => {
                        *map.get_or_insert_with(key, || 7) ^= value;
                        *model.entry(key).or_insert(7) ^= value;
                    }
                }
                prop_assert_eq!(map.len(), model.len());
            }
            for key in 0..=255 {
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.get_mut(&key), model.get_mut(&key));
            }
            let all: BTreeMap<u8, u8> = map.iter_unordered().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(all, model);
        }
    }
}
