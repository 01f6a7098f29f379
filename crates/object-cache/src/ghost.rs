//! Hashes of what was evicted lately: who comes back was worth more than it seemed.
//!
//! # Limits
//! As many hashes as the caller says, which is the number of entries that live.

use std::collections::{HashMap, VecDeque};

/// A queue of hashes, oldest first.
#[derive(Default)]
pub(crate) struct Ghost {
    order: VecDeque<(u64, u64)>,
    /// The place at which each hash counts; others of it in `order` do not.
    places: HashMap<u64, u64>,
    last: u64,
}

impl Ghost {
    /// Remembers `hash`, and forgets the oldest beyond `at_most`.
    pub(crate) fn remember(&mut self, hash: u64, at_most: usize) {
        self.last += 1;
        self.order.push_back((self.last, hash));
        self.places.insert(hash, self.last);
        while self.order.len() > at_most
            && let Some((place, oldest)) = self.order.pop_front()
        {
            if self.places.get(&oldest) == Some(&place) {
                self.places.remove(&oldest);
            }
        }
    }

    /// Whether `hash` was remembered; it no longer is.
    pub(crate) fn recall(&mut self, hash: u64) -> bool {
        self.places.remove(&hash).is_some()
    }

    pub(crate) fn clear(&mut self) {
        *self = Ghost::default();
    }
}
