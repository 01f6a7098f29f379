//! Hosts that a route names.

use remuda_mail::{Protocol, TlsLevel};

use super::*;
use crate::settings::LocalDelivery;

fn host(name: &str, port: Option<u16>, preference: u16) -> HostPort {
    HostPort {
        host: name.into(),
        port,
        preference,
    }
}

impl Scene {
    async fn route(&self, hosts: &[HostPort], look_up_mx: bool) -> Result<Vec<String>, String> {
        let hop = NextHop::Hosts {
            hosts: hosts.into(),
            look_up_mx,
            policy: Arc::default(),
        };
        match self.resolver.resolve(&hop).await {
            Ok(answer) => Ok(listed(&answer)),
            Err(refused) => Err(refused.refusal.status.to_string()),
        }
    }
}

#[tokio::test]
async fn addresses_and_names_come_with_their_ports_and_preferences() {
    let scene = Scene::new().await;
    scene
        .dns
        .ip("relay.test", "192.0.2.1")
        .mx("relay.test", 1, "never.test");
    let hosts = [host("relay.test", Some(587), 20), host("2001:db8::1", None, 10)];
    assert_eq!(
        scene.route(&hosts, false).await.unwrap(),
        ["10 2001:db8::1 [2001:db8::1]:25", "20 relay.test 192.0.2.1:587"]
    );
    assert_eq!(scene.dns.queries("relay.test", Kind::Mx), 0);
}

#[tokio::test]
async fn addresses_alone_need_no_dns() {
    let scene = Scene::new().await;
    let hosts = [host("192.0.2.1", Some(2700), 0)];
    assert_eq!(
        scene.route(&hosts, false).await.unwrap(),
        ["0 192.0.2.1 192.0.2.1:2700"]
    );
    assert_eq!(scene.dns.queries_in_all(), 0);
}

#[tokio::test]
async fn what_a_route_names_literally_may_be_loopback_or_this_machine() {
    let scene = Scene::with(|settings| listen(settings, "127.0.0.1:2525")).await;
    scene.dns.ip("relay.test", "127.0.0.3");
    let hosts = [
        host("127.0.0.1", Some(2700), 0),
        host("relay.test", Some(2700), 1),
    ];
    assert_eq!(
        scene.route(&hosts, false).await.unwrap(),
        ["0 127.0.0.1 127.0.0.1:2700", "1 relay.test 127.0.0.3:2700"]
    );
}

#[tokio::test]
async fn with_mx_the_exchanges_of_each_host_are_used_in_the_routes_order() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("first.test", 50, "a.test")
        .mx("first.test", 60, "b.test")
        .mx("second.test", 5, "c.test")
        .ip("a.test", "192.0.2.1")
        .ip("b.test", "192.0.2.2")
        .ip("c.test", "192.0.2.3");
    let hosts = [host("second.test", Some(587), 10), host("first.test", None, 0)];
    assert_eq!(
        scene.route(&hosts, true).await.unwrap(),
        [
            "0 a.test 192.0.2.1:25",
            "1 b.test 192.0.2.2:25",
            "2 c.test 192.0.2.3:587"
        ]
    );
}

#[tokio::test]
async fn with_mx_what_resolves_to_loopback_is_no_server() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("relay.test", 5, "local.test")
        .ip("local.test", "127.0.0.1");
    assert_eq!(
        scene.route(&[host("relay.test", None, 0)], true).await,
        Err("5.4.6".into())
    );
}

#[tokio::test]
async fn a_host_that_cannot_be_found_defers_because_the_configuration_errs() {
    let scene = Scene::new().await;
    scene.dns.null_mx("null.test");
    for (name, look_up_mx) in [
        ("gone.test", false),
        ("gone.test", true),
        ("null.test", true),
        ("not a name", true),
    ] {
        let answer = scene.route(&[host(name, None, 0)], look_up_mx).await;
        assert_eq!(answer, Err("4.4.4".into()), "{name} {look_up_mx}");
    }
}

#[tokio::test]
async fn one_host_that_cannot_be_found_leaves_the_others() {
    let scene = Scene::new().await;
    scene.dns.ip("relay.test", "192.0.2.1");
    let hosts = [host("gone.test", None, 0), host("relay.test", None, 0)];
    for look_up_mx in [false, true] {
        assert_eq!(
            scene.route(&hosts, look_up_mx).await.unwrap(),
            ["0 relay.test 192.0.2.1:25"]
        );
    }
}

/// The LMTP server is taken as it is named, on loopback too, and speaks LMTP whatever `[delivery.tls]` wants.
#[tokio::test]
async fn local_mail_has_the_lmtp_server_that_the_configuration_names() {
    let tcp = |host: &str| {
        let host = HostPort {
            host: host.into(),
            port: Some(24),
            preference: 0,
        };
        LmtpServer::Tcp([host].into())
    };
    for (server, listed_as, level) in [
        (tcp("127.0.0.1"), "0 127.0.0.1 127.0.0.1:24", TlsLevel::May),
        (tcp("imap.test"), "0 imap.test 127.0.0.9:24", TlsLevel::May),
        (
            LmtpServer::Unix("/run/lmtp".parse().unwrap()),
            "0 mx.home.test /run/lmtp",
            TlsLevel::None,
        ),
    ] {
        let scene = Scene::with(|settings| {
            settings.local = LocalDelivery::Lmtp(server);
            settings.delivery.tls.level = TlsLevel::Encrypt;
        })
        .await;
        scene.dns.ip("imap.test", "127.0.0.9");
        let found = scene.resolver.resolve(&NextHop::Local).await.unwrap();
        assert_eq!(listed(&found), [listed_as]);
        assert_eq!(found.policy.protocol, Protocol::Lmtp);
        assert_eq!(found.policy.tls, Some(level));
        // The postmaster's Maildir has no server.
        assert!(scene.resolver.resolve(&NextHop::Postmaster).await.is_err());
    }
}
