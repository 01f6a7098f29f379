//! What the cache is told to count, and its counts.

use crate::{ConnectionCache, Leaving, Statistics, Unfit};

impl ConnectionCache {
    /// Counts a session that went from one delivery to the next without being parked.
    pub fn count_handover(&mut self) {
        self.interval.handovers += 1;
    }

    /// Counts a session that is closed for this cause, parked before or not.
    pub fn count_closed(&mut self, cause: Leaving) {
        self.interval.count_leaving(cause);
    }

    /// Counts a session that was found dead before use.
    pub fn count_dead(&mut self) {
        self.interval.closed_dead += 1;
    }

    /// Counts a session that was not fit for a delivery that it was offered to.
    pub fn count_unfit(&mut self, reason: Unfit) {
        self.interval.count_unfit(reason);
    }

    /// The counts since start.
    pub fn statistics(&self) -> Statistics {
        let mut sum = self.before.clone();
        sum.add(&self.interval);
        sum
    }

    /// The counts of the interval that runs.
    pub fn interval(&self) -> &Statistics {
        &self.interval
    }

    /// The counts since this was last called.
    pub fn take_interval(&mut self) -> Statistics {
        let interval = std::mem::take(&mut self.interval);
        self.before.add(&interval);
        interval
    }
}
