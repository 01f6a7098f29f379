//! The suite of all stores, on PostgreSQL.

use std::sync::Arc;

use remuda_testing::postgres::Database;

use super::{LIMITS, fresh, open};
use crate::{
    store::{
        Store,
        postgres::PostgresStore,
        suite::{self, suite},
    },
    tests::scenarios,
};

struct OnPostgres {
    store: Arc<PostgresStore>,
    database: Database,
}

impl suite::Fixture for OnPostgres {
    async fn new() -> Self {
        let database = fresh();
        OnPostgres {
            store: open(&database.url, LIMITS).await,
            database,
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn another(&self) -> Arc<dyn Store> {
        open(&self.database.url, LIMITS).await
    }

    async fn sql(&self, statements: &str) -> Result<(), String> {
        let answer = self.database.execute(statements);
        answer.map(|_| ()).map_err(|error| error.to_string())
    }
}

suite!(OnPostgres);
scenarios!(OnPostgres);
