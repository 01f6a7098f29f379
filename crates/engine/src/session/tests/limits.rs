//! A server that stalls at any point delays a message by that point's limit and no more.

use remuda_mail::{Blame, Scope};
use remuda_smtp::deadlines::client as limits;

use super::{
    peer::{PIPELINING, PLAIN, Step, hear, open, say, success},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_stalled_opening_ends_within_its_limit() {
    for (steps, limit, step) in [
        (vec![], limits::GREETING, DialStep::Greeting),
        (
            vec![Step::Say("220-hi\r\n220".into())],
            limits::GREETING,
            DialStep::Greeting,
        ),
        (vec![say("220 hi")], limits::HELO, DialStep::Helo),
        (
            vec![say("220 hi"), hear("EHLO"), say("250-mx")],
            limits::HELO,
            DialStep::Helo,
        ),
        (
            vec![say("220 hi"), hear("EHLO"), say("500 x")],
            limits::HELO,
            DialStep::Helo,
        ),
    ] {
        let mut fixture = Fixture::new(Script::of(vec![steps, vec![Step::Stall]]));
        let (stopped, failure) = fixture.dial_failed().await;
        assert_eq!((stopped, failure.blame), (step, Blame::Network));
        assert!(failure.refusal.words().contains("timed out while"));
        assert_eq!(fixture.now(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_transaction_ends_within_the_limit_of_its_step() {
    let plain = [
        (vec![], limits::MAIL, "sending MAIL FROM"),
        (vec![hear("MAIL"), say("250 m")], limits::RCPT, "sending RCPT TO"),
        (
            vec![hear("MAIL"), say("250 m"), hear("RCPT"), say("250 r")],
            limits::DATA,
            "sending DATA command",
        ),
    ];
    for (steps, limit, doing) in plain {
        let mut fixture = Fixture::new(Script::of(vec![open(PLAIN), steps, vec![Step::Stall]]));
        fixture.opened().await;
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!(fixture.now(), limit, "{doing}");
        assert_eq!(failed(&answer).scope, Scope::Endpoint);
        assert_eq!(
            failed(&answer).refusal.words(),
            format!("conversation with mx.test[192.0.2.1]:25 timed out while {doing}")
        );
        assert_eq!((words(&answer).as_str(), &answer.session), ("open", &After::Gone));
    }
}

#[tokio::test(start_paused = true)]
async fn each_reply_inside_a_flight_has_its_own_limit() {
    let wait = |limit: Duration| Step::Wait(limit - Duration::from_secs(1));
    let steps = vec![
        hear("DATA\r\n"),
        wait(limits::MAIL),
        say("250 m"),
        wait(limits::RCPT),
        say("250 r"),
        wait(limits::RCPT),
        say("250 r"),
        wait(limits::DATA),
        say("354 d"),
        hear("\r\n.\r\n"),
        wait(limits::END_OF_CONTENT),
        say("250 ok"),
    ];
    for stalls_after in [2, 4, 6, 8, 11, 12] {
        let steps = steps[..stalls_after].to_vec();
        let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), steps, vec![Step::Stall]]));
        fixture.opened().await;
        let answer = fixture.transact(&["c@d.test", "e@d.test"]).await;
        let passed = [
            limits::MAIL,
            limits::RCPT,
            limits::RCPT,
            limits::DATA,
            limits::END_OF_CONTENT,
        ];
        let seconds = |count: usize| {
            let sum: Duration = passed[..count].iter().sum();
            sum - Duration::from_secs(count as u64)
        };
        // Steps 2 and 11 wait in vain for a reply that does not come.
        let (expected, result) = match stalls_after {
            2 => (limits::MAIL, "open open"),
            4 => (seconds(1) + limits::RCPT, "open open"),
            6 => (seconds(2) + limits::RCPT, "open open"),
            8 => (seconds(3) + limits::DATA, "open open"),
            11 => (seconds(4) + limits::END_OF_CONTENT, "deferred deferred"),
            _ => (seconds(5), "delivered delivered"),
        };
        assert_eq!(
            (fixture.now(), words(&answer).as_str()),
            (expected, result),
            "{stalls_after}"
        );
        assert_eq!(answer.may_be_duplicate, stalls_after == 11);
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_reply_does_not_win_time() {
    let drip = (0..100).flat_map(|_| [Step::Wait(Duration::from_secs(50)), say("250-m")]);
    let steps = [vec![hear("MAIL")], drip.collect()].concat();
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), steps]));
    fixture.opened().await;
    let answer = fixture.transact(&["c@d.test"]).await;
    assert_eq!(fixture.now(), limits::MAIL);
    assert!(failed(&answer).refusal.words().contains("timed out"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_content_has_the_limit_of_a_block() {
    let content = Bytes::from("0123456789abc\r\n".repeat(20_000));
    let size = content.len() as u64;
    let steps = vec![hear("DATA\r\n"), say("250 m\r\n250 r\r\n354 d"), Step::Freeze];
    let mut script = Script::of(vec![open(PIPELINING), steps]);
    script.buffer = 70_000;
    let mut fixture = Fixture::with(script, Store::of(vec![content]));
    fixture.opened().await;
    let order = TransactOrder {
        size,
        ..fixture.order(&["c@d.test"], "")
    };
    let answer = fixture.run(order).await;
    assert_eq!(fixture.now(), limits::CONTENT_BLOCK);
    assert!(
        failed(&answer)
            .refusal
            .words()
            .ends_with("timed out while sending message body")
    );
    assert!(!answer.may_be_duplicate);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_commands_has_the_limit_of_the_first() {
    let mut script = Script::of(vec![open(PIPELINING), vec![Step::Freeze]]);
    script.buffer = 64;
    let mut fixture = Fixture::new(script);
    fixture.opened().await;
    let addresses: Vec<String> = (0..20).map(|n| format!("user{n}@d.test")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    fixture.transact(&addresses).await;
    assert_eq!(fixture.now(), limits::MAIL);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_rset_costs_its_short_limit_and_no_recipient() {
    let refused = vec![hear("DATA\r\n"), say("450 no\r\n450 no\r\n450 no"), Step::Stall];
    let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), refused]));
    fixture.opened().await;
    assert_eq!(words(&fixture.transact(&["c@d.test"]).await), "deferred");
    let order = TransactOrder {
        reply_within: Duration::from_secs(60),
        ..fixture.order(&["c@d.test"], HELLO)
    };
    let answer = fixture.run(order).await;
    assert_eq!(
        (fixture.now(), &answer.cause),
        (limits::RSET, &Undecided::LostEarly)
    );
}

/// T31, T39, and design §5, "Dead before use": a used session that says nothing is dead after
/// `reuse_reply_timeout`; one that has said something is only slow.
#[tokio::test(start_paused = true)]
async fn a_used_session_that_says_nothing_is_given_up_soon() {
    for (said, seconds) in [(None, 5), (Some("250 m"), 300)] {
        let mut steps = vec![hear("DATA\r\n")];
        steps.extend(said.map(say));
        steps.push(Step::Stall);
        let mut fixture = Fixture::new(Script::of(vec![open(PIPELINING), success(), steps]));
        fixture.opened().await;
        fixture.transact(&["c@d.test"]).await;
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!(fixture.now(), Duration::from_secs(seconds));
        assert_eq!(answer.cause == Undecided::LostEarly, said.is_none(), "{said:?}");
        assert_eq!((&answer.session, answer.limit_met), (&After::Gone, None));
    }
}

/// T35: only who hangs up at once on a session that had answered before lets the message be sent again.
#[tokio::test(start_paused = true)]
async fn a_lost_final_reply_is_followed_at_once_only_if_the_end_came_within_a_second() {
    for (is_used, millis, may_resend) in [
        (true, 0, true),
        (true, 1000, true),
        (true, 1001, false),
        (false, 0, false),
    ] {
        let mut steps = vec![open(PIPELINING)];
        steps.extend(is_used.then(success));
        steps.push(vec![
            hear("DATA\r\n"),
            say("250 m\r\n250 r\r\n354 d"),
            hear("\r\n.\r\n"),
            Step::Wait(Duration::from_millis(millis)),
        ]);
        let mut fixture = Fixture::new(Script::of(steps));
        fixture.opened().await;
        if is_used {
            fixture.transact(&["c@d.test"]).await;
        }
        let answer = fixture.transact(&["c@d.test"]).await;
        assert_eq!(
            (words(&answer).as_str(), &answer.unknown[..]),
            ("deferred", &[0][..])
        );
        assert_eq!(
            (answer.may_be_duplicate, answer.may_resend),
            (true, may_resend),
            "{millis}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn quit_waits_a_second_at_most() {
    for last in [Step::Stall, Step::Freeze] {
        let mut script = Script::of(vec![open(PIPELINING), success(), vec![last]]);
        script.buffer = 100;
        let mut fixture = Fixture::new(script);
        fixture.opened().await;
        fixture.transact(&["c@d.test"]).await;
        fixture.orders.send(Order::Retire).await.unwrap();
        assert!(matches!(fixture.report().await, Report::Ended));
        assert_eq!(fixture.now(), limits::QUIT);
    }
}
