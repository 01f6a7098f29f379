//! One thing that is known: an object, or that there is none; with its age, its weight and its place.
//!
//! # Contract
//! * **Age counts from before the load was sent**, so a change committed at C is seen by every look-up after
//!   C + TTL (§5.3.2 of the reference; A2, A4).
//! * **A life is only ever shortened**: the least TTL in force since the load (A9, A10).
//! * **Weight is computed once** and never again.
//!
//! # Not here
//! Locks. What changes is atomic: frequency and `is_refreshing` by readers, the rest under the type's mutex.

use std::{sync::Arc, time::Duration};

use remuda_clock::Monotonic;

use crate::{
    Cached,
    key::{Key, KeyRef},
    sync::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

/// What is known under one key, or under the two keys of an object.
pub(crate) struct Entry<V> {
    pub(crate) subject: Subject<V>,
    /// Of the name, or of the absence's key; then of the id, for an object.
    pub(crate) hashes: (u64, Option<u64>),
    /// The number of the load that brought it: later loads have greater ones.
    pub(crate) load: u64,
    pub(crate) loaded_at: Monotonic,
    pub(crate) is_refreshed: bool,
    pub(crate) weight: u64,
    /// Nanoseconds.
    life: AtomicU64,
    frequency: AtomicU8,
    is_refreshing: AtomicBool,
    /// Where it stands in its queue; written with `is_main` by `Residents` only.
    place: AtomicU64,
    is_main: AtomicBool,
}

/// What an entry knows.
pub(crate) enum Subject<V> {
    Found(Arc<V>),
    Absent(Key),
}

/// How an entry came to be.
#[derive(Clone, Copy)]
pub(crate) struct Birth {
    pub(crate) load: u64,
    pub(crate) loaded_at: Monotonic,
    pub(crate) is_refreshed: bool,
    /// Nanoseconds.
    pub(crate) life: u64,
}

impl<V: Cached> Entry<V> {
    pub(crate) fn new(subject: Subject<V>, hashes: (u64, Option<u64>), birth: Birth) -> Self {
        let weight = OVERHEAD
            + match &subject {
                Subject::Found(value) => value.weight() + value.name().len(),
                Subject::Absent(Key::Name(name)) => name.len(),
                Subject::Absent(Key::Id(_)) => 0,
            };
        Entry {
            subject,
            hashes,
            load: birth.load,
            loaded_at: birth.loaded_at,
            is_refreshed: birth.is_refreshed,
            weight: weight as u64,
            life: AtomicU64::new(birth.life),
            frequency: AtomicU8::new(0),
            is_refreshing: AtomicBool::new(false),
            place: AtomicU64::new(0),
            is_main: AtomicBool::new(false),
        }
    }

    /// Whether it is about `key`.
    pub(crate) fn is_of(&self, key: KeyRef<'_>) -> bool {
        match (&self.subject, key) {
            (Subject::Found(value), KeyRef::Name(name)) => value.name() == name,
            (Subject::Found(value), KeyRef::Id(id)) => value.id() == id,
            (Subject::Absent(absent), key) => absent.by_ref() == key,
        }
    }

    /// The keys that lead to it.
    pub(crate) fn keys(&self) -> impl Iterator<Item = KeyRef<'_>> {
        let keys = match &self.subject {
            Subject::Found(value) => [Some(KeyRef::Name(value.name())), Some(KeyRef::Id(value.id()))],
            Subject::Absent(key) => [Some(key.by_ref()), None],
        };
        keys.into_iter().flatten()
    }

    /// Whether it stays when `offered` comes. Of two states of one row the later version is right; else what
    /// was asked for later is.
    pub(crate) fn outlives(&self, offered: &Entry<V>, now: Monotonic) -> bool {
        if let (Subject::Found(kept), Subject::Found(new)) = (&self.subject, &offered.subject)
            && kept.id() == new.id()
            && kept.version() != new.version()
        {
            return kept.version() > new.version() && self.is_usable(now);
        }
        self.load > offered.load
    }

    /// Whether both are about one row.
    pub(crate) fn is_same_row(&self, other: &Entry<V>) -> bool {
        match (&self.subject, &other.subject) {
            (Subject::Found(a), Subject::Found(b)) => a.id() == b.id(),
            (Subject::Absent(a), Subject::Absent(b)) => a == b,
            _ => false,
        }
    }
}

impl<V> Entry<V> {
    /// The object, unless it is an absence.
    pub(crate) fn value(&self) -> Option<&Arc<V>> {
        match &self.subject {
            Subject::Found(value) => Some(value),
            Subject::Absent(_) => None,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.value().is_none()
    }

    /// The hashes of its keys.
    pub(crate) fn key_hashes(&self) -> impl Iterator<Item = u64> {
        [Some(self.hashes.0), self.hashes.1].into_iter().flatten()
    }

    fn age(&self, now: Monotonic) -> u64 {
        nanos(now.since(self.loaded_at))
    }

    /// How much longer it is used.
    pub(crate) fn expires_in(&self, now: Monotonic) -> Duration {
        let life = self.life.load(Ordering::Relaxed);
        Duration::from_nanos(life.saturating_sub(self.age(now)))
    }

    /// Whether it answers at `now`: strictly younger than its life (A2).
    pub(crate) fn is_usable(&self, now: Monotonic) -> bool {
        self.age(now) < self.life.load(Ordering::Relaxed)
    }

    /// Whether 80 % of its life are over and nobody loads it anew yet.
    pub(crate) fn is_due(&self, now: Monotonic) -> bool {
        self.age(now) >= self.life.load(Ordering::Relaxed) / 5 * 4
            && !self.is_refreshing.load(Ordering::Relaxed)
    }

    /// Makes the caller the one who loads it anew; `false` for all others.
    pub(crate) fn claim_refresh(&self) -> bool {
        !self.is_refreshing.swap(true, Ordering::Relaxed)
    }

    /// Whether it is of use at `now`: fresh, or a value that may answer for a failed load.
    pub(crate) fn is_of_use(&self, now: Monotonic, stale_if_error: u64) -> bool {
        let window = if self.is_absent() { 0 } else { stale_if_error };
        self.age(now) < self.life.load(Ordering::Relaxed).saturating_add(window)
    }

    /// Cuts its life to at most `life` nanoseconds.
    pub(crate) fn shorten(&self, life: u64) {
        self.life.fetch_min(life, Ordering::Relaxed);
    }

    /// Remembers a use: three uses are as good as more, so that a hot entry is not written to.
    pub(crate) fn touch(&self) {
        let frequency = self.frequency.load(Ordering::Relaxed);
        if frequency < FREQUENCY_MAX {
            self.frequency.store(frequency + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn frequency(&self) -> u8 {
        self.frequency.load(Ordering::Relaxed)
    }

    pub(crate) fn set_frequency(&self, frequency: u8) {
        self.frequency.store(frequency, Ordering::Relaxed);
    }

    /// Its place in its queue, and whether that is the main one.
    pub(crate) fn place(&self) -> (bool, u64) {
        (
            self.is_main.load(Ordering::Relaxed),
            self.place.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn set_place(&self, is_main: bool, place: u64) {
        self.is_main.store(is_main, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
    }
}

/// What is remembered of uses (S3-FIFO: two bits).
const FREQUENCY_MAX: u8 = 3;

/// Octets that an entry costs besides its object and its name: itself and its reference counts (104), two
/// places in the index at its usual load (48), one in a queue (32), a hash kept after its eviction (40).
pub(crate) const OVERHEAD: usize = 224;

/// Whole nanoseconds; 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
