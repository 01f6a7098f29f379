//! Mail over TLS: who gets it, who does not, and what is said of it.

use std::{net::SocketAddr, path::Path};

use remuda_engine::{
    operations::{Connection, ConnectionFilter, ConnectionState, EntryStatus},
    settings::{Login, Route},
};
use remuda_mail::{Credentials, Secret, TlsLevel, TlsMode};
use remuda_sink::{Certificate, Listener, Running};
use remuda_testing::certificates::{Authority, Validity};

use crate::world::{World, arrived, message, receivers, replying, route};

fn self_signed() -> Listener {
    Listener {
        tls: Some(Certificate::SelfSigned),
        ..Listener::default()
    }
}

/// A receiver with a certificate that an authority has issued.
fn certified(authority: &Authority, names: &[&str], validity: Validity, directory: &Path) -> Listener {
    let issued = authority.issue(names, validity).unwrap();
    let file = |kind: &str, content: &str| {
        let path = directory.join(format!("{}-{validity:?}.{kind}", names[0]));
        std::fs::write(&path, content).unwrap();
        path
    };
    Listener {
        tls: Some(Certificate::Files {
            certificate: file("certificate", &issued.certificate_pem),
            key: file("key", &issued.key_pem),
        }),
        ..Listener::default()
    }
}

fn with(domain: &str, host: SocketAddr, tls: TlsLevel) -> Route {
    Route {
        tls: Some(tls),
        ..route(domain, &[host])
    }
}

fn handshakes(sink: &Running, listener: usize) -> (u64, u64) {
    let report = &sink.report().listeners[listener];
    (report.tls_handshakes, report.tls_resumed)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_over_tls_wherever_it_is_offered_and_handshakes_are_resumed() {
    let sinks = receivers(vec![self_signed()]).await;
    let world = World::start(vec![route("dest.test", &[sinks.address()])]).await;
    for n in 1..=4 {
        world.send(message("a@source.test", "b@dest.test")).await;
        arrived(&sinks, n).await;
        world.empty().await;
        // Without a message in sight each session ends.
        world
            .until("no session is left", async || {
                let all = world.operations().connections(ConnectionFilter::default()).await;
                all.unwrap().is_empty()
            })
            .await;
    }
    world.engine.reload(world.settings.clone()).await.unwrap();
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sinks, 5).await;
    let report = &sinks.report().listeners[0];
    assert_eq!((report.connections, report.messages), (5, 5));
    assert_eq!(handshakes(&sinks, 0), (5, 4), "also after a reload");
    assert!(report.violations.is_empty(), "{:?}", report.violations);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_mail_arrives_unchanged_over_tls() {
    let sinks = receivers(vec![self_signed()]).await;
    let world = World::start(vec![with("dest.test", sinks.address(), TlsLevel::Encrypt)]).await;
    let mut large = message("", "b@dest.test");
    let begin = large.content.len();
    large.content.extend(
        "0123456789 abcdefghijklmnopqrstuvwxyz.\r\n"
            .repeat(100_000)
            .into_bytes(),
    );
    let body = large.content[begin..].to_vec();
    for _ in 0..3 {
        world.send(large.clone()).await;
    }
    arrived(&sinks, 3).await;
    world.empty().await;
    let report = sinks.report();
    for received in report.received() {
        assert!(
            received
                .content
                .as_ref()
                .is_some_and(|content| content.ends_with(&body))
        );
        assert!(received.tls);
    }
}

/// Issue 3: the certificate decides, and the operator reads why.
#[tokio::test(flavor = "multi_thread")]
async fn verify_delivers_to_the_right_host_only_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let listeners = vec![
        certified(&ours, &["127.0.0.1"], Validity::Now, directory.path()),
        certified(&ours, &["mx.test"], Validity::Now, directory.path()),
        certified(&ours, &["127.0.0.1"], Validity::Past, directory.path()),
        certified(
            &theirs,
            &["other.test", "127.0.0.1"],
            Validity::Now,
            directory.path(),
        ),
    ];
    let sinks = receivers(listeners).await;
    let ca_file = directory.path().join("ca");
    std::fs::write(&ca_file, ours.pem()).unwrap();
    let routes = ["good", "named", "expired", "unknown"]
        .iter()
        .zip(sinks.addresses())
        .map(|(name, address)| with(&format!("{name}.test"), *address, TlsLevel::Verify))
        .collect();
    let world = World::start_with(routes, |settings| {
        settings.delivery.tls.ca_file = Some(ca_file.clone());
        settings.limits.active_messages = 100;
    })
    .await;
    world.send(message("", "b@good.test")).await;
    arrived(&sinks, 1).await;
    world.empty().await;
    for (name, why) in [
        ("named", "wanted 127.0.0.1, its certificate is for mx.test"),
        ("expired", "its certificate expired on 2021-02-01T00:00:00Z"),
        ("unknown", "its certificate has an unknown issuer"),
    ] {
        world.send(message("", &format!("b@{name}.test"))).await;
        world
            .until(&format!("{name} is deferred"), async || {
                world.queue().await.iter().any(|entry| {
                    entry.recipients[0].contains(name)
                        && entry.status == EntryStatus::Deferred
                        && entry.reason.as_ref().is_some_and(|reason| reason.contains(why))
                })
            })
            .await;
    }
    let messages: Vec<u64> = sinks.report().listeners.iter().map(|one| one.messages).collect();
    assert_eq!(messages, [1, 0, 0, 0]);
}

/// Issue 3, "What must be seen" 4, through the whole: two domains with other levels on one address.
#[tokio::test(flavor = "multi_thread")]
async fn domains_of_other_levels_on_one_host_never_share_a_session_wrongly() {
    let sinks = receivers(vec![self_signed()]).await;
    let host = sinks.address();
    let routes = vec![
        with("clear.test", host, TlsLevel::None),
        with("secret.test", host, TlsLevel::Encrypt),
    ];
    let world = World::start_with(routes, |settings| {
        settings.connection_cache.destinations.insert("*".into());
        settings.delivery.concurrency = 2;
        settings.delivery.initial_concurrency = 2;
    })
    .await;
    world
        .send_many(60, 4, |index| {
            let domain = if index % 2 == 0 { "clear" } else { "secret" };
            message("", &format!("r{index}@{domain}.test"))
        })
        .await;
    arrived(&sinks, 60).await;
    world.empty().await;
    let shown = world
        .operations()
        .connections(ConnectionFilter::default())
        .await
        .unwrap();
    assert!(
        shown
            .iter()
            .filter(|one| one.destination.contains("tls=encrypt"))
            .all(|one| one.tls == "TLSv1.3"),
        "{shown:?}"
    );
    let report = sinks.report();
    for received in report.received() {
        let is_secret = received.recipients[0].address.ends_with("@secret.test");
        assert!(!is_secret || received.tls, "{received:?}");
    }
    let encrypted = handshakes(&sinks, 0).0;
    let connections = sinks.report().listeners[0].connections;
    assert!(encrypted > 0, "half of it is encrypted");
    assert!(connections < 20, "{connections} connections for 60 messages");
}

fn login(user: &str, password: &str) -> Option<Login> {
    let credentials = Credentials {
        username: user.into(),
        password: Secret::new(password),
    };
    Some(Login {
        credentials,
        in_clear: false,
    })
}

/// T56: nobody's mail rides on another's login; and whom the host does not know is no reason to avoid it.
#[tokio::test(flavor = "multi_thread")]
async fn each_user_has_sessions_of_its_own_and_a_wrong_password_hurts_nobody_else() {
    let listener = Listener {
        auth: vec!["one:secret".parse().unwrap(), "two:hidden".parse().unwrap()],
        ..self_signed()
    };
    let sinks = receivers(vec![listener]).await;
    let host = sinks.address();
    let user = |domain: &str, user: &str, password: &str| Route {
        login: login(user, password),
        ..route(domain, &[host])
    };
    let routes = vec![
        user("one.test", "one", "secret"),
        user("two.test", "two", "hidden"),
        user("wrong.test", "three", "guess"),
    ];
    let world = World::start_with(routes, |settings| {
        settings.connection_cache.destinations.insert("*".into());
    })
    .await;
    world.send(message("", "b@wrong.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    let reason = entry.reason.unwrap();
    assert!(reason.contains("535 5.7.8"), "{reason}");
    assert!(!reason.contains("guess"), "{reason}");
    world
        .send_many(40, 4, |index| {
            let user = if index % 2 == 0 { "one" } else { "two" };
            message("", &format!("r{index}@{user}.test"))
        })
        .await;
    arrived(&sinks, 40).await;
    for received in sinks.report().received() {
        let user = received.user.clone().unwrap();
        let recipient = &received.recipients[0].address;
        assert!(
            received.tls && recipient.ends_with(&format!("@{user}.test")),
            "{received:?}"
        );
    }
    for shown in parked(&world).await {
        let user = if shown.destination.contains("user=one") {
            "one"
        } else {
            "two"
        };
        assert_eq!((shown.user.as_deref(), shown.clear), (Some(user), None));
        assert!(
            shown.destination.contains(&format!("user={user}")),
            "{}",
            shown.destination
        );
    }
}

/// The parked sessions, of which there is one at least.
async fn parked(world: &World) -> Vec<Connection> {
    let all = async || {
        let all = world
            .operations()
            .connections(ConnectionFilter::default())
            .await
            .unwrap();
        all.into_iter()
            .filter(|one| one.state == ConnectionState::Parked)
            .collect::<Vec<_>>()
    };
    world
        .until("a session is parked", async || !all().await.is_empty())
        .await;
    all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_clear_says_why() {
    let sinks = receivers(vec![self_signed(), Listener::default()]).await;
    let [offering, without] = sinks.addresses() else {
        panic!("two")
    };
    for (host, level, why) in [
        (offering, TlsLevel::May, None),
        (offering, TlsLevel::None, Some("by policy")),
        (without, TlsLevel::May, Some("not offered")),
    ] {
        let world = World::start_with(vec![with("dest.test", *host, level)], |settings| {
            settings.connection_cache.destinations.insert("*".into());
        })
        .await;
        world.send(message("", "b@dest.test")).await;
        let shown = parked(&world).await;
        assert_eq!(shown[0].clear.as_deref(), why, "{shown:?}");
        assert_eq!(shown[0].tls == "none", why.is_some(), "{shown:?}");
        assert_eq!(shown[0].user, None);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_that_the_host_does_not_meet_defers_and_leaves_the_host_to_others() {
    let refusing = Listener {
        tls: Some(Certificate::SelfSigned),
        ..replying(&["starttls=454 4.7.0 not now"])
    };
    let sinks = receivers(vec![Listener::default(), refusing]).await;
    let [without, refusing] = sinks.addresses() else {
        panic!("two")
    };
    let routes = vec![
        with("must.test", *without, TlsLevel::Encrypt),
        with("may.test", *without, TlsLevel::May),
        with("refused.test", *refusing, TlsLevel::May),
    ];
    let world = World::start(routes).await;
    world.send(message("", "b@must.test")).await;
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    let reason = entry.reason.unwrap();
    assert!(
        reason.contains("TLS is required, but was not offered"),
        "{reason}"
    );
    world.send(message("", "b@may.test")).await;
    world.send(message("", "b@refused.test")).await;
    arrived(&sinks, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn implicit_tls_is_spoken_where_the_route_says_so() {
    let listener = Listener {
        tls_mode: remuda_sink::TlsMode::Implicit,
        ..self_signed()
    };
    let sinks = receivers(vec![listener]).await;
    let implicit = Route {
        tls_mode: TlsMode::Implicit,
        ..route("dest.test", &[sinks.address()])
    };
    let world = World::start(vec![implicit]).await;
    world.send(message("", "b@dest.test")).await;
    arrived(&sinks, 1).await;
    world.empty().await;
    assert_eq!(handshakes(&sinks, 0).0, 1);
    let metrics = world.operations().metrics_text().await.unwrap();
    assert!(
        metrics.contains("remuda_connections_opened_total{tls=\"TLSv1.3\"} 1"),
        "{metrics}"
    );
}
