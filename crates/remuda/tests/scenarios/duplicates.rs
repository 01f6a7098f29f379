//! Mail that a host may have accepted before its final reply was lost: what is said of it until it ends.

use remuda_engine::operations::{EntryStatus, Verb};
use remuda_sink::Listener;

use crate::{
    logged::Logged,
    world::{World, message, receiver, replying, route},
};

async fn assert_counted(world: &World, status: &str, count: u32) {
    let line = format!("remuda_possible_duplicates_total{{status=\"{status}\"}} {count}");
    let metrics = world.operations().metrics_text().await.unwrap();
    assert!(metrics.lines().any(|l| l == line), "{line} missing in\n{metrics}");
}

/// contract.md, "Delivery log". The receiver hangs up at the end of the first message, is busy at the second
/// attempt, and takes it at the third; the server is restarted meanwhile.
#[tokio::test]
async fn what_may_have_been_accepted_is_said_to_be_on_every_later_attempt() {
    let (logged, _guard) = Logged::here("to=<b@dest.test>");
    let sink = receiver(Listener {
        drop: vec!["dot##1".parse().unwrap()],
        chunking: false,
        ..replying(&["rcpt##2=450 4.2.1 busy"])
    })
    .await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    assert_counted(&world, "deferred", 1).await;

    let world = world.restart_with(|_| ()).await;
    let shown = world.show(&entry.id).await;
    assert!(shown.entries[0].recipients[0].may_be_duplicate, "{shown:?}");
    world.change_all(Verb::Retry).await;
    world
        .until("the second attempt is recorded", async || {
            world.queue().await.iter().any(|entry| entry.attempts == 2)
        })
        .await;
    world.change_all(Verb::Retry).await;
    world.empty().await;
    // Its reply was lost once.
    assert_counted(&world, "deferred", 0).await;
    assert_counted(&world, "sent", 0).await;

    let lines = logged.lines();
    let ends = ["status=\"deferred\"", "status=\"deferred\"", "status=\"sent\""];
    assert_eq!(lines.len(), ends.len(), "{lines:#?}");
    for (line, end) in lines.iter().zip(ends) {
        assert!(line.contains(end), "{end} not in {line}");
        assert!(line.contains("duplicate=\"possible\""), "{line}");
    }
}

#[tokio::test]
async fn an_ordinary_deferral_marks_nobody() {
    let (logged, _guard) = Logged::here("to=<b@dest.test>");
    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy"])).await;
    let world = World::start(vec![route("dest.test", &[sink.address()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    let shown = world.show(&entry.id).await;
    assert!(!shown.entries[0].recipients[0].may_be_duplicate, "{shown:?}");
    world.change_all(Verb::Retry).await;
    world.empty().await;
    let lines = logged.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("duplicate")), "{lines:#?}");
}
