//! What is counted of one type, and the two rates.
//!
//! # Contract
//! * **Exported counts never go back**; a reset only moves the mark from which the rates count (§5.3.13 of the
//!   reference).
//! * **Each look-up has one result**, counted when it is known: a look-up that waits is counted when its load
//!   ends.
//! * **The compatible rate is hMailServer's**: objects found nowhere are no misses, a load that found a row is
//!   one miss however many waited (A1, A7, A8, C8); 64 bits (F12).

/// Counts and gauges of one type of object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Look-ups by result.
    pub lookups: Lookups,
    /// Queries: loads for somebody who waits, refreshes, and look-ups past a cache that is off.
    pub loads: u64,
    /// Of those, the ones that renew what is in use.
    pub refreshes: u64,
    /// What left the cache, by cause; values and absences.
    pub evictions: Evictions,
    /// What was loaded and not kept.
    pub rejected: Rejected,
    /// Changes of single objects, by who told.
    pub invalidations: Invalidations,
    /// Times that everything was dropped, by cause.
    pub flushes: Flushes,
    /// What lies in the cache now.
    pub gauges: Gauges,
    /// What the rates are of.
    pub since_reset: SinceReset,
}

/// Look-ups by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// A value in use.
    pub hit: u64,
    /// A load of its own, which found the object.
    pub miss: u64,
    /// Known not to exist.
    pub negative_hit: u64,
    /// A load of its own, which found that there is none.
    pub not_found: u64,
    /// Another's load, which ended with an answer.
    pub coalesced: u64,
    /// A failed load, and a value past its time in its place.
    pub stale: u64,
    /// A failed load, or too many of them; no answer.
    pub error: u64,
    /// The cache was off.
    pub bypass: u64,
}

/// What left the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Past its time, and no longer good for failures.
    pub ttl: u64,
    /// To make room.
    pub size: u64,
    /// Changed.
    pub invalidate: u64,
    /// Everything was dropped.
    pub flush: u64,
}

/// What was loaded and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// A change came during the load.
    pub generation: u64,
    /// What lies in the cache is newer, or contradicts it.
    pub superseded: u64,
    /// It takes more than an eighth of the room.
    pub too_big: u64,
    /// The cache has been switched off.
    pub disabled: u64,
}

/// Changes of single objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invalidations {
    /// By [`Source::Admin`].
    pub admin: u64,
    /// By [`Source::Push`].
    pub push: u64,
    /// By [`Source::Poll`].
    pub poll: u64,
}

/// Times that everything was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushes {
    /// By [`Cause::Admin`].
    pub admin: u64,
    /// By [`Cause::Reconnect`].
    pub reconnect: u64,
    /// By [`Cause::Push`].
    pub push: u64,
    /// By [`Cause::Poll`].
    pub poll: u64,
}

/// What lies in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Objects, those past their time included.
    pub entries: u64,
    /// Keys known to lead nowhere.
    pub absences: u64,
    /// Octets of the objects.
    pub bytes: u64,
    /// Octets of the absences.
    pub negative_bytes: u64,
    /// Loads under way that somebody may wait for.
    pub in_flight: u64,
}

/// Counts since the last reset: by the operator, at clear, at enable and disable, and when the TTL changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinceReset {
    /// Values in use that were found.
    pub hits: u64,
    /// Look-ups that another's load answered with an object.
    pub coalesced_found: u64,
    /// Loads that found an object, refreshes too.
    pub misses: u64,
    /// Look-ups, those included that still wait.
    pub lookups: u64,
    /// Queries.
    pub loads: u64,
}

impl SinceReset {
    /// hMailServer's hit rate in whole percent, truncated; 0 without hits.
    pub fn hit_rate(&self) -> u8 {
        let hits = u128::from(self.hits) + u128::from(self.coalesced_found);
        let all = hits + u128::from(self.misses);
        (hits * 100)
            .checked_div(all)
            .map_or(0, |percent| u8::try_from(percent).unwrap_or(100))
    }

    /// The share of look-ups that cost no query, between 0 and 1: what the compatible rate hides.
    pub fn without_query(&self) -> f64 {
        match self.lookups {
            0 => 0.0,
            lookups => (1.0 - self.loads as f64 / lookups as f64).max(0.0),
        }
    }

    /// What was counted after `mark`.
    pub(crate) fn since(self, mark: SinceReset) -> SinceReset {
        SinceReset {
            hits: self.hits.saturating_sub(mark.hits),
            coalesced_found: self.coalesced_found.saturating_sub(mark.coalesced_found),
            misses: self.misses.saturating_sub(mark.misses),
            lookups: self.lookups.saturating_sub(mark.lookups),
            loads: self.loads.saturating_sub(mark.loads),
        }
    }
}

/// Who told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A change of ours, through the admin interface.
    Admin,
    /// A notification of the database.
    Push,
    /// The change log of the database.
    Poll,
}

/// Why everything is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator wants it; the rates start again.
    Admin,
    /// Notifications may have been missed.
    Reconnect,
    /// The database says that more has changed than it tells, or says what nobody understands.
    Push,
    /// The change log has a gap, or the file is another.
    Poll,
}

impl Invalidations {
    pub(crate) fn of(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Admin => &mut self.admin,
            Source::Push => &mut self.push,
            Source::Poll => &mut self.poll,
        }
    }
}

impl Flushes {
    pub(crate) fn of(&mut self, cause: Cause) -> &mut u64 {
        match cause {
            Cause::Admin => &mut self.admin,
            Cause::Reconnect => &mut self.reconnect,
            Cause::Push => &mut self.push,
            Cause::Poll => &mut self.poll,
        }
    }
}
