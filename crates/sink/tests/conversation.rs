//! What the sink answers: the usual conversation, and each option that changes it.

mod support;

use remuda_clock::SystemClock;
use remuda_sink::{CloseAfter, CloseManner, Config, Limits, Listener, ViolationKind, sha256, start};
use support::{Client, kinds, rules, sink};

const ENVELOPE: &str = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n";

#[tokio::test]
async fn a_message_by_data_arrives_with_envelope_and_digests() {
    let sink = sink(Listener::default()).await;
    let mut client = Client::ready(sink.address()).await;
    let envelope = "MAIL FROM:<a@b.test> SIZE=99 RET=HDRS ENVID=e1\r\nRCPT TO:<c@d.test> NOTIFY=NEVER\r\nRCPT TO:<e@f.test>\r\n";
    assert_eq!(
        client.codes(format!("{envelope}DATA\r\n"), 4).await,
        [250, 250, 250, 354]
    );
    let content = "Received: by x\r\n\tfor y\r\nX-Remuda-Test: 7\r\n\r\n..\r\ntext\r\n";
    assert_eq!(
        client
            .codes(content.replace("\r\n..", "\r\n...").to_owned() + ".\r\n", 1)
            .await,
        [250]
    );
    let report = sink.stop().await;
    let [message] = &report.listeners[0].received[..] else {
        panic!("one message")
    };
    assert_eq!(
        (message.sender.as_str(), message.parameters.as_str()),
        ("a@b.test", "SIZE=99 RET=HDRS ENVID=e1")
    );
    let recipients: Vec<_> = message
        .recipients
        .iter()
        .map(|to| (to.address.as_str(), to.parameters.as_str()))
        .collect();
    assert_eq!(recipients, [("c@d.test", "NOTIFY=NEVER"), ("e@f.test", "")]);
    assert_eq!(message.id.as_deref(), Some("7"));
    assert_eq!(message.bytes, content.len() as u64);
    assert_eq!(message.sha256, sha256(content.as_bytes()));
    assert_eq!(
        message.sha256_without_trace,
        sha256(&content.as_bytes()[content.find("X-").expect("there")..])
    );
    assert_eq!((report.messages(), report.listeners[0].recipients), (1, 2));
    assert_eq!(report.listeners[0].violations, []);
}

#[tokio::test]
async fn a_message_by_chunks_arrives_unchanged() {
    let sink = sink(Listener::default()).await;
    let mut client = Client::ready(sink.address()).await;
    let chunks = "BDAT 6\r\n\r\n.\r\n.BDAT 0\r\nBDAT 5 LAST\r\nx\r\n\r\n";
    assert_eq!(client.codes(format!("{ENVELOPE}{chunks}"), 5).await, [250; 5]);
    let report = sink.stop().await;
    assert_eq!(
        report.listeners[0].received[0].sha256,
        sha256(b"\r\n.\r\n.x\r\n\r\n")
    );
    assert_eq!(report.listeners[0].violations, []);
}

#[tokio::test]
async fn contents_are_kept_when_asked_for() {
    let config = Config {
        keep_contents: true,
        ..Config::single(Listener::default())
    };
    let sink = start(config, SystemClock::shared()).await.expect("a free port");
    let mut client = Client::ready(sink.address()).await;
    client
        .codes(format!("{ENVELOPE}BDAT 5 LAST\r\nx\r\n\r\n"), 3)
        .await;
    let report = sink.stop().await;
    let received = &report.listeners[0].received[0];
    assert_eq!(received.content.as_deref(), Some(&b"x\r\n\r\n"[..]));
    assert!(received.received_at > 0);
}

#[tokio::test]
async fn several_messages_share_a_connection_and_are_counted_per_connection() {
    let sink = sink(Listener::default()).await;
    let mut first = Client::ready(sink.address()).await;
    let _idle = Client::ready(sink.address()).await;
    for _ in 0..3 {
        assert_eq!(
            first
                .codes(format!("RSET\r\n{ENVELOPE}BDAT 2 LAST\r\n\r\n"), 4)
                .await,
            [250; 4]
        );
    }
    assert!(first.say("QUIT\r\n").await.starts_with("221"));
    let report = sink.report().listeners[0].clone();
    assert_eq!(
        (
            report.connections,
            report.max_connections,
            report.messages,
            report.bytes
        ),
        (2, 2, 3, 6)
    );
    assert_eq!(
        report.transactions_per_connection.into_iter().collect::<Vec<_>>(),
        [(0, 1), (3, 1)]
    );
}

#[tokio::test]
async fn ehlo_offers_what_the_listener_has() {
    let all = sink(Listener {
        hostname: "all.test".to_owned(),
        size: Some(5000),
        limits: Some(Limits {
            mail_max: Some(5),
            ..Limits::default()
        }),
        ..Listener::default()
    })
    .await;
    let reply = Client::connect(all.address()).await.say("EHLO c.test\r\n").await;
    let keywords: Vec<_> = reply.lines().map(|line| &line[4..]).collect();
    let expected =
        "all.test|PIPELINING|SIZE 5000|8BITMIME|SMTPUTF8|DSN|CHUNKING|LIMITS MAILMAX=5|ENHANCEDSTATUSCODES";
    assert_eq!(keywords.join("|"), expected);
    let none = sink(Listener {
        pipelining: false,
        chunking: false,
        eight_bit_mime: false,
        smtputf8: false,
        dsn: false,
        size_extension: false,
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(none.address()).await;
    assert!(
        client
            .say("MAIL FROM:<a@b.test> SIZE=5\r\n")
            .await
            .starts_with("555")
    );
    assert!(client.say("MAIL FROM:<a@b.test>\r\n").await.starts_with("250"));
    assert!(
        client
            .say("RCPT TO:<c@d.test> NOTIFY=NEVER\r\n")
            .await
            .starts_with("555")
    );
    assert!(client.say("RCPT TO:<c@d.test>\r\n").await.starts_with("250"));
    assert!(client.say("BDAT 2 LAST\r\n\r\n").await.starts_with("502"));
    use ViolationKind::{ParameterNotOffered, UnknownCommand};
    assert_eq!(
        kinds(&none),
        [ParameterNotOffered, ParameterNotOffered, UnknownCommand]
    );
}

#[tokio::test]
async fn other_domains_get_550() {
    let sink = sink(Listener {
        domains: vec!["a.test".to_owned(), "B.test".to_owned()],
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    let commands = "MAIL FROM:<>\r\nRCPT TO:<x@A.TEST>\r\nRCPT TO:<x@c.test>\r\nRCPT TO:<x@b.test>\r\nRCPT TO:<postmaster>\r\n";
    assert_eq!(client.codes(commands, 5).await, [250, 250, 550, 250, 250]);
    assert_eq!(kinds(&sink), []);
}

#[tokio::test]
async fn a_scripted_reply_decides() {
    let sink = sink(Listener {
        reply: rules(&[
            "mail##1=451 4.3.0 not now",
            "rcpt:bob@d.test=550 5.1.1 no bob",
            "rcpt#3+=452 4.5.3 too many",
            "dot##1=450 4.2.0 one\\n4.2.0 two",
        ]),
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(
        client
            .codes("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", 3)
            .await,
        [451, 503, 503]
    );
    let recipients =
        "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<Bob@d.test>\r\nRCPT TO:<e@d.test>\r\n";
    assert_eq!(client.codes(recipients, 4).await, [250, 250, 550, 452]);
    assert!(client.say("BDAT 0 LAST\r\n").await.starts_with("450"));
    assert_eq!(
        client.codes(format!("{ENVELOPE}BDAT 0 LAST\r\n"), 3).await,
        [250; 3]
    );
    let report = sink.stop().await;
    assert_eq!(
        (report.messages(), &report.listeners[0].violations[..]),
        (1, &[][..])
    );
    assert_eq!(report.listeners[0].transactions_per_connection[&2], 1);
}

#[tokio::test]
async fn a_421_ends_the_connection() {
    for (rule, command) in [
        ("helo=421 no", "EHLO c.test\r\n"),
        ("mail=421 no", "EHLO c.test\r\nMAIL FROM:<>\r\n"),
    ] {
        let sink = sink(Listener {
            reply: rules(&[rule]),
            ..Listener::default()
        })
        .await;
        let mut client = Client::connect(sink.address()).await;
        client.send(command).await;
        assert!(
            client.rest().await.expect("no reset").ends_with("421 no\r\n"),
            "{rule}"
        );
    }
}

#[tokio::test]
async fn a_greeting_of_554_leaves_only_quit() {
    let sink = sink(Listener {
        reply: rules(&["connect=554 no"]),
        ..Listener::default()
    })
    .await;
    let mut client = Client::dial(sink.address()).await;
    assert!(client.reply().await.starts_with("554 no"));
    assert!(client.say("QUIT\r\n").await.starts_with("221"));
}

#[tokio::test]
async fn ehlo_refused_leaves_helo_without_extensions() {
    let sink = sink(Listener {
        reply: rules(&["helo#1=502 no"]),
        ..Listener::default()
    })
    .await;
    let mut client = Client::connect(sink.address()).await;
    assert_eq!(client.codes("EHLO c.test\r\n", 1).await, [502]);
    assert_eq!(client.codes("HELO c.test\r\n", 1).await, [250]);
    assert_eq!(client.codes("MAIL FROM:<a@b.test> SIZE=5\r\n", 1).await, [555]);
}

async fn after_two_messages(manner: CloseManner) -> (support::Client, remuda_sink::Running) {
    let sink = sink(Listener {
        close_after: Some(CloseAfter {
            transactions: 2,
            manner,
        }),
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    for _ in 0..2 {
        assert_eq!(
            client.codes(format!("{ENVELOPE}BDAT 0 LAST\r\n"), 3).await,
            [250; 3]
        );
    }
    (client, sink)
}

#[tokio::test]
async fn close_after_has_three_manners() {
    let (mut client, _sink) = after_two_messages(CloseManner::Silent).await;
    assert_eq!(client.rest().await.as_deref(), Some(""));
    let (mut client, _sink) = after_two_messages(CloseManner::Code421).await;
    assert_eq!(client.codes("MAIL FROM:<>\r\n", 1).await, [421]);
    assert_eq!(client.rest().await.as_deref(), Some(""));
    let (mut client, sink) = after_two_messages(CloseManner::Code452).await;
    assert_eq!(client.codes("MAIL FROM:<>\r\n", 1).await, [452]);
    assert_eq!(client.codes("RSET\r\nMAIL FROM:<>\r\n", 2).await, [250, 452]);
    assert_eq!(kinds(&sink), []);
}

#[tokio::test]
async fn connections_past_the_limit_get_421() {
    let sink = sink(Listener {
        max_connections: Some(1),
        ..Listener::default()
    })
    .await;
    let mut first = Client::connect(sink.address()).await;
    let mut second = Client::dial(sink.address()).await;
    assert!(second.rest().await.expect("no reset").starts_with("421 "));
    assert!(first.say("QUIT\r\n").await.starts_with("221"));
    Client::connect(sink.address()).await;
    let report = &sink.report().listeners[0];
    assert_eq!(
        (
            report.connections,
            report.refused_connections,
            report.max_connections
        ),
        (2, 1, 1)
    );
    // Digests are kept, and so is what came.
    let refused: Vec<_> = report.arrivals.iter().map(|came| came.refused).collect();
    assert_eq!(refused, [false, true, false]);
}

#[tokio::test]
async fn content_past_the_size_gets_552() {
    let sink = sink(Listener {
        size: Some(10),
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(client.codes("MAIL FROM:<> SIZE=11\r\n", 1).await, [552]);
    assert_eq!(
        client
            .codes(format!("{ENVELOPE}BDAT 11 LAST\r\n123456789\r\n"), 3)
            .await,
        [250, 250, 552]
    );
    assert_eq!(
        client
            .codes(format!("{ENVELOPE}BDAT 10 LAST\r\n12345678\r\n"), 3)
            .await,
        [250, 250, 250]
    );
    assert_eq!(kinds(&sink), []);
}

#[tokio::test]
async fn announced_limits_are_enforced() {
    let sink = sink(Listener {
        limits: "MAILMAX=2 RCPTMAX=2 RCPTDOMAINMAX=2".parse().ok(),
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    let commands = "MAIL FROM:<>\r\nRCPT TO:<a@a.test>\r\nRCPT TO:<b@a.test>\r\nRCPT TO:<c@a.test>\r\n";
    assert_eq!(client.codes(commands, 4).await, [250, 250, 250, 452]);
    let commands =
        "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nRCPT TO:<b@c.test>\r\nRSET\r\nMAIL FROM:<>\r\n";
    assert_eq!(client.codes(commands, 6).await, [250, 250, 250, 452, 250, 452]);
    assert_eq!(kinds(&sink), [ViolationKind::OverLimit; 3]);
}

#[tokio::test]
async fn after_a_refused_chunk_only_rset_helps() {
    let sink = sink(Listener {
        reply: rules(&["bdat##1=452 4.3.1 full"]),
        ..Listener::default()
    })
    .await;
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(
        client
            .codes(format!("{ENVELOPE}BDAT 2\r\nxxBDAT 2 LAST\r\n\r\n"), 4)
            .await,
        [250, 250, 452, 503]
    );
    assert_eq!(client.codes("MAIL FROM:<>\r\n", 1).await, [503]);
    assert_eq!(kinds(&sink), [ViolationKind::BadSequence]);
    assert_eq!(
        client
            .codes(format!("RSET\r\n{ENVELOPE}BDAT 2 LAST\r\n\r\n"), 4)
            .await,
        [250; 4]
    );
}

#[tokio::test]
async fn smtputf8_takes_international_addresses() {
    let sink = sink(Listener::default()).await;
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(client.codes("MAIL FROM:<\u{e4}@b.test>\r\n", 1).await, [553]);
    let commands = "MAIL FROM:<\u{e4}@b.test> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<\u{f6}@\u{fc}.test>\r\nBDAT 4 LAST\r\n\u{df}\r\n";
    assert_eq!(client.codes(commands, 3).await, [250; 3]);
    assert_eq!(kinds(&sink), [ViolationKind::Utf8NotDeclared]);
    assert_eq!(
        sink.report().listeners[0].received[0].recipients[0].address,
        "\u{f6}@\u{fc}.test"
    );
}

#[tokio::test]
async fn the_sink_ends_with_its_messages_and_writes_the_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    let config = remuda_sink::Config {
        messages: Some(2),
        report: Some(path.clone()),
        ..remuda_sink::Config::single(Listener::default())
    };
    let sink = remuda_sink::start(config, remuda_clock::SystemClock::shared())
        .await
        .expect("a free port");
    let mut client = Client::ready(sink.address()).await;
    assert_eq!(
        client
            .codes(format!("{ENVELOPE}BDAT 0 LAST\r\n{ENVELOPE}BDAT 0 LAST\r\n"), 6)
            .await,
        [250; 6]
    );
    sink.finished().await;
    let report = sink.finish().await.expect("written");
    let written = std::fs::read(path).expect("the report");
    let read: remuda_sink::Report = serde_json::from_slice(&written).expect("JSON");
    assert_eq!((read.messages(), &read), (2, &report));
    assert!(
        report.listeners[0].received.is_empty(),
        "digests were not asked for"
    );
}
