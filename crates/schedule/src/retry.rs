//! The retry clock: when an entry is tried again, and when we give up.
//!
//! # Contract
//! * **The wait is the entry's age between two bounds**, so that it doubles with age, with ±10 % of jitter,
//!   so that a backlog does not return in waves (reference §10.5).
//! * **Nothing is due after its expiry**: the last try is at the expiry, and what is undelivered then
//!   expires.

use std::time::Duration;

use rand::{Rng, RngExt};
use remuda_clock::Wall;

use crate::Entry;

/// What becomes of an entry that could not be delivered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It is due then.
    At(Wall),
    /// Its time is up.
    Expired,
}

/// Bounds of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    pub(crate) fn retry(self, entry: &Entry, now: Wall, rng: &mut impl Rng) -> Retry {
        if now >= entry.expires {
            return Retry::Expired;
        }
        let age = now.since(entry.arrived);
        let wait = age.min(self.max).max(self.min);
        Retry::At((now + jittered(wait, rng)).min(entry.expires))
    }
}

/// `duration` ±10 %.
pub(crate) fn jittered(duration: Duration, rng: &mut impl Rng) -> Duration {
    duration.mul_f64(rng.random_range(0.9..1.1))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::tests::entry;

    const BACKOFF: Backoff = Backoff {
        min: Duration::from_secs(300),
        max: Duration::from_secs(4000),
    };

    fn wait_at(age_secs: i64) -> f64 {
        let mut rng = StdRng::seed_from_u64(3);
        let now = Wall(age_secs * 1000);
        match BACKOFF.retry(&entry(1, "a.test"), now, &mut rng) {
            Retry::At(due) => due.since(now).as_secs_f64(),
            Retry::Expired => -1.0,
        }
    }

    #[test]
    fn the_wait_is_the_age_between_its_bounds() {
        for (age, wait) in [
            (0, 300.0),
            (299, 300.0),
            (1000, 1000.0),
            (3999, 3999.0),
            (100_000, 4000.0),
        ] {
            let got = wait_at(age);
            assert!((wait * 0.9..=wait * 1.1).contains(&got), "age {age}: {got}");
        }
    }

    #[test]
    fn retries_of_one_moment_do_not_come_back_together() {
        let mut rng = StdRng::seed_from_u64(3);
        let dues: std::collections::BTreeSet<_> = (0..100)
            .map(
                |id| match BACKOFF.retry(&entry(id, "a.test"), Wall(0), &mut rng) {
                    Retry::At(due) => due.0,
                    Retry::Expired => -1,
                },
            )
            .collect();
        assert!(dues.len() > 90);
    }

    #[test]
    fn the_last_try_is_at_the_expiry() {
        let mut rng = StdRng::seed_from_u64(3);
        let entry = entry(1, "a.test");
        let late = Wall(entry.expires.0 - 1000);
        assert_eq!(BACKOFF.retry(&entry, late, &mut rng), Retry::At(entry.expires));
        assert_eq!(BACKOFF.retry(&entry, entry.expires, &mut rng), Retry::Expired);
    }
}
