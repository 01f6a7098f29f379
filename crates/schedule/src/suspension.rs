//! Suspensions: a destination for which nothing is tried for a while.
//!
//! # Contract
//! * **A suspension rewrites nothing**: it is a field of the summary; entries in memory go back unsettled.
//! * **When it ends one delivery tries**, and its success opens the window again.

use remuda_clock::Monotonic;
use remuda_mail::{Destination, EntryId};

use crate::{Schedule, queue::Suspension};

impl Schedule {
    /// Nothing is tried for a destination until `until`, unless a running delivery succeeds. Returns the
    /// entries that leave memory.
    pub fn suspend(&mut self, destination: &Destination, until: Monotonic, reason: String) -> Vec<EntryId> {
        self.end_suspension(destination);
        let queue = self.queue(destination);
        queue.suspension = Some(Suspension { until, reason });
        let unloaded = queue.unload();
        self.suspensions.insert((until, destination.clone()));
        self.note(destination);
        unloaded
    }

    /// Answers whether nothing is tried for a destination now.
    pub fn is_suspended(&self, destination: &Destination) -> bool {
        self.queues
            .get(destination)
            .is_some_and(|queue| queue.suspension.is_some())
    }

    /// Ends a suspension: one delivery may try.
    pub fn thaw(&mut self, destination: &Destination) {
        if let Some(queue) = self
            .queues
            .get_mut(destination)
            .filter(|queue| queue.suspension.is_some())
        {
            queue.window.thaw();
            self.end_suspension(destination);
            self.note(destination);
        }
    }

    pub(crate) fn end_suspension(&mut self, destination: &Destination) {
        let queue = self.queues.get_mut(destination);
        if let Some(suspension) = queue.and_then(|queue| queue.suspension.take()) {
            self.suspensions.remove(&(suspension.until, destination.clone()));
        }
    }
}
