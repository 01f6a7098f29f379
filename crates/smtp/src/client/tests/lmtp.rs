//! LMTP (RFC 2033): LHLO, and a reply for each recipient behind the content.

use super::*;

const ALL: &str = "250-lmtp.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n";

/// An open session by LMTP whose server answered LHLO so.
pub(super) fn lmtp(lhlo: &str) -> Client {
    let endpoint = Endpoint::Unix("/run/lmtp".parse().unwrap());
    let security = Security {
        protocol: Protocol::Lmtp,
        ..Security::default()
    };
    let mut client = Client::with(Peer::new("us.test", endpoint), "us.test".into(), security);
    client.receive(b"220 lmtp.test\r\n");
    assert_eq!(sent(&mut client), "LHLO us.test\r\n");
    client.receive(lhlo.as_bytes());
    client
}

const THREE: [&str; 3] = ["a@d.test", "b@d.test", "c@d.test"];

/// Runs a transaction for three recipients of whom all are accepted.
fn three(client: &mut Client, replies: &[&str]) -> Finished {
    begin(client, &THREE);
    let mut all = vec!["250 m", "250 a", "250 b", "250 c", "354 go"];
    all.extend(replies);
    run(client, &all).0
}

#[test]
fn each_recipient_has_a_reply_of_its_own() {
    for lhlo in [PLAIN, ALL] {
        let mut client = lmtp(lhlo);
        let finished = three(&mut client, &["250 2.0.0 a", "552 5.2.2 full", "452 4.2.2 later"]);
        assert_eq!(words(&finished), "delivered bounced deferred");
        assert!(finished.accepted && finished.health == Health::Sound && !finished.may_be_duplicate);
        let Some(Outcome::Delivered(receipt)) = &finished.outcomes[0] else {
            panic!("{finished:?}")
        };
        assert_eq!(
            (receipt.reply.text.as_str(), receipt.relay.as_str()),
            ("a", "us.test[/run/lmtp]")
        );
        // The next one goes on the same session.
        let finished = three(&mut client, &["250 a", "250 b", "250 c"]);
        assert_eq!(words(&finished), "delivered delivered delivered");
    }
}

#[test]
fn only_accepted_recipients_have_one() {
    let mut client = lmtp(ALL);
    begin(&mut client, &THREE);
    let (finished, wire) = run(
        &mut client,
        &[
            "250 m",
            "250 a",
            "550 5.1.1 who",
            "250 c",
            "354 go",
            "250 a",
            "451 4.3.0 c",
        ],
    );
    assert_eq!(words(&finished), "delivered bounced deferred");
    assert_eq!(
        wire,
        "MAIL FROM:<a@b.test>\r\nRCPT TO:<a@d.test>\r\nRCPT TO:<b@d.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n"
    );
}

/// What BDAT for nobody is answered with, RFC 2033 does not say.
#[test]
fn content_goes_by_data_whatever_is_offered() {
    let mut client = lmtp(ALL);
    client.begin(Order {
        envelope: &envelope(),
        recipients: &recipients(&["a@d.test"]),
        size: 3,
        smtputf8: false,
        eight_bit: true,
        whole: Some(b"x\r\n"),
    });
    let commands = sent(&mut client);
    assert!(commands.ends_with("RCPT TO:<a@d.test>\r\nDATA\r\n"), "{commands}");
    assert!(
        commands.starts_with("MAIL FROM:<a@b.test> BODY=8BITMIME\r\n"),
        "{commands}"
    );
}

#[test]
fn there_is_no_helo_in_lmtp() {
    let client = lmtp("500 5.5.1 what\r\n");
    assert!(matches!(client.opening(), Some(Err(refused)) if refused.step == Step::Ehlo));
}

#[test]
fn nobody_accepted_is_nothing_sent() {
    let mut client = lmtp(ALL);
    begin(&mut client, &THREE);
    let no = "550 5.1.1 no";
    let (finished, wire) = run(&mut client, &["250 m", no, no, no, "503 5.5.1 nobody"]);
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("bounced bounced bounced", Health::Sound)
    );
    assert!(wire.ends_with("DATA\r\n"), "{wire}");
    // One that asks for content all the same is left: how many replies it will have, nobody knows.
    let mut client = lmtp(ALL);
    begin(&mut client, &THREE);
    let (finished, wire) = run(&mut client, &["250 m", no, no, no, "354 go"]);
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("bounced bounced bounced", Health::Broken)
    );
    assert!(wire.ends_with("DATA\r\n") && finished.is_disorderly, "{wire}");
}

#[test]
fn who_was_answered_before_the_connection_ends_is_done_and_the_others_wait() {
    for loss in [Loss::Closed, Loss::TimedOut] {
        for is_reused in [false, true] {
            let mut client = lmtp(ALL);
            if is_reused {
                three(&mut client, &["250 a", "250 b", "250 c"]);
            }
            begin(&mut client, &THREE);
            sent(&mut client);
            client.receive(b"250 m\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
            if is_reused {
                sent(&mut client);
            }
            client.content(b"x\r\n");
            client.end_content();
            sent(&mut client);
            client.receive(b"250 a\r\n");
            assert_eq!(client.want(), Want::Reply(Step::EndOfContent));
            client.lost(&loss);
            let finished = client.finished().unwrap();
            assert_eq!(words(&finished), "delivered deferred deferred", "{loss:?}");
            assert_eq!(finished.unknown, [1, 2]);
            assert!(finished.may_be_duplicate && !finished.may_resend && finished.accepted);
        }
    }
}

#[test]
fn nobody_answered_is_sent_again_only_as_by_smtp() {
    let mut client = lmtp(ALL);
    three(&mut client, &["250 a", "250 b", "250 c"]);
    let finished = three(&mut client, &[]);
    assert_eq!(words(&finished), "deferred deferred deferred");
    assert!(finished.may_resend && finished.unknown == [0, 1, 2]);
}

#[test]
fn a_farewell_among_the_replies_leaves_the_others_undecided() {
    let mut client = lmtp(ALL);
    let finished = three(&mut client, &["250 a", "421 4.3.2 bye"]);
    assert_eq!(words(&finished), "delivered open open");
    assert!(matches!(finished.rest, Rest::Failed(_)) && finished.health == Health::Broken);
}

#[test]
fn a_doubled_reply_ends_the_session_before_it_is_taken_for_anothers() {
    let mut client = lmtp(ALL);
    let finished = three(&mut client, &["250 a", "250 b", "250 c"]);
    assert_eq!(words(&finished), "delivered delivered delivered");
    client.receive(b"250 c\r\n");
    assert_eq!(client.health(), Health::Broken);
    begin(&mut client, &["a@d.test"]);
    let finished = client.finished().unwrap();
    assert_eq!((words(&finished).as_str(), finished.rest), ("open", Rest::Unsent));
}

#[test]
fn a_reply_before_the_end_of_the_content_decides_its_recipient_alone() {
    let mut client = lmtp(ALL);
    begin(&mut client, &THREE);
    sent(&mut client);
    client.receive(b"250 m\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
    client.content(b"x\r\n");
    sent(&mut client);
    client.receive(b"552 5.3.4 too much\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("bounced open open", Health::Broken)
    );
    assert!(matches!(finished.rest, Rest::Failed(_)) && !finished.may_be_duplicate);
}

#[test]
fn a_reply_that_does_not_fit_is_nobodys_bounce() {
    let mut client = lmtp(ALL);
    let finished = three(&mut client, &["250 a", "503 5.5.1 lost", "250 c"]);
    assert_eq!(words(&finished), "delivered deferred delivered");
    assert!(finished.is_disorderly && finished.health == Health::Worn);
    let mut client = lmtp(ALL);
    let finished = three(&mut client, &["250 a", "354 what"]);
    assert_eq!(words(&finished), "delivered deferred deferred");
    assert!(finished.is_disorderly && finished.unknown == [1, 2] && finished.health == Health::Broken);
}

#[test]
fn transactions_follow_each_other_by_lmtp_too() {
    let mut client = lmtp(ALL);
    begin(&mut client, &["a@d.test", "b@d.test"]);
    sent(&mut client);
    client.receive(b"250 m\r\n250 a\r\n250 b\r\n354 go\r\n");
    client.content(b"x\r\n");
    client.end_content();
    sent(&mut client);
    assert!(client.can_follow());
    let order = Order {
        envelope: &envelope(),
        recipients: &recipients(&["c@d.test"]),
        size: 3,
        smtputf8: false,
        eight_bit: false,
        whole: None,
    };
    client.follow(order).unwrap();
    let behind = sent(&mut client);
    assert!(
        behind.starts_with("RSET\r\nMAIL") && behind.ends_with("DATA\r\n"),
        "{behind}"
    );
    client.receive(b"250 a\r\n250 b\r\n");
    assert_eq!(words(&client.finished().unwrap()), "delivered delivered");
    let (finished, _) = run(&mut client, &["250 z", "250 m", "250 c", "354 go", "250 c"]);
    assert_eq!(words(&finished), "delivered");
}
