//! What is remembered of an endpoint: one bounded, ageing record, shared by all destinations.
//!
//! A thousand domains may share one server. What one delivery learned of it, that it does not answer or
//! how long it takes, is of use to all; so it is kept here by endpoint and not by destination. A receiver
//! judges each of our addresses by itself; so with several sources there is a record for each [`Way`].
//!
//! # Contract
//! * **A failed dial pauses an endpoint**, the longer the more failed in a row: 1 s … 10 min, with jitter. A
//!   pause is advice: a delivery tries another candidate first, and still tries this one before it gives up.
//! * **One trial at its end.** When a pause is over, one dial tries; until it is answered the endpoint
//!   counts as paused for everybody else.
//! * **A session that opens ends the memory of failures.**
//! * **Only accepted transactions feed the smoothed wait**, as waits for replies and not transfer.
//! * **A failed handshake is remembered for [`HANDSHAKE_MEMORY`]**, until one succeeds; a connection in clear
//!   does not end that memory.
//! * **The number of sessions is exact**: a record with sessions is never forgotten.
//! * **What an endpoint bears of reuse is learned and forgotten again**: see `reuse`.
//! * **Callers report every dial** with [`Hosts::dialled`] and then `opened`, `failed` or `undialled`, and
//!   every change of sessions.
//!
//! # Not here
//! The choice among equal endpoints and every limit: `dispatch`.
//!
//! # Limits
//! [`RECORDS_MAX`] records; the one used least recently goes first.

mod reuse;
mod rhythm;
mod trust;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rand::{Rng, RngExt};
use remuda_clock::Monotonic;
use remuda_mail::{HANDSHAKE_MEMORY, Way};

pub use self::{
    reuse::{BARRED, DEATHS_MAX, IDLE_TAUGHT_MIN, KEPT, Met},
    rhythm::Rhythm,
};
use crate::{reuse::Reuse, trust::Trust};

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
    /// Dials that failed since the last that did not.
    pub failures: u32,
    /// Why the last one failed, in words; empty when it did not.
    pub last_failure: String,
    /// Not dialled first until then.
    pub paused_until: Monotonic,
    /// Smoothed time spent waiting for replies in a transaction.
    pub wait: Option<Duration>,
    /// When a TLS handshake failed last; None once one has succeeded.
    pub handshake_failed: Option<Monotonic>,
    /// What it bears of reuse.
    reuse: Reuse,
    /// A dial after a pause is under way.
    is_on_trial: bool,
    trust: Trust,
    /// Of transactions, whosever they are.
    rhythm: Rhythm,
    last_use: u64,
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

    /// Answers whether others should be tried first.
    pub fn is_paused(&self, way: Way, now: Monotonic) -> bool {
        self.get(way)
            .is_some_and(|record| record.is_on_trial || record.paused_until > now)
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

    /// A dial begins.
    pub fn dialled(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| {
            record.is_on_trial |= record.failures > 0 && record.paused_until <= now;
        });
    }

    /// A dial succeeded.
    pub fn opened(&mut self, way: Way) {
        self.change(way, |record| {
            record.failures = 0;
            record.last_failure.clear();
            record.paused_until = Monotonic::ZERO;
            record.is_on_trial = false;
        });
    }

    /// A dial failed. Failures of dials that began together count once: within a pause it does not grow.
    pub fn failed(&mut self, way: Way, words: &str, now: Monotonic, rng: &mut impl Rng) {
        let jitter = rng.random_range(0.9..1.1);
        self.change(way, |record| {
            record.last_failure.clear();
            record.last_failure.push_str(words);
            if record.paused_until <= now {
                record.failures = record.failures.saturating_add(1);
                let doublings = (record.failures - 1).min(16);
                let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
                record.paused_until = now + pause.mul_f64(jitter);
            }
            record.is_on_trial = false;
        });
    }

    /// A TLS handshake failed at `at`.
    pub fn failed_handshake(&mut self, way: Way, at: Monotonic) {
        self.change(way, |record| {
            record.handshake_failed = record.handshake_failed.max(Some(at));
        });
    }

    /// A TLS handshake succeeded.
    pub fn made_handshake(&mut self, way: Way) {
        if self
            .get(way)
            .is_some_and(|record| record.handshake_failed.is_some())
        {
            self.change(way, |record| record.handshake_failed = None);
        }
    }

    /// When a handshake failed, as long as that excuses another try.
    pub fn handshake_failed(&self, way: Way, now: Monotonic) -> Option<Monotonic> {
        self.get(way)?
            .handshake_failed
            .filter(|at| now - *at < HANDSHAKE_MEMORY)
    }

    /// A dial came to nothing for reasons of ours: if it was a trial, another may try.
    pub fn undialled(&mut self, way: Way) {
        self.change(way, |record| record.is_on_trial = false);
    }

    /// A transaction was accepted after `wait` of waiting for replies.
    pub fn waited(&mut self, way: Way, wait: Duration) {
        self.change(way, |record| {
            record.wait = Some(match record.wait {
                None => wait,
                Some(smoothed) => smoothed * 7 / 8 + wait / 8,
            });
        });
    }

    /// A transaction begins.
    pub fn began(&mut self, way: Way, now: Monotonic) {
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

    /// Forgets the failures and the limits of an endpoint, because an operator says so.
    pub fn forgive(&mut self, way: Way) {
        if self.records.contains_key(&way) {
            self.opened(way);
            self.made_handshake(way);
            self.change(way, |record| record.reuse = Reuse::default());
        }
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
        self.idle.remove(&record.last_use);
        self.use_next += 1;
        record.last_use = self.use_next;
        change(record);
        if record.sessions == 0 {
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

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use remuda_mail::Endpoint;

    use super::*;

    fn endpoint(n: u16) -> Way {
        Endpoint(std::net::SocketAddr::from(([192, 0, 2, 1], n))).into()
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    fn fail(hosts: &mut Hosts, now: Monotonic) -> Duration {
        let mut rng = StdRng::seed_from_u64(1);
        hosts.dialled(endpoint(1), now);
        hosts.failed(endpoint(1), "refused", now, &mut rng);
        hosts
            .get(endpoint(1))
            .map_or(Duration::ZERO, |record| record.paused_until - now)
    }

    #[test]
    fn pauses_grow_from_a_second_to_ten_minutes() {
        let mut hosts = Hosts::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..14 {
            let pause = fail(&mut hosts, now);
            now += pause;
            pauses.push(pause.as_secs_f64());
        }
        assert!(
            (0.9..1.1).contains(&pauses[0]) && (1.8..2.2).contains(&pauses[1]),
            "{pauses:?}"
        );
        assert!((540.0..=660.0).contains(&pauses[13]), "{pauses:?}");
    }

    #[test]
    fn failures_within_a_pause_count_once() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        let until = hosts.get(endpoint(1)).map(|record| record.paused_until);
        fail(&mut hosts, at(10));
        assert_eq!(hosts.get(endpoint(1)).map(|record| record.paused_until), until);
        assert_eq!(hosts.get(endpoint(1)).map(|record| record.failures), Some(1));
    }

    #[test]
    fn one_dial_tries_when_a_pause_is_over() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        assert!(hosts.is_paused(endpoint(1), at(500)));
        assert!(!hosts.is_paused(endpoint(1), at(2000)));
        hosts.dialled(endpoint(1), at(2000));
        assert!(hosts.is_paused(endpoint(1), at(2001)), "for all others");
        hosts.opened(endpoint(1));
        assert!(!hosts.is_paused(endpoint(1), at(2002)));
        assert_eq!(hosts.get(endpoint(1)).map(|record| record.failures), Some(0));
    }

    #[test]
    fn a_failed_handshake_is_remembered_for_an_hour_or_until_one_succeeds() {
        let mut hosts = Hosts::default();
        hosts.failed_handshake(endpoint(1), at(1000));
        hosts.opened(endpoint(1));
        assert_eq!(hosts.handshake_failed(endpoint(1), at(3_600_999)), Some(at(1000)));
        assert_eq!(hosts.handshake_failed(endpoint(1), at(3_601_000)), None);
        // Told again of what it knows, it does not begin anew.
        hosts.failed_handshake(endpoint(1), at(1000));
        assert_eq!(hosts.handshake_failed(endpoint(1), at(3_601_000)), None);
        hosts.failed_handshake(endpoint(1), at(4_000_000));
        hosts.made_handshake(endpoint(1));
        assert_eq!(hosts.handshake_failed(endpoint(1), at(4_000_001)), None);
        hosts.made_handshake(endpoint(2));
        assert_eq!(hosts.len(), 1);
    }

    #[test]
    fn a_trial_that_comes_to_nothing_through_us_leaves_room_for_another() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        hosts.dialled(endpoint(1), at(2000));
        hosts.undialled(endpoint(1));
        assert!(!hosts.is_paused(endpoint(1), at(2001)));
        hosts.dialled(endpoint(1), at(2001));
        assert!(
            hosts.is_paused(endpoint(1), at(2002)),
            "it failed before, and is on trial"
        );
    }

    #[test]
    fn the_wait_is_smoothed() {
        let mut hosts = Hosts::default();
        hosts.waited(endpoint(1), Duration::from_millis(80));
        hosts.waited(endpoint(1), Duration::from_millis(160));
        let wait = hosts.get(endpoint(1)).and_then(|record| record.wait);
        assert_eq!(wait, Some(Duration::from_millis(90)));
    }

    #[test]
    fn the_record_used_least_recently_is_forgotten_but_none_with_sessions() {
        let mut hosts = Hosts::new(2);
        hosts.add_session(endpoint(1));
        for port in 2..=4 {
            hosts.waited(endpoint(port), Duration::from_millis(1));
        }
        hosts.waited(endpoint(3), Duration::from_millis(1));
        hosts.waited(endpoint(5), Duration::from_millis(1));
        assert_eq!(hosts.sessions(endpoint(1)), 1);
        assert!(hosts.get(endpoint(3)).is_some() && hosts.get(endpoint(5)).is_some());
        assert_eq!(hosts.len(), 3);
        hosts.remove_session(endpoint(1));
        assert_eq!(hosts.len(), 2, "now it is one of them");
    }

    #[test]
    fn forgiven_failures_are_forgotten() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        hosts.forgive(endpoint(1));
        assert!(!hosts.is_paused(endpoint(1), at(1)));
        hosts.forgive(endpoint(9));
        assert_eq!(hosts.len(), 1);
    }

    #[test]
    fn each_of_our_addresses_has_its_own_record_of_an_endpoint() {
        let mut hosts = Hosts::default();
        let from = |n: u8| Way {
            source: Some([192, 0, 2, n].into()),
            ..endpoint(1)
        };
        let mut rng = StdRng::seed_from_u64(1);
        hosts.failed(from(101), "refused", at(0), &mut rng);
        hosts.add_session(from(102));
        assert!(hosts.is_paused(from(101), at(1)) && !hosts.is_paused(from(102), at(1)));
        assert!(!hosts.is_paused(endpoint(1), at(1)));
        assert_eq!((hosts.sessions(from(101)), hosts.sessions(from(102))), (0, 1));
    }
}
