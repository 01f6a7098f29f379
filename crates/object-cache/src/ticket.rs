//! The duty to load one object and to hand in what came of it.
//!
//! # Contract
//! * **A ticket that is dropped is a failed load** (C10): its slot is freed, the next look-up loads again, and
//!   what waited is dropped, which is how those who wait learn of it.
//!
//! # Not here
//! The load: its holder sends the query, as a task of its own that no client's leaving ends (C9).

use std::{fmt, sync::Weak};

use remuda_clock::Monotonic;

use crate::key::{Asked, Key};

/// Permission and duty to load what [`Ticket::key`] names.
#[must_use = "a ticket that is dropped is a failed load"]
pub struct Ticket {
    pub(crate) key: Key,
    pub(crate) hash: u64,
    pub(crate) kind: Kind,
    /// Among all loads of the type; 0 for one past the cache.
    pub(crate) number: u64,
    /// The number of the last change at its start.
    pub(crate) start: u64,
    pub(crate) loaded_at: Monotonic,
    /// Where its slot is, until it is handed in.
    pub(crate) slot: Option<Weak<dyn Abandon>>,
}

/// Why something is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody waits for it.
    Load,
    /// What lies in the cache nears its end.
    Refresh,
    /// The cache is off.
    Bypass,
}

/// Where slots of loads are.
pub(crate) trait Abandon: Send + Sync {
    /// Frees the slot of a ticket that was dropped.
    fn abandon(&self, ticket: &Ticket);
}

impl Ticket {
    /// For a look-up past the cache: there is no slot.
    pub(crate) fn bypass(asked: Asked<'_>) -> Self {
        Ticket {
            key: asked.key.to_key(),
            hash: asked.hash,
            kind: Kind::Bypass,
            number: 0,
            start: 0,
            loaded_at: asked.now,
            slot: None,
        }
    }

    /// What to load.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether nobody waits for this load: the value in use is being renewed.
    pub fn is_refresh(&self) -> bool {
        self.kind == Kind::Refresh
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(slots) = self.slot.take().and_then(|slots| slots.upgrade()) {
            slots.abandon(self);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
