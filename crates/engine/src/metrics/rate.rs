//! How many a second, over the last minute.
//!
//! # Contract
//! * **What happened longer than a minute ago does not count**, whoever asks and when.

use std::time::Duration;

use remuda_clock::Monotonic;

/// Counts of the last minute, by second.
#[derive(Clone, Debug)]
pub struct Rate {
    /// The second that a slot is for, and its count.
    slots: [(u64, u64); SECONDS as usize],
}

const SECONDS: u64 = 60;

impl Rate {
    /// Nothing happened yet.
    pub const fn new() -> Self {
        Rate {
            slots: [(0, 0); SECONDS as usize],
        }
    }

    /// Notes that `count` happened.
    pub fn add(&mut self, now: Monotonic, count: u64) {
        let second = second_of(now);
        let slot = &mut self.slots[(second % SECONDS) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += count;
    }

    /// The mean of the last minute, or of the time since start while that is shorter.
    pub fn per_second(&self, now: Monotonic) -> f64 {
        let second = second_of(now);
        let recent = |at: u64| at <= second && second - at < SECONDS;
        let count: u64 = self
            .slots
            .iter()
            .filter(|(at, _)| recent(*at))
            .map(|(_, count)| count)
            .sum();
        let over = now
            .since_start()
            .clamp(Duration::from_secs(1), Duration::from_secs(SECONDS));
        count as f64 / over.as_secs_f64()
    }
}

impl Default for Rate {
    fn default() -> Self {
        Rate::new()
    }
}

fn second_of(now: Monotonic) -> u64 {
    now.since_start().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn what_happened_longer_than_a_minute_ago_does_not_count() {
        let mut rate = Rate::new();
        rate.add(at(100), 60);
        rate.add(at(130), 60);
        assert_eq!(rate.per_second(at(130)), 2.0);
        assert_eq!(rate.per_second(at(160)), 1.0);
        assert_eq!(rate.per_second(at(500)), 0.0);
        rate.add(at(160), 30);
        assert_eq!(rate.per_second(at(160)), 1.5);
    }

    #[test]
    fn the_first_minute_is_measured_by_what_has_passed() {
        let mut rate = Rate::new();
        rate.add(at(1), 10);
        assert_eq!(rate.per_second(at(10)), 1.0);
    }
}
