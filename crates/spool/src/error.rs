//! What can go wrong with the spool, and how far it reaches.
//!
//! # Contract
//! * **One error answers many.** Errors are clones of each other when one commit failed for a whole batch.
//! * **Every text says the mend.**

use std::{path::PathBuf, sync::Arc};

use remuda_mail::MessageId;
use rusqlite::ErrorCode;

/// Why an operation of the spool did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the lock.
    #[error("another process uses this spool: stop it, or give this one a data_dir of its own")]
    InUse,
    /// No space left; deletions are still recorded.
    #[error("the disk of the spool is full: free space on the file system of data_dir")]
    Full,
    /// The file system or a file refuses writes.
    #[error("the spool is read-only: mount its file system writable and check who owns data_dir")]
    ReadOnly,
    /// A file operation failed.
    #[error("cannot {action} {}: {source}; check the disk and who owns data_dir", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The database failed for a reason that has no variant of its own.
    #[error("the spool's database failed: {source}; check the disk and the system's log")]
    Database {
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// What is on disk is no sound spool.
    #[error("{} is damaged ({found}): restore it from a copy, or move it away to start empty", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// Written by a later version.
    #[error("the spool has schema {found}, this program knows up to {known}: run the newer remuda")]
    Newer {
        /// Version on disk.
        found: i64,
        /// Latest version of this program.
        known: i64,
    },
    /// The SQLite that this program runs with can lose committed writes.
    #[error("SQLite {found} is too old, 3.51.3 is needed: build remuda with the bundled SQLite")]
    OldSqlite {
        /// Its version.
        found: &'static str,
    },
    /// There is no such message, or its content is gone.
    #[error("message {message} is not in the spool")]
    Missing {
        /// Which.
        message: MessageId,
    },
    /// The id is taken already.
    #[error("message {message} is in the spool already; ids come from allocate_id")]
    Duplicate {
        /// Which.
        message: MessageId,
    },
    /// A message without entries or an entry without recipients.
    #[error("message {message} has no recipients to store")]
    NoRecipients {
        /// Which.
        message: MessageId,
    },
    /// Too much waits to be written.
    #[error("too much waits to be written: the disk is slower than the mail comes; try again later")]
    Overloaded,
    /// The spool was closed, or its runtime is ending.
    #[error("the spool is closed")]
    Closed,
}

/// How far a failed statement reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only the change that met it.
    Change,
    /// The disk under everybody.
    Disk,
}

impl Error {
    /// A file operation that failed.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Error {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
            _ => Error::Io {
                action,
                path: path.into(),
                source: Arc::new(source),
            },
        }
    }

    /// Answers whether others that write at the same time would fail too.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Error::Full | Error::ReadOnly => Reach::Disk,
            Error::Database { source } => match source.sqlite_error_code() {
                Some(
                    ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::OutOfMemory
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OperationInterrupted
                    | ErrorCode::FileLockingProtocolFailed,
                ) => Reach::Disk,
                _ => Reach::Change,
            },
            _ => Reach::Change,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Error {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Error::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Damaged {
                path: crate::files::DATABASE.into(),
                found: source.to_string(),
            },
            _ => Error::Database {
                source: Arc::new(source),
            },
        }
    }
}
