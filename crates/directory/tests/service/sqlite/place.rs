//! A database in a file.

use std::sync::Arc;

use remuda_clock::SystemClock;
use remuda_directory::store::{Store, sqlite::SqliteStore};

/// An empty database.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    /// Another store on it, as another program has one.
    pub async fn open(&self) -> Arc<dyn Store> {
        let path = self.0.path().join("directory.db");
        Arc::new(SqliteStore::open(path, SystemClock::shared()).await.unwrap())
    }
}
