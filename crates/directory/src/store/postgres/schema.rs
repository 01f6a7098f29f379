//! Migrations: the schema in the program, brought into the database.
//!
//! # Contract
//! * **All or nothing**: a database has one version or another, nothing between.
//! * **Two programs that start at once do not disturb each other**: the second waits and finds it done.
//! * **A newer schema is refused in plain words.**

use sqlx::{Connection as _, PgConnection, raw_sql};

use super::super::StoreError;
use super::error::store_error;

/// A store that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no URL of a database.
    #[error("{0}; right is postgres://user@host/database")]
    Url(String),
    /// It was made by a later version of this program.
    #[error(
        "the database has version {found} of the directory's tables; this program knows them up to {known}: use the newer program"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The latest that is known here.
        known: i64,
    },
    /// The database has refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Each brings the schema from the version of its place to the next.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1.sql")];

/// Brings the schema to our version.
///
/// # Errors
/// The database is not there, or refuses; or its schema is newer than this program.
pub(super) async fn bring_up(connection: &mut PgConnection) -> Result<(), OpenError> {
    let found = migrate(connection, &MIGRATIONS).await;
    let found = found.map_err(|error| store_error(&error))?;
    let known = MIGRATIONS.len() as i64;
    match found > known {
        false => Ok(()),
        true => Err(OpenError::Newer { found, known }),
    }
}

/// Gives the version that was found, if it is newer, else the one that is there now.
async fn migrate(connection: &mut PgConnection, migrations: &[&'static str]) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Held to the end of the transaction.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('schema_version') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await?;
    let found: i64 = match is_there {
        true => {
            sqlx::query_scalar("SELECT version FROM schema_version")
                .fetch_one(&mut *transaction)
                .await?
        }
        false => 0,
    };
    let missing = migrations.get(usize::try_from(found).unwrap_or(usize::MAX)..);
    let missing = missing.unwrap_or_default();
    if missing.is_empty() {
        return Ok(found);
    }
    raw_sql(VERSION).execute(&mut *transaction).await?;
    for migration in missing {
        raw_sql(*migration).execute(&mut *transaction).await?;
    }
    sqlx::query("UPDATE schema_version SET version = $1")
        .bind(migrations.len() as i64)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(migrations.len() as i64)
}

const VERSION: &str = "
    CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL);
    INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT FROM schema_version)";

/// Of the lock that migrations take, among all advisory locks of the database.
const LOCK: i64 = 0x7265_6d75_6461;

#[cfg(test)]
mod tests;
