//! Names, and what ends under which of them (reference §6 B).

use super::*;
use crate::{
    found::Origin,
    model::{Domain, DomainAlias, List},
    store::{ChangeError, Touched, double::Point},
};

/// B1, F10.
pub(crate) async fn every_spelling_is_one_entry(scene: Scene<impl Fixture>) {
    scene
        .add(Kind::Account, json!({"address": "J\u{d6}rg@D.test"}))
        .await;
    let jörg = "j\u{f6}rg@d.test*";
    assert_eq!(scene.to("j\u{f6}rg@d.test").await, jörg);
    let before = scene.status(Kind::Account);
    let asked = scene.loads_of(async {
        for address in ["J\u{d6}RG@d.test", "jo\u{308}rg@D.TEST", "J\u{f6}rg@d.Test"] {
            for _ in 0..100 {
                assert_eq!(scene.to(address).await, jörg, "{address}");
            }
        }
    });
    assert_eq!(asked.await, 0);
    let after = scene.status(Kind::Account);
    assert_eq!((after.entries, after.bytes), (before.entries, before.bytes));
    assert_eq!(after.absences, 0);
}

/// What an address comes to, before and after it is renamed through us.
async fn rename(scene: &Scene<impl Fixture>, kind: Kind, (old, new): (&str, &str), leads_to: &str) {
    assert_eq!(scene.to(old).await, leads_to);
    assert_eq!(scene.to(new).await, UNKNOWN);
    scene.set(kind, old, json!({ "address": new })).await;
    assert_eq!(scene.to(old).await, UNKNOWN);
    assert_eq!(scene.to(new).await, leads_to);
}

/// B2.
pub(crate) async fn a_renamed_alias_is_known_by_its_new_name_alone(scene: Scene<impl Fixture>) {
    let old = json!({"address": "old@d.test", "targets": ["bob@d.test"]});
    scene.add(Kind::Alias, old).await;
    rename(&scene, Kind::Alias, ("old@d.test", "new@d.test"), "bob@d.test*").await;
}

/// B2, B5 for accounts.
pub(crate) async fn a_renamed_account_is_known_by_its_new_name_alone(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    assert_eq!(scene.to("rob@d.test").await, UNKNOWN);
    scene
        .set(Kind::Account, "bob@d.test", json!({"address": "rob@d.test"}))
        .await;
    assert_eq!(scene.to("bob@d.test").await, UNKNOWN);
    assert_eq!(scene.to("rob@d.test").await, "rob@d.test*");
}

/// B3.
pub(crate) async fn a_renamed_list_is_known_by_its_new_name_in_any_case(scene: Scene<impl Fixture>) {
    let list = json!({"address": "l@d.test", "members": ["bob@d.test"]});
    scene.add(Kind::List, list).await;
    rename(&scene, Kind::List, ("l@d.test", "m@d.test"), "bob@d.test*").await;
    scene
        .set(Kind::List, "m@d.test", json!({"address": "M@D.test"}))
        .await;
    for spelling in ["m@d.test", "M@d.test", "M@D.TEST"] {
        assert_eq!(scene.to(spelling).await, "bob@d.test*");
    }
    assert_eq!(scene.to("l@d.test").await, UNKNOWN);
    let list = scene.directory.find::<List>("m@d.test").await;
    assert!(matches!(list, Found::Found(_, Origin::Cache)), "{list:?}");
}

/// B4.
pub(crate) async fn a_change_by_name_ends_what_was_found_by_id(scene: Scene<impl Fixture>) {
    let by_id = || scene.directory.find_by_id::<Account>(1);
    assert_eq!(quota(&by_id().await), Some(1));
    scene.set(Kind::Account, "bob@d.test", json!({"quota": 2})).await;
    assert_eq!(quota(&by_id().await), Some(2));
    let how = crate::store::Deletion::default();
    let removed = scene.directory.remove(Kind::Account, "bob@d.test", how);
    removed.await.unwrap();
    assert!(matches!(by_id().await, Found::NotFound(_)));
}

/// B5.
pub(crate) async fn an_address_that_is_created_is_accepted_at_once(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("new@d.test").await, UNKNOWN);
    let new = json!({"address": "new@d.test", "targets": ["bob@d.test"]});
    scene.add(Kind::Alias, new).await;
    assert_eq!(scene.to("new@d.test").await, "bob@d.test*");
}

/// B6.
pub(crate) async fn a_row_that_appears_is_accepted_after_the_absences_ttl(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("new@d.test").await, UNKNOWN);
    scene
        .sql(
            "INSERT INTO alias (local_part, domain) VALUES ('new', 'd.test');
             INSERT INTO alias_target SELECT id, 'bob@d.test' FROM alias WHERE address = 'new@d.test';",
        )
        .await;
    scene.at(9_999);
    assert_eq!(scene.to("new@d.test").await, UNKNOWN);
    scene.at(10_000);
    assert_eq!(scene.to("new@d.test").await, "bob@d.test*");
}

/// B7.
pub(crate) async fn nothing_is_known_under_a_renamed_domains_old_name(scene: Scene<impl Fixture>) {
    for (kind, fields) in [
        (
            Kind::Alias,
            json!({"address": "info@d.test", "targets": ["bob@d.test"]}),
        ),
        (
            Kind::List,
            json!({"address": "l@d.test", "members": ["x@o.test"]}),
        ),
        (Kind::DomainAlias, json!({"name": "old.test", "domain": "d.test"})),
    ] {
        scene.add(kind, fields).await;
    }
    let all = [("bob", "bob@d.test*"), ("info", "bob@d.test*"), ("l", "x@o.test")];
    for (local, leads_to) in all {
        assert_eq!(scene.to(&format!("{local}@d.test")).await, leads_to);
        assert_eq!(scene.to(&format!("{local}@old.test")).await, leads_to);
        assert_eq!(
            scene.to(&format!("{local}@new.test")).await,
            format!("{local}@new.test")
        );
    }
    scene
        .set(Kind::Domain, "d.test", json!({"name": "new.test"}))
        .await;
    for (kind, old) in [
        (Kind::Domain, "d.test"),
        (Kind::Account, "bob@d.test"),
        (Kind::Alias, "info@d.test"),
        (Kind::List, "l@d.test"),
    ] {
        let shown = scene.directory.cache_show(kind, old).unwrap();
        assert_eq!(shown.state, crate::control::State::NotCached, "{kind}");
    }
    for (local, _) in all {
        let old: remuda_mail::Address = format!("{local}@d.test").parse().unwrap();
        let resolved = scene.directory.resolve(&old, &From::default(), 10).await;
        assert!(!resolved.is_ours, "{local}: relaying is refused to strangers");
    }
    assert_eq!(scene.to("bob@new.test").await, "bob@new.test*");
    assert_eq!(scene.to("bob@old.test").await, "bob@new.test*");
    assert_eq!(scene.to("l@new.test").await, "x@o.test");
    // What merely mentions an address stays as written (decision 0102).
    assert_eq!(scene.to("info@new.test").await, "bob@d.test");
}

/// B8: hMailServer never sees it.
pub(crate) async fn another_name_of_a_domain_comes_and_goes_by_sql(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("bob@old.test").await, "bob@old.test");
    scene
        .sql("INSERT INTO domain_alias (name, domain) VALUES ('old.test', 'd.test')")
        .await;
    scene.at(10_000);
    assert_eq!(scene.to("bob@old.test").await, "bob@d.test*");
    scene
        .sql("DELETE FROM domain_alias WHERE name = 'old.test'")
        .await;
    scene.at(50_000);
    assert_eq!(scene.to("bob@old.test").await, "bob@d.test*", "within its TTL");
    scene.at(70_000);
    assert_eq!(scene.to("bob@old.test").await, "bob@old.test");
}

/// B9, ST11: nobody takes the failure for an empty table.
pub(crate) async fn names_of_domains_that_cannot_be_read_are_not_taken_for_none(scene: Scene<impl Fixture>) {
    let old = json!({"name": "old.test", "domain": "d.test"});
    scene.add(Kind::DomainAlias, old).await;
    assert_eq!(scene.to("bob@old.test").await, "bob@d.test*");
    scene.sql("ALTER TABLE domain_alias RENAME TO elsewhere").await;
    scene.at(70_000);
    assert_eq!(
        scene.to("bob@old.test").await,
        "bob@d.test*",
        "past its time, and still so"
    );
    assert_eq!(scene.status(Kind::DomainAlias).stale_served, 1);
    assert_eq!(scene.to("bob@other.test").await, UNAVAILABLE, "never asked for");
    scene.at(400_000);
    assert_eq!(scene.to("bob@old.test").await, UNAVAILABLE);
    scene.sql("ALTER TABLE elsewhere RENAME TO domain_alias").await;
    scene.at(410_000);
    assert_eq!(scene.to("bob@old.test").await, "bob@d.test*");
    assert_eq!(scene.to("bob@other.test").await, "bob@other.test");
}

/// B10.
pub(crate) async fn a_member_that_is_added_gets_the_next_message(scene: Scene<impl Fixture>) {
    let list = json!({"address": "l@d.test", "members": ["bob@d.test"]});
    scene.add(Kind::List, list).await;
    assert_eq!(scene.to("l@d.test").await, "bob@d.test*");
    let ann = ["ann@o.test".to_owned()];
    let changed = scene.directory.change_members("l@d.test", &ann, true, None);
    changed.await.unwrap();
    assert_eq!(scene.to("l@d.test").await, "ann@o.test bob@d.test*");
    scene.at(10_000);
    scene
        .sql("INSERT INTO list_member SELECT id, 'zoe@o.test' FROM list WHERE address = 'l@d.test'")
        .await;
    scene.at(60_000);
    assert_eq!(scene.to("l@d.test").await, "ann@o.test bob@d.test* zoe@o.test");
}

/// B12, ST7: a conflict, or by the field.
pub(crate) async fn a_change_based_on_what_was_changed_meanwhile_takes_nothing_back(
    scene: Scene<impl Fixture>,
) {
    let loaded = scene.directory.show(Kind::Account, "bob@d.test").await.unwrap();
    scene.set(Kind::Account, "bob@d.test", json!({"quota": 2})).await;
    let whole = scene
        .directory
        .update(loaded.clone(), Some(loaded.head().version))
        .await;
    assert!(matches!(whole, Err(ChangeError::Conflict { .. })), "{whole:?}");
    assert_eq!(quota(&scene.bob().await), Some(2));
    scene
        .set(Kind::Account, "bob@d.test", json!({"address": "rob@d.test"}))
        .await;
    assert_eq!(quota(&scene.account("rob@d.test").await), Some(2));
}

/// B12, ST7: nor does an edit that somebody comes before, between its reading and its change.
pub(crate) async fn an_edit_that_was_overtaken_is_made_again_over_the_other(scene: Scene<impl Fixture>) {
    let barrier = scene.double.hold(Kind::Account, Point::AfterRows);
    let directory = scene.directory.clone();
    let editing = tokio::spawn(async move {
        let (bob, forward) = ((Kind::Account, "bob@d.test"), json!({"forward": "x@o.test"}));
        directory.edit(bob, Extent::Part, object(forward), None).await
    });
    barrier.reached().await;
    scene.set_quota(2).await;
    barrier.open();
    let edited = editing.await.unwrap().unwrap();
    assert!(
        matches!(&edited, Object::Account(bob) if bob.quota == Some(2) && bob.forward.is_some()),
        "{edited:?}"
    );
    assert_eq!(quota(&scene.bob().await), Some(2));
}

/// As B12, for the members of a list.
pub(crate) async fn members_that_come_at_once_all_stay(scene: Scene<impl Fixture>) {
    let list = json!({"address": "l@d.test", "members": ["bob@d.test"]});
    scene.add(Kind::List, list).await;
    let barrier = scene.double.hold(Kind::List, Point::AfterRows);
    let directory = scene.directory.clone();
    let adding = tokio::spawn(async move {
        let ann = ["ann@o.test".to_owned()];
        directory.change_members("l@d.test", &ann, true, None).await
    });
    barrier.reached().await;
    scene
        .sql("INSERT INTO list_member SELECT id, 'zoe@o.test' FROM list WHERE address = 'l@d.test'")
        .await;
    barrier.open();
    adding.await.unwrap().unwrap();
    assert_eq!(scene.to("l@d.test").await, "ann@o.test bob@d.test* zoe@o.test");
}

/// B13.
pub(crate) async fn a_change_that_is_undone_leaves_the_old_value(scene: Scene<impl Fixture>) {
    let eve = json!({"address": "eve@d.test", "targets": ["x@o.test"]});
    scene.add(Kind::Alias, eve).await;
    for _ in 0..2 {
        assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
        assert_eq!(scene.to("eve@d.test").await, "x@o.test");
        let taken = json!({"address": "eve@d.test", "quota": 7});
        let taken = scene.try_set(Kind::Account, "bob@d.test", taken).await;
        assert!(taken.is_err(), "{taken:?}");
    }
    assert_eq!(quota(&scene.bob().await), Some(1));
    assert_eq!(scene.to("eve@d.test").await, "x@o.test");
    // A catch-all is looked for when all else has been written.
    let half = json!({"message_size": 7, "catch_all": "nobody@d.test"});
    let half = scene.try_set(Kind::Domain, "d.test", half).await;
    assert!(half.is_err(), "{half:?}");
    for _ in 0..2 {
        let domain = scene.directory.find::<Domain>("d.test").await;
        assert!(
            matches!(&domain, Found::Found(domain, _) if domain.message_size.is_none()),
            "{domain:?}"
        );
        scene.directory.cache_clear(None);
    }
}

pub(crate) async fn what_is_touched_is_forgotten_in_its_kind_alone_and_a_flush_forgets_all(
    scene: Scene<impl Fixture>,
) {
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    // By name, whatever is known of all names together.
    let domain = scene.directory.find::<Domain>("o.test").await;
    let other = scene.directory.find::<DomainAlias>("o.test").await;
    assert!(matches!(
        (domain, other),
        (Found::NotFound(_), Found::NotFound(_))
    ));
    let kept = || {
        let kept = |kind| {
            let status = scene.status(kind);
            status.entries + status.absences
        };
        [Kind::Domain, Kind::DomainAlias, Kind::Account].map(kept)
    };
    assert_eq!(kept(), [2, 1, 1], "d.test, no o.test; no other name; bob");
    scene.directory.forget(&[Touched::All(Kind::Account)]);
    assert_eq!(kept(), [2, 1, 0]);
    scene.directory.forget(&[Touched::One {
        kind: Kind::Domain,
        id: None,
        old: Some("d.test".into()),
        new: None,
    }]);
    assert_eq!(kept(), [1, 1, 0]);
    scene.directory.cache_clear(None);
    assert_eq!(kept(), [0, 0, 0]);
}
