//! What records say: exchanges, addresses, aliases, absence, time to live.

use super::*;

#[tokio::test]
async fn exchanges_come_by_preference_with_both_families() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 20, "two.test")
        .mx("a.test", 10, "one.test")
        .ip("one.test", "192.0.2.1")
        .ip("one.test", "2001:db8::1")
        .ip("two.test", "192.0.2.2");
    assert_eq!(
        scene.servers("a.test").await,
        [
            "10 one.test [2001:db8::1]:25",
            "10 one.test 192.0.2.1:25",
            "20 two.test 192.0.2.2:25"
        ]
    );
}

#[tokio::test]
async fn without_mx_the_domain_is_its_own_exchange() {
    let scene = Scene::with(|settings| settings.delivery.smtp_port = 2626).await;
    scene.dns.ip("a.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.1:2626"]);
}

#[tokio::test]
async fn a_null_mx_is_permanent() {
    let scene = Scene::new().await;
    scene.dns.null_mx("a.test").ip("a.test", "192.0.2.1");
    assert_eq!(scene.refusal("a.test").await, "5.1.10");
}

#[tokio::test]
async fn a_root_exchange_beside_others_is_skipped() {
    let scene = Scene::new().await;
    scene
        .dns
        .null_mx("a.test")
        .mx("a.test", 10, "one.test")
        .ip("one.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["10 one.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn aliases_are_followed_for_domains_and_for_exchanges() {
    let scene = Scene::new().await;
    scene
        .dns
        .cname("alias.test", "real.test")
        .mx("real.test", 10, "one.test")
        .cname("one.test", "host.test")
        .ip("host.test", "192.0.2.1");
    assert_eq!(scene.servers("alias.test").await, ["10 one.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn an_alias_of_itself_ends_without_servers() {
    let scene = Scene::new().await;
    scene.dns.cname("a.test", "b.test").cname("b.test", "a.test");
    let refused = scene.resolve("a.test").await.unwrap_err();
    assert!(!refused.refusal.is_permanent() || refused.refusal.status == plan::NO_ADDRESS);
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_permanent() {
    let scene = Scene::new().await;
    assert_eq!(scene.refusal("nowhere.test").await, "5.1.2");
}

#[tokio::test]
async fn a_domain_without_any_address_is_permanent() {
    let scene = Scene::new().await;
    scene
        .dns
        .exists("bare.test")
        .mx("a.test", 10, "gone.test")
        .mx("a.test", 20, "empty.test")
        .exists("empty.test");
    assert_eq!(scene.refusal("bare.test").await, "5.4.4");
    assert_eq!(scene.refusal("a.test").await, "5.4.4");
}

#[tokio::test]
async fn an_exchange_that_does_not_exist_is_skipped() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 10, "gone.test")
        .mx("a.test", 20, "one.test")
        .ip("one.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["20 one.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn one_address_under_two_names_is_one_candidate() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 10, "one.test")
        .mx("a.test", 20, "two.test")
        .mx("a.test", 30, "ONE.test")
        .ip("one.test", "192.0.2.1")
        .ip("two.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["10 one.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn an_answer_too_large_for_udp_comes_over_tcp_and_the_best_are_kept() {
    let scene = Scene::new().await;
    for n in 0..60 {
        let host = format!("a-rather-long-name-for-an-exchange-number-{n}.of-some-provider.test");
        scene
            .dns
            .mx("a.test", 100 - n, &host)
            .ip(&host, &format!("192.0.2.{n}"));
    }
    let servers = scene.servers("a.test").await;
    assert_eq!(servers.len(), plan::EXCHANGES_MAX);
    assert!(servers[0].starts_with("41 "), "{servers:?}");
}

#[tokio::test]
async fn the_number_of_addresses_is_bounded() {
    let scene = Scene::new().await;
    for n in 0..100 {
        scene.dns.ip("a.test", &format!("192.0.2.{n}"));
    }
    assert_eq!(scene.servers("a.test").await.len(), plan::CANDIDATES_MAX);
}

#[tokio::test]
async fn answers_live_as_long_as_their_records() {
    let scene = Scene::new().await;
    scene.dns.mx("a.test", 10, "one.test").ip("one.test", "192.0.2.1");
    let answer = scene.resolve("a.test").await.unwrap();
    assert!((290..=300).contains(&scene.remaining(answer.valid_until)));
    for _ in 0..3 {
        scene.servers("a.test").await;
    }
    assert_eq!(scene.dns.queries("a.test", Kind::Mx), 1);
    assert_eq!(scene.dns.queries("one.test", Kind::A), 1);
}

#[tokio::test]
async fn a_changed_answer_is_seen_when_the_old_one_is_over() {
    let scene = Scene::new().await;
    scene.dns.ttl(0).ip("a.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.1:25"]);
    scene.dns.clear("a.test").ip("a.test", "192.0.2.2");
    scene.pass(4);
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.1:25"]);
    scene.pass(2);
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.2:25"]);
}

#[tokio::test]
async fn what_is_forgotten_is_asked_for_again() {
    let scene = Scene::new().await;
    scene.dns.ttl(0).ip("a.test", "192.0.2.1");
    scene.servers("a.test").await;
    scene.dns.clear("a.test").ip("a.test", "192.0.2.2");
    scene.resolver.forget();
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.2:25"]);
}

#[tokio::test]
async fn no_answer_is_believed_for_more_than_an_hour() {
    let scene = Scene::new().await;
    scene.dns.ttl(1_000_000).ip("a.test", "192.0.2.1");
    let answer = scene.resolve("a.test").await.unwrap();
    assert_eq!(scene.remaining(answer.valid_until), 3600);
    let absent = scene.resolve("nowhere.test").await.unwrap_err();
    assert_eq!(scene.remaining(absent.valid_until), 300);
}
