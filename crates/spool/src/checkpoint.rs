//! Moves the write-ahead log into the database, beside the commits.
//!
//! A checkpoint costs two syncs, which no client should wait for; so it has its own connection and
//! thread. While commits go on it never quite catches up, and the log would grow for ever: past
//! [`WAL_PAGES_MAX`] the writer waits for one last, short pass, after which the log starts over.
//!
//! # Contract
//! * **The log is bounded**: [`WAL_PAGES_MAX`] pages and one batch, unless the disk refuses.
//! * **A checkpoint that fails loses nothing**: the log keeps what the database has not.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;

use crate::{
    Error,
    schema::{self, Role},
};

/// Pages in the log from which a pass is worth its syncs: 16 MiB. A page that was written and freed and
/// written again in the meantime is moved once.
const PASS_PAGES_MIN: u64 = 2048;
/// Pages in the log at which the writer waits for the last pass: 64 MiB.
const WAL_PAGES_MAX: u64 = 8192;
/// Octets that the log file keeps when it starts over.
pub(crate) const WAL_KEPT_MAX: u64 = WAL_PAGES_MAX * schema::PAGE_SIZE.unsigned_abs();

/// What the log asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    None,
    /// A pass beside the commits.
    Pass,
    /// A pass while the writer waits.
    LastPass,
}

/// The connection that checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    path: PathBuf,
    db: Mutex<Option<Connection>>,
    is_running: AtomicBool,
    is_ended: AtomicBool,
}

/// Pages in the log, and how many of them are in the database too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) pages: u64,
    pub(crate) moved: u64,
}

impl Log {
    /// Reads both from the log's index.
    pub(crate) fn of(db: &Connection) -> Result<Log, Error> {
        wal_checkpoint(db, "NOOP")
    }

    pub(crate) fn need(self) -> Need {
        if self.pages >= WAL_PAGES_MAX {
            Need::LastPass
        } else if self.pages - self.moved >= PASS_PAGES_MIN {
            Need::Pass
        } else {
            Need::None
        }
    }
}

impl Checkpointer {
    pub(crate) fn new(path: PathBuf) -> Self {
        Checkpointer {
            path,
            db: Mutex::default(),
            is_running: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
        }
    }

    /// Answers whether the caller is to run a pass on a thread of its own.
    pub(crate) fn begin(&self) -> bool {
        !self.is_running.swap(true, Ordering::AcqRel)
    }

    /// Runs the pass that [`begin`](Self::begin) allowed.
    pub(crate) fn run_begun(&self) -> Result<(), Error> {
        let done = self.pass();
        self.is_running.store(false, Ordering::Release);
        done.map(drop)
    }

    /// Moves what is in the log now; waits for a pass in hand.
    pub(crate) fn pass(&self) -> Result<Log, Error> {
        self.with(|db| wal_checkpoint(db, "PASSIVE"))
    }

    /// Moves everything, empties the log and closes for good.
    pub(crate) fn end(&self) -> Result<Log, Error> {
        let moved = self.with(|db| wal_checkpoint(db, "TRUNCATE"));
        self.is_ended.store(true, Ordering::Release);
        self.close();
        moved
    }

    /// Closes the connection; the next pass opens it again.
    pub(crate) fn close(&self) {
        *self.db.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let mut slot = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match slot.take() {
            Some(db) => db,
            None if self.is_ended.load(Ordering::Acquire) => return Err(Error::Closed),
            None => schema::connect(&self.path, Role::Checkpointer)?,
        };
        // One that failed is not used again.
        let value = work(&db)?;
        *slot = Some(db);
        Ok(value)
    }
}

fn wal_checkpoint(db: &Connection, mode: &str) -> Result<Log, Error> {
    let log = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    // −1: there is no log yet.
    Ok(Log {
        pages: log.0.max(0).unsigned_abs(),
        moved: log.1.max(0).unsigned_abs(),
    })
}
