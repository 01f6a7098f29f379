//! Name servers that fail: uncertainty never bounces.

use super::*;

#[tokio::test]
async fn a_failing_name_server_defers_for_seconds() {
    for trouble in [Trouble::ServerFailure, Trouble::Refused, Trouble::Silence] {
        let scene = Scene::new().await;
        scene.dns.trouble("a.test", None, trouble);
        let refused = scene.resolve("a.test").await.unwrap_err();
        assert_eq!(refused.refusal.status.to_string(), "4.4.3", "{trouble:?}");
        assert_eq!(scene.remaining(refused.valid_until), 10, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_failure_is_forgotten_when_the_server_answers_again() {
    let scene = Scene::new().await;
    scene.dns.trouble("a.test", None, Trouble::ServerFailure);
    scene.refusal("a.test").await;
    let asked = scene.dns.queries_in_all();
    scene.dns.clear("a.test").ip("a.test", "192.0.2.1");
    assert_eq!(scene.refusal("a.test").await, "4.4.3");
    assert_eq!(scene.dns.queries_in_all(), asked);
    scene.pass(11);
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn an_exchange_that_cannot_be_looked_up_defers_when_there_is_no_other() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 10, "one.test")
        .mx("a.test", 20, "gone.test")
        .trouble("one.test", None, Trouble::ServerFailure);
    assert_eq!(scene.refusal("a.test").await, "4.4.3");
}

#[tokio::test]
async fn an_exchange_that_cannot_be_looked_up_makes_the_answer_short_lived() {
    let scene = Scene::new().await;
    scene
        .dns
        .mx("a.test", 10, "one.test")
        .mx("a.test", 20, "two.test")
        .trouble("one.test", None, Trouble::ServerFailure)
        .ip("two.test", "192.0.2.2");
    let answer = scene.resolve("a.test").await.unwrap();
    assert_eq!(listed(&answer), ["20 two.test 192.0.2.2:25"]);
    assert_eq!(scene.remaining(answer.valid_until), 60);
}

#[tokio::test]
async fn one_working_address_family_is_enough() {
    let scene = Scene::new().await;
    scene
        .dns
        .ip("a.test", "192.0.2.1")
        .trouble("a.test", Some(Kind::Aaaa), Trouble::ServerFailure);
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn a_missing_address_beside_a_failing_family_is_no_certainty() {
    let scene = Scene::new().await;
    scene
        .dns
        .exists("a.test")
        .trouble("a.test", Some(Kind::Aaaa), Trouble::ServerFailure);
    assert_eq!(scene.refusal("a.test").await, "4.4.3");
}

#[tokio::test]
async fn every_question_ends() {
    let dns = Dns::start().await.unwrap();
    dns.trouble("a.test", None, Trouble::Silence);
    let mut settings = Settings::defaults("mx.home.test");
    settings.dns_servers = vec![dns.address()];
    let times = Times {
        query: Duration::from_secs(3600),
        resolve: Duration::from_millis(50),
    };
    let resolver = Resolver::with_times(&settings, SystemClock::shared(), times).unwrap();
    let refused = resolver
        .resolve(&NextHop::Mx("a.test".parse().unwrap()))
        .await
        .unwrap_err();
    assert_eq!(refused.refusal.status.to_string(), "4.4.3");
}

#[tokio::test]
async fn a_second_name_server_answers_when_the_first_is_down() {
    let scene = Scene::with(|settings| {
        // Nothing listens on the discard port.
        settings.dns_servers.insert(0, "127.0.0.1:9".parse().unwrap());
    })
    .await;
    scene.dns.ip("a.test", "192.0.2.1");
    assert_eq!(scene.servers("a.test").await, ["0 a.test 192.0.2.1:25"]);
}

#[tokio::test]
async fn search_domains_and_hosts_files_play_no_part() {
    let scene = Scene::new().await;
    assert_eq!(scene.refusal("ip6-localhost").await, "5.1.2");
    assert_eq!(scene.dns.queries("ip6-localhost", Kind::Mx), 1);
}
