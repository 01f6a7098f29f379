//! Hashes of keys, under a secret.
//!
//! Clients choose names, and may choose them so that they meet in one place. So the hash is keyed with 128 bits
//! of the system's randomness, another for each cache, and shows nowhere (docs/decisions/0136).
//!
//! # Contract
//! * **A hash tells names from ids** by [`IS_ID`], so that each have shards of their own.
//!
//! # Not here
//! Keys of loads under way and of failures: ordinary maps, off the path of a hit.

use std::hash::{BuildHasher, Hasher, RandomState};

use foldhash::{SharedSeed, quality::FoldHasher};

use crate::key::KeyRef;

/// The secret of one cache.
pub(crate) struct KeyHasher {
    own: u64,
    shared: SharedSeed,
}

impl KeyHasher {
    /// With a secret from the system; always the same under shuttle, which repeats schedules.
    pub(crate) fn new() -> Self {
        let random = |what: u8| match cfg!(feature = "shuttle") {
            true => u64::from(what),
            false => RandomState::new().hash_one(what),
        };
        KeyHasher {
            own: random(1),
            shared: SharedSeed::from_u64(random(2)),
        }
    }

    pub(crate) fn hash(&self, key: KeyRef<'_>) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.own, &self.shared);
        match key {
            KeyRef::Name(name) => {
                hasher.write(name.as_bytes());
                hasher.finish() & !IS_ID
            }
            KeyRef::Id(id) => {
                hasher.write_i64(id);
                hasher.finish() | IS_ID
            }
        }
    }
}

/// Set in the hash of an id: a bit that tables, which take the lowest and the highest, do not use.
pub(crate) const IS_ID: u64 = 1 << 46;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cache_has_a_secret_of_its_own() {
        let (one, other) = (KeyHasher::new(), KeyHasher::new());
        let key = KeyRef::Name("user1234@example.org");
        assert_eq!(one.hash(key), one.hash(key));
        assert_ne!(one.hash(key), other.hash(key));
    }

    #[test]
    fn a_hash_tells_names_from_ids() {
        let hasher = KeyHasher::new();
        for number in 0..1000 {
            let name = number.to_string();
            assert_eq!(hasher.hash(KeyRef::Name(&name)) & IS_ID, 0);
            assert_eq!(hasher.hash(KeyRef::Id(number)) & IS_ID, IS_ID);
        }
    }

    /// What places an entry: the shard, the table's lowest and highest bits, the stripe of a change.
    #[test]
    fn every_part_of_a_hash_that_places_a_key_is_even() {
        const KEYS: u32 = 64 * 1000;
        let hasher = KeyHasher::new();
        for shift in [0, 16, 22, 40, 57] {
            let mut counts = [0u32; 64];
            for number in 0..KEYS {
                let name = format!("user{number}@example.org");
                counts[(hasher.hash(KeyRef::Name(&name)) >> shift) as usize % 64] += 1;
            }
            // Six standard deviations and more about the mean.
            assert!(
                counts.iter().all(|count| (800..1200).contains(count)),
                "bits from {shift}: {counts:?}"
            );
        }
    }
}
