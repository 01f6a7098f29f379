//! What holds whatever the server does.

use proptest::prelude::*;
use remuda_mail::{Credentials, Secret};

use super::*;

fn reply() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(
        &[
            "250 ok",
            "250-a\r\n250 b",
            "251 r",
            "220 hi",
            "354 go",
            "450 no",
            "452 many",
            "452 4.2.2 x",
            "550 no",
            "552 much",
            "421 bye",
            "500 what",
            "503 order",
            "554 no",
            "555 x",
            "777 x",
            "noise",
            "25",
            "250",
        ][..],
    )
}

fn opening_reply() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => proptest::sample::select(&["220 hi", "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"][..]),
        2 => proptest::sample::select(&["250-mx\r\n250 AUTH LOGIN", "334 more", "235 in", "250 mx"][..]),
        1 => reply(),
    ]
}

/// How much is written before the server is heard.
fn script() -> impl Strategy<Value = Vec<(usize, &'static str)>> {
    proptest::collection::vec((prop_oneof![Just(usize::MAX), 0usize..40], reply()), 0..14)
}

proptest! {
    #[test]
    fn every_transaction_ends_with_one_slot_for_each_recipient(
        ehlo in proptest::sample::select(&[PLAIN, PIPELINING, "250-a\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n"][..]),
        scripts in proptest::collection::vec(script(), 1..4),
        loss in prop_oneof![Just(Loss::Closed), Just(Loss::TimedOut)],
        is_lmtp in any::<bool>(),
    ) {
        let mut client = if is_lmtp { lmtp::lmtp(ehlo) } else { open(ehlo) };
        for script in scripts {
            begin(&mut client, &["c@d.test", "e@d.test", "f@d.test"]);
            let mut is_ended = false;
            let mut last = "";
            let mut replies = script.into_iter();
            let finished = loop {
                if let Some(finished) = client.finished() {
                    break finished;
                }
                if client.want() == Want::Content {
                    client.content(b"x\r\n");
                    client.end_content();
                    is_ended = true;
                }
                match replies.next() {
                    Some((write, reply)) => {
                        let length = client.output().len().min(write);
                        client.wrote(length);
                        last = reply;
                        client.receive(format!("{reply}\r\n").as_bytes());
                    }
                    None => client.lost(&loss),
                }
            };
            prop_assert_eq!(finished.outcomes.len(), 3);
            let delivered = finished.outcomes.iter().any(|o| matches!(o, Some(Outcome::Delivered(_))));
            prop_assert_eq!(delivered, finished.accepted);
            // Delivered only by a 2xx to a content that went out as a whole.
            prop_assert!(!delivered || is_ended);
            prop_assert!(!finished.may_be_duplicate || is_ended);
            if is_lmtp {
                // Who was answered is done; who was not is not sent it again at once.
                prop_assert!(!finished.may_resend || !finished.accepted);
                let is_open = |place: &usize| matches!(finished.outcomes[*place], Some(Outcome::Deferred(_)));
                prop_assert!(finished.unknown.iter().all(is_open));
            } else {
                prop_assert!(!delivered || last.starts_with('2'));
                prop_assert!(!finished.may_be_duplicate || !finished.accepted);
            }
            // What is left for the next transaction is there only after progress.
            let is_stuck = finished.outcomes.iter().all(Option::is_none);
            prop_assert!(!is_stuck || finished.rest != Rest::Next);
            if finished.health != Health::Sound {
                client.quit();
                return Ok(());
            }
        }
    }

    /// Whatever the server says, the opening ends, nothing is said behind an unanswered command, and a
    /// password is said after the handshake or not at all.
    #[test]
    fn every_secured_opening_ends_and_keeps_its_password(
        tls in proptest::sample::select(&[WantedTls::None, WantedTls::IfOffered, WantedTls::Required][..]),
        replies in proptest::collection::vec(opening_reply(), 0..12),
    ) {
        let endpoint = Endpoint::Tcp("192.0.2.1:25".parse().unwrap());
        let credentials = Credentials { username: "me".into(), password: Secret::new("secret") };
        let login = Some(Login { credentials, in_clear: false });
        let security = Security { tls, login, ..Security::default() };
        let mut client = Client::with(Peer::new("mx.test", endpoint), "us.test".into(), security);
        let mut is_encrypted = false;
        for reply in replies {
            if client.want() == Want::Handshake {
                client.secured();
                is_encrypted = true;
            }
            let said = sent(&mut client);
            prop_assert!(is_encrypted || !said.contains("AUTH"), "{}", said);
            prop_assert!(said.matches("\r\n").count() <= 1, "one command at a time: {}", said);
            client.receive(format!("{reply}\r\n").as_bytes());
        }
        client.lost(&Loss::Closed);
        match client.opening() {
            None => prop_assert!(false, "it has not ended"),
            Some(Ok(_)) => prop_assert!(is_encrypted, "nobody is let in without a password"),
            Some(Err(refused)) => prop_assert!(!refused.failure.refusal.is_permanent()),
        }
    }

    #[test]
    fn any_octets_end_a_session_that_they_do_not_open(
        octets in proptest::collection::vec(proptest::sample::select(&b"0123456789 -\r\nabc\0"[..]), 0..300),
        cut in 1usize..50,
    ) {
        let mut client = new();
        for chunk in octets.chunks(cut) {
            let length = client.output().len();
            client.wrote(length);
            client.receive(chunk);
        }
        client.lost(&Loss::Closed);
        prop_assert!(client.opening().is_some());
    }
}
