//! The file: how it is made, opened, known and brought up to date.
//!
//! # Contract
//! * **A file that is not ours, or of a newer version, is not touched.**
//! * **A migration happens altogether or not at all**, once, however many processes start at a time.
//! * **Durable**: WAL with `synchronous = FULL`.
//! * **Only its owner may read it**: it holds the hashes of passwords.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Says whose database this is: "Rmdd".
const APPLICATION_ID: i64 = 0x526d_6464;
/// The first SQLite whose WAL cannot lose a committed write.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Tries to switch a new file to WAL while others open it too.
const WAL_TRIES_MAX: usize = 20;
/// Statements kept ready on a connection.
const STATEMENTS_MAX: usize = 96;

/// One step a version; `user_version` counts the steps taken.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// Why the file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made or read.
    #[error("cannot open the directory {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// It is the database of another program.
    #[error("{0} is the database of another program")]
    Foreign(PathBuf),
    /// It was made by a later version of this program.
    #[error(
        "{path} has version {found} of the directory's tables; this program knows them up to {known}: use the newer program"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that is known here.
        known: i64,
    },
    /// SQLite refused.
    #[error("cannot open the directory {path}: {error}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: rusqlite::Error,
    },
    /// This SQLite may lose committed changes.
    #[error("SQLite {0} may lose committed changes; 3.51.3 is needed")]
    OldSqlite(&'static str),
}

/// Makes the file if there is none, and brings its tables up to date.
///
/// # Errors
/// See [`OpenError`]; nothing has changed then, but that an empty file may be there.
pub(super) fn prepare(path: &Path, busy: Duration) -> Result<(), OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::OldSqlite(rusqlite::version()));
    }
    let file = |error| OpenError::File {
        path: path.to_owned(),
        error,
    };
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(file)?;
    let database = |error| OpenError::Database {
        path: path.to_owned(),
        error,
    };
    let mut db = raw(path, busy).map_err(database)?;
    check(&db, path)?;
    set_wal(&mut db).map_err(database)?;
    let foreign = migrate(&mut db).map_err(database)?;
    if foreign { check(&db, path) } else { Ok(()) }
}

/// Opens the file for reading and writing; it must be there and up to date.
pub(super) fn connect(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let db = raw(path, busy)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -2048;")?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let known = MIGRATIONS.len() as i64;
    let (id, version) = identity(&db)?;
    if (id, version) == (APPLICATION_ID, known) {
        return Ok(db);
    }
    let text = format!("the file is not, or not yet, a directory of version {known}");
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB),
        Some(text),
    ))
}

/// A file, whatever its name: device and inode.
pub(super) type FileId = (u64, u64);

/// Which file lies there.
pub(super) fn file(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Where the file's write-ahead log lies.
pub(super) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// Removes the write-ahead log of a file that has been replaced, if it still lies there.
pub(super) fn remove_log(path: &Path, log: Option<FileId>) {
    let place = log_of(path);
    if log.is_some() && file(&place).ok() == log {
        for left in [place, beside(path, "-shm")] {
            if let Err(error) = fs::remove_file(&left) {
                tracing::warn!(file = %left.display(), %error, "cannot remove what was left of a replaced directory");
            }
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn raw(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(busy)?;
    Ok(db)
}

fn check(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i64;
    match marks(db) {
        Ok((0, 0, 0)) => Ok(()),
        Ok((APPLICATION_ID, found, _)) if found > known => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        }),
        Ok((APPLICATION_ID, ..)) => Ok(()),
        Ok(_) => Err(OpenError::Foreign(path.to_owned())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(OpenError::Foreign(path.to_owned()))
        }
        Err(error) => Err(OpenError::Database {
            path: path.to_owned(),
            error,
        }),
    }
}

/// The program's mark, the version, and how many tables there are, all as of one instant: another may be making them.
fn marks(db: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let work = db.unchecked_transaction()?;
    let (id, version) = identity(&work)?;
    let tables = work.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((id, version, tables))
}

/// The program's mark and the version.
fn identity(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |pragma: &str| db.query_row(pragma, [], |row| row.get(0));
    Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?))
}

/// Switches to WAL. SQLite does not wait for others in this one statement, so we wait for the write lock between
/// the tries.
fn set_wal(db: &mut Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mode = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < WAL_TRIES_MAX => {}
            other => return other.map(|_| ()),
        }
        db.transaction_with_behavior(TransactionBehavior::Immediate)?
            .commit()?;
    }
}

/// Takes the steps that are missing; answers whether somebody else has put something unknown there meanwhile.
fn migrate(db: &mut Connection) -> rusqlite::Result<bool> {
    let work = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (_, version) = identity(&work)?;
    let steps = usize::try_from(version)
        .ok()
        .and_then(|from| MIGRATIONS.get(from..));
    let Some(steps) = steps else { return Ok(true) };
    for (step, sql) in (version + 1..).zip(steps) {
        work.execute_batch(sql)?;
        work.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step};"
        ))?;
    }
    work.commit()?;
    Ok(false)
}
