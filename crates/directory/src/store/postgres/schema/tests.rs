//! Migrations, and what the tables refuse by themselves.

use std::sync::Arc;

use super::super::tests::{LIMITS, account, domain, fresh};
use super::*;
use crate::{
    model::Kind,
    store::{By, Store as _, postgres::PostgresStore},
};

#[tokio::test]
async fn two_programs_that_start_at_once_do_not_disturb_each_other() {
    let database = fresh();
    let open = || PostgresStore::open_with(&database.url, remuda_clock::SystemClock::shared(), LIMITS);
    let (one, two, three) = tokio::join!(open(), open(), open());
    for store in [one, two, three] {
        assert_eq!(
            store.unwrap().load(Kind::Domain, By::Name("d.test")).await,
            Ok(None)
        );
    }
    assert_eq!(
        database.execute("SELECT version FROM schema_version").unwrap(),
        "1"
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_in_plain_words() {
    let database = fresh();
    let open = || PostgresStore::open_with(&database.url, remuda_clock::SystemClock::shared(), LIMITS);
    open().await.unwrap();
    database
        .execute("UPDATE schema_version SET version = 99")
        .unwrap();
    let error = open().await.err().unwrap();
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn a_migration_is_there_altogether_or_not_at_all() {
    let database = fresh();
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let broken = [MIGRATIONS[0], "CREATE TABLE more (); SELECT 1 / 0"];
    assert!(migrate(&mut connection, &broken).await.is_err());
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.execute(tables).unwrap(), "0");
    // The connection is as good as before, and a store of one version becomes one of the next.
    assert_eq!(migrate(&mut connection, &MIGRATIONS).await.unwrap(), 1);
    let next = [MIGRATIONS[0], "CREATE TABLE more ()"];
    assert_eq!(migrate(&mut connection, &next).await.unwrap(), 2);
    assert_eq!(migrate(&mut connection, &MIGRATIONS).await.unwrap(), 2);
    assert!(bring_up(&mut connection).await.is_err());
}

/// B15, and its like for domains.
#[tokio::test]
async fn one_address_is_one_thing_also_for_who_writes_sql() {
    let database = fresh();
    let clock = remuda_clock::SystemClock::shared();
    let store = Arc::new(
        PostgresStore::open_with(&database.url, clock, LIMITS)
            .await
            .unwrap(),
    );
    store.insert(domain("d.test")).await.unwrap();
    store.insert(domain("e.test")).await.unwrap();
    store.insert(account("bob@d.test")).await.unwrap();
    for refused in [
        "INSERT INTO alias (local_part, domain) VALUES ('bob', 'd.test')",
        "INSERT INTO list (local_part, domain) VALUES ('bob', 'd.test')",
        "INSERT INTO account (local_part, domain) VALUES ('bob', 'd.test')",
        "INSERT INTO account (local_part, domain) VALUES ('Ann', 'd.test')",
        "INSERT INTO account (local_part, domain) VALUES ('a nn', 'd.test')",
        "INSERT INTO account (local_part, domain) VALUES ('ann', 'no.test')",
        "INSERT INTO domain (name) VALUES ('D.test')",
        "INSERT INTO domain_alias (name, domain) VALUES ('e.test', 'd.test')",
        "UPDATE account SET id = 77",
        "DELETE FROM domain WHERE name = 'd.test'",
    ] {
        assert!(database.execute(refused).is_err(), "{refused}");
    }
    for done in [
        "INSERT INTO domain_alias (name, domain) VALUES ('f.test', 'd.test')",
        "INSERT INTO account (local_part, domain) VALUES ('ann', 'd.test')",
        "UPDATE account SET local_part = 'eve' WHERE local_part = 'ann'",
        "INSERT INTO alias (local_part, domain) VALUES ('ann', 'd.test')",
        "DELETE FROM account WHERE local_part = 'eve'",
        "INSERT INTO list (local_part, domain) VALUES ('eve', 'd.test')",
        "UPDATE domain SET name = 'g.test' WHERE name = 'd.test'",
        "INSERT INTO domain (name) VALUES ('d.test')",
        "INSERT INTO list (local_part, domain) VALUES ('bob', 'd.test')",
    ] {
        database.execute(done).unwrap();
    }
    assert!(
        database
            .execute("INSERT INTO domain (name) VALUES ('f.test')")
            .is_err()
    );
    let all = "SELECT string_agg(address || ' ' || kind, ', ' ORDER BY address) FROM address";
    assert_eq!(
        database.execute(all).unwrap(),
        "ann@g.test alias, bob@d.test list, bob@g.test account, eve@g.test list"
    );
}

#[tokio::test]
async fn versions_and_times_are_the_databases_own() {
    let database = fresh();
    let clock = remuda_clock::SystemClock::shared();
    let store = PostgresStore::open_with(&database.url, clock, LIMITS)
        .await
        .unwrap();
    store.insert(domain("d.test")).await.unwrap();
    let row = "SELECT version, created > 1700000000000, changed >= created FROM domain";
    assert_eq!(database.execute(row).unwrap(), "1|t|t");
    database
        .execute("UPDATE domain SET version = 77, created = 3, changed = 4")
        .unwrap();
    assert_eq!(database.execute(row).unwrap(), "2|t|t");
    // What changes nothing is no change.
    database.execute("UPDATE domain SET active = active").unwrap();
    assert_eq!(database.execute(row).unwrap(), "2|t|t");
}

#[tokio::test]
async fn who_may_write_one_table_needs_no_right_to_the_registers() {
    let database = fresh();
    let clock = remuda_clock::SystemClock::shared();
    let store = PostgresStore::open_with(&database.url, clock, LIMITS)
        .await
        .unwrap();
    store.insert(domain("d.test")).await.unwrap();
    let name = database.url.rsplit('/').next().unwrap();
    let sql = format!(
        "CREATE ROLE clerk_{name}; GRANT INSERT ON account TO clerk_{name}; SET ROLE clerk_{name};
         CREATE TEMPORARY TABLE address (address text, kind text, ref_id bigint);
         INSERT INTO account (local_part, domain) VALUES ('bob', 'd.test')"
    );
    database.execute(&sql).unwrap();
    assert_eq!(database.execute("SELECT kind FROM address").unwrap(), "account");
}

#[tokio::test]
async fn the_log_is_bounded() {
    let database = fresh();
    let clock = remuda_clock::SystemClock::shared();
    let store = PostgresStore::open_with(&database.url, clock, LIMITS)
        .await
        .unwrap();
    store.insert(domain("d.test")).await.unwrap();
    let later = "SELECT setval(pg_get_serial_sequence('change_log', 'seq'), 50000)";
    database.execute(later).unwrap();
    store.insert(account("bob@d.test")).await.unwrap();
    let log = "SELECT string_agg(new_name, ' ' ORDER BY seq) FROM change_log";
    assert_eq!(database.execute(log).unwrap(), "bob@d.test");
}
