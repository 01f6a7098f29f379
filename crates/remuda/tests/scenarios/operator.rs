//! What an operator's verbs do to mail that waits, and to mail in flight.

use remuda_engine::{
    operations::{EntryStatus, QueueFilter, Selection, Verb},
    settings::Route,
};
use remuda_mail::{Destination, TlsLevel};

use crate::{
    gate::Gate,
    world::{World, arrived, message, receiver, recipients, replying, route},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_message_is_delivered_by_retry_now() {
    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy just now"])).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    assert_eq!(entry.attempts, 1);
    assert!(entry.reason.unwrap().contains("busy just now"));
    let shown = world.show(&entry.id).await;
    let attempt = &shown.entries[0].last_attempts[0];
    assert!(
        attempt.relay.contains(&sink.address().port().to_string()),
        "{attempt:?}"
    );
    assert!(
        attempt.result.contains("450") && attempt.result.contains("4.2.1"),
        "{attempt:?}"
    );
    assert_eq!(sink.report().messages(), 0);
    world.change(Verb::Retry, &entry.id).await;
    arrived(&sink, 1).await;
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_waits_for_its_release() {
    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy"])).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    assert!(world.change(Verb::Hold, &entry.id).await.is_empty());
    world.waiting_as(EntryStatus::Held).await;
    // Retry leaves it where it is: what comes behind it arrives first.
    world.change_all(Verb::Retry).await;
    world.send(message("a@source.test", "c@dest.test")).await;
    arrived(&sink, 1).await;
    assert_eq!(recipients(&sink.report()), ["c@dest.test"]);
    assert_eq!(world.operations().status().await.unwrap().queue.held, 1);
    world.change(Verb::Release, &entry.id).await;
    arrived(&sink, 2).await;
    world.empty().await;
    assert_eq!(world.operations().status().await.unwrap().queue.held, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_message_is_gone_without_a_report() {
    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy"])).await;
    let world = World::start(vec![route("*", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    assert!(world.change(Verb::Delete, &entry.id).await.is_empty());
    world.empty().await;
    world.send(message("a@source.test", "c@dest.test")).await;
    arrived(&sink, 1).await;
    world.empty().await;
    assert_eq!(recipients(&sink.report()), ["c@dest.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_in_flight_says_so_and_holds_after_the_transaction() {
    let mut gate = Gate::start().await;
    let world = World::start(vec![route("dest.test", &[gate.address])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    gate.holds_one().await;
    let id = world.queue().await[0].id.clone();
    assert_eq!(world.change(Verb::Hold, &id).await, std::slice::from_ref(&id));
    gate.reply("451 4.3.0 not now");
    world
        .until("the attempt is recorded", async || {
            world.show(&id).await.entries[0].attempts == 1
        })
        .await;
    assert_eq!(world.waiting_as(EntryStatus::Held).await.id, id);
    world.change(Verb::Release, &id).await;
    gate.holds_one().await;
    gate.reply("250 2.0.0 at last");
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_in_flight_says_so_and_the_transaction_is_finished() {
    for reply in ["250 2.0.0 ok", "451 4.3.0 not now", "550 5.7.1 never"] {
        let mut gate = Gate::start().await;
        let sink = receiver(remuda_sink::Listener::default()).await;
        let routes = vec![
            route("dest.test", &[gate.address]),
            route("source.test", &[sink.address()]),
        ];
        let world = World::start(routes).await;
        world.send(message("a@source.test", "b@dest.test")).await;
        gate.holds_one().await;
        let id = world.queue().await[0].id.clone();
        assert_eq!(world.change(Verb::Delete, &id).await, std::slice::from_ref(&id));
        gate.reply(reply);
        world
            .until("nothing is in memory", async || {
                let queue = world.operations().status().await.unwrap().queue;
                (queue.active, queue.deferred, queue.held) == (0, 0, 0)
            })
            .await;
        assert!(world.queue().await.is_empty(), "{reply}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_a_destination_ends_its_suspension() {
    let port = remuda_testing::free_port().unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let world = World::start(vec![route("dest.test", &[address])]).await;
    world
        .send_many(10, 2, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    let destination = world.queue().await[0].destination.clone();
    world
        .until("the destination is suspended", async || {
            let summary = world.operations().queue_summary().await.unwrap();
            summary
                .destinations
                .iter()
                .any(|row| row.suspended_until.is_some())
        })
        .await;
    let sink = receiver(remuda_sink::Listener {
        listen: address,
        ..remuda_sink::Listener::default()
    })
    .await;
    let selection =
        remuda_engine::operations::Selection::Destination(remuda_mail::Destination::from_key(&destination));
    world
        .operations()
        .queue_change(Verb::Retry, selection)
        .await
        .unwrap();
    arrived(&sink, 10).await;
    world.empty().await;
}

/// What an operator types is the host, not all that a route says of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_named_as_people_type_it() {
    let sink = receiver(replying(&["rcpt=450 4.2.1 busy"])).await;
    let host = sink.address();
    let with = |domain: &str, tls| Route {
        tls: Some(tls),
        ..route(domain, &[host])
    };
    let routes = vec![with("may.test", TlsLevel::May), with("none.test", TlsLevel::None)];
    let world = World::start(routes).await;
    world.send(message("a@source.test", "b@may.test")).await;
    world.waiting_as(EntryStatus::Deferred).await;
    let change = async |verb, typed: &str| {
        let selection = Selection::Destination(Destination::from_key(typed));
        let changed = world.operations().queue_change(verb, selection).await;
        changed.map(|changed| changed.changed)
    };
    let host = host.to_string();
    for typed in [&host, "127.0.0.1"] {
        assert_eq!(change(Verb::Hold, typed).await, Ok(1), "{typed}");
        assert_eq!(change(Verb::Release, typed).await, Ok(1), "{typed}");
    }
    assert_eq!(change(Verb::Delete, &host).await, Ok(0));
    let filter = QueueFilter {
        destination: Some(Destination::from_key(&host)),
        ..QueueFilter::default()
    };
    let page = world.operations().queue_list(filter.clone()).await.unwrap();
    assert_eq!(page.entries.len(), 1);

    world.send(message("a@source.test", "b@none.test")).await;
    world
        .until("both are counted", async || {
            let queue = world.operations().status().await.unwrap().queue;
            queue.active + queue.deferred == 2
        })
        .await;
    let several = change(Verb::Retry, "127.0.0.1").await.unwrap_err().to_string();
    let expected = format!("127.0.0.1 names several destinations: {host};tls=may and {host};tls=none");
    assert_eq!(several, expected);
    assert!(world.operations().queue_list(filter).await.is_err());
    let key = format!("{host};TLS=may");
    assert_eq!(change(Verb::Delete, &key).await, Ok(1));
}
