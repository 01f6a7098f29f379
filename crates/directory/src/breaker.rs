//! The breaker: keeps look-ups from a database that is down, and finds out when it is back.
//!
//! ```text
//!   closed ──[failures in a row]──▶ open ──time──▶ one tries ──success──▶ closed
//!                                     ▲                │ failure
//!                                     └── longer ──────┘
//! ```
//!
//! # Contract
//! * **A database that is down costs a query each [`PAUSE_MAX`]**, however many look-ups come (D10).
//! * **One trial a pause**, heard of or not: on a path that is dead none ever is. One success closes it, so that recovery
//!   takes [`PAUSE_MAX`] at most.
//! * **What has gone wrong once breaks nothing**: a query that fails alone has its own back-off (the cache's).
//! * **What was sent before the last answer says nothing by its failure**: queries that hung on a path that is dead
//!   fail late, when the database may long be back.

use std::time::Duration;

use remuda_clock::Monotonic;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    /// No query before this; None: closed.
    open_until: Option<Monotonic>,
    pause: Duration,
    /// When a query was last answered.
    answered: Option<Monotonic>,
}

impl Breaker {
    /// Answers whether a query may be sent now. When it is open this is asked for a trial: the answer is yes
    /// once a pause.
    pub(crate) fn may_try(&mut self, now: Monotonic) -> bool {
        match self.open_until {
            None => true,
            Some(until) if until <= now => {
                // The trial; the next one a pause later, should this one never be heard of again.
                self.open_until = Some(now + self.pause);
                true
            }
            Some(_) => false,
        }
    }

    /// A query was answered. Answers whether this is news.
    pub(crate) fn succeeded(&mut self, now: Monotonic) -> bool {
        let was_open = self.open_until.is_some();
        *self = Breaker {
            answered: Some(now),
            ..Breaker::default()
        };
        was_open
    }

    /// A query that was sent then was not answered. Answers whether this is news.
    pub(crate) fn failed(&mut self, sent: Monotonic, now: Monotonic) -> bool {
        if self.answered.is_some_and(|answered| sent < answered) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES_MIN {
            return false;
        }
        let was_open = self.open_until.is_some();
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.open_until = Some(now + self.pause);
        !was_open
    }

    /// Answers whether look-ups are kept away.
    pub(crate) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }
}

/// Failures in a row that open it.
const FAILURES_MIN: u32 = 3;
/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=FAILURES_MIN {
            assert!(breaker.may_try(at(0)));
            assert_eq!(breaker.failed(at(0), at(0)), failure == FAILURES_MIN);
        }
        breaker
    }

    #[test]
    fn what_has_gone_wrong_once_breaks_nothing() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert!(!breaker.failed(at(0), at(0)));
            assert!(!breaker.failed(at(0), at(0)));
            assert!(breaker.may_try(at(0)));
            assert!(!breaker.succeeded(at(0)));
        }
    }

    #[test]
    fn a_database_that_is_down_costs_a_query_each_pause() {
        let mut breaker = open();
        let mut queries = 0;
        for millis in 0..60_000 {
            if breaker.may_try(at(millis)) {
                queries += 1;
                breaker.failed(at(millis), at(millis));
            }
        }
        assert!((30..=34).contains(&queries), "{queries}");
    }

    #[test]
    fn one_trial_a_pause_and_one_success_closes_it() {
        let mut breaker = open();
        assert!(!breaker.may_try(at(199)));
        assert!(breaker.may_try(at(200)));
        assert!(!breaker.may_try(at(399)));
        assert!(breaker.succeeded(at(200)));
        assert!(!breaker.is_open() && breaker.may_try(at(200)));
    }

    #[test]
    fn what_was_sent_before_the_last_answer_says_nothing_by_its_failure() {
        let mut breaker = open();
        breaker.succeeded(at(1000));
        for _ in 0..10 {
            assert!(!breaker.failed(at(999), at(5000)));
        }
        assert!(!breaker.is_open());
        for _ in 0..FAILURES_MIN {
            breaker.failed(at(1000), at(6000));
        }
        assert!(breaker.is_open());
    }
}
