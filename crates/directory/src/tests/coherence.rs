//! What is changed through us while it is being read (reference §6 B and C).

use super::*;
use crate::store::double::{Fault, Point};

/// C1.
pub(crate) async fn a_value_read_before_a_change_is_not_kept_after_it(scene: Scene<impl Fixture>) {
    let changed = scene.bob_with(2).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("bob@d.test");
    barrier.reached().await;
    scene.directory.update(changed, None).await.unwrap();
    barrier.open();
    assert_eq!(
        quota(&early.await.unwrap()),
        Some(1),
        "who asked before may see it"
    );
    assert_eq!(scene.status(Kind::Account).rejected["generation"], 1);
    assert_eq!(quota(&scene.bob().await), Some(2));
    assert_eq!(quota(&scene.directory.find_by_id(1).await), Some(2));
}

/// C2: who asks after the change does not wait for the old load.
pub(crate) async fn who_asks_after_a_change_sees_it_while_the_old_load_still_runs(
    scene: Scene<impl Fixture>,
) {
    let changed = scene.bob_with(2).await;
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("bob@d.test");
    barrier.reached().await;
    scene.directory.update(changed, None).await.unwrap();
    let late = scene.ask("bob@d.test");
    barrier.reached().await;
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert_eq!(quota(&late.await.unwrap()), Some(2));
}

/// C5.
pub(crate) async fn an_absence_read_before_a_creation_is_not_kept_after_it(scene: Scene<impl Fixture>) {
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("eve@d.test");
    barrier.reached().await;
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    barrier.open();
    assert!(matches!(early.await.unwrap(), Found::NotFound(_)));
    assert!(matches!(scene.account("eve@d.test").await, Found::Found(..)));
}

/// C4.
pub(crate) async fn what_was_being_read_when_the_cache_was_switched_off_is_not_kept(
    scene: Scene<impl Fixture>,
) {
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let early = scene.ask("bob@d.test");
    barrier.reached().await;
    scene.directory.cache_disable().await.unwrap();
    scene.set_quota(2).await;
    scene.directory.cache_enable().await.unwrap();
    barrier.open();
    assert_eq!(quota(&early.await.unwrap()), Some(1));
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// B14.
pub(crate) async fn a_change_of_unknown_outcome_is_forgotten_too(scene: Scene<impl Fixture>) {
    let changed = scene.bob_with(2).await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.double.fail(Some(Fault::LoseReply));
    assert!(scene.directory.update(changed, None).await.is_err());
    scene.double.fail(None);
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// C8.
pub(crate) async fn a_thousand_cold_look_ups_of_one_key_are_one_query(scene: Scene<impl Fixture>) {
    let before = scene.loads();
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    let asking: Vec<_> = (0..1000).map(|_| scene.ask("bob@d.test")).collect();
    barrier.reached().await;
    tokio::task::yield_now().await;
    barrier.open();
    for one in asking {
        assert_eq!(quota(&one.await.unwrap()), Some(1));
    }
    assert_eq!(scene.loads(), before + 1);
    let account = scene.status(Kind::Account);
    assert_eq!((account.misses, account.lookups["coalesced"]), (1, 999));
}

/// C9.
pub(crate) async fn a_caller_that_goes_away_ends_no_load(scene: Scene<impl Fixture>) {
    let before = scene.loads();
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    let first = scene.ask("bob@d.test");
    barrier.reached().await;
    first.abort();
    let second = scene.ask("bob@d.test");
    tokio::task::yield_now().await;
    barrier.open();
    assert_eq!(quota(&second.await.unwrap()), Some(1));
    assert_eq!(scene.loads(), before + 1);
}

/// As C9, for one who changes something.
pub(crate) async fn a_change_whose_caller_goes_away_is_forgotten_too(scene: Scene<impl Fixture>) {
    let changed = scene.bob_with(2).await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    let barrier = scene.double.hold(Kind::Account, Point::Committed);
    let directory = scene.directory.clone();
    let changing = tokio::spawn(async move { directory.update(changed, None).await });
    barrier.reached().await;
    changing.abort();
    assert!(changing.await.is_err(), "it is gone");
    barrier.open();
    wait_until_async("the change is seen", async || {
        quota(&scene.bob().await) == Some(2)
    })
    .await;
}
