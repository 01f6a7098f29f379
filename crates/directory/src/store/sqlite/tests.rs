//! The store in a file: the suite of all stores, and what only a file can meet.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use remuda_clock::{Clock, Monotonic, Now, SystemClock, Timer};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::{
    store::{
        Missed, Touched,
        double::Double,
        suite::{Fixture, Watching, account, add, domain, list, suite},
    },
    tests::scenarios,
};

/// A store on a file of its own, edited with the `sqlite3` program.
struct File {
    place: TempDir,
    store: Arc<SqliteStore>,
}

impl Fixture for File {
    async fn new() -> Self {
        File::with(Timing {
            poll: Duration::from_millis(20),
            ..Timing::default()
        })
        .await
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn another(&self) -> Arc<dyn Store> {
        let other = SqliteStore::open(self.path(), SystemClock::shared()).await;
        Arc::new(other.unwrap())
    }

    async fn sql(&self, statements: &str) -> Result<(), String> {
        sqlite3(&self.path(), statements)
    }
}

impl File {
    async fn with(timing: Timing) -> File {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("directory.db");
        let store = SqliteStore::open_with(path, SystemClock::shared(), timing)
            .await
            .unwrap();
        File {
            place,
            store: Arc::new(store),
        }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("directory.db")
    }
}

/// Runs Debian's `sqlite3`, which has foreign_keys off as everywhere.
fn sqlite3(path: &Path, statements: &str) -> Result<(), String> {
    let ran = Command::new("sqlite3")
        .args(["-bail", "-cmd", ".timeout 5000"])
        .arg(path)
        .arg(statements)
        .stdin(Stdio::null())
        .output()
        .expect("Debian's sqlite3 is installed");
    match ran.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
    }
}

suite!(File);
scenarios!(File);

async fn opened(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path.to_owned(), SystemClock::shared()).await
}

async fn names(store: &dyn Store, kind: Kind) -> Vec<String> {
    let page = Page {
        limit: 100,
        ..Page::default()
    };
    let found = store.page(kind, &page).await.unwrap();
    found.iter().map(|one| one.name().to_owned()).collect()
}

#[test]
fn a_file_that_many_open_at_once_is_made_once() {
    for _ in 0..5 {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("directory.db");
        let open = || schema::prepare(&path, Duration::from_secs(60));
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
        schema::connect(&path, Duration::ZERO).unwrap();
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_in_plain_words() {
    let file = File::new().await;
    sqlite3(&file.path(), "PRAGMA user_version = 99").unwrap();
    let refused = opened(&file.path()).await.err().unwrap();
    assert!(matches!(
        refused,
        OpenError::Newer {
            found: 99,
            known: 1,
            ..
        }
    ));
    assert!(refused.to_string().contains("use the newer program"), "{refused}");
    let load = file.store.load(Kind::Domain, By::Id(1)).await;
    assert!(matches!(load, Err(StoreError::Unavailable(_))), "{load:?}");
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_not_touched() {
    let place = tempfile::tempdir().unwrap();
    let (text, other) = (place.path().join("text"), place.path().join("other.db"));
    std::fs::write(&text, "Dear diary, this is no database at all. ".repeat(100)).unwrap();
    sqlite3(&other, "CREATE TABLE song (name TEXT)").unwrap();
    for path in [text, other] {
        let before = std::fs::read(&path).unwrap();
        let refused = opened(&path).await.err().unwrap();
        assert!(matches!(refused, OpenError::Foreign(_)), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    let nowhere = opened(Path::new("/nowhere/directory.db")).await.err().unwrap();
    assert!(matches!(nowhere, OpenError::File { .. }), "{nowhere}");
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    for entry in std::fs::read_dir(file.place.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// D12.
#[tokio::test]
async fn a_failed_read_is_tried_once_more_on_a_new_connection() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    file.store.all.put(Connection::open_in_memory().unwrap());
    let before = file.store.loads();
    let found = file.store.load(Kind::Domain, By::Name("ex.com")).await.unwrap();
    assert!(found.is_some());
    assert_eq!(file.store.loads() - before, 2);
}

/// D12, D13: whatever fails is an error.
#[tokio::test]
async fn a_failure_is_an_error_never_an_absence() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com"), account("bob@ex.com")]).await;
    sqlite3(&file.path(), "ALTER TABLE account RENAME TO gone").unwrap();
    let answer = file.store.load(Kind::Account, By::Name("bob@ex.com")).await;
    assert!(matches!(answer, Err(StoreError::Query(_))), "{answer:?}");
    std::fs::remove_file(file.path()).unwrap();
    file.store.all.put(Connection::open_in_memory().unwrap());
    let answer = file.store.load(Kind::Domain, By::Name("ex.com")).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
}

/// E14.
#[tokio::test]
async fn look_ups_go_on_while_another_process_writes() {
    let file = File::with(Timing {
        busy: Duration::from_millis(50),
        ..Timing::default()
    })
    .await;
    add(&*file.store, [domain("ex.com")]).await;
    let other = Connection::open(file.path()).unwrap();
    other
        .execute_batch("BEGIN IMMEDIATE; UPDATE domain SET message_size = 7")
        .unwrap();
    let found = file.store.load(Kind::Domain, By::Name("ex.com")).await.unwrap();
    assert!(matches!(found, Some(Object::Domain(domain)) if domain.message_size.is_none()));
    let refused = file.store.insert(domain("ex.net")).await;
    assert!(
        matches!(refused, Err(ChangeError::Store(StoreError::Unavailable(_)))),
        "{refused:?}"
    );
    other.execute_batch("COMMIT").unwrap();
    let found = file.store.load(Kind::Domain, By::Name("ex.com")).await.unwrap();
    assert!(matches!(found, Some(Object::Domain(domain)) if domain.message_size == Some(7)));
    add(&*file.store, [domain("ex.net")]).await;
}

/// A clock whose time comes when it is told.
#[derive(Default)]
struct Told(Arc<Notify>);

impl Clock for Told {
    fn now(&self) -> Now {
        Now::default()
    }

    fn sleep_until(&self, _: Monotonic) -> Timer {
        let told = self.0.clone();
        Box::pin(async move { told.notified().await })
    }
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_ended() {
    let place = tempfile::tempdir().unwrap();
    let told = Arc::new(Notify::new());
    let clock = Arc::new(Told(told.clone()));
    let store = SqliteStore::open(place.path().join("directory.db"), clock)
        .await
        .unwrap();
    // More of them than may run at a time: each must give its turn back.
    for _ in 0..connections::READERS_MAX + 1 {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let reading = store.all.read(Purpose::LookUp, move |db| {
            let endless = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT n FROM n";
            let mut statement = db.prepare(endless)?;
            let mut rows = statement.query([])?;
            rows.next()?;
            let _ = begun.send(());
            while rows.next()?.is_some() {}
            Ok(())
        });
        let ending = told.clone();
        std::thread::spawn(move || {
            has_begun.recv().unwrap();
            ending.notify_one();
        });
        let ended = reading.await;
        assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    }
    assert_eq!(store.load(Kind::Domain, By::Id(1)).await, Ok(None));
}

/// D15.
#[tokio::test]
async fn listings_go_on_while_all_look_ups_hang() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    let (begun, mut has_begun) = mpsc::channel(connections::READERS_MAX);
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = Arc::new(std::sync::Mutex::new(ended));
    let mut hanging = Vec::new();
    for _ in 0..connections::READERS_MAX {
        let (all, begun, ended) = (file.store.all.clone(), begun.clone(), ended.clone());
        let hang = move |_: &mut Connection| {
            begun.blocking_send(()).unwrap();
            // An error says that the test is over.
            let _ = ended.lock().unwrap().recv();
            Ok(())
        };
        hanging.push(tokio::spawn(async move { all.read(Purpose::LookUp, hang).await }));
        has_begun.recv().await.unwrap();
    }
    assert_eq!(names(&*file.store, Kind::Domain).await, ["ex.com"]);
    drop(end);
    for one in hanging {
        one.await.unwrap().unwrap();
    }
}

/// E14.
#[tokio::test]
async fn a_locked_file_is_unavailable_and_down() {
    let file = File::with(Timing {
        busy: Duration::from_millis(20),
        poll: Duration::from_millis(20),
        ..Timing::default()
    })
    .await;
    let other = Connection::open(file.path()).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; INSERT INTO domain (name) VALUES ('ex.com')")
        .unwrap();
    let answer = file.store.load(Kind::Domain, By::Name("ex.com")).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    let (to, mut told) = mpsc::channel(8);
    tokio::spawn(file.store().watch(to));
    assert!(matches!(told.recv().await, Some(Pushed::Down(_))));
    drop(other);
    assert_eq!(told.recv().await, Some(Pushed::Flush(Missed::Connected)));
    assert_eq!(told.recv().await, Some(Pushed::Up));
    assert_eq!(names(&*file.store, Kind::Domain).await, ["ex.com"]);
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_does_no_harm() {
    let file = File::new().await;
    drop(file.store.insert(domain("a.test")));
    let mut begun = file.store.insert(domain("b.test"));
    tokio::select! {
        biased;
        _ = &mut begun => {}
        () = tokio::task::yield_now() => {}
    }
    drop(begun);
    add(&*file.store, [domain("c.test")]).await;
    let found = names(&*file.store, Kind::Domain).await;
    assert!(
        !found.contains(&"a.test".into()) && found.contains(&"c.test".into()),
        "{found:?}"
    );
}

/// B14: what a failing commit is taken for.
#[test]
fn a_commit_is_undone_only_when_sqlite_says_so() {
    let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    for code in [rusqlite::ffi::SQLITE_BUSY, rusqlite::ffi::SQLITE_CONSTRAINT] {
        assert!(change::is_undone(&failed(code)));
    }
    for code in [
        rusqlite::ffi::SQLITE_IOERR,
        rusqlite::ffi::SQLITE_FULL,
        rusqlite::ffi::SQLITE_CORRUPT,
    ] {
        assert!(!change::is_undone(&failed(code)));
    }
}

/// E12.
#[tokio::test]
async fn raw_sql_on_the_own_writer_is_told() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com"), account("bob@ex.com")]).await;
    let mut watching = Watching::of(file.store()).await;
    let edit = |db: &mut Connection| {
        db.execute_batch("UPDATE account SET quota = 7")
            .map_err(connections::failure)
    };
    file.store.all.write(edit).await.unwrap();
    watching.until(Kind::Account, "bob@ex.com").await;
}

/// E13.
#[tokio::test]
async fn a_log_that_no_longer_reaches_back_flushes() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    let mut watching = Watching::of(file.store()).await;
    let pruned = "BEGIN; UPDATE domain SET message_size = 7; DELETE FROM change_log;
        UPDATE domain SET message_size = 8; COMMIT";
    sqlite3(&file.path(), pruned).unwrap();
    assert_eq!(watching.next().await, Pushed::Flush(Missed::Pruned));
    sqlite3(&file.path(), "UPDATE domain SET message_size = 9").unwrap();
    watching.until(Kind::Domain, "ex.com").await;
}

#[tokio::test]
async fn the_log_is_bounded_by_the_database() {
    let file = File::new().await;
    let many = "INSERT INTO domain (name) VALUES ('ex.com');
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 60000)
        INSERT INTO account (local_part, domain) SELECT 'u' || n, 'ex.com' FROM n;";
    sqlite3(&file.path(), many).unwrap();
    let count =
        |db: &mut Connection| db.query_row("SELECT count(*) FROM change_log", [], |row| row.get::<_, i64>(0));
    assert_eq!(file.store.all.read(Purpose::LookUp, count).await, Ok(50_000));
}

/// E8.
#[tokio::test]
async fn a_line_that_is_not_understood_flushes() {
    let file = File::new().await;
    let mut watching = Watching::of(file.store()).await;
    let strange = "INSERT INTO change_log (kind, id, version) VALUES ('colour', 1, 1)";
    sqlite3(&file.path(), strange).unwrap();
    assert_eq!(watching.next().await, Pushed::Flush(Missed::Unreadable));
}

/// E7: SQLite has no TRUNCATE; a DELETE without WHERE is what comes closest.
#[tokio::test]
async fn an_emptied_table_is_told() {
    let file = File::new().await;
    add(
        &*file.store,
        [domain("ex.com"), account("a@ex.com"), account("b@ex.com")],
    )
    .await;
    let mut watching = Watching::of(file.store()).await;
    sqlite3(&file.path(), "DELETE FROM account").unwrap();
    let touched = watching.until(Kind::Account, "b@ex.com").await;
    assert_eq!(touched.len(), 2);
}

/// E13: another file moved into the place, with what the old one leaves beside it.
#[tokio::test]
async fn another_file_in_the_place_is_opened_and_flushes() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com"), account("bob@ex.com")]).await;
    let other = file.place.path().join("other.db");
    sqlite3(&file.path(), &format!("VACUUM INTO '{}'", other.display())).unwrap();
    sqlite3(&other, "UPDATE account SET local_part = 'jim'").unwrap();
    add(&*file.store, [account("zoe@ex.com")]).await;
    let mut watching = Watching::of(file.store()).await;

    std::fs::rename(&other, file.path()).unwrap();
    assert_eq!(watching.next().await, Pushed::Flush(Missed::Replaced));
    assert_eq!(names(&*file.store, Kind::Account).await, ["jim@ex.com"]);
    add(&*file.store, [account("new@ex.com")]).await;
    let sound =
        |db: &mut Connection| db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(file.store.all.read(Purpose::LookUp, sound).await.unwrap(), "ok");
    while watching.next().await != Pushed::Up {}
    sqlite3(
        &file.path(),
        "UPDATE account SET quota = 7 WHERE local_part = 'jim'",
    )
    .unwrap();
    watching.until(Kind::Account, "jim@ex.com").await;
}

/// E13: a copy read back into the same file.
#[tokio::test]
async fn a_restored_file_flushes() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com"), account("bob@ex.com")]).await;
    let copy = file.place.path().join("copy.db");
    sqlite3(&file.path(), &format!(".backup '{}'", copy.display())).unwrap();
    add(&*file.store, [account("zoe@ex.com")]).await;
    let mut watching = Watching::of(file.store()).await;
    sqlite3(&file.path(), &format!(".restore '{}'", copy.display())).unwrap();
    assert_eq!(watching.next().await, Pushed::Flush(Missed::Pruned));
    assert_eq!(names(&*file.store, Kind::Account).await, ["bob@ex.com"]);
}

/// E14.
#[tokio::test]
async fn a_file_that_is_gone_is_down_until_one_comes_back() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    let copy = file.place.path().join("copy.db");
    sqlite3(&file.path(), &format!("VACUUM INTO '{}'", copy.display())).unwrap();
    let mut watching = Watching::of(file.store()).await;
    let away = file.place.path().join("away.db");
    std::fs::rename(file.path(), &away).unwrap();
    let told = watching.next().await;
    assert!(matches!(told, Pushed::Down(_)), "{told:?}");
    std::fs::rename(&copy, file.path()).unwrap();
    assert!(matches!(watching.next().await, Pushed::Flush(_)));
    assert_eq!(watching.next().await, Pushed::Up);
    assert_eq!(names(&*file.store, Kind::Domain).await, ["ex.com"]);
}

/// E13, E14: nobody reads, or changes, a file that was moved away, by a connection that was made before.
#[tokio::test]
async fn only_the_file_in_the_place_is_read_and_changed() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    let look_up = || file.store.load(Kind::Domain, By::Name("ex.com"));
    assert!(look_up().await.unwrap().is_some());
    let copy = file.place.path().join("copy.db");
    sqlite3(&file.path(), &format!("VACUUM INTO '{}'", copy.display())).unwrap();
    let away = file.place.path().join("away.db");
    std::fs::rename(file.path(), &away).unwrap();
    let answer = look_up().await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    let answer = file.store.insert(domain("ex.net")).await;
    assert!(
        matches!(answer, Err(ChangeError::Store(StoreError::Unavailable(_)))),
        "{answer:?}"
    );
    std::fs::rename(&away, file.path()).unwrap();
    add(&*file.store, [domain("ex.org")]).await;
    assert_eq!(names(&*file.store, Kind::Domain).await, ["ex.com", "ex.org"]);
    // Nobody watches: the change itself finds the other file.
    std::fs::rename(&copy, file.path()).unwrap();
    add(&*file.store, [domain("ex.net")]).await;
    assert_eq!(names(&*file.store, Kind::Domain).await, ["ex.com", "ex.net"]);
}

#[tokio::test]
async fn the_watch_ends_with_its_receiver() {
    let file = File::new().await;
    let (to, told) = mpsc::channel(1);
    let watching = tokio::spawn(file.store().watch(to));
    drop(told);
    watching.await.unwrap();
}

#[tokio::test]
async fn the_rules_are_the_same_with_foreign_keys_on() {
    let file = File::new().await;
    let on = |statements: &str| sqlite3(&file.path(), &format!("PRAGMA foreign_keys = ON; {statements}"));
    add(&*file.store, [domain("old.test"), account("bob@old.test")]).await;
    add(&*file.store, [list("all@old.test", &["x@y.test"])]).await;
    on("UPDATE domain SET name = 'new.test'").unwrap();
    assert_eq!(names(&*file.store, Kind::Account).await, ["bob@new.test"]);
    on("DELETE FROM domain").unwrap_err();
    on("INSERT INTO list (local_part, domain) VALUES ('bob', 'new.test')").unwrap_err();
    on("DELETE FROM list").unwrap();
    let left = |db: &mut Connection| {
        db.query_row("SELECT count(*) FROM list_member", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(file.store.all.read(Purpose::LookUp, left).await, Ok(0));
}

#[tokio::test]
async fn replacing_by_conflict_clause_takes_no_address() {
    let file = File::new().await;
    add(
        &*file.store,
        [domain("ex.com"), account("bob@ex.com"), list("all@ex.com", &[])],
    )
    .await;
    for table in ["account", "alias"] {
        let replace = format!("INSERT OR REPLACE INTO {table} (local_part, domain) VALUES ('bob', 'ex.com')");
        sqlite3(&file.path(), &replace).unwrap_err();
    }
    let replace = "UPDATE OR REPLACE list SET local_part = 'bob'";
    sqlite3(&file.path(), replace).unwrap_err();
    sqlite3(&file.path(), "UPDATE account SET id = 7").unwrap_err();
    assert_eq!(names(&*file.store, Kind::Account).await, ["bob@ex.com"]);
}

#[tokio::test]
async fn a_long_list_is_told_as_one_list() {
    let file = File::new().await;
    add(&*file.store, [domain("ex.com")]).await;
    let mut watching = Watching::of(file.store()).await;
    let members: Vec<String> = (0..500).map(|n| format!("u{n}@x.test")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    add(&*file.store, [list("all@ex.com", &members)]).await;
    let touched = watching.until(Kind::List, "all@ex.com").await;
    assert!(touched.len() <= 3, "{}", touched.len());
    assert!(touched.iter().all(|one| !matches!(one, Touched::All(_))));
}

#[tokio::test]
async fn every_table_and_column_is_in_the_documentation() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/directory-schema.md");
    let page = std::fs::read_to_string(page).unwrap();
    let file = File::new().await;
    let all = |db: &mut Connection| {
        let columns = "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
        db.prepare(columns)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(String, String)>>>()
    };
    let all = file.store.all.read(Purpose::LookUp, all).await.unwrap();
    assert!(all.len() > 60, "{all:?}");
    for (table, column) in all {
        for word in [&table, &column] {
            assert!(
                page.contains(&format!("`{word}`")),
                "{table}.{column} is not in the documentation"
            );
        }
    }
}

#[tokio::test]
async fn edits_by_others_are_polled_for() {
    let file = File::new().await;
    assert!(file.store.is_polled());
    assert!(Double::new(file.store()).is_polled());
}

#[tokio::test]
async fn what_is_committed_is_on_disk() {
    let file = File::new().await;
    // The connection that has committed, and not another like it.
    add(&*file.store, [domain("ex.com")]).await;
    let pragmas = |db: &mut Connection| -> rusqlite::Result<(String, i64)> {
        let mode = db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        Ok((mode, db.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
    };
    let asked = move |db: &mut Connection| pragmas(db).map_err(connections::failure);
    let writer: Result<_, StoreError> = file.store.all.write(asked).await;
    assert_eq!(writer.unwrap(), ("wal".to_owned(), 2), "2 is FULL");
}

#[tokio::test]
async fn only_differences_of_members_are_written() {
    let file = File::new().await;
    let members: Vec<String> = (0..100).map(|n| format!("u{n}@x.test")).collect();
    let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
    add(&*file.store, [domain("ex.com"), list("all@ex.com", &members)]).await;
    let db = Connection::open(file.path()).unwrap();
    let lines = || -> i64 {
        db.query_row("SELECT max(seq) FROM change_log", [], |row| row.get(0))
            .unwrap()
    };
    let before = lines();
    members.push("one.more@x.test");
    let mut more = list("all@ex.com", &members);
    more.head_mut().id = 1;
    file.store.update(more, None).await.unwrap();
    assert!(lines() - before <= 3, "{}", lines() - before);
}
