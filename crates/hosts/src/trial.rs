//! When an endpoint that others are preferred to is tried again.
//!
//! Whoever gets no mail cannot show that it has become faster. So it gets a single transaction from time to time:
//! often enough that a recovery is seen within half a minute, seldom enough that a slow host costs nothing.
//!
//! # Contract
//! * **Nobody starves**: an endpoint that could be used gets a transaction at the latest [`TRIAL_MAX`] after its
//!   last, if mail flows: [`TRIAL_SHARE`] deliveries must have gone elsewhere, so that a trickle of mail does
//!   not go to the slow host.
//! * **A trial counts by its transaction**: one whose dial came to nothing for its message is due again.
//! * **One that was found slow is tried after 2, 4, 8, 16 and then each 30 seconds**, so that one slow answer
//!   does not cost half a minute of use.
//! * **A trial that shows it faster lets the next follow at once.**
//! * **One trial at a time**: none while anything is under way there, unless it has hung for [`TRIAL_MAX`]; none
//!   while a dial is.

use std::time::Duration;

use remuda_clock::Monotonic;
use remuda_mail::Way;

use crate::Hosts;

/// Since when an endpoint is passed over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trial {
    /// When a transaction or a dial began last.
    last_begun: Option<Monotonic>,
    /// Deliveries that another endpoint got since.
    passed_over: u32,
    /// How long after it a trial is due; zero: it was not found slow.
    after: Duration,
}

impl Trial {
    pub(crate) fn began(&mut self, now: Monotonic) {
        self.last_begun = Some(now);
        self.passed_over = 0;
    }

    /// It has become faster.
    pub(crate) fn hasten(&mut self) {
        self.last_begun = None;
    }
}

impl Hosts {
    /// A delivery could have gone here and goes elsewhere; `is_slow`: for that it is too slow.
    pub fn passed_over(&mut self, way: Way, is_slow: bool) {
        self.change(way, |record| {
            let trial = &mut record.trial;
            trial.passed_over = trial.passed_over.saturating_add(1);
            if is_slow && trial.after.is_zero() {
                trial.after = TRIAL_MIN;
            }
        });
    }

    /// It gets a message that is no trial: it is not slow.
    pub fn used(&mut self, way: Way) {
        if self.is_slow(way) {
            self.change(way, |record| record.trial.after = Duration::ZERO);
        }
    }

    /// A trial begins.
    pub fn tried(&mut self, way: Way) {
        self.change(way, |record| {
            let trial = &mut record.trial;
            trial.after = (trial.after * 2).min(TRIAL_MAX);
        });
    }

    /// Answers whether it is not worth mail beyond a trial, as last found.
    pub fn is_slow(&self, way: Way) -> bool {
        self.get(way).is_some_and(|record| !record.trial.after.is_zero())
    }

    /// When an endpoint that others were preferred to is tried again: [`TRIAL_MAX`] after its last
    /// transaction, one that was found slow sooner at first; and not before [`TRIAL_SHARE`] deliveries went
    /// elsewhere, so that a trickle of mail does not go to the slow host.
    pub fn next_trial(&self, way: Way) -> Option<Monotonic> {
        let trial = &self.get(way)?.trial;
        let after = match trial.after {
            Duration::ZERO => TRIAL_MAX,
            after => after,
        };
        trial.last_begun.map(|last| last + after)
    }

    /// Answers whether a trial is due: the time is over and nothing is under way there.
    pub fn is_trial_due(&self, way: Way, now: Monotonic) -> bool {
        self.get(way).is_some_and(|record| {
            // What hangs there does not keep it for ever, but a dial that does.
            let has_hung = record
                .trial
                .last_begun
                .is_some_and(|last| now - last >= TRIAL_MAX);
            record.trial.passed_over >= TRIAL_SHARE
                && (record.sessions == 0 || (has_hung && self.dials(way) == 0))
                && self.next_trial(way).is_none_or(|at| at <= now)
        })
    }
}

/// The first trial of an endpoint that was found slow.
pub const TRIAL_MIN: Duration = Duration::from_secs(2);
/// Later ones; each takes twice as long as the last to come.
pub const TRIAL_MAX: Duration = Duration::from_secs(30);
/// Deliveries to others for one trial.
pub const TRIAL_SHARE: u32 = 9;

#[cfg(test)]
mod tests {
    use remuda_mail::SessionId;

    use super::*;
    use crate::tests::{at, way};

    #[test]
    fn who_is_passed_over_is_tried_again() {
        let mut hosts = Hosts::default();
        hosts.began(way(1), SessionId(1), true, at(0));
        for _ in 0..TRIAL_SHARE - 1 {
            hosts.passed_over(way(1), false);
        }
        assert!(!hosts.is_trial_due(way(1), at(30_000)), "too few went elsewhere");
        hosts.passed_over(way(1), false);
        assert!(!hosts.is_trial_due(way(1), at(29_999)));
        assert!(hosts.is_trial_due(way(1), at(30_000)));
        hosts.add_session(way(1));
        hosts.dialled(way(1), SessionId(2), at(0));
        assert!(!hosts.is_trial_due(way(1), at(30_000)), "a dial is under way");
        hosts.ended_dial(way(1), SessionId(2));
        assert!(
            hosts.is_trial_due(way(1), at(30_000)),
            "what is under way has hung"
        );
    }

    #[test]
    fn a_trial_that_shows_it_faster_lets_the_next_follow_at_once() {
        let mut hosts = Hosts::default();
        hosts.accepted(way(1), Some(Duration::from_secs(2)), at(0));
        for (wait, is_due) in [(Duration::from_secs(2), false), (Duration::from_millis(50), true)] {
            hosts.began(way(1), SessionId(1), true, at(0));
            hosts.accepted(way(1), Some(wait), at(0));
            (0..TRIAL_SHARE).for_each(|_| hosts.passed_over(way(1), true));
            assert_eq!(hosts.is_trial_due(way(1), at(1)), is_due);
        }
    }

    #[test]
    fn a_slow_host_is_tried_after_2_4_8_16_and_then_each_30_seconds() {
        let mut hosts = Hosts::default();
        let mut now = at(0);
        let mut after = Vec::new();
        for _ in 0..6 {
            hosts.began(way(1), SessionId(1), true, now);
            (0..TRIAL_SHARE).for_each(|_| hosts.passed_over(way(1), true));
            let next = hosts.next_trial(way(1)).unwrap();
            after.push((next - now).as_secs());
            now = next;
            assert!(hosts.is_trial_due(way(1), now) && hosts.is_slow(way(1)));
            hosts.tried(way(1));
        }
        assert_eq!(after, [2, 4, 8, 16, 30, 30]);
        hosts.passed_over(way(1), false);
        assert!(hosts.is_slow(way(1)), "one hiccup of the others is not enough");
        hosts.used(way(1));
        assert!(!hosts.is_slow(way(1)));
    }
}
