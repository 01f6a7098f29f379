//! What the database itself keeps, also for people who write SQL.

use super::{Fixture, account, add, alias, domain, domain_alias, is_senseless, list};
use crate::{
    model::{Kind, Object},
    store::{By, Page},
};

async fn refused(fixture: &impl Fixture, statements: &str) {
    let answer = fixture.sql(statements).await;
    assert!(answer.is_err(), "taken: {statements}");
}

/// B15.
pub(crate) async fn the_database_refuses_a_second_thing_with_an_address(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [domain("ex.com"), account("bob@ex.com"), account("jim@ex.com")],
    )
    .await;
    add(&*store, [list("all@ex.com", &[])]).await;
    for table in ["account", "alias", "list"] {
        for local in ["bob", "all"] {
            refused(
                fixture,
                &format!("INSERT INTO {table} (local_part, domain) VALUES ('{local}', 'ex.com');"),
            )
            .await;
        }
    }
    refused(
        fixture,
        "UPDATE account SET local_part = 'all' WHERE address = 'bob@ex.com';",
    )
    .await;
    refused(
        fixture,
        "UPDATE list SET local_part = 'bob' WHERE address = 'all@ex.com';",
    )
    .await;
    fixture
        .sql("DELETE FROM account WHERE address = 'bob@ex.com';")
        .await
        .unwrap();
    let free = "INSERT INTO list (local_part, domain) VALUES ('bob', 'ex.com');";
    fixture.sql(free).await.unwrap();
    let found = store.load(Kind::List, By::Name("bob@ex.com")).await.unwrap();
    assert!(found.is_some());
}

pub(crate) async fn the_database_refuses_a_name_that_is_domain_and_domain_alias(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("ex.com"),
            domain("ex.net"),
            domain_alias("ex.org", "ex.com"),
        ],
    )
    .await;
    refused(fixture, "INSERT INTO domain (name) VALUES ('ex.org');").await;
    refused(
        fixture,
        "INSERT INTO domain_alias (name, domain) VALUES ('ex.net', 'ex.com');",
    )
    .await;
    refused(
        fixture,
        "UPDATE domain SET name = 'ex.org' WHERE name = 'ex.net';",
    )
    .await;
    refused(fixture, "UPDATE domain_alias SET name = 'ex.com';").await;
}

pub(crate) async fn the_database_refuses_what_is_not_in_normal_form(fixture: &impl Fixture) {
    add(&*fixture.store(), [domain("ex.com"), account("bob@ex.com")]).await;
    for statement in [
        "INSERT INTO domain (name) VALUES ('Ex.org');",
        "INSERT INTO domain (name) VALUES ('');",
        "INSERT INTO domain (name) VALUES ('a@b.test');",
        "INSERT INTO domain_alias (name, domain) VALUES ('Ex.org', 'ex.com');",
        "INSERT INTO account (local_part, domain) VALUES ('Jim', 'ex.com');",
        "INSERT INTO account (local_part, domain) VALUES ('', 'ex.com');",
        "INSERT INTO list (local_part, domain, mode) VALUES ('all', 'ex.com', 'secret');",
        "INSERT INTO route (domain) VALUES ('.Ex.org');",
        "INSERT INTO route (domain, tls) VALUES ('*', 'always');",
        "INSERT INTO account (local_part, domain) VALUES ('a/b', 'ex.com');",
        "INSERT INTO account (local_part, domain) VALUES ('\"a b\"', 'ex.com');",
        "UPDATE domain SET plus_separator = '';",
        "UPDATE domain SET plus_separator = '@';",
        "UPDATE domain SET account_limit = -1;",
        "UPDATE account SET forward = 'nobody';",
        "UPDATE account SET quota = -1;",
    ] {
        refused(fixture, statement).await;
    }
}

pub(crate) async fn the_database_refuses_an_address_without_its_domain(fixture: &impl Fixture) {
    add(&*fixture.store(), [domain("ex.com"), account("bob@ex.com")]).await;
    for table in ["account", "alias", "list"] {
        let statement = format!("INSERT INTO {table} (local_part, domain) VALUES ('jim', 'none.test');");
        refused(fixture, &statement).await;
    }
    refused(fixture, "UPDATE account SET domain = 'none.test';").await;
    refused(
        fixture,
        "INSERT INTO domain_alias (name, domain) VALUES ('a.test', 'none.test');",
    )
    .await;
}

pub(crate) async fn the_database_refuses_to_delete_a_domain_in_use(fixture: &impl Fixture) {
    add(
        &*fixture.store(),
        [domain("ex.com"), domain("ex.net"), account("bob@ex.com")],
    )
    .await;
    refused(fixture, "DELETE FROM domain WHERE name = 'ex.com';").await;
    fixture
        .sql("DELETE FROM domain WHERE name = 'ex.net';")
        .await
        .unwrap();
}

pub(crate) async fn addresses_follow_a_domain_that_is_renamed_by_sql(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("old.test"),
            domain_alias("old.org", "old.test"),
            account("bob@old.test"),
        ],
    )
    .await;
    add(
        &*store,
        [alias("info@old.test", &["x@y.test"]), list("all@old.test", &[])],
    )
    .await;
    let rename = "UPDATE domain SET name = 'new.test' WHERE name = 'old.test';";
    fixture.sql(rename).await.unwrap();
    for (kind, local) in [(Kind::Account, "bob"), (Kind::Alias, "info"), (Kind::List, "all")] {
        let load = async |domain| {
            let name = format!("{local}@{domain}");
            store.load(kind, By::Name(&name)).await.unwrap()
        };
        assert_eq!(load("old.test").await, None);
        assert!(load("new.test").await.unwrap().head().version > 1);
    }
    refused(
        fixture,
        "INSERT INTO list (local_part, domain) VALUES ('bob', 'new.test');",
    )
    .await;
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

pub(crate) async fn versions_grow_with_sql(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("ex.com"),
            account("bob@ex.com"),
            list("all@ex.com", &["x@y.test"]),
        ],
    )
    .await;
    for (kind, name, statement) in [
        (Kind::Domain, "ex.com", "UPDATE domain SET plus_separator = '--';"),
        (Kind::Account, "bob@ex.com", "UPDATE account SET quota = 7;"),
        (
            Kind::Account,
            "bob@ex.com",
            "UPDATE account SET version = 1, quota = 8;",
        ),
        (Kind::List, "all@ex.com", "UPDATE list SET owner = 'bob@ex.com';"),
        (
            Kind::List,
            "all@ex.com",
            "INSERT INTO list_member SELECT id, 'z@y.test' FROM list;",
        ),
        (
            Kind::List,
            "all@ex.com",
            "UPDATE list_member SET address = 'a@y.test' WHERE address = 'z@y.test';",
        ),
        (
            Kind::List,
            "all@ex.com",
            "DELETE FROM list_member WHERE address = 'x@y.test';",
        ),
    ] {
        let before = store.load(kind, By::Name(name)).await.unwrap().unwrap();
        fixture.sql(statement).await.unwrap();
        let now = store.load(kind, By::Name(name)).await.unwrap().unwrap();
        assert!(now.head().version > before.head().version, "{statement}");
        assert!(now.head().changed >= before.head().changed, "{statement}");
        assert_ne!(now, before, "{statement}");
    }
}

/// D16: a list comes with all its members or not at all.
pub(crate) async fn a_row_that_makes_no_sense_is_an_error(fixture: &impl Fixture) {
    let store = fixture.store();
    add(
        &*store,
        [
            domain("ex.com"),
            list("all@ex.com", &["x@y.test"]),
            list("ok@ex.com", &[]),
        ],
    )
    .await;
    let statements = "INSERT INTO list_member SELECT id, 'z@y..test' FROM list WHERE address = 'all@ex.com';
        INSERT INTO alias (local_part, domain) VALUES ('info', 'ex.com');
        INSERT INTO account (local_part, domain) VALUES ('jo\u{308}rg', 'ex.com');";
    fixture.sql(statements).await.unwrap();
    let typed = "jo\u{308}rg@ex.com";
    for (kind, name) in [
        (Kind::Account, typed),
        (Kind::List, "all@ex.com"),
        (Kind::Alias, "info@ex.com"),
    ] {
        let answer = store.load(kind, By::Name(name)).await;
        assert!(is_senseless(&answer), "{answer:?}");
        assert!(answer.unwrap_err().to_string().contains(name));
        let page = Page {
            limit: 10,
            ..Page::default()
        };
        assert!(
            is_senseless(&store.page(kind, &page).await),
            "no page leaves it out"
        );
    }
    let other = store.load(Kind::List, By::Name("ok@ex.com")).await.unwrap();
    assert!(other.is_some());
}

pub(crate) async fn objects_written_by_sql_are_objects(fixture: &impl Fixture) {
    let store = fixture.store();
    let statements = "INSERT INTO domain (name, catch_all) VALUES ('ex.com', 'any@other.test');
        INSERT INTO domain_alias (name, domain) VALUES ('ex.org', 'ex.com');
        INSERT INTO account (local_part, domain, password) VALUES ('bob', 'ex.com', '$argon2id$...');
        INSERT INTO alias (local_part, domain) VALUES ('info', 'ex.com');
        INSERT INTO alias_target SELECT id, 'bob@ex.com' FROM alias WHERE address = 'info@ex.com';
        INSERT INTO list (local_part, domain, mode) VALUES ('all', 'ex.com', 'membership');
        INSERT INTO list_member SELECT id, 'bob@ex.com' FROM list WHERE address = 'all@ex.com';
        INSERT INTO route (domain, hosts, preference) VALUES ('*', 'a.test:25,  192.0.2.1', '10,20');";
    fixture.sql(statements).await.unwrap();
    for (kind, name) in [
        (Kind::Domain, "ex.com"),
        (Kind::DomainAlias, "ex.org"),
        (Kind::Alias, "info@ex.com"),
        (Kind::List, "all@ex.com"),
    ] {
        let found = store.load(kind, By::Name(name)).await.unwrap().unwrap();
        assert!(found.head().active && found.head().created.0 > 1_600_000_000_000);
    }
    match store
        .load(Kind::Account, By::Name("bob@ex.com"))
        .await
        .unwrap()
        .unwrap()
    {
        Object::Account(bob) => {
            assert!(bob.forward_keep && bob.quota.is_none());
            assert_eq!(bob.hash.unwrap().reveal(), "$argon2id$...");
        }
        other => panic!("{other:?}"),
    }
    match store.load(Kind::Route, By::Name("*")).await.unwrap().unwrap() {
        Object::Route(route) => {
            assert_eq!(route.hosts, ["a.test:25", "192.0.2.1"]);
            assert_eq!(route.preference, [10, 20]);
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn the_examples_of_the_documentation_work(fixture: &impl Fixture) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/directory-schema.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```sql").unwrap();
    let (examples, _) = rest.split_once("```").unwrap();
    fixture.sql(examples).await.unwrap();
    let store = fixture.store();
    let bob = By::Name("bob@example.com");
    let bob = store.load(Kind::Account, bob).await.unwrap().unwrap();
    assert!(!bob.head().active);
    for (kind, name) in [
        (Kind::Alias, "info@example.com"),
        (Kind::DomainAlias, "example.org"),
    ] {
        assert!(
            store.load(kind, By::Name(name)).await.unwrap().is_some(),
            "{name}"
        );
    }
}
