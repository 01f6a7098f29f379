//! What an operator sets for one type of object.

use std::time::Duration;

use crate::entry::nanos;

/// Times and sizes; a change holds at once, for what lies in the cache too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a value is used, from before its load was sent. Zero: values are not kept (A14).
    pub ttl: Duration,
    /// The same for what does not exist; at most `ttl` counts, since a row may be inserted at any time.
    pub negative_ttl: Duration,
    /// Octets of all values; one that takes more than an eighth is not kept. Zero: nothing is.
    pub size: u64,
    /// Octets of all absences, which give way only to each other (F5).
    pub negative_size: u64,
    /// How long after its time a value may still answer where a load has failed.
    pub stale_if_error: Duration,
}

impl Limits {
    /// How long an absence is used.
    pub fn negative_life(&self) -> Duration {
        self.negative_ttl.min(self.ttl)
    }

    /// Nanoseconds for which a value or an absence is used.
    pub(crate) fn life(&self, is_absent: bool) -> u64 {
        nanos(if is_absent { self.negative_life() } else { self.ttl })
    }

    /// Octets for values or for absences.
    pub(crate) fn budget(&self, is_absent: bool) -> u64 {
        if is_absent { self.negative_size } else { self.size }
    }
}

impl Default for Limits {
    /// 60 s, 10 s, 10 MiB, 1 MiB, 300 s.
    fn default() -> Self {
        Limits {
            ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(10),
            size: 10 << 20,
            negative_size: 1 << 20,
            stale_if_error: Duration::from_secs(300),
        }
    }
}
