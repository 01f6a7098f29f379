//! The database: its tables, how it is opened, checked and migrated.
//!
//! ```text
//!   message 1 ─── n entry        one entry a destination; the first has the message's id
//!      └─ 0..1 content           absent: content is in a file of its own
//! ```
//!
//! Content has its own table so that reading envelopes touches none of it. Only entries after a message's
//! first are indexed by message: the common message, with one destination, pays for no such index.
//!
//! # Contract
//! * **Nothing changes on disk before the database was found sound** and of a version that we know.
//! * **A migration happens altogether or not at all.**
//! * **Durable**: WAL with `synchronous = FULL`, no memory mapping.

use std::{fs, io::Read, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};

use crate::{Error, files::Paths};

/// Says whose database this is: "Rmda".
const APPLICATION_ID: i64 = 0x526d_6461;
/// The first SQLite whose WAL cannot lose a committed write (design: spool on SQLite).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Decided by measurement (relay of 50 KiB, 4 to 16 KiB pages: 410, 398, 390 µs CPU a message); larger ones
/// make each deferral write more. Fixed when the database is made.
pub(crate) const PAGE_SIZE: i64 = 8192;
/// A database up to this size is checked altogether when it is opened (about 50 ms).
const CHECKED_WHOLE_MAX: u64 = 16 << 20;

/// One step a version; `user_version` counts the steps taken.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE message (
    id           INTEGER PRIMARY KEY,
    arrived      INTEGER NOT NULL,  -- milliseconds since 1970, as all times
    expires      INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    header_8bit  INTEGER NOT NULL,
    content_8bit INTEGER NOT NULL,
    entries      INTEGER NOT NULL,  -- left
    sender       TEXT NOT NULL,
    envelope     TEXT NOT NULL,     -- JSON
    origin       TEXT NOT NULL      -- JSON
) STRICT;
CREATE INDEX message_sender ON message (sender);

CREATE TABLE content (
    message INTEGER PRIMARY KEY,
    data    BLOB NOT NULL
) STRICT;

CREATE TABLE entry (
    id          INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL,
    destination TEXT NOT NULL,
    state       INTEGER NOT NULL,  -- 0 waiting, 1 held
    due         INTEGER NOT NULL,
    notice      INTEGER NOT NULL,
    arrived     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    recipients  TEXT NOT NULL,     -- JSON
    log         TEXT NOT NULL      -- the last attempts, JSON, one a line
) STRICT;
CREATE INDEX entry_due ON entry (destination, state, due, id, arrived);
CREATE INDEX entry_notice ON entry (notice) WHERE state = 0;
CREATE INDEX entry_further ON entry (message) WHERE id <> message;
CREATE INDEX entry_deferred ON entry (id) WHERE attempts > 0;
CREATE INDEX entry_held ON entry (id) WHERE state = 1;
"];

/// What a connection is for; decides its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that changes rows.
    Writer,
    /// Moves the WAL into the database.
    Checkpointer,
    /// Reads only.
    Reader,
}

/// Opens the database for the first time: checks, creates, migrates.
pub(crate) fn open(paths: &Paths) -> Result<Connection, Error> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(Error::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let found = fs::metadata(&paths.database).map_or(0, |m| m.len());
    if found > 0 {
        check(&paths.database, found)?;
    }
    paths.prepare()?;
    let mut db = connect(&paths.database, Role::Writer)?;
    migrate(&mut db)?;
    Ok(db)
}

/// Opens another connection to a database that [`open`] has accepted.
pub(crate) fn connect(path: &Path, role: Role) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    // Only the checkpointer moves the WAL, also when the last connection closes: after a failing sync
    // nothing may be moved, and a damaged database is left as it is.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let cache_kib = match role {
        Role::Writer => 4096,
        Role::Checkpointer => 64,
        Role::Reader => 512,
    };
    db.execute_batch(&format!(
        "PRAGMA mmap_size = 0;
         PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{cache_kib};
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = {};",
        crate::checkpoint::WAL_KEPT_MAX
    ))?;
    if role == Role::Reader {
        db.execute_batch("PRAGMA query_only = ON")?;
    }
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Says whether what is in the file is ours, known and sound, without changing anything.
fn check(path: &Path, size: u64) -> Result<(), Error> {
    let damaged = |found: &str| Error::Damaged {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    let mut magic = [0; 16];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("it is too short"),
            _ => Error::io("read", path, e),
        })?;
    if &magic != b"SQLite format 3\0" {
        return Err(damaged("it is not an SQLite database"));
    }
    let name_file = |error: Error| match error {
        Error::Damaged { found, .. } => damaged(&found),
        other => other,
    };
    let db = connect(path, Role::Reader).map_err(name_file)?;
    let found = soundness(&db, size <= CHECKED_WHOLE_MAX).map_err(name_file)?;
    found.map_or(Ok(()), |found| Err(damaged(&found)))
}

/// What is wrong with the database, if anything.
fn soundness(db: &Connection, whole: bool) -> Result<Option<String>, Error> {
    let version = version(db)?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version == 0 && tables == 0 {
        // A crash came before the first migration.
        return Ok(None);
    }
    let id: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Ok(Some("it is the database of another program".into()));
    }
    if version > MIGRATIONS.len() as i64 {
        return Err(Error::Newer {
            found: version,
            known: MIGRATIONS.len() as i64,
        });
    }
    if whole {
        let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        return Ok((verdict != "ok").then_some(verdict));
    }
    // Larger ones: the root pages and the ends of the tables.
    for table in ["message", "content", "entry"] {
        let key = if table == "content" { "message" } else { "id" };
        let ends = format!("SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})");
        db.query_row(&ends, [], |_| Ok(())).optional()?;
    }
    Ok(None)
}

fn migrate(db: &mut Connection) -> Result<(), Error> {
    if version(db)? == 0 {
        // Fixed when the first page is written; later `auto_vacuum` would be one more write.
        db.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_SIZE}; PRAGMA auto_vacuum = INCREMENTAL"
        ))?;
    }
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Damaged {
            path: crate::files::DATABASE.into(),
            found: format!("its journal mode is {mode} and cannot be changed to WAL"),
        });
    }
    let from = version(db)?;
    let steps = usize::try_from(from).ok().and_then(|from| MIGRATIONS.get(from..));
    for (step, sql) in (from + 1..).zip(steps.unwrap_or_default()) {
        let transaction = db.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step};"
        ))?;
        transaction.commit()?;
    }
    Ok(())
}

/// The schema version of a database.
pub(crate) fn version(db: &Connection) -> Result<i64, Error> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests;
