//! What only PostgreSQL can do wrong: lost connections, lost replies, full pools.

mod shared;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use remuda_clock::SystemClock;
use remuda_testing::{
    postgres::{Database, Postgres},
    proxy::Proxy,
    wait::wait_until_async,
};
use serde_json::json;

use super::*;
use crate::store::Touched;

/// Long enough for a slow machine.
pub(super) const LIMITS: Limits = Limits {
    look_ups_max: 3,
    changes_max: 3,
    connect_max: Duration::from_secs(5),
    look_up_max: Duration::from_secs(20),
    change_max: Duration::from_secs(60),
    heartbeat: Duration::from_secs(60),
};

/// An empty database in the cluster of this program; it ends with the program.
pub(super) fn fresh() -> Database {
    static CLUSTER: OnceLock<Postgres> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Postgres::start().unwrap());
    cluster.database().unwrap()
}

pub(super) fn domain(name: &str) -> Object {
    Object::Domain(serde_json::from_value(json!({"name": name})).unwrap())
}

pub(super) fn account(address: &str) -> Object {
    Object::Account(serde_json::from_value(json!({"address": address})).unwrap())
}

pub(super) async fn open(url: &str, limits: Limits) -> Arc<PostgresStore> {
    let store = PostgresStore::open_with(url, SystemClock::shared(), limits).await;
    Arc::new(store.unwrap())
}

/// A store with `d.test` and `bob@d.test`.
pub(super) async fn with_bob(limits: Limits) -> (Arc<PostgresStore>, Database) {
    let database = fresh();
    let store = open(&database.url, limits).await;
    store.insert(domain("d.test")).await.unwrap();
    store.insert(account("bob@d.test")).await.unwrap();
    (store, database)
}

/// The same database behind a network that can be cut.
pub(super) fn through(database: &Database) -> (Proxy, String) {
    let (before, behind) = database.url.split_once("127.0.0.1:").unwrap();
    let (port, name) = behind.split_once('/').unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let proxy = Proxy::start(server).unwrap();
    let url = format!("{before}{}/{name}", proxy.address());
    (proxy, url)
}

const BOB: By<'static> = By::Name("bob@d.test");

/// D12
#[tokio::test]
async fn a_connection_lost_in_the_pool_costs_one_more_statement() {
    let (store, database) = with_bob(LIMITS).await;
    let hold = "BEGIN; LOCK TABLE account IN ACCESS EXCLUSIVE MODE";
    let mut other = sqlx::PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    // All connections of the pool are made, and are in it when they are lost.
    let waiting = (0..3).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.load(Kind::Account, BOB).await })
    });
    let waiting: Vec<_> = waiting.collect();
    wait_until_async("three look-ups wait", async || store.look_ups.size() == 3).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    for look_up in waiting {
        assert!(look_up.await.unwrap().unwrap().is_some());
    }
    wait_until_async("they are back", async || store.look_ups.num_idle() == 3).await;
    let before = store.loads();
    database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'remuda' \
                  AND datname = current_database()",
        )
        .unwrap();
    assert!(store.load(Kind::Account, BOB).await.unwrap().is_some());
    assert_eq!(store.loads() - before, 2);
    assert!(store.insert(account("ann@d.test")).await.is_ok());
}

/// D12: a statement that was a deadlock's victim is sent once more, and only once.
#[tokio::test]
async fn a_deadlocks_victim_is_sent_once_more() {
    let (store, database) = with_bob(LIMITS).await;
    database
        .execute(
            "ALTER TABLE account RENAME TO real_account; CREATE SEQUENCE looks; CREATE SEQUENCE failures START 1;
             CREATE FUNCTION stumble() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('looks') <= (SELECT last_value FROM failures) THEN
                     RAISE EXCEPTION 'victim' USING ERRCODE = '40P01';
                 END IF;
                 RETURN true;
             END $$;
             CREATE VIEW account AS SELECT * FROM real_account WHERE stumble()",
        )
        .unwrap();
    let before = store.loads();
    assert!(store.load(Kind::Account, BOB).await.unwrap().is_some());
    assert_eq!(store.loads() - before, 2);
    database.execute("SELECT setval('failures', 1000000)").unwrap();
    let answer = store.load(Kind::Account, BOB).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(store.loads() - before, 4);
}

/// D12, D4
#[tokio::test]
async fn what_is_not_answered_in_time_is_unavailable_and_not_absent() {
    let limits = Limits {
        look_up_max: Duration::from_millis(300),
        ..LIMITS
    };
    let (store, database) = with_bob(limits).await;
    let mut other = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let hold = "BEGIN; LOCK TABLE account IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    for by in [BOB, By::Name("nobody@d.test"), By::Id(1)] {
        let answer = store.load(Kind::Account, by).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    // The database has given up as well: nothing waits there for ever.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND datname = current_database()";
    wait_until_async("nobody waits", async || database.execute(waiting).unwrap() == "0").await;
}

/// D15
#[tokio::test]
async fn a_listing_and_a_change_do_not_wait_for_look_ups() {
    let (store, database) = with_bob(LIMITS).await;
    let mut other = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let hold = "BEGIN; LOCK TABLE account IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let waiting: Vec<_> = (0..9)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(Kind::Account, BOB).await })
        })
        .collect();
    wait_until_async("all connections for look-ups wait", async || {
        store.look_ups.size() == 3 && store.look_ups.num_idle() == 0
    })
    .await;
    let page = Page {
        limit: 10,
        ..Page::default()
    };
    assert_eq!(store.page(Kind::Domain, &page).await.unwrap().len(), 1);
    store.insert(domain("e.test")).await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    for look_up in waiting {
        look_up.await.unwrap().unwrap();
    }
}

/// B14
#[tokio::test]
async fn a_commit_without_an_answer_is_unknown_and_says_what_it_touched() {
    let (_, database) = with_bob(LIMITS).await;
    let (proxy, url) = through(&database);
    let store = open(&url, LIMITS).await;
    proxy.lose_reply_to("COMMIT");
    let answer = store.insert(account("ann@d.test")).await;
    let Err(ChangeError::Unknown { touched, .. }) = answer else {
        panic!("{answer:?}");
    };
    let [
        Touched::One {
            kind: Kind::Account,
            old: None,
            new: Some(new),
            ..
        },
    ] = &touched[..]
    else {
        panic!("{touched:?}");
    };
    assert_eq!(&**new, "ann@d.test");
    let there = "SELECT count(*) FROM account WHERE address = 'ann@d.test'";
    wait_until_async("it was committed", async || {
        database.execute(there).unwrap() == "1"
    })
    .await;
    assert!(
        store
            .load(Kind::Account, By::Name("ann@d.test"))
            .await
            .unwrap()
            .is_some()
    );
}

/// B14
#[tokio::test]
async fn a_change_that_did_not_reach_its_commit_did_not_happen() {
    let (_, database) = with_bob(LIMITS).await;
    let (proxy, url) = through(&database);
    let store = open(&url, LIMITS).await;
    proxy.lose_reply_to("INSERT INTO account");
    // Lost once, and done by the second try.
    store.insert(account("ann@d.test")).await.unwrap();
    drop(proxy);
    let answer = store.insert(account("eve@d.test")).await;
    assert!(
        matches!(answer, Err(ChangeError::Store(StoreError::Unavailable(_)))),
        "{answer:?}"
    );
    let all = database
        .execute("SELECT address FROM account ORDER BY 1")
        .unwrap();
    assert_eq!(all, "ann@d.test\nbob@d.test");
}

#[tokio::test]
async fn it_may_be_away_at_the_start() {
    let mut cluster = Postgres::start().unwrap();
    let database = cluster.database().unwrap();
    cluster.stop();
    let limits = Limits {
        connect_max: Duration::from_millis(500),
        ..LIMITS
    };
    let store = open(&database.url, limits).await;
    let answer = store.load(Kind::Account, BOB).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    cluster.start_again().unwrap();
    assert_eq!(store.load(Kind::Account, BOB).await, Ok(None));
    // Away later, killed or stopped where it is, it is unavailable and comes back by itself.
    cluster.kill();
    let answer = store.load(Kind::Account, BOB).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    cluster.start_again().unwrap();
    assert_eq!(store.load(Kind::Account, BOB).await, Ok(None));
}

#[tokio::test]
async fn a_path_that_died_without_a_word_ends_at_the_deadline() {
    let (_, database) = with_bob(LIMITS).await;
    let (proxy, url) = through(&database);
    let limits = Limits {
        look_up_max: Duration::from_millis(500),
        connect_max: Duration::from_millis(500),
        ..LIMITS
    };
    let store = open(&url, limits).await;
    store.load(Kind::Account, BOB).await.unwrap();
    proxy.stall();
    let answer = store.load(Kind::Account, BOB).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    proxy.resume();
    wait_until_async("it answers again", async || {
        store.load(Kind::Account, BOB).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_url_that_makes_no_sense_is_refused_and_a_password_is_not_shown() {
    let clock = SystemClock::shared();
    assert!(
        PostgresStore::open_with("postgres//nonsense", clock.clone(), LIMITS)
            .await
            .is_err()
    );
    let limits = Limits {
        connect_max: Duration::from_millis(50),
        ..LIMITS
    };
    let port = remuda_testing::free_port().unwrap();
    let url = format!("postgres://mx:hunter2@127.0.0.1:{port}/mail");
    let store = PostgresStore::open_with(&url, clock, limits).await.unwrap();
    assert_eq!(store.describe(), format!("postgres://mx@127.0.0.1:{port}/mail"));
}

/// Two servers, one name.
#[tokio::test]
async fn of_two_who_want_a_name_at_once_one_is_told_whose_it_is() {
    let (store, database) = with_bob(LIMITS).await;
    let other = open(&database.url, LIMITS).await;
    for round in 0..10 {
        let name = format!("u{round}@d.test");
        let alias =
            Object::Alias(serde_json::from_value(json!({"address": name, "targets": ["x@y.test"]})).unwrap());
        let (one, two) = tokio::join!(store.insert(account(&name)), other.insert(alias));
        let taken = match (one, two) {
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
            both => panic!("{both:?}"),
        };
        assert!(matches!(taken, ChangeError::Taken { .. }), "{taken:?}");
    }
}

/// Two servers, and room for one.
#[tokio::test]
async fn of_two_who_want_the_last_place_of_a_domain_one_is_refused() {
    let (store, database) = with_bob(LIMITS).await;
    let other = open(&database.url, LIMITS).await;
    database.execute("UPDATE domain SET account_limit = 2").unwrap();
    let mut third = sqlx::PgConnection::connect(&database.url).await.unwrap();
    // Both have looked at the domain, as far as they can, before either has stored anything.
    let hold = "BEGIN; LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut third).await.unwrap();
    let one = tokio::spawn(async move { store.insert(account("v1@d.test")).await });
    let two = tokio::spawn(async move { other.insert(account("v2@d.test")).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND datname = current_database()";
    wait_until_async("both wait", async || database.execute(waits).unwrap() == "2").await;
    sqlx::raw_sql("COMMIT").execute(&mut third).await.unwrap();
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let refused = match (one, two) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        both => panic!("{both:?}"),
    };
    assert!(
        matches!(refused, ChangeError::LimitReached { limit: 2, .. }),
        "{refused:?}"
    );
}

/// Imports them, and ends.
async fn import(store: &PostgresStore, objects: Vec<Object>) -> Result<Imported, ImportError> {
    let (to, from) = mpsc::channel(10);
    let send = async move {
        for (line, object) in (1..).zip(objects) {
            // An import that has failed takes no more.
            let _ = to.send(Import::Object(line, Box::new(object))).await;
        }
        let _ = to.send(Import::End).await;
    };
    tokio::join!(store.import(from), send).0
}

fn accounts(numbers: std::ops::Range<u32>) -> Vec<Object> {
    numbers
        .map(|number| account(&format!("u{number}@d.test")))
        .collect()
}

/// Whether accounts come alone, and are stored together, or not.
#[tokio::test]
async fn an_import_names_the_first_line_that_cannot_be_stored_and_stores_nothing() {
    let (store, database) = with_bob(LIMITS).await;
    let alias = |address: &str| {
        Object::Alias(serde_json::from_value(json!({"address": address, "targets": ["x@y.test"]})).unwrap())
    };
    store.insert(alias("info@d.test")).await.unwrap();
    for (wrong, field) in [
        (account("info@d.test"), "taken"),
        (account("eve@nowhere.test"), "address"),
        (alias("bob@d.test"), "taken"),
    ] {
        let mut objects = accounts(0..1999);
        objects.push(wrong);
        objects.extend(accounts(3000..3100));
        let answer = import(&store, objects).await;
        let Err(ImportError::Line { line: 2000, error }) = answer else {
            panic!("{answer:?}");
        };
        assert!(error.to_string().contains(field), "{error}");
        assert_eq!(database.execute("SELECT count(*) FROM account").unwrap(), "1");
    }
}

#[tokio::test]
async fn an_import_counts_what_is_new_and_what_is_replaced() {
    let (store, database) = with_bob(LIMITS).await;
    let mut objects = accounts(0..1500);
    // Twice in one file: the second replaces the first.
    objects.extend(accounts(1000..1010));
    let imported = import(&store, objects).await.unwrap();
    assert_eq!((imported.created, imported.replaced), (1500, 10));
    assert_eq!(imported.touched, [Touched::All(Kind::Account)]);
    let imported = import(&store, accounts(1490..1510)).await.unwrap();
    assert_eq!((imported.created, imported.replaced), (10, 10));
    assert_eq!(imported.touched.len(), 20);
    assert_eq!(database.execute("SELECT count(*) FROM account").unwrap(), "1511");
}

#[tokio::test]
async fn a_second_import_waits_for_the_first() {
    let (store, database) = with_bob(LIMITS).await;
    let (to, from) = mpsc::channel(10);
    let ours = store.clone();
    let first = tokio::spawn(async move { ours.import(from).await });
    let object = Import::Object(1, Box::new(account("ann@d.test")));
    to.send(object).await.unwrap();
    let ours = store.clone();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()";
    let holds = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = \
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
    wait_until_async("the first has begun", async || {
        database.execute(holds).unwrap() == "1"
    })
    .await;
    let second = tokio::spawn(async move { import(&ours, vec![account("ann@d.test")]).await });
    wait_until_async("the second waits", async || {
        database.execute(waits).unwrap() == "1"
    })
    .await;
    to.send(Import::End).await.unwrap();
    assert_eq!(first.await.unwrap().unwrap().created, 1);
    assert_eq!(second.await.unwrap().unwrap().replaced, 1);
}

/// A domain with a limit is filled to it and not beyond.
#[tokio::test]
async fn an_import_keeps_to_a_domains_limit() {
    let (store, database) = with_bob(LIMITS).await;
    database.execute("UPDATE domain SET account_limit = 31").unwrap();
    let answer = import(&store, accounts(0..31)).await;
    let Err(ImportError::Line { line: 31, error }) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        matches!(error, ChangeError::LimitReached { limit: 31, .. }),
        "{error:?}"
    );
    assert_eq!(import(&store, accounts(0..30)).await.unwrap().created, 30);
}
