//! One timer for all of a session's limits, whichever side we are on.
//!
//! Limits change with every command and reply, and setting a timer costs. So the timer is set for a short while ahead
//! and looks, when it fires, whether the limit of the moment has passed: most transactions set none.
//!
//! # Contract
//! * **Fires at the limit asked for**, not before it.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock, Timer};

/// How far ahead the timer is set at most: limits that are nearer set it anew.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Wakes the session's task when a limit has passed.
pub(crate) struct Watchdog {
    clock: SharedClock,
    timer: Option<(Monotonic, Timer)>,
}

impl Watchdog {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Watchdog { clock, timer: None }
    }

    /// Ready once `limit` has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, limit: Monotonic) -> Poll<()> {
        loop {
            let (fires, timer) = match &mut self.timer {
                Some((fires, timer)) if *fires <= limit => (*fires, timer),
                _ => {
                    let now = self.clock.now().monotonic;
                    let fires = limit.min(now + AHEAD_MAX);
                    let (fires, timer) = self.timer.insert((fires, self.clock.sleep_until(fires)));
                    (*fires, timer)
                }
            };
            ready!(timer.as_mut().poll(context));
            self.timer = None;
            if fires >= limit {
                return Poll::Ready(());
            }
        }
    }

    /// Completes once `limit` has passed.
    pub(crate) async fn until(&mut self, limit: Monotonic) {
        poll_fn(|context| self.poll(context, limit)).await;
    }

    /// Lets the timer go: nothing is limited for a while.
    pub(crate) fn rest(&mut self) {
        self.timer = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use remuda_clock::{Clock, SystemClock};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_fires_at_the_limit_asked_for() {
        let clock = Arc::new(SystemClock::paused());
        let mut watchdog = Watchdog::new(clock.clone());
        for seconds in [1, 59, 60, 61, 300, 600, 5] {
            let before = clock.now().monotonic;
            let limit = before + Duration::from_secs(seconds);
            watchdog.until(limit).await;
            assert_eq!(clock.now().monotonic, limit, "{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_limit_is_not_missed() {
        let clock = Arc::new(SystemClock::paused());
        let mut watchdog = Watchdog::new(clock.clone());
        let far = clock.now().monotonic + Duration::from_secs(50);
        let waits = poll_fn(|context| Poll::Ready(watchdog.poll(context, far).is_pending())).await;
        assert!(waits);
        let near = clock.now().monotonic + Duration::from_secs(2);
        watchdog.until(near).await;
        assert_eq!(clock.now().monotonic, near);
    }
}
