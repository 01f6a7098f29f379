//! A database in a cluster of this program's own.

use std::sync::{Arc, OnceLock};

use remuda_clock::SystemClock;
use remuda_directory::store::{Store, postgres::PostgresStore};
use remuda_testing::postgres::{Database, Postgres};

/// An empty database.
pub struct Place(Database);

impl Place {
    pub fn new() -> Self {
        static CLUSTER: OnceLock<Postgres> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(|| Postgres::start().unwrap());
        Place(cluster.database().unwrap())
    }

    /// Another store on it, as another program has one.
    pub async fn open(&self) -> Arc<dyn Store> {
        Arc::new(
            PostgresStore::open(&self.0.url, SystemClock::shared())
                .await
                .unwrap(),
        )
    }
}
