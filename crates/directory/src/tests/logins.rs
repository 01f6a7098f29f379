//! Who logs in, over what others have changed, and how much that may cost (reference §5.3.14).

use remuda_mail::Secret;
use sha2::{Digest, Sha256};

use super::*;
use crate::{credentials::Login, store::double::Query};

/// A password as hMailServer keeps it, which is quickly checked.
fn quick(password: &str) -> String {
    let digest = Sha256::digest(format!("abc123{password}"));
    let digest: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("abc123{digest}")
}

impl<F: Fixture> Scene<F> {
    async fn login(&self, name: &str, password: &str) -> Login {
        let password = Secret::new(password);
        self.directory.authenticate(name, &password).await
    }
}

pub(crate) async fn a_row_is_read_again_a_few_times_a_second_at_most(scene: Scene<impl Fixture>) {
    let hash = json!({"password_hash": quick("secret")});
    scene.set(Kind::Account, "bob@d.test", hash).await;
    let by_id = |query: &&Query| query.verb == Verb::Load && query.key == "1";
    let before = scene.double.log().iter().filter(by_id).count();
    for _ in 0..30 {
        assert_eq!(scene.login("bob@d.test", "wrong").await, Login::Rejected);
    }
    assert_eq!(scene.double.log().iter().filter(by_id).count() - before, 5);
    scene.pass(5);
    scene.login("bob@d.test", "wrong").await;
    assert_eq!(scene.double.log().iter().filter(by_id).count() - before, 6);
}

/// ST13.
pub(crate) async fn a_password_changed_by_sql_works_at_once(scene: Scene<impl Fixture>) {
    let hash = json!({"password_hash": quick("secret")});
    scene.set(Kind::Account, "bob@d.test", hash).await;
    assert!(matches!(
        scene.login("bob@d.test", "secret").await,
        Login::Accepted(_)
    ));
    let other = quick("other");
    let changed = format!("UPDATE account SET password = '{other}' WHERE address = 'bob@d.test'");
    scene.sql(&changed).await;
    assert!(matches!(
        scene.login("bob@d.test", "other").await,
        Login::Accepted(_)
    ));
    assert_eq!(scene.login("bob@d.test", "secret").await, Login::Rejected);
}

/// A name that nobody has costs what a wrong password costs, and waits for its turn as that does.
pub(crate) async fn hashes_are_checked_a_few_at_a_time_also_for_nobody(scene: Scene<impl Fixture>) {
    let hash = json!({"password_hash": quick("secret")});
    scene.set(Kind::Account, "bob@d.test", hash).await;
    assert_eq!(scene.login("nobody@d.test", "secret").await, Login::Rejected);
    assert!(matches!(scene.bob().await, Found::Found(..)));
    let checks = scene.directory.inner.credentials.checks.clone();
    let all = checks.acquire_many(4).await.unwrap();
    assert_eq!(scene.directory.inner.credentials.checks.available_permits(), 0);
    for name in ["bob@d.test", "nobody@d.test"] {
        // Memory knows, so that there is nothing else to wait for.
        scene.account(name).await;
        let directory = scene.directory.clone();
        let login = tokio::spawn(async move { directory.authenticate(name, &Secret::new("wrong")).await });
        tokio::task::yield_now().await;
        assert!(!login.is_finished(), "{name} waits");
        scene.pass(10);
        let login = login.await.unwrap();
        assert!(matches!(login, Login::Busy), "{name}: {login:?}");
    }
    drop(all);
    assert_eq!(scene.login("bob@d.test", "wrong").await, Login::Rejected);
    assert!(matches!(
        scene.login("bob@d.test", "secret").await,
        Login::Accepted(_)
    ));
}
