//! What the driver says, as the store answers it.
//!
//! # Contract
//! * **A failure is told from a refusal by its SQLSTATE**, never by its words.

use super::super::{ChangeError, StoreError};

/// Why a change did not happen.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A rule is against it.
    Refused(ChangeError),
    /// The database failed, or refused a statement.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Trouble::Database(error)
    }
}

impl From<ChangeError> for Trouble {
    fn from(error: ChangeError) -> Self {
        Trouble::Refused(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Refused(error.into())
    }
}

impl From<Trouble> for ChangeError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Database(error) => store_error(&error).into(),
        }
    }
}

impl Trouble {
    /// Answers whether the same again may go well: the database was passing through something, or somebody else
    /// has just taken the name, which the next try will find out about.
    pub fn is_passing(&self) -> bool {
        match self {
            Trouble::Refused(_) => false,
            Trouble::Database(error) => is_passing(error) || code(error).is_some_and(|code| code == UNIQUE),
        }
    }
}

/// The failure of a look-up.
pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
    match code(error) {
        Some(code) if !is_unavailable(&code) => StoreError::Query(error.to_string()),
        Some(_) => StoreError::Unavailable(error.to_string()),
        None if is_ours(error) => StoreError::Query(error.to_string()),
        None => StoreError::Unavailable(error.to_string()),
    }
}

/// Answers whether a statement that failed so is worth one more try on a sound connection (D12): deadlock,
/// serialization, lock time-out, a server that restarts, a connection that had been lost in the pool.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    match code(error) {
        Some(code) => matches!(code.as_str(), "40001" | "40P01" | "55P03") || code.starts_with("57P"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

/// Answers whether the database has said that it did not do the statement; else nobody knows.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"))
}

/// The database's SQLSTATE, if it is the database that speaks.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// Connection, authentication, no such database, resources, operator's intervention, read-only standby, and what
/// passes by itself.
fn is_unavailable(code: &str) -> bool {
    ["08", "28", "3D", "40", "53", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
        || matches!(code, "25006" | "55P03")
}

/// Answers whether it is a statement or a row that is wrong, and not the way to the database.
fn is_ours(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    matches!(
        error,
        E::RowNotFound
            | E::TypeNotFound { .. }
            | E::ColumnIndexOutOfBounds { .. }
            | E::ColumnNotFound(_)
            | E::ColumnDecode { .. }
            | E::Decode(_)
            | E::Encode(_)
    )
}

const UNIQUE: &str = "23505";
