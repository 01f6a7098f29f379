//! A clock that a test moves, beside real sockets and processes.
//!
//! Tokio's paused clock jumps while a real database is awaited; this one stands until it is moved.
//!
//! # Contract
//! * **Time stands until it is moved**, and everybody whose time has come goes on then.

use std::{sync::Arc, time::Duration};

use remuda_clock::{Clock, Monotonic, Now, Timer, Wall};
use tokio::sync::watch;

/// See the module.
pub struct ManualClock {
    now: watch::Sender<Monotonic>,
}

impl ManualClock {
    /// A clock that stands at its start.
    pub fn new() -> Arc<ManualClock> {
        Arc::new(ManualClock {
            now: watch::Sender::new(Monotonic::ZERO),
        })
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let monotonic = *self.now.borrow();
        Now {
            monotonic,
            wall: START + monotonic.since_start(),
        }
    }

    fn sleep_until(&self, deadline: Monotonic) -> Timer {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= deadline).await.is_err() {
                // The clock is gone, and time with it.
                std::future::pending::<()>().await;
            }
        })
    }
}

/// 2026-01-01T00:00:00Z, in milliseconds.
const START: Wall = Wall(1_767_225_600_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_stands_until_it_is_moved() {
        let clock = ManualClock::new();
        let deadline = clock.now().monotonic + Duration::from_secs(60);
        let sleeping = tokio::spawn(clock.sleep_until(deadline));
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeping.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeping.await.unwrap();
        assert_eq!(clock.now().monotonic, deadline);
        assert_eq!(clock.now().wall.since(START), Duration::from_secs(60));
    }
}
