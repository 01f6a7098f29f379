//! How sessions end: by order, by death, by loss, by panic.

use remuda_mail::{Blame, Scope};

use super::{
    peer::{Connect, PIPELINING, Step, hear, open, say, success},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_parked_session_that_ends_or_speaks_is_dead() {
    // T30, T31, T38.
    for last in [None, Some("421 4.4.2 idle"), Some("250 x")] {
        let mut steps = vec![open(PIPELINING), success(), vec![Step::Await]];
        steps.push(last.map(say).into_iter().collect());
        let mut fixture = Fixture::new(Script::of(steps));
        fixture.opened().await;
        fixture.transact(&["c@d.test"]).await;
        fixture.orders.send(Order::Watch).await.unwrap();
        tokio::task::yield_now().await;
        fixture.peer.go();
        let met = match last {
            Some("250 x") => None,
            _ => Some(1),
        };
        let death = match last {
            None => Death::Fin,
            Some(_) => Death::Data,
        };
        assert!(
            matches!(fixture.report().await, Report::Died { cause, limit_met } if (cause, limit_met) == (death, met))
        );
        // An order that was on its way is answered.
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!(
            (words(&answer).as_str(), &answer.cause),
            ("open", &Undecided::Unsent)
        );
        assert_eq!((&answer.session, answer.uses), (&After::Gone, 1));
        assert_eq!(answer.limit_met, met);
        assert_eq!((answer.begun, answer.death), (false, Some(death)));
        fixture.orders.send(Order::Retire).await.unwrap();
        assert!(matches!(fixture.report().await, Report::Ended));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_died_unseen_sends_nothing() {
    for last in [None, Some("421 4.4.2 idle")] {
        let mut steps = vec![open(PIPELINING), success(), vec![Step::Await]];
        steps.push(last.map(say).into_iter().collect());
        let mut fixture = Fixture::new(Script::of(steps));
        fixture.opened().await;
        fixture.transact(&["c@d.test"]).await;
        let order = fixture.order(&["e@d.test"], HELLO);
        fixture.peer.go();
        // The server is over before the order comes.
        fixture.peer.heard().await;
        let answer = fixture.run(order).await;
        assert_eq!(
            (words(&answer).as_str(), &answer.cause),
            ("open", &Undecided::Unsent)
        );
        assert_eq!(answer.session, After::Gone);
        assert_eq!(answer.mail_sent, None);
        assert!(!answer.begun && answer.death.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_session_is_taken_again() {
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), success(), success()]));
    fixture.opened().await;
    fixture.transact(&["c@d.test"]).await;
    fixture.orders.send(Order::Watch).await.unwrap();
    assert_eq!(words(&fixture.transact(&["c@d.test"]).await), "delivered");
}

#[tokio::test(start_paused = true)]
async fn a_session_lost_at_any_octet_of_its_opening_is_not_opened() {
    let opening = "220 hi\r\n250-mx.test\r\n250 PIPELINING\r\n";
    for cut in 0..opening.len() {
        let (greeting, ehlo) = opening.split_at(cut.min(8));
        let mut steps = vec![Step::Say(greeting.into())];
        if cut > 8 {
            steps.extend([hear("EHLO"), Step::Say(ehlo[..cut - 8].into())]);
        }
        let mut fixture = Fixture::new(Script::of(vec![steps]));
        let (step, failure) = fixture.dial_failed().await;
        let expected = if cut < 8 {
            DialStep::Greeting
        } else {
            DialStep::Helo
        };
        assert_eq!(
            (step, failure.scope, failure.blame),
            (expected, Scope::Endpoint, Blame::Network)
        );
    }
}

const REPLIES: &str = "250 m\r\n250 r\r\n550 5.1.1 r\r\n354 d\r\n";

#[tokio::test(start_paused = true)]
async fn a_session_lost_at_any_octet_before_the_content_decides_nobody_left() {
    for cut in 0..REPLIES.len() {
        let steps = vec![hear("DATA\r\n"), Step::Say(REPLIES[..cut].into())];
        let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), steps]));
        fixture.opened().await;
        let answer = fixture.transact(&["c@d.test", "e@d.test"]).await;
        let second = if cut < REPLIES.len() - 7 {
            "open"
        } else {
            "bounced"
        };
        assert_eq!(words(&answer), format!("open {second}"), "{cut}");
        assert_eq!(failed(&answer).scope, Scope::Endpoint);
        assert!(
            failed(&answer)
                .refusal
                .words()
                .starts_with("lost connection with mx.test[192.0.2.1]:25")
        );
        assert_eq!(answer.session, After::Gone);
        assert!(!answer.may_be_duplicate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_lost_at_any_octet_of_the_final_reply_defers() {
    let last = "250 ok\r\n";
    for cut in 0..=last.len() {
        let steps = vec![
            hear("DATA\r\n"),
            Step::Say(REPLIES.into()),
            hear("\r\n.\r\n"),
            Step::Say(last[..cut].into()),
        ];
        let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), steps]));
        fixture.opened().await;
        let answer = fixture.transact(&["c@d.test", "e@d.test"]).await;
        let is_whole = cut == last.len();
        let first = if is_whole { "delivered" } else { "deferred" };
        assert_eq!(words(&answer), format!("{first} bounced"), "{cut}");
        assert_eq!(answer.may_be_duplicate, !is_whole);
        assert_eq!(answer.cause, Undecided::NextTransaction);
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_session_that_ends_without_a_reply_was_lost_early() {
    let steps = vec![open(PIPELINING), success(), vec![hear("DATA\r\n")]];
    let mut fixture = Fixture::new(Script::of(steps));
    fixture.opened().await;
    fixture.transact(&["c@d.test"]).await;
    let answer = fixture.transact(&["c@d.test"]).await;
    assert_eq!(
        (words(&answer).as_str(), &answer.cause),
        ("open", &Undecided::LostEarly)
    );
    assert_eq!(answer.session, After::Gone);
}

#[tokio::test(start_paused = true)]
async fn an_early_refusal_decides_though_writing_fails() {
    // T42: 552 amid the content, and the connection closed behind it.
    let line = [b'x'; 64];
    let content = Bytes::from([&line[..], b"\r\n"].concat().repeat(40_000));
    let size = content.len() as u64;
    for buffer in [128, 1 << 16] {
        let steps = vec![
            hear("DATA\r\n"),
            say("250 m\r\n250 r\r\n354 d"),
            Step::Take(100),
            say("552 5.3.4 too much"),
        ];
        let mut script = Script::of(vec![open(PIPELINING), steps]);
        script.buffer = buffer;
        let mut fixture = Fixture::with(script, Store::of(vec![content.clone()]));
        fixture.opened().await;
        let order = TransactOrder {
            size,
            ..fixture.order(&["c@d.test"], "")
        };
        let answer = fixture.run(order).await;
        assert_eq!(
            (words(&answer).as_str(), &answer.session),
            ("bounced", &After::Gone),
            "{buffer}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_full_buffers_never_face_each_other() {
    // The server reads nothing until its own endless replies have been taken.
    let addresses: Vec<String> = (0..200).map(|n| format!("user{n}@d.test")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut steps = vec![hear("RCPT TO:<user0@d.test>\r\n"), say("250 m")];
    for n in 0..200 {
        steps.push(say("250 a recipient that is welcome here"));
        if n == 0 {
            steps.push(hear("DATA\r\n"));
        }
    }
    steps.extend([say("354 d"), hear("\r\n.\r\n"), say("250 ok")]);
    let mut script = Script::of(vec![open(PIPELINING), steps]);
    script.buffer = 48;
    let mut fixture = Fixture::new(script);
    fixture.opened().await;
    let answer = fixture.transact(&addresses).await;
    assert!(answer.outcomes.iter().all(|outcome| word(outcome) == "delivered"));
}

#[tokio::test(start_paused = true)]
async fn a_421_anywhere_ends_the_session_and_decides_nobody() {
    let bye = || say("421 4.3.2 bye");
    let talk = [
        vec![hear("DATA\r\n"), bye()],
        vec![hear("DATA\r\n"), say("250 m"), bye()],
        vec![hear("DATA\r\n"), say("250 m\r\n250 r"), bye()],
        vec![hear("DATA\r\n"), say("250 m\r\n250 r\r\n354 d"), bye()],
        vec![
            hear("DATA\r\n"),
            say("250 m\r\n250 r\r\n354 d"),
            hear("\r\n.\r\n"),
            bye(),
        ],
    ];
    for steps in talk {
        let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), steps]));
        fixture.opened().await;
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!((words(&answer).as_str(), &answer.session), ("open", &After::Gone));
        assert_eq!(
            (failed(&answer).scope, failed(&answer).blame),
            (Scope::Session, Blame::Peer)
        );
        assert!(failed(&answer).refusal.words().contains("said: 421 4.3.2 bye"));
        assert!(!answer.may_be_duplicate);
    }
    for steps in [vec![bye()], vec![say("220 hi"), hear("EHLO"), bye()]] {
        let mut fixture = Fixture::new(Script::of(vec![steps]));
        let (_, failure) = fixture.dial_failed().await;
        assert_eq!((failure.scope, failure.blame), (Scope::Endpoint, Blame::Peer));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hostile_server_costs_bounded_memory() {
    let endless = vec![Step::Say("250-more\r\n".repeat(100_000))];
    let long = vec![Step::Say(format!("250 {}", "x".repeat(1 << 20)))];
    let noise = vec![Step::Say("\0\0\0\r\n".into())];
    for hostile in [endless, long, noise] {
        let mut fixture = Fixture::new(Script::of(vec![hostile.clone()]));
        let (step, failure) = fixture.dial_failed().await;
        assert_eq!((step, failure.blame), (DialStep::Greeting, Blame::Peer));

        let steps = vec![hear("DATA\r\n")];
        let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), steps, hostile]));
        fixture.opened().await;
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!(
            (words(&answer).as_str(), failed(&answer).blame),
            ("open", Blame::Peer)
        );
        assert!(
            failed(&answer)
                .refusal
                .words()
                .starts_with("protocol error: mx.test[192.0.2.1]:25 sent")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_connect_says_why() {
    for (connect, text) in [
        (
            Connect::Err(std::io::ErrorKind::ConnectionRefused),
            "connect to mx.test[192.0.2.1]:25: connection refused",
        ),
        (
            Connect::Never,
            "connect to mx.test[192.0.2.1]:25: Connection timed out",
        ),
    ] {
        let script = Script {
            connect,
            ..Script::of(vec![])
        };
        let mut fixture = Fixture::new(script);
        let (step, failure) = fixture.dial_failed().await;
        assert_eq!(
            (step, failure.refusal.words().as_str()),
            (DialStep::Connect, text)
        );
        assert!(fixture.now() <= CONNECT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_used_is_our_fault_and_not_the_hosts() {
    for kind in [
        std::io::ErrorKind::AddrNotAvailable,
        std::io::ErrorKind::AddrInUse,
    ] {
        let script = Script {
            source: Some([198, 51, 100, 7].into()),
            connect: Connect::Err(kind),
            ..Script::of(vec![])
        };
        let (step, failure) = Fixture::new(script).dial_failed().await;
        assert_eq!((step, failure.blame), (DialStep::Source, Blame::Us));
        let words = failure.refusal.words();
        assert!(
            words.starts_with("connect to mx.test[192.0.2.1]:25 from 198.51.100.7: "),
            "{words}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_and_loses_nobody() {
    let script = Script {
        connect: Connect::Panic,
        ..Script::of(vec![])
    };
    let (_, failure) = Fixture::new(script).dial_failed().await;
    assert_eq!(failure.blame, Blame::Us);

    let store = Store {
        panics: true,
        ..Store::default()
    };
    let mut fixture = Fixture::with(Script::of(vec![open(PIPELINING), vec![Step::Stall]]), store);
    fixture.opened().await;
    let answer = fixture.transact(&["c@d.test", "e@d.test"]).await;
    assert_eq!(
        (words(&answer).as_str(), &answer.session),
        ("open open", &After::Gone)
    );
    assert_eq!(failed(&answer).blame, Blame::Us);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_sender_retires_the_session() {
    let steps = vec![open(PIPELINING), success(), vec![hear("QUIT\r\n")]];
    let mut fixture = Fixture::new(Script::of(steps));
    fixture.opened().await;
    let order = fixture.order(&["c@d.test"], HELLO);
    fixture
        .orders
        .send(Order::Transact(Box::new(order)))
        .await
        .unwrap();
    let (closed, _) = mpsc::channel(1);
    drop(std::mem::replace(&mut fixture.orders, closed));
    assert_eq!(words(&fixture.answer().await), "delivered");
    assert!(matches!(fixture.report().await, Report::Ended));
    assert!(fixture.heard().await.ends_with("\r\n.\r\nQUIT\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_dial_is_given_up_when_nobody_wants_it() {
    let script = Script {
        connect: Connect::Never,
        ..Script::of(vec![])
    };
    let mut fixture = Fixture::new(script);
    fixture.orders.send(Order::Retire).await.unwrap();
    assert!(matches!(fixture.report().await, Report::Ended));
}
