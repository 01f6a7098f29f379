//! What is changed through us, beside us, and while it is being read.

use super::*;
use crate::{
    resolve::Refusal,
    store::{By, Deletion, Store, Touched, double::Point},
};

/// The clock is read again after each wait.
#[tokio::test(start_paused = true)]
async fn what_passes_its_time_during_a_wait_is_not_used_after_it() {
    let scene = Scene::new().await;
    scene.bob().await;
    let mut disabled = scene.bob_with(1).await;
    disabled.head_mut().active = false;
    // By somebody else: nobody tells us.
    scene.double.update(disabled, None).await.unwrap();
    pass(58).await;
    scene.directory.forget(&[Touched::All(Kind::Domain)]);
    let barrier = scene.double.hold(Kind::Domain, Point::BeforeSent);
    let scene = Arc::new(scene);
    let resolving = tokio::spawn({
        let scene = scene.clone();
        async move { scene.to("bob@d.test").await }
    });
    barrier.reached().await;
    pass(3).await;
    barrier.open();
    assert_eq!(resolving.await.unwrap(), Verdict::Refused(Refusal::Disabled));
}

/// Until the names of our domains have been read.
async fn names_are_known(scene: &Scene) {
    while !scene.directory.is_elsewhere("nobodys.test") {
        let read = scene.directory.read(Kind::Domain, By::Name("d.test")).await;
        read.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_domains_cost_one_query_together() {
    let scene = Scene::new().await;
    scene.to("somebody@elsewhere.test").await;
    names_are_known(&scene).await;
    let before = (scene.directory.loads(), scene.double.log().len());
    for n in 0..100 {
        let to = scene.to(&format!("somebody@foreign{n}.test")).await;
        assert!(matches!(to, Verdict::Deliver(_)), "{to:?}");
    }
    assert_eq!((scene.directory.loads(), scene.double.log().len()), before);
    assert!(!scene.directory.is_elsewhere("d.test"), "this one is ours");
}

#[tokio::test(start_paused = true)]
async fn a_domain_is_ours_from_the_reply_that_made_it() {
    let scene = Scene::new().await;
    names_are_known(&scene).await;
    for name in ["new.test", "newer.test"] {
        assert!(scene.directory.is_elsewhere(name));
        let (kind, fields) = match name {
            "new.test" => (Kind::Domain, json!({"name": name})),
            _ => (Kind::DomainAlias, json!({"name": name, "domain": "new.test"})),
        };
        scene.add(kind, fields).await;
        assert!(!scene.directory.is_elsewhere(name));
        let to = scene.to(&format!("nobody@{name}")).await;
        assert_eq!(to, Verdict::Refused(Refusal::Unknown));
        names_are_known(&scene).await;
        assert!(!scene.directory.is_elsewhere(name));
    }
}

/// C1, for the names together.
#[tokio::test(start_paused = true)]
async fn names_read_before_a_change_are_not_kept_after_it() {
    let scene = Scene::new().await;
    let barrier = scene.double.hold(Kind::Domain, Point::AfterRows);
    assert!(!scene.directory.is_elsewhere("new.test"), "nobody knows yet");
    barrier.reached().await;
    scene.add(Kind::Domain, json!({"name": "new.test"})).await;
    barrier.open();
    names_are_known(&scene).await;
    assert!(!scene.directory.is_elsewhere("new.test"));
}

/// One address is one thing.
#[tokio::test(start_paused = true)]
async fn who_is_known_as_an_alias_is_not_asked_for_as_an_account() {
    let scene = Scene::new().await;
    let fields = json!({"address": "info@d.test", "targets": ["bob@d.test"]});
    scene.add(Kind::Alias, fields).await;
    scene.to("info@d.test").await;
    let before = scene.loads();
    for _ in 0..20 {
        pass(2).await;
        assert!(matches!(scene.to("info@d.test").await, Verdict::Deliver(_)));
        // What is read beside it is not late, however fast time passes.
        names_are_known(&scene).await;
    }
    assert_eq!(scene.loads(), before, "no absence was renewed");
    let info = scene.directory.show(Kind::Alias, "info@d.test").await.unwrap();
    let removed = scene
        .directory
        .delete(Kind::Alias, info.name(), Deletion::default());
    removed.await.unwrap();
    scene.add(Kind::Account, json!({"address": "info@d.test"})).await;
    match scene.to("info@d.test").await {
        Verdict::Deliver(to) => assert_eq!(to[0].address().as_str(), "info@d.test", "its own now"),
        other => panic!("{other:?}"),
    }
}
