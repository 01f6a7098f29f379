//! Loops: our own name and addresses, and addresses that are nobody's.

use super::*;

#[tokio::test]
async fn our_own_name_is_cut_with_what_is_not_better() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 5, "best.test")
        .mx("a.test", 10, "MX.home.test")
        .mx("a.test", 10, "equal.test")
        .mx("a.test", 20, "worse.test");
    for (host, n) in [("best", 1), ("equal", 2), ("worse", 3)] {
        scene.dns.ip(&format!("{host}.test"), &format!("192.0.2.{n}"));
    }
    assert_eq!(scene.servers("a.test").await, ["5 best.test 192.0.2.1:25"]);
    assert_eq!(scene.dns.queries("worse.test", Kind::A), 0);
}

#[tokio::test]
async fn our_own_address_is_cut_with_what_is_not_better() {
    let scene = Scene::with(|settings| listen(settings, "192.0.2.9:25")).await;
    scene
        .dns
        .mx("a.test", 5, "best.test")
        .mx("a.test", 10, "us.test")
        .mx("a.test", 10, "zz-equal.test")
        .mx("a.test", 20, "worse.test")
        .ip("best.test", "192.0.2.1")
        .ip("us.test", "192.0.2.9")
        .ip("zz-equal.test", "192.0.2.2")
        .ip("worse.test", "192.0.2.3");
    assert_eq!(scene.servers("a.test").await, ["5 best.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn mail_loops_back_when_nothing_is_left() {
    let scene = Scene::with(|settings| listen(settings, "192.0.2.9:25")).await;
    scene
        .dns
        .mx("named.test", 10, "mx.home.test")
        .ip("plain.test", "192.0.2.9")
        .ip("local.test", "127.0.0.1");
    for domain in ["named.test", "plain.test", "local.test"] {
        assert_eq!(scene.refusal(domain).await, "5.4.6", "{domain}");
    }
}

#[tokio::test]
async fn a_better_exchange_that_cannot_be_looked_up_defers_what_would_loop() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 5, "best.test")
        .trouble("best.test", None, Trouble::ServerFailure)
        .mx("a.test", 10, "mx.home.test");
    assert_eq!(scene.refusal("a.test").await, "4.4.3");
}

#[tokio::test]
async fn loopback_is_no_server_unless_it_is_allowed() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 5, "local.test")
        .mx("a.test", 10, "one.test")
        .ip("local.test", "127.0.0.2")
        .ip("one.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["10 one.test 192.0.2.1:25"]);

    let scene = Scene::with(|settings| {
        settings.delivery.allow_loopback = true;
        settings.delivery.smtp_port = 2626;
        listen(settings, "127.0.0.1:2525");
    })
    .await;
    scene.dns.ip("a.test", "127.0.0.1");
    assert_eq!(scene.servers("a.test").await, ["0 a.test 127.0.0.1:2626"]);
}

#[tokio::test]
async fn our_own_listener_is_no_server_even_where_loopback_is_allowed() {
    let scene = Scene::with(|settings| {
        settings.delivery.allow_loopback = true;
        settings.delivery.smtp_port = 2525;
        listen(settings, "127.0.0.1:2525");
    })
    .await;
    scene.dns.ip("a.test", "127.0.0.1");
    assert_eq!(scene.refusal("a.test").await, "5.4.6");
}

#[tokio::test]
async fn addresses_that_nobody_can_have_are_no_servers() {
    let scene = Scene::new().await;
    for ip in ["0.0.0.0", "::", "224.0.0.5", "ff02::1", "255.255.255.255"] {
        scene.dns.ip("a.test", ip);
    }
    assert_eq!(scene.refusal("a.test").await, "5.4.4");
}

#[tokio::test]
async fn an_address_literal_is_its_own_server_under_the_same_rules() {
    let scene = Scene::new().await;
    for (ip, expected) in [
        ("192.0.2.1", Ok("0 192.0.2.1 192.0.2.1:25")),
        ("2001:db8::1", Ok("0 2001:db8::1 [2001:db8::1]:25")),
        ("127.0.0.1", Err("5.4.6")),
        ("0.0.0.0", Err("5.4.4")),
    ] {
        let answer = scene
            .resolver
            .resolve(&NextHop::Literal(ip.parse().unwrap()))
            .await;
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(listed(&answer), [expected]),
            (Err(refused), Err(expected)) => assert_eq!(refused.refusal.status.to_string(), expected),
            (answer, _) => panic!("{ip}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn the_local_destination_is_never_asked_for() {
    let scene = Scene::new().await;
    let refused = scene.resolver.resolve(&NextHop::Local).await.unwrap_err();
    assert!(!refused.refusal.is_permanent());
    assert_eq!(scene.dns.queries_in_all(), 0);
}
