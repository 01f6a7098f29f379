//! Sessions with servers that behave.

use super::{
    peer::{PIPELINING, PLAIN, hear, open, say, success},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_session_carries_one_message_after_another() {
    let quit = vec![hear("QUIT\r\n"), say("221 bye")];
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), success(), success(), quit]));
    let facts = fixture.opened().await;
    assert_eq!((facts.uses, facts.capabilities.pipelining), (0, true));
    for uses in 1..=2 {
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!((words(&answer).as_str(), answer.accepted), ("delivered", true));
        assert_eq!((answer.uses, &*answer.relay), (uses, "mx.test[192.0.2.1]:25"));
        assert!(answer.mail_sent.is_some() && !answer.may_be_duplicate);
        assert_eq!(answer.cause, Undecided::NextTransaction);
        assert_eq!((free(&answer).uses, free(&answer).refused_in_a_row), (uses, 0));
    }
    fixture.orders.send(Order::Retire).await.unwrap();
    assert!(matches!(fixture.report().await, Report::Ended));
    let flight = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: hello\r\n\r\n..dot\r\n.\r\n";
    assert_eq!(
        fixture.heard().await,
        format!("EHLO us.test\r\n{flight}{flight}QUIT\r\n")
    );
}

#[tokio::test(start_paused = true)]
async fn eight_bit_content_is_declared_though_its_envelope_does_not() {
    let offers = vec![
        say("220 mx.test"),
        hear("EHLO us.test\r\n"),
        say("250-mx.test\r\n250-PIPELINING\r\n250 8BITMIME"),
    ];
    let mut fixture = Fixture::new(Script::of(vec![offers, success(), success()]));
    fixture.opened().await;
    for eight_bit in [false, true] {
        let order = TransactOrder {
            eight_bit,
            ..fixture.order(&["c@d.test"], HELLO)
        };
        assert_eq!(words(&fixture.run(order).await), "delivered");
    }
    let heard = fixture.heard().await;
    let mails: Vec<&str> = heard.lines().filter(|line| line.starts_with("MAIL")).collect();
    assert_eq!(
        mails,
        ["MAIL FROM:<a@b.test>", "MAIL FROM:<a@b.test> BODY=8BITMIME"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_recipient_gets_its_own_outcome() {
    let transaction = vec![
        hear("DATA\r\n"),
        say("250 m\r\n250 r\r\n550 5.1.1 who?\r\n450 4.2.1 busy\r\n452 4.5.3 enough\r\n354 d"),
        hear("\r\n.\r\n"),
        say("250 2.0.0 ok"),
    ];
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), transaction]));
    fixture.opened().await;
    let answer = fixture
        .transact(&["c@d.test", "e@d.test", "f@d.test", "g@d.test"])
        .await;
    assert_eq!(words(&answer), "delivered bounced deferred open");
    assert_eq!(answer.cause, Undecided::NextTransaction);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_greeting_is_not_waiting_of_the_first_message() {
    let late = vec![peer::Step::Wait(Duration::from_secs(20))];
    let mut fixture = Fixture::new(Script::of(vec![late, open(PIPELINING), peer::success()]));
    fixture.opened().await;
    let answer = fixture.transact(&["c@d.test"]).await;
    assert_eq!(answer.waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_replies_is_measured_and_transfer_is_not() {
    let wait = |seconds| peer::Step::Wait(Duration::from_secs(seconds));
    let transaction = vec![
        hear("DATA\r\n"),
        wait(2),
        say("250 m\r\n250 r\r\n354 d"),
        hear("\r\n.\r\n"),
        wait(3),
        say("250 ok"),
    ];
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), transaction]));
    fixture.opened().await;
    let before = fixture.now();
    let answer = fixture.transact(&["c@d.test"]).await;
    assert_eq!(answer.waited, Duration::from_secs(5));
    let mail_sent = answer.mail_sent.unwrap().monotonic.since_start();
    assert_eq!(mail_sent, before);
    assert_eq!(
        free(&answer).last_used.since_start(),
        before + Duration::from_secs(5)
    );
}

#[tokio::test(start_paused = true)]
async fn without_pipelining_it_works_too() {
    let transaction = vec![
        hear("MAIL FROM:<a@b.test>\r\n"),
        say("250 m"),
        hear("RCPT TO:<c@d.test>\r\n"),
        say("250 r"),
        hear("DATA\r\n"),
        say("354 d"),
        hear("\r\n.\r\n"),
        say("250 ok"),
    ];
    let mut fixture = Fixture::new(Script::of(vec![open(PLAIN), transaction]));
    fixture.opened().await;
    assert_eq!(words(&fixture.transact(&["c@d.test"]).await), "delivered");
}

#[tokio::test(start_paused = true)]
async fn large_content_goes_out_block_by_block_and_unchanged() {
    for buffer in [64, 1 << 20] {
        let line = [&b"."[..], &[b'x'; 70], b"\r\n"].concat();
        let content = Bytes::from(line.repeat(4000));
        let size = content.len();
        let pieces = content.chunks(100_001).map(Bytes::copy_from_slice).collect();
        let mut script = Script::of(vec![open(PIPELINING), success()]);
        script.buffer = buffer;
        let mut fixture = Fixture::with(script, Store::of(pieces));
        fixture.opened().await;
        let order = TransactOrder {
            size: size as u64,
            ..fixture.order(&["c@d.test"], "")
        };
        assert_eq!(words(&fixture.run(order).await), "delivered");
        let heard = fixture.heard().await;
        let body = heard.split_once("DATA\r\n").unwrap().1;
        let body = body.strip_suffix("QUIT\r\n").unwrap_or(body);
        assert_eq!(body.len(), size + 4000 + 3, "every line begins with a dot");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_transactions_are_counted_until_one_is_accepted() {
    // What Postfix says behind a refused MAIL, and Exim behind refused recipients: no reason to leave (T40).
    let refusals = vec![
        hear("DATA\r\n"),
        say("450 no\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need RCPT"),
        hear("DATA\r\n"),
        say("250 z\r\n250 m\r\n550 5.1.1 no\r\n503 all RCPT refused"),
    ];
    let success = vec![
        hear("DATA\r\n"),
        say("250 z\r\n250 m\r\n250 r\r\n354 d"),
        hear("\r\n.\r\n"),
        say("250 ok"),
    ];
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), refusals, success]));
    fixture.opened().await;
    for (result, refused) in [("deferred", 1), ("bounced", 2), ("delivered", 0)] {
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!(words(&answer), result);
        assert_eq!(free(&answer).refused_in_a_row, refused);
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_cannot_be_read_defers_and_the_session_is_kept_if_nothing_was_sent() {
    let mut short = Store::default();
    short.size += 1;
    let mut fixture = Fixture::with(Script::of(vec![open(PIPELINING), vec![peer::Step::Stall]]), short);
    fixture.opened().await;
    let answer = fixture.transact(&["c@d.test", "e@d.test"]).await;
    assert_eq!(words(&answer), "deferred deferred");
    assert_eq!((free(&answer).uses, answer.mail_sent), (0, None));
    drop(fixture.orders);
    assert!(matches!(fixture.reports.recv().await, Some((_, Report::Ended))));

    let broken = Store {
        size: HELLO.len() as u64 + 1,
        fails: true,
        ..Store::default()
    };
    let steps = vec![
        hear("DATA\r\n"),
        say("250 m\r\n250 r\r\n354 d"),
        peer::Step::Stall,
    ];
    let mut fixture = Fixture::with(Script::of(vec![open(PIPELINING), steps]), broken);
    fixture.opened().await;
    let order = TransactOrder {
        size: HELLO.len() as u64 + 1,
        flight: Flight::Split,
        ..fixture.order(&["c@d.test"], "")
    };
    let answer = fixture.run(order).await;
    assert_eq!(words(&answer), "deferred");
    assert!(matches!(answer.session, After::Gone));
    assert!(
        !fixture.heard().await.ends_with("\r\n.\r\n"),
        "the end is never sent"
    );
}

const CHUNKING: &str = "250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING";

/// Design, flights: one round trip for a message, and the next behind it.
#[tokio::test(start_paused = true)]
async fn messages_follow_each_other_in_one_flight() {
    let one = "BDAT 24 LAST\r\n";
    let script = vec![
        open(CHUNKING),
        vec![
            hear(one),
            hear(one),
            say("250 m\r\n250 r\r\n250 first"),
            say("250 z\r\n250 m\r\n250 r\r\n250 second"),
            hear("QUIT\r\n"),
            say("221 bye"),
        ],
    ];
    let mut fixture = Fixture::new(Script::of(script));
    fixture.opened().await;
    for flight in [Flight::Whole, Flight::Behind] {
        let order = TransactOrder {
            flight,
            ..fixture.order(&["c@d.test"], HELLO)
        };
        fixture
            .orders
            .send(Order::Transact(Box::new(order)))
            .await
            .unwrap();
    }
    let (first, second) = (fixture.answer().await, fixture.answer().await);
    assert_eq!(
        (words(&first), words(&second)),
        ("delivered".into(), "delivered".into())
    );
    assert_eq!((first.session, first.uses), (After::Going, 1));
    assert_eq!(free(&second).uses, 2);
    let heard = fixture.heard().await;
    let commands: Vec<_> = heard
        .lines()
        .filter(|line| line.starts_with(['M', 'R', 'B', 'Q']))
        .collect();
    let expected = ["MAIL", "RCPT", "BDAT", "RSET", "MAIL", "RCPT", "BDAT", "QUIT"];
    assert_eq!(
        commands.iter().map(|line| &line[..4]).collect::<Vec<_>>(),
        expected
    );
}

/// What was ordered to follow and could not is answered, whatever became of the session.
#[tokio::test(start_paused = true)]
async fn what_could_not_follow_is_answered_as_unsent() {
    let script = vec![
        open(PIPELINING),
        vec![hear("DATA\r\n"), say("250 m\r\n250 r\r\n421 enough")],
    ];
    let mut fixture = Fixture::new(Script::of(script));
    fixture.opened().await;
    for flight in [Flight::Whole, Flight::Behind, Flight::Behind] {
        let order = TransactOrder {
            flight,
            ..fixture.order(&["c@d.test"], HELLO)
        };
        fixture
            .orders
            .send(Order::Transact(Box::new(order)))
            .await
            .unwrap();
    }
    assert!(matches!(fixture.answer().await.cause, Undecided::Failed(_)));
    for _ in 0..2 {
        let answer = fixture.answer().await;
        assert_eq!((answer.cause, answer.session), (Undecided::Unsent, After::Gone));
    }
}

/// Answers come in the order of the orders, also of one that cannot begin behind others.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_behind_others_is_answered_behind_them() {
    let script = vec![
        open(CHUNKING),
        vec![
            hear("BDAT 24 LAST\r\n"),
            say("250 m\r\n250 r\r\n250 first"),
            hear("BDAT 24 LAST\r\n"),
            say("250 m\r\n250 r\r\n250 third"),
            hear("QUIT\r\n"),
            say("221 bye"),
        ],
    ];
    let mut fixture = Fixture::new(Script::of(script));
    fixture.opened().await;
    for (flight, size) in [(Flight::Whole, 24), (Flight::Behind, 7), (Flight::Behind, 24)] {
        let order = TransactOrder {
            flight,
            // The store has no content of seven octets.
            size,
            ..fixture.order(&["c@d.test"], HELLO)
        };
        fixture
            .orders
            .send(Order::Transact(Box::new(order)))
            .await
            .unwrap();
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = fixture.answer().await;
        answers.push((answer.delivery.0, words(&answer)));
    }
    let expected = [(1, "delivered"), (2, "deferred"), (3, "delivered")];
    assert_eq!(answers, expected.map(|(id, word)| (id, word.to_owned())));
    fixture.heard().await;
}
