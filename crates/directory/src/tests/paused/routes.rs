//! Routes from memory, what tells of their changes, and looks past the cache.

use remuda_mail::Domain;

use super::*;
use crate::{
    found::Cause,
    resolve::{Routing, Target},
    store::{Pushed, Store, Touched, double::Fault},
};

/// The pattern of a route, `none`, or why nobody knows.
fn shown(routing: &Routing) -> String {
    match routing {
        Ok(Some(route)) => route.domain.as_str().to_owned(),
        Ok(None) => "none".to_owned(),
        Err(cause) => cause.as_str().to_owned(),
    }
}

impl Scene {
    async fn route(&self, domain: &str) -> String {
        let domain: Domain = domain.parse().unwrap();
        shown(&self.directory.route(&domain).await)
    }

    async fn add_route(&self, domain: &str, is_active: bool) -> Object {
        let route = json!({"domain": domain, "hosts": ["192.0.2.1"], "active": is_active});
        self.add(Kind::Route, route).await
    }
}

/// G4, G16.
#[tokio::test(start_paused = true)]
async fn the_most_specific_route_in_use_wins_and_warm_it_costs_no_query() {
    let scene = Scene::new().await;
    assert_eq!(scene.route("a.b.test").await, "none");
    for (added, is_active, expected) in [
        ("*", true, "*"),
        (".test", true, ".test"),
        (".b.test", true, ".b.test"),
        (".a.b.test", true, ".b.test"),
        ("a.b.test", false, ".b.test"),
    ] {
        scene.add_route(added, is_active).await;
        assert_eq!(scene.route("a.b.test").await, expected, "{added}");
    }
    let loads = scene.double.loads_of(Kind::Route);
    assert_eq!(scene.route("a.b.test").await, ".b.test");
    assert_eq!(scene.route("[192.0.2.1]").await, "*");
    assert_eq!(scene.double.loads_of(Kind::Route), loads);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_past_a_route_that_might_exist() {
    let scene = Scene::new().await;
    scene.add_route("*", true).await;
    scene.add_route("off.test", false).await;
    assert_eq!(scene.route("a.test").await, "*");
    assert_eq!(scene.route("off.test").await, "*");
    pass(61).await;
    scene.double.fail(Some(Fault::Refuse));
    // `*` is remembered past its time; that there is no a.test is not, and off.test may be on again.
    for domain in ["a.test", "off.test"] {
        assert_eq!(scene.route(domain).await, Cause::Database.as_str(), "{domain}");
    }
    assert_eq!(scene.route("[192.0.2.1]").await, "*");
}

#[tokio::test(start_paused = true)]
async fn whatever_decides_where_mail_goes_tells_of_its_change_after_the_caches_have_forgotten() {
    let scene = Scene::new().await;
    let news = scene.directory.rerouting();
    let count = || *news.borrow();
    let before = count();
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    assert_eq!(count(), before, "an account decides nothing of that");
    scene.add_route("*", true).await;
    assert!(count() > before);
    tokio::spawn(scene.directory.clone().tend());
    // The watcher begins with a flush, and then tells of others' changes.
    for told in [None, Some(Kind::Domain), Some(Kind::Route)] {
        let before = count();
        while count() == before {
            if let Some(kind) = told {
                let (id, old, new) = (Some(7), Some("x.test".into()), None);
                let news = Pushed::Changed(vec![Touched::One { kind, id, old, new }]);
                scene.double.tell(news).await;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_answers_again_is_told_of() {
    let scene = Scene::new().await;
    scene.double.fail(Some(Fault::Refuse));
    for domain in ["a.test", "b.test", "c.test", "e.test"] {
        scene.route(domain).await;
    }
    assert!(scene.directory.is_down());
    let news = scene.directory.rerouting();
    let before = *news.borrow();
    scene.double.fail(None);
    pass(10).await;
    assert_eq!(scene.route("a.test").await, "none");
    assert!(*news.borrow() > before);
}

/// D8: what is remembered decides nothing, and what is found is what everybody finds from then on.
#[tokio::test(start_paused = true)]
async fn what_is_resolved_anew_is_the_databases_word() {
    let scene = Scene::new().await;
    assert!(matches!(scene.to("eve@d.test").await, Verdict::Refused(_)));
    let alias = json!({"address": "eve@d.test", "targets": ["bob@d.test"]});
    let alias = crate::edit::parse(Kind::Alias, object(alias), None).unwrap();
    scene.double.insert(alias).await.unwrap();
    assert!(matches!(scene.to("eve@d.test").await, Verdict::Refused(_)));
    let anew = async || {
        let address = "eve@d.test".parse().unwrap();
        let from = From::default();
        scene.directory.resolve_anew(&address, &from, 100).await.verdict
    };
    let found = anew().await;
    assert!(
        matches!(&found, Verdict::Deliver(to) if matches!(&to[..], [Target::Local(bob)] if bob.as_str() == "bob@d.test")),
        "{found:?}"
    );
    assert_eq!(scene.to("eve@d.test").await, found);
    scene.double.fail(Some(Fault::Refuse));
    assert!(matches!(anew().await, Verdict::Unavailable(_)));
}
