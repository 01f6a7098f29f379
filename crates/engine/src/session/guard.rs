//! The place where a panic of ours becomes a value.
//!
//! # Contract
//! * **A panic ends what it struck and nothing else**: the caller reports it, and no recipient is lost.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

/// A panic happened; what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panicked(pub(crate) String);

/// Runs `future`; what it touched must not be used again after a panic.
pub(crate) async fn guarded<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => {
                let text = payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| payload.downcast_ref::<String>().cloned());
                Poll::Ready(Err(Panicked(text.unwrap_or_else(|| "a panic".into()))))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_value() {
        assert_eq!(guarded(async { 7 }).await, Ok(7));
        let panicked = guarded(async {
            tokio::task::yield_now().await;
            panic!("impossible: {}", 1)
        });
        assert_eq!(panicked.await, Err::<(), _>(Panicked("impossible: 1".into())));
    }
}
