//! When the writer begins, on a clock that stands: only what comes ends its wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use remuda_clock::{Clock, Monotonic, Now, Timer};

use super::*;

/// Time stands. Whoever waits for his turn is seen here, and waits until he is woken.
#[derive(Default)]
struct Standing {
    turns: AtomicUsize,
    /// Writers that nobody woke; so long that a failure ends nevertheless.
    forgotten: AtomicUsize,
}

impl Standing {
    /// A spool on this clock, and both.
    fn spool(dir: &TempDir) -> (Spool, Arc<Standing>) {
        let clock = Arc::new(Standing::default());
        let spool = Spool::open(Options::new(dir.path()), clock.clone()).unwrap();
        (spool, clock)
    }

    async fn somebody_waits(&self) {
        remuda_testing::wait::wait_until_async("the writer waits", async || {
            self.turns.load(Ordering::SeqCst) > 0
        })
        .await;
    }
}

impl Clock for Standing {
    fn now(&self) -> Now {
        Now::default()
    }

    fn sleep_until(&self, _: Monotonic) -> Timer {
        Box::pin(std::future::pending())
    }

    fn park_until(&self, _: Monotonic) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        let real = SystemClock::new();
        let patience = real.monotonic() + Duration::from_secs(20);
        real.park_until(patience);
        let is_forgotten = real.monotonic() >= patience;
        self.forgotten
            .fetch_add(usize::from(is_forgotten), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_client_alone_does_not_wait_behind_a_settlement() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, clock) = Standing::spool(&dir);
    let fixture = Fixture { dir, spool };
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    let settled = tokio::spawn(fixture.spool.settle(done(&stored[0])));
    clock.somebody_waits().await;
    fixture.store(&[("a.test", &["y"])]).await;
    settled.await.unwrap().unwrap();
    assert_eq!(clock.forgotten.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn enough_clients_together_wait_for_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, clock) = Standing::spool(&dir);
    let fixture = Fixture { dir, spool };
    let company: Vec<_> = (0..20).map(|_| fixture.spool.expect()).collect();
    fixture.store(&[("a.test", &["x"])]).await;
    let commits = fixture.spool.metrics().commits.get();
    let mut stores = tokio::task::JoinSet::new();
    for _ in 0..crate::pace::ENOUGH {
        let message = fixture.message(&[("a.test", &["x"])]);
        let spool = fixture.spool.clone();
        stores.spawn(async move { spool.store(message).await });
    }
    for stored in stores.join_all().await {
        stored.unwrap();
    }
    assert_eq!(fixture.spool.metrics().commits.get(), commits + 1, "all in one");
    assert_eq!(clock.forgotten.load(Ordering::SeqCst), 0);
    drop(company);
}
