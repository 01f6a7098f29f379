//! `[[source]]` and `[[destination]]` as receivers see them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use remuda_dispatch::settings::{Pattern, Rate, Rule};
use remuda_engine::{operations::ConnectionFilter, settings::Settings};
use remuda_mail::Source;
use remuda_sink::{Listener, ListenerReport, Running};
use remuda_testing::dns::Dns;

use crate::world::{World, arrived, message};

/// Receivers `mx0.test`, `mx1.test`, … at addresses of loopback, all on one port.
async fn receivers(dns: &Dns, count: u8) -> (Running, u16) {
    for _ in 0..20 {
        let port = remuda_testing::free_port().unwrap();
        let listener = |n: u8| Listener {
            listen: SocketAddr::from(([127, 0, 1, n + 1], port)),
            ..Listener::default()
        };
        let config = remuda_sink::Config {
            listeners: (0..count).map(listener).collect(),
            keep_contents: true,
            ..remuda_sink::Config::default()
        };
        if let Ok(running) = remuda_sink::start(config, remuda_clock::SystemClock::shared()).await {
            for n in 0..count {
                dns.ip(&format!("mx{n}.test"), &format!("127.0.1.{}", n + 1));
            }
            return (running, port);
        }
    }
    panic!("no port is free");
}

async fn world(dns: &Dns, port: u16, change: impl FnOnce(&mut Settings)) -> World {
    let servers = vec![dns.address()];
    World::start_with(Vec::new(), |settings| {
        settings.dns_servers = servers;
        settings.delivery.smtp_port = port;
        settings.delivery.allow_loopback = true;
        change(settings);
    })
    .await
}

fn source(n: u8) -> Arc<Source> {
    Arc::new(Source {
        address: [127, 0, 0, n].into(),
        helo_name: format!("out{n}.test").into(),
    })
}

/// Who has connected to each receiver.
fn clients(listeners: &[ListenerReport]) -> Vec<BTreeSet<IpAddr>> {
    let of = |listener: &ListenerReport| listener.clients.keys().copied().collect();
    listeners.iter().map(of).collect()
}

/// Mail for eight destinations, three messages each.
async fn send_to_eight(world: &World) {
    world
        .send_many(24, 3, |index| {
            message("a@source.test", &format!("r{index}@d{}.test", index % 8))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_gets_its_mail_from_its_own_source() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = receivers(&dns, 8).await;
    for n in 0..8 {
        dns.mx(&format!("d{n}.test"), 10, &format!("mx{n}.test"));
    }
    let world = world(&dns, port, |settings| {
        settings.sources = vec![source(2), source(3)];
        settings.connection_cache.destinations = ["*".to_owned()].into();
        settings.connection_cache.idle_time_limit = Duration::from_secs(60);
    })
    .await;
    send_to_eight(&world).await;
    arrived(&sinks, 24).await;
    world.empty().await;
    let seen = clients(&sinks.report().listeners);
    assert!(seen.iter().all(|clients| clients.len() == 1), "{seen:?}");
    let used: BTreeSet<IpAddr> = seen.iter().flatten().copied().collect();
    assert_eq!(used, [[127, 0, 0, 2].into(), [127, 0, 0, 3].into()].into());
    let shown: BTreeSet<String> = world
        .operations()
        .connections(ConnectionFilter::default())
        .await
        .unwrap()
        .into_iter()
        .filter_map(|connection| connection.source)
        .collect();
    assert_eq!(shown, ["127.0.0.2".to_owned(), "127.0.0.3".to_owned()].into());
    // The choice needs no memory.
    let world = world.restart_with(|_| ()).await;
    send_to_eight(&world).await;
    arrived(&sinks, 48).await;
    assert_eq!(clients(&sinks.report().listeners), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_on_from_another_source_when_the_machine_lacks_one() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = receivers(&dns, 8).await;
    for n in 0..8 {
        dns.mx(&format!("d{n}.test"), 10, &format!("mx{n}.test"));
    }
    let world = world(&dns, port, |settings| {
        // RFC 5737: nobody has this address.
        let absent = Source {
            address: [192, 0, 2, 1].into(),
            helo_name: "absent.test".into(),
        };
        settings.sources = vec![source(2), absent.into()];
    })
    .await;
    send_to_eight(&world).await;
    arrived(&sinks, 24).await;
    world.empty().await;
    let seen = clients(&sinks.report().listeners);
    let only: BTreeSet<IpAddr> = [[127, 0, 0, 2].into()].into();
    assert!(seen.iter().all(|clients| *clients == only), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_as_the_receiver_sees_it() {
    let dns = Dns::start().await.unwrap();
    let (sinks, port) = receivers(&dns, 3).await;
    for n in 0..6 {
        dns.mx(&format!("shared{n}.test"), 10, "mx0.test");
    }
    dns.mx("paced.test", 10, "mx1.test");
    dns.mx("worn.test", 10, "mx2.test");
    let world = world(&dns, port, |settings| {
        settings.destinations = vec![
            Rule {
                pattern: Pattern::Host("mx0.test".to_owned()),
                concurrency: Some(1),
                ..Rule::default()
            },
            Rule {
                pattern: Pattern::Domain("paced.test".to_owned()),
                rate: Some(Rate {
                    messages: 5,
                    per: Duration::from_secs(1),
                }),
                ..Rule::default()
            },
            Rule {
                pattern: Pattern::Domain("worn.test".to_owned()),
                reuse_count_limit: Some(1),
                ..Rule::default()
            },
        ];
    })
    .await;
    let before = world.clock.now().wall;
    world
        .send_many(60, 6, |index| {
            message("a@source.test", &format!("r@shared{}.test", index % 6))
        })
        .await;
    world
        .send_many(5, 5, |_| message("a@source.test", "r@paced.test"))
        .await;
    world
        .send_many(12, 4, |_| message("a@source.test", "r@worn.test"))
        .await;
    arrived(&sinks, 77).await;
    world.empty().await;
    let listeners = sinks.report().listeners;
    let messages: Vec<u64> = listeners.iter().map(|listener| listener.messages).collect();
    assert_eq!(messages, [60, 5, 12]);
    assert_eq!(listeners[0].max_connections, 1, "one for all six");
    // However late each came: the fifth cannot start before four spaces have gone by.
    let last = listeners[1]
        .received
        .iter()
        .map(|one| one.received_at)
        .max()
        .unwrap();
    assert!(last >= before.0 + 4 * 200, "{} ms", last - before.0);
    let used: &BTreeMap<u64, u64> = &listeners[2].transactions_per_connection;
    assert!(used.keys().all(|transactions| *transactions <= 2), "{used:?}");
    assert!(used.contains_key(&2), "reused as often as allowed: {used:?}");
}
