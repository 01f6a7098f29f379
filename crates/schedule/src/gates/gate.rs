//! One gate: what it lets through, and who waits at it.
//!
//! # Contract
//! * **Room is for what is not promised yet**: a start that is promised counts as begun.
//! * **A promise for which there is no room any more is taken back**, the latest first.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_mail::Destination;

/// One gate.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) limits: GateLimits,
    /// Destinations whose terms name it.
    pub(super) members: usize,
    pub(super) busy: u32,
    /// To whom a start is promised.
    pub(super) called: BTreeMap<u64, Destination>,
    pub(super) last_start: Option<Monotonic>,
    pub(super) waiting: BTreeMap<u64, Destination>,
    pub(super) timer: Option<Monotonic>,
}

impl Gate {
    /// When the rate allows the next start.
    fn opens(&self) -> Option<Monotonic> {
        Some(self.last_start? + self.limits.space?)
    }

    pub(super) fn has_slot(&self) -> bool {
        self.limits.busy_max.is_none_or(|max| self.in_hand() < max)
    }

    fn in_hand(&self) -> u32 {
        self.busy
            .saturating_add(u32::try_from(self.called.len()).unwrap_or(u32::MAX))
    }

    /// Answers whether more is promised than there is room for.
    pub(super) fn is_over(&self, now: Monotonic) -> bool {
        let is_early = self.limits.space.is_some() && (self.called.len() > 1 || self.is_paced(now));
        let is_full = self.limits.busy_max.is_some_and(|max| self.in_hand() > max);
        !self.called.is_empty() && (is_early || is_full)
    }

    pub(super) fn is_paced(&self, now: Monotonic) -> bool {
        self.opens().is_some_and(|at| at > now)
    }

    /// Answers whether another start may be promised.
    pub(super) fn has_room(&self, now: Monotonic) -> bool {
        let is_next = self.limits.space.is_none() || self.called.is_empty();
        is_next && self.has_slot() && !self.is_paced(now)
    }

    /// When time alone changes something: the next start, or the end of its memory.
    pub(super) fn wake(&self, now: Monotonic) -> Option<Monotonic> {
        let is_idle = self.members == 0;
        let is_waited_for = !self.waiting.is_empty() && self.has_slot();
        self.opens().filter(|at| *at > now && (is_idle || is_waited_for))
    }
}

/// Which gate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateKey {
    /// One destination's own.
    Of(Destination),
    /// That of all who name it.
    Shared(Arc<str>),
}

/// What a gate lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateLimits {
    /// Deliveries in hand of all members together.
    pub busy_max: Option<u32>,
    /// Between two starts.
    pub space: Option<Duration>,
}
