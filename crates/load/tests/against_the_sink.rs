//! The load generator against the sink: each the other's witness.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use remuda_clock::SystemClock;
use remuda_load::{Config, Message, Outcome, Plan, Report, run, run_with};
use remuda_sink::{Listener, Running, sha256, start};

async fn sink(listener: Listener) -> Running {
    let config = remuda_sink::Config {
        keep_digests: true,
        ..remuda_sink::Config::single(listener)
    };
    start(config, SystemClock::shared()).await.expect("a free port")
}

fn config(sink: &Running, messages: u64, sessions: usize) -> Config {
    Config {
        messages,
        sessions,
        ..Config::to(sink.address().to_string())
    }
}

async fn load(config: Config) -> Report {
    run(config, SystemClock::shared()).await.expect("it can begin")
}

fn replies<const N: usize>(report: &Report) -> [(&str, u64); N] {
    let replies: Vec<_> = report
        .replies
        .iter()
        .map(|(reply, count)| (reply.as_str(), *count))
        .collect();
    replies.try_into().expect("so many kinds of replies")
}

/// Contents of every form: dots, empty, 8 bits, long lines, no header, large.
fn mixed(index: u64) -> Message {
    let body = match index % 7 {
        0 => b".\r\n..\r\n.x\r\n\r\n.\r\n".to_vec(),
        1 => Vec::new(),
        2 => "gr\u{fc}\u{df}e\r\n".as_bytes().to_vec(),
        3 => [vec![b'x'; 5000], b"\r\n".to_vec()].concat(),
        4 => b"\r\n".repeat(2000),
        5 => b"line\r\n".repeat(50_000),
        _ => b"\r\n\r\n.\r\n".to_vec(),
    };
    let header = format!("X-Remuda-Test: {index}\r\n\r\n").into_bytes();
    Message {
        content: [header, body].concat(),
        sender: format!("sender{}@s.test", index % 20),
        recipients: (0..=index % 3)
            .map(|number| format!("r{number}@d{}.test", index % 12))
            .collect(),
        parameters: "BODY=8BITMIME".to_owned(),
        ..Message::default()
    }
}

#[tokio::test]
async fn every_message_arrives_once_and_unchanged() {
    for pipelining in [true, false] {
        let sink = sink(Listener {
            pipelining,
            ..Listener::default()
        })
        .await;
        let report = run_with(config(&sink, 700, 8), Plan::new(mixed), SystemClock::shared())
            .await
            .expect("it can begin");
        assert_eq!((report.messages, report.failed, report.connections), (700, 0, 8));
        let seen = sink.stop().await;
        let received: HashMap<_, _> = seen
            .received()
            .filter_map(|message| Some((message.id.clone()?, message)))
            .collect();
        assert_eq!((seen.messages(), received.len()), (700, 700));
        for index in 0..700 {
            let sent = mixed(index);
            let message = received[&index.to_string()];
            assert_eq!(message.sha256, sha256(&sent.content), "message {index}");
            assert_eq!(message.sender, sent.sender);
            assert!(
                message
                    .recipients
                    .iter()
                    .map(|to| &to.address)
                    .eq(&sent.recipients)
            );
        }
        // Long lines are what this test sends on purpose; nothing else is wrong.
        assert!(
            seen.violations()
                .all(|violation| violation.kind == remuda_sink::ViolationKind::ContentLineTooLong)
        );
        assert_eq!(seen.listeners[0].closed_without_quit, 0);
    }
}

#[tokio::test]
async fn commands_go_in_one_flight_where_pipelining_is_offered() {
    let sink = sink(Listener::default()).await;
    load(config(&sink, 20, 1)).await;
    assert_eq!(sink.report().listeners[0].flights_per_message, 2.0);
}

#[tokio::test]
async fn reconnect_takes_a_connection_for_each_message() {
    let sink = sink(Listener::default()).await;
    let report = load(Config {
        reconnect: true,
        ..config(&sink, 10, 2)
    })
    .await;
    assert_eq!((report.messages, report.connections), (10, 10));
    let seen = sink.stop().await;
    assert_eq!(seen.listeners[0].transactions_per_connection.get(&1), Some(&10));
    assert_eq!(seen.listeners[0].closed_without_quit, 0);
}

#[tokio::test]
async fn a_refused_message_fails_and_leaves_the_session_usable() {
    for (rule, code) in [
        ("mail#2=451 x", "451"),
        ("rcpt##2=550 x", "550"),
        ("data##2=554 x", "554"),
        ("dot##2=452 x", "452"),
    ] {
        for pipelining in [true, false] {
            let listener = Listener {
                pipelining,
                reply: vec![rule.parse().expect("a rule")],
                ..Listener::default()
            };
            let sink = sink(listener).await;
            let report = load(config(&sink, 4, 1)).await;
            assert_eq!(
                (report.messages, report.failed, report.connections),
                (3, 1, 1),
                "{rule}"
            );
            assert_eq!(replies(&report), [("250", 3), (code, 1)], "{rule}");
            assert_eq!(sink.stop().await.listeners[0].violations, [], "{rule}");
        }
    }
}

#[tokio::test]
async fn one_refused_recipient_is_not_a_refused_message() {
    let listener = Listener {
        domains: vec!["d0.test".to_owned()],
        ..Listener::default()
    };
    let sink = sink(listener).await;
    let plan = Plan::new(|index| Message {
        recipients: vec!["a@d0.test".to_owned(), "b@d1.test".to_owned()],
        ..mixed(index)
    });
    let report = run_with(config(&sink, 3, 1), plan, SystemClock::shared())
        .await
        .expect("it can begin");
    assert_eq!((report.messages, report.refused_recipients), (3, 3));
}

#[tokio::test]
async fn a_session_that_the_server_ends_between_messages_costs_none() {
    for manner in ["2:silent", "2:421"] {
        let sink = sink(Listener {
            close_after: manner.parse().ok(),
            ..Listener::default()
        })
        .await;
        let report = load(config(&sink, 10, 1)).await;
        assert_eq!(
            (report.messages, report.failed, report.connections),
            (10, 0, 5),
            "{manner}"
        );
        assert_eq!(sink.stop().await.messages(), 10);
    }
}

#[tokio::test]
async fn a_lost_final_reply_is_told_apart_from_a_lost_connection() {
    for (point, name) in [
        ("dot##1", "final reply lost"),
        ("rcpt##1", "connection lost"),
        ("connect##1", "connection lost"),
    ] {
        let sink = sink(Listener {
            drop: vec![point.parse().expect("a rule")],
            ..Listener::default()
        })
        .await;
        let report = load(config(&sink, 3, 1)).await;
        assert_eq!(replies(&report), [("250", 2), (name, 1)], "{point}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_every_message() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port");
    let report = load(Config {
        messages: 5,
        ..Config::to(gone.to_string())
    })
    .await;
    assert_eq!((report.messages, report.failed), (0, 5));
    assert_eq!(replies(&report), [("not connected", 5)]);
}

#[tokio::test]
async fn a_stalled_server_costs_the_time_limit() {
    let sink = sink(Listener {
        stall: vec!["dot##1".parse().expect("a rule")],
        ..Listener::default()
    })
    .await;
    let timeout = std::time::Duration::from_millis(200);
    let report = load(Config {
        timeout,
        ..config(&sink, 2, 1)
    })
    .await;
    assert_eq!(replies(&report), [("250", 1), ("final reply lost", 1)]);
}

#[tokio::test]
async fn the_observer_is_told_every_outcome() {
    let sink = sink(Listener::default()).await;
    let outcomes: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let told = outcomes.clone();
    let plan = Plan::new(mixed).observe(move |outcome| {
        told.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome.clone())
    });
    run_with(config(&sink, 50, 4), plan, SystemClock::shared())
        .await
        .expect("it can begin");
    let mut indexes: Vec<u64> = outcomes
        .lock()
        .expect("no panic")
        .iter()
        .map(|outcome| outcome.index)
        .collect();
    indexes.sort_unstable();
    assert!(indexes.into_iter().eq(0..50));
}

#[tokio::test]
async fn a_server_without_ehlo_is_greeted_with_helo() {
    let sink = sink(Listener {
        reply: vec!["helo#1=502 no".parse().expect("a rule")],
        ..Listener::default()
    })
    .await;
    assert_eq!(load(config(&sink, 3, 1)).await.messages, 3);
    assert_eq!(sink.stop().await.listeners[0].violations, []);
}

#[tokio::test]
async fn generated_contents_take_turns_over_the_recipients() {
    let sink = sink(Listener::default()).await;
    let rcpt = vec!["a@x.test".to_owned(), "b@y.test".to_owned()];
    load(Config {
        rcpt,
        size: 10_000,
        ..config(&sink, 4, 1)
    })
    .await;
    let seen = sink.stop().await;
    let recipients: Vec<_> = seen
        .received()
        .map(|message| message.recipients[0].address.as_str())
        .collect();
    assert_eq!(recipients, ["a@x.test", "b@y.test", "a@x.test", "b@y.test"]);
    assert_eq!(seen.listeners[0].bytes, 40_000);
}
