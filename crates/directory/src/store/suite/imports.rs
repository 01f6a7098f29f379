//! Imports: all or nothing.

use remuda_mail::Secret;
use serde_json::json;

use super::{Fixture, account, add, alias, domain, import, list, object};
use crate::{
    model::{Kind, Object},
    store::{By, ChangeError, ImportError, Page, Store, Touched},
};

async fn count(store: &dyn Store, kind: Kind) -> usize {
    let page = Page {
        limit: 100_000,
        ..Page::default()
    };
    store.page(kind, &page).await.unwrap().len()
}

pub(crate) async fn an_import_is_stored_as_one(fixture: &impl Fixture) {
    let store = fixture.store();
    let objects = vec![
        domain("ex.com"),
        account("bob@ex.com"),
        alias("info@ex.com", &["bob@ex.com"]),
        list("all@ex.com", &["bob@ex.com", "info@ex.com"]),
        object(Kind::Route, json!({"domain": "*", "hosts": ["192.0.2.1"]})),
    ];
    let imported = import(&*store, objects.clone(), true).await.unwrap();
    assert_eq!((imported.created, imported.replaced), (5, 0));
    for object in objects {
        let touched = imported.touched.iter().any(|one| match one {
            Touched::One { kind, old, new, .. } => {
                *kind == object.kind() && old.is_none() && new.as_deref() == Some(object.name())
            }
            Touched::All(_) => false,
        });
        assert!(touched, "{:?}", imported.touched);
        assert_eq!(count(&*store, object.kind()).await, 1);
    }
}

pub(crate) async fn an_import_with_one_wrong_line_stores_nothing(fixture: &impl Fixture) {
    let store = fixture.store();
    add(&*store, [domain("ex.com")]).await;
    let mut objects: Vec<Object> = (1..1000).map(|n| account(&format!("u{n}@ex.com"))).collect();
    objects.push(account("bob@none.test"));
    match import(&*store, objects, true).await {
        Err(ImportError::Line {
            line: 1000,
            error: ChangeError::Invalid { field: "address", .. },
        }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(count(&*store, Kind::Account).await, 0);
    add(&*store, [account("u1@ex.com")]).await;
}

pub(crate) async fn an_import_that_is_given_up_stores_nothing(fixture: &impl Fixture) {
    let store = fixture.store();
    let given_up = import(&*store, vec![domain("ex.com")], false).await;
    assert_eq!(given_up, Err(ImportError::GivenUp));
    assert_eq!(count(&*store, Kind::Domain).await, 0);
    add(&*store, [domain("ex.com")]).await;
}

pub(crate) async fn an_import_replaces_what_has_the_name(fixture: &impl Fixture) {
    let store = fixture.store();
    let mut bob = account("bob@ex.com");
    if let Object::Account(bob) = &mut bob {
        bob.hash = Some(Secret::new("$argon2id$..."));
    }
    let before = add(&*store, [domain("ex.com"), bob]).await.remove(1);
    let again = object(Kind::Account, json!({"address": "Bob@ex.com", "quota": 7}));
    let imported = import(&*store, vec![again, account("jim@ex.com")], true)
        .await
        .unwrap();
    assert_eq!((imported.created, imported.replaced), (1, 1));
    let found = store
        .load(Kind::Account, By::Name("bob@ex.com"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.head().id, before.head().id);
    assert!(found.head().version > before.head().version);
    match found {
        Object::Account(bob) => {
            assert_eq!(bob.quota, Some(7));
            assert_eq!(
                bob.hash.unwrap().reveal(),
                "$argon2id$...",
                "files hold no passwords: it stays"
            );
        }
        other => panic!("{other:?}"),
    }
}

fn with_catch_all() -> Object {
    object(Kind::Domain, json!({"name": "ex.com", "catch_all": "bob@ex.com"}))
}

pub(crate) async fn a_catch_all_may_come_before_its_account(fixture: &impl Fixture) {
    let store = fixture.store();
    let objects = vec![with_catch_all(), account("bob@ex.com")];
    assert_eq!(import(&*store, objects, true).await.unwrap().created, 2);
}

pub(crate) async fn a_catch_all_that_never_comes_is_the_lines_fault(fixture: &impl Fixture) {
    let store = fixture.store();
    match import(&*store, vec![with_catch_all(), account("jim@ex.com")], true).await {
        Err(ImportError::Line {
            line: 1,
            error: ChangeError::Invalid {
                field: "catch_all", ..
            },
        }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(count(&*store, Kind::Domain).await, 0);
}
