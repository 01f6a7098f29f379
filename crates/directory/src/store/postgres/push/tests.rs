//! Section E of the reference, on a real PostgreSQL.

use std::sync::Mutex;

use remuda_clock::SystemClock;
use remuda_testing::{
    postgres::{Database, Postgres},
    wait::{PATIENCE, wait_until_async},
};
use rustix::process::{Pid, Signal, kill_process};

use super::super::{
    super::{By, Touched},
    Answering, Limits,
    tests::{LIMITS, account, domain, fresh, open, through, with_bob},
};
use super::*;
use crate::{
    model::{Kind, Object},
    store::Store as _,
};

/// A watch whose end is that of its receiver.
struct Watch(mpsc::Receiver<Pushed>);

impl Watch {
    fn start(store: &Arc<PostgresStore>) -> Watch {
        let (to, from) = mpsc::channel(1000);
        tokio::spawn(store.clone().watch(to));
        Watch(from)
    }

    /// A watch that has come up.
    async fn up(store: &Arc<PostgresStore>) -> Watch {
        let mut watch = Watch::start(store);
        assert_eq!(watch.next().await, Pushed::Flush(Missed::Connected));
        assert_eq!(watch.next().await, Pushed::Up);
        watch
    }

    async fn next(&mut self) -> Pushed {
        let clock = SystemClock::new();
        use remuda_clock::Clock as _;
        let next = before(&clock, clock.now().monotonic + PATIENCE, self.0.recv()).await;
        next.expect("something is told").expect("it goes on")
    }

    /// What is told up to the insertion of a domain, which this makes.
    async fn until(&mut self, database: &Database, marker: &str) -> Vec<Touched> {
        database
            .execute(&format!("INSERT INTO domain (name) VALUES ('{marker}')"))
            .unwrap();
        let mut all = Vec::new();
        loop {
            let Pushed::Changed(some) = self.next().await else {
                panic!("not a change");
            };
            for one in some {
                if matches!(&one, Touched::One { kind: Kind::Domain, new: Some(new), .. } if **new == *marker)
                {
                    return all;
                }
                all.push(one);
            }
        }
    }

    async fn down_and_up(&mut self) {
        let down = self.next().await;
        assert!(matches!(down, Pushed::Down(_)), "{down:?}");
        assert_eq!(self.next().await, Pushed::Flush(Missed::Connected));
        assert_eq!(self.next().await, Pushed::Up);
    }
}

fn one(kind: Kind, old: Option<&str>, new: Option<&str>) -> Touched {
    Touched::One {
        kind,
        id: Some(1),
        old: old.map(Into::into),
        new: new.map(Into::into),
    }
}

async fn quota(store: &PostgresStore) -> Option<u64> {
    match store.load(Kind::Account, By::Name("bob@d.test")).await.unwrap() {
        Some(Object::Account(bob)) => bob.quota,
        other => panic!("{other:?}"),
    }
}

/// E1
#[tokio::test]
async fn a_direct_edit_is_told_and_can_be_read_then() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    database.execute("UPDATE account SET quota = 7").unwrap();
    let bob = Some("bob@d.test");
    assert_eq!(
        watch.next().await,
        Pushed::Changed(vec![one(Kind::Account, bob, bob)])
    );
    assert_eq!(quota(&store).await, Some(7));
}

/// E1: names before and after, of all that follows.
#[tokio::test]
async fn a_rename_tells_both_names_of_all_that_follows() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    database
        .execute(
            "UPDATE account SET local_part = 'a|b%c'; UPDATE domain SET name = 'e.test'; DELETE FROM account",
        )
        .unwrap();
    assert_eq!(
        watch.until(&database, "marker.test").await,
        [
            one(Kind::Account, Some("bob@d.test"), Some("a|b%c@d.test")),
            one(Kind::Domain, Some("d.test"), Some("e.test")),
            one(Kind::Account, Some("a|b%c@d.test"), Some("a|b%c@e.test")),
            one(Kind::Account, Some("a|b%c@e.test"), None),
        ]
    );
}

/// B10, E1
#[tokio::test]
async fn a_target_or_member_that_comes_or_goes_is_a_change_of_its_owner() {
    let database = fresh();
    let store = open(&database.url, LIMITS).await;
    store.insert(domain("d.test")).await.unwrap();
    for table in ["alias", "list"] {
        let sql = format!("INSERT INTO {table} (local_part, domain) VALUES ('{table}', 'd.test')");
        database.execute(&sql).unwrap();
    }
    let mut watch = Watch::up(&store).await;
    for (round, sql) in [
        "INSERT INTO alias_target SELECT 1, 'x' || g || '@y.test' FROM generate_series(1, 9) g",
        "UPDATE alias_target SET address = 'z@y.test' WHERE address = 'x1@y.test'",
        "DELETE FROM alias_target WHERE address = 'x2@y.test'",
        "TRUNCATE alias_target",
        "INSERT INTO list_member SELECT 1, 'x' || g || '@y.test' FROM generate_series(1, 9) g",
        "DELETE FROM list_member WHERE address = 'x2@y.test'",
        "TRUNCATE list_member",
    ]
    .into_iter()
    .enumerate()
    {
        let (kind, name) = match round < 4 {
            true => (Kind::Alias, Some("alias@d.test")),
            false => (Kind::List, Some("list@d.test")),
        };
        database.execute(sql).unwrap();
        let told = watch.until(&database, &format!("m{round}.test")).await;
        assert!(!told.is_empty(), "{sql}");
        assert!(
            told.iter().all(|told| *told == one(kind, name, name)),
            "{sql}: {told:?}"
        );
    }
}

/// E2
#[tokio::test]
async fn nothing_is_told_before_the_commit_or_of_a_rollback() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    let edit = "BEGIN; UPDATE account SET quota = 7";
    sqlx::raw_sql(edit).execute(&mut other).await.unwrap();
    assert_eq!(watch.until(&database, "one.test").await, []);
    assert_eq!(quota(&store).await, None);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(watch.until(&database, "two.test").await, []);
    assert_eq!(quota(&store).await, None);
}

/// E3
#[tokio::test]
async fn a_listener_that_was_ended_comes_back_with_a_flush() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    let ended = database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN%' AND datname = current_database(); UPDATE account SET quota = 7",
        )
        .unwrap();
    assert_eq!(ended, "t");
    watch.down_and_up().await;
    assert_eq!(quota(&store).await, Some(7));
    database.execute("UPDATE account SET quota = 8").unwrap();
    let bob = Some("bob@d.test");
    let told = loop {
        // The first change may have been committed after the second LISTEN.
        let told = watch.next().await;
        if quota(&store).await == Some(8) {
            break told;
        }
    };
    assert_eq!(told, Pushed::Changed(vec![one(Kind::Account, bob, bob)]));
}

/// E4: the flush comes after the LISTEN, or what is committed between the two is missed for ever.
#[tokio::test]
async fn what_is_committed_between_listen_and_flush_is_not_missed() {
    let (store, database) = with_bob(LIMITS).await;
    let (to, from) = mpsc::channel(1000);
    let cache = Arc::new(Mutex::new(Cache { from, quota: None }));
    let (ours, of_store, of_database) = (cache.clone(), store.clone(), database.clone());
    let between = move || -> Answering<'static, ()> {
        Box::pin(async move {
            ours.lock().unwrap().hear();
            let read = quota(&of_store).await;
            ours.lock().unwrap().quota = Some(read);
            of_database.execute("UPDATE account SET quota = 7").unwrap();
        })
    };
    *store.between.lock().unwrap() = Some(Box::new(between));
    tokio::spawn(store.clone().watch(to));
    // Whatever was to be told has been told when the next change is.
    let mut watch = Told(cache.clone());
    watch.wait_for_up().await;
    database
        .execute("INSERT INTO domain (name) VALUES ('marker.test')")
        .unwrap();
    watch.wait_for_marker().await;
    let kept = cache.lock().unwrap().quota;
    let seen = match kept {
        Some(kept) => kept,
        None => quota(&store).await,
    };
    assert_eq!(seen, Some(7));
}

/// What a server keeps of bob, and believes until it is told otherwise.
struct Cache {
    from: mpsc::Receiver<Pushed>,
    quota: Option<Option<u64>>,
}

impl Cache {
    /// Does as it is told, and gives what it heard.
    fn hear(&mut self) -> Vec<Pushed> {
        let mut all = Vec::new();
        while let Ok(told) = self.from.try_recv() {
            match &told {
                Pushed::Flush(_) => self.quota = None,
                Pushed::Changed(some)
                    if some.iter().any(|one| {
                        matches!(
                            one,
                            Touched::One {
                                kind: Kind::Account,
                                ..
                            }
                        )
                    }) =>
                {
                    self.quota = None;
                }
                _ => (),
            }
            all.push(told);
        }
        all
    }
}

struct Told(Arc<Mutex<Cache>>);

impl Told {
    async fn wait_for_up(&mut self) {
        self.wait_for(|told| *told == Pushed::Up).await;
    }

    async fn wait_for_marker(&mut self) {
        self.wait_for(|told| matches!(told, Pushed::Changed(some) if matches!(some[0], Touched::One { kind: Kind::Domain, .. })))
            .await;
    }

    async fn wait_for(&mut self, is_it: impl Fn(&Pushed) -> bool) {
        wait_until_async("it is told", async || {
            self.0.lock().unwrap().hear().iter().any(&is_it)
        })
        .await;
    }
}

/// E5
#[tokio::test]
async fn a_path_that_died_without_a_word_is_down() {
    let (_, database) = with_bob(LIMITS).await;
    let (proxy, url) = through(&database);
    let store = open(&url, quick()).await;
    let mut watch = Watch::up(&store).await;
    proxy.stall();
    database.execute("UPDATE account SET quota = 7").unwrap();
    let down = watch.next().await;
    assert!(
        matches!(&down, Pushed::Down(reason) if reason.contains("heartbeat")),
        "{down:?}"
    );
    proxy.cut();
    proxy.resume();
    assert_eq!(watch.next().await, Pushed::Flush(Missed::Connected));
    assert_eq!(watch.next().await, Pushed::Up);
    assert_eq!(quota(&store).await, Some(7));
}

/// E5: only the way to the listener is dead, and heartbeats go out well.
#[tokio::test]
async fn a_listener_that_hears_nothing_is_found_out_by_what_the_other_connection_says() {
    let cluster = Postgres::start().unwrap();
    let database = cluster.database().unwrap();
    let store = open(&database.url, quick()).await;
    let mut watch = Watch::up(&store).await;
    let listener = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    let id: i32 = database.execute(listener).unwrap().parse().unwrap();
    let listener = Pid::from_raw(id).unwrap();
    kill_process(listener, Signal::STOP).unwrap();
    let down = watch.next().await;
    kill_process(listener, Signal::CONT).unwrap();
    assert!(
        matches!(&down, Pushed::Down(reason) if reason.starts_with("no heartbeat")),
        "{down:?}"
    );
    assert_eq!(watch.next().await, Pushed::Flush(Missed::Connected));
    assert_eq!(watch.next().await, Pushed::Up);
}

/// E5: the server stands still, and goes on.
#[tokio::test]
async fn a_server_that_stands_still_is_down_until_it_goes_on() {
    let cluster = Postgres::start().unwrap();
    let database = cluster.database().unwrap();
    let store = open(&database.url, quick()).await;
    let mut watch = Watch::up(&store).await;
    cluster.pause();
    let down = watch.next().await;
    assert!(matches!(down, Pushed::Down(_)), "{down:?}");
    cluster.resume();
    assert_eq!(watch.next().await, Pushed::Flush(Missed::Connected));
    assert_eq!(watch.next().await, Pushed::Up);
}

/// E3, E5: a server that is killed, and another that is started.
#[tokio::test]
async fn a_server_that_was_killed_is_down_until_it_is_back() {
    let mut cluster = Postgres::start().unwrap();
    let database = cluster.database().unwrap();
    let store = open(&database.url, quick()).await;
    store.insert(domain("d.test")).await.unwrap();
    let mut watch = Watch::up(&store).await;
    cluster.kill();
    let down = watch.next().await;
    assert!(matches!(down, Pushed::Down(_)), "{down:?}");
    cluster.start_again().unwrap();
    database
        .execute("INSERT INTO account (local_part, domain, quota) VALUES ('bob', 'd.test', 7)")
        .unwrap();
    assert_eq!(watch.next().await, Pushed::Flush(Missed::Connected));
    assert_eq!(watch.next().await, Pushed::Up);
    assert_eq!(quota(&store).await, Some(7));
}

/// A heartbeat that does come back, again and again, is nothing that is told.
#[tokio::test]
async fn a_channel_that_is_well_stays_up() {
    let database = fresh();
    let limits = Limits {
        heartbeat: Duration::from_millis(1500),
        ..LIMITS
    };
    let store = open(&database.url, limits).await;
    let mut watch = Watch::up(&store).await;
    let beats = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_notify($1%' AND \
                 datname = current_database() AND query_start > backend_start + interval '4 seconds'";
    wait_until_async("some heartbeats went", async || {
        database.execute(beats).unwrap() == "1"
    })
    .await;
    assert_eq!(watch.until(&database, "marker.test").await, []);
}

/// E6
#[tokio::test]
async fn a_hundred_thousand_rows_are_told_by_one_word() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    let rows = "INSERT INTO account (local_part, domain) SELECT 'u' || g, 'd.test' FROM generate_series(1, 100000) g";
    database.execute(rows).unwrap();
    assert_eq!(
        watch.until(&database, "one.test").await,
        [Touched::All(Kind::Account)]
    );
    // One statement a row says no more.
    let loops = "DO $$ BEGIN FOR g IN 1..1000 LOOP UPDATE account SET quota = g WHERE local_part = 'u' || g; \
                 END LOOP; END $$";
    database.execute(loops).unwrap();
    let told = watch.until(&database, "two.test").await;
    assert_eq!(told.len(), 201);
    assert_eq!(told[200], Touched::All(Kind::Account));
    let usage = database
        .execute("SELECT pg_notification_queue_usage() < 0.001")
        .unwrap();
    assert_eq!(usage, "t");
}

/// E6: up to two hundred are told one by one.
#[tokio::test]
async fn two_hundred_rows_are_told_one_by_one() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    for (rows, told) in [(200, 200), (201, 1)] {
        let sql = format!(
            "INSERT INTO account (local_part, domain) SELECT 'u{rows}-' || g, 'd.test' FROM generate_series(1, {rows}) g"
        );
        database.execute(&sql).unwrap();
        assert_eq!(watch.until(&database, &format!("m{rows}.test")).await.len(), told);
    }
}

/// E7
#[tokio::test]
async fn a_truncated_table_is_told_whole() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    database.execute("TRUNCATE account").unwrap();
    assert_eq!(
        watch.until(&database, "one.test").await,
        [Touched::All(Kind::Account)]
    );
    // Its address is free again.
    database
        .execute("INSERT INTO list (local_part, domain) VALUES ('bob', 'd.test')")
        .unwrap();
    watch.until(&database, "two.test").await;
    database.execute("TRUNCATE domain CASCADE").unwrap();
    let told = watch.until(&database, "one.test").await;
    for kind in [
        Kind::Domain,
        Kind::DomainAlias,
        Kind::Account,
        Kind::Alias,
        Kind::List,
    ] {
        assert!(told.contains(&Touched::All(kind)), "{told:?}");
    }
}

/// E8
#[tokio::test]
async fn words_that_are_not_known_flush_everything() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    for payload in ["v9|account|1|a@b|a@b|3", "garbage", ""] {
        database
            .execute(&format!("SELECT pg_notify('remuda_directory', '{payload}')"))
            .unwrap();
        assert_eq!(watch.next().await, Pushed::Flush(Missed::Unreadable));
    }
    assert_eq!(watch.until(&database, "marker.test").await, []);
}

/// E8: a notification has less than 8000 octets, whatever is in the table.
#[tokio::test]
async fn a_name_too_long_to_be_told_flushes_its_kind() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    database
        .execute(
            "ALTER TABLE route DROP CONSTRAINT route_domain_check; \
             INSERT INTO route (domain) VALUES (repeat('a', 9000))",
        )
        .unwrap();
    assert_eq!(
        watch.until(&database, "marker.test").await,
        [Touched::All(Kind::Route)]
    );
}

/// E9
#[tokio::test]
async fn a_column_that_is_not_the_directorys_is_not_told() {
    let (store, database) = with_bob(LIMITS).await;
    database
        .execute("ALTER TABLE account ADD last_login bigint")
        .unwrap();
    let mut watch = Watch::up(&store).await;
    for login in 0..10 {
        database
            .execute(&format!("UPDATE account SET last_login = {login}"))
            .unwrap();
    }
    assert_eq!(watch.until(&database, "marker.test").await, []);
}

/// E15
#[tokio::test]
async fn our_own_change_is_told_once_as_it_was_answered() {
    let (store, database) = with_bob(LIMITS).await;
    let mut watch = Watch::up(&store).await;
    let changed = store.insert(account("ann@d.test")).await.unwrap();
    assert_eq!(watch.until(&database, "marker.test").await, changed.touched);
}

/// Nobody listens for somebody who has gone.
#[tokio::test]
async fn a_watch_ends_with_its_receiver() {
    let (store, database) = with_bob(LIMITS).await;
    let (to, from) = mpsc::channel(1000);
    let watching = tokio::spawn(store.clone().watch(to));
    let mut watch = Watch(from);
    watch.next().await;
    drop(watch);
    watching.await.unwrap();
    let listening =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    wait_until_async("nobody listens", async || {
        database.execute(listening).unwrap() == "0"
    })
    .await;
}

/// Short heartbeats, for channels that are to break.
fn quick() -> Limits {
    Limits {
        heartbeat: Duration::from_secs(1),
        look_up_max: Duration::from_secs(5),
        connect_max: Duration::from_secs(1),
        ..LIMITS
    }
}
