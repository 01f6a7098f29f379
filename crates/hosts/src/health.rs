//! Whether an endpoint answers at all: failures, growing pauses, one trial at the end of each.
//!
//! # Contract
//! * **A failed dial pauses an endpoint**, the longer the more failed in a row: 1 s … 10 min, with jitter.
//! * **Failures of dials that began together count once**: what began before the last pause, or before the last
//!   answer, says nothing new.
//! * **One trial at its end.** When a pause is over, one dial tries; until it is answered the endpoint
//!   counts as paused for everybody else.
//! * **A session that opens ends the memory of failures.**
//! * **Who lets us in and breaks off every transaction fails too**, from the third in a row on, and each further
//!   one makes the pause longer; one that is accepted ends the row.
//! * **A failed handshake is remembered for [`HANDSHAKE_MEMORY`]**, until one succeeds; a connection in clear
//!   does not end that memory.

use std::time::Duration;

use rand::{Rng, RngExt};
use remuda_clock::Monotonic;
use remuda_mail::{HANDSHAKE_MEMORY, SessionId, Way};

use crate::Hosts;

/// How dials went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Dials that failed since the last that did not.
    pub failures: u32,
    /// Why the last one failed, in words; empty when it did not.
    pub last_failure: String,
    /// When it answered last, and when its last pause began: what began before says nothing new.
    known: Option<Monotonic>,
    /// Not dialled first until then.
    pub paused_until: Monotonic,
    /// When a TLS handshake failed last; None once one has succeeded.
    pub handshake_failed: Option<Monotonic>,
    /// A dial after a pause is under way.
    pub is_on_trial: bool,
    /// Transactions that it broke off since the last that it accepted.
    pub broken: u32,
}

impl Health {
    fn is_paused(&self, now: Monotonic) -> bool {
        self.is_on_trial || self.paused_until > now
    }

    fn mend(&mut self, now: Monotonic) {
        self.known = Some(now);
        self.failures = 0;
        self.last_failure.clear();
        self.paused_until = Monotonic::ZERO;
        self.is_on_trial = false;
    }

    fn fail(&mut self, words: &str, jitter: f64, now: Monotonic) {
        self.last_failure.clear();
        self.last_failure.push_str(words);
        if self.paused_until <= now {
            let broken = self.broken.saturating_sub(BROKEN_MAX);
            self.failures = self.failures.max(broken).saturating_add(1);
            let doublings = (self.failures - 1).min(16);
            let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
            self.known = Some(now);
            self.paused_until = now + pause.mul_f64(jitter);
        }
        self.is_on_trial = false;
    }
}

impl Hosts {
    /// Answers whether others should be tried first.
    pub fn is_paused(&self, way: Way, now: Monotonic) -> bool {
        self.get(way).is_some_and(|record| record.health.is_paused(now))
    }

    /// Until when others should be tried first, while no trial is under way.
    pub fn paused_until(&self, way: Way, now: Monotonic) -> Option<Monotonic> {
        let health = &self.get(way)?.health;
        (health.paused_until > now).then_some(health.paused_until)
    }

    /// Answers whether dials to it have failed and none has succeeded since.
    pub fn is_failing(&self, way: Way) -> bool {
        self.get(way).is_some_and(|record| record.health.failures > 0)
    }

    /// A dial begins.
    pub fn dialled(&mut self, way: Way, dial: SessionId, now: Monotonic) {
        self.change(way, |record| {
            record.speed.dials.push_back((now, dial));
            let health = &mut record.health;
            health.is_on_trial |= health.failures > 0 && health.paused_until <= now;
        });
    }

    /// A dial succeeded, or failed for reasons that are not the endpoint's.
    pub fn answers(&mut self, way: Way, now: Monotonic) {
        self.change(way, |record| record.health.mend(now));
    }

    /// A dial that began then failed, in these words.
    pub fn failed(
        &mut self,
        way: Way,
        (began, words): (Monotonic, &str),
        now: Monotonic,
        rng: &mut impl Rng,
    ) {
        let jitter = rng.random_range(0.9..1.1);
        self.change(way, |record| {
            if record.health.known.is_none_or(|known| began > known) {
                record.health.fail(words, jitter, now);
            }
        });
    }

    /// Dials that failed since the last that did not.
    pub fn failures(&self, way: Way) -> u32 {
        self.get(way).map_or(0, |record| record.health.failures)
    }

    /// A transaction was broken off: the connection lost, a reply that did not come. [`BROKEN_MAX`] in a row are a
    /// failure of the endpoint, as is every further one; answers whether this is.
    pub fn broke(&mut self, way: Way, words: &str, now: Monotonic, rng: &mut impl Rng) -> bool {
        let jitter = rng.random_range(0.9..1.1);
        let mut is_failure = false;
        self.change(way, |record| {
            if record.health.is_paused(now) {
                // Those of one moment are one.
                return;
            }
            record.health.broken = record.health.broken.saturating_add(1);
            is_failure = record.health.broken >= BROKEN_MAX;
            if is_failure {
                record.health.fail(words, jitter, now);
            }
        });
        is_failure
    }

    /// A dial came to nothing for reasons of ours: if it was a trial, another may try.
    pub fn undialled(&mut self, way: Way) {
        self.change(way, |record| record.health.is_on_trial = false);
    }

    /// A TLS handshake failed at `at`.
    pub fn failed_handshake(&mut self, way: Way, at: Monotonic) {
        self.change(way, |record| {
            record.health.handshake_failed = record.health.handshake_failed.max(Some(at));
        });
    }

    /// A TLS handshake succeeded.
    pub fn made_handshake(&mut self, way: Way) {
        let has_failed = |record: &crate::Record| record.health.handshake_failed.is_some();
        if self.get(way).is_some_and(has_failed) {
            self.change(way, |record| record.health.handshake_failed = None);
        }
    }

    /// When a handshake failed, as long as that excuses another try.
    pub fn handshake_failed(&self, way: Way, now: Monotonic) -> Option<Monotonic> {
        let failed = self.get(way)?.health.handshake_failed;
        failed.filter(|at| now - *at < HANDSHAKE_MEMORY)
    }
}

/// Transactions broken off in a row that are a failure.
pub const BROKEN_MAX: u32 = 3;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::tests::{at, way};

    fn fail(hosts: &mut Hosts, now: Monotonic) -> Duration {
        let mut rng = StdRng::seed_from_u64(1);
        hosts.dialled(way(1), SessionId(1), now);
        hosts.failed(way(1), (now, "refused"), now, &mut rng);
        let until = hosts.paused_until(way(1), now);
        until.map_or(Duration::ZERO, |until| until - now)
    }

    fn failures(hosts: &Hosts) -> Option<u32> {
        hosts.get(way(1)).map(|record| record.health.failures)
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
        let until = hosts.paused_until(way(1), at(0));
        fail(&mut hosts, at(10));
        assert_eq!(hosts.paused_until(way(1), at(0)), until);
        assert_eq!(failures(&hosts), Some(1));
        assert!(hosts.is_failing(way(1)) && !hosts.is_failing(way(2)));
    }

    #[test]
    fn a_dial_that_began_before_the_last_answer_says_nothing_new() {
        let mut hosts = Hosts::default();
        let mut rng = StdRng::seed_from_u64(1);
        hosts.answers(way(1), at(100));
        hosts.failed(way(1), (at(0), "timed out"), at(30_000), &mut rng);
        assert!(!hosts.is_paused(way(1), at(30_000)));
        hosts.failed(way(1), (at(101), "refused"), at(30_000), &mut rng);
        assert!(hosts.is_paused(way(1), at(30_000)));
    }

    #[test]
    fn a_session_that_opens_ends_the_memory_of_failures() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        hosts.answers(way(1), at(1));
        assert!(!hosts.is_paused(way(1), at(1)) && failures(&hosts) == Some(0));
    }

    #[test]
    fn one_dial_tries_when_a_pause_is_over() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        assert!(hosts.is_paused(way(1), at(500)));
        assert!(!hosts.is_paused(way(1), at(2000)));
        hosts.dialled(way(1), SessionId(1), at(2000));
        assert!(hosts.is_paused(way(1), at(2001)), "for all others");
        hosts.answers(way(1), at(0));
        assert!(!hosts.is_paused(way(1), at(2002)));
        assert_eq!(failures(&hosts), Some(0));
    }

    #[test]
    fn who_breaks_off_every_transaction_fails_from_the_third_in_a_row_on() {
        let mut hosts = Hosts::default();
        let mut rng = StdRng::seed_from_u64(1);
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            hosts.broke(way(1), "lost", now, &mut rng);
            let pause = hosts
                .paused_until(way(1), now)
                .map_or(0, |until| (until - now).as_secs_f64().round() as u64);
            pauses.push(pause);
            now += Duration::from_secs(pause + 1);
            hosts.answers(way(1), at(0));
        }
        assert_eq!(pauses, [0, 0, 1, 2, 4]);
        hosts.accepted(way(1), Some(Duration::from_millis(1)), now);
        assert!(!hosts.broke(way(1), "lost", now, &mut rng));
    }

    #[test]
    fn a_failed_handshake_is_remembered_for_an_hour_or_until_one_succeeds() {
        let mut hosts = Hosts::default();
        hosts.failed_handshake(way(1), at(1000));
        hosts.answers(way(1), at(0));
        assert_eq!(hosts.handshake_failed(way(1), at(3_600_999)), Some(at(1000)));
        assert_eq!(hosts.handshake_failed(way(1), at(3_601_000)), None);
        // Told again of what it knows, it does not begin anew.
        hosts.failed_handshake(way(1), at(1000));
        assert_eq!(hosts.handshake_failed(way(1), at(3_601_000)), None);
        hosts.failed_handshake(way(1), at(4_000_000));
        hosts.made_handshake(way(1));
        assert_eq!(hosts.handshake_failed(way(1), at(4_000_001)), None);
        hosts.made_handshake(way(2));
        assert_eq!(hosts.len(), 1);
    }

    #[test]
    fn a_trial_that_comes_to_nothing_through_us_leaves_room_for_another() {
        let mut hosts = Hosts::default();
        fail(&mut hosts, at(0));
        hosts.dialled(way(1), SessionId(1), at(2000));
        hosts.undialled(way(1));
        assert!(!hosts.is_paused(way(1), at(2001)));
        hosts.dialled(way(1), SessionId(1), at(2001));
        assert!(
            hosts.is_paused(way(1), at(2002)),
            "it failed before, and is on trial"
        );
    }
}
