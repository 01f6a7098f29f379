//! Look-ups beside changes, failures and each other (reference §6 C).

use super::*;
use crate::{
    found::{Cause, Origin},
    store::{
        Touched,
        double::{Fault, Point},
    },
};

/// C3.
pub(crate) async fn who_asked_before_a_change_may_see_the_old_value_and_nobody_after(
    scene: Scene<impl Fixture>,
) {
    let changed = scene.bob_with(2).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let (first, second) = (scene.ask("bob@d.test"), scene.ask("bob@d.test"));
    barrier.reached().await;
    tokio::task::yield_now().await;
    let before = scene.loads();
    scene.directory.update(changed, None).await.unwrap();
    barrier.open();
    for early in [first, second] {
        assert_eq!(quota(&early.await.unwrap()), Some(1), "it was so when they asked");
    }
    assert_eq!(quota(&scene.bob().await), Some(2));
    assert_eq!(scene.loads(), before + 1);
}

/// C6.
pub(crate) async fn a_change_told_by_id_alone_reaches_a_load_by_name(scene: Scene<impl Fixture>) {
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("bob@d.test");
    barrier.reached().await;
    scene.set_quota(2).await;
    scene.directory.forget(&[Touched::One {
        kind: Kind::Account,
        id: Some(1),
        old: None,
        new: None,
    }]);
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// C7.
pub(crate) async fn a_change_of_another_object_costs_a_load_nothing(scene: Scene<impl Fixture>) {
    let eve = json!({"address": "eve@d.test"});
    let eve = scene.add(Kind::Account, eve).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("bob@d.test");
    barrier.reached().await;
    scene.directory.update(eve, None).await.unwrap();
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
}

/// C10.
pub(crate) async fn a_load_that_panics_is_one_that_failed(scene: Scene<impl Fixture>) {
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    scene.double.fail(Some(Fault::Panic));
    let waiting: Vec<_> = (0..3).map(|_| scene.ask("bob@d.test")).collect();
    barrier.reached().await;
    tokio::task::yield_now().await;
    barrier.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), Found::Unavailable(Cause::Database));
    }
    assert_eq!(scene.status(Kind::Account).in_flight, 0);
    scene.pass(1);
    assert_eq!(quota(&scene.bob().await), Some(1));
}

/// C11, for the others.
pub(crate) async fn a_load_that_hangs_holds_up_nobody_else(scene: Scene<impl Fixture>) {
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    scene.double.fail(Some(Fault::Hang));
    let hanging = scene.ask("bob@d.test");
    let before = scene.loads();
    wait_until_async("it is sent", async || scene.loads() > before).await;
    scene.double.fail(None);
    assert!(matches!(scene.account("eve@d.test").await, Found::Found(..)));
    assert!(!hanging.is_finished());
    scene.pass(5);
    assert_eq!(hanging.await.unwrap(), Found::Unavailable(Cause::Late));
    assert!(matches!(scene.to("eve@d.test").await.as_str(), "eve@d.test*"));
}

/// C13.
pub(crate) async fn nothing_read_before_a_clear_is_kept(scene: Scene<impl Fixture>) {
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("bob@d.test");
    barrier.reached().await;
    scene.set_quota(2).await;
    scene.directory.cache_clear(None);
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert_eq!(scene.status(Kind::Account).entries, 0);
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// C14: whoever's reply comes first.
pub(crate) async fn of_two_who_change_an_account_the_last_is_what_is_seen(scene: Scene<impl Fixture>) {
    let (one, other) = (scene.bob_with(2).await, scene.bob_with(3).await);
    assert_eq!(quota(&scene.bob().await), Some(1));
    let barrier = scene.double.hold(Kind::Account, Point::Committed);
    let directory = scene.directory.clone();
    let first = tokio::spawn(async move { directory.update(one, None).await });
    barrier.reached().await;
    let directory = scene.directory.clone();
    let last = tokio::spawn(async move { directory.update(other, None).await });
    barrier.reached().await;
    barrier.open();
    for changing in [first, last] {
        changing.await.unwrap().unwrap();
    }
    let Object::Account(row) = scene.directory.show(Kind::Account, "bob@d.test").await.unwrap() else {
        panic!("no bob");
    };
    assert_eq!(quota(&scene.bob().await), row.quota);
    assert_eq!(row.quota, Some(3), "the last to commit");
}

/// C16.
pub(crate) async fn a_refresh_overtaken_by_a_change_brings_nothing_back(scene: Scene<impl Fixture>) {
    let changed = scene.bob_with(2).await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.at(50_000);
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
    barrier.reached().await;
    scene.directory.update(changed, None).await.unwrap();
    barrier.open();
    wait_until_async("the refresh has ended", async || {
        scene.status(Kind::Account).rejected["generation"] == 1
    })
    .await;
    assert_eq!(scene.status(Kind::Account).entries, 0);
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// C17.
pub(crate) async fn at_the_instant_of_expiry_a_thousand_look_ups_are_one_query(scene: Scene<impl Fixture>) {
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.set_quota(2).await;
    scene.at(60_000);
    let before = scene.loads();
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    let asking: Vec<_> = (0..1000).map(|_| scene.ask("bob@d.test")).collect();
    barrier.reached().await;
    barrier.open();
    for one in asking {
        assert_eq!(quota(&one.await.unwrap()), Some(2), "nobody gets what expired");
    }
    assert_eq!(scene.loads(), before + 1);
}
