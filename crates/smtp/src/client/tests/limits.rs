//! What may be a limit of transactions, and what a session that ends leaves to be sent again.

use super::*;

/// A session that has carried one message.
fn used(ehlo: &str) -> Client {
    let mut client = open(ehlo);
    succeed(&mut client);
    client
}

#[test]
fn a_refusal_of_mail_after_an_accepted_message_may_be_a_limit() {
    for (reply, is_limit) in [
        ("421 bye", true),
        ("421 4.3.2 enough", true),
        ("421 4.7.0 too many errors", false),
        ("421 4.2.1 mailbox", false),
        ("452 too many messages", true),
        ("452 4.5.3 too many messages", true),
        ("452 4.3.1 no space", true),
        ("452 4.2.2 mailbox full", false),
        ("452 4.7.1 not now", false),
        ("451 4.3.0 later", false),
        ("550 no", false),
    ] {
        for ehlo in [PLAIN, PIPELINING] {
            let mut client = used(ehlo);
            begin(&mut client, &["c@d.test"]);
            let (finished, _) = run(&mut client, &[reply, "503 no", "503 no"]);
            assert_eq!(finished.limit_met, is_limit.then_some(1), "{reply}");
            assert_eq!(matches!(finished.rest, Rest::Limited(_)), is_limit, "{reply}");
            assert!(!is_limit || finished.health != Health::Sound, "{reply}");

            let mut fresh = open(ehlo);
            begin(&mut fresh, &["c@d.test"]);
            let (finished, _) = run(&mut fresh, &[reply, "503 no", "503 no"]);
            assert_eq!(finished.limit_met, None, "a fresh session's first MAIL: {reply}");
        }
    }
}

#[test]
fn a_session_that_only_refused_has_met_no_limit() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    run(&mut client, &["250 m", "550 5.1.1 no", "554 no"]);
    begin(&mut client, &["c@d.test"]);
    let (finished, _) = run(&mut client, &["250 z", "421 bye"]);
    assert_eq!(finished.limit_met, None);
    assert!(matches!(finished.rest, Rest::Failed(_)));
}

#[test]
fn an_end_between_transactions_may_be_a_limit() {
    for (last, is_limit) in [
        (None, true),
        (Some("421 bye"), true),
        (Some("421 4.4.2 idle"), true),
        (Some("421 4.7.0 go away"), false),
        (Some("250 x"), false),
        (Some("noise"), false),
        (Some("42"), false),
    ] {
        let mut client = used(PIPELINING);
        if let Some(last) = last {
            let end = if last == "42" { "" } else { "\r\n" };
            client.receive(format!("{last}{end}").as_bytes());
        }
        assert_eq!(client.limit_met(), is_limit.then_some(1), "{last:?}");
        client.begin_on_dead(Order {
            envelope: &envelope(),
            recipients: &recipients(&["c@d.test"]),
            size: 3,
            smtputf8: false,
            eight_bit: false,
            whole: None,
        });
        let finished = client.finished().unwrap();
        assert_eq!(finished.limit_met, is_limit.then_some(1), "{last:?}");
        assert_eq!(finished.rest, Rest::Unsent);
    }
    assert_eq!(open(PIPELINING).limit_met(), None, "nothing was accepted");
}

#[test]
fn an_end_behind_the_last_reply_may_be_a_limit() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    let (finished, _) = run(&mut client, &["250 m", "250 r", "354 d", "250 ok\r\n421 enough"]);
    assert_eq!((finished.accepted, finished.limit_met), (true, Some(1)));
}

#[test]
fn an_end_in_place_of_the_reply_to_mail_may_be_a_limit() {
    for ehlo in [PLAIN, PIPELINING] {
        let mut client = used(ehlo);
        begin(&mut client, &["c@d.test"]);
        let (finished, _) = run(&mut client, &[]);
        assert_eq!((finished.rest, finished.limit_met), (Rest::LostEarly, Some(1)));

        // Also behind the reply to RSET: nothing was accepted.
        let mut client = used(ehlo);
        begin(&mut client, &["c@d.test"]);
        run(&mut client, &["250 m", "550 5.1.1 no", "554 no"]);
        begin(&mut client, &["c@d.test"]);
        let (finished, _) = run(&mut client, &["250 z"]);
        assert_eq!((finished.rest, finished.limit_met), (Rest::LostEarly, Some(2)));
    }
}

/// T38: a reply that nobody asked for crosses with the next MAIL. It is seen when one comes that does not fit.
#[test]
fn a_used_session_out_of_step_judges_nobody() {
    for (ehlo, replies) in [
        (PLAIN, &["250 stray", "250 m", "550 5.1.1 r", "250 r"][..]),
        (PIPELINING, &["250 stray", "250 m", "550 5.1.1 r", "250 r"]),
        (PLAIN, &["250 m", "503 mail first"]),
        (PIPELINING, &["250 m", "250 r", "550 5.1.1 r", "noise"]),
    ] {
        let mut client = used(ehlo);
        begin(&mut client, &["c@d.test", "e@d.test"]);
        let (finished, _) = run(&mut client, replies);
        assert_eq!(words(&finished), "open open", "{replies:?}");
        assert_eq!(
            (finished.rest, finished.health),
            (Rest::LostEarly, Health::Broken)
        );

        let mut fresh = open(ehlo);
        begin(&mut fresh, &["c@d.test", "e@d.test"]);
        let (finished, _) = run(&mut fresh, replies);
        assert!(matches!(finished.rest, Rest::Failed(_)), "{replies:?}");
    }
}

/// T37: who does not understand us, or we it, is left by QUIT or closed.
#[test]
fn a_session_that_speaks_another_protocol_is_not_used_again() {
    for (reply, health) in [
        ("500 what", Health::Worn),
        ("502 no MAIL here", Health::Worn),
        ("555 parameter", Health::Worn),
        ("200 odd", Health::Sound),
        ("777 odd", Health::Broken),
        ("hello there", Health::Broken),
        ("510 no", Health::Sound),
        ("556 no", Health::Sound),
    ] {
        let mut client = used(PLAIN);
        begin(&mut client, &["c@d.test"]);
        let replies = match reply {
            "200 odd" => vec![reply, "250 r", "354 d", "250 ok"],
            _ => vec![reply],
        };
        let (finished, _) = run(&mut client, &replies);
        assert_eq!(finished.health, health, "{reply}");
        client.quit();
        let says_quit = health != Health::Broken;
        assert_eq!(sent(&mut client) == "QUIT\r\n", says_quit, "{reply}");
    }
}

/// Design §5, "Dead before use": silence before anything could be accepted is death, silence after a
/// reply is the host's slowness.
#[test]
fn a_used_session_is_unproven_until_its_first_reply() {
    let mut fresh = open(PIPELINING);
    begin(&mut fresh, &["c@d.test"]);
    assert!(!fresh.is_unproven());

    let mut client = used(PIPELINING);
    assert!(!client.is_unproven());
    begin(&mut client, &["c@d.test"]);
    sent(&mut client);
    assert!(client.is_unproven());
    client.lost(&Loss::TimedOut);
    let finished = client.finished().unwrap();
    assert_eq!((finished.rest, finished.limit_met), (Rest::LostEarly, None));

    let mut client = used(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    sent(&mut client);
    client.receive(b"250 m\r\n");
    assert!(!client.is_unproven());
    client.lost(&Loss::TimedOut);
    assert!(matches!(client.finished().unwrap().rest, Rest::Failed(_)));
}

/// T35: who gets it again at once is for the caller to say, and only where the server hung up on a session
/// that had answered before.
#[test]
fn a_lost_final_reply_may_be_followed_by_the_message_again() {
    for (is_used, loss, may_resend) in [
        (false, Loss::Closed, false),
        (true, Loss::Closed, true),
        (true, Loss::TimedOut, false),
    ] {
        let mut client = open(PIPELINING);
        if is_used {
            succeed(&mut client);
        }
        begin(&mut client, &["c@d.test", "e@d.test", "f@d.test"]);
        sent(&mut client);
        client.receive(b"250 m\r\n550 5.1.1 r\r\n250 r\r\n250 r\r\n354 d\r\n");
        client.content(b"x\r\n");
        client.end_content();
        sent(&mut client);
        client.lost(&loss);
        let finished = client.finished().unwrap();
        assert_eq!(finished.unknown, [1, 2]);
        assert_eq!(words(&finished), "bounced deferred deferred");
        assert_eq!(
            (finished.may_be_duplicate, finished.may_resend),
            (true, may_resend)
        );
    }
}

#[test]
fn a_session_that_has_rested_is_left_silently_though_it_was_never_used() {
    let mut client = open(PIPELINING);
    client.rest();
    client.receive(b"421 4.4.2 idle\r\n");
    begin(&mut client, &["c@d.test"]);
    let finished = client.finished().unwrap();
    assert_eq!((finished.rest, finished.limit_met), (Rest::Unsent, None));
}
