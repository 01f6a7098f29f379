//! What goes out, in which writes, and what stops it.

use super::*;

#[test]
fn with_pipelining_a_transaction_is_two_writes() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test", "e@f.test"]);
    assert_eq!(
        sent(&mut client),
        "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n"
    );
    client.receive(b"250 m\r\n250 r\r\n250 r\r\n354 go\r\n");
    assert_eq!(client.want(), Want::Content);
    client.content(b".x\r\n");
    client.end_content();
    assert_eq!(sent(&mut client), "..x\r\n.\r\n");
    assert_eq!(client.want(), Want::Reply(Step::EndOfContent));
    client.receive(b"250 2.0.0 queued\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(words(&finished), "delivered delivered");
    assert_eq!((finished.accepted, finished.health), (true, Health::Sound));
}

#[test]
fn without_pipelining_each_command_waits_for_the_reply_before() {
    let mut client = open(PLAIN);
    begin(&mut client, &["c@d.test", "e@f.test"]);
    for (command, reply) in [
        ("MAIL FROM:<a@b.test>\r\n", "250 m\r\n"),
        ("RCPT TO:<c@d.test>\r\n", "250 r\r\n"),
        ("RCPT TO:<e@f.test>\r\n", "550 5.1.1 r\r\n"),
        ("DATA\r\n", "354 d\r\n"),
    ] {
        assert_eq!(sent(&mut client), command);
        assert_eq!(sent(&mut client), "");
        client.receive(reply.as_bytes());
    }
    assert_eq!(client.want(), Want::Content);
}

#[test]
fn what_follows_a_transaction_that_did_not_end_by_2xx_begins_with_rset() {
    // T40: all recipients refused, no content, the session is kept.
    let mut client = open(PIPELINING);
    succeed(&mut client);
    begin(&mut client, &["c@d.test"]);
    let (finished, wire) = run(&mut client, &["250 m", "550 5.1.1 no", "554 nobody"]);
    assert!(wire.starts_with("MAIL") && wire.ends_with("DATA\r\n"), "{wire}");
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("bounced", Health::Sound)
    );
    begin(&mut client, &["c@d.test"]);
    let (finished, wire) = run(&mut client, &["250 z", "250 m", "250 r", "354 d", "250 ok"]);
    assert!(wire.starts_with("RSET\r\nMAIL FROM"), "{wire}");
    assert!(finished.accepted);
    begin(&mut client, &["c@d.test"]);
    assert!(sent(&mut client).starts_with("MAIL"));

    let mut client = open(PLAIN);
    begin(&mut client, &["c@d.test"]);
    let (_, wire) = run(&mut client, &["250 m", "450 4.2.1 no"]);
    assert!(!wire.contains("DATA"), "nobody is left to get it: {wire}");
    begin(&mut client, &["c@d.test"]);
    assert_eq!(sent(&mut client), "RSET\r\n");
}

#[test]
fn after_a_refused_mail_nobody_is_judged_by_the_replies_behind_it() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test", "e@f.test"]);
    let replies = ["451 4.7.1 later", "250 r", "550 5.1.1 r", "354 d", "554 nobody"];
    let (finished, wire) = run(&mut client, &replies);
    assert!(wire.ends_with("DATA\r\n.\r\n"), "a lone dot: {wire}");
    assert_eq!(words(&finished), "deferred deferred");
    let Some(Outcome::Deferred(refusal)) = &finished.outcomes[1] else {
        panic!()
    };
    assert_eq!(
        refusal.words(),
        "host mx.test[192.0.2.1]:25 said: 451 4.7.1 later (in reply to MAIL FROM command)"
    );
    assert_eq!(finished.health, Health::Sound);

    begin(&mut client, &["c@d.test"]);
    let (finished, _) = run(&mut client, &["250 z", "550 no", "250 r", "354 d", "250 taken"]);
    assert_eq!((words(&finished).as_str(), finished.accepted), ("bounced", false));
    assert_eq!(finished.health, Health::Worn, "it takes content for nobody");
}

#[test]
fn a_refused_mail_stops_what_has_not_begun_to_go_out() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test", "e@f.test"]);
    let cut = "MAIL FROM:<a@b.test>\r\nRCPT".len();
    client.wrote(cut);
    client.receive(b"550 5.7.1 not you\r\n");
    assert_eq!(
        sent(&mut client),
        " TO:<c@d.test>\r\n",
        "the command is completed"
    );
    client.receive(b"503 5.5.1 mail first\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(words(&finished), "bounced bounced");
}

#[test]
fn too_many_recipients_leave_the_rest_for_the_next_transaction() {
    for (reply, left) in [
        ("452 too many", "open"),
        ("452 4.5.3 too many", "open"),
        ("452 4.3.1 no space", "open"),
        ("552 too many", "open"),
        ("552 5.5.3 too many", "open"),
        ("452 4.2.2 mailbox full", "deferred"),
        ("452 4.7.1 not now", "deferred"),
        ("552 5.2.2 mailbox full", "bounced"),
        ("451 4.3.0 try later", "deferred"),
    ] {
        for ehlo in [PLAIN, PIPELINING] {
            let mut client = open(ehlo);
            begin(&mut client, &["c@d.test", "e@d.test", "f@d.test"]);
            let mut replies = vec!["250 m", "250 r", reply];
            let is_asked = left != "open" || ehlo == PIPELINING;
            if is_asked {
                replies.push("250 r");
            }
            replies.extend(["354 d", "250 ok"]);
            let (finished, wire) = run(&mut client, &replies);
            let third = if is_asked { "delivered" } else { "open" };
            assert_eq!(
                words(&finished),
                format!("delivered {left} {third}"),
                "{reply} {wire}"
            );
            assert_eq!((finished.rest, finished.health), (Rest::Next, Health::Sound));
        }
    }
}

#[test]
fn the_first_recipient_is_refused_for_itself() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test", "e@d.test"]);
    let (finished, _) = run(
        &mut client,
        &["250 m", "452 4.5.3 no", "250 r", "354 d", "250 ok"],
    );
    assert_eq!(words(&finished), "deferred delivered");
}

#[test]
fn recipients_not_yet_asked_for_are_left_when_the_flight_is_cut() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test", "e@d.test", "f@d.test"]);
    client.wrote("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@d.test>\r\n".len());
    client.receive(b"250 m\r\n250 r\r\n452 4.5.3 many\r\n");
    assert_eq!(sent(&mut client), "DATA\r\n");
    let (finished, _) = run(&mut client, &["354 d", "250 ok"]);
    assert_eq!(words(&finished), "delivered open open");
}

#[test]
fn a_refusal_that_came_early_decides() {
    // T42.
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n354 d\r\n");
    client.content(b"x\r\n");
    client.receive(b"552 5.3.4 too much\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("bounced", Health::Broken)
    );
    assert!(client.output().is_empty(), "nothing more goes out");
    client.quit();
    assert_eq!((client.want(), client.output()), (Want::Nothing, &b""[..]));
}

#[test]
fn nobody_is_judged_twice() {
    for (content, first, others) in [
        ("250 ok", "bounced", "delivered"),
        ("451 4.3.0 later", "bounced", "deferred"),
        ("554 5.6.0 never", "bounced", "bounced"),
    ] {
        let mut client = open(PLAIN);
        begin(&mut client, &["c@d.test", "e@d.test"]);
        let replies = ["250 m", "550 5.1.1 nobody", "250 r", "354 d", content];
        let (finished, _) = run(&mut client, &replies);
        assert_eq!(words(&finished), format!("{first} {others}"), "{content}");
        let Some(Outcome::Bounced(refusal)) = &finished.outcomes[0] else {
            panic!("{finished:?}")
        };
        assert_eq!(refusal.status.to_string(), "5.1.1", "by its own reply");
    }
}

#[test]
fn a_2xx_to_the_whole_content_decides_also_when_the_connection_ends_behind_it() {
    // T43.
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n354 d\r\n");
    client.content(b"x\r\n");
    client.end_content();
    sent(&mut client);
    client.receive(b"250 ok\r\n421 enough\r\n");
    client.lost(&Loss::Closed);
    let finished = client.finished().unwrap();
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("delivered", Health::Broken)
    );
}

#[test]
fn a_2xx_before_the_end_of_the_content_decides_nobody() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n354 d\r\n250 early\r\n");
    let finished = client.finished().unwrap();
    assert_eq!(words(&finished), "open");
    assert!(matches!(finished.rest, Rest::Failed(_)) && finished.health == Health::Broken);
}

#[test]
fn a_lost_final_reply_says_that_the_message_may_come_twice() {
    for (loss, text) in [
        (
            Loss::Closed,
            "lost connection with mx.test[192.0.2.1]:25 while sending end of data -- message may be sent \
             more than once",
        ),
        (
            Loss::TimedOut,
            "conversation with mx.test[192.0.2.1]:25 timed out while sending end of data -- message may be \
             sent more than once",
        ),
    ] {
        let mut client = open(PIPELINING);
        begin(&mut client, &["c@d.test", "e@d.test"]);
        sent(&mut client);
        client.receive(b"250 m\r\n250 r\r\n550 5.1.1 r\r\n354 d\r\n");
        client.content(b"x\r\n");
        client.end_content();
        sent(&mut client);
        client.lost(&loss);
        let finished = client.finished().unwrap();
        assert!(finished.may_be_duplicate);
        assert_eq!(words(&finished), "deferred bounced");
        let Some(Outcome::Deferred(refusal)) = &finished.outcomes[0] else {
            panic!()
        };
        assert_eq!(refusal.words(), text);
    }
}

#[test]
fn no_reply_is_taken_for_anothers() {
    // T38: what came unasked while idle, or behind the last reply, ends the session.
    let mut idle = open(PIPELINING);
    succeed(&mut idle);
    idle.receive(b"250 x\r\n");
    begin(&mut idle, &["c@d.test"]);
    assert!(idle.output().is_empty());
    let finished = idle.finished().unwrap();
    assert_eq!((finished.rest, finished.health), (Rest::Unsent, Health::Broken));

    let mut half = open(PIPELINING);
    succeed(&mut half);
    half.receive(b"42");
    begin(&mut half, &["c@d.test"]);
    assert_eq!(half.finished().unwrap().rest, Rest::Unsent);

    // Without PIPELINING a second reply is nobody's.
    let mut twice = open(PLAIN);
    begin(&mut twice, &["c@d.test"]);
    sent(&mut twice);
    twice.receive(b"250 m\r\n250 r\r\n");
    let finished = twice.finished().unwrap();
    assert_eq!(words(&finished), "open");
    assert!(matches!(finished.rest, Rest::Failed(_)));
}

#[test]
fn a_fresh_session_that_speaks_before_mail_is_its_hosts_failure() {
    let mut client = open(PIPELINING);
    client.receive(b"421 4.3.2 too busy\r\n");
    begin(&mut client, &["c@d.test"]);
    let finished = client.finished().unwrap();
    let Rest::Failed(failure) = finished.rest else {
        panic!()
    };
    assert_eq!(failure.scope, Scope::Endpoint);
    assert!(failure.refusal.words().contains("said: 421 4.3.2 too busy"));
}

#[test]
fn a_used_session_that_ends_without_any_reply_sends_the_message_elsewhere() {
    for ehlo in [PLAIN, PIPELINING] {
        let mut client = open(ehlo);
        succeed(&mut client);
        begin(&mut client, &["c@d.test"]);
        assert_eq!(run(&mut client, &[]).0.rest, Rest::LostEarly);

        let mut client = open(ehlo);
        succeed(&mut client);
        begin(&mut client, &["c@d.test"]);
        assert!(matches!(run(&mut client, &["250 m"]).0.rest, Rest::Failed(_)));
    }
}

#[test]
fn a_refused_rset_affects_no_recipient() {
    // T32.
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    run(&mut client, &["250 m", "550 no", "554 no"]);
    begin(&mut client, &["c@d.test"]);
    let (finished, _) = run(&mut client, &["502 what", "250 m", "250 r", "354 d"]);
    assert_eq!(
        (words(&finished).as_str(), finished.rest),
        ("open", Rest::LostEarly)
    );
    assert_eq!(finished.health, Health::Broken);
}

#[test]
fn content_we_cannot_read_is_never_ended() {
    let mut client = open(PIPELINING);
    begin(&mut client, &["c@d.test"]);
    sent(&mut client);
    client.receive(b"250 m\r\n250 r\r\n354 d\r\n");
    client.content(b"x\r\n");
    client.abandon_content(&Refusal::ours(remuda_mail::EnhancedStatus::new(4, 3, 0), "disk"));
    let finished = client.finished().unwrap();
    assert_eq!(
        (words(&finished).as_str(), finished.health),
        ("deferred", Health::Broken)
    );
    assert!(client.output().is_empty());
}

#[test]
fn a_flight_is_what_goes_out_between_waits_for_replies() {
    let replies = ["250 m", "250 r", "354 d", "250 ok"];
    for (ehlo, flights) in [(PIPELINING, 2), (PLAIN, 4)] {
        let mut client = open(ehlo);
        for _ in 0..2 {
            begin(&mut client, &["c@d.test"]);
            let (finished, _) = run(&mut client, &replies);
            assert_eq!(finished.flights, flights, "{ehlo}");
        }
    }
}

#[test]
fn content_taken_after_a_refused_mail_is_told_of_and_ends_the_session() {
    for (last, is_taken) in [("250 ok", true), ("554 no", false)] {
        let mut client = open(PIPELINING);
        begin(&mut client, &["c@d.test"]);
        let (finished, _) = run(&mut client, &["550 m", "250 r", "354 d", last]);
        assert_eq!(finished.accepted_after_refusal, is_taken, "{last}");
        assert_eq!(finished.health == Health::Worn, is_taken, "{last}");
        assert_eq!(words(&finished), "bounced");
    }
}
