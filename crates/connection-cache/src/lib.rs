//! The shared connection cache: idle SMTP sessions that a later delivery may take.
//!
//! A new session costs a TCP handshake, a greeting, an EHLO and often a TLS handshake, and some
//! receivers limit how often we may connect. So a delivery that ends on a healthy session parks it
//! here, and any later delivery may take it.
//!
//! A session is found two ways, because one destination has many servers and one server has many
//! destinations:
//!
//! ```text
//!   Destination ──binding──▶ Endpoint ──parked──▶ session, session, …
//!   example.org              192.0.2.7:25         (newest first)
//! ```
//!
//! # Contract
//! * **One owner.** A session is parked here or held by one caller. `take_*` moves its id and facts
//!   out and [`park`](ConnectionCache::park) moves them in. There is no "in use" state to get wrong.
//! * **Fitness is checked at take.** A session is handed out only if what it has proved serves what
//!   the delivery requires ([`fitness`]); the keys only find candidates.
//! * **Nothing expired is handed out**, even if [`expire`](ConnectionCache::expire) runs late.
//! * **Every session comes out again.** What is not taken is returned by `expire`, `remove`, `drain`,
//!   `set_limits`, or by `park` itself when there is no room, so that the caller can say QUIT.
//! * **Callers bind once per delivery**, to the first good endpoint only. Binding a less-preferred
//!   server would keep sending mail there after the preferred one is back.
//!
//! # Not here
//! No sockets, no locks, no clock, no DNS. Which waiting message a freed session serves, and the race
//! between a dial and a freed session, are in `dispatch`. How many sessions a destination may have at
//! once is the scheduler's decision; this module only bounds what lies idle.
//!
//! # Limits
//! [`Limits`] bounds parked sessions in all and per endpoint, idle time, age and reuses. At a bound the
//! session idle longest gives way and is returned to the caller.

mod accounts;
mod bindings;
mod counting;
mod fitness;
mod histogram;
mod limits;
mod reasons;
mod statistics;
mod tolerance;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hashbrown::HashMap;
use remuda_clock::Monotonic;
use remuda_mail::{Destination, Endpoint, Facts, Requirements, SessionId};

use crate::bindings::Bindings;
pub use crate::{
    accounts::{Accounts, Figures, Ledger, ROWS_MAX},
    counting::{REFUSED_MAX, Refused},
    fitness::{Unfit, fitness},
    histogram::Histogram,
    limits::{Leaving, Limits},
    statistics::Statistics,
    usage::{Death, End, IDLE_MS_BOUNDS, Opening, Taken, USES_BOUNDS, Usage},
};

/// Idle sessions by destination and by endpoint.
#[derive(Debug)]
pub struct ConnectionCache {
    limits: Limits,
    sessions: HashMap<SessionId, Kept>,
    /// By place: the sequence of parking, so the last is the newest.
    by_endpoint: HashMap<Endpoint, BTreeMap<u64, SessionId>>,
    /// All places; the first is the session idle longest.
    by_place: BTreeMap<u64, SessionId>,
    deadlines: BTreeSet<(Monotonic, SessionId)>,
    bindings: Bindings,
    place_next: u64,
    before: Statistics,
    interval: Statistics,
    accounts: Accounts,
    refused: Refused,
}

/// A session as it lies in the cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Parked {
    /// What it has proved.
    pub facts: Facts,
    /// The destination that it was last used for.
    pub destination: Destination,
    /// Since when it lies here.
    pub since: Monotonic,
    /// The destination's own limit of reuses, in the place of [`Limits::reuse_count_max`].
    pub reuse_count_max: Option<u32>,
}

#[derive(Debug)]
struct Kept {
    parked: Parked,
    place: u64,
    deadline: Monotonic,
    why: Leaving,
    /// What its endpoint tolerates, where that is known.
    idle_max: Option<Duration>,
}

impl ConnectionCache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        ConnectionCache {
            limits,
            sessions: HashMap::new(),
            by_endpoint: HashMap::new(),
            by_place: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            bindings: Bindings::default(),
            place_next: 0,
            before: Statistics::default(),
            interval: Statistics::default(),
            accounts: Accounts::new(ROWS_MAX),
            refused: Refused::default(),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Parks a session; it can be found by its endpoint until its idle time or its life ends.
    ///
    /// Returns what leaves: at a bound the session idle longest, or this one if it may not stay.
    ///
    /// # Panics
    /// If the session is parked already: it would have two owners.
    pub fn park(
        &mut self,
        session: SessionId,
        facts: Facts,
        destination: Destination,
        now: Monotonic,
    ) -> Option<(SessionId, Leaving)> {
        let parked = Parked {
            facts,
            destination,
            since: now,
            reuse_count_max: None,
        };
        self.park_as(session, parked)
    }

    /// As [`park`](Self::park), for a destination with a limit of reuses of its own.
    ///
    /// # Panics
    /// If the session is parked already.
    pub fn park_as(&mut self, session: SessionId, parked: Parked) -> Option<(SessionId, Leaving)> {
        assert!(!self.sessions.contains_key(&session), "a session is parked once");
        let (now, facts) = (parked.since, &parked.facts);
        let count_max = parked.reuse_count_max.unwrap_or(self.limits.reuse_count_max);
        if let Err(cause) = self.limits.check_counted(session, facts, count_max, now) {
            return Some((session, cause));
        }
        if self.limits.sessions_max == 0 || self.limits.sessions_per_endpoint_max == 0 {
            return Some((session, Leaving::Evicted));
        }
        let idle_ends = now + self.limits.idle_max;
        let life_ends = self.limits.life_ends(session, facts.opened);
        let endpoint = facts.endpoint;
        let kept = Kept {
            parked,
            place: self.place_next,
            deadline: idle_ends.min(life_ends),
            why: if life_ends < idle_ends {
                Leaving::Age
            } else {
                Leaving::Idle
            },
            idle_max: None,
        };
        self.insert(session, kept);
        let gone = self.surplus(endpoint).map(|id| {
            self.remove(id);
            (id, Leaving::Evicted)
        });
        self.note_peaks();
        gone
    }

    /// Remembers for the idle time that `endpoint` served `destination` well.
    pub fn bind(&mut self, destination: &Destination, endpoint: Endpoint, now: Monotonic) {
        let max = self.limits.sessions_max.saturating_mul(BINDINGS_PER_SESSION);
        self.bindings
            .bind(destination, endpoint, now + self.limits.idle_max, max);
        let destinations = self.bindings.destinations() as u64;
        self.interval.max_destinations = self.interval.max_destinations.max(destinations);
    }

    /// Answers whether `endpoint` lately served `destination` well.
    pub fn is_bound(&self, destination: &Destination, endpoint: Endpoint, now: Monotonic) -> bool {
        self.bindings.of(destination, now).any(|bound| bound == endpoint)
    }

    /// Takes the newest fitting session among the endpoints bound to the destination and `allowed`.
    pub fn take_by_destination(
        &mut self,
        requirements: &Requirements,
        allowed: impl Fn(Endpoint) -> bool,
        now: Monotonic,
    ) -> Option<(SessionId, Facts)> {
        let mut newest: Option<(u64, SessionId)> = None;
        let bound: Vec<Endpoint> = self.bindings.of(&requirements.destination, now).collect();
        for endpoint in bound.into_iter().filter(|endpoint| allowed(*endpoint)) {
            newest = newest.max(self.newest(endpoint, requirements, now));
        }
        let found = newest.map(|(_, session)| session);
        match found {
            Some(_) => self.interval.destination_hits += 1,
            None => self.interval.destination_misses += 1,
        }
        self.take(found, now)
    }

    /// Takes the newest fitting session to `endpoint`.
    pub fn take_by_endpoint(
        &mut self,
        endpoint: Endpoint,
        requirements: &Requirements,
        now: Monotonic,
    ) -> Option<(SessionId, Facts)> {
        let found = self
            .newest(endpoint, requirements, now)
            .map(|(_, session)| session);
        match found {
            Some(_) => self.interval.address_hits += 1,
            None => self.interval.address_misses += 1,
        }
        self.take(found, now)
    }

    /// Removes a session that ended by itself. `None` if it is not parked here.
    pub fn remove(&mut self, session: SessionId) -> Option<Parked> {
        let kept = self.sessions.remove(&session)?;
        let endpoint = kept.parked.facts.endpoint;
        self.by_place.remove(&kept.place);
        self.deadlines.remove(&(kept.deadline, session));
        if let Some(places) = self.by_endpoint.get_mut(&endpoint) {
            places.remove(&kept.place);
            if places.is_empty() {
                self.by_endpoint.remove(&endpoint);
            }
        }
        Some(kept.parked)
    }

    /// Removes what has been idle too long or is too old, and forgets ended bindings.
    pub fn expire(&mut self, now: Monotonic) -> Vec<(SessionId, Leaving)> {
        self.bindings.expire(now);
        let mut gone = Vec::new();
        while let Some((deadline, session)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            let why = self.sessions.get(&session).map_or(Leaving::Idle, |kept| kept.why);
            self.remove(session);
            gone.push((session, why));
        }
        gone
    }

    /// Removes the sessions that `wanted` names, those idle longest first. O(n).
    pub fn drain(&mut self, wanted: impl Fn(&Parked) -> bool) -> Vec<(SessionId, Leaving)> {
        let gone: Vec<_> = self
            .parked()
            .filter(|(_, parked)| wanted(parked))
            .map(|(session, _)| (session, Leaving::Drained))
            .collect();
        for (session, _) in &gone {
            self.remove(*session);
        }
        gone
    }

    /// Puts other limits in force and returns the sessions that they no longer allow. O(n log n).
    pub fn set_limits(&mut self, limits: Limits, now: Monotonic) -> Vec<(SessionId, Leaving)> {
        if limits == self.limits {
            return Vec::new();
        }
        self.limits = limits;
        self.bindings.clear();
        let all: Vec<_> = self.by_place.values().copied().collect();
        let mut gone = Vec::new();
        for session in all {
            let idle_max = self.sessions.get(&session).and_then(|kept| kept.idle_max);
            let Some(parked) = self.remove(session) else {
                continue;
            };
            let idle_ends = parked.since + self.limits.idle_max;
            if idle_ends <= now {
                gone.push((session, Leaving::Idle));
                continue;
            }
            self.bind(&parked.destination, parked.facts.endpoint, parked.since);
            gone.extend(self.park_as(session, parked));
            if let Some(idle_max) = idle_max {
                self.shorten_idle(session, idle_max);
            }
        }
        gone.extend(self.expire(now));
        gone
    }

    /// When `expire` next has something to do.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let session = self.deadlines.first().map(|(deadline, _)| *deadline);
        let binding = self.bindings.next_deadline();
        session.into_iter().chain(binding).min()
    }

    /// The parked sessions, those idle longest first.
    pub fn parked(&self) -> impl Iterator<Item = (SessionId, &Parked)> {
        self.by_place
            .values()
            .filter_map(|session| Some((*session, &self.sessions.get(session)?.parked)))
    }

    /// A session as it is parked, if it is.
    pub fn get(&self, session: SessionId) -> Option<&Parked> {
        self.sessions.get(&session).map(|kept| &kept.parked)
    }

    /// How many sessions are parked.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Answers whether nothing is parked.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Panics if the tables contradict each other. O(n); for tests.
    pub fn assert_consistent(&self) {
        assert_eq!(self.sessions.len(), self.by_place.len(), "each has one place");
        assert_eq!(self.sessions.len(), self.deadlines.len(), "each has one deadline");
        assert!(self.sessions.len() <= self.limits.sessions_max);
        let listed: usize = self.by_endpoint.values().map(BTreeMap::len).sum();
        assert_eq!(self.sessions.len(), listed, "each is found by its endpoint");
        for (endpoint, places) in &self.by_endpoint {
            assert!(!places.is_empty() && places.len() <= self.limits.sessions_per_endpoint_max);
            for (place, session) in places {
                let kept = &self.sessions[session];
                assert_eq!((kept.parked.facts.endpoint, kept.place), (*endpoint, *place));
                assert_eq!(self.by_place.get(place), Some(session));
                assert!(self.deadlines.contains(&(kept.deadline, *session)));
            }
        }
        self.bindings.assert_consistent();
    }

    fn insert(&mut self, session: SessionId, kept: Kept) {
        self.place_next += 1;
        self.by_endpoint
            .entry(kept.parked.facts.endpoint)
            .or_default()
            .insert(kept.place, session);
        self.by_place.insert(kept.place, session);
        self.deadlines.insert((kept.deadline, session));
        self.sessions.insert(session, kept);
    }

    /// The newest session to `endpoint` that is not expired and fits, with its place.
    fn newest(
        &mut self,
        endpoint: Endpoint,
        requirements: &Requirements,
        now: Monotonic,
    ) -> Option<(u64, SessionId)> {
        let mut unfit = Vec::new();
        let mut newest = None;
        for (place, session) in self.by_endpoint.get(&endpoint)?.iter().rev() {
            let kept = self.sessions.get(session)?;
            if kept.deadline <= now {
                continue;
            }
            match fitness(&kept.parked.facts, requirements, now) {
                Ok(()) => {
                    newest = Some((*place, *session));
                    break;
                }
                Err(reason) => unfit.push((*session, reason)),
            }
        }
        for (session, reason) in unfit {
            self.refuse(session, endpoint, reason, &requirements.destination);
        }
        newest
    }

    fn take(&mut self, found: Option<SessionId>, now: Monotonic) -> Option<(SessionId, Facts)> {
        let session = found?;
        let parked = self.remove(session)?;
        self.count_idle(now - parked.since);
        Some((session, parked.facts))
    }

    /// The session to give way after one was parked for `endpoint`.
    fn surplus(&self, endpoint: Endpoint) -> Option<SessionId> {
        let here = self.by_endpoint.get(&endpoint)?;
        if here.len() > self.limits.sessions_per_endpoint_max {
            return here.values().next().copied();
        }
        if self.sessions.len() > self.limits.sessions_max {
            return self.by_place.values().next().copied();
        }
        None
    }

    fn note_peaks(&mut self) {
        let peaks = &mut self.interval;
        peaks.max_connections = peaks.max_connections.max(self.sessions.len() as u64);
        peaks.max_addresses = peaks.max_addresses.max(self.by_endpoint.len() as u64);
    }
}

/// Bindings kept for each session that may be parked: one session may serve many destinations.
const BINDINGS_PER_SESSION: usize = 16;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
