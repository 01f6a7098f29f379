//! How the cache is: what holds, what lies in it, what was counted.
//!
//! # Contract
//! * **Both rates are shown**: hMailServer's, in which an object found nowhere is no miss, and the share of
//!   look-ups that cost no query.

use std::collections::BTreeMap;

use remuda_object_cache::{Evictions, Flushes, Invalidations, Lookups, Rejected};
use serde::{Deserialize, Serialize};

use crate::{
    directory::Directory,
    model::Kind,
    switches::{Holds, Key},
};

/// The whole cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// It is on.
    pub enabled: bool,
    /// Who says so.
    pub enabled_by: Holds,
    /// Whether the database tells of changes.
    pub push: Push,
    /// What the database is.
    pub database: String,
    /// Whether it is taken to be down.
    pub database_down: bool,
    /// Each kind.
    pub types: BTreeMap<Kind, KindStatus>,
}

/// Whether the database tells of changes by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// Within a moment.
    Up,
    /// They show after the TTL.
    Down,
}

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// The cache of one kind. Times are seconds, sizes octets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindStatus {
    /// It is on.
    pub enabled: bool,
    /// How long an object is used.
    pub ttl: f64,
    /// Who says so.
    pub ttl_by: Holds,
    /// How long it is believed that there is none; never longer than `ttl`.
    pub negative_ttl: f64,
    /// Who says so.
    pub negative_ttl_by: Holds,
    /// What all objects may take.
    pub size: u64,
    /// Who says so.
    pub size_by: Holds,
    /// How long an object may still answer when the database does not.
    pub stale_if_error: f64,
    /// What the objects take.
    pub bytes: u64,
    /// What the absences take.
    pub negative_bytes: u64,
    /// Objects.
    pub entries: u64,
    /// Names that are known not to exist.
    pub absences: u64,
    /// Queries under way.
    pub in_flight: u64,
    /// Since the last reset: objects found in memory.
    pub hits: u64,
    /// Since the last reset: queries that found an object.
    pub misses: u64,
    /// Of these, in whole percent, as hMailServer counts.
    pub hit_rate: u8,
    /// Since the last reset: the share of look-ups that cost no query, 0 to 1.
    pub without_query: f64,
    /// Look-ups by result, since start; so are all below.
    pub lookups: Counts,
    /// Queries.
    pub loads: u64,
    /// Of those, the ones that renew what is in use.
    pub refreshes: u64,
    /// Look-ups that got an object past its time because the database did not answer.
    pub stale_served: u64,
    /// What left, by cause.
    pub evictions: Counts,
    /// What was read and not kept, by cause.
    pub rejected: Counts,
    /// Changes of single objects, by who told.
    pub invalidations: Counts,
    /// Times that everything was dropped, by cause.
    pub flushes: Counts,
}

impl Directory {
    /// How the cache is. Changes nothing (F13).
    pub fn cache_status(&self) -> CacheStatus {
        CacheStatus {
            enabled: self.is_cache_enabled(),
            enabled_by: self.inner.switches.value(Key::Enabled).1,
            push: if self.is_push_up() { Push::Up } else { Push::Down },
            database: self.describe(),
            database_down: self.is_down(),
            types: Kind::ALL
                .into_iter()
                .map(|kind| (kind, self.kind_status(kind)))
                .collect(),
        }
    }

    fn kind_status(&self, kind: Kind) -> KindStatus {
        let (caches, switches) = (&self.inner.caches, &self.inner.switches);
        let (counted, limits) = (caches.statistics(kind), caches.limits(kind));
        let since = counted.since_reset;
        KindStatus {
            enabled: self.is_cache_enabled(),
            ttl: limits.ttl.as_secs_f64(),
            ttl_by: switches.value(Key::Ttl(kind)).1,
            negative_ttl: limits.negative_life().as_secs_f64(),
            negative_ttl_by: switches.value(Key::NegativeTtl(kind)).1,
            size: limits.size,
            size_by: switches.value(Key::Size(kind)).1,
            stale_if_error: limits.stale_if_error.as_secs_f64(),
            bytes: counted.gauges.bytes,
            negative_bytes: counted.gauges.negative_bytes,
            entries: counted.gauges.entries,
            absences: counted.gauges.absences,
            in_flight: counted.gauges.in_flight,
            hits: since.hits + since.coalesced_found,
            misses: since.misses,
            hit_rate: since.hit_rate(),
            without_query: since.without_query(),
            lookups: lookups(&counted.lookups),
            loads: counted.loads,
            refreshes: counted.refreshes,
            stale_served: counted.lookups.stale,
            evictions: evictions(&counted.evictions),
            rejected: rejected(&counted.rejected),
            invalidations: invalidations(&counted.invalidations),
            flushes: flushes(&counted.flushes),
        }
    }
}

fn named<const N: usize>(counts: [(&str, u64); N]) -> Counts {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

// Taken apart without `..`: a count that is added there is shown here.

fn lookups(counted: &Lookups) -> Counts {
    let Lookups {
        hit,
        miss,
        negative_hit,
        not_found,
        coalesced,
        stale,
        error,
        bypass,
    } = *counted;
    named([
        ("hit", hit),
        ("miss", miss),
        ("negative_hit", negative_hit),
        ("not_found", not_found),
        ("coalesced", coalesced),
        ("stale", stale),
        ("error", error),
        ("bypass", bypass),
    ])
}

fn evictions(counted: &Evictions) -> Counts {
    let Evictions {
        ttl,
        size,
        invalidate,
        flush,
    } = *counted;
    named([
        ("ttl", ttl),
        ("size", size),
        ("invalidate", invalidate),
        ("flush", flush),
    ])
}

fn rejected(counted: &Rejected) -> Counts {
    let Rejected {
        generation,
        superseded,
        too_big,
        disabled,
    } = *counted;
    named([
        ("generation", generation),
        ("superseded", superseded),
        ("too_big", too_big),
        ("disabled", disabled),
    ])
}

fn invalidations(counted: &Invalidations) -> Counts {
    let Invalidations { admin, push, poll } = *counted;
    named([("admin", admin), ("push", push), ("poll", poll)])
}

fn flushes(counted: &Flushes) -> Counts {
    let Flushes {
        admin,
        reconnect,
        push,
        poll,
    } = *counted;
    named([
        ("admin", admin),
        ("reconnect", reconnect),
        ("push", push),
        ("poll", poll),
    ])
}
