//! Hostile clients of the directory, where a test must hold what they contend for.

use remuda_mail::Secret;

use super::*;
use crate::{credentials::Login, store::Store};

/// No time is measured: while nobody may check a hash, whoever wants to finds no place.
#[tokio::test(start_paused = true)]
async fn whether_there_is_an_account_is_not_told_by_whether_a_hash_is_checked() {
    let scene = Scene::new().await;
    let fields = json!({"address": "eve@d.test", "password": "secret"});
    scene.add(Kind::Account, fields).await;
    let password = Secret::new("wrong");
    let all = scene.directory.inner.credentials.checks.available_permits() as u32;
    let checks = scene.directory.inner.credentials.checks.clone();
    for name in [
        "eve@d.test",
        // Without a password.
        "bob@d.test",
        "nobody@d.test",
        "nobody@elsewhere.test",
        "no address",
        "",
    ] {
        let held = checks.clone().acquire_many_owned(all).await.unwrap();
        let login = scene.directory.authenticate(name, &password).await;
        assert_eq!(login, Login::Busy, "{name:?} costs a check");
        drop(held);
        let login = scene.directory.authenticate(name, &password).await;
        assert_eq!(login, Login::Rejected, "{name:?}");
    }
}

/// Whoever sets a password by SQL lets the account log in at once, also where there was none.
#[tokio::test(start_paused = true)]
async fn a_first_password_works_at_once() {
    let scene = Scene::new().await;
    let password = Secret::new("secret");
    assert_eq!(
        scene.directory.authenticate("bob@d.test", &password).await,
        Login::Rejected
    );
    let Object::Account(bob) = scene.bob_with(1).await else {
        panic!("an account")
    };
    let bob = Account {
        hash: Some(crate::credentials::hash::hash("secret").unwrap()),
        ..bob
    };
    scene.double.update(Object::Account(bob), None).await.unwrap();
    let login = scene.directory.authenticate("bob@d.test", &password).await;
    assert!(matches!(login, Login::Accepted(_)), "{login:?}");
}
