//! A database that does not answer.

use remuda_mail::Secret;

use super::*;
use crate::{
    credentials::Login,
    edit::Extent,
    found::{Cause, Origin},
    store::double::Fault,
};

impl Scene {
    fn fails(&self, fault: Fault) {
        self.double.fail(Some(fault));
    }
}

/// D1, D2, D3.
#[tokio::test(start_paused = true)]
async fn what_is_known_goes_on_fresh_then_stale_then_not_at_all() {
    let scene = Scene::new().await;
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
    scene.fails(Fault::Refuse);
    pass(30).await;
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Cache)));
    pass(40).await;
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Stale)));
    pass(300).await;
    assert_eq!(scene.bob().await, Found::Unavailable(Cause::Database));
    scene.double.fail(None);
    pass(3).await;
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Database)));
}

/// D4, D5: neither unknown, nor the catch-all's, nor somebody else's.
#[tokio::test(start_paused = true)]
async fn what_was_never_asked_for_is_unavailable() {
    let scene = Scene::new().await;
    scene.add(Kind::Account, json!({"address": "all@d.test"})).await;
    let fields = object(json!({"catch_all": "all@d.test"}));
    let edited = scene
        .directory
        .edit((Kind::Domain, "d.test"), Extent::Part, fields, None);
    edited.await.unwrap();
    assert!(matches!(scene.to("all@d.test").await, Verdict::Deliver(_)));
    scene.fails(Fault::Refuse);
    // The names of our domains, all together, are known no longer than any absence.
    pass(11).await;
    for address in ["eve@d.test", "someone@never-seen.test"] {
        assert!(
            matches!(scene.to(address).await, Verdict::Unavailable(_)),
            "{address}"
        );
    }
}

/// D6, D16: what is stale refuses nobody, and no list is expanded from it.
#[tokio::test(start_paused = true)]
async fn what_is_stale_refuses_nobody_and_expands_no_list() {
    let scene = Scene::new().await;
    scene
        .add(Kind::Account, json!({"address": "off@d.test", "active": false}))
        .await;
    scene
        .add(
            Kind::List,
            json!({"address": "l@d.test", "members": ["bob@d.test"]}),
        )
        .await;
    assert!(matches!(scene.to("off@d.test").await, Verdict::Refused(_)));
    assert!(matches!(scene.to("l@d.test").await, Verdict::Deliver(_)));
    assert!(matches!(scene.to("gone@d.test").await, Verdict::Refused(_)));
    scene.fails(Fault::Refuse);
    pass(70).await;
    for address in ["off@d.test", "l@d.test", "gone@d.test"] {
        assert!(
            matches!(scene.to(address).await, Verdict::Unavailable(_)),
            "{address}"
        );
    }
    assert!(matches!(scene.to("bob@d.test").await, Verdict::Deliver(_)));
}

/// C11.
#[tokio::test(start_paused = true)]
async fn a_caller_waits_five_seconds_at_most() {
    let scene = Scene::new().await;
    scene.fails(Fault::Hang);
    let began = scene.directory.now();
    assert_eq!(scene.bob().await, Found::Unavailable(Cause::Late));
    assert_eq!(scene.directory.now().since(began), Duration::from_secs(5));
}

/// D10.
#[tokio::test(start_paused = true)]
async fn the_database_is_spared_while_it_is_down() {
    let scene = Scene::new().await;
    scene.fails(Fault::Refuse);
    let before = scene.loads();
    for number in 0..600 {
        let found = scene
            .directory
            .find::<Account>(&format!("u{number}@d.test"))
            .await;
        assert_eq!(found, Found::Unavailable(Cause::Database));
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let asked = scene.loads() - before;
    assert!((25..=40).contains(&asked), "{asked}");
}

/// D11.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_back_is_found_within_seconds() {
    let scene = Scene::new().await;
    scene.fails(Fault::Refuse);
    for number in 0..20 {
        scene
            .directory
            .find::<Account>(&format!("u{number}@d.test"))
            .await;
        pass(1).await;
    }
    assert!(scene.directory.is_down());
    scene.double.fail(None);
    pass(2).await;
    assert!(matches!(scene.bob().await, Found::Found(..)));
    assert!(!scene.directory.is_down());
}

/// D9.
#[tokio::test(start_paused = true)]
async fn a_login_is_neither_right_nor_wrong_while_nobody_knows() {
    let scene = Scene::new().await;
    let fields = object(json!({"password": "secret"}));
    let edited = scene
        .directory
        .edit((Kind::Account, "bob@d.test"), Extent::Part, fields, None);
    edited.await.unwrap();
    let password = Secret::new("secret");
    let right = scene.directory.authenticate("bob@d.test", &password).await;
    assert!(matches!(right, Login::Accepted(_)), "{right:?}");
    scene.fails(Fault::Refuse);
    pass(70).await;
    let stale = scene.directory.authenticate("bob@d.test", &password).await;
    assert!(matches!(stale, Login::Unavailable(_)), "{stale:?}");
}
