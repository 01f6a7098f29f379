//! The pace of commits: when the next one may begin.
//!
//! A sync serves all who wait for it. On a slow disk a batch grows by itself while the last commit runs; on
//! a fast one every change would get a commit of its own, and its cost in processor time. So commits keep a
//! distance while company is on its way, as PostgreSQL's `commit_delay` with `commit_siblings` does.
//!
//! # Contract
//! * **A client alone is not kept waiting**: with fewer than [`COMPANY_MIN`] other messages arriving its
//!   commit begins at once.
//! * **Settlements alone keep the distance too**: nobody waits for them but the next delivery.
//! * **Nothing waits longer than [`SPACING`]** for another's sake, and not at all on a disk whose commits
//!   take that long.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::Monotonic;

/// Between the beginnings of two commits, while company is on its way.
const SPACING: Duration = Duration::from_millis(2);
/// Messages arriving that are company.
const COMPANY_MIN: usize = 3;

/// Held by each content that is on its way in.
pub(crate) type Arriving = Arc<()>;

/// When commits begin.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    arriving: Arriving,
    last: Mutex<Option<Monotonic>>,
}

impl Pace {
    /// A message begins to arrive; it has arrived when this is dropped.
    pub(crate) fn arriving(&self) -> Arriving {
        self.arriving.clone()
    }

    /// A commit begins.
    pub(crate) fn begins(&self, now: Monotonic) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// When the next commit may begin; None: now. `is_urgent`: a client waits for it.
    pub(crate) fn wait_until(&self, is_urgent: bool, now: Monotonic) -> Option<Monotonic> {
        let has_company = Arc::strong_count(&self.arriving) > COMPANY_MIN;
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let next = last? + SPACING;
        (next > now && (has_company || !is_urgent)).then_some(next)
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
        assert_eq!(pace.wait_until(true, at(10)), None);
        pace.begins(at(10));
        let company: Vec<_> = (0..COMPANY_MIN - 1).map(|_| pace.arriving()).collect();
        assert_eq!(pace.wait_until(true, at(10)), None);
        drop(company);
    }

    #[test]
    fn company_is_waited_for_but_not_longer_than_the_spacing() {
        let pace = Pace::default();
        pace.begins(at(10));
        let company: Vec<_> = (0..COMPANY_MIN).map(|_| pace.arriving()).collect();
        assert_eq!(pace.wait_until(true, at(11)), Some(at(12)));
        assert_eq!(pace.wait_until(true, at(12)), None);
        drop(company);
        assert_eq!(pace.wait_until(true, at(11)), None);
    }

    #[test]
    fn settlements_alone_keep_the_distance() {
        let pace = Pace::default();
        pace.begins(at(10));
        assert_eq!(pace.wait_until(false, at(10)), Some(at(12)));
    }
}
