//! Loads that are under way, and who waits for them.
//!
//! # Contract
//! * **One load a key** that a look-up may still join (C8, C17).
//! * **Whoever joined is answered by the load that it joined**, also when later look-ups no longer join it
//!   (C3): a slot leaves only when its load ends.
//!
//! # Not here
//! Whether a load may still be joined: `State::joinable`.
//!
//! # Limits
//! [`WAITING_MAX`] loads. Who waits for one is bounded by the callers: a session waits for one look-up.

use std::collections::HashMap;

use remuda_clock::Monotonic;

use crate::key::Key;

/// Loads under way at once, of one type; look-ups beyond get `Crowded`.
pub const WAITING_MAX: usize = 10_000;

/// The loads of a type that have not ended.
pub(crate) struct Flights<W> {
    slots: HashMap<u64, Slot<W>>,
    /// The latest load of each key.
    by_key: HashMap<Key, u64>,
    last: u64,
}

struct Slot<W> {
    begun: Begun,
    waiters: Vec<W>,
}

/// The begin of a load.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    /// The number of the last change.
    pub(crate) start: u64,
    pub(crate) at: Monotonic,
}

impl<W> Flights<W> {
    pub(crate) fn new() -> Self {
        Flights {
            slots: HashMap::new(),
            by_key: HashMap::new(),
            last: 0,
        }
    }

    /// How many loads have begun: the number of the last one.
    pub(crate) fn begun(&self) -> u64 {
        self.last
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= WAITING_MAX
    }

    /// The latest load of `key`: its number and its begin.
    pub(crate) fn latest(&self, key: &Key) -> Option<(u64, Begun)> {
        let number = *self.by_key.get(key)?;
        Some((number, self.slots.get(&number)?.begun))
    }

    /// Lets `waiter` wait for load `number`.
    pub(crate) fn join(&mut self, number: u64, waiter: W) {
        let slot = self.slots.get_mut(&number);
        slot.expect("a load that is found is under way")
            .waiters
            .push(waiter);
    }

    /// Begins a load, the one that later look-ups of `key` join; gives its number.
    pub(crate) fn begin(&mut self, key: &Key, begun: Begun, waiters: Vec<W>) -> u64 {
        self.last += 1;
        self.slots.insert(self.last, Slot { begun, waiters });
        self.by_key.insert(key.clone(), self.last);
        self.last
    }

    /// Ends a load; gives who waited, first the one who began it.
    pub(crate) fn end(&mut self, key: &Key, number: u64) -> Vec<W> {
        if self.by_key.get(key) == Some(&number) {
            self.by_key.remove(key);
        }
        self.slots.remove(&number).map_or(Vec::new(), |slot| slot.waiters)
    }

    /// Panics if a key leads to no load.
    pub(crate) fn assert_consistent(&self) {
        for number in self.by_key.values() {
            assert!(self.slots.contains_key(number), "a key leads to a load under way");
        }
        assert!(self.slots.len() <= WAITING_MAX);
    }
}
