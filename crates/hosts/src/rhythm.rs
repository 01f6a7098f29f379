//! How close together something comes: whether the next is likely soon.
//!
//! A session is kept for the next message, so it matters how long that one lets itself be waited for, at a
//! destination or at an endpoint that many destinations share.
//!
//! # Contract
//! * **One says nothing about the next.** From the second on the gap is known.
//! * **A short gap tells at once**; a long one is half believed.

use std::time::Duration;

use remuda_clock::Monotonic;

/// When something came last, and the smoothed gap before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rhythm {
    last: Option<Monotonic>,
    gap: Option<Duration>,
}

impl Rhythm {
    /// One comes.
    pub fn note(&mut self, now: Monotonic) {
        if let Some(last) = self.last {
            let new = now - last;
            self.gap = Some(match self.gap {
                Some(old) if old < new => (old + new) / 2,
                _ => new,
            });
        }
        self.last = Some(now);
    }

    /// Answers whether another is likely within `idle_max` of now.
    pub fn is_likely(&self, now: Monotonic, idle_max: Duration) -> bool {
        self.gap.is_some_and(|gap| gap <= idle_max)
            && self
                .last
                .is_some_and(|last| now - last <= idle_max.max(LIKELY_MIN))
    }

    /// Answers whether one came within `keep` of now.
    pub fn is_fresh(&self, now: Monotonic, keep: Duration) -> bool {
        self.last.is_some_and(|last| now - last < keep)
    }
}

/// What began may take longer than the idle limit; its beginning still counts as lately.
const LIKELY_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    const IDLE: Duration = Duration::from_secs(2);

    #[test]
    fn one_says_nothing_about_the_next() {
        let mut rhythm = Rhythm::default();
        rhythm.note(at(0));
        assert!(!rhythm.is_likely(at(1), IDLE));
    }

    #[test]
    fn a_short_gap_tells_at_once_and_a_long_one_is_half_believed() {
        let mut rhythm = Rhythm::default();
        for millis in [0, 1000, 2000] {
            rhythm.note(at(millis));
        }
        assert!(rhythm.is_likely(at(2500), IDLE));
        rhythm.note(at(60_000));
        assert!(!rhythm.is_likely(at(60_000), IDLE), "after a long silence");
        rhythm.note(at(60_500));
        assert!(
            rhythm.is_likely(at(60_600), IDLE),
            "at once when it comes close again"
        );
    }
}
