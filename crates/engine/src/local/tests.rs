//! Maildirs: what is on disk after each kind of ending.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use bytes::Bytes;
use remuda_clock::{SystemClock, Wall};
use remuda_mail::{Destination, EntryId, Envelope, MessageId, Sender};
use remuda_spool::State;

use super::*;
use crate::session::content::{Boxed, Content};

/// Content in pieces; `breaks`: then an error instead of the end.
struct Pieces {
    pieces: Vec<&'static str>,
    breaks: bool,
}

struct Reading {
    pieces: std::vec::IntoIter<&'static str>,
    breaks: bool,
}

impl ContentSource for Pieces {
    fn content(&self, _: MessageId) -> Boxed<'_, Result<Box<dyn Content>, Unreadable>> {
        let reading = Reading {
            pieces: self.pieces.clone().into_iter(),
            breaks: self.breaks,
        };
        Box::pin(async move { Ok(Box::new(reading) as Box<dyn Content>) })
    }
}

impl Content for Reading {
    fn size(&self) -> u64 {
        0
    }

    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Unreadable>> {
        let next = match self.pieces.next() {
            None if self.breaks => Err(Unreadable("the file is gone".into())),
            piece => Ok(piece.map(Bytes::from)),
        };
        Box::pin(async move { next })
    }
}

fn queued(sender: Option<&str>) -> Queued {
    Queued {
        id: EntryId(1),
        message: MessageId(1_795_000_000_000_001),
        destination: Destination::from_key("local"),
        envelope: Arc::new(Envelope {
            sender: Sender(sender.map(|address| address.parse().unwrap())),
            ..Envelope::default()
        }),
        size: 0,
        header_8bit: false,
        content_8bit: false,
        arrived: Wall(0),
        expires: Wall(0),
        due: Wall(0),
        attempts: 0,
        state: State::Waiting,
        recipients: Vec::new(),
    }
}

/// Answers the same for everybody.
struct All(Mailbox);

impl Mailboxes for All {
    fn mailbox<'a>(&'a self, _: &'a Address) -> Boxed<'a, Mailbox> {
        Box::pin(std::future::ready(self.0))
    }
}

struct Scene {
    data: tempfile::TempDir,
    settings: Settings,
    local: Local,
}

impl Scene {
    fn new() -> Self {
        Scene::with(Mailbox::Unknown)
    }

    fn with(mailbox: Mailbox) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults("mx.home.test");
        settings.data_dir = data.path().join("data");
        fs::create_dir(&settings.data_dir).unwrap();
        let local = Local::new(Arc::new(All(mailbox)), SystemClock::shared());
        Scene {
            data,
            settings,
            local,
        }
    }

    async fn deliver(&self, pieces: &[&'static str], to: &str) -> Outcome {
        self.deliver_from(pieces, to, false).await
    }

    async fn deliver_from(&self, pieces: &[&'static str], to: &str, breaks: bool) -> Outcome {
        let recipient = Recipient::plain(to.parse().unwrap());
        self.deliver_to(pieces, &[recipient], breaks)
            .await
            .outcomes
            .remove(0)
    }

    async fn deliver_to(&self, pieces: &[&'static str], to: &[Recipient], breaks: bool) -> Delivered {
        let source = Pieces {
            pieces: pieces.to_vec(),
            breaks,
        };
        let delivered = self
            .local
            .deliver(&self.settings, &source, (&queued(Some("a@b.test")), to))
            .await;
        assert_eq!(delivered.outcomes.len(), to.len());
        delivered
    }

    fn directory(&self) -> PathBuf {
        postmaster_directory(&self.settings)
    }

    fn files(&self, directory: &str) -> Vec<PathBuf> {
        files(&self.directory().join(directory))
    }

    /// What is in the Maildir of ann@example.org.
    fn anns(&self, directory: &str) -> Vec<PathBuf> {
        files(
            &self
                .settings
                .data_dir
                .join("mail/example.org/ann")
                .join(directory),
        )
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

const ANN: &str = "ann@example.org";
const POSTMASTER: &str = "postmaster@mx.home.test";

#[tokio::test]
async fn a_delivered_message_is_in_new_with_its_trace_and_unix_lines() {
    let scene = Scene::new();
    let outcome = scene
        .deliver(&["Subject: x\r", "\n\r\na\r\n", "b\rc\r\n", "\r"], POSTMASTER)
        .await;
    assert!(
        matches!(&outcome, Outcome::Delivered(receipt) if receipt.relay == "local"),
        "{outcome:?}"
    );
    let files = scene.files("new");
    assert_eq!(files.len(), 1);
    assert!(scene.files("tmp").is_empty());
    assert_eq!(
        fs::read_to_string(&files[0]).unwrap(),
        "Return-Path: <a@b.test>\nDelivered-To: postmaster@mx.home.test\nSubject: x\n\na\nb\rc\n\r"
    );
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(
        name.ends_with(&format!(
            ".mx.home.test,S={}",
            fs::metadata(&files[0]).unwrap().len()
        )) && !name.contains([':', '/']),
        "{name}"
    );
}

#[tokio::test]
async fn a_report_has_an_empty_return_path_and_a_rewritten_recipient_its_origin() {
    let scene = Scene::new();
    let source = Pieces {
        pieces: vec!["x\r\n"],
        breaks: false,
    };
    let mut recipient = Recipient::plain("MAILER-DAEMON@mx.home.test".parse().unwrap());
    recipient.original = Some("post\r\nmaster".into());
    let delivered = scene
        .local
        .deliver(&scene.settings, &source, (&queued(None), &[recipient]))
        .await;
    assert!(matches!(delivered.outcomes[..], [Outcome::Delivered(_)]));
    assert_eq!(
        fs::read_to_string(&scene.files("new")[0]).unwrap(),
        "Return-Path: <>\nX-Original-To: post  master\nDelivered-To: MAILER-DAEMON@mx.home.test\nx\n"
    );
}

#[tokio::test]
async fn nothing_is_overwritten_by_the_same_message_at_the_same_time() {
    let scene = Scene::new();
    for n in 0..20 {
        let outcome = scene.deliver(&["x\r\n"], POSTMASTER).await;
        assert!(matches!(outcome, Outcome::Delivered(_)));
        assert_eq!(scene.files("new").len(), n + 1);
    }
}

#[tokio::test]
async fn the_mailbox_is_for_its_owner_only() {
    let scene = Scene::new();
    scene.deliver(&["x\r\n"], POSTMASTER).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = scene.directory();
    for path in [
        directory.parent().unwrap(),
        &*directory,
        &directory.join("cur"),
        &directory.join("new"),
    ] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&scene.files("new")[0]), 0o600);
}

/// One word for what became of a recipient, and the status.
fn word(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Delivered(receipt) => ("delivered", receipt.reply.status().to_string()),
        Outcome::Deferred(refusal) => ("deferred", refusal.status.to_string()),
        Outcome::Bounced(refusal) => ("bounced", refusal.status.to_string()),
    }
}

/// D7, D8: who has a mailbox is asked at each attempt.
#[tokio::test]
async fn who_has_a_mailbox_is_asked_at_each_attempt() {
    for (mailbox, expected, is_unasked) in [
        (Mailbox::Open { quota: None }, ("delivered", "2.0.0"), false),
        (Mailbox::Unknown, ("bounced", "5.1.1"), false),
        (Mailbox::Disabled, ("bounced", "5.2.1"), false),
        (Mailbox::Unavailable, ("deferred", "4.4.3"), true),
    ] {
        let scene = Scene::with(mailbox);
        let recipient = Recipient::plain(ANN.parse().unwrap());
        let delivered = scene.deliver_to(&["x\r\n"], &[recipient], false).await;
        let (what, status) = word(&delivered.outcomes[0]);
        assert_eq!((what, status.as_str()), expected, "{mailbox:?}");
        assert_eq!(delivered.is_unasked, is_unasked, "{mailbox:?}");
        assert_eq!(scene.anns("new").len(), usize::from(what == "delivered"));
    }
}

#[tokio::test]
async fn an_attempt_that_failed_for_another_reason_counts() {
    let scene = Scene::with(Mailbox::Unavailable);
    fs::write(scene.data.path().join("data/mail"), "").unwrap();
    let to = [POSTMASTER, ANN].map(|to| Recipient::plain(to.parse().unwrap()));
    let delivered = scene.deliver_to(&["x\r\n"], &to, false).await;
    assert!(
        delivered
            .outcomes
            .iter()
            .all(|outcome| word(outcome).0 == "deferred")
    );
    assert!(!delivered.is_unasked);
}

/// RFC 5321 §4.5.1.
#[tokio::test]
async fn a_role_without_a_mailbox_of_its_own_has_the_postmasters() {
    for (mailbox, to, count) in [
        (Mailbox::Unknown, "postmaster@example.org", 1),
        (Mailbox::Open { quota: None }, "postmaster@example.org", 0),
        (Mailbox::Disabled, "Mailer-Daemon@MX.home.test", 1),
        (Mailbox::Unavailable, POSTMASTER, 1),
    ] {
        let scene = Scene::with(mailbox);
        let outcome = scene.deliver(&["x\r\n"], to).await;
        assert_eq!(word(&outcome).0, "delivered", "{to}");
        assert_eq!(scene.files("new").len(), count, "{to}");
    }
}

#[tokio::test]
async fn over_quota_bounces_at_once() {
    let scene = Scene::with(Mailbox::Open { quota: Some(100) });
    let first = scene.deliver(&["x\r\n"], ANN).await;
    assert_eq!(word(&first).0, "delivered");
    let size = fs::metadata(&scene.anns("new")[0]).unwrap().len();
    let sum = scene.settings.data_dir.join("mail/example.org/ann/maildirsize");
    let sum = fs::read_to_string(sum).unwrap();
    assert_eq!(sum, format!("100S\n0 0\n{size} 1\n"));
    let second = scene.deliver(&["x\r\n"], ANN).await;
    let Outcome::Bounced(refusal) = &second else {
        panic!("{second:?}")
    };
    assert_eq!(refusal.status.to_string(), "5.2.2");
    assert!(
        refusal.reason.contains("quota is 100 octets"),
        "{}",
        refusal.reason
    );
    assert_eq!((scene.anns("new").len(), scene.anns("tmp").len()), (1, 0));
    // What its owner removes is room again.
    fs::remove_file(&scene.anns("new")[0]).unwrap();
    let sum = fs::File::open(scene.settings.data_dir.join("mail/example.org/ann/maildirsize")).unwrap();
    sum.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(word(&scene.deliver(&["x\r\n"], ANN).await).0, "delivered");
}

/// Those at work at the same time may each find room, and nobody behind them: the sum misses none of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_the_last_room_is_won_by_those_in_it_alone() {
    let scene = Arc::new(Scene::with(Mailbox::Open { quota: Some(100) }));
    let mut race = tokio::task::JoinSet::new();
    for _ in 0..2 * DELIVERIES_MAX {
        let scene = scene.clone();
        race.spawn(async move { scene.deliver(&["x\r\n"], ANN).await });
    }
    let outcomes = race.join_all().await;
    let delivered = outcomes
        .iter()
        .filter(|outcome| word(outcome).0 == "delivered")
        .count();
    assert!((1..=DELIVERIES_MAX).contains(&delivered), "{delivered}");
    for outcome in outcomes.iter().filter(|outcome| word(outcome).0 != "delivered") {
        assert_eq!(word(outcome), ("bounced", "5.2.2".to_owned()));
    }
    assert_eq!((scene.anns("new").len(), scene.anns("tmp").len()), (delivered, 0));
    assert_eq!(word(&scene.deliver(&["x\r\n"], ANN).await).0, "bounced");
}

#[tokio::test]
async fn an_address_with_dangerous_octets_stays_below_the_root() {
    let scene = Scene::with(Mailbox::Open { quota: None });
    let odd = "../../x@example.org";
    assert_eq!(word(&scene.deliver(&["x\r\n"], odd).await).0, "delivered");
    let place = scene.settings.data_dir.join("mail/example.org/%2E.%2F..%2Fx/new");
    assert_eq!(files(&place).len(), 1);
    let long = format!("{}@example.org", "\u{e4}".repeat(60));
    let outcome = scene.deliver(&["x\r\n"], &long).await;
    assert_eq!(word(&outcome), ("bounced", "5.1.3".to_owned()));
}

#[tokio::test]
async fn a_maildir_that_may_not_be_written_to_defers_and_keeps_what_it_has() {
    let scene = Scene::with(Mailbox::Open { quota: None });
    assert_eq!(word(&scene.deliver(&["x\r\n"], ANN).await).0, "delivered");
    // Not even root makes a file where there is no directory.
    let maildir = scene.settings.data_dir.join("mail/example.org/ann");
    for broken in ["tmp", "new"] {
        let (path, aside) = (maildir.join(broken), maildir.join("aside"));
        fs::rename(&path, &aside).unwrap();
        fs::write(&path, "").unwrap();
        let outcome = scene.deliver(&["x\r\n"], ANN).await;
        assert_eq!(word(&outcome), ("deferred", "4.3.0".to_owned()), "{broken}");
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!(
            (scene.anns("new").len(), scene.anns("tmp").len()),
            (1, 0),
            "{broken}"
        );
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_overwritten() {
    let scene = Scene::new();
    let name = || "1.M0P1QX.host".to_owned();
    let write = async |text: &'static str| {
        let mut file = NewFile::create(scene.directory(), name()).await?;
        file.write(Bytes::from(text)).await?;
        file.keep(None, SystemTime::UNIX_EPOCH).await
    };
    write("one").await.unwrap();
    assert!(
        matches!(write("two").await, Err(NotKept::Disk(error)) if error.kind() == io::ErrorKind::AlreadyExists)
    );
    let kept = scene.files("new");
    assert_eq!(
        (kept.len(), fs::read_to_string(&kept[0]).unwrap().as_str()),
        (1, "one")
    );
    assert!(scene.files("tmp").is_empty());
}

/// A content that never comes, and how many were asked for.
#[derive(Clone, Default)]
struct Never(Arc<AtomicU64>);

impl ContentSource for Never {
    fn content(&self, _: MessageId) -> Boxed<'_, Result<Box<dyn Content>, Unreadable>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_slow_disk_holds_a_bounded_number_of_deliveries() {
    let scene = Arc::new(Scene::new());
    let source = Never::default();
    let mut deliveries = tokio::task::JoinSet::new();
    for _ in 0..DELIVERIES_MAX + 10 {
        let (scene, source) = (scene.clone(), source.clone());
        deliveries.spawn(async move {
            let recipient = [Recipient::plain(POSTMASTER.parse().unwrap())];
            scene
                .local
                .deliver(&scene.settings, &source, (&queued(None), &recipient))
                .await
        });
    }
    for _ in 0..2 * DELIVERIES_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(source.0.load(Ordering::Relaxed), DELIVERIES_MAX as u64);
}

#[tokio::test]
async fn content_that_breaks_off_defers_and_leaves_nothing_behind() {
    let scene = Scene::new();
    let outcome = scene.deliver_from(&["Subject: x\r\n"], POSTMASTER, true).await;
    assert!(
        matches!(&outcome, Outcome::Deferred(refusal) if refusal.status == TROUBLE),
        "{outcome:?}"
    );
    assert!(scene.files("new").is_empty() && scene.files("tmp").is_empty());
}

#[tokio::test]
async fn trouble_with_the_disk_defers() {
    let scene = Scene::new();
    // A file where the directory should be.
    fs::write(scene.data.path().join("data/mail"), "").unwrap();
    let outcome = scene.deliver(&["x\r\n"], POSTMASTER).await;
    assert!(
        matches!(&outcome, Outcome::Deferred(refusal) if refusal.status == TROUBLE),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_delivery_that_is_dropped_leaves_nothing_behind() {
    let scene = Scene::new();
    let mut file = NewFile::create(scene.directory(), "1.M0P1QX.host".into())
        .await
        .unwrap();
    file.write(Bytes::from("half")).await.unwrap();
    assert_eq!(scene.files("tmp").len(), 1);
    drop(file);
    assert!(scene.files("tmp").is_empty() && scene.files("new").is_empty());
}

#[test]
fn a_full_disk_is_told_from_other_trouble() {
    assert!(is_full(&io::ErrorKind::StorageFull.into()));
    assert!(!is_full(&io::ErrorKind::PermissionDenied.into()));
}
