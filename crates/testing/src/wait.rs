//! Waiting for what happens outside the test: in another process, on a real socket, on the disk.
//!
//! The one place in tests that may sleep. A condition is polled, and the deadline is so generous that it
//! only ends a hang: no test measures time with it.
//!
//! # Contract
//! * **What has been true when it was looked at is enough**: nobody waits longer than one step.
//! * **A hang ends with words**: the panic names what did not happen.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Waits until `condition` gives a value; blocks the thread.
///
/// # Panics
/// When [`PATIENCE`] is over.
#[allow(clippy::disallowed_methods, reason = "the one place in tests that may sleep")]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(STEP);
    }
}

/// Waits until `condition` is true; blocks the thread.
///
/// # Panics
/// When [`PATIENCE`] is over.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until `condition` is true, in a runtime with real time.
///
/// # Panics
/// When [`PATIENCE`] is over.
#[allow(clippy::disallowed_methods, reason = "the one place in tests that may sleep")]
pub async fn wait_until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// After this something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_is_true_is_not_waited_for() {
        wait_until("pigs fly", || true);
        let mut count = 0;
        let value = wait_for("the third look", || {
            count += 1;
            (count == 3).then_some(count)
        });
        assert_eq!(value, 3);
    }

    #[tokio::test]
    async fn a_condition_may_be_a_future() {
        let mut count = 0;
        wait_until_async("the third look", async || {
            count += 1;
            count == 3
        })
        .await;
    }
}
