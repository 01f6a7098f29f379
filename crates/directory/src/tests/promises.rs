//! What hMailServer documents of its cache, and what is promised beyond (reference §6 A).

use super::*;
use crate::{
    found::Origin,
    switches::{Holds, Key},
};

/// A1, A2: strictly younger than the TTL.
pub(crate) async fn an_object_is_read_once_within_its_ttl_and_anew_at_it(scene: Scene<impl Fixture>) {
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
    scene.at(47_999);
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
    let account = scene.status(Kind::Account);
    assert_eq!(
        (scene.loads(), account.hits, account.misses, account.hit_rate),
        (1, 1, 1, 50)
    );
    // Another one, of 0 s, that no look-up has had refreshed.
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    assert!(matches!(scene.account("eve@d.test").await, Found::Found(..)));
    scene.at(47_999 + 60_000);
    let before = scene.loads();
    let found = scene.account("eve@d.test").await;
    assert!(matches!(found, Found::Found(_, Origin::Database)));
    assert_eq!(scene.loads(), before + 1);
    assert_eq!(scene.status(Kind::Account).misses, 3);
}

/// A3.
pub(crate) async fn an_object_is_found_in_memory_by_either_key(scene: Scene<impl Fixture>) {
    scene.add(Kind::Account, json!({"address": "eve@d.test"})).await;
    let Found::Found(bob, _) = scene.bob().await else {
        panic!("no bob");
    };
    let by_id = scene.directory.find_by_id::<Account>(bob.head.id).await;
    assert_eq!(by_id, Found::Found(bob.clone(), Origin::Cache));
    let Object::Account(eve) = scene.directory.show(Kind::Account, "eve@d.test").await.unwrap() else {
        panic!("no eve");
    };
    let by_id = scene.directory.find_by_id::<Account>(eve.head.id).await;
    assert!(matches!(by_id, Found::Found(_, Origin::Database)));
    let by_name = scene.account("eve@d.test").await;
    assert!(matches!(by_name, Found::Found(_, Origin::Cache)));
}

/// A4.
pub(crate) async fn a_direct_edit_is_seen_a_ttl_later_at_the_latest(scene: Scene<impl Fixture>) {
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.at(10_000);
    scene.set_quota(2).await;
    scene.at(47_999);
    assert_eq!(quota(&scene.bob().await), Some(1));
    scene.at(60_000);
    assert_eq!(quota(&scene.bob().await), Some(2));
    scene.at(70_000);
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// A5.
pub(crate) async fn a_change_through_us_is_seen_by_the_first_look_up_after_its_reply(
    scene: Scene<impl Fixture>,
) {
    for now in 2..6 {
        assert_eq!(quota(&scene.bob().await), Some(now - 1));
        scene
            .set(Kind::Account, "bob@d.test", json!({"quota": now}))
            .await;
        assert_eq!(quota(&scene.bob().await), Some(now));
    }
}

/// A6.
pub(crate) async fn what_is_deleted_through_us_is_refused_at_the_next_recipient(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    let how = crate::store::Deletion::default();
    let removed = scene.directory.remove(Kind::Account, "bob@d.test", how);
    removed.await.unwrap();
    let before = scene.loads();
    for _ in 0..3 {
        assert_eq!(scene.to("bob@d.test").await, UNKNOWN);
    }
    assert!(scene.loads() <= before + 1, "one definite no");
}

/// A7.
pub(crate) async fn an_address_that_does_not_exist_is_asked_for_once(scene: Scene<impl Fixture>) {
    for _ in 0..1000 {
        assert!(matches!(scene.account("eve@d.test").await, Found::NotFound(_)));
    }
    let account = scene.status(Kind::Account);
    assert_eq!((account.hits, account.misses, account.hit_rate), (0, 0, 0));
    assert_eq!((account.lookups["negative_hit"], scene.loads()), (999, 1));
}

/// A8.
pub(crate) async fn the_rate_is_of_hits_and_loads_in_whole_percent(scene: Scene<impl Fixture>) {
    for name in ["ann@d.test", "eve@d.test"] {
        scene.add(Kind::Account, json!({ "address": name })).await;
    }
    for _ in 0..3 {
        scene.bob().await;
    }
    assert_eq!(scene.status(Kind::Account).hit_rate, 66);
    for name in ["ann@d.test", "eve@d.test"] {
        scene.account(name).await;
    }
    for _ in 0..5 {
        scene.account("ann@d.test").await;
    }
    assert_eq!(scene.status(Kind::Account).hit_rate, 70);
    scene.directory.reset_statistics();
    scene
        .directory
        .forget(&[crate::store::Touched::All(Kind::Account)]);
    for name in ["ann@d.test", "eve@d.test", "bob@d.test"] {
        scene.account(name).await;
    }
    let account = scene.status(Kind::Account);
    assert_eq!((account.misses, account.hit_rate), (3, 0));
}

/// A9.
pub(crate) async fn a_shorter_ttl_ends_the_rate_of_its_kind_alone(scene: Scene<impl Fixture>) {
    for _ in 0..2 {
        scene.to("bob@d.test").await;
    }
    scene.at(40_000);
    let (before, domain) = (scene.loads(), scene.status(Kind::Domain));
    let shorter = vec![(Key::Ttl(Kind::Account), Some(30_000))];
    scene.directory.cache_set(shorter).await.unwrap();
    let account = scene.status(Kind::Account);
    assert_eq!((account.hits, account.misses), (0, 0));
    assert_eq!(scene.status(Kind::Domain), domain);
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
    assert_eq!(scene.loads(), before + 1);
}

/// A10: hMailServer revives.
pub(crate) async fn a_longer_ttl_revives_nothing(scene: Scene<impl Fixture>) {
    scene.bob().await;
    scene.set_quota(2).await;
    scene.at(70_000);
    let longer = vec![(Key::Ttl(Kind::Account), Some(300_000))];
    scene.directory.cache_set(longer).await.unwrap();
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// A11.
pub(crate) async fn a_cache_that_is_off_asks_for_every_look_up(scene: Scene<impl Fixture>) {
    for _ in 0..3 {
        scene.bob().await;
    }
    scene.directory.cache_disable().await.unwrap();
    let before = scene.loads();
    for _ in 0..5 {
        assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
    }
    assert_eq!(scene.loads(), before + 5);
    for kind in Kind::ALL {
        let status = scene.status(kind);
        assert_eq!((status.entries, status.bytes, status.absences), (0, 0, 0));
        assert_eq!((status.hits, status.misses), (0, 0));
    }
}

/// A12: the documented way to coherence, "disable, edit, enable".
pub(crate) async fn an_edit_while_the_cache_is_off_is_seen_when_it_is_on_again(scene: Scene<impl Fixture>) {
    for _ in 0..3 {
        assert_eq!(quota(&scene.bob().await), Some(1));
    }
    scene.directory.cache_disable().await.unwrap();
    scene.set_quota(2).await;
    scene.directory.cache_enable().await.unwrap();
    for _ in 0..3 {
        assert_eq!(quota(&scene.bob().await), Some(2));
    }
    let account = scene.status(Kind::Account);
    assert_eq!((account.hits, account.misses, account.hit_rate), (2, 1, 66));
}

/// A13: limits too, which hMailServer forgets.
pub(crate) async fn what_was_set_is_in_force_after_a_restart(scene: Scene<impl Fixture>) {
    let set = vec![
        (Key::Enabled, Some(0)),
        (Key::Ttl(Kind::Account), Some(5_000)),
        (Key::NegativeTtl(Kind::Domain), Some(7_000)),
        (Key::Size(Kind::List), Some(40_960)),
    ];
    scene.directory.cache_set(set).await.unwrap();
    let switches = Switches::open(Settings::default(), scene.dir.path()).unwrap();
    let again = Directory::new(scene.double.clone(), switches, scene.clock.clone());
    let status = again.cache_status();
    assert_eq!((status.enabled, status.enabled_by), (false, Holds::RunTime));
    assert_eq!(status.types[&Kind::Account].ttl, 5.0);
    assert_eq!(status.types[&Kind::Domain].negative_ttl, 7.0);
    let list = &status.types[&Kind::List];
    assert_eq!((list.size, list.size_by), (40_960, Holds::RunTime));
    let before = scene.loads();
    for _ in 0..3 {
        again.find::<Account>("bob@d.test").await;
    }
    assert_eq!(scene.loads(), before + 3, "it is off");
}

/// A14.
pub(crate) async fn a_kind_with_a_ttl_of_nothing_is_not_kept_and_others_are(scene: Scene<impl Fixture>) {
    let targets = json!({"address": "info@d.test", "targets": ["bob@d.test"]});
    scene.add(Kind::Alias, targets).await;
    let nothing = vec![(Key::Ttl(Kind::Alias), Some(0))];
    scene.directory.cache_set(nothing).await.unwrap();
    for _ in 0..10 {
        assert_eq!(scene.to("info@d.test").await, "bob@d.test*");
    }
    assert_eq!(scene.double.loads_of(Kind::Alias), 10);
    assert_eq!(scene.status(Kind::Alias).entries, 0);
    assert_eq!(scene.double.loads_of(Kind::Domain), 1);
    assert_eq!(scene.loads(), 2, "that info is none, and bob");
}

/// A15.
pub(crate) async fn an_account_follows_its_own_ttl_and_not_its_domains(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    scene.at(10_000);
    scene
        .sql("UPDATE account SET active = false WHERE address = 'bob@d.test'")
        .await;
    scene
        .sql("UPDATE domain SET message_size = 7 WHERE name = 'd.test'")
        .await;
    // The domain is read anew, the account is not.
    scene.directory.cache_forget(Kind::Domain, "d.test").unwrap();
    scene.at(40_000);
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    scene.at(60_000);
    assert_eq!(scene.to("bob@d.test").await, "disabled");
    assert_eq!(
        scene.double.loads_of(Kind::Domain),
        2,
        "the domain is a hit still"
    );
}
