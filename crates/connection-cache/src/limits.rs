//! The limits of the cache: how many sessions may lie idle, how long, how old, how often used.
//!
//! # Contract
//! * **Jitter is drawn once per session**, so that sessions opened together do not end together, and a
//!   session's end never moves. It only shortens: no session outlives `reuse_max`.
//! * **Reuse is limited by time.** A count makes every host take equally many messages per session, so
//!   that the slowest holds its sessions longest and attracts most of them (reference §2.6).

use std::time::Duration;

use remuda_clock::Monotonic;
use remuda_mail::{Capabilities, Facts, SessionId};

/// Bounds of the connection cache. At a bound the session idle longest gives way.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Parked in all.
    pub sessions_max: usize,
    /// Parked to one endpoint.
    pub sessions_per_endpoint_max: usize,
    /// Time in the cache; a binding's too.
    pub idle_max: Duration,
    /// Age at which no further transaction begins, from before connect (T20).
    pub reuse_max: Duration,
    /// Reuses after the first transaction; 0 = no limit (T22).
    pub reuse_count_max: u32,
    /// Seed of the jitter.
    pub seed: u64,
}

/// Why a session leaves the cache, or may not enter it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// Idle for `idle_max`.
    Idle,
    /// Older than `reuse_max`.
    Age,
    /// Used as often as allowed, by us or by the receiver's LIMITS.
    Count,
    /// Gave way to another, or found no room.
    Evicted,
    /// Reload, shutdown, or an operator's wish.
    Drained,
    /// Refused too many transactions in a row.
    Worn,
}

impl Limits {
    /// When the session is too old for another transaction.
    pub fn life_ends(&self, session: SessionId, opened: Monotonic) -> Monotonic {
        let draw = mix(self.seed ^ mix(session.0)) as u32;
        let share = JITTER * f64::from(draw) / f64::from(u32::MAX);
        opened + self.reuse_max.mul_f64(1.0 - share)
    }

    /// Answers whether the session may begin another transaction.
    ///
    /// # Errors
    /// The limit that it has reached.
    pub fn check(&self, session: SessionId, facts: &Facts, now: Monotonic) -> Result<(), Leaving> {
        self.check_counted(session, facts, self.reuse_count_max, now)
    }

    /// As [`check`](Self::check), with another limit of reuses in the place of `reuse_count_max`.
    ///
    /// # Errors
    /// The limit that it has reached.
    pub fn check_counted(
        &self,
        session: SessionId,
        facts: &Facts,
        reuse_count_max: u32,
        now: Monotonic,
    ) -> Result<(), Leaving> {
        if now >= self.life_ends(session, facts.opened) {
            return Err(Leaving::Age);
        }
        if reuse_count_max > 0 && facts.uses > reuse_count_max {
            return Err(Leaving::Count);
        }
        let Capabilities { limits, .. } = facts.capabilities;
        // RFC 9422 §4.1: a further MAIL would be refused. Refused ones count, and are counted in `uses`.
        if limits.mail_max.is_some_and(|max| facts.uses >= max) {
            return Err(Leaving::Count);
        }
        if facts.refused_in_a_row >= REFUSED_IN_A_ROW_MAX {
            return Err(Leaving::Worn);
        }
        Ok(())
    }
}

/// The generator splitmix64's output function: spreads neighbouring ids over the whole range.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// How much of `reuse_max` the jitter may take off.
const JITTER: f64 = 0.025;

/// Postfix hangs up at 20 errors, Exim after 10 RSETs without mail.
const REFUSED_IN_A_ROW_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, facts, limits};

    #[test]
    fn jitter_is_drawn_once_and_only_shortens() {
        let limits = limits();
        let ends: Vec<_> = (0..1000)
            .map(|id| limits.life_ends(SessionId(id), at(1000)))
            .collect();
        let again: Vec<_> = (0..1000)
            .map(|id| limits.life_ends(SessionId(id), at(1000)))
            .collect();
        assert_eq!(ends, again);
        let longest = at(1000) + limits.reuse_max;
        let shortest = at(1000) + limits.reuse_max.mul_f64(0.975);
        assert!(ends.iter().all(|end| (shortest..=longest).contains(end)));
        let different: std::collections::BTreeSet<_> = ends.iter().collect();
        assert!(different.len() > 990, "ends are spread");
    }

    /// T22: count limit 1 allows two transactions; 0 is no limit.
    #[test]
    fn a_count_limit_counts_reuses() {
        let mut limits = limits();
        limits.reuse_count_max = 1;
        let mut facts = facts(1);
        facts.uses = 1;
        assert_eq!(limits.check(SessionId(1), &facts, at(0)), Ok(()));
        facts.uses = 2;
        assert_eq!(limits.check(SessionId(1), &facts, at(0)), Err(Leaving::Count));
        limits.reuse_count_max = 0;
        facts.uses = 1_000_000;
        assert_eq!(limits.check(SessionId(1), &facts, at(0)), Ok(()));
    }

    #[test]
    fn an_announced_mail_limit_is_kept() {
        let mut facts = facts(1);
        facts.capabilities.limits.mail_max = Some(3);
        facts.uses = 2;
        assert_eq!(limits().check(SessionId(1), &facts, at(0)), Ok(()));
        facts.uses = 3;
        assert_eq!(limits().check(SessionId(1), &facts, at(0)), Err(Leaving::Count));
    }

    #[test]
    fn a_session_that_only_refuses_is_worn() {
        let mut facts = facts(1);
        facts.refused_in_a_row = 7;
        assert_eq!(limits().check(SessionId(1), &facts, at(0)), Ok(()));
        facts.refused_in_a_row = 8;
        assert_eq!(limits().check(SessionId(1), &facts, at(0)), Err(Leaving::Worn));
    }
}
