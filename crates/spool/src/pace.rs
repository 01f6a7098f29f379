//! The pace of commits: when the next one may begin.
//!
//! A sync serves all who wait for it. On a slow disk a batch grows by itself while the last commit runs; on
//! a fast one every change would get a commit of its own, and its cost in processor time. So commits keep a
//! distance while company is on its way, as PostgreSQL's `commit_delay` with `commit_siblings` does.
//!
//! Company shows in two ways: messages that are on their way now, and messages that the last commits held
//! together, the older ones counting half as much each. The first alone is not enough, since short messages
//! are seldom seen arriving; the second lasts as long as clients come that close together, and a few commits
//! longer.
//!
//! # Contract
//! * **A client alone is not kept waiting**: with fewer than [`COMPANY_MIN`] others its commit begins at
//!   once. A message is on its way from its MAIL to its end; a large one only while it fits into memory,
//!   since nobody knows when the rest will come.
//! * **Nor are [`ENOUGH`] together**: more would make the sync hardly cheaper for each.
//! * **Settlements alone keep the distance too**: nobody waits for them but the next delivery.
//! * **A commit that wrote much is followed at the longer distance**: where each writes a lot, the log must
//!   be moved to its place more often, which has syncs of its own, and fewer messages come in the same time.
//! * **Nothing waits longer than [`LONG_SPACING`]** for another's sake, and not at all on a disk whose
//!   commits take that long.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::Monotonic;

/// Between the beginnings of two commits, while company is on its way.
const SPACING: Duration = Duration::from_millis(3);
/// The same after a commit of [`LARGE`].
const LONG_SPACING: Duration = Duration::from_millis(5);
/// Octets in a commit, from which on it is large: ten clients with messages of 12 KiB.
const LARGE: u64 = 128 * 1024;
/// Other messages that are company.
const COMPANY_MIN: usize = 3;
/// Clients whose waiting ends the distance: a sync for eight is 0.125 a message.
pub(crate) const ENOUGH: usize = 8;
/// What [`Last::recent`] comes to when each commit holds a client with the least company, less one.
const RECENT_MIN: usize = 2 * COMPANY_MIN;

/// Held for each message on its way in, from its MAIL on: the next commit may wait for it a little.
#[derive(Debug)]
pub struct Expected {
    _counted: Arc<()>,
}

/// When commits begin.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    expected: Arc<()>,
    last: Mutex<Option<Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    began: Monotonic,
    /// Until the next.
    spacing: Duration,
    /// New messages of the last commits, each older one halved.
    recent: usize,
}

impl Pace {
    /// A message is on its way; it has arrived, or given up, when this is dropped.
    pub(crate) fn expect(&self) -> Expected {
        Expected {
            _counted: self.expected.clone(),
        }
    }

    /// A commit begins, with so many new messages and octets.
    pub(crate) fn begins(&self, stores: usize, bytes: u64, now: Monotonic) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.map_or(0, |last| last.recent);
        *last = Some(Last {
            began: now,
            spacing: if bytes < LARGE { SPACING } else { LONG_SPACING },
            recent: before / 2 + stores,
        });
    }

    /// When the next commit may begin, for which so many clients wait; None: now.
    pub(crate) fn wait_until(&self, waiting: usize, now: Monotonic) -> Option<Monotonic> {
        if waiting >= ENOUGH {
            return None;
        }
        let last = (*self.last.lock().unwrap_or_else(PoisonError::into_inner))?;
        let on_their_way = Arc::strong_count(&self.expected) - 1;
        let has_company = on_their_way >= COMPANY_MIN || last.recent >= RECENT_MIN;
        let next = last.began + last.spacing;
        (next > now && (has_company || waiting == 0)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_client_alone_is_not_kept_waiting() {
        let pace = Pace::default();
        assert_eq!(pace.wait_until(1, at(10)), None);
        pace.begins(1, 0, at(10));
        let company: Vec<_> = (0..COMPANY_MIN - 1).map(|_| pace.expect()).collect();
        assert_eq!(pace.wait_until(1, at(10)), None);
        drop(company);
    }

    #[test]
    fn company_is_waited_for_but_not_longer_than_the_spacing() {
        let pace = Pace::default();
        pace.begins(1, 0, at(10));
        let company: Vec<_> = (0..COMPANY_MIN).map(|_| pace.expect()).collect();
        assert_eq!(pace.wait_until(1, at(11)), Some(at(13)));
        assert_eq!(pace.wait_until(ENOUGH - 1, at(12)), Some(at(13)));
        assert_eq!(pace.wait_until(ENOUGH, at(11)), None, "enough are together");
        assert_eq!(pace.wait_until(1, at(13)), None);
        drop(company);
        assert_eq!(pace.wait_until(1, at(11)), None);
    }

    #[test]
    fn commits_that_held_company_are_followed_at_a_distance() {
        let pace = Pace::default();
        for _ in 0..10 {
            pace.begins(COMPANY_MIN, 0, at(10));
        }
        assert_eq!(pace.wait_until(1, at(11)), None, "two others are no company");
        for _ in 0..10 {
            pace.begins(COMPANY_MIN + 1, 0, at(10));
        }
        assert_eq!(pace.wait_until(1, at(11)), Some(at(13)));
        for _ in 0..3 {
            pace.begins(1, 0, at(14));
        }
        assert_eq!(pace.wait_until(1, at(15)), None, "they are gone");
    }

    #[test]
    fn settlements_alone_keep_the_distance() {
        let pace = Pace::default();
        pace.begins(0, 0, at(10));
        assert_eq!(pace.wait_until(0, at(10)), Some(at(13)));
    }

    #[test]
    fn a_large_commit_is_followed_at_the_longer_distance() {
        let pace = Pace::default();
        for (bytes, next) in [(LARGE - 1, 13), (LARGE, 15)] {
            pace.begins(2 * RECENT_MIN, bytes, at(10));
            assert_eq!(pace.wait_until(1, at(11)), Some(at(next)));
        }
    }
}
