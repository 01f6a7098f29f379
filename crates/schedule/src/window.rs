//! A destination's concurrency window: opens on success, closes on failures of the site.
//!
//! # Contract
//! * **The arithmetic is the reference's** (§10.2 to §10.4, feedback 1, hysteresis 1, one failed cohort):
//!   5 → 3 → 2 → dead on the third failure in a row; from 20, dead on the 13th; from 1, on the first.
//! * **Any delivery that ends without a failure of the site is a success**, also with 4xx or 5xx for all
//!   its recipients (T33).
//! * **After a suspension one delivery tries**, and its success opens the window again.
//!
//! # Not here
//! How long a dead destination is suspended: `Schedule`.

/// What a delivery says about its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The site works.
    Positive,
    /// A delivery failed and some host of it may still be used: the window narrows.
    Failing,
    /// No host of it gives what is demanded; in words, for people. By the reference's rule that kills it.
    Negative(String),
    /// Nothing: the fault was ours, or no host was tried.
    Neutral,
}

/// How many deliveries a destination may have at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    size: u32,
    failure: f64,
    failed_cohorts: f64,
    is_thawing: bool,
}

/// Bounds of every window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Where it starts.
    pub(crate) initial: u32,
    /// Where it ends; 0 = nowhere.
    pub(crate) max: u32,
}

impl Window {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Window {
            size: bounds.start(),
            failure: 0.0,
            failed_cohorts: 0.0,
            is_thawing: false,
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Answers whether a suspension has ended and nothing has worked since.
    pub(crate) fn is_thawing(&self) -> bool {
        self.is_thawing
    }

    /// A delivery succeeded; `busy` still counts it.
    pub(crate) fn succeed(&mut self, busy: u32, bounds: Bounds) {
        self.failed_cohorts = 0.0;
        if self.is_thawing {
            *self = Window::new(bounds);
            self.size = self.size.max(busy).min(bounds.end());
        } else if self.size < bounds.end() && self.size < busy.saturating_add(bounds.initial) {
            self.size += 1;
            self.failure = 0.0;
        }
    }

    /// A delivery failed. Answers whether the destination is dead now.
    pub(crate) fn fail(&mut self) -> bool {
        self.failed_cohorts += 1.0 / f64::from(self.size);
        if self.failed_cohorts >= 1.0 {
            return true;
        }
        self.narrow();
        false
    }

    /// A delivery failed, and the next may not: there are fewer at once.
    pub(crate) fn narrow(&mut self) {
        self.failure -= 1.0;
        // The tolerance of half a step makes the first failure after a success count twice (§10.3).
        while self.failure - 0.5 < 0.0 {
            self.size = self.size.saturating_sub(1);
            self.failure += 1.0;
        }
        self.size = self.size.max(1);
    }

    /// A suspension has ended: one delivery may try.
    pub(crate) fn thaw(&mut self) {
        *self = Window {
            size: 1,
            failure: 0.0,
            failed_cohorts: 0.0,
            is_thawing: true,
        };
    }

    /// A delivery that was running when the destination was suspended has succeeded.
    pub(crate) fn revive(&mut self, busy: u32, bounds: Bounds) {
        *self = Window::new(bounds);
        self.size = busy.clamp(1, bounds.end());
    }

    /// Other bounds are in force.
    pub(crate) fn clip(&mut self, bounds: Bounds) {
        self.size = self.size.min(bounds.end());
    }
}

impl Bounds {
    fn start(self) -> u32 {
        self.initial.clamp(1, self.end())
    }

    fn end(self) -> u32 {
        if self.max == 0 { u32::MAX } else { self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Bounds = Bounds { initial: 5, max: 20 };

    /// Reference §10.4, replayed: 5 → 3 → 2 → dead.
    #[test]
    fn three_failures_in_a_row_kill_a_new_destination() {
        let mut window = Window::new(DEFAULTS);
        let mut seen = Vec::new();
        while !window.fail() {
            seen.push(window.size());
        }
        assert_eq!(seen, [3, 2]);
    }

    /// Reference §10.4: from 20, dead on the 13th.
    #[test]
    fn a_wide_window_dies_on_the_thirteenth_failure() {
        let mut window = Window::new(DEFAULTS);
        for _ in 0..15 {
            window.succeed(20, DEFAULTS);
        }
        assert_eq!(window.size(), 20);
        let failures = (1..100).find(|_| window.fail());
        assert_eq!(failures, Some(13));
    }

    /// Reference §10.4: from concurrency 1, dead on the first.
    #[test]
    fn a_window_of_one_dies_on_the_first_failure() {
        assert!(Window::new(Bounds { initial: 5, max: 1 }).fail());
    }

    /// Reference §10.2: +1 a completed delivery, 5 → 20 after 15.
    #[test]
    fn success_opens_the_window_by_one_up_to_the_limit() {
        let mut window = Window::new(DEFAULTS);
        let sizes: Vec<_> = (0..17)
            .map(|_| {
                window.succeed(window.size(), DEFAULTS);
                window.size()
            })
            .collect();
        assert_eq!(sizes[..3], [6, 7, 8]);
        assert_eq!(sizes[14..], [20, 20, 20]);
    }

    /// Reference §10.2: a window that is not used does not open.
    #[test]
    fn the_window_stays_within_reach_of_what_is_busy() {
        let mut window = Window::new(DEFAULTS);
        for _ in 0..20 {
            window.succeed(1, DEFAULTS);
        }
        assert_eq!(window.size(), 6);
    }

    /// Reference §10.4: one success in between resets the cohort count; §10.3: the next failure counts two.
    #[test]
    fn a_success_between_failures_forgets_the_cohort() {
        let mut window = Window::new(DEFAULTS);
        assert!(!window.fail());
        assert!(!window.fail());
        window.succeed(3, DEFAULTS);
        assert_eq!(window.size(), 3);
        assert!(!window.fail());
        assert_eq!(window.size(), 1);
    }

    #[test]
    fn after_a_suspension_one_tries_and_its_success_opens_again() {
        let mut window = Window::new(DEFAULTS);
        window.thaw();
        assert_eq!(window.size(), 1);
        let mut failing = window.clone();
        assert!(failing.fail(), "its failure suspends again");
        window.succeed(1, DEFAULTS);
        assert_eq!((window.size(), window.is_thawing()), (5, false));
    }
}
