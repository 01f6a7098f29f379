//! Look-ups: one statement each, counted.
//!
//! # Contract
//! * **A connection that was lost while it lay in the pool fails no look-up of a row**: it is asked for again over one
//!   that has just answered. Nobody waits for the names of domains, which are asked for once.

use std::sync::atomic::Ordering;

use sqlx::{Postgres, pool::PoolConnection, postgres::PgRow};

use super::{
    super::StoreError,
    PostgresStore,
    error::{is_passing, store_error},
    statements::{self, Wanted},
};

impl PostgresStore {
    /// One row by one statement; None: there is none. Sent again where the connection was lost in the pool.
    pub(super) async fn look_up<T>(
        &self,
        wanted: Wanted<'_>,
        read: impl Fn(&PgRow) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.ready().await?;
        let first = async {
            let mut connection = self.look_ups.acquire().await?;
            self.send(&mut connection, wanted).await
        };
        let row = match first.await {
            Err(error) if is_passing(&error) => match self.sound(&self.look_ups).await {
                Ok(mut connection) => self.send(&mut connection, wanted).await,
                Err(error) => Err(error),
            },
            answer => answer,
        };
        let row = row.map_err(|error| store_error(&error))?;
        row.as_ref().map(read).transpose()
    }

    async fn send(
        &self,
        connection: &mut PoolConnection<Postgres>,
        wanted: Wanted<'_>,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        wanted.query().fetch_optional(&mut **connection).await
    }

    /// The names of domains and domain aliases and the patterns of routes.
    pub(super) async fn names(&self, max: usize) -> Result<Vec<String>, StoreError> {
        self.ready().await?;
        let names = async {
            let mut connection = self.look_ups.acquire().await?;
            self.loads.fetch_add(1, Ordering::Relaxed);
            let names = sqlx::query_scalar(statements::DOMAIN_NAMES);
            names
                .bind(i64::try_from(max).unwrap_or(i64::MAX))
                .fetch_all(&mut *connection)
                .await
        };
        names.await.map_err(|error| store_error(&error))
    }
}
