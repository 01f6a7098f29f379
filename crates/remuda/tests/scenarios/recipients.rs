//! Recipients of one message: who shares a transaction, and who goes with the next.

use remuda_sink::Listener;

use crate::world::{Message, World, arrived, message, receiver, receivers, recipients, replying, route};

fn to_many(count: usize, domain: &str) -> Message {
    Message {
        recipients: (0..count).map(|n| format!("r{n:03}@{domain}")).collect(),
        ..message("a@source.test", "unused@unused.test")
    }
}

/// Recipients a transaction, the largest first.
fn shares(report: &remuda_sink::Report) -> Vec<usize> {
    let mut shares: Vec<usize> = report.received().map(|one| one.recipients.len()).collect();
    shares.sort_unstable_by(|a, b| b.cmp(a));
    shares
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_at_one_destination_share_transactions_of_a_hundred() {
    let sink = receiver(Listener::default()).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    let message = to_many(250, "dest.test");
    let mut expected = message.recipients.clone();
    expected.sort();
    world.send(message).await;
    world.empty().await;
    let report = sink.report();
    assert_eq!(shares(&report), [100, 100, 50]);
    assert_eq!(recipients(&report), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_of_one_smart_host_share_a_transaction() {
    let sink = receiver(Listener::default()).await;
    let world = World::start(vec![route("*", &[sink.address()])]).await;
    let mut message = to_many(3, "one.test");
    message.recipients.push("r@two.test".to_owned());
    message.recipients.push("r@three.test".to_owned());
    world.send(message).await;
    world.empty().await;
    assert_eq!(shares(&sink.report()), [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_gets_its_own_recipients() {
    let sinks = receivers(vec![Listener::default(), Listener::default()]).await;
    let routes = vec![
        route("one.test", &sinks.addresses()[..1]),
        route("two.test", &sinks.addresses()[1..]),
    ];
    let world = World::start(routes).await;
    let mut message = to_many(3, "one.test");
    message.recipients.extend(to_many(2, "two.test").recipients);
    world.send(message).await;
    world.empty().await;
    let report = sinks.report();
    let counts: Vec<_> = report
        .listeners
        .iter()
        .map(|one| (one.messages, one.recipients))
        .collect();
    assert_eq!(counts, [(1, 3), (1, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_recipients_lets_the_rest_form_the_next_transaction() {
    for reply in [
        "452 4.5.3 too many recipients",
        "452 too many recipients",
        "452 4.3.1 no room for more",
    ] {
        let sink = receiver(replying(&[&format!("rcpt#3+={reply}")])).await;
        let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
        let message = to_many(5, "dest.test");
        let expected = message.recipients.clone();
        world.send(message).await;
        arrived(&sink, 3).await;
        world.empty().await;
        let report = sink.report();
        assert_eq!(shares(&report), [2, 2, 1], "{reply}");
        assert_eq!(recipients(&report), expected, "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_is_that_recipients_deferral() {
    let sink = receiver(replying(&["rcpt##2=452 4.2.2 mailbox full"])).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(to_many(3, "dest.test")).await;
    let entry = world
        .waiting_as(remuda_engine::operations::EntryStatus::Deferred)
        .await;
    assert_eq!(entry.recipients, ["r001@dest.test"]);
    assert_eq!(recipients(&sink.report()), ["r000@dest.test", "r002@dest.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipient_ends_on_its_own() {
    let sink = receiver(replying(&[
        "rcpt:gone@dest.test=550 5.1.1 no such user",
        "rcpt:busy@dest.test=450 4.2.1 busy",
    ]))
    .await;
    let world = World::start(vec![route("*", &[sink.address()])]).await;
    world
        .send(Message {
            recipients: ["well", "gone", "busy"]
                .map(|user| format!("{user}@dest.test"))
                .to_vec(),
            ..message("a@source.test", "unused@unused.test")
        })
        .await;
    arrived(&sink, 2).await;
    let entry = world
        .waiting_as(remuda_engine::operations::EntryStatus::Deferred)
        .await;
    assert_eq!(entry.recipients, ["busy@dest.test"]);
    assert_eq!(recipients(&sink.report()), ["a@source.test", "well@dest.test"]);
}
