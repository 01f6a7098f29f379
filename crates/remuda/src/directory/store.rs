//! Opens the database that the configuration names.
//!
//! # Contract
//! * **A file is made when it is not there**, with its tables; a server that does not answer is no failure: it is
//!   asked again at every look-up, and mail waits meanwhile (D5).

use std::sync::Arc;

use remuda_clock::SharedClock;
use remuda_directory::store::{Store, postgres::PostgresStore, sqlite::SqliteStore};

use crate::{
    config::Database,
    exit::{Exit, Failure},
};

/// Opens it.
///
/// # Errors
/// The file is none of ours or cannot be had; the URL makes no sense; the database is of a newer version.
pub async fn open(database: &Database, clock: SharedClock) -> Result<Arc<dyn Store>, Failure> {
    match database {
        Database::Sqlite(path) => {
            let opened = SqliteStore::open(path.clone(), clock).await;
            let store = opened.map_err(|error| Failure::new(Exit::Failed, format!("directory: {error}")))?;
            Ok(Arc::new(store))
        }
        Database::Postgres(url) => {
            let opened = PostgresStore::open(url.reveal(), clock).await;
            let store = opened.map_err(|error| Failure::new(Exit::Failed, format!("directory: {error}")))?;
            Ok(Arc::new(store))
        }
    }
}
