//! How long an endpoint takes: what the next transaction on it may be expected to last.
//!
//! ```text
//!   expected = time of one × (sessions in use + 1)      + time to open a session, if none lies warm
//!              └ smoothed waits for replies,
//!                or half the mean age of those that are unanswered, if that is longer
//! ```
//!
//! The sessions in use stand for the queue in front of the server: without them all mail would go to
//! the host that was fastest a moment ago, all at once.
//!
//! # Contract
//! * **Only accepted transactions feed the smoothed wait**, as waits for replies and not transfer, so that a
//!   large message does not make its host look slow.
//! * **A host that stalls is noticed before it answers**: what is unanswered counts with half of its mean age (the
//!   oldest of several lasts long on any host), and a dial with all of it. A transaction with much content does not, since its age is our transfer.
//! * **A host that defers quickly attracts nothing.** A transaction of which nothing is accepted counts as the slowest sibling's time, stays in use for that long, and weighs more with each in a row.
//! * **A host that has become faster is half believed at once**, so that a few trials bring it back; one slow
//!   answer weighs an eighth, because every host has some.
//!
//! # Not here
//! When an endpoint that others are preferred to is tried again: `trial`.
//!
//! # Rejected
//! * The mean since start: a host that recovers would need as long as it was slow.
//! * Transactions a second: it measures our choice and not the host.
//! * Deferrals as failures that pause: one sender's 4xx would pause the host for all.

use std::{collections::VecDeque, time::Duration};

use remuda_clock::Monotonic;
use remuda_mail::{SessionId, Way};

use crate::{Hosts, Record};

/// What is known of an endpoint's speed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Speed {
    /// When a transaction was accepted last: what is unanswered is old from then on.
    accepted: Monotonic,
    /// Smoothed time spent waiting for replies in a transaction.
    pub wait: Option<Duration>,
    /// Smoothed time from a dial to the TCP connection.
    pub connecting: Option<Duration>,
    /// Smoothed time from the connection to a session that is ready: greeting, EHLO, TLS, AUTH.
    pub greeting: Option<Duration>,
    /// Smoothed time from a dial to a session that is ready.
    pub opening: Option<Duration>,
    /// Transactions in a row of which nothing was accepted.
    pub deferring: u32,
    /// What such a transaction counts as.
    deferred_as: Duration,
    /// Those are in use until then, oldest first.
    ghosts: VecDeque<Monotonic>,
    /// Transactions with little content that wait for replies, oldest first.
    under_way: VecDeque<(Monotonic, SessionId)>,
    /// Dials under way, oldest first.
    pub(crate) dials: VecDeque<(Monotonic, SessionId)>,
}

impl Speed {
    /// The time of one transaction; `unknown`: where nothing is known.
    fn time_of_one(&self, now: Monotonic, unknown: Duration) -> Duration {
        let smoothed = self.wait.unwrap_or(unknown);
        let time = smoothed.max(self.mean_age(now) / AGE_TIMES);
        match self.deferring {
            0 => time,
            times => time.max(self.deferred_as) * times.min(DEFERRING_MAX),
        }
    }

    /// How long those that are unanswered have lasted, on the average: the oldest of several is old on any host.
    fn mean_age(&self, now: Monotonic) -> Duration {
        let ages = self
            .under_way
            .iter()
            .map(|(since, _)| now - (*since).max(self.accepted));
        let count = u32::try_from(self.under_way.len()).unwrap_or(u32::MAX);
        ages.sum::<Duration>() / count.max(1)
    }

    /// The time to open a session; at least as long as the oldest dial has taken.
    fn time_to_open(&self, now: Monotonic, unknown: Duration) -> Duration {
        let age = self.dials.front().map(|(since, _)| now - *since);
        let usual = self.opening.unwrap_or(unknown).max(OPENING_MIN);
        usual.max(age.unwrap_or_default())
    }

    fn ghosts(&self, now: Monotonic) -> u32 {
        let alive = self.ghosts.iter().filter(|until| **until > now).count();
        u32::try_from(alive).unwrap_or(u32::MAX)
    }

    /// Forgets what was learned; what is under way stays.
    pub(crate) fn forget(&mut self) {
        *self = Speed {
            under_way: std::mem::take(&mut self.under_way),
            dials: std::mem::take(&mut self.dials),
            ..Speed::default()
        };
    }
}

/// What is asked of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// When.
    pub now: Monotonic,
    /// A transaction's time where nothing is known.
    pub unknown: Duration,
    /// The time to open a session where nothing is known.
    pub unknown_opening: Duration,
    /// A session lies warm.
    pub is_warm: bool,
    /// Of the sessions in use one is the asker's own.
    pub is_own: bool,
}

impl Hosts {
    /// How long a transaction begun now is expected to last.
    pub fn expected(&self, way: Way, question: Question) -> Duration {
        let Question {
            now,
            unknown,
            unknown_opening,
            is_warm,
            is_own,
        } = question;
        let nothing = Record::default();
        let Record { sessions, speed, .. } = self.get(way).unwrap_or(&nothing);
        let in_use = (sessions + speed.ghosts(now)).saturating_sub(u32::from(is_own));
        let time = speed.time_of_one(now, unknown).saturating_mul(in_use + 1);
        match is_warm {
            true => time,
            false => time.saturating_add(speed.time_to_open(now, unknown_opening)),
        }
    }

    /// A transaction's smoothed time.
    pub fn wait(&self, way: Way) -> Option<Duration> {
        self.get(way)?.speed.wait
    }

    /// The smoothed time to open a session.
    pub fn opening(&self, way: Way) -> Option<Duration> {
        self.get(way)?.speed.opening
    }

    /// A transaction is waited for on a session; `is_small`: its age tells of the host.
    pub fn began(&mut self, way: Way, session: SessionId, is_small: bool, now: Monotonic) {
        self.change(way, |record| {
            record.trial.began(now);
            let speed = &mut record.speed;
            if is_small && !speed.under_way.iter().any(|(_, other)| *other == session) {
                speed.under_way.push_back((now, session));
            }
        });
    }

    /// The transaction waited for is answered; `is_followed`: by the next on the session.
    pub fn answered(&mut self, way: Way, session: SessionId, is_followed: bool, now: Monotonic) {
        self.change(way, |record| {
            let under_way = &mut record.speed.under_way;
            under_way.retain(|(_, other)| *other != session);
            if is_followed {
                under_way.push_back((now, session));
            }
        });
    }

    /// A transaction was accepted, after `wait` of waiting for replies, if that tells of the host.
    pub fn accepted(&mut self, way: Way, wait: Option<Duration>, now: Monotonic) {
        self.change(way, |record| {
            let speed = &mut record.speed;
            speed.accepted = now;
            speed.deferring = 0;
            speed.ghosts.clear();
            record.health.broken = 0;
            let Some(wait) = wait else { return };
            if speed.wait.is_some_and(|so_far| wait * 2 < so_far) {
                record.trial.hasten();
            }
            speed.wait = Some(smoothed(speed.wait, wait));
        });
    }

    /// A transaction ended and nothing was accepted, where the slowest sibling takes `slowest`.
    pub fn deferred(&mut self, way: Way, slowest: Duration, now: Monotonic) {
        self.change(way, |record| {
            let speed = &mut record.speed;
            speed.deferring = speed.deferring.saturating_add(1);
            speed.deferred_as = slowest.max(speed.wait.unwrap_or_default());
            let counts_as = (speed.deferred_as * speed.deferring.min(DEFERRING_MAX)).min(GHOST_MAX);
            speed.ghosts.retain(|until| *until > now);
            if speed.ghosts.len() < GHOSTS_MAX {
                speed.ghosts.push_back(now + counts_as);
            }
        });
    }

    /// A dial is over.
    pub fn ended_dial(&mut self, way: Way, dial: SessionId) {
        self.change(way, |record| {
            record.speed.dials.retain(|(_, other)| *other != dial)
        });
    }

    /// Dials under way.
    pub fn dials(&self, way: Way) -> u32 {
        let dials = self.get(way).map_or(0, |record| record.speed.dials.len());
        u32::try_from(dials).unwrap_or(u32::MAX)
    }

    /// A dial has connected, after so long.
    pub fn connected(&mut self, way: Way, after: Duration) {
        self.change(way, |record| {
            record.speed.connecting = Some(smoothed(record.speed.connecting, after));
        });
    }

    /// A dial has become a session, so long after it had connected.
    pub fn greeted(&mut self, way: Way, after: Duration) {
        self.change(way, |record| {
            record.speed.greeting = Some(smoothed(record.speed.greeting, after));
        });
    }

    /// A dial was given up after so long: a session takes longer than that, and each such dial makes it look longer
    /// still, so that they become rare.
    pub fn not_opened(&mut self, way: Way, after: Duration, now: Monotonic) {
        self.change(way, |record| {
            record.trial.began(now);
            let opening = record.speed.opening.unwrap_or(OPENING_MIN).saturating_mul(2);
            record.speed.opening = Some(opening.max(after).min(OPENING_MAX));
        });
    }

    /// A dial has become a session, after so long.
    pub fn opened_after(&mut self, way: Way, after: Duration) {
        self.change(way, |record| {
            if record.speed.opening.is_some_and(|so_far| after * 2 < so_far) {
                record.trial.hasten();
            }
            record.speed.opening = Some(smoothed(record.speed.opening, after));
        });
    }
}

/// The next value of a smoothed time.
fn smoothed(so_far: Option<Duration>, new: Duration) -> Duration {
    match so_far {
        None => new,
        Some(old) if new * 2 < old => (old + new) / 2,
        Some(old) => old * 7 / 8 + new / 8,
    }
}

/// What is unanswered may well be so many times as old as one takes.
const AGE_TIMES: u32 = 2;
/// Weight of deferrals in a row: enough that the host gets nothing but trials.
const DEFERRING_MAX: u32 = 1024;
/// A session at hand is better than one that is to be opened, however near the host.
const OPENING_MIN: Duration = Duration::from_millis(1);
/// No dial takes longer: connect, greeting, EHLO.
const OPENING_MAX: Duration = Duration::from_secs(900);
/// One counts as in use for so long at the most.
const GHOST_MAX: Duration = Duration::from_secs(60);
/// Deferred transactions that count as in use at once.
const GHOSTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, way};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn question(now: Monotonic) -> Question {
        Question {
            now,
            unknown: MS(10),
            unknown_opening: MS(5),
            is_warm: true,
            is_own: false,
        }
    }

    fn expected(hosts: &Hosts, n: u16, now: u64) -> Duration {
        hosts.expected(way(n), question(at(now)))
    }

    #[test]
    fn the_wait_is_smoothed() {
        let mut hosts = Hosts::default();
        hosts.accepted(way(1), Some(MS(80)), at(0));
        hosts.accepted(way(1), Some(MS(160)), at(0));
        assert_eq!(hosts.wait(way(1)), Some(MS(90)));
    }

    #[test]
    fn a_host_that_has_become_faster_is_half_believed_at_once() {
        let mut hosts = Hosts::default();
        hosts.accepted(way(1), Some(MS(2000)), at(0));
        let waits: Vec<_> = (0..6)
            .map(|_| {
                hosts.accepted(way(1), Some(MS(50)), at(0));
                hosts.wait(way(1)).unwrap().as_millis()
            })
            .collect();
        assert_eq!(waits, [1025, 537, 293, 171, 110, 80]);
    }

    #[test]
    fn sessions_in_use_and_a_cold_start_cost() {
        let mut hosts = Hosts::default();
        assert_eq!(expected(&hosts, 1, 0), MS(10), "unknown");
        hosts.accepted(way(1), Some(MS(50)), at(0));
        hosts.add_session(way(1));
        hosts.add_session(way(1));
        assert_eq!(expected(&hosts, 1, 0), MS(150));
        let own = Question {
            is_own: true,
            ..question(at(0))
        };
        assert_eq!(hosts.expected(way(1), own), MS(100));
        let cold = Question {
            is_warm: false,
            ..question(at(0))
        };
        assert_eq!(hosts.expected(way(1), cold), MS(155));
        hosts.opened_after(way(1), MS(30));
        assert_eq!(hosts.expected(way(1), cold), MS(180));
    }

    #[test]
    fn a_host_that_stalls_is_noticed_before_it_answers() {
        let mut hosts = Hosts::default();
        hosts.accepted(way(1), Some(MS(50)), at(0));
        hosts.began(way(1), SessionId(1), true, at(0));
        hosts.began(way(1), SessionId(2), true, at(100));
        assert_eq!(expected(&hosts, 1, 150), MS(50), "any host has such");
        assert_eq!(expected(&hosts, 1, 450), MS(200));
        hosts.answered(way(1), SessionId(1), true, at(450));
        assert_eq!(
            expected(&hosts, 1, 550),
            MS(137) + MS(1) / 2,
            "the new one counts too"
        );
        hosts.answered(way(1), SessionId(2), false, at(400));
        hosts.answered(way(1), SessionId(1), false, at(400));
        assert_eq!(expected(&hosts, 1, 900), MS(50));
    }

    #[test]
    fn a_large_message_does_not_make_its_host_look_slow() {
        let mut hosts = Hosts::default();
        hosts.accepted(way(1), Some(MS(50)), at(0));
        hosts.began(way(1), SessionId(1), false, at(0));
        assert_eq!(expected(&hosts, 1, 60_000), MS(50));
    }

    #[test]
    fn a_dial_that_takes_long_counts_with_its_age_until_it_is_over() {
        let mut hosts = Hosts::default();
        hosts.dialled(way(1), SessionId(1), at(0));
        let cold = |now| Question {
            is_warm: false,
            ..question(at(now))
        };
        assert_eq!(hosts.expected(way(1), cold(3000)), MS(3010));
        assert_eq!(hosts.dials(way(1)), 1);
        hosts.ended_dial(way(1), SessionId(1));
        assert_eq!(hosts.expected(way(1), cold(3000)), MS(15));
    }

    #[test]
    fn dials_given_up_make_a_host_look_slower_until_one_opens() {
        let mut hosts = Hosts::default();
        hosts.not_opened(way(1), MS(300), at(0));
        hosts.not_opened(way(1), MS(10), at(0));
        assert_eq!(hosts.opening(way(1)), Some(MS(600)));
        for _ in 0..100 {
            hosts.not_opened(way(1), MS(10), at(0));
        }
        assert_eq!(hosts.opening(way(1)), Some(OPENING_MAX));
        for _ in 0..20 {
            hosts.opened_after(way(1), MS(20));
        }
        assert!(hosts.opening(way(1)).unwrap() < MS(100));
    }

    #[test]
    fn a_host_that_defers_quickly_attracts_nothing() {
        let mut hosts = Hosts::default();
        hosts.accepted(way(1), Some(MS(5)), at(0));
        hosts.deferred(way(1), MS(100), at(0));
        assert_eq!(expected(&hosts, 1, 50), MS(200), "the ghost is in use");
        assert_eq!(expected(&hosts, 1, 100), MS(100), "and then it is not");
        hosts.deferred(way(1), MS(100), at(100));
        hosts.deferred(way(1), MS(100), at(100));
        assert_eq!(expected(&hosts, 1, 150), MS(900), "3 in a row, 2 of them in use");
        hosts.accepted(way(1), Some(MS(5)), at(0));
        assert_eq!(expected(&hosts, 1, 1000), MS(5));
    }

    #[test]
    fn one_that_hangs_is_not_held_against_a_host_that_goes_on() {
        let mut hosts = Hosts::default();
        hosts.began(way(1), SessionId(1), true, at(0));
        hosts.accepted(way(1), Some(MS(50)), at(60_000));
        assert_eq!(expected(&hosts, 1, 60_050), MS(50));
        assert_eq!(expected(&hosts, 1, 61_000), MS(500));
    }

    #[test]
    fn ghosts_are_bounded() {
        let mut hosts = Hosts::default();
        for _ in 0..1000 {
            hosts.deferred(way(1), MS(100), at(0));
        }
        assert_eq!(hosts.get(way(1)).unwrap().speed.ghosts.len(), GHOSTS_MAX);
    }
}
