//! How long loads take, counted for each kind: what a look-up that is not answered from memory waits.
//!
//! # Contract
//! * **Every load is counted once**, when it ends, whatever it brought: its wait for a turn, and the query.
//! * **Counts never go back**, and counting takes no lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::model::Kind;

/// Bounds of the buckets in microseconds: from a row in memory to the longest wait.
pub const LOAD_MICROS_BOUNDS: [u64; 16] = [
    50, 100, 200, 400, 700, 1_000, 2_000, 4_000, 7_000, 10_000, 20_000, 50_000, 100_000, 300_000, 1_000_000,
    5_000_000,
];

/// Of all kinds.
#[derive(Default)]
pub(crate) struct LoadTimes([Counted; Kind::ALL.len()]);

#[derive(Default)]
struct Counted {
    /// By the bound that each is within; the last is beyond all.
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

const BUCKETS: usize = LOAD_MICROS_BOUNDS.len() + 1;

/// What was counted of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadCounts {
    /// Loads by the bound of [`LOAD_MICROS_BOUNDS`] that each is within; the last is beyond all.
    pub buckets: [u64; BUCKETS],
    /// Microseconds of all together.
    pub micros: u64,
}

impl LoadTimes {
    pub(crate) fn add(&self, kind: Kind, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let counted = &self.0[kind as usize];
        let bucket = LOAD_MICROS_BOUNDS.partition_point(|bound| *bound < micros);
        counted.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counted.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self, kind: Kind) -> LoadCounts {
        let counted = &self.0[kind as usize];
        LoadCounts {
            buckets: std::array::from_fn(|at| counted.buckets[at].load(Ordering::Relaxed)),
            micros: counted.micros.load(Ordering::Relaxed),
        }
    }
}

impl LoadCounts {
    /// How many in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_counted_once_within_its_bound() {
        let times = LoadTimes::default();
        for micros in [0, 50, 51, 5_000_000, 5_000_001] {
            times.add(Kind::Alias, Duration::from_micros(micros));
        }
        let counts = times.counts(Kind::Alias);
        assert_eq!((counts.buckets[0], counts.buckets[1]), (2, 1));
        assert_eq!((counts.buckets[15], counts.buckets[16]), (1, 1));
        assert_eq!((counts.count(), counts.micros), (5, 10_000_102));
        assert_eq!(times.counts(Kind::Route).count(), 0);
    }

    #[test]
    fn the_bounds_grow_and_each_kind_has_its_place() {
        assert!(LOAD_MICROS_BOUNDS.is_sorted());
        assert!(
            Kind::ALL
                .iter()
                .enumerate()
                .all(|(at, kind)| *kind as usize == at)
        );
    }
}
