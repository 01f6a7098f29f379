//! The limits and times of the schedule.

use std::time::Duration;

use crate::{retry::Backoff, window::Bounds};

/// Bounds of the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Where a destination's window starts.
    pub initial_concurrency: u32,
    /// Where it ends; 0 = nowhere.
    pub concurrency_max: u32,
    /// Entries in memory in all.
    pub active_max: usize,
    /// The shortest wait between two tries, and how long a dead destination is left alone.
    pub minimal_backoff: Duration,
    /// The longest wait.
    pub maximal_backoff: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Limits {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            initial: self.initial_concurrency,
            max: self.concurrency_max,
        }
    }

    /// The bounds of a window that ends elsewhere.
    pub(crate) fn bounds_within(&self, concurrency_max: Option<u32>) -> Bounds {
        Bounds {
            max: concurrency_max.unwrap_or(self.concurrency_max),
            ..self.bounds()
        }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff {
            min: self.minimal_backoff,
            max: self.maximal_backoff.max(self.minimal_backoff),
        }
    }
}
