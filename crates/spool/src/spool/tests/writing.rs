//! The writer under trouble, and its log.

use rusqlite::ffi;

use super::*;

fn io_failure() -> Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_READ), None).into()
}

#[tokio::test(start_paused = true)]
async fn a_change_that_only_fails_alone_is_given_up_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(remuda_clock::SystemClock::paused());
    let spool = Spool::open(Options::new(dir.path()), clock).unwrap();
    let fixture = Fixture { dir, spool };
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    let shared = &fixture.spool.shared;
    let bad = shared.submit(Submission::kept(1), |_: &Connection, _: &mut Effects| {
        Err::<(), _>(io_failure())
    });
    let good = fixture.spool.settle(done(&stored[0]));
    // Both are in one batch; the good one is written all the same.
    let (bad, good) = tokio::join!(bad, good);
    assert!(matches!(bad, Err(Error::Database { .. })));
    good.unwrap();
    assert_eq!(fixture.spool.backlog().await.unwrap(), []);
    fixture.store(&[("a.test", &["x"])]).await;
    assert!(fixture.spool.health().writable);
}

#[tokio::test(start_paused = true)]
async fn a_kept_change_is_tried_again_without_anybody_asking() {
    let dir = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(remuda_clock::SystemClock::paused());
    let spool = Spool::open(Options::new(dir.path()), clock).unwrap();
    let mut failures = 2;
    let change = move |_: &Connection, _: &mut Effects| match failures {
        0 => Ok(7),
        _ => {
            failures -= 1;
            Err(io_failure())
        }
    };
    assert_eq!(spool.shared.submit(Submission::kept(1), change).await.unwrap(), 7);
}

#[tokio::test]
async fn a_writer_that_panics_is_followed_by_another() {
    let fixture = Fixture::new();
    let panics = |_: &Connection, _: &mut Effects| -> Result<(), Error> { panic!("a defect") };
    let lost = fixture.spool.shared.submit(Submission::kept(1), panics).await;
    assert!(matches!(lost, Err(Error::Closed)));
    while !fixture.spool.shared.queue.is_idle() {
        tokio::task::yield_now().await;
    }
    fixture.store(&[("a.test", &["x"])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_bounded_under_load() {
    let fixture = Arc::new(Fixture::new());
    let tasks: Vec<_> = (0..16)
        .map(|_| tokio::spawn(store_many(fixture.clone())))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let log = fixture.dir.path().join("spool.db-wal");
    // 8192 pages and a batch, which itself is one change over 4 MiB at most.
    let length = std::fs::metadata(log).unwrap().len();
    assert!(length < (64 + 2 * 5) << 20, "{length}");
}

async fn store_many(fixture: Arc<Fixture>) {
    for _ in 0..40 {
        let content = Content::from(Bytes::from(vec![b'x'; 250_000]));
        let message = fixture.message_with(&[("a.test", &["x"])], content);
        fixture.spool.store(message).await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_skipped_and_blocks_nobody() {
    let fixture = Fixture::new();
    let bad = fixture.store(&[("a.test", &["x"])]).await;
    let good = fixture.store(&[("a.test", &["x"])]).await;
    let id = codec::key(bad[0].id.0);
    let spoil = move |db: &Connection, _: &mut Effects| {
        Ok(db.execute("UPDATE entry SET recipients = '{' WHERE id = ?", [id])?)
    };
    assert_eq!(
        fixture
            .spool
            .shared
            .submit(Submission::change(), spoil)
            .await
            .unwrap(),
        1
    );
    assert_eq!(fixture.heads("a.test", 1000).await, good);
    assert_eq!(fixture.spool.notices(Wall(60_000), 10).await.unwrap().due, good);
    let page = fixture
        .spool
        .list(crate::Filter {
            limit: 9,
            ..crate::Filter::default()
        })
        .await
        .unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(fixture.spool.backlog().await.unwrap()[0].waiting, 2);
}
