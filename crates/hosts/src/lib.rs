//! What is remembered of an endpoint: one bounded, ageing record, shared by all destinations.
//!
//! A thousand domains may share one server. What one delivery learned of it, that it does not answer or
//! how long it takes, is of use to all; so it is kept here by endpoint and not by destination. A receiver
//! judges each of our addresses by itself; so with several sources there is a record for each [`Way`].
//!
//! ```text
//!   health   does it answer: failures, pauses, trials        speed   how long it takes
//!   trial    when one that others are preferred to is tried again
//!   room     how many connections it allows                  reuse   what it bears of reuse
//!   trust    what may be in flight at once                   rhythm  how close together its mail comes
//! ```
//!
//! # Contract
//! * **The number of sessions is exact**: a record with sessions is never forgotten.
//! * **Each of our addresses has its own record of an endpoint.**
//! * **Callers report every dial** with [`Hosts::dialled`] and then `answers`, `failed` or `undialled`, and
//!   every change of sessions and connections.
//!
//! # Not here
//! The choice among equal endpoints: `dispatch`.
//!
//! # Limits
//! [`RECORDS_MAX`] records; the one used least recently goes first.

mod health;
mod reuse;
mod rhythm;
mod room;
mod speed;
mod trial;
mod trust;

use std::{collections::BTreeMap, time::Duration};

use hashbrown::HashMap;
use remuda_clock::Monotonic;
use remuda_mail::Way;

pub use self::{
    health::{BROKEN_MAX, Health},
    reuse::{BARRED, DEATHS_MAX, IDLE_TAUGHT_MIN, KEPT, Met},
    rhythm::Rhythm,
    room::{OPENED_FOR_ONE, RAISED_FIRST, Room},
    speed::{Question, Speed},
    trial::{TRIAL_MAX, TRIAL_MIN, TRIAL_SHARE},
};
use crate::{reuse::Reuse, trial::Trial, trust::Trust};

/// The records of all endpoints.
#[derive(Debug)]
pub struct Hosts {
    records: HashMap<Way, Record>,
    /// By last use; records with sessions are not in it.
    idle: BTreeMap<u64, Way>,
    use_next: u64,
    records_max: usize,
}

/// What is remembered of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Sessions to it that are busy or being opened.
    pub sessions: u32,
    /// Whether it answers.
    pub health: Health,
    /// How long it takes.
    pub speed: Speed,
    /// How many connections it allows.
    pub room: Room,
    /// What it bears of reuse.
    reuse: Reuse,
    trial: Trial,
    trust: Trust,
    /// Of transactions, whosever they are.
    rhythm: Rhythm,
    last_use: u64,
}

impl Record {
    /// Answers whether there is no session, so that it may be forgotten for another.
    fn is_idle(&self) -> bool {
        self.sessions == 0 && self.room.open == 0
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Hosts::new(RECORDS_MAX)
    }
}

impl Hosts {
    /// No records, and room for `records_max` without sessions.
    pub fn new(records_max: usize) -> Self {
        Hosts {
            records: HashMap::new(),
            idle: BTreeMap::new(),
            use_next: 0,
            records_max: records_max.max(1),
        }
    }

    /// What is remembered of an endpoint.
    pub fn get(&self, way: Way) -> Option<&Record> {
        self.records.get(&way)
    }

    /// Sessions to an endpoint that are busy or being opened.
    pub fn sessions(&self, way: Way) -> u32 {
        self.get(way).map_or(0, |record| record.sessions)
    }

    /// A session became busy or is being opened.
    pub fn add_session(&mut self, way: Way) {
        self.change(way, |record| record.sessions += 1);
    }

    /// A session is no longer busy.
    ///
    /// # Panics
    /// If there was none: sessions were counted wrongly.
    pub fn remove_session(&mut self, way: Way) {
        self.change(way, |record| {
            assert!(record.sessions > 0, "a session that ends was counted");
            record.sessions -= 1;
        });
    }

    /// A message comes for it.
    pub fn came(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| record.rhythm.note(now));
    }

    /// Answers whether another transaction, of whichever destination, is likely within `idle_max`.
    pub fn is_likely(&self, way: Way, now: Monotonic, idle_max: Duration) -> bool {
        self.get(way)
            .is_some_and(|record| record.rhythm.is_likely(now, idle_max))
    }

    /// A transaction was answered in order; `has_refused_recipient`: with a refusal among the replies.
    pub fn answered_in_order(&mut self, way: Way, has_refused_recipient: bool) {
        self.change(way, |record| record.trust.answered(has_refused_recipient));
    }

    /// A reply did not fit its command: for an hour nothing goes out unasked.
    pub fn surprised(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| record.trust.surprised(now));
    }

    /// A session ended with several transactions under way.
    pub fn stumbled(&mut self, way: Way) {
        self.change(way, |record| record.trust.stumbled());
    }

    /// Answers whether content may go out with its commands; `is_private`: on a session with credentials.
    pub fn may_fly(&self, way: Way, is_private: bool, now: Monotonic) -> bool {
        self.get(way)
            .map_or(!is_private, |record| record.trust.may_fly(is_private, now))
    }

    /// How many transactions may be under way on one session, from 1 to `max`.
    pub fn depth(&self, way: Way, max: u32, now: Monotonic) -> u32 {
        self.get(way).map_or(1, |record| record.trust.depth(max, now))
    }

    /// Forgets what was learned of an endpoint, because an operator says so. What is under way stays counted.
    pub fn forgive(&mut self, way: Way) {
        if self.records.contains_key(&way) {
            self.answers(way, Monotonic::ZERO);
            self.made_handshake(way);
            self.change(way, |record| {
                record.health.broken = 0;
                record.trust = Trust::default();
                record.reuse = Reuse::default();
                record.speed.forget();
                record.trial = Trial::default();
                record.room.forget();
            });
        }
    }

    /// All records, in the order of their ways.
    pub fn records(&self) -> Vec<(Way, &Record)> {
        let mut all: Vec<_> = self.records.iter().map(|(way, record)| (*way, record)).collect();
        all.sort_unstable_by_key(|(way, _)| *way);
        all
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Answers whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Changes a record, marks it as used, and forgets another if there are too many. O(log n).
    fn change(&mut self, way: Way, change: impl FnOnce(&mut Record)) {
        let record = self.records.entry(way).or_default();
        if record.is_idle() {
            self.idle.remove(&record.last_use);
        }
        self.use_next += 1;
        record.last_use = self.use_next;
        change(record);
        if record.is_idle() {
            self.idle.insert(record.last_use, way);
        }
        if self.idle.len() > self.records_max
            && let Some((_, oldest)) = self.idle.pop_first()
        {
            self.records.remove(&oldest);
        }
    }
}

/// Records of endpoints without sessions: some megabytes.
pub const RECORDS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};
    use remuda_mail::Endpoint;

    use super::*;

    pub(crate) fn way(n: u16) -> Way {
        Endpoint::Tcp(std::net::SocketAddr::from(([192, 0, 2, 1], n))).into()
    }

    pub(crate) fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn the_record_used_least_recently_is_forgotten_but_none_with_sessions() {
        let mut hosts = Hosts::new(2);
        hosts.add_session(way(1));
        hosts.let_in(way(1), at(0));
        for port in 2..=4 {
            hosts.accepted(way(port), Some(Duration::from_millis(1)), at(0));
        }
        hosts.accepted(way(3), Some(Duration::from_millis(1)), at(0));
        hosts.accepted(way(5), Some(Duration::from_millis(1)), at(0));
        assert_eq!(hosts.sessions(way(1)), 1);
        assert!(hosts.get(way(3)).is_some() && hosts.get(way(5)).is_some());
        assert_eq!(hosts.len(), 3);
        hosts.remove_session(way(1));
        assert_eq!(hosts.len(), 3, "it is parked");
        hosts.let_out(way(1));
        assert_eq!(hosts.len(), 2, "now it is one of them");
    }

    #[test]
    fn what_is_forgiven_is_forgotten_and_what_is_under_way_is_not() {
        let mut hosts = Hosts::default();
        let mut rng = StdRng::seed_from_u64(1);
        hosts.let_in(way(1), at(0));
        hosts.met_room(way(1), at(0));
        hosts.accepted(way(1), Some(Duration::from_secs(9)), at(0));
        hosts.dialled(way(1), remuda_mail::SessionId(7), at(0));
        hosts.failed(way(1), (at(0), "refused"), at(0), &mut rng);
        hosts.forgive(way(1));
        assert!(!hosts.is_paused(way(1), at(1)) && hosts.has_room(way(1), at(1)));
        assert_eq!(
            (hosts.wait(way(1)), hosts.open(way(1)), hosts.dials(way(1))),
            (None, 1, 1)
        );
        hosts.forgive(way(9));
        assert_eq!(hosts.len(), 1);
    }

    #[test]
    fn each_of_our_addresses_has_its_own_record_of_an_endpoint() {
        let mut hosts = Hosts::default();
        let from = |n: u8| Way {
            source: Some([192, 0, 2, n].into()),
            ..way(1)
        };
        let mut rng = StdRng::seed_from_u64(1);
        hosts.failed(from(101), (at(0), "refused"), at(0), &mut rng);
        hosts.add_session(from(102));
        assert!(hosts.is_paused(from(101), at(1)) && !hosts.is_paused(from(102), at(1)));
        assert!(!hosts.is_paused(way(1), at(1)));
        assert_eq!((hosts.sessions(from(101)), hosts.sessions(from(102))), (0, 1));
    }
}
