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

use std::{cmp::Ordering as Cmp, sync::Arc, time::Duration};

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
    pub(crate) birth: Birth,
    pub(crate) weight: u64,
    hot: Hot,
    /// Where it stands in its queue; written with `is_main` by `Residents` only.
    place: AtomicU64,
    is_main: AtomicBool,
}

/// What every hit reads, within one line of the processor's cache.
#[repr(align(32))]
struct Hot {
    loaded_at: Monotonic,
    /// Nanoseconds.
    life: AtomicU64,
    frequency: AtomicU8,
    is_refreshing: AtomicBool,
}

/// What an entry knows.
pub(crate) enum Subject<V> {
    Found(Arc<V>),
    Absent(Key),
}

/// How an entry came to be.
#[derive(Clone, Copy)]
pub(crate) struct Birth {
    /// The number of its load: later loads have greater ones.
    pub(crate) load: u64,
    /// How many loads had begun when it ended: none of those began after it.
    pub(crate) loads_before: u64,
    pub(crate) loaded_at: Monotonic,
    pub(crate) is_refreshed: bool,
    /// Nanoseconds, then.
    pub(crate) life: u64,
}

/// What came of two loads that concern one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Kept,
    Offered,
    Unknown,
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
            birth,
            weight: weight as u64,
            hot: Hot {
                loaded_at: birth.loaded_at,
                life: AtomicU64::new(birth.life),
                frequency: AtomicU8::new(0),
                is_refreshing: AtomicBool::new(false),
            },
            place: AtomicU64::new(0),
            is_main: AtomicBool::new(false),
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

    /// Which of the two is right about what both are about. Of two states of one row it is the later version.
    /// Else a load that began after the other had ended is; of two that overlapped nobody can say, unless they
    /// agree.
    pub(crate) fn weigh(&self, offered: &Entry<V>, now: Monotonic) -> Right {
        let is_newer = self.birth.load > offered.birth.load;
        match (&self.subject, &offered.subject) {
            (Subject::Found(kept), Subject::Found(new)) if kept.id() == new.id() => {
                let is_kept = match kept.version().cmp(&new.version()) {
                    Cmp::Less => false,
                    Cmp::Equal => is_newer,
                    Cmp::Greater => self.is_usable(now),
                };
                if is_kept { Right::Kept } else { Right::Offered }
            }
            (Subject::Absent(kept), Subject::Absent(new)) if kept == new && is_newer => Right::Kept,
            (Subject::Absent(kept), Subject::Absent(new)) if kept == new => Right::Offered,
            _ if offered.birth.load > self.birth.loads_before => Right::Offered,
            _ => Right::Unknown,
        }
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
        nanos(now.since(self.hot.loaded_at))
    }

    /// How much longer it is used.
    pub(crate) fn expires_in(&self, now: Monotonic) -> Duration {
        let life = self.hot.life.load(Ordering::Relaxed);
        Duration::from_nanos(life.saturating_sub(self.age(now)))
    }

    /// Whether it answers at `now`: strictly younger than its life (A2).
    pub(crate) fn is_usable(&self, now: Monotonic) -> bool {
        self.age(now) < self.hot.life.load(Ordering::Relaxed)
    }

    /// Whether 80 % of its life are over and nobody loads it anew yet.
    pub(crate) fn is_due(&self, now: Monotonic) -> bool {
        self.age(now) >= self.hot.life.load(Ordering::Relaxed) / 5 * 4
            && !self.hot.is_refreshing.load(Ordering::Relaxed)
    }

    /// Makes the caller the one who loads it anew; `false` for all others.
    pub(crate) fn claim_refresh(&self) -> bool {
        !self.hot.is_refreshing.swap(true, Ordering::Relaxed)
    }

    /// Whether it is of use at `now`: fresh, or a value that may answer for a failed load.
    pub(crate) fn is_of_use(&self, now: Monotonic, stale_if_error: u64) -> bool {
        let window = if self.is_absent() { 0 } else { stale_if_error };
        self.age(now) < self.hot.life.load(Ordering::Relaxed).saturating_add(window)
    }

    /// Cuts its life to at most `life` nanoseconds.
    pub(crate) fn shorten(&self, life: u64) {
        self.hot.life.fetch_min(life, Ordering::Relaxed);
    }

    /// Remembers a use: three uses are as good as more, so that a hot entry is not written to.
    pub(crate) fn touch(&self) {
        let frequency = self.hot.frequency.load(Ordering::Relaxed);
        if frequency < FREQUENCY_MAX {
            self.hot.frequency.store(frequency + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn frequency(&self) -> u8 {
        self.hot.frequency.load(Ordering::Relaxed)
    }

    pub(crate) fn set_frequency(&self, frequency: u8) {
        self.hot.frequency.store(frequency, Ordering::Relaxed);
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

/// Octets that an entry costs besides its object and its name: itself and its reference counts (192), two
/// places in the index at its usual load (76), one in a queue (32), a hash kept after its eviction (40).
pub(crate) const OVERHEAD: usize = 340;

/// Whole nanoseconds; 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
