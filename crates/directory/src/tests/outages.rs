//! What a database that fails in part takes away, and what not (reference §6 D).

use super::*;
use crate::{
    found::{Cause, Origin},
    loader::LOADS_MAX,
    store::{
        Page,
        double::{Fault, Point},
        postgres,
    },
};

/// D12: each store tries once more by itself; what fails even then is no answer.
pub(crate) async fn a_look_up_that_fails_once_is_no_absence(scene: Scene<impl Fixture>) {
    let eve = json!({"address": "eve@d.test", "targets": ["x@o.test"]});
    scene.add(Kind::Alias, eve).await;
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    scene.double.fail(Some(Fault::Once));
    assert_eq!(scene.to("eve@d.test").await, UNAVAILABLE);
    let absences: u64 = Kind::ALL.iter().map(|kind| scene.status(*kind).absences).sum();
    assert_eq!(absences, 0);
    scene.pass(1);
    assert_eq!(scene.to("eve@d.test").await, "x@o.test");
}

/// D13.
pub(crate) async fn a_cache_that_is_off_has_nothing_for_a_database_that_is_down(scene: Scene<impl Fixture>) {
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    scene.directory.cache_disable().await.unwrap();
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
    scene.double.fail(Some(Fault::Refuse));
    assert_eq!(scene.to("bob@d.test").await, UNAVAILABLE);
    assert_eq!(scene.bob().await, Found::Unavailable(Cause::Database));
    assert_eq!(scene.status(Kind::Account).stale_served, 0);
}

/// D14: the query fails in the middle of the members.
pub(crate) async fn a_list_that_cannot_be_read_whole_is_not_used_in_part(scene: Scene<impl Fixture>) {
    let list = json!({"address": "l@d.test", "members": ["ann@o.test", "zoe@o.test"]});
    scene.add(Kind::List, list).await;
    let broken = "INSERT INTO list_member SELECT id, 'm@y..test' FROM list WHERE address = 'l@d.test'";
    scene.sql(broken).await;
    assert_eq!(scene.to("l@d.test").await, UNAVAILABLE);
    assert_eq!(scene.status(Kind::List).entries, 0);
    scene
        .sql("DELETE FROM list_member WHERE address = 'm@y..test'")
        .await;
    scene.pass(1);
    assert_eq!(scene.to("l@d.test").await, "ann@o.test zoe@o.test");
    // What was whole once is not used either, past its time.
    scene.sql(broken).await;
    scene.pass(70);
    assert_eq!(scene.to("l@d.test").await, UNAVAILABLE);
}

/// D16.
pub(crate) async fn a_list_with_one_member_that_cannot_be_read_is_not_a_smaller_list(
    scene: Scene<impl Fixture>,
) {
    let rows: Vec<String> = (0..500)
        .map(|number| format!("('u{number}', 'd.test')"))
        .collect();
    let accounts = format!(
        "INSERT INTO account (local_part, domain) VALUES {}",
        rows.join(",")
    );
    scene.sql(&accounts).await;
    let members: Vec<String> = (0..500).map(|number| format!("u{number}@d.test")).collect();
    scene
        .add(Kind::List, json!({"address": "l@d.test", "members": members}))
        .await;
    scene
        .sql("UPDATE account SET forward = 'm@y..test' WHERE address = 'u250@d.test'")
        .await;
    assert_eq!(scene.to("l@d.test").await, UNAVAILABLE);
    scene
        .sql("UPDATE account SET forward = NULL WHERE address = 'u250@d.test'")
        .await;
    scene.pass(1);
    assert_eq!(scene.to("l@d.test").await.split(' ').count(), 500);
}

/// D15: as many loads as there are connections for them, and others for everybody else.
pub(crate) async fn look_ups_leave_connections_to_those_who_list_and_change(scene: Scene<impl Fixture>) {
    assert!(LOADS_MAX <= postgres::Limits::default().look_ups_max as usize);
    let before = scene.loads();
    let barrier = scene.double.hold(Kind::Account, Point::BeforeSent);
    let asking: Vec<_> = (0..100)
        .map(|number| {
            let directory = scene.directory.clone();
            tokio::spawn(async move { directory.find::<Account>(&format!("u{number}@d.test")).await })
        })
        .collect();
    for _ in 0..LOADS_MAX {
        barrier.reached().await;
    }
    let page = Page {
        limit: 10,
        ..Page::default()
    };
    let listed = scene.directory.page(Kind::Account, &page).await.unwrap();
    assert_eq!(listed.len(), 1);
    scene
        .set(Kind::Domain, "d.test", json!({"message_size": 7}))
        .await;
    assert_eq!(scene.status(Kind::Account).in_flight, 100);
    assert_eq!(scene.loads(), before + LOADS_MAX);
    barrier.open();
    for one in asking {
        assert!(matches!(one.await.unwrap(), Found::NotFound(_)));
    }
}

/// D10, for the others: no memory, and no query for what is fresh.
pub(crate) async fn what_is_fresh_is_served_as_before_while_the_database_is_down(scene: Scene<impl Fixture>) {
    assert_eq!(quota(&scene.bob().await), Some(1));
    let before = scene.status(Kind::Account);
    scene.double.fail(Some(Fault::Refuse));
    for number in 0..5000 {
        let found = scene.account(&format!("u{number}@d.test")).await;
        assert_eq!(found, Found::Unavailable(Cause::Database));
        assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
    }
    let after = scene.status(Kind::Account);
    assert_eq!(
        (after.bytes, after.negative_bytes, after.in_flight),
        (before.bytes, 0, 0)
    );
    assert_eq!(after.hits, 5000);
}
