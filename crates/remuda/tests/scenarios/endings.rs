//! Receivers that end sessions whenever they like, and our own end: nothing is lost, and nobody is left
//! without a word.

use std::time::Duration;

use remuda_sink::{Listener, Report};

use crate::world::{World, arrived, message, receiver, recipients, replying, route};

const MESSAGES: u64 = 200;

/// Sends to a receiver with this behaviour until everything has arrived, exactly once.
async fn everything_arrives_at(listener: Listener) -> Report {
    let what = format!("{listener:?}");
    let sink = receiver(listener).await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        settings.delivery.minimal_backoff = Duration::from_millis(50);
        settings.delivery.maximal_backoff = Duration::from_millis(200);
    })
    .await;
    world
        .send_many(MESSAGES, 10, |index| {
            message("a@source.test", &format!("r{index:03}@dest.test"))
        })
        .await;
    arrived(&sink, MESSAGES).await;
    world.empty().await;
    world.stop().await;
    let report = sink.stop().await;
    let expected: Vec<String> = (0..MESSAGES)
        .map(|index| format!("r{index:03}@dest.test"))
        .collect();
    assert_eq!(recipients(&report), expected, "{what}");
    assert_eq!(
        report.violations().count(),
        0,
        "{what}: {:#?}",
        report.listeners[0].violations
    );
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_with_a_transaction_limit_lose_nothing() {
    for close_after in ["1:silent", "3:silent", "3:421", "3:452"] {
        let report = everything_arrives_at(Listener {
            close_after: Some(close_after.parse().unwrap()),
            ..Listener::default()
        })
        .await;
        let longest = report.listeners[0].transactions_per_connection.keys().max();
        assert!(*longest.unwrap() <= 3, "{close_after}: {longest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_announce_limits_are_believed() {
    let report = everything_arrives_at(Listener {
        limits: Some("MAILMAX=4".parse().unwrap()),
        ..Listener::default()
    })
    .await;
    assert!(
        report.listeners[0]
            .transactions_per_connection
            .keys()
            .all(|transactions| *transactions <= 4)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_take_few_connections_lose_nothing() {
    let report = everything_arrives_at(Listener {
        max_connections: Some(2),
        ..Listener::default()
    })
    .await;
    assert!(report.listeners[0].max_connections <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_drop_connections_lose_nothing() {
    for point in [
        "mail#3",
        "rcpt##20=reset",
        "data##15",
        "content##10=reset",
        "dot##5",
        "rset#1",
    ] {
        // Without CHUNKING there is a DATA to drop at.
        everything_arrives_at(Listener {
            drop: vec![point.parse().unwrap()],
            chunking: false,
            ..Listener::default()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_now_and_then_lose_nothing() {
    let listener = replying(&[
        "mail#4=451 4.3.0 not now",
        "rcpt##30=450 4.2.1 busy",
        "dot##50=451 4.3.0 disk full",
        "connect##2=421 4.3.2 too busy",
    ]);
    everything_arrives_at(listener).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_receivers_without_extensions_get_their_mail() {
    everything_arrives_at(Listener {
        pipelining: false,
        chunking: false,
        eight_bit_mime: false,
        smtputf8: false,
        dsn: false,
        size_extension: false,
        reply: vec!["helo#1=500 5.5.1 what is EHLO".parse().unwrap()],
        ..Listener::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_says_quit_on_every_session() {
    let sink = receiver(Listener::default()).await;
    let world = World::start(vec![route("*", &[sink.address()])]).await;
    world
        .send_many(100, 10, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    arrived(&sink, 100).await;
    world.empty().await;
    world.stop().await;
    let report = sink.stop().await;
    assert!(report.listeners[0].connections > 0);
    assert_eq!(report.listeners[0].closed_without_quit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_nobody_needs_are_ended_with_quit() {
    let sink = receiver(Listener::default()).await;
    let world = World::start_with(vec![route("*", &[sink.address()])], |settings| {
        settings.connection_cache.idle_time_limit = Duration::from_millis(100);
    })
    .await;
    world
        .send_many(50, 5, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    arrived(&sink, 50).await;
    world
        .until("no session is left", async || {
            world
                .operations()
                .connections(Default::default())
                .await
                .unwrap()
                .is_empty()
        })
        .await;
    assert_eq!(sink.report().listeners[0].closed_without_quit, 0);
}
