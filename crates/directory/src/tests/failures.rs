//! A database that does not answer (reference §6 D).

use remuda_mail::Secret;

use super::*;
use crate::{
    credentials::Login,
    found::{Cause, Origin},
    store::double::{Barrier, Fault, Point},
    switches::Key,
};

/// D1, D2, D3.
pub(crate) async fn what_is_known_goes_on_fresh_then_stale_then_not_at_all(scene: Scene<impl Fixture>) {
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
    scene.double.fail(Some(Fault::Refuse));
    scene.pass(30);
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
    scene.pass(40);
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Stale)));
    assert_eq!(scene.status(Kind::Account).stale_served, 1);
    scene.at(60_000 + 301_000);
    assert_eq!(scene.bob().await, Found::Unavailable(Cause::Database));
    scene.double.fail(None);
    scene.pass(3);
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
}

/// D4, D5: neither unknown, nor the catch-all's, nor somebody else's.
pub(crate) async fn what_was_never_asked_for_is_unavailable(scene: Scene<impl Fixture>) {
    scene.add(Kind::Account, json!({"address": "all@d.test"})).await;
    scene
        .set(Kind::Domain, "d.test", json!({"catch_all": "all@d.test"}))
        .await;
    assert_eq!(scene.to("all@d.test").await, "all@d.test*");
    scene.double.fail(Some(Fault::Refuse));
    // The names of our domains, all together, are known no longer than any absence.
    scene.pass(11);
    for address in ["eve@d.test", "someone@never-seen.test"] {
        assert_eq!(scene.to(address).await, UNAVAILABLE, "{address}");
    }
}

/// D6.
pub(crate) async fn what_is_stale_refuses_nobody(scene: Scene<impl Fixture>) {
    for (kind, fields) in [
        (Kind::Account, json!({"address": "off@d.test", "active": false})),
        (
            Kind::List,
            json!({"address": "l@d.test", "members": ["bob@d.test"]}),
        ),
        (
            Kind::List,
            json!({"address": "own@d.test", "mode": "domain", "members": ["bob@d.test"]}),
        ),
    ] {
        scene.add(kind, fields).await;
    }
    for (address, before) in [
        ("off@d.test", "disabled"),
        ("l@d.test", "bob@d.test*"),
        ("own@d.test", "not_allowed"),
        ("gone@d.test", UNKNOWN),
    ] {
        assert_eq!(scene.to(address).await, before);
    }
    scene.double.fail(Some(Fault::Refuse));
    scene.pass(70);
    for address in ["off@d.test", "l@d.test", "own@d.test", "gone@d.test"] {
        assert_eq!(scene.to(address).await, UNAVAILABLE, "{address}");
    }
    assert_eq!(scene.to("bob@d.test").await, "bob@d.test*");
}

impl<F: Fixture> Scene<F> {
    /// Keeps a kind for five seconds only, so that it is stale while the absences of other kinds are fresh.
    async fn soon_stale(&self, kind: Kind) {
        let soon = vec![(Key::Ttl(kind), Some(5_000))];
        self.directory.cache_set(soon).await.unwrap();
    }
}

/// D16: who has left it must not get its mail.
pub(crate) async fn no_list_is_expanded_from_stale_memory(scene: Scene<impl Fixture>) {
    scene.soon_stale(Kind::List).await;
    let list = json!({"address": "l@d.test", "members": ["bob@d.test"]});
    scene.add(Kind::List, list).await;
    assert_eq!(scene.to("l@d.test").await, "bob@d.test*");
    scene.double.fail(Some(Fault::Refuse));
    scene.pass(7);
    assert_eq!(scene.to("l@d.test").await, UNAVAILABLE);
    assert_eq!(scene.status(Kind::List).stale_served, 1, "it was the list");
}

/// D6: neither who may send to a list.
pub(crate) async fn a_stale_name_decides_nothing(scene: Scene<impl Fixture>) {
    scene.soon_stale(Kind::DomainAlias).await;
    let old = json!({"name": "old.test", "domain": "d.test"});
    scene.add(Kind::DomainAlias, old).await;
    let list = json!({"address": "l@d.test", "mode": "membership", "members": ["bob@d.test"]});
    scene.add(Kind::List, list).await;
    assert_eq!(scene.to_from("l@d.test", "bob@old.test").await, "bob@d.test*");
    assert_eq!(scene.to_from("l@d.test", "eve@old.test").await, "not_allowed");
    scene.double.fail(Some(Fault::Refuse));
    scene.pass(7);
    assert_eq!(scene.to_from("l@d.test", "eve@old.test").await, UNAVAILABLE);
    assert_eq!(scene.status(Kind::DomainAlias).stale_served, 1, "it was the name");
    assert_eq!(scene.to_from("l@d.test", "eve@d.test").await, "not_allowed");
}

impl<F: Fixture> Scene<F> {
    /// Somebody asks for Bob now, of whom nothing comes, and is put off at this many milliseconds after the start.
    async fn put_off_at(&self, millis: u64) -> Barrier {
        let barrier = self.double.hold(Kind::Account, Point::AfterRows);
        let asking = self.ask("bob@d.test");
        barrier.reached().await;
        self.at(millis - 1);
        tokio::task::yield_now().await;
        assert!(!asking.is_finished());
        self.at(millis);
        assert_eq!(asking.await.unwrap(), Found::Unavailable(Cause::Late));
        barrier
    }
}

/// C11.
pub(crate) async fn a_caller_waits_five_seconds_at_most_and_the_load_goes_on(scene: Scene<impl Fixture>) {
    let barrier = scene.put_off_at(5_000).await;
    let before = scene.loads();
    barrier.open();
    wait_until_async("the load ends", async || scene.status(Kind::Account).entries == 1).await;
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
    assert_eq!(scene.loads(), before);
}

/// C11, D11: whoever tries a database that is down and hangs is answered soon, and has it found when it is back.
pub(crate) async fn who_tries_a_database_that_is_down_waits_two_seconds(scene: Scene<impl Fixture>) {
    scene.double.fail(Some(Fault::Refuse));
    for number in 0..3 {
        scene.account(&format!("u{number}@d.test")).await;
    }
    assert!(scene.directory.is_down());
    scene.double.fail(None);
    scene.pass(10);
    let barrier = scene.put_off_at(12_000).await;
    barrier.open();
    wait_until_async("it is found", async || !scene.directory.is_down()).await;
}

/// D10: attempts by the back-off, however many ask.
pub(crate) async fn the_database_is_spared_while_it_is_down(scene: Scene<impl Fixture>) {
    scene.double.fail(Some(Fault::Refuse));
    let before = scene.loads();
    for number in 0..600 {
        let found = scene.account(&format!("u{number}@d.test")).await;
        assert_eq!(found, Found::Unavailable(Cause::Database));
        scene.clock.advance(Duration::from_millis(100));
    }
    let asked = scene.loads() - before;
    assert!((25..=40).contains(&asked), "{asked}");
}

/// D11.
pub(crate) async fn a_database_that_is_back_is_found_within_seconds(scene: Scene<impl Fixture>) {
    scene.double.fail(Some(Fault::Refuse));
    for number in 0..20 {
        scene.account(&format!("u{number}@d.test")).await;
        scene.pass(1);
    }
    assert!(scene.directory.is_down());
    scene.double.fail(None);
    scene.pass(2);
    assert!(matches!(scene.bob().await, Found::Found(..)));
    assert!(!scene.directory.is_down());
}

/// D9.
pub(crate) async fn a_login_is_neither_right_nor_wrong_while_nobody_knows(scene: Scene<impl Fixture>) {
    scene
        .set(Kind::Account, "bob@d.test", json!({"password": "secret"}))
        .await;
    let (right, wrong) = (Secret::new("secret"), Secret::new("wrong"));
    let login = scene.directory.authenticate("bob@d.test", &right).await;
    assert!(matches!(login, Login::Accepted(_)), "{login:?}");
    scene.double.fail(Some(Fault::Refuse));
    scene.pass(30);
    let fresh = scene.directory.authenticate("bob@d.test", &right).await;
    assert!(matches!(fresh, Login::Accepted(_)), "{fresh:?}");
    let fresh = scene.directory.authenticate("bob@d.test", &wrong).await;
    assert!(matches!(fresh, Login::Unavailable(_)), "{fresh:?}");
    scene.pass(40);
    for password in [&right, &wrong] {
        let stale = scene.directory.authenticate("bob@d.test", password).await;
        assert!(matches!(stale, Login::Unavailable(_)), "{stale:?}");
    }
}
