//! What is not sent, and to whom.

use remuda_mail::{Blame, Body, EnhancedStatus};

use super::*;

#[test]
fn too_large_a_message_is_not_sent_and_the_session_is_kept() {
    // T41, on a fresh session and on a used one.
    let mut client = open("250-mx.test\r\n250-PIPELINING\r\n250 SIZE 1000\r\n");
    for _ in 0..2 {
        begin_sized(&mut client, &["c@d.test", "e@d.test"], 1001);
        let (finished, wire) = run(&mut client, &[]);
        assert_eq!(
            (words(&finished).as_str(), wire.as_str()),
            ("bounced bounced", "")
        );
        assert_eq!((finished.is_begun, finished.health), (false, Health::Sound));
        let Some(Outcome::Bounced(refusal)) = &finished.outcomes[0] else {
            panic!()
        };
        assert_eq!(refusal.status, EnhancedStatus::new(5, 3, 4));
        assert_eq!(
            refusal.words(),
            "message size 1001 exceeds size limit 1000 of server mx.test[192.0.2.1]:25"
        );
        succeed(&mut client);
    }
    begin_sized(&mut client, &["c@d.test"], 1000);
    assert!(sent(&mut client).starts_with("MAIL FROM:<a@b.test> SIZE=1000\r\n"));
}

#[test]
fn smtputf8_not_offered_is_a_matter_of_the_host() {
    let plain = envelope();
    let foreign = recipients(&["jürgen@d.test"]);
    let ascii = recipients(&["c@d.test"]);
    let a_label = recipients(&["c@bücher.test"]);
    for (smtputf8, recipients, fails) in [
        (true, &ascii, true),
        (false, &foreign, true),
        (false, &a_label, false),
    ] {
        let mut client = open(PIPELINING);
        let order = Order {
            envelope: &plain,
            recipients,
            size: 3,
            smtputf8,
            eight_bit: false,
            whole: None,
        };
        client.begin(order);
        if !fails {
            assert!(sent(&mut client).contains("RCPT TO:<c@xn--bcher-kva.test>\r\n"));
            continue;
        }
        let finished = client.finished().unwrap();
        let Rest::Failed(failure) = &finished.rest else {
            panic!()
        };
        assert_eq!((failure.scope, failure.blame), (Scope::Endpoint, Blame::Policy));
        assert_eq!(failure.refusal.status, EnhancedStatus::new(5, 6, 7));
        assert_eq!((finished.health, finished.is_begun), (Health::Sound, false));

        let mut client = open("250-mx.test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n");
        client.begin(order);
        assert_eq!(sent(&mut client), "MAIL FROM:<a@b.test> SMTPUTF8\r\n");
    }
}

#[test]
fn eight_bit_content_is_declared_where_8bitmime_is_offered() {
    // RFC 6152 §3; decision 0004 for where it is not.
    let offers = "250-mx.test\r\n250 8BITMIME\r\n";
    let recipients = recipients(&["c@d.test"]);
    for (ehlo, body, eight_bit, parameter) in [
        (offers, Body::SevenBit, false, ""),
        (offers, Body::SevenBit, true, " BODY=8BITMIME"),
        (offers, Body::EightBitMime, false, " BODY=8BITMIME"),
        (offers, Body::EightBitMime, true, " BODY=8BITMIME"),
        (PLAIN, Body::SevenBit, true, ""),
        (PLAIN, Body::EightBitMime, true, ""),
    ] {
        let mut client = open(ehlo);
        client.begin(Order {
            envelope: &Envelope { body, ..envelope() },
            recipients: &recipients,
            size: 3,
            smtputf8: false,
            eight_bit,
            whole: None,
        });
        assert_eq!(sent(&mut client), format!("MAIL FROM:<a@b.test>{parameter}\r\n"));
    }
}

#[test]
fn announced_limits_are_kept() {
    // RFC 9422.
    let limits = "250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=2\r\n";
    let mut client = open(limits);
    begin(&mut client, &["c@d.test", "e@d.test", "f@d.test"]);
    let (finished, _) = run(&mut client, &["250 m", "250 r", "250 r", "354 d", "250 ok"]);
    assert_eq!(words(&finished), "delivered delivered open");
    assert_eq!((finished.rest, finished.health), (Rest::Next, Health::Sound));
    begin(&mut client, &["f@d.test"]);
    // MAILMAX counts refused MAILs too.
    let (finished, _) = run(&mut client, &["450 no", "503 no", "503 no"]);
    assert_eq!(finished.health, Health::Worn);
}

#[test]
fn a_session_serves_no_more_domains_than_announced() {
    let mut client = open("250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTDOMAINMAX=1\r\n");
    begin(&mut client, &["c@d.test", "e@other.test", "f@D.test"]);
    let (finished, wire) = run(&mut client, &["250 m", "250 r", "250 r", "354 d", "250 ok"]);
    assert_eq!(words(&finished), "delivered open delivered");
    assert!(!wire.contains("other"));
    assert_eq!((finished.rest, finished.health), (Rest::Next, Health::Worn));

    let mut client = open("250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTDOMAINMAX=1\r\n");
    succeed(&mut client);
    begin(&mut client, &["e@other.test"]);
    let (finished, wire) = run(&mut client, &[]);
    assert_eq!((words(&finished).as_str(), wire.as_str()), ("open", ""));
    assert_eq!((finished.rest, finished.health), (Rest::NoRoom, Health::Worn));
    assert_eq!(client.recipient_domains(), ["d.test".parse().unwrap()]);
}

#[test]
fn dsn_is_passed_on_where_it_is_offered_and_the_receipt_says_so() {
    for (ehlo, passed) in [(PIPELINING, false), ("250-mx.test\r\n250 DSN\r\n", true)] {
        let mut client = open(ehlo);
        begin(&mut client, &["c@d.test"]);
        let (finished, _) = run(&mut client, &["250 m", "250 r", "354 d", "250 2.0.0 ok"]);
        let Some(Outcome::Delivered(receipt)) = &finished.outcomes[0] else {
            panic!()
        };
        assert_eq!(receipt.passed_dsn, passed);
        assert_eq!(receipt.relay, "mx.test[192.0.2.1]:25");
        assert_eq!(receipt.reply.to_string(), "250 2.0.0 ok");
    }
}

#[test]
fn a_server_without_ehlo_gets_plain_commands() {
    let mut client = new();
    client.receive(b"220 old\r\n");
    sent(&mut client);
    client.receive(b"500 what\r\n");
    assert_eq!(sent(&mut client), "HELO us.test\r\n");
    client.receive(b"250-old\r\n250 PIPELINING\r\n");
    assert_eq!(client.opening(), Some(Ok(&Capabilities::default())));
    begin(&mut client, &["c@d.test"]);
    assert_eq!(sent(&mut client), "MAIL FROM:<a@b.test>\r\n");
}

#[test]
fn a_refused_greeting_is_a_matter_of_the_host_and_never_permanent() {
    for (greeting, status) in [
        ("554 5.7.1 go away\r\n", EnhancedStatus::new(4, 7, 1)),
        ("421 4.3.2 busy\r\n", EnhancedStatus::new(4, 3, 2)),
        ("554 go\r\n", EnhancedStatus::new(4, 0, 0)),
    ] {
        let mut client = new();
        client.receive(greeting.as_bytes());
        let Some(Err(refused)) = client.opening() else {
            panic!()
        };
        assert_eq!(
            (refused.step, refused.failure.scope),
            (Step::Greeting, Scope::Endpoint)
        );
        assert_eq!(refused.failure.refusal.status, status);
        client.quit();
        assert_eq!(sent(&mut client), "QUIT\r\n");
    }
}
