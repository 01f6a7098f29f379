//! The postmaster's Maildir: what is on disk after each kind of ending.

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

struct Scene {
    data: tempfile::TempDir,
    maildir: Maildir,
}

impl Scene {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults("mx.home.test");
        settings.data_dir = data.path().join("data");
        fs::create_dir(&settings.data_dir).unwrap();
        let maildir = Maildir::new(&settings, SystemClock::shared());
        Scene { data, maildir }
    }

    async fn deliver(&self, pieces: &[&'static str], to: &str) -> Outcome {
        self.deliver_from(pieces, to, false).await
    }

    async fn deliver_from(&self, pieces: &[&'static str], to: &str, breaks: bool) -> Outcome {
        let source = Pieces {
            pieces: pieces.to_vec(),
            breaks,
        };
        let recipient = Recipient::plain(to.parse().unwrap());
        self.maildir
            .deliver(&source, &queued(Some("a@b.test")), &recipient)
            .await
    }

    fn files(&self, directory: &str) -> Vec<PathBuf> {
        let directory = self.maildir.directory().join(directory);
        let mut files: Vec<PathBuf> = fs::read_dir(directory)
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        files.sort();
        files
    }
}

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
        name.ends_with(".mx.home.test") && !name.contains([':', '/']),
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
    let outcome = scene.maildir.deliver(&source, &queued(None), &recipient).await;
    assert!(matches!(outcome, Outcome::Delivered(_)));
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
    let directory = scene.maildir.directory();
    for path in [
        directory.parent().unwrap(),
        directory,
        &directory.join("cur"),
        &directory.join("new"),
    ] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&scene.files("new")[0]), 0o600);
}

#[tokio::test]
async fn anybody_else_bounces() {
    let scene = Scene::new();
    let outcome = scene.deliver(&["x\r\n"], "someone@mx.home.test").await;
    assert!(
        matches!(&outcome, Outcome::Bounced(refusal) if refusal.status == NO_MAILBOX),
        "{outcome:?}"
    );
    assert!(scene.files("new").is_empty());
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
    let directory = scene.maildir.directory().to_owned();
    let name = Name {
        stem: "1.M0P1QX".into(),
        host: "host".into(),
    };
    let mut file = NewFile::create(directory, name).await.unwrap();
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
