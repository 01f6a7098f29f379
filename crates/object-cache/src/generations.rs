//! What has changed since when: the reason why a value read before a change is never kept after it.
//!
//! Every change takes the next number. A load remembers the number at its start; its result is kept, and
//! others may join it, only if nothing that it concerns has a greater one. Changes are filed in stripes, by
//! the hash of each key that they name, so that a change of one account costs the loads of others nothing.
//!
//! # Contract
//! * **Nothing read before a change is right after it** (C1, C5, C6, C13, C16), whichever key was read by and
//!   whichever the change names.
//! * **A change that names no name may concern any name**, and so with ids: see [`Generations::is_current`].
//!
//! # Limits
//! 4,096 stripes of 8 octets. Two keys in one stripe cost a load once in a while, never an error.

use crate::key::{Change, KeyRef};

/// The numbers of the last changes.
pub(crate) struct Generations {
    now: u64,
    stripes: Vec<u64>,
    flushed: u64,
    /// The last change that told no name.
    unnamed: u64,
    /// The last change that told no id.
    unnumbered: u64,
}

impl Generations {
    pub(crate) fn new() -> Self {
        Generations {
            now: 0,
            stripes: vec![0; STRIPES],
            flushed: 0,
            unnamed: 0,
            unnumbered: 0,
        }
    }

    /// The number of the last change: what a load remembers at its start.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Files a change under the hashes of the keys that it names.
    pub(crate) fn bump(&mut self, change: &Change, hash: impl Fn(KeyRef<'_>) -> u64) {
        self.touch(change.keys().map(hash));
        if !change.is_named() {
            self.unnamed = self.now;
        }
        if change.id.is_none() {
            self.unnumbered = self.now;
        }
    }

    /// Files a change under these hashes.
    pub(crate) fn touch(&mut self, hashes: impl Iterator<Item = u64>) {
        self.now += 1;
        for hash in hashes {
            self.stripes[stripe(hash)] = self.now;
        }
    }

    /// Files a change of everything.
    pub(crate) fn flush(&mut self) {
        self.now += 1;
        self.flushed = self.now;
    }

    /// Whether no change since `start` has named a key with this hash.
    pub(crate) fn is_untouched(&self, hash: u64, start: u64) -> bool {
        self.flushed <= start && self.stripes[stripe(hash)] <= start
    }

    /// Whether a load by `key` that began at `start` may still be answered by any row, or by none: what
    /// decides joining it, and keeping that there is no such row. A change that told no name may have given
    /// this name to a row, so a load by name from before it is not current; likewise with ids.
    pub(crate) fn is_current(&self, key: KeyRef<'_>, hash: u64, start: u64) -> bool {
        let unspecific = match key {
            KeyRef::Name(_) => self.unnamed,
            KeyRef::Id(_) => self.unnumbered,
        };
        self.is_untouched(hash, start) && unspecific <= start
    }
}

const STRIPES: usize = 4096;

fn stripe(hash: u64) -> usize {
    (hash >> 16) as usize % STRIPES
}
