//! Time: the only place that reads a clock or makes a timer.
//!
//! Everything else takes [`Now`] as an argument (pure crates) or a [`Clock`] (the shell), so that tests
//! move time themselves and one event sees one instant.
//!
//! # Contract
//! * **Monotonic time never goes back** and is what sessions, caches and pauses are measured in (T87).
//! * **Wall time is for the spool**: due times and expiry, which survive a restart. Milliseconds.
//! * **The system clock follows tokio's**: paused time in a test moves both kinds.

use std::{
    fmt,
    future::Future,
    ops::{Add, AddAssign, Sub},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// An instant of monotonic time: nanoseconds since the clock was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The first instant.
    pub const ZERO: Monotonic = Monotonic(0);
    /// Later than anything that happens.
    pub const NEVER: Monotonic = Monotonic(u64::MAX);

    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time since the clock was made.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;

    /// Saturates at [`Monotonic::NEVER`].
    fn add(self, duration: Duration) -> Monotonic {
        Monotonic(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl AddAssign<Duration> for Monotonic {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Monotonic {
    type Output = Duration;

    fn sub(self, earlier: Monotonic) -> Duration {
        self.since(earlier)
    }
}

/// An instant of wall time: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl Wall {
    /// Later than anything that happens.
    pub const NEVER: Wall = Wall(i64::MAX);

    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl Add<Duration> for Wall {
    type Output = Wall;

    /// Saturates at [`Wall::NEVER`].
    fn add(self, duration: Duration) -> Wall {
        Wall(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One reading of both clocks: what an event carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For sessions, caches, pauses.
    pub monotonic: Monotonic,
    /// For due times and expiry.
    pub wall: Wall,
}

impl Now {
    /// Both clocks, `duration` later.
    pub fn later(self, duration: Duration) -> Now {
        Now {
            monotonic: self.monotonic + duration,
            wall: self.wall + duration,
        }
    }
}

/// A timer that has been set.
pub type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read once.
    fn now(&self) -> Now;

    /// Monotonic time alone: half the cost, for those who keep no wall time.
    fn monotonic(&self) -> Monotonic {
        self.now().monotonic
    }

    /// Completes at `deadline`, or at once if that is past; never for [`Monotonic::NEVER`].
    fn sleep_until(&self, deadline: Monotonic) -> Timer;

    /// Parks this thread until `deadline` or until it is unparked: for waits so short that the millisecond
    /// by which [`sleep_until`](Self::sleep_until) may be late counts. May end early; a clock that a test
    /// moves does not wait.
    fn park_until(&self, _deadline: Monotonic) {}
}

/// A shared clock, as the shell passes it.
pub type SharedClock = Arc<dyn Clock>;

/// Lets `future` run until `deadline`; `None` when the time was up first (the future is dropped).
pub async fn before<F: Future>(clock: &dyn Clock, deadline: Monotonic, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock.sleep_until(deadline) => None,
    }
}

/// The system's clock over tokio's timers.
pub struct SystemClock {
    started: tokio::time::Instant,
    started_wall: Wall,
    /// Under paused time the wall moves with tokio's clock; else it is read, so that steps are seen.
    is_virtual: bool,
}

impl SystemClock {
    /// A clock that starts now. Inside a runtime with paused time it is virtual altogether.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub fn new() -> Self {
        SystemClock {
            started: tokio::time::Instant::now(),
            started_wall: read_wall(),
            is_virtual: false,
        }
    }

    /// A clock whose wall time moves with tokio's clock, for tests under paused time.
    pub fn paused() -> Self {
        SystemClock {
            is_virtual: true,
            ..SystemClock::new()
        }
    }

    /// The clock, shared.
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let monotonic = self.monotonic();
        let wall = if self.is_virtual {
            self.started_wall + monotonic.since_start()
        } else {
            read_wall()
        };
        Now { monotonic, wall }
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    fn monotonic(&self) -> Monotonic {
        Monotonic::ZERO + tokio::time::Instant::now().saturating_duration_since(self.started)
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that makes timers")]
    fn sleep_until(&self, deadline: Monotonic) -> Timer {
        if deadline == Monotonic::NEVER {
            return Box::pin(std::future::pending());
        }
        Box::pin(tokio::time::sleep_until(self.started + deadline.since_start()))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that waits")]
    fn park_until(&self, deadline: Monotonic) {
        if !self.is_virtual {
            std::thread::park_timeout(deadline.since(self.monotonic()));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads clocks")]
fn read_wall() -> Wall {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Wall::default() + since_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_moves_both_kinds() {
        let clock = SystemClock::paused();
        let before = clock.now();
        clock
            .sleep_until(before.monotonic + Duration::from_secs(3600))
            .await;
        let after = clock.now();
        assert_eq!(after.monotonic - before.monotonic, Duration::from_secs(3600));
        assert_eq!(after.monotonic, clock.monotonic());
        assert_eq!(after.wall.since(before.wall), Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_drops_the_future() {
        let clock = SystemClock::paused();
        let deadline = clock.now().monotonic + Duration::from_secs(1);
        assert_eq!(before(&clock, deadline, std::future::pending::<()>()).await, None);
        assert_eq!(before(&clock, deadline, async { 7 }).await, Some(7));
    }

    #[test]
    fn times_saturate() {
        assert_eq!(Monotonic::NEVER + Duration::from_secs(1), Monotonic::NEVER);
        assert_eq!(Monotonic::ZERO - Monotonic::NEVER, Duration::ZERO);
        assert_eq!(Wall::NEVER + Duration::MAX, Wall::NEVER);
        assert_eq!(Wall(5).since(Wall(7)), Duration::ZERO);
    }
}
