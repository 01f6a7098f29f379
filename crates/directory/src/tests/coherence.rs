//! What is changed through us, beside us, and while it is being read.

use super::*;
use crate::{
    resolve::Refusal,
    store::{
        By, Deletion, Pushed, Store, Touched,
        double::{Fault, Point},
    },
};

/// C1.
#[tokio::test(start_paused = true)]
async fn a_value_read_before_a_change_is_not_kept_after_it() {
    let scene = Scene::new().await;
    let changed = scene.bob_with(2).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let directory = scene.directory.clone();
    let early = tokio::spawn(async move { directory.find::<Account>("bob@d.test").await });
    barrier.reached().await;
    scene.directory.update(changed, None).await.unwrap();
    barrier.open();
    assert_eq!(
        quota(&early.await.unwrap()),
        Some(1),
        "who asked before may see it"
    );
    assert_eq!(quota(&scene.bob().await), Some(2));
    assert_eq!(quota(&scene.directory.find_by_id(1).await), Some(2));
}

/// C2: who asks after the change does not wait for the old load.
#[tokio::test(start_paused = true)]
async fn who_asks_after_a_change_sees_it_while_the_old_load_still_runs() {
    let scene = Scene::new().await;
    let changed = scene.bob_with(2).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let directory = scene.directory.clone();
    let early = tokio::spawn(async move { directory.find::<Account>("bob@d.test").await });
    barrier.reached().await;
    scene.directory.update(changed, None).await.unwrap();
    let directory = scene.directory.clone();
    let late = tokio::spawn(async move { directory.find::<Account>("bob@d.test").await });
    barrier.reached().await;
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert_eq!(quota(&late.await.unwrap()), Some(2));
}

/// C5.
#[tokio::test(start_paused = true)]
async fn an_absence_read_before_a_creation_is_not_kept_after_it() {
    let scene = Scene::new().await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let directory = scene.directory.clone();
    let early = tokio::spawn(async move { directory.find::<Account>("eve@d.test").await });
    barrier.reached().await;
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    barrier.open();
    assert!(matches!(early.await.unwrap(), Found::NotFound(_)));
    assert!(matches!(
        scene.directory.find::<Account>("eve@d.test").await,
        Found::Found(..)
    ));
}

/// C4.
#[tokio::test(start_paused = true)]
async fn what_was_being_read_when_the_cache_was_switched_off_is_not_kept() {
    let scene = Scene::new().await;
    let changed = scene.bob_with(2).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let directory = scene.directory.clone();
    let early = tokio::spawn(async move { directory.find::<Account>("bob@d.test").await });
    barrier.reached().await;
    scene.directory.cache_disable().await.unwrap();
    // By somebody else: nobody tells us.
    scene.double.update(changed, None).await.unwrap();
    scene.directory.cache_enable().await.unwrap();
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// B2, B5: a new name is known at once, the old one is not.
#[tokio::test(start_paused = true)]
async fn a_renamed_account_is_known_by_its_new_name_alone() {
    let scene = Scene::new().await;
    assert!(matches!(scene.bob().await, Found::Found(..)));
    assert!(matches!(
        scene.directory.find::<Account>("rob@d.test").await,
        Found::NotFound(_)
    ));
    let renamed = scene.directory.edit(
        (Kind::Account, "bob@d.test"),
        crate::edit::Extent::Part,
        object(json!({"address": "rob@d.test"})),
        None,
    );
    renamed.await.unwrap();
    assert!(matches!(scene.bob().await, Found::NotFound(_)));
    assert!(matches!(
        scene.directory.find::<Account>("rob@d.test").await,
        Found::Found(..)
    ));
}

/// B14.
#[tokio::test(start_paused = true)]
async fn a_change_of_unknown_outcome_is_forgotten_too() {
    let scene = Scene::new().await;
    let changed = scene.bob_with(2).await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.double.fail(Some(Fault::LoseReply));
    assert!(scene.directory.update(changed, None).await.is_err());
    scene.double.fail(None);
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// E1 by the store's word, E15: a change of our own that comes back as news costs one load at most.
#[tokio::test(start_paused = true)]
async fn what_the_database_tells_is_forgotten_at_once() {
    let scene = Scene::new().await;
    let changed = scene.bob_with(2).await;
    tokio::spawn(scene.directory.clone().tend());
    // The watcher's own flush has been taken in.
    while !scene.directory.is_push_up() {
        tokio::task::yield_now().await;
    }
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.double.update(changed, None).await.unwrap();
    let news = Pushed::Changed(vec![Touched::One {
        kind: Kind::Account,
        id: Some(1),
        old: Some("bob@d.test".into()),
        new: Some("bob@d.test".into()),
    }]);
    scene.double.tell(news.clone()).await;
    // News are taken in by a task: these, and the watcher's own of the same change.
    let told = || {
        scene
            .directory
            .inner
            .caches
            .statistics(Kind::Account)
            .invalidations
            .push
    };
    while told() < 2 {
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert_eq!(quota(&scene.bob().await), Some(2));
    let before = scene.loads();
    scene.double.tell(news).await;
    pass(1).await;
    for _ in 0..5 {
        assert_eq!(quota(&scene.bob().await), Some(2));
    }
    assert!(scene.loads() <= before + 1);
}

/// C8.
#[tokio::test(start_paused = true)]
async fn a_thousand_cold_look_ups_of_one_key_are_one_query() {
    let scene = Scene::new().await;
    let before = scene.loads();
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    let ask = |_| {
        let directory = scene.directory.clone();
        tokio::spawn(async move { directory.find::<Account>("bob@d.test").await })
    };
    let asking: Vec<_> = (0..1000).map(ask).collect();
    barrier.reached().await;
    tokio::task::yield_now().await;
    barrier.open();
    for one in asking {
        assert_eq!(quota(&one.await.unwrap()), Some(1));
    }
    assert_eq!(scene.loads(), before + 1);
}

/// C9.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_ends_no_load() {
    let scene = Scene::new().await;
    let before = scene.loads();
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    let directory = scene.directory.clone();
    let first = tokio::spawn(async move { directory.find::<Account>("bob@d.test").await });
    barrier.reached().await;
    first.abort();
    let directory = scene.directory.clone();
    let second = tokio::spawn(async move { directory.find::<Account>("bob@d.test").await });
    tokio::task::yield_now().await;
    barrier.open();
    assert_eq!(quota(&second.await.unwrap()), Some(1));
    assert_eq!(scene.loads(), before + 1);
}

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
