//! A real Dovecot: it takes local mail by LMTP, and reads the Maildirs that mail is delivered to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use remuda_clock::{SharedClock, SystemClock};
use remuda_engine::{
    Engine, Parts,
    local::{Mailbox, Mailboxes},
    session::content::Boxed,
    settings::Settings,
};
use remuda_mail::{Address, Envelope, NextHop, Recipient, Sender};
use remuda_spool::{NewEntry, NewMessage, Options, Origin, Spool};
use remuda_testing::{
    dovecot::{Account, Dovecot, own},
    wait::wait_until,
};

use crate::home::Home;

/// Puts a message for mailboxes here into the spool of a server that does not run.
async fn store(data_dir: &Path, subject: &str, recipients: &[&str]) {
    let clock: SharedClock = SystemClock::shared();
    fs::create_dir_all(data_dir).unwrap();
    let spool = Spool::open(Options::new(data_dir), clock.clone()).unwrap();
    let id = spool.allocate_id();
    let mut content = spool.writer(id, None);
    let text = format!("Subject: {subject}\r\n\r\nhello\r\n.with a dot\r\n");
    content.write(text.as_bytes()).await.unwrap();
    let now = clock.now().wall;
    let expires = now + Duration::from_secs(3600);
    let message = NewMessage {
        id,
        envelope: Envelope {
            sender: Sender(Some("writer@remuda.test".parse().unwrap())),
            ..Envelope::default()
        },
        origin: Origin::default(),
        arrived: now,
        expires,
        notice: expires,
        content: content.finish().await.unwrap(),
        entries: vec![NewEntry {
            destination: NextHop::Local.destination(),
            recipients: recipients
                .iter()
                .map(|to| Recipient::plain(to.parse().unwrap()))
                .collect(),
        }],
    };
    spool.store(message).await.unwrap();
    spool.close().await;
}

fn account<'a>(address: &'a str, maildir: Option<&'a Path>, quota: Option<u64>) -> Account<'a> {
    Account {
        address,
        maildir,
        quota,
    }
}

const ANN: &str = "ann@remuda.test";
const BOB: &str = "bob@remuda.test";

#[tokio::test]
async fn a_real_dovecot_takes_local_mail_by_lmtp_and_its_sessions_are_used_again() {
    let dovecot =
        Dovecot::start(&[account(ANN, None, None), account(BOB, None, Some(10))]).expect("the peer");
    let address = dovecot.address();
    for (delivery, relay) in [
        (
            format!("lmtp:{address}"),
            format!("127.0.0.1[127.0.0.1]:{}", address.port()),
        ),
        (
            format!("lmtp:unix:{}", dovecot.socket().display()),
            format!("remuda.test[{}]", dovecot.socket().display()),
        ),
    ] {
        let home = Home::new(&format!(
            "[local]\ndelivery = \"{delivery}\"\n[delivery]\nsessions_per_endpoint = 1\ninitial_concurrency = 1\n"
        ));
        open_accounts(&home);
        let before = count(&dovecot);
        for n in 0..3 {
            let to = [
                ANN,
                "off@remuda.test",
                BOB,
                "nobody@remuda.test",
                "gone@remuda.test",
            ];
            store(&home.path("remuda-data"), &format!("{delivery} {n}"), &to).await;
        }
        let mut remuda = home.start();
        remuda.wait_until_empty();
        assert_eq!(count(&dovecot), before + 3, "{}\n{}", remuda.log(), dovecot.log());
        let lines: Vec<String> = remuda.process.lines();
        let of = |to: &str| -> Vec<&String> {
            let is_of =
                |line: &&String| line.contains("delivery id=") && line.contains(&format!(" to=<{to}>"));
            lines.iter().filter(is_of).collect()
        };
        for (to, what) in [
            (ANN, "dsn=2.0.0 status=sent"),
            (BOB, "dsn=5.2.2 status=bounced"),
            ("nobody@remuda.test", "dsn=5.1.1 status=bounced"),
        ] {
            let found = of(to);
            assert_eq!(found.len(), 3, "{lines:#?}");
            for (n, line) in found.into_iter().enumerate() {
                assert!(
                    line.contains(what) && line.contains(&format!("relay={relay}")),
                    "{line}"
                );
                let reused = line.contains(&format!(" conn_use={} ", n + 1));
                assert_eq!(reused, n > 0, "{line}");
            }
        }
        for (to, what) in [
            ("off@remuda.test", "dsn=5.2.1 status=bounced"),
            ("gone@remuda.test", "dsn=5.1.1 status=bounced"),
        ] {
            let is_ours = |line: &&String| line.contains(what) && line.contains(" relay=local ");
            assert!(of(to).len() == 3 && of(to).iter().all(is_ours), "{lines:#?}");
        }
        assert!(remuda.stop().success());
    }
    let text = dovecot.doveadm(&["fetch", "-u", ANN, "text", "ALL"]).unwrap();
    assert!(text.contains("hello\n.with a dot\n"), "{text}");
    assert!(text.contains("Return-Path: <writer@remuda.test>"), "{text}");
}

/// The accounts of our directory: all of Dovecot's, one that it does not have, and one that is disabled.
fn open_accounts(home: &Home) {
    fs::create_dir_all(home.path("remuda-data")).unwrap();
    let done = |ended: crate::home::Ended| assert_eq!(ended.code, Some(0), "{ended:?}");
    done(home.run(["domain", "add", "remuda.test", "--offline"]));
    for address in [ANN, BOB, "nobody@remuda.test", "off@remuda.test"] {
        done(home.run(["account", "add", address, "--offline"]));
    }
    done(home.run([
        "account",
        "set",
        "off@remuda.test",
        "--active",
        "false",
        "--offline",
    ]));
}

/// Lets others through to a Maildir below `root`.
fn open_the_way_to(maildir: &Path, root: &Path) {
    for above in maildir
        .ancestors()
        .skip(1)
        .take_while(|above| above.starts_with(root))
    {
        fs::set_permissions(above, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// How many messages Ann has.
fn count(dovecot: &Dovecot) -> usize {
    let status = dovecot
        .doveadm(&["mailbox", "status", "-u", ANN, "messages", "INBOX"])
        .unwrap();
    let (_, count) = status.trim().split_once("messages=").unwrap();
    count.parse().unwrap()
}

/// The postmaster's mail is kept in his Maildir, also when all other local mail goes by LMTP.
#[test]
fn the_postmasters_maildir_stays_beside_lmtp() {
    let home = Home::new("[local]\ndelivery = \"lmtp:unix:/nonexistent/lmtp\"\n");
    let mut remuda = home.start();
    let mut letter = crate::letters::Letter::new("one", "remuda.test", b"Subject: x\r\n\r\nhello\r\n");
    letter.recipients = vec!["postmaster@remuda.test".to_owned()];
    crate::letters::send(remuda.smtp, &[letter]);
    let new = home.path("remuda-data/mail/postmaster/new");
    wait_until("the postmaster has his mail", || {
        fs::read_dir(&new).is_ok_and(|mut files| files.next().is_some())
    });
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
}

/// Everybody has a mailbox.
struct Open(Option<u64>);

impl Mailboxes for Open {
    fn mailbox<'a>(&'a self, _: &'a Address) -> Boxed<'a, Mailbox> {
        Box::pin(std::future::ready(Mailbox::Open { quota: self.0 }))
    }
}

/// Lets a server deliver these to Ann, until she has `total`.
async fn deliver(data_dir: &Path, numbers: std::ops::Range<usize>, total: usize) {
    for n in numbers {
        store(data_dir, &format!("number {n}"), &[ANN]).await;
    }
    let settings = Settings {
        data_dir: data_dir.to_owned(),
        ..Settings::defaults("remuda.test")
    };
    let parts = Parts {
        mailboxes: Arc::new(Open(Some(10_000))),
        ..Parts::default()
    };
    let engine = Engine::start_with(settings, None, SystemClock::shared(), parts)
        .await
        .unwrap();
    wait_until("all is delivered", || {
        let new = fs::read_dir(data_dir.join("mail/remuda.test/ann/new"));
        new.is_ok_and(|files| files.count() == total)
    });
    engine.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_dovecot_reads_the_maildirs_that_mail_is_delivered_to() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let maildir = data_dir.join("mail/remuda.test/ann");
    // The first comes alone and makes the sum: one that is counted while others arrive is not kept.
    deliver(&data_dir, 0..1, 1).await;
    deliver(&data_dir, 1..3, 3).await;

    open_the_way_to(&maildir, directory.path());
    own(&maildir).unwrap();
    let dovecot = Dovecot::start(&[account(ANN, Some(&maildir), Some(10_000))]).expect("the peer");
    let fetched = dovecot
        .doveadm(&[
            "fetch",
            "-u",
            ANN,
            "hdr.subject hdr.delivered-to hdr.return-path body",
            "ALL",
        ])
        .unwrap();
    for part in [
        "number 0",
        "number 1",
        "number 2",
        ANN,
        "<writer@remuda.test>",
        ".with a dot",
    ] {
        assert!(fetched.contains(part), "{part:?} is not in\n{fetched}");
    }
    // What we have counted is what Dovecot would.
    let used = || {
        dovecot
            .doveadm(&["-f", "flow", "quota", "get", "-u", ANN])
            .unwrap()
    };
    let ours = fs::read_to_string(maildir.join("maildirsize")).unwrap();
    assert!(ours.starts_with("10000S\n"), "{ours}");
    let before = used();
    assert!(before.contains("Type=MESSAGE Value=3 "), "{before}");
    dovecot.doveadm(&["quota", "recalc", "-u", ANN]).unwrap();
    assert_eq!(used(), before, "after {ours}");
    dovecot
        .doveadm(&["expunge", "-u", ANN, "mailbox", "INBOX", "ALL"])
        .unwrap();
    assert!(used().contains("Type=MESSAGE Value=0 "), "{}", used());
}
