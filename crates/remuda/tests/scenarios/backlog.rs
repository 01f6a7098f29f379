//! One destination's backlog is nobody else's delay.

use remuda_sink::Listener;

use crate::world::{World, arrived, message, preferring, receiver, receivers, route};

#[tokio::test(flavor = "multi_thread")]
async fn one_huge_backlog_delays_nobody_else() {
    // One receiver, so that it has seen everything in one order, and two destinations: they differ in the
    // preference that the route gives the host.
    let sink = receiver(Listener {
        rtt: std::time::Duration::from_millis(5),
        ..Listener::default()
    })
    .await;
    let routes = vec![
        preferring("huge.test", &[(sink.address(), 10)]),
        preferring("single.test", &[(sink.address(), 20)]),
    ];
    let world = World::start_with(routes, |settings| settings.delivery.sessions = 1).await;
    let backlog = if std::env::var_os("REMUDA_SOAK").is_some() {
        100_000
    } else {
        1000
    };
    world
        .send_many(backlog, 10, |index| {
            message("a@source.test", &format!("r{index}@huge.test"))
        })
        .await;
    world.send(message("a@source.test", "only@single.test")).await;
    let before = sink.report().messages();
    let is_there = |report: &remuda_sink::Report| {
        report
            .received()
            .any(|one| one.recipients[0].address == "only@single.test")
    };
    world
        .until("the single message is there", async || is_there(&sink.report()))
        .await;
    let report = sink.report();
    let place = report
        .received()
        .position(|one| one.recipients[0].address == "only@single.test")
        .unwrap() as u64;
    assert!(
        before < backlog * 9 / 10,
        "{before} of the backlog were gone already"
    );
    // Those answered, those under way on the session, and one that it was given meanwhile.
    let under_way = u64::from(world.settings.delivery.pipeline_depth);
    assert!(
        place <= before + under_way + 1,
        "at place {place}, when {before} were there"
    );
    world.engine.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_never_answers_keeps_only_its_own_sessions() {
    let stalling = Listener {
        stall: vec!["dot".parse().unwrap()],
        ..Listener::default()
    };
    let sinks = receivers(vec![stalling, Listener::default()]).await;
    let routes = vec![
        route("stalls.test", &sinks.addresses()[..1]),
        route("works.test", &sinks.addresses()[1..]),
    ];
    let world = World::start_with(routes, |settings| settings.delivery.sessions = 10).await;
    world
        .send_many(500, 10, |index| {
            message("a@source.test", &format!("r{index}@stalls.test"))
        })
        .await;
    world
        .send_many(50, 5, |index| {
            message("a@source.test", &format!("r{index}@works.test"))
        })
        .await;
    arrived(&sinks, 50).await;
    assert_eq!(sinks.report().listeners[1].messages, 50);
    world.engine.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_refuses_everything_delays_nobody_else() {
    let refusing = Listener {
        reply: vec!["mail=451 4.3.0 not now".parse().unwrap()],
        ..Listener::default()
    };
    let sinks = receivers(vec![refusing, Listener::default()]).await;
    let routes = vec![
        route("refuses.test", &sinks.addresses()[..1]),
        route("works.test", &sinks.addresses()[1..]),
    ];
    let world = World::start(routes).await;
    world
        .send_many(1000, 10, |index| {
            message("a@source.test", &format!("r{index}@refuses.test"))
        })
        .await;
    world.send(message("a@source.test", "only@works.test")).await;
    arrived(&sinks, 1).await;
    let status = world.operations().status().await.unwrap();
    assert!(
        status.queue.active + status.queue.deferred >= 1000,
        "{:?}",
        status.queue
    );
    world.stop().await;
}
