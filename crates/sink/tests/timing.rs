//! Round trips, flights, delays, stalls and drops.

mod support;

use std::{sync::Arc, time::Duration};

use remuda_sink::{Listener, Running};
use support::{Client, StillClock, kinds, rules, sink, sink_with};

const RTT: Duration = Duration::from_millis(50);
const ENVELOPE: &str = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n";

/// A sink behind a round trip, under a clock that stands still, and a client that has said EHLO.
async fn distant() -> (Running, Arc<StillClock>, Client) {
    let clock = StillClock::new();
    let sink = sink_with(
        Listener {
            rtt: RTT,
            ..Listener::default()
        },
        clock.clone(),
    )
    .await;
    let mut client = Client::dial(sink.address()).await;
    clock.until_asked_for(RTT * 2).await;
    assert!(client.is_silent());
    clock.advance(RTT * 2);
    client.reply().await;
    client.send("EHLO c.test\r\n").await;
    clock.until_asked_for(RTT * 3).await;
    assert!(client.is_silent());
    clock.advance(RTT);
    client.reply().await;
    (sink, clock, client)
}

fn flights(sink: &Running) -> (u64, f64) {
    let report = &sink.report().listeners[0];
    (report.flights, report.flights_per_message)
}

#[tokio::test]
async fn replies_wait_one_round_trip_from_the_first_octet_of_a_flight() {
    let (sink, clock, mut client) = distant().await;
    client.send("MAIL FROM:<>\r\n").await;
    clock.until_asked_for(RTT * 4).await;
    // The rest of the flight comes half a round trip later and waits no longer for it.
    clock.advance(RTT / 2);
    client.send("RCPT TO:<c@d.test>\r\n").await;
    clock.until_asked_times(2, RTT * 4).await;
    assert!(client.is_silent());
    clock.advance(RTT / 2);
    assert_eq!(client.codes("", 2).await, [250, 250]);
    sink.stop().await;
}

#[tokio::test]
async fn flights_are_counted_exactly() {
    let (sink, clock, mut client) = distant().await;
    assert_eq!(flights(&sink), (0, 0.0), "EHLO carries no transaction");
    for (sent, octets, replies) in [
        (4, format!("RSET\r\n{ENVELOPE}BDAT 2 LAST\r\n\r\n"), 4),
        (5, format!("{ENVELOPE}DATA\r\n"), 3),
        (6, "x\r\n.\r\n".to_owned(), 1),
        (
            7,
            format!("{ENVELOPE}BDAT 0 LAST\r\n{ENVELOPE}BDAT 0 LAST\r\n"),
            6,
        ),
    ] {
        client.send(octets).await;
        clock.until_asked_for(RTT * sent).await;
        clock.advance(RTT);
        client.codes("", replies).await;
    }
    assert_eq!(flights(&sink), (4, 1.0));
    assert_eq!(kinds(&sink), []);
}

#[tokio::test]
async fn a_flight_in_pieces_is_one_flight() {
    let (sink, clock, mut client) = distant().await;
    client.send("MAIL FROM:<>\r\n").await;
    clock.until_asked_for(RTT * 4).await;
    clock.advance(RTT / 4);
    client.send("RCPT TO:<a@b.test>\r\n").await;
    clock.until_asked_times(2, RTT * 4).await;
    clock.advance(RTT / 4);
    // Inside a chunk no reply goes out, even past the round trip.
    client.send("BDAT 4 LAST\r\nx").await;
    clock.advance(RTT / 4);
    client.send("\r\n\n").await;
    clock.until_asked_times(3, RTT * 4).await;
    assert!(client.is_silent());
    clock.advance(RTT);
    assert_eq!(client.codes("", 3).await, [250; 3]);
    assert_eq!(flights(&sink).0, 1);
}

#[tokio::test]
async fn a_delay_holds_its_own_reply_and_not_the_earlier_ones() {
    let clock = StillClock::new();
    let sink = sink_with(
        Listener {
            delay: rules(&["rcpt#2=2s"]),
            ..Listener::default()
        },
        clock.clone(),
    )
    .await;
    let mut client = Client::ready(sink.address()).await;
    client.send(format!("{ENVELOPE}RCPT TO:<e@d.test>\r\n")).await;
    assert_eq!(client.codes("", 2).await, [250, 250]);
    clock.until_asked_for(Duration::from_secs(2)).await;
    assert!(client.is_silent());
    clock.advance(Duration::from_secs(2));
    assert_eq!(client.codes("", 1).await, [250]);
}

#[tokio::test]
async fn a_delay_holds_what_comes_within_its_window() {
    const SECOND: Duration = Duration::from_secs(1);
    let clock = StillClock::new();
    clock.advance(SECOND * 5);
    let listener = Listener {
        delay: rules(&["rset=3s@20s..40s"]),
        ..Listener::default()
    };
    let sink = sink_with(listener, clock.clone()).await;
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(client.codes("RSET\r\n", 1).await, [250], "before it");
    clock.advance(SECOND * 39);
    client.send("RSET\r\n").await;
    clock.until_asked_for(SECOND * 47).await;
    assert!(client.is_silent(), "within it");
    clock.advance(SECOND * 2);
    assert!(client.is_silent(), "to the end of the delay");
    clock.advance(SECOND);
    client.reply().await;
    assert_eq!(client.codes("RSET\r\n", 1).await, [250], "after it");
}

/// What leads to each point, and how many replies come before it.
const WAYS: [(&str, &str, usize); 9] = [
    ("helo", "EHLO c.test\r\n", 0),
    ("mail", "EHLO c.test\r\nMAIL FROM:<>\r\n", 1),
    ("rcpt", "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\n", 2),
    (
        "data",
        "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n",
        3,
    ),
    (
        "content",
        "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nx\r\n",
        4,
    ),
    (
        "dot",
        "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nx\r\n.\r\n",
        4,
    ),
    (
        "bdat",
        "EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nBDAT 1\r\nx",
        3,
    ),
    ("rset", "EHLO c.test\r\nRSET\r\n", 1),
    ("quit", "EHLO c.test\r\nQUIT\r\n", 1),
];

#[tokio::test]
async fn a_stall_answers_what_came_before_and_nothing_more() {
    for (point, octets, replies) in WAYS {
        let sink = sink(Listener {
            stall: rules(&[point]),
            ..Listener::default()
        })
        .await;
        let mut client = Client::connect(sink.address()).await;
        assert_eq!(client.codes(octets, replies).await.len(), replies);
        // A second connection is served while the first one is stalled.
        Client::connect(sink.address()).await;
        assert!(client.is_silent(), "{point}");
        let report = sink.stop().await;
        assert_eq!(report.messages(), 0, "{point}");
        // Everything before the point had been answered, and now the end comes without a word.
        assert!(client.rest().await.is_none_or(|rest| rest.is_empty()), "{point}");
    }
    let sink = sink(Listener {
        stall: rules(&["connect#1"]),
        ..Listener::default()
    })
    .await;
    let mut stalled = Client::dial(sink.address()).await;
    let mut other = Client::dial(sink.address()).await;
    assert!(other.reply().await.starts_with("220"));
    assert!(stalled.is_silent());
}

#[tokio::test]
async fn a_drop_ends_the_connection_without_a_reply() {
    for (point, octets, replies) in WAYS {
        let sink = sink(Listener {
            drop: rules(&[point]),
            ..Listener::default()
        })
        .await;
        let mut client = Client::connect(sink.address()).await;
        assert_eq!(client.codes(octets, replies).await.len(), replies, "{point}");
        assert_eq!(client.rest().await.as_deref(), Some(""), "{point}");
        assert_eq!(sink.stop().await.messages(), 0, "{point}");
    }
    let sink = sink(Listener {
        drop: rules(&["connect"]),
        ..Listener::default()
    })
    .await;
    assert_eq!(
        Client::dial(sink.address()).await.rest().await.as_deref(),
        Some("")
    );
}

#[tokio::test]
async fn a_drop_may_be_a_reset() {
    let sink = sink(Listener {
        drop: rules(&["rcpt=reset"]),
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(client.codes("MAIL FROM:<>\r\n", 1).await, [250]);
    client.send("RCPT TO:<a@b.test>\r\n").await;
    assert_eq!(client.rest().await, None);
}

#[tokio::test]
async fn a_stop_counts_no_message_that_was_not_answered() {
    let (sink, clock, mut client) = distant().await;
    client.send(format!("{ENVELOPE}BDAT 2 LAST\r\n\r\n")).await;
    clock.until_asked_for(RTT * 4).await;
    assert_eq!(sink.stop().await.messages(), 0);
    assert_eq!(client.rest().await.unwrap_or_default(), "");
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_221_has_said_quit() {
    let sink = sink(Listener {
        rtt: RTT,
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    client.send("QUIT\r\n").await;
    drop(client);
    // The next connection's greeting comes two round trips later: by then the first is over.
    let mut client = Client::ready(sink.address()).await;
    assert!(client.say("QUIT\r\n").await.starts_with("221"));
    assert_eq!(sink.report().listeners[0].closed_without_quit, 0);
}
