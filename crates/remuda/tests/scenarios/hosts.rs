//! Which host gets the mail, as DNS has it.

use std::net::SocketAddr;

use remuda_engine::operations::EntryStatus;
use remuda_sink::{Listener, Running};
use remuda_testing::dns::{Dns, Trouble};

use crate::world::{World, arrived, message, receivers, recipients, route};

/// Receivers at these addresses of loopback, all on one port: the one that MX hosts are called at.
async fn at(ips: &[[u8; 4]]) -> (Running, u16) {
    for _ in 0..20 {
        let port = remuda_testing::free_port().unwrap();
        let listener = |ip: &[u8; 4]| Listener {
            listen: SocketAddr::from((*ip, port)),
            ..Listener::default()
        };
        let config = remuda_sink::Config {
            listeners: ips.iter().map(listener).collect(),
            keep_contents: true,
            ..remuda_sink::Config::default()
        };
        if let Ok(running) = remuda_sink::start(config, remuda_clock::SystemClock::shared()).await {
            return (running, port);
        }
    }
    panic!("no port is free at {ips:?}");
}

/// An engine that asks `dns`; senders' mail goes to `source`.
async fn world(dns: &Dns, port: u16, source: SocketAddr) -> World {
    let servers = vec![dns.address()];
    World::start_with(vec![route("source.test", &[source])], |settings| {
        settings.dns_servers = servers;
        settings.delivery.smtp_port = port;
        settings.delivery.allow_loopback = true;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_to_the_best_host_that_works() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = at(&[[127, 0, 0, 3], [127, 0, 0, 4]]).await;
    dns.mx("dest.test", 10, "dead.test").ip("dead.test", "127.0.0.2");
    dns.mx("dest.test", 20, "second.test")
        .ip("second.test", "127.0.0.3");
    dns.mx("dest.test", 30, "third.test")
        .ip("third.test", "127.0.0.4");
    let world = world(&dns, port, sinks.address()).await;
    world
        .send_many(20, 4, |index| {
            message("a@source.test", &format!("r{index}@dest.test"))
        })
        .await;
    arrived(&sinks, 20).await;
    world.empty().await;
    let report = sinks.report();
    assert_eq!(
        (report.listeners[0].messages, report.listeners[1].messages),
        (20, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_greets_with_a_refusal_is_passed_over() {
    for greeting in [
        "connect=554 5.7.1 go away",
        "connect=421 4.3.2 too busy",
        "helo=550 5.7.1 not you",
    ] {
        let refusing = crate::world::replying(&[greeting]);
        let sinks = receivers(vec![refusing, Listener::default()]).await;
        let [first, second] = sinks.addresses() else {
            panic!("two")
        };
        let hosts = [(*first, 10), (*second, 20)];
        let world = World::start(vec![crate::world::preferring("dest.test", &hosts)]).await;
        world.send(message("a@source.test", "b@dest.test")).await;
        arrived(&sinks, 1).await;
        world.empty().await;
        assert_eq!(sinks.report().listeners[1].messages, 1, "{greeting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_mx_is_its_own_host() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = at(&[[127, 0, 0, 3]]).await;
    dns.ip("dest.test", "127.0.0.3");
    let world = world(&dns, port, sinks.address()).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sinks, 1).await;
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_share_a_host_share_its_sessions() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = at(&[[127, 0, 0, 3]]).await;
    dns.ip("mx.test", "127.0.0.3");
    for n in 0..10 {
        dns.mx(&format!("d{n}.test"), 10, "mx.test");
    }
    let world = world(&dns, port, sinks.address()).await;
    world
        .send_many(200, 10, |index| {
            message("a@source.test", &format!("r@d{}.test", index % 10))
        })
        .await;
    arrived(&sinks, 200).await;
    world.empty().await;
    world.stop().await;
    let report = sinks.stop().await;
    let sessions = &report.listeners[0];
    assert!(
        sessions.connections < 100,
        "{} connections for 200 messages",
        sessions.connections
    );
    assert_eq!(sessions.closed_without_quit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_take_no_mail_bounce() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = at(&[[127, 0, 0, 3]]).await;
    dns.null_mx("null.test").ip("null.test", "127.0.0.3");
    let world = world(&dns, port, sinks.address()).await;
    world.send(message("a@source.test", "b@null.test")).await;
    world.send(message("a@source.test", "b@nowhere.test")).await;
    arrived(&sinks, 2).await;
    world.empty().await;
    let report = sinks.report();
    assert_eq!(recipients(&report), ["a@source.test", "a@source.test"]);
    let texts: Vec<String> = report
        .received()
        .map(|one| String::from_utf8(one.content.clone().unwrap()).unwrap())
        .collect();
    let about = |domain: &str| texts.iter().find(|text| text.contains(domain)).unwrap();
    assert!(
        about("b@null.test").contains("Status: 5.1.10"),
        "{}",
        about("b@null.test")
    );
    assert!(
        about("b@nowhere.test").contains("Status: 5."),
        "{}",
        about("b@nowhere.test")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_while_dns_fails() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = at(&[[127, 0, 0, 3]]).await;
    dns.mx("dest.test", 10, "mx.test").ip("mx.test", "127.0.0.3");
    dns.trouble("dest.test", None, Trouble::ServerFailure);
    let world = world(&dns, port, sinks.address()).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    assert!(entry.reason.is_some());
    assert_eq!(sinks.report().messages(), 0);
}
