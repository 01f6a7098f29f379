//! How much an endpoint has shown that it can take at once.
//!
//! Several messages in flight are safe only with a server that answers each command in its order. That is not
//! believed but seen: depth is earned by transactions that were answered in order, and one surprise takes
//! it for an hour (design: flights).

use std::time::Duration;

use remuda_clock::Monotonic;

/// What an endpoint has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trust {
    /// Transactions answered in order since the last surprise.
    in_order: u32,
    /// A reply did not fit its command: nothing goes out unasked until then.
    barred_until: Option<Monotonic>,
    /// It has refused a recipient in order.
    has_refused: bool,
}

impl Trust {
    /// A transaction was answered in order.
    pub(crate) fn answered(&mut self, has_refused_recipient: bool) {
        self.in_order = self.in_order.saturating_add(1);
        self.has_refused |= has_refused_recipient;
    }

    /// A reply did not fit its command.
    pub(crate) fn surprised(&mut self, now: Monotonic) {
        *self = Trust {
            barred_until: Some(now + BARRED),
            ..Trust::default()
        };
    }

    /// A session ended with several transactions on it: trust is to be earned again.
    pub(crate) fn stumbled(&mut self) {
        self.in_order = 0;
    }

    /// Answers whether content may go out with its commands. `is_private`: our credentials were shown to
    /// it, so that its content must not go to whom it refuses.
    pub(crate) fn may_fly(&self, is_private: bool, now: Monotonic) -> bool {
        self.barred_until.is_none_or(|until| until <= now) && (!is_private || self.has_refused)
    }

    /// How many transactions may be under way on one session, at most `max`.
    pub(crate) fn depth(&self, max: u32, now: Monotonic) -> u32 {
        let earned = match self.in_order {
            _ if !self.may_fly(false, now) => 1,
            0..EARNED_EACH => 1,
            EARNED_EACH..EARNED_TWICE => 2,
            _ => max,
        };
        earned.min(max).max(1)
    }
}

/// Transactions that earn the next depth.
const EARNED_EACH: u32 = 20;
const EARNED_TWICE: u32 = 2 * EARNED_EACH;

/// For so long a surprise bars.
const BARRED: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn depth_is_earned_by_answers_in_order() {
        let mut trust = Trust::default();
        let mut depths = Vec::new();
        for _ in 0..41 {
            depths.push(trust.depth(4, at(0)));
            trust.answered(false);
        }
        assert!(depths[..20].iter().all(|depth| *depth == 1));
        assert!(depths[20..40].iter().all(|depth| *depth == 2));
        assert_eq!(
            (depths[40], trust.depth(1, at(0)), trust.depth(0, at(0))),
            (4, 1, 1)
        );
        trust.stumbled();
        assert_eq!(trust.depth(4, at(0)), 1);
    }

    #[test]
    fn a_surprise_bars_for_an_hour() {
        let mut trust = Trust::default();
        for _ in 0..50 {
            trust.answered(true);
        }
        trust.surprised(at(10));
        assert!(!trust.may_fly(false, at(3609)) && trust.may_fly(false, at(3610)));
        for _ in 0..50 {
            trust.answered(false);
        }
        assert_eq!((trust.depth(4, at(3609)), trust.depth(4, at(3610))), (1, 4));
    }

    #[test]
    fn with_credentials_it_must_have_refused_a_recipient_in_order() {
        let mut trust = Trust::default();
        trust.answered(false);
        assert!(trust.may_fly(false, at(0)) && !trust.may_fly(true, at(0)));
        trust.answered(true);
        assert!(trust.may_fly(true, at(0)));
    }
}
