//! A database that does not answer.

use remuda_mail::Secret;

use super::*;
use crate::{
    credentials::{Login, Owns},
    edit::Extent,
    found::{Cause, Origin},
    model::{Alias, Mailbox},
    resolve::Refusal,
    store::{Deletion, double::Fault},
};

impl Scene {
    fn fails(&self, fault: Fault) {
        self.double.fail(Some(fault));
    }

    async fn set(&self, kind: Kind, name: &str, fields: Value) {
        let edited = self
            .directory
            .edit((kind, name), Extent::Part, object(fields), None);
        edited.await.unwrap();
    }

    async fn login(&self, password: &str) -> Login {
        let password = Secret::new(password);
        self.directory.authenticate("bob@d.test", &password).await
    }

    /// Whether Bob may send as `sender`.
    async fn owns(&self, sender: &str) -> Owns {
        let bob = Mailbox::typed("bob@d.test").unwrap();
        self.directory.owns(&bob, &sender.parse().unwrap()).await
    }
}

/// D6: what a stale object leads to is as stale as it.
#[tokio::test(start_paused = true)]
async fn what_a_stale_alias_leads_to_refuses_nobody() {
    let scene = Scene::new().await;
    scene.add(Kind::Account, json!({"address": "jim@d.test"})).await;
    let targets = json!({"address": "info@d.test", "targets": ["jim@d.test"]});
    scene.add(Kind::Alias, targets).await;
    assert!(matches!(scene.to("info@d.test").await, Verdict::Deliver(_)));
    scene.fails(Fault::Refuse);
    pass(70).await;
    let stale = scene.directory.find::<Alias>("info@d.test").await;
    assert!(matches!(stale, Found::Found(_, Origin::Stale)), "{stale:?}");
    // The database is back, but the alias is not asked for again yet. Meanwhile somebody else has gone, and whoever
    // gets the alias's mail now may well be there.
    scene.double.fail(None);
    let gone = scene
        .directory
        .delete(Kind::Account, "jim@d.test", Deletion::default());
    gone.await.unwrap();
    assert!(matches!(scene.to("info@d.test").await, Verdict::Unavailable(_)));
    pass(1).await;
    assert!(matches!(scene.to("info@d.test").await, Verdict::Refused(_)));
}

/// §5.3.6: whether an account has the alias's name is not known any more, and need not be.
#[tokio::test(start_paused = true)]
async fn who_is_remembered_to_have_an_address_has_it() {
    let scene = Scene::new().await;
    for (kind, address, of) in [
        (Kind::Alias, "info@d.test", "targets"),
        (Kind::List, "all@d.test", "members"),
    ] {
        scene
            .add(kind, json!({"address": address, of: ["bob@d.test"]}))
            .await;
        assert!(matches!(scene.to(address).await, Verdict::Deliver(_)));
    }
    scene.fails(Fault::Refuse);
    for (seconds, info, all) in [(30, true, true), (40, true, false), (300, false, false)] {
        pass(seconds).await;
        for (address, is_taken) in [("info@d.test", info), ("all@d.test", all)] {
            let verdict = scene.to(address).await;
            assert_eq!(
                matches!(verdict, Verdict::Deliver(_)),
                is_taken,
                "{address}: {verdict:?}"
            );
            assert!(!matches!(verdict, Verdict::Refused(_)), "{address}");
        }
    }
}

/// D2, by a database that hangs: who has waited long enough has what is remembered.
#[tokio::test(start_paused = true)]
async fn a_caller_that_has_waited_has_what_is_remembered() {
    let scene = Scene::new().await;
    scene.bob().await;
    scene.fails(Fault::Hang);
    pass(70).await;
    let began = scene.directory.now();
    assert!(matches!(scene.bob().await, Found::Found(_, Origin::Stale)));
    assert_eq!(scene.directory.now().since(began), Duration::from_secs(5));
    pass(300).await;
    assert_eq!(scene.bob().await, Found::Unavailable(Cause::Late));
}

/// D9.
#[tokio::test(start_paused = true)]
async fn a_login_is_neither_right_nor_wrong_while_nobody_knows() {
    let scene = Scene::new().await;
    scene
        .set(Kind::Account, "bob@d.test", json!({"password": "secret"}))
        .await;
    assert!(matches!(scene.login("secret").await, Login::Accepted(_)));
    scene.fails(Fault::Refuse);
    let before = scene.loads();
    for _ in 0..5 {
        // What does not fit what is remembered may fit what the database would say.
        let unknown = scene.login("other").await;
        assert!(matches!(unknown, Login::Unavailable(_)), "{unknown:?}");
    }
    assert_eq!(scene.loads() - before, 3, "then it is taken to be down");
    assert!(matches!(scene.login("secret").await, Login::Accepted(_)));
    pass(70).await;
    let stale = scene.login("secret").await;
    assert!(matches!(stale, Login::Unavailable(_)), "{stale:?}");
}

/// D6, D9: a domain that was out of use when it was last read, and may be in use by now.
#[tokio::test(start_paused = true)]
async fn a_stale_disabled_domain_rejects_no_login() {
    let scene = Scene::new().await;
    scene
        .set(Kind::Account, "bob@d.test", json!({"password": "secret"}))
        .await;
    scene.set(Kind::Domain, "d.test", json!({"active": false})).await;
    assert_eq!(scene.login("secret").await, Login::Rejected);
    scene.fails(Fault::Refuse);
    pass(30).await;
    assert_eq!(scene.login("secret").await, Login::Rejected, "it is fresh");
    pass(40).await;
    let stale = scene.login("secret").await;
    assert!(matches!(stale, Login::Unavailable(_)), "{stale:?}");
    assert!(matches!(scene.owns("bob@d.test").await, Owns::Unavailable(_)));
}

/// D6: nor does a stale alias, or account, that was not his.
#[tokio::test(start_paused = true)]
async fn what_is_stale_takes_no_senders_address_away() {
    let scene = Scene::new().await;
    scene.add(Kind::Account, json!({"address": "jim@d.test"})).await;
    for (address, to) in [("info@d.test", "bob@d.test"), ("sales@d.test", "jim@d.test")] {
        scene
            .add(Kind::Alias, json!({"address": address, "targets": [to]}))
            .await;
    }
    assert_eq!(scene.owns("bob+x@d.test").await, Owns::Yes);
    assert_eq!(scene.owns("info@d.test").await, Owns::Yes);
    assert_eq!(scene.owns("sales@d.test").await, Owns::No);
    scene.fails(Fault::Refuse);
    pass(70).await;
    assert_eq!(scene.owns("bob@d.test").await, Owns::Yes);
    assert_eq!(scene.owns("info@d.test").await, Owns::Yes);
    assert!(matches!(scene.owns("sales@d.test").await, Owns::Unavailable(_)));
}

/// Beside those who are left, as an account that is out of use.
#[tokio::test(start_paused = true)]
async fn a_member_in_a_disabled_domain_is_left_out() {
    let scene = Scene::new().await;
    scene
        .add(Kind::Domain, json!({"name": "off.test", "active": false}))
        .await;
    let members = ["x@off.test", "bob@d.test"];
    scene
        .add(Kind::List, json!({"address": "l@d.test", "members": members}))
        .await;
    let Verdict::Deliver(targets) = scene.to("l@d.test").await else {
        panic!("it is delivered")
    };
    assert_eq!(targets.len(), 1);
    assert!(matches!(
        scene.to("x@off.test").await,
        Verdict::Refused(Refusal::Disabled)
    ));
}
