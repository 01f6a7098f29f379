//! Who is told what, and when: bounces, warnings and confirmations, as they arrive at the sender's domain.

use std::time::Duration;

use remuda_engine::operations::EntryStatus;
use remuda_sink::{Listener, Received, Running};

use crate::world::{Message, World, arrived, message, receiver, receivers, replying, route};

/// A world with a receiver for the senders' domain and one for the recipients'.
async fn world(
    listener: Listener,
    change: impl FnOnce(&mut remuda_engine::settings::Settings),
) -> (World, Running) {
    let sinks = receivers(vec![Listener::default(), listener]).await;
    let routes = vec![
        route("source.test", &sinks.addresses()[..1]),
        route("dest.test", &sinks.addresses()[1..]),
    ];
    (World::start_with(routes, change).await, sinks)
}

/// The reports that have arrived at the senders' domain.
fn reports(sinks: &Running) -> Vec<Received> {
    sinks.report().listeners.swap_remove(0).received
}

fn text(report: &Received) -> String {
    String::from_utf8(report.content.clone().unwrap()).unwrap()
}

#[track_caller]
fn assert_says(report: &Received, words: &[&str]) {
    let text = text(report);
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_comes_back_as_a_report_with_the_receivers_words() {
    let refusing = replying(&["rcpt=550 5.1.1 never heard of that person"]);
    let (world, sinks) = world(refusing, |_| ()).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sinks, 1).await;
    world.empty().await;
    let reports = reports(&sinks);
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    assert_eq!(
        (report.sender.as_str(), report.recipients[0].address.as_str()),
        ("", "a@source.test")
    );
    let expected = [
        "Content-Type: multipart/report; report-type=delivery-status",
        "Content-Type: message/delivery-status",
        "Reporting-MTA: dns; relay.test",
        "Final-Recipient: rfc822; b@dest.test",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 5.1.1 never heard of that person",
        "Content-Type: text/rfc822-headers",
        "Message-ID: <one@source.test>",
    ];
    assert_says(report, &expected);
    assert!(!text(report).contains("Hello."), "the header is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_names_every_recipient_in_one_report() {
    let (world, sinks) = world(replying(&["dot=554 5.7.1 no, thanks"]), |_| ()).await;
    world
        .send(Message {
            recipients: vec!["b@dest.test".to_owned(), "c@dest.test".to_owned()],
            ..message("a@source.test", "")
        })
        .await;
    arrived(&sinks, 1).await;
    world.empty().await;
    let reports = reports(&sinks);
    assert_eq!(reports.len(), 1);
    let expected = [
        "Final-Recipient: rfc822; b@dest.test",
        "Final-Recipient: rfc822; c@dest.test",
        "554 5.7.1 no, thanks",
    ];
    assert_says(&reports[0], &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_message_comes_back_when_asked_for() {
    let (world, sinks) = world(replying(&["rcpt=550 5.1.1 no"]), |_| ()).await;
    world
        .send(Message {
            parameters: "RET=FULL ENVID=QQ314159".to_owned(),
            ..message("a@source.test", "b@dest.test")
        })
        .await;
    arrived(&sinks, 1).await;
    let expected = [
        "Original-Envelope-Id: QQ314159",
        "Content-Type: message/rfc822",
        "Hello.",
    ];
    assert_says(&reports(&sinks)[0], &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_who_does_not_want_to_be() {
    let (world, sinks) = world(replying(&["rcpt=550 5.1.1 no"]), |_| ()).await;
    for notify in ["NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=DELAY"] {
        world
            .send(Message {
                recipient_parameters: notify.to_owned(),
                ..message("a@source.test", "b@dest.test")
            })
            .await;
    }
    world.send(message("", "b@dest.test")).await;
    world.empty().await;
    assert_eq!(reports(&sinks), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_that_cannot_be_delivered_ends_there() {
    let sink = receiver(replying(&["rcpt=550 5.1.1 no"])).await;
    let world = World::start(vec![route("*", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    world.empty().await;
    assert_eq!(sink.report().messages(), 0);
    let text = world.operations().metrics_text().await.unwrap();
    let bounced = text
        .lines()
        .find(|line| line.starts_with("remuda_deliveries_total{status=\"bounced\"}"));
    assert!(
        bounced.is_some_and(|line| line.ends_with(" 2")),
        "the message and its report: {bounced:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_was_asked_for_is_relayed_towards_a_host_without_dsn() {
    let without = Listener {
        dsn: false,
        ..Listener::default()
    };
    let (world, sinks) = world(without, |_| ()).await;
    world
        .send(Message {
            recipient_parameters: "NOTIFY=SUCCESS ORCPT=rfc822;first+40dest.test".to_owned(),
            ..message("a@source.test", "b@dest.test")
        })
        .await;
    arrived(&sinks, 2).await;
    world.empty().await;
    let expected = [
        "Action: relayed",
        "Original-Recipient: rfc822; first@dest.test",
        "Final-Recipient: rfc822; b@dest.test",
        "Status: 2.",
    ];
    assert_says(&reports(&sinks)[0], &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_dsn_takes_the_duty_over() {
    let (world, sinks) = world(Listener::default(), |_| ()).await;
    world
        .send(Message {
            parameters: "RET=HDRS ENVID=QQ314159".to_owned(),
            recipient_parameters: "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+40dest.test".to_owned(),
            ..message("a@source.test", "b@dest.test")
        })
        .await;
    world.empty().await;
    assert_eq!(reports(&sinks), []);
    let report = sinks.report();
    let received = &report.listeners[1].received[0];
    for parameter in ["RET=HDRS", "ENVID=QQ314159"] {
        assert!(received.parameters.contains(parameter), "{}", received.parameters);
    }
    let parameters = &received.recipients[0].parameters;
    for parameter in ["NOTIFY=", "SUCCESS", "FAILURE", "ORCPT=rfc822;first@dest.test"] {
        assert!(parameters.contains(parameter), "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_cannot_be_delivered_in_time_bounces() {
    let (world, sinks) = world(replying(&["rcpt=450 4.2.1 come back tomorrow"]), |settings| {
        settings.delivery.queue_lifetime = Duration::from_millis(300);
        settings.delivery.minimal_backoff = Duration::from_millis(50);
    })
    .await;
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sinks, 1).await;
    world.empty().await;
    let reports = reports(&sinks);
    assert_eq!(reports.len(), 1);
    assert_says(&reports[0], &["Action: failed", "450 4.2.1 come back tomorrow"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_expires_also_while_its_destination_is_suspended() {
    let dead = remuda_testing::free_port().unwrap();
    let sink = receiver(Listener::default()).await;
    let routes = vec![
        route("source.test", &[sink.address()]),
        route("dest.test", &[([127, 0, 0, 1], dead).into()]),
    ];
    let world = World::start_with(routes, |settings| {
        settings.delivery.queue_lifetime = Duration::from_millis(1000);
    })
    .await;
    world
        .send_many(8, 1, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    arrived(&sink, 8).await;
    world.empty().await;
    let report = sink.report();
    assert!(report.received().all(|one| text(one).contains("Action: failed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_warned_of_once() {
    let (world, sinks) = world(replying(&["rcpt=450 4.2.1 come back later"]), |settings| {
        settings.delivery.delay_warning = Some(Duration::from_millis(150));
        settings.delivery.minimal_backoff = Duration::from_millis(20);
        settings.delivery.maximal_backoff = Duration::from_millis(40);
    })
    .await;
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sinks, 1).await;
    let warned = world.waiting_as(EntryStatus::Deferred).await.attempts;
    world
        .until("several more attempts have failed", async || {
            world
                .queue()
                .await
                .iter()
                .any(|entry| entry.attempts >= warned + 10)
        })
        .await;
    let reports = reports(&sinks);
    assert_eq!(reports.len(), 1);
    assert_says(
        &reports[0],
        &[
            "Action: delayed",
            "450 4.2.1 come back later",
            "Will-Retry-Until: ",
        ],
    );
}
