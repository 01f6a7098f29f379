//! What a restart and a reload leave of mail that waits: all of it.

use std::net::SocketAddr;

use remuda_engine::operations::{EntryStatus, Verb};
use remuda_sink::Listener;

use crate::world::{World, arrived, message, receiver, receivers, recipients, replying, route};

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_waits_is_delivered_after_a_restart() {
    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy", "rcpt##2=450 4.2.1 busy"])).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let before = world.waiting_as(EntryStatus::Deferred).await;
    let world = world.restart_with(|_| ()).await;
    let after = world.queue().await.remove(0);
    assert_eq!(
        (&after.id, after.attempts, after.due),
        (&before.id, 1, before.due)
    );
    assert_eq!(world.operations().status().await.unwrap().queue.deferred, 1);
    world.change_all(Verb::Retry).await;
    world
        .until("the second attempt is recorded", async || {
            world.queue().await.iter().any(|entry| entry.attempts == 2)
        })
        .await;
    world.change_all(Verb::Retry).await;
    arrived(&sink, 1).await;
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_was_never_tried_is_delivered_after_a_restart() {
    let sink = receiver(Listener::default()).await;
    let stalling = receiver(Listener {
        stall: vec!["connect".parse().unwrap()],
        ..Listener::default()
    })
    .await;
    let world = World::start(vec![route("dest.test", &[stalling.address()])]).await;
    world
        .send_many(100, 5, |index| {
            message("a@source.test", &format!("r{index:02}@dest.test"))
        })
        .await;
    let address = sink.address();
    let world = world
        .restart_at_once_with(|settings| settings.routes = vec![route("dest.test", &[address])])
        .await;
    arrived(&sink, 100).await;
    world.empty().await;
    let expected: Vec<String> = (0..100).map(|index| format!("r{index:02}@dest.test")).collect();
    assert_eq!(recipients(&sink.report()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_destinations_mail_survives_a_restart() {
    let port = remuda_testing::free_port().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let world = World::start(vec![route("dest.test", &[address])]).await;
    world
        .send_many(60, 5, |index| {
            message("a@source.test", &format!("r{index:02}@dest.test"))
        })
        .await;
    world
        .until("the destination is suspended", async || {
            let summary = world.operations().queue_summary().await.unwrap();
            summary
                .destinations
                .iter()
                .any(|row| row.suspended_until.is_some())
        })
        .await;
    let world = world.restart_with(|_| ()).await;
    assert_eq!(world.queue().await.len(), 60);
    let sink = receiver(Listener {
        listen: address,
        ..Listener::default()
    })
    .await;
    world.change_all(Verb::Retry).await;
    arrived_or_retried(&world, &sink, 60).await;
    world.empty().await;
    assert_eq!(recipients(&sink.report()).len(), 60);
}

/// Between the restart and the receiver's start some may have been tried, and the destination suspended
/// again.
async fn arrived_or_retried(world: &World, sink: &remuda_sink::Running, messages: u64) {
    world
        .until("all have arrived", async || {
            world.change_all(Verb::Retry).await;
            let selection = world.queue().await.first().map(|entry| {
                let destination = remuda_mail::Destination::from_key(&entry.destination);
                remuda_engine::operations::Selection::Destination(destination)
            });
            if let Some(selection) = selection {
                world
                    .operations()
                    .queue_change(Verb::Retry, selection)
                    .await
                    .unwrap();
            }
            sink.report().messages() == messages
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_stays_held_over_a_restart() {
    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy"])).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    world.change(Verb::Hold, &entry.id).await;
    let world = world.restart_with(|_| ()).await;
    world.waiting_as(EntryStatus::Held).await;
    assert_eq!(world.operations().status().await.unwrap().queue.held, 1);
    world.change(Verb::Release, &entry.id).await;
    arrived(&sink, 1).await;
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_moves_mail_that_waits_to_its_new_route() {
    let sinks = receivers(vec![
        replying(&["rcpt=450 4.2.1 moving house"]),
        Listener::default(),
    ])
    .await;
    let world = World::start(vec![route("dest.test", &sinks.addresses()[..1])]).await;
    world
        .send_many(30, 3, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    world
        .until("all are deferred", async || {
            world
                .queue()
                .await
                .iter()
                .filter(|entry| entry.status == EntryStatus::Deferred)
                .count()
                == 30
        })
        .await;
    let mut settings = world.settings.clone();
    settings.routes = vec![route("dest.test", &sinks.addresses()[1..])];
    assert!(world.engine.reload(settings).await.unwrap().is_empty());
    world.change_all(Verb::Retry).await;
    arrived(&sinks, 30).await;
    world.empty().await;
    let report = sinks.report();
    assert_eq!(
        (report.listeners[0].messages, report.listeners[1].messages),
        (0, 30)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_moves_the_mail_of_a_suspended_destination() {
    let dead = SocketAddr::from(([127, 0, 0, 1], remuda_testing::free_port().unwrap()));
    let sink = receiver(Listener::default()).await;
    let world = World::start(vec![route("dest.test", &[dead])]).await;
    world
        .send_many(60, 5, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    world
        .until("the destination is suspended", async || {
            let summary = world.operations().queue_summary().await.unwrap();
            summary
                .destinations
                .iter()
                .any(|row| row.suspended_until.is_some())
        })
        .await;
    let mut settings = world.settings.clone();
    settings.routes = vec![route("dest.test", &[sink.address()])];
    world.engine.reload(settings).await.unwrap();
    world.change_all(Verb::Retry).await;
    let destination = remuda_mail::Destination::from_key(&dead.to_string());
    let selection = remuda_engine::operations::Selection::Destination(destination);
    world
        .operations()
        .queue_change(Verb::Retry, selection)
        .await
        .unwrap();
    arrived(&sink, 60).await;
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_on_the_same_data_does_not_start() {
    let world = World::start(Vec::new()).await;
    let second = remuda_engine::Engine::start(world.settings.clone(), None, world.clock.clone()).await;
    assert!(second.is_err());
    world.stop().await;
}
