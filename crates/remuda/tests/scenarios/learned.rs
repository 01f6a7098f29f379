//! Receivers that limit what a session carries without saying so, and those whose sessions die.

use remuda_sink::{Listener, Running};

use crate::logged::Logged;
use crate::world::{World, arrived, message, receiver, recipients, route};

/// Sends so many messages to a receiver with this behaviour, each once and none deferred; answers the
/// metrics page.
async fn nothing_is_deferred_at(sink: &Running, messages: u64, sessions: u32) -> String {
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        settings.delivery.initial_concurrency = sessions;
        settings.delivery.concurrency = sessions;
        if sessions == 1 {
            // So that it is known which message meets the limit.
            settings.delivery.pipeline_depth = 1;
        }
        settings.connection_cache.destinations = ["*".to_owned()].into();
    })
    .await;
    world
        .send_many(messages, 10, |index| {
            message("a@source.test", &format!("r{index:03}@dest.test"))
        })
        .await;
    arrived(sink, messages).await;
    world.empty().await;
    world
        .until("no session is left", async || {
            let connections = world.operations().connections(Default::default()).await;
            connections.unwrap().is_empty()
        })
        .await;
    let metrics = world.operations().metrics_text().await.unwrap();
    world.stop().await;
    let expected: Vec<String> = (0..messages)
        .map(|index| format!("r{index:03}@dest.test"))
        .collect();
    assert_eq!(recipients(&sink.report()), expected, "each once");
    assert_counted(&metrics, "remuda_deliveries_total{status=\"deferred\"} 0");
    assert_counted(
        &metrics,
        &format!("remuda_deliveries_total{{status=\"sent\"}} {messages}"),
    );
    metrics
}

fn assert_counted(metrics: &str, line: &str) {
    assert!(metrics.lines().any(|l| l == line), "{line} missing in\n{metrics}");
}

/// Issue 3, "What must be seen" 3, reduced: two sessions meet the limit, and from the third on we end them
/// before the receiver has to.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_learned_within_three_sessions_and_nothing_is_deferred() {
    for max in [1, 3, 20] {
        for manner in ["silent", "421", "452"] {
            let what = format!("{max}:{manner}");
            let sink = receiver(Listener {
                close_after: Some(what.parse().unwrap()),
                ..Listener::default()
            })
            .await;
            let metrics = nothing_is_deferred_at(&sink, 5 * max, 1).await;
            let report = sink.stop().await;
            let [listener] = &report.listeners[..] else {
                panic!("one listener");
            };
            assert_eq!(listener.transactions_per_connection, [(max, 5)].into(), "{what}");
            assert_eq!(report.violations().count(), 0, "{what}");
            assert_counted(
                &metrics,
                "remuda_connection_cache_closed_total{cause=\"count\"} 3",
            );
        }
    }
}

#[tokio::test]
async fn a_limit_that_comes_into_force_is_one_line() {
    for (manner, met) in [
        ("silent", ["the session was closed", "the session was reset"]),
        ("421", ["the host said so", "said: 421"]),
        ("452", ["said: 452", "said: 452"]),
    ] {
        let (logged, _guard) = Logged::here("limit of transactions learned");
        let sink = receiver(Listener {
            close_after: Some(format!("3:{manner}").parse().unwrap()),
            ..Listener::default()
        })
        .await;
        // Others meet it when it is known already.
        nothing_is_deferred_at(&sink, 200, 10).await;
        let lines = logged.lines();
        let [line] = &lines[..] else {
            panic!("one line, not {lines:#?}");
        };
        let endpoint = format!("endpoint={} transactions_max=3 met=", sink.address());
        assert!(line.contains(&endpoint), "{endpoint} not in {line}");
        assert!(met.iter().any(|met| line.contains(met)), "{met:?} not in {line}");
    }
}

/// T35: the session had answered before, and hangs up at the end of its third message.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_accepted_is_sent_again_at_once_and_said_to_be() {
    let sink = receiver(Listener {
        drop: vec!["dot##3".parse().unwrap()],
        chunking: false,
        ..Listener::default()
    })
    .await;
    let metrics = nothing_is_deferred_at(&sink, 6, 1).await;
    assert_counted(&metrics, "remuda_possible_duplicates_total{status=\"sent\"} 1");
    assert_counted(
        &metrics,
        "remuda_possible_duplicates_total{status=\"deferred\"} 0",
    );
}

/// The same with many sessions at once, which meet it before it is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_met_by_many_sessions_at_once_defers_nothing() {
    for what in ["1:silent", "3:421", "3:452", "20:silent"] {
        let sink = receiver(Listener {
            close_after: Some(what.parse().unwrap()),
            ..Listener::default()
        })
        .await;
        nothing_is_deferred_at(&sink, 200, 10).await;
        assert_eq!(sink.stop().await.violations().count(), 0, "{what}");
    }
}
