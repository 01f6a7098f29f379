//! What the database tells of others' changes, heard by the directory (reference §6 E; what only one of the stores can
//! do wrong is in its own tests).

use super::*;
use crate::{
    found::Origin,
    store::{Missed, Pushed, Store, Touched, double::Point},
    switches::Key,
};

impl<F: Fixture> Scene<F> {
    /// Listens from now on, and keeps accounts for an hour, so that nothing ends by its age.
    async fn listen(&self) {
        let hour = vec![(Key::Ttl(Kind::Account), Some(3_600_000))];
        self.directory.cache_set(hour).await.unwrap();
        tokio::spawn(self.directory.clone().tend());
        wait_until_async("changes are told", async || self.directory.is_push_up()).await;
    }

    /// Waits until what was told before has been heard: it comes in order.
    async fn heard(&self, marker: &str) {
        let name = format!("{marker}@d.test");
        assert!(matches!(self.account(&name).await, Found::NotFound(_)));
        self.sql(&format!(
            "INSERT INTO account (local_part, domain) VALUES ('{marker}', 'd.test')"
        ))
        .await;
        wait_until_async("the marker is seen", async || {
            matches!(self.account(&name).await, Found::Found(..))
        })
        .await;
    }
}

/// E1, E11.
pub(crate) async fn a_direct_edit_is_seen_long_before_its_ttl(scene: Scene<impl Fixture>) {
    scene.listen().await;
    for now in 2..5 {
        assert_eq!(quota(&scene.bob().await), Some(now - 1));
        scene.set_quota(now).await;
        wait_until_async("the edit is seen", async || {
            quota(&scene.bob().await) == Some(now)
        })
        .await;
    }
}

/// E2.
pub(crate) async fn what_is_not_committed_is_not_seen(scene: Scene<impl Fixture>) {
    scene.listen().await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene
        .sql("BEGIN; UPDATE account SET quota = 2 WHERE address = 'bob@d.test'; ROLLBACK;")
        .await;
    scene.heard("marker").await;
    let bob = scene.bob().await;
    assert_eq!(quota(&bob), Some(1));
    assert!(matches!(bob, Found::Found(_, Origin::Cache)), "{bob:?}");
}

/// E11.
pub(crate) async fn one_row_that_changes_costs_the_others_nothing(scene: Scene<impl Fixture>) {
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    scene.listen().await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    assert!(matches!(scene.account("eve@d.test").await, Found::Found(..)));
    scene.set_quota(2).await;
    wait_until_async("the edit is seen", async || quota(&scene.bob().await) == Some(2)).await;
    let eve = scene.account("eve@d.test").await;
    assert!(matches!(eve, Found::Found(_, Origin::Cache)), "{eve:?}");
}

/// E15.
pub(crate) async fn our_own_change_comes_back_as_news_and_costs_one_load_at_most(scene: Scene<impl Fixture>) {
    scene.listen().await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.set(Kind::Account, "bob@d.test", json!({"quota": 2})).await;
    let asked_for_bob = || {
        let log = scene.double.log();
        log.iter().filter(|query| query.key == "bob@d.test").count()
    };
    assert_eq!(quota(&scene.bob().await), Some(2));
    let before = asked_for_bob();
    // Once, and not again with each of others' changes.
    for marker in ["one", "two", "three"] {
        scene.heard(marker).await;
        for _ in 0..5 {
            assert_eq!(quota(&scene.bob().await), Some(2));
        }
    }
    assert!(asked_for_bob() <= before + 1);
}

/// E16.
pub(crate) async fn news_that_come_before_our_own_reply_harm_nothing(scene: Scene<impl Fixture>) {
    let changed = scene.bob_with(2).await;
    scene.listen().await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    let barrier = scene.double.hold(Kind::Account, Point::Committed);
    let directory = scene.directory.clone();
    let changing = tokio::spawn(async move { directory.update(changed, None).await });
    barrier.reached().await;
    wait_until_async("the news are heard", async || {
        quota(&scene.bob().await) == Some(2)
    })
    .await;
    assert!(!changing.is_finished(), "its reply has not come");
    // By somebody else, who is committed after it, and heard of before its reply.
    scene.set_quota(3).await;
    wait_until_async("the edit is seen", async || quota(&scene.bob().await) == Some(3)).await;
    barrier.open();
    changing.await.unwrap().unwrap();
    assert_eq!(quota(&scene.bob().await), Some(3));
    assert_eq!(
        scene.status(Kind::Account).invalidations["admin"],
        2,
        "bob's making, and this"
    );
}

/// B7 by SQL.
pub(crate) async fn a_domain_renamed_by_sql_is_renamed_in_memory(scene: Scene<impl Fixture>) {
    scene.listen().await;
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    assert_eq!(scene.to("bob@new.test").await, "bob@new.test");
    scene
        .sql("UPDATE domain SET name = 'new.test' WHERE name = 'd.test'")
        .await;
    wait_until_async("the new name is known", async || {
        scene.to("bob@new.test").await == "bob@new.test*"
    })
    .await;
    wait_until_async("the old one is not", async || {
        scene.to("bob@d.test").await == "bob@d.test"
    })
    .await;
}

/// A file is polled, a server tells.
pub(crate) async fn changes_are_counted_by_who_told_them(scene: Scene<impl Fixture>) {
    scene.listen().await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.set_quota(2).await;
    wait_until_async("the edit is seen", async || quota(&scene.bob().await) == Some(2)).await;
    let (told, other) = match scene.double.is_polled() {
        true => ("poll", "push"),
        false => ("push", "poll"),
    };
    let counted = scene.status(Kind::Account).invalidations;
    assert!(counted[told] >= 1 && counted[other] == 0, "{counted:?}");
    let whole = Pushed::Changed(vec![Touched::All(Kind::Account)]);
    scene.double.tell(whole).await;
    wait_until_async("the whole kind is told", async || {
        scene.status(Kind::Account).flushes[told] >= 1
    })
    .await;
    assert_eq!(scene.status(Kind::Account).flushes[other], 0);
}

/// E1 by the store's word.
pub(crate) async fn news_are_forgotten_at_once(scene: Scene<impl Fixture>) {
    scene.listen().await;
    assert_eq!(quota(&scene.bob().await), Some(1));
    let news = Pushed::Changed(vec![Touched::One {
        kind: Kind::Account,
        id: Some(1),
        old: Some("bob@d.test".into()),
        new: Some("bob@d.test".into()),
    }]);
    let before = scene.loads();
    scene.double.tell(news).await;
    wait_until_async("it is read anew", async || {
        scene.bob().await;
        scene.loads() > before
    })
    .await;
    scene.bob().await;
    assert_eq!(scene.loads(), before + 1);
}

/// E3, E8, E13 as the directory hears of them.
pub(crate) async fn where_something_may_have_been_missed_everything_is_forgotten(scene: Scene<impl Fixture>) {
    scene.listen().await;
    for (missed, cause) in [
        (Missed::Connected, "reconnect"),
        (Missed::Unreadable, "push"),
        (Missed::Pruned, "poll"),
        (Missed::Replaced, "poll"),
    ] {
        scene.to("bob@d.test").await;
        let flushes = || scene.status(Kind::Account).flushes[cause];
        let before = flushes();
        scene.double.tell(Pushed::Flush(missed)).await;
        wait_until_async("it is flushed", async || flushes() == before + 1).await;
        for kind in Kind::ALL {
            let status = scene.status(kind);
            assert_eq!((status.entries, status.absences), (0, 0), "{missed:?}");
        }
    }
    scene.double.tell(Pushed::Down("a test says so".into())).await;
    wait_until_async("it is down", async || !scene.directory.is_push_up()).await;
    scene.double.tell(Pushed::Up).await;
    wait_until_async("it is up", async || scene.directory.is_push_up()).await;
}
