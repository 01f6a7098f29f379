//! Insert, update, delete: what they do and what they refuse.

use remuda_mail::Secret;
use serde_json::json;

use super::{Fixture, account, add, alias, domain, domain_alias, field, list, names, object};
use crate::{
    model::{Kind, Object},
    store::{By, ChangeError, Deletion},
};

/// One of each kind with nothing left at its default, in an order in which they can be stored.
fn one_of_each() -> Vec<Object> {
    let mut account = object(
        Kind::Account,
        json!({"address": "bob@ex.com", "active": false, "quota": 1_u64 << 40, "forward": "bob@other.test",
            "forward_keep": false}),
    );
    if let Object::Account(account) = &mut account {
        account.hash = Some(Secret::new("$argon2id$..."));
    }
    let mut route = object(
        Kind::Route,
        json!({"domain": ".ex.net", "hosts": ["a.test:2700", "b.test:25"], "mx": true, "tls": "verify",
            "preference": [10, 20], "username": "us"}),
    );
    if let Object::Route(route) = &mut route {
        route.password = Some(Secret::new("proof"));
    }
    vec![
        object(
            Kind::Domain,
            json!({"name": "ex.com", "catch_all": "else@other.test", "message_size": 1_000_000,
                "plus_addressing": false, "plus_separator": "--", "account_limit": 5, "alias_limit": 6,
                "list_limit": 7}),
        ),
        domain_alias("ex.org", "ex.com"),
        account,
        alias("info@ex.com", &["bob@ex.com", "else@other.test"]),
        object(
            Kind::List,
            json!({"address": "all@ex.com", "mode": "announcement", "owner": "bob@ex.com", "require_auth": true,
                "members": ["bob@ex.com", "info@ex.com"]}),
        ),
        route,
    ]
}

/// As an object was given: without what the store gives.
fn bare(mut object: Object) -> Object {
    let active = object.head().active;
    *object.head_mut() = crate::model::Head {
        active,
        ..Default::default()
    };
    object
}

pub(crate) async fn an_object_of_each_kind_comes_back_as_it_was(fixture: &impl Fixture) {
    let store = fixture.store();
    for given in one_of_each() {
        let kind = given.kind();
        let changed = store.insert(given.clone()).await.unwrap();
        let head = changed.object.head().clone();
        assert!(head.id > 0 && head.version > 0, "{head:?}");
        assert!(head.created.0 > 1_600_000_000_000, "{head:?}");
        assert_eq!(bare(changed.object.clone()), given);
        let stored = Some(changed.object.clone());
        assert_eq!(store.load(kind, By::Id(head.id)).await.unwrap(), stored);
        assert_eq!(store.load(kind, By::Name(given.name())).await.unwrap(), stored);

        let mut other = changed.object;
        other.head_mut().active = !head.active;
        let changed = store.update(other.clone(), Some(head.version)).await.unwrap();
        assert_eq!(changed.object.head().active, !head.active);
        assert!(changed.object.head().version > head.version);
        assert_eq!(bare(changed.object.clone()), bare(other));
        assert!(names(&changed, kind, Some(given.name()), Some(given.name())));
    }
    for given in one_of_each().into_iter().rev() {
        let (kind, name) = (given.kind(), given.name());
        let changed = store
            .delete(kind, By::Name(name), Deletion::default())
            .await
            .unwrap();
        assert!(names(&changed, kind, Some(name), None), "{changed:?}");
        assert_eq!(changed.object.name(), name);
        assert_eq!(store.load(kind, By::Name(name)).await.unwrap(), None);
        assert_eq!(
            store.load(kind, By::Id(changed.object.head().id)).await.unwrap(),
            None
        );
    }
}

pub(crate) async fn one_look_up_is_one_statement(fixture: &impl Fixture) {
    let store = fixture.store();
    let stored = add(&*store, one_of_each()).await;
    for object in stored {
        let before = store.loads();
        for by in [
            By::Id(object.head().id),
            By::Name(object.name()),
            By::Name("none.test"),
        ] {
            store.load(object.kind(), by).await.unwrap();
        }
        assert_eq!(store.loads() - before, 3, "{}", object.kind());
    }
}

pub(crate) async fn what_is_not_there_is_no_such_thing(fixture: &impl Fixture) {
    let store = fixture.store();
    for given in one_of_each() {
        let kind = given.kind();
        assert_eq!(store.load(kind, By::Id(1)).await.unwrap(), None);
        assert_eq!(store.load(kind, By::Name(given.name())).await.unwrap(), None);
        let gone = store.delete(kind, By::Id(1), Deletion::default()).await;
        assert_eq!(gone, Err(ChangeError::NoSuch(kind)));
        let mut other = given;
        other.head_mut().id = 77;
        assert_eq!(store.update(other, None).await, Err(ChangeError::NoSuch(kind)));
    }
}

/// B12.
pub(crate) async fn a_change_based_on_another_version_is_a_conflict(fixture: &impl Fixture) {
    let store = fixture.store();
    let read = add(&*store, [domain("ex.com"), account("bob@ex.com")])
        .await
        .remove(1);
    let Object::Account(mut first) = read.clone() else {
        panic!()
    };
    first.quota = Some(7);
    let now = store
        .update(Object::Account(first), Some(read.head().version))
        .await
        .unwrap()
        .object;
    let current = now.head().version;

    let late = store.update(read.clone(), Some(read.head().version)).await;
    assert_eq!(late, Err(ChangeError::Conflict { current }));
    let based_on = Some(read.head().version);
    let how = Deletion {
        based_on,
        all_of_it: false,
    };
    let late = store.delete(Kind::Account, By::Name("bob@ex.com"), how).await;
    assert_eq!(late, Err(ChangeError::Conflict { current }));
    let found = store.load(Kind::Account, By::Name("bob@ex.com")).await.unwrap();
    assert_eq!(found, Some(now), "the quota is kept");
}

pub(crate) async fn one_address_is_one_thing(fixture: &impl Fixture) {
    let store = fixture.store();
    let made = |address: &str| {
        [
            account(address),
            alias(address, &["x@other.test"]),
            list(address, &["x@other.test"]),
        ]
    };
    add(&*store, [domain("ex.com")]).await;
    for (n, first) in ["a@ex.com", "b@ex.com", "c@ex.com"].into_iter().enumerate() {
        let by = add(&*store, [made(first)[n].clone()]).await.remove(0).kind();
        for second in made(first) {
            let taken = ChangeError::Taken {
                name: first.into(),
                by,
            };
            assert_eq!(store.insert(second).await, Err(taken));
        }
    }
    let mut other = add(&*store, [account("d@ex.com")]).await.remove(0);
    if let Object::Account(account) = &mut other {
        account.address = crate::model::Mailbox::typed("b@ex.com").unwrap();
    }
    let taken = ChangeError::Taken {
        name: "b@ex.com".into(),
        by: Kind::Alias,
    };
    assert_eq!(store.update(other, None).await, Err(taken));
}

pub(crate) async fn a_domain_and_its_other_names_are_one_set_of_names(fixture: &impl Fixture) {
    let store = fixture.store();
    add(&*store, [domain("ex.com"), domain_alias("ex.org", "ex.com")]).await;
    let taken = |name: &str, by| {
        Err(ChangeError::Taken {
            name: name.into(),
            by,
        })
    };
    for (second, by) in [("ex.com", Kind::Domain), ("ex.org", Kind::DomainAlias)] {
        assert_eq!(store.insert(domain(second)).await, taken(second, by));
    }
    let second = store.insert(domain_alias("ex.org", "ex.com")).await;
    assert_eq!(second, taken("ex.org", Kind::DomainAlias));
    add(&*store, [domain("ex.net")]).await;
    let second = store.insert(domain_alias("ex.net", "ex.com")).await;
    assert_eq!(second, taken("ex.net", Kind::Domain));
    let route = || object(Kind::Route, json!({"domain": "*"}));
    add(&*store, [route()]).await;
    assert_eq!(store.insert(route()).await, taken("*", Kind::Route));
}

pub(crate) async fn an_address_needs_its_domain(fixture: &impl Fixture) {
    let store = fixture.store();
    let address = "bob@none.test";
    for given in [
        account(address),
        alias(address, &["x@y.test"]),
        list(address, &[]),
    ] {
        assert_eq!(field(store.insert(given).await), "address");
    }
    assert_eq!(
        field(store.insert(domain_alias("a.test", "none.test")).await),
        "domain"
    );
    add(&*store, [domain("ex.com"), domain_alias("ex.org", "ex.com")]).await;
    let under_other_name = store.insert(account("bob@ex.org")).await;
    assert_eq!(field(under_other_name), "address");
    assert_eq!(
        field(store.insert(domain_alias("ex.com", "ex.com")).await),
        "domain"
    );
}

pub(crate) async fn limits_of_a_domain_hold(fixture: &impl Fixture) {
    let store = fixture.store();
    let limits = json!({"name": "ex.com", "account_limit": 1, "alias_limit": 1, "list_limit": 0});
    add(&*store, [object(Kind::Domain, limits), domain("free.test")]).await;
    let reached = |kind, limit| Err(ChangeError::LimitReached { kind, limit });
    add(&*store, [account("a@ex.com"), alias("b@ex.com", &["x@y.test"])]).await;
    assert_eq!(store.insert(account("c@ex.com")).await, reached(Kind::Account, 1));
    assert_eq!(
        store.insert(alias("c@ex.com", &["x@y.test"])).await,
        reached(Kind::Alias, 1)
    );
    assert_eq!(store.insert(list("c@ex.com", &[])).await, reached(Kind::List, 0));

    let mut comes = add(&*store, [account("c@free.test")]).await.remove(0);
    if let Object::Account(account) = &mut comes {
        account.address = crate::model::Mailbox::typed("c@ex.com").unwrap();
    }
    assert_eq!(store.update(comes, None).await, reached(Kind::Account, 1));
    let stays = store.load(Kind::Account, By::Name("a@ex.com")).await.unwrap();
    store.update(stays.unwrap(), None).await.unwrap();
}

/// G10.
pub(crate) async fn a_local_catch_all_must_exist(fixture: &impl Fixture) {
    let store = fixture.store();
    let with = |catch_all: &str| json!({"name": "ex.com", "catch_all": catch_all});
    let itself = object(Kind::Domain, with("bob@ex.com"));
    assert_eq!(field(store.insert(itself).await), "catch_all");
    let stored = add(&*store, [domain("ex.com"), domain_alias("ex.org", "ex.com")]).await;
    add(&*store, [account("bob@ex.com")]).await;
    for (catch_all, is_right) in [
        ("bob@ex.com", true),
        ("bob@ex.org", true),
        ("any@other.test", true),
        ("jim@ex.com", false),
        ("jim@ex.org", false),
    ] {
        let mut given = object(Kind::Domain, with(catch_all));
        given.head_mut().id = stored[0].head().id;
        let answer = store.update(given, None).await;
        if is_right {
            answer.unwrap();
        } else {
            assert_eq!(field(answer), "catch_all", "{catch_all}");
        }
    }
}

pub(crate) async fn what_cannot_be_is_refused_by_field(fixture: &impl Fixture) {
    let store = fixture.store();
    add(&*store, [domain("ex.com")]).await;
    for (wrong, kind, given) in [
        (
            "plus_separator",
            Kind::Domain,
            json!({"name": "b.test", "plus_separator": ""}),
        ),
        (
            "plus_separator",
            Kind::Domain,
            json!({"name": "b.test", "plus_separator": "@"}),
        ),
        (
            "message_size",
            Kind::Domain,
            json!({"name": "b.test", "message_size": u64::MAX}),
        ),
        ("address", Kind::Account, json!({"address": "\"a b\"@ex.com"})),
        ("address", Kind::Account, json!({"address": "\"a\\\"b\"@ex.com"})),
        ("address", Kind::Account, json!({"address": "\"a\\\\b\"@ex.com"})),
        ("address", Kind::Account, json!({"address": "a/b@ex.com"})),
        (
            "quota",
            Kind::Account,
            json!({"address": "a@ex.com", "quota": u64::MAX}),
        ),
        (
            "targets",
            Kind::Alias,
            json!({"address": "a@ex.com", "targets": []}),
        ),
        (
            "hosts",
            Kind::Route,
            json!({"domain": "*", "hosts": ["a.test,b.test"]}),
        ),
        ("hosts", Kind::Route, json!({"domain": "*", "hosts": [""]})),
        (
            "preference",
            Kind::Route,
            json!({"domain": "*", "hosts": ["a.test"], "preference": [1, 2]}),
        ),
        ("tls", Kind::Route, json!({"domain": "*", "tls": "always"})),
        (
            "hosts",
            Kind::Route,
            json!({"domain": "*", "hosts": ["a.test:smtp"]}),
        ),
        ("hosts", Kind::Route, json!({"domain": "*", "tls": "encrypt"})),
        ("hosts", Kind::Route, json!({"domain": "*", "username": "me"})),
        (
            "mx",
            Kind::Route,
            json!({"domain": "*", "hosts": ["192.0.2.1"], "mx": true}),
        ),
    ] {
        assert_eq!(
            field(store.insert(object(kind, given.clone())).await),
            wrong,
            "{given}"
        );
    }
    let off = json!({"name": "b.test", "plus_addressing": false, "plus_separator": ""});
    add(&*store, [object(Kind::Domain, off)]).await;
    add(&*store, [alias("a/b@ex.com", &["x@y.test"])]).await;
}

pub(crate) async fn a_domain_in_use_is_deleted_only_with_all_of_it(fixture: &impl Fixture) {
    let store = fixture.store();
    let inside = [
        domain_alias("ex.org", "ex.com"),
        account("bob@ex.com"),
        alias("info@ex.com", &["bob@ex.com"]),
        list("all@ex.com", &["bob@ex.com"]),
    ];
    add(
        &*store,
        [domain("ex.com"), domain("ex.net"), account("bob@ex.net")],
    )
    .await;
    add(&*store, inside.clone()).await;
    let delete = |all_of_it| {
        let how = Deletion {
            based_on: None,
            all_of_it,
        };
        store.delete(Kind::Domain, By::Name("ex.com"), how)
    };
    assert_eq!(delete(false).await, Err(ChangeError::InUse(4)));
    assert!(
        store
            .load(Kind::Account, By::Name("bob@ex.com"))
            .await
            .unwrap()
            .is_some()
    );

    let changed = delete(true).await.unwrap();
    assert!(names(&changed, Kind::Domain, Some("ex.com"), None));
    for one in inside {
        assert!(
            names(&changed, one.kind(), Some(one.name()), None),
            "{}",
            one.name()
        );
        assert_eq!(store.load(one.kind(), By::Name(one.name())).await.unwrap(), None);
    }
    assert!(
        store
            .load(Kind::Account, By::Name("bob@ex.net"))
            .await
            .unwrap()
            .is_some()
    );
    add(&*store, [domain("ex.com"), list("bob@ex.com", &[])]).await;
}

pub(crate) async fn members_are_in_order_and_each_once(fixture: &impl Fixture) {
    let store = fixture.store();
    let given = list(
        "all@ex.com",
        &["zoe@x.test", "Bob@X.test", "al@x.test", "bob@x.test"],
    );
    let mut stored = add(&*store, [domain("ex.com"), given]).await.remove(1);
    let members = |object: &Object| match object {
        Object::List(list) => list
            .members
            .iter()
            .map(|one| one.as_str().to_owned())
            .collect::<Vec<_>>(),
        _ => panic!(),
    };
    assert_eq!(members(&stored), ["al@x.test", "bob@x.test", "zoe@x.test"]);
    if let Object::List(list) = &mut stored {
        list.members.remove(1);
        list.members
            .push(crate::model::Mailbox::typed("cy@x.test").unwrap());
    }
    let version = stored.head().version;
    let now = store.update(stored, Some(version)).await.unwrap().object;
    assert_eq!(members(&now), ["al@x.test", "cy@x.test", "zoe@x.test"]);
    assert!(now.head().version > version);
}
