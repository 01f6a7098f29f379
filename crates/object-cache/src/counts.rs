//! The counts that are kept under the type's mutex; what readers count is in the index.

use crate::{
    answer::Answer,
    index::Read,
    statistics::{SinceReset, Statistics},
    ticket::Kind,
};

/// Counts of everything but hits, and the mark of the last reset.
#[derive(Default)]
pub(crate) struct Counts {
    /// Without gauges, without the readers' counts.
    pub(crate) totals: Statistics,
    /// Look-ups that readers did not answer.
    pub(crate) lookups: u64,
    /// Of `totals.lookups.coalesced`, those that got an object.
    coalesced_found: u64,
    /// Loads that found an object.
    found: u64,
    mark: SinceReset,
}

impl Counts {
    /// Counts a load at its begin.
    pub(crate) fn begun(&mut self, kind: Kind) {
        self.totals.loads += 1;
        self.totals.refreshes += u64::from(kind == Kind::Refresh);
    }

    /// Counts what a load gave to `waiters`, of whom the first began it unless it is a refresh.
    pub(crate) fn ended<V>(&mut self, kind: Kind, answer: &Answer<V>, waiters: usize) {
        let lookups = &mut self.totals.lookups;
        let waiters = waiters as u64;
        let own = u64::from(kind == Kind::Load && waiters > 0);
        match answer {
            Answer::Found(_) => {
                lookups.miss += own;
                self.coalesced_found += waiters - own;
                self.found += 1;
            }
            Answer::NotFound => lookups.not_found += own,
            Answer::Stale(_) => lookups.stale += waiters,
            Answer::Unavailable => lookups.error += waiters,
        }
        if matches!(answer, Answer::Found(_) | Answer::NotFound) {
            lookups.coalesced += waiters - own;
        }
    }

    /// Counts a look-up that was not allowed to wait.
    pub(crate) fn refused(&mut self, is_stale: bool) {
        let lookups = &mut self.totals.lookups;
        *(if is_stale {
            &mut lookups.stale
        } else {
            &mut lookups.error
        }) += 1;
    }

    /// Counts the look-ups of a ticket that was dropped.
    pub(crate) fn abandoned(&mut self, waiters: usize) {
        self.totals.lookups.error += waiters as u64;
    }

    /// Starts the rates anew.
    pub(crate) fn reset(&mut self, read: Read) {
        self.mark = self.window(read);
    }

    /// All counts; the gauges are the caller's.
    pub(crate) fn statistics(&self, read: Read) -> Statistics {
        let mut all = self.totals;
        all.lookups.hit = read.hits;
        all.lookups.negative_hit = read.negative_hits;
        all.lookups.bypass = read.bypasses;
        all.loads += read.bypasses;
        all.since_reset = self.window(read).since(self.mark);
        all
    }

    fn window(&self, read: Read) -> SinceReset {
        SinceReset {
            hits: read.hits,
            coalesced_found: self.coalesced_found,
            misses: self.found,
            lookups: self.lookups + read.hits + read.negative_hits + read.bypasses,
            loads: self.totals.loads + read.bypasses,
        }
    }
}
