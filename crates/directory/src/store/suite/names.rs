//! Names: spellings, and what a change touches.

use serde_json::json;

use super::{Fixture, account, add, alias, domain, domain_alias, import, list, names, object};
use crate::{
    model::{Kind, Mailbox, Name, Object},
    store::{By, Changed, Store, Touched},
};

/// The object under another name.
fn renamed(mut object: Object, name: &str) -> Object {
    match &mut object {
        Object::Domain(one) => one.name = Name::domain(name).unwrap(),
        Object::DomainAlias(one) => one.name = Name::domain(name).unwrap(),
        Object::Account(one) => one.address = Mailbox::typed(name).unwrap(),
        Object::Alias(one) => one.address = Mailbox::typed(name).unwrap(),
        Object::List(one) => one.address = Mailbox::typed(name).unwrap(),
        Object::Route(one) => one.domain = crate::model::Pattern::typed(name).unwrap(),
    }
    object
}

async fn is_there(store: &dyn Store, kind: Kind, name: &str) -> bool {
    store.load(kind, By::Name(name)).await.unwrap().is_some()
}

/// B1.
pub(crate) async fn every_spelling_finds_one_object(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("B\u{fc}cher.Example."),
            account("J\u{f6}RG@b\u{fc}cher.example"),
        ],
    )
    .await;
    let folded = crate::name::address("jo\u{308}rg@BU\u{308}CHER.example").unwrap();
    assert!(is_there(&*store, Kind::Account, folded.as_str()).await);
    assert!(is_there(&*store, Kind::Domain, "xn--bcher-kva.example").await);
    let again = store.insert(account("\"j\u{f6}rg\"@xn--bcher-kva.example")).await;
    assert!(
        matches!(again, Err(crate::store::ChangeError::Taken { .. })),
        "{again:?}"
    );
}

/// B5.
pub(crate) async fn a_creation_touches_its_name(fixture: &impl Fixture) {
    let store = fixture.store();
    for object in [
        domain("ex.com"),
        domain_alias("ex.org", "ex.com"),
        account("bob@ex.com"),
        alias("info@ex.com", &["bob@ex.com"]),
        list("all@ex.com", &[]),
        object(Kind::Route, json!({"domain": "*"})),
    ] {
        let changed = store.insert(object.clone()).await.unwrap();
        assert!(
            names(&changed, object.kind(), None, Some(object.name())),
            "{changed:?}"
        );
    }
}

/// B2, B3.
pub(crate) async fn a_rename_touches_both_names(fixture: &impl Fixture) {
    let store = fixture.store();
    let stored = add(
        &*store,
        [
            domain("ex.com"),
            domain_alias("a.test", "ex.com"),
            account("a@ex.com"),
            alias("b@ex.com", &["a@ex.com"]),
            list("c@ex.com", &["a@ex.com"]),
            object(Kind::Route, json!({"domain": "*"})),
        ],
    )
    .await;
    for (object, name) in
        stored
            .into_iter()
            .skip(1)
            .zip(["a2.test", "a2@ex.com", "b2@ex.com", "c2@ex.com", ".r.test"])
    {
        let (kind, old, id) = (object.kind(), object.name().to_owned(), object.head().id);
        let changed = store.update(renamed(object, name), None).await.unwrap();
        assert!(names(&changed, kind, Some(&old), Some(name)), "{changed:?}");
        assert_eq!(changed.object.head().id, id);
        assert!(!is_there(&*store, kind, &old).await);
        assert!(is_there(&*store, kind, name).await);
        let back = store.update(renamed(changed.object, &old), None).await.unwrap();
        assert!(names(&back, kind, Some(name), Some(&old)), "{back:?}");
    }
    let list = store
        .load(Kind::List, By::Name("c@ex.com"))
        .await
        .unwrap()
        .unwrap();
    let changed = store.update(renamed(list, "C@EX.com"), None).await.unwrap();
    assert!(
        names(&changed, Kind::List, Some("c@ex.com"), Some("c@ex.com")),
        "only the case"
    );
}

/// B7.
pub(crate) async fn a_renamed_domain_takes_its_addresses_along(fixture: &impl Fixture) {
    let store = fixture.store();
    let stored = add(
        &*store,
        [
            domain("old.test"),
            domain("x.test"),
            domain_alias("old.org", "old.test"),
        ],
    )
    .await;
    let each = [
        (account("bob@old.test"), "bob@new.test"),
        (alias("info@old.test", &["bob@old.test"]), "info@new.test"),
        (list("all@old.test", &["bob@old.test"]), "all@new.test"),
    ];
    add(&*store, each.iter().map(|(object, _)| object.clone())).await;
    add(&*store, [account("bob@x.test")]).await;
    let mut with_catch_all = stored[0].clone();
    if let Object::Domain(domain) = &mut with_catch_all {
        domain.catch_all = Some(Mailbox::typed("bob@old.test").unwrap());
    }
    let Changed { object, .. } = store.update(with_catch_all, None).await.unwrap();

    let changed = store.update(renamed(object, "new.test"), None).await.unwrap();
    assert!(names(&changed, Kind::Domain, Some("old.test"), Some("new.test")));
    assert!(names(
        &changed,
        Kind::DomainAlias,
        Some("old.org"),
        Some("old.org")
    ));
    for (object, new) in each {
        let (kind, old) = (object.kind(), object.name());
        assert!(names(&changed, kind, Some(old), Some(new)), "{changed:?}");
        assert!(!is_there(&*store, kind, old).await);
        assert!(is_there(&*store, kind, new).await);
    }
    assert!(is_there(&*store, Kind::Account, "bob@x.test").await);
    match changed.object {
        Object::Domain(domain) => assert_eq!(domain.catch_all.unwrap().as_str(), "bob@new.test"),
        other => panic!("{other:?}"),
    }
    match store
        .load(Kind::DomainAlias, By::Name("old.org"))
        .await
        .unwrap()
        .unwrap()
    {
        Object::DomainAlias(other) => assert_eq!(other.domain.as_str(), "new.test"),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn many_addresses_are_touched_as_all_of_their_kind(fixture: &impl Fixture) {
    let store = fixture.store();
    let mut objects = vec![domain("old.test"), alias("info@old.test", &["x@y.test"])];
    objects.extend((0..300).map(|n| account(&format!("u{n}@old.test"))));
    let imported = import(&*store, objects, true).await.unwrap();
    assert!(imported.touched.contains(&Touched::All(Kind::Account)));

    let stored = store
        .load(Kind::Domain, By::Name("old.test"))
        .await
        .unwrap()
        .unwrap();
    let changed = store.update(renamed(stored, "new.test"), None).await.unwrap();
    assert!(
        changed.touched.contains(&Touched::All(Kind::Account)),
        "{changed:?}"
    );
    assert!(names(
        &changed,
        Kind::Alias,
        Some("info@old.test"),
        Some("info@new.test")
    ));
    assert!(is_there(&*store, Kind::Account, "u299@new.test").await);
}

pub(crate) async fn a_name_that_is_kept_is_not_taken(fixture: &impl Fixture) {
    let store = fixture.store();
    let stored = add(
        &*store,
        [
            domain("ex.com"),
            domain("ex.net"),
            domain_alias("ex.org", "ex.com"),
        ],
    )
    .await;
    let mut other = stored[2].clone();
    if let Object::DomainAlias(one) = &mut other {
        one.domain = Name::domain("ex.net").unwrap();
    }
    store.update(other, None).await.unwrap();
    store.update(stored[0].clone(), None).await.unwrap();
}
