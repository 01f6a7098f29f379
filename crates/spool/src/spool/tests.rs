//! The contract of the spool, one test a promise.

use remuda_clock::SystemClock;
use remuda_mail::{Destination, Envelope, Recipient};
use tempfile::TempDir;

use super::*;
use crate::{Attempt, NewEntry, Origin, Pending, State, schema};

mod claims;
mod settling;
mod turns;
mod verbs;
mod writing;

struct Fixture {
    dir: TempDir,
    spool: Spool,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = open(&dir).unwrap();
        Fixture { dir, spool }
    }

    async fn reopened(self) -> Self {
        self.spool.close().await;
        let spool = open(&self.dir).unwrap();
        Fixture { spool, ..self }
    }

    fn message(&self, to: &[(&str, &[&str])]) -> NewMessage<Content> {
        self.message_with(to, Content::from(Bytes::from_static(b"Subject: a\r\n\r\nb\r\n")))
    }

    fn message_with<C>(&self, to: &[(&str, &[&str])], content: C) -> NewMessage<C> {
        NewMessage {
            id: self.spool.allocate_id(),
            envelope: Envelope {
                sender: remuda_mail::Sender(Some("a@sender.test".parse().unwrap())),
                ..Envelope::default()
            },
            origin: Origin::default(),
            arrived: Wall(1000),
            expires: Wall(100_000),
            notice: Wall(50_000),
            content,
            entries: to.iter().map(|(to, users)| entry(to, users)).collect(),
        }
    }

    async fn store(&self, to: &[(&str, &[&str])]) -> Vec<Queued> {
        self.spool.store(self.message(to)).await.unwrap()
    }

    async fn heads(&self, destination: &str, now: i64) -> Vec<Queued> {
        let destination = Destination::from_key(destination);
        self.spool
            .heads(&destination, Wall(now), 100)
            .await
            .unwrap()
            .entries
    }

    async fn read(&self, message: MessageId) -> Result<Vec<u8>, Error> {
        let mut reader = self.spool.content(message).await?;
        let mut content = Vec::new();
        while let Some(piece) = reader.next().await? {
            assert!(!piece.is_empty());
            content.extend_from_slice(&piece);
        }
        assert_eq!(reader.size(), content.len() as u64);
        Ok(content)
    }

    fn content_files(&self) -> usize {
        self.spool.shared.paths.contents().unwrap().len()
    }
}

fn open(dir: &TempDir) -> Result<Spool, Error> {
    Spool::open(Options::new(dir.path()), SystemClock::shared())
}

fn recipient(user: &str, domain: &str) -> Recipient {
    Recipient::plain(format!("{user}@{domain}").parse().unwrap())
}

fn entry(destination: &str, users: &[&str]) -> NewEntry {
    NewEntry {
        destination: Destination::from_key(destination),
        recipients: users.iter().map(|user| recipient(user, destination)).collect(),
    }
}

fn done(queued: &Queued) -> Settlement {
    Settlement {
        entry: queued.id,
        message: queued.message,
        left: Vec::new(),
        due: Wall::NEVER,
        attempt: None,
        reports: Vec::new(),
    }
}

fn deferred(queued: &Queued, due: i64) -> Settlement {
    Settlement {
        left: queued.recipients.clone(),
        due: Wall(due),
        attempt: Some(Attempt {
            at: due - 1,
            relay: "mx[192.0.2.1]:25".into(),
            result: "450 later".into(),
            ..Attempt::default()
        }),
        ..done(queued)
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let fixture = Fixture::new();
    let stored = fixture
        .store(&[("a.test", &["x", "y"]), ("b.test", &["z"])])
        .await;
    assert_eq!(stored.len(), 2);
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.heads("a.test", 1000).await, stored[..1]);
    assert_eq!(fixture.heads("b.test", 1000).await, stored[1..]);
    let content = fixture.read(stored[0].message).await.unwrap();
    assert_eq!(content, b"Subject: a\r\n\r\nb\r\n");
}

#[tokio::test]
async fn a_large_content_comes_back_in_small_pieces() {
    let fixture = Fixture::new();
    let id = fixture.spool.allocate_id();
    let sent: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = fixture.spool.writer(id, None);
    for piece in sent.chunks(10_007) {
        writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let content = writer.finish().await.unwrap();
    let message = NewMessage {
        id,
        ..fixture.message_with(&[("a.test", &["x"])], content)
    };
    let stored = fixture.spool.store(message).await.unwrap();
    assert_eq!((stored[0].size, stored[0].header_8bit), (700_001, true));
    let mut reader = fixture.spool.content(id).await.unwrap();
    assert!(reader.next().await.unwrap().unwrap().len() <= 64 << 10);
    assert_eq!(fixture.read(id).await.unwrap(), sent);
    fixture.spool.settle(done(&stored[0])).await.unwrap();
    // The file stays open for its reader.
    assert_eq!(reader.next().await.unwrap().unwrap().len(), 64 << 10);
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.content_files(), 0);
}

#[tokio::test]
async fn what_was_noted_of_octets_above_127_survives_a_restart() {
    let fixture = Fixture::new();
    let contents = [
        ("a.test", "Subject: a\r\n\r\nb\r\n", (false, false)),
        ("b.test", "Subject: a\r\n\r\n\u{fc}\r\n", (false, true)),
        ("c.test", "Subject: \u{fc}\r\n\r\nb\r\n", (true, true)),
    ];
    for (to, content, noted) in contents {
        let message = fixture.message_with(
            &[(to, &["x"])],
            Content::from(Bytes::from_static(content.as_bytes())),
        );
        let stored = fixture.spool.store(message).await.unwrap();
        assert_eq!((stored[0].header_8bit, stored[0].content_8bit), noted);
    }
    let fixture = fixture.reopened().await;
    for (to, _, noted) in contents {
        let read = &fixture.heads(to, 1000).await[0];
        assert_eq!((read.header_8bit, read.content_8bit), noted);
    }
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let fixture = Fixture::new();
    assert!(matches!(open(&fixture.dir), Err(Error::InUse)));
    fixture.spool.close().await;
    open(&fixture.dir).unwrap();
}

#[tokio::test]
async fn ids_grow_and_are_above_every_id_in_the_spool() {
    let fixture = Fixture::new();
    let far = MessageId(fixture.spool.allocate_id().0 + 1_000_000_000_000);
    let message = NewMessage {
        id: far,
        ..fixture.message(&[("a.test", &["x"])])
    };
    fixture.spool.store(message).await.unwrap();
    let fixture = fixture.reopened().await;
    let first = fixture.spool.allocate_id();
    assert!(first > far && fixture.spool.allocate_id() > first);
}

#[tokio::test]
async fn content_without_a_row_is_removed_at_start() {
    let fixture = Fixture::new();
    let orphan = fixture.spool.shared.paths.content(fixture.spool.allocate_id());
    std::fs::write(&orphan, b"x").unwrap();
    let foreign = orphan.with_file_name("not-an-id");
    std::fs::write(&foreign, b"x").unwrap();
    let _fixture = fixture.reopened().await;
    assert!(!orphan.exists() && foreign.exists());
}

#[tokio::test]
async fn fresh_content_is_served_from_memory_until_the_first_settlement() {
    let fixture = Fixture::new();
    let stored = fixture.store(&[("a.test", &["x"])]).await;
    assert!(fixture.spool.health().fresh_bytes > 0);
    fixture.spool.settle(deferred(&stored[0], 2000)).await.unwrap();
    assert_eq!(fixture.spool.health().fresh_bytes, 0);
    assert_eq!(
        fixture.read(stored[0].message).await.unwrap(),
        b"Subject: a\r\n\r\nb\r\n"
    );
}

#[tokio::test]
async fn one_bad_change_fails_alone() {
    let fixture = Fixture::new();
    let taken = fixture.store(&[("a.test", &["x"])]).await[0].message;
    let bad = NewMessage {
        id: taken,
        ..fixture.message(&[("b.test", &["x"])])
    };
    let (good, bad, late) = tokio::join!(
        fixture.spool.store(fixture.message(&[("c.test", &["x"])])),
        fixture.spool.store(bad),
        fixture.spool.store(fixture.message(&[("c.test", &["y"])])),
    );
    assert!(matches!(bad, Err(Error::Duplicate { message }) if message == taken));
    let kept = [good.unwrap(), late.unwrap()].concat();
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.heads("c.test", 1000).await, kept);
    assert_eq!(fixture.heads("b.test", 1000).await, []);
}

#[tokio::test]
async fn a_message_without_recipients_is_refused() {
    let fixture = Fixture::new();
    for to in [&[][..], &[("a.test", &[][..])]] {
        let refused = fixture.spool.store(fixture.message(to)).await;
        assert!(matches!(refused, Err(Error::NoRecipients { .. })));
    }
}

#[tokio::test]
async fn a_closed_spool_says_so() {
    let fixture = Fixture::new();
    let message = fixture.message(&[("a.test", &["x"])]);
    fixture.spool.close().await;
    fixture.spool.close().await;
    assert!(matches!(fixture.spool.store(message).await, Err(Error::Closed)));
    assert!(matches!(fixture.spool.backlog().await, Err(Error::Closed)));
    assert!(!fixture.spool.health().writable);
}

#[tokio::test(start_paused = true)]
async fn paused_time_waits_for_commits() {
    let dir = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock::paused());
    let spool = Spool::open(Options::new(dir.path()), clock.clone()).unwrap();
    let fixture = Fixture { dir, spool };
    let deadline = clock.now().monotonic + Duration::from_millis(1);
    let stored = remuda_clock::before(&*clock, deadline, fixture.store(&[("a.test", &["x"])])).await;
    assert!(stored.is_some());
}

#[tokio::test]
async fn commits_are_counted() {
    let fixture = Fixture::new();
    fixture.store(&[("a.test", &["x"])]).await;
    assert_eq!(fixture.spool.metrics().commits.get(), 1);
    let mut registry = prometheus_client::registry::Registry::default();
    fixture.spool.metrics().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for name in [
        "remuda_spool_commits_total 1",
        "remuda_spool_commit_messages_sum 1",
        "remuda_spool_commit_seconds_count 1",
    ] {
        assert!(text.contains(name), "{text}");
    }
}

#[tokio::test]
async fn what_is_deleted_is_given_back_to_the_file_system() {
    let fixture = Fixture::new();
    let mut stored = Vec::new();
    for _ in 0..40 {
        let content = Content::from(Bytes::from(vec![b'x'; 200_000]));
        let message = fixture.message_with(&[("a.test", &["x"])], content);
        stored.extend(fixture.spool.store(message).await.unwrap());
    }
    for queued in &stored {
        fixture.spool.settle(done(queued)).await.unwrap();
    }
    let shared = fixture.spool.shared.clone();
    shared.queue.drained().await;
    let pages = move || {
        shared.tidy();
        let db = schema::connect(&shared.paths.database, schema::Role::Reader).unwrap();
        db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert!(tokio::task::spawn_blocking(pages).await.unwrap() < 1500);
}
