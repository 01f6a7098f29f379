//! What a store tells of changes that others make.

use std::sync::Arc;

use remuda_clock::{Clock, SystemClock, before};
use tokio::sync::mpsc;

use super::{Fixture, Watching, account, add, domain, import, is_of, list};
use crate::{
    model::{Kind, Object},
    store::{Missed, Pushed, Store, Touched},
};

pub(crate) async fn a_flush_comes_before_all_else(fixture: &impl Fixture) {
    let (to, mut told) = mpsc::channel(64);
    tokio::spawn(fixture.store().watch(to));
    let clock = SystemClock::new();
    let deadline = clock.now().monotonic + std::time::Duration::from_secs(60);
    for expected in [Pushed::Flush(Missed::Connected), Pushed::Up] {
        assert_eq!(before(&clock, deadline, told.recv()).await, Some(Some(expected)));
    }
}

/// E1, E11.
pub(crate) async fn a_direct_edit_is_told(fixture: &impl Fixture) {
    let store = fixture.store();
    add(&*store, [domain("ex.com"), account("bob@ex.com")]).await;
    let mut watching = Watching::of(store).await;
    for (statement, old, new) in [
        (
            "UPDATE account SET quota = 7;",
            Some("bob@ex.com"),
            Some("bob@ex.com"),
        ),
        (
            "UPDATE account SET local_part = 'jim';",
            Some("bob@ex.com"),
            Some("jim@ex.com"),
        ),
        (
            "INSERT INTO account (local_part, domain) VALUES ('zoe', 'ex.com');",
            None,
            Some("zoe@ex.com"),
        ),
        (
            "DELETE FROM account WHERE local_part = 'zoe';",
            Some("zoe@ex.com"),
            None,
        ),
    ] {
        fixture.sql(statement).await.unwrap();
        let touched = watching.until(Kind::Account, new.or(old).unwrap()).await;
        let told = touched.iter().any(|one| match one {
            Touched::One {
                kind: Kind::Account,
                id: Some(_),
                old: was,
                new: now,
            } => was.as_deref() == old && now.as_deref() == new,
            _ => false,
        });
        assert!(told, "{statement} {touched:?}");
        assert_eq!(touched.len(), 1, "only that one: {touched:?}");
    }
}

/// E2.
pub(crate) async fn what_is_not_committed_is_not_told(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [domain("ex.com"), account("bob@ex.com"), account("jim@ex.com")],
    )
    .await;
    let mut watching = Watching::of(store).await;
    let undone = "BEGIN; UPDATE account SET quota = 7 WHERE local_part = 'bob'; ROLLBACK;";
    fixture.sql(undone).await.unwrap();
    let done = "UPDATE account SET quota = 7 WHERE local_part = 'jim';";
    fixture.sql(done).await.unwrap();
    let touched = watching.until(Kind::Account, "jim@ex.com").await;
    assert!(
        !touched.iter().any(|one| is_of(one, Kind::Account, "bob@ex.com")),
        "{touched:?}"
    );
}

pub(crate) async fn a_member_is_told_as_its_list(fixture: &impl Fixture) {
    let store = fixture.store();
    add(&*store, [domain("ex.com"), list("all@ex.com", &["x@y.test"])]).await;
    let mut watching = Watching::of(store).await;
    for statement in [
        "INSERT INTO list_member SELECT id, 'z@y.test' FROM list;",
        "UPDATE list_member SET address = 'a@y.test' WHERE address = 'z@y.test';",
        "DELETE FROM list_member WHERE address = 'a@y.test';",
    ] {
        fixture.sql(statement).await.unwrap();
        let touched = watching.until(Kind::List, "all@ex.com").await;
        assert!(
            touched.iter().all(|one| is_of(one, Kind::List, "all@ex.com")),
            "{touched:?}"
        );
    }
}

/// B7 over the channel.
pub(crate) async fn a_renamed_domain_is_told_with_its_addresses(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("old.test"),
            account("bob@old.test"),
            list("all@old.test", &[]),
        ],
    )
    .await;
    let mut watching = Watching::of(store).await;
    let rename = "UPDATE domain SET name = 'new.test';";
    fixture.sql(rename).await.unwrap();
    let mut touched = Vec::new();
    for (kind, old, new) in [
        (Kind::Domain, "old.test", "new.test"),
        (Kind::Account, "bob@old.test", "bob@new.test"),
        (Kind::List, "all@old.test", "all@new.test"),
    ] {
        if !touched.iter().any(|one| is_of(one, kind, new)) {
            touched.extend(watching.until(kind, new).await);
        }
        assert!(touched.iter().any(|one| is_of(one, kind, old)), "{touched:?}");
    }
}

/// E6.
pub(crate) async fn many_changes_are_told_as_all_of_their_kind(fixture: &impl Fixture) {
    let store = fixture.store();
    add(&*store, [domain("ex.com")]).await;
    let mut watching = Watching::of(store).await;
    let many = "INSERT INTO account (local_part, domain)
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
        SELECT 'u' || n, 'ex.com' FROM n;";
    fixture.sql(many).await.unwrap();
    assert_eq!(
        watching.next().await,
        Pushed::Changed(vec![Touched::All(Kind::Account)])
    );
}

/// E15.
pub(crate) async fn own_changes_may_be_told_too(fixture: &impl Fixture) {
    let store = fixture.store();
    let mut watching = Watching::of(store.clone()).await;
    add(&*store, [domain("ex.com"), account("bob@ex.com")]).await;
    fixture.sql("UPDATE account SET quota = 7;").await.unwrap();
    let touched = watching.until(Kind::Account, "bob@ex.com").await;
    let strange =
        |one: &&Touched| !is_of(one, Kind::Account, "bob@ex.com") && !is_of(one, Kind::Domain, "ex.com");
    assert_eq!(touched.iter().find(strange), None);
    let _: Arc<dyn Store> = store;
}

/// More accounts than are told one by one, and than the log of changes keeps.
fn many() -> Vec<Object> {
    let accounts = (0..60_000).map(|n| account(&format!("u{n}@ex.com")));
    [domain("ex.com")].into_iter().chain(accounts).collect()
}

/// E6: one flush, which is its own.
pub(crate) async fn an_import_of_ours_is_not_told_again(fixture: &impl Fixture) {
    let store = fixture.store();
    let mut watching = Watching::of(store.clone()).await;
    let imported = import(&*store, many(), true).await.unwrap();
    assert!(imported.touched.contains(&Touched::All(Kind::Account)));
    let edit = "UPDATE account SET quota = 7 WHERE address = 'u7@ex.com';";
    for _ in 0..2 {
        fixture.sql(edit).await.unwrap();
        let touched = watching.until(Kind::Account, "u7@ex.com").await;
        assert!(
            !touched.contains(&Touched::All(Kind::Account)),
            "only the edit: {touched:?}"
        );
    }
}

/// Nobody here has forgotten what another server imports.
pub(crate) async fn an_import_of_anothers_is_told(fixture: &impl Fixture) {
    let mut watching = Watching::of(fixture.store()).await;
    let other = fixture.another().await;
    add(&*other, [domain("ex.com")]).await;
    watching.until(Kind::Domain, "ex.com").await;
    let accounts = many().into_iter().skip(1).take(3000).collect();
    import(&*other, accounts, true).await.unwrap();
    assert_eq!(
        watching.next().await,
        Pushed::Changed(vec![Touched::All(Kind::Account)])
    );
}
