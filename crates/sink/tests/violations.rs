//! What the sink finds wrong with a client.

mod support;

use remuda_sink::{Listener, ViolationKind};
use support::{Client, kinds, rules, sink};

use ViolationKind::*;

/// The violations of a client that sends all this at once after EHLO, and gets so many replies.
async fn seen(octets: impl AsRef<[u8]>, replies: usize) -> Vec<ViolationKind> {
    seen_by(Listener::default(), octets, replies).await
}

async fn seen_by(listener: Listener, octets: impl AsRef<[u8]>, replies: usize) -> Vec<ViolationKind> {
    let sink = sink(listener).await;
    let mut client = Client::ready(sink.address()).await;
    client.codes(octets, replies).await;
    kinds(&sink)
}

#[tokio::test]
async fn commands_at_the_wrong_time_are_violations() {
    assert_eq!(seen("MAIL FROM:<>\r\nMAIL FROM:<>\r\n", 2).await, [BadSequence]);
    assert_eq!(seen("RCPT TO:<a@b.test>\r\n", 1).await, [BadSequence]);
    assert_eq!(seen("DATA\r\n", 1).await, [BadSequence]);
    assert_eq!(seen("BDAT 2 LAST\r\n\r\n", 1).await, [BadSequence]);
    assert_eq!(seen("MAIL FROM:<>\r\nDATA\r\n", 2).await, [BadSequence]);
    assert_eq!(
        seen("MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 0\r\nDATA\r\n", 4).await,
        [BadSequence]
    );
    assert_eq!(
        seen(
            "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 0\r\nRCPT TO:<a@b.test>\r\n",
            4
        )
        .await,
        [BadSequence]
    );
    let sink = sink(Listener::default()).await;
    let mut client = Client::connect(sink.address()).await;
    assert_eq!(client.codes("MAIL FROM:<>\r\n", 1).await, [503]);
    assert_eq!(kinds(&sink), [BadSequence]);
}

#[tokio::test]
async fn what_follows_a_refusal_in_the_same_flight_is_none() {
    let refused = || Listener {
        reply: rules(&["mail##1=450 no"]),
        ..Listener::default()
    };
    assert_eq!(
        seen_by(
            refused(),
            "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 2 LAST\r\n\r\n",
            3
        )
        .await,
        []
    );
    assert_eq!(
        seen_by(refused(), "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n", 3).await,
        []
    );
    let rcpt = Listener {
        reply: rules(&["rcpt=550 no"]),
        ..Listener::default()
    };
    assert_eq!(
        seen_by(rcpt, "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n", 3).await,
        []
    );
    let sink = sink(refused()).await;
    let mut client = Client::ready(sink.address()).await;
    client.say("MAIL FROM:<>\r\n").await;
    client.say("RCPT TO:<a@b.test>\r\n").await;
    assert_eq!(kinds(&sink), [BadSequence], "here the client had the reply");
}

#[tokio::test]
async fn bad_lines_are_violations() {
    assert_eq!(seen("NOOP\n", 1).await, [BareLfInCommand]);
    assert_eq!(seen("NOOP\rx\r\n", 1).await, [ControlInCommand, UnknownCommand]);
    assert_eq!(seen("MAIL FROM:<>\0\r\n", 1).await, [ControlInCommand, BadSyntax]);
    assert_eq!(seen(format!("NOOP {}\r\n", "x".repeat(505)), 1).await, []);
    assert_eq!(
        seen(format!("NOOP {}\r\n", "x".repeat(506)), 1).await,
        [CommandTooLong]
    );
    assert_eq!(seen("STARTTLS\r\n", 1).await, [UnknownCommand]);
    assert_eq!(seen("MAIL FROM: <a@b.test>\r\n", 1).await, [BadSyntax]);
    assert_eq!(seen("x".repeat(70_000), 1).await, [CommandTooLong]);
}

#[tokio::test]
async fn pipelining_that_was_not_offered_is_a_violation() {
    let plain = || Listener {
        pipelining: false,
        ..Listener::default()
    };
    assert_eq!(
        seen_by(plain(), "RSET\r\nRSET\r\n", 2).await,
        [PipeliningNotOffered]
    );
    let sink = sink(plain()).await;
    let mut client = Client::ready(sink.address()).await;
    for _ in 0..3 {
        client.say("RSET\r\n").await;
    }
    assert_eq!(kinds(&sink), []);
}

#[tokio::test]
async fn commands_that_end_a_group_end_it() {
    assert_eq!(seen("NOOP\r\nRSET\r\n", 2).await, [PipelinedTooFar]);
    assert_eq!(seen("RSET\r\nNOOP\r\n", 2).await, []);
    assert_eq!(seen("EHLO c.test\r\nRSET\r\n", 2).await, [PipelinedTooFar]);
    assert_eq!(seen("MAIL FROM:a\r\nRSET\r\n", 2).await, [BadSyntax]);
    let early = "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nSubject: x\r\n.\r\n";
    assert_eq!(seen(early, 4).await, [PipelinedTooFar]);
}

#[tokio::test]
async fn the_next_transaction_may_ride_behind_the_dot() {
    let sink = sink(Listener::default()).await;
    let mut client = Client::ready(sink.address()).await;
    let envelope = "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n";
    client.codes(envelope, 3).await;
    assert_eq!(
        client.codes(format!("x\r\n.\r\n{envelope}"), 4).await,
        [250, 250, 250, 354]
    );
    assert_eq!(client.codes("x\r\n.\r\n", 1).await, [250]);
    assert_eq!(kinds(&sink), []);
}

#[tokio::test]
async fn content_is_looked_at_however_it_comes() {
    let content = "a\nb\rc\r\n\u{e4}\r\n.x\r\n.\r\n";
    let sink = sink(Listener::default()).await;
    let mut client = Client::ready(sink.address()).await;
    client
        .codes("MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n", 3)
        .await;
    assert_eq!(client.codes(content, 1).await, [250]);
    let mut found = kinds(&sink);
    found.sort();
    assert_eq!(
        found,
        [
            BareLfInContent,
            BareCrInContent,
            NotDotStuffed,
            EightBitNotDeclared
        ]
    );
    let chunk = "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 3\r\na\n.BDAT 3 LAST\r\n.\r\n";
    assert_eq!(seen(chunk, 4).await, [BareLfInContent]);
}

#[tokio::test]
async fn talk_before_the_greeting_and_after_quit_is_a_violation() {
    let clock = support::StillClock::new();
    let delayed = Listener {
        delay: rules(&["connect=5s"]),
        ..Listener::default()
    };
    let sink = support::sink_with(delayed, clock.clone()).await;
    let mut client = Client::dial(sink.address()).await;
    client.send("EHLO c.test\r\n").await;
    clock.until_asked_for(std::time::Duration::from_secs(5)).await;
    clock.advance(std::time::Duration::from_secs(5));
    client.codes("", 2).await;
    assert_eq!(kinds(&sink), [EarlyTalk]);
    assert_eq!(seen("QUIT\r\nNOOP\r\n", 1).await, [DataAfterQuit]);
}

#[tokio::test]
async fn a_connection_that_ends_inside_something_is_truncated() {
    for octets in ["NOO", "MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 5 LAST\r\nxx"] {
        let sink = sink(Listener::default()).await;
        let mut client = Client::ready(sink.address()).await;
        client.send(octets).await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream)
            .await
            .expect("open");
        client.rest().await.expect("no reset");
        let report = &sink.report().listeners[0];
        assert_eq!(
            (kinds(&sink), report.closed_without_quit),
            (vec![Truncated], 1),
            "{octets}"
        );
        assert_eq!(report.messages, 0);
    }
}

#[tokio::test]
async fn a_violation_has_its_lines() {
    let sink = sink(Listener::default()).await;
    let mut client = Client::ready(sink.address()).await;
    client.codes("NOOP\r\n", 1).await;
    client.codes("NONSENSE\u{7}\r\n", 1).await;
    let report = sink.report();
    let violation = report.violations().next().expect("one");
    assert_eq!(violation.lines, ["NOOP", "NONSENSE\\u{7}"]);
    assert_eq!(violation.connection, 1);
}
