//! Keys whose load has just failed, which are not loaded again at once.
//!
//! # Contract
//! * **Growing pauses**: 200 ms after a failure, twice as long after each further one, at most 2 s; a load that
//!   succeeds ends it (§5.3.3 of the reference).
//!
//! No jitter: look-ups of a key share one load already, and how many loads of different keys run at once is
//! the loader's bound.
//!
//! # Limits
//! [`FAILING_MAX`] keys; beyond, the one that failed longest ago is forgotten and may be tried at once.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use remuda_clock::Monotonic;

use crate::key::Key;

/// The keys in back-off.
pub(crate) struct Backoff {
    failing: HashMap<Key, Failing>,
    /// By the time of the last failure.
    order: BTreeMap<u64, Key>,
    last: u64,
}

struct Failing {
    place: u64,
    pause: Duration,
    until: Monotonic,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Backoff {
            failing: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
        }
    }

    /// Whether `key` is not to be loaded yet.
    pub(crate) fn holds(&self, key: &Key, now: Monotonic) -> bool {
        self.failing.get(key).is_some_and(|failing| now < failing.until)
    }

    /// Remembers that a load of `key` has failed.
    pub(crate) fn failed(&mut self, key: &Key, now: Monotonic) {
        let before = self.forget(key);
        let pause = before.map_or(PAUSE_FIRST, |pause| (pause * 2).min(PAUSE_MAX));
        if self.failing.len() >= FAILING_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.failing.remove(&oldest);
        }
        self.last += 1;
        self.order.insert(self.last, key.clone());
        let until = now + pause;
        let place = self.last;
        self.failing.insert(key.clone(), Failing { place, pause, until });
    }

    /// Forgets the failures of `key`; gives its last pause.
    pub(crate) fn forget(&mut self, key: &Key) -> Option<Duration> {
        let failing = self.failing.remove(key)?;
        self.order.remove(&failing.place);
        Some(failing.pause)
    }

    /// Forgets up to `at_most` keys that failed long ago.
    pub(crate) fn sweep(&mut self, now: Monotonic, at_most: usize) {
        for _ in 0..at_most {
            let Some((_, key)) = self.order.first_key_value() else {
                return;
            };
            if self
                .failing
                .get(key)
                .is_some_and(|failing| now < failing.until + PAUSE_MAX)
            {
                return;
            }
            let key = key.clone();
            self.forget(&key);
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.failing.clear();
        self.order.clear();
    }

    /// Panics if the two books differ.
    pub(crate) fn assert_consistent(&self) {
        assert_eq!(self.failing.len(), self.order.len());
        assert!(self.failing.len() <= FAILING_MAX);
        for (place, key) in &self.order {
            assert_eq!(self.failing[key].place, *place);
        }
    }
}

/// Keys remembered as failing.
const FAILING_MAX: usize = 10_000;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);
