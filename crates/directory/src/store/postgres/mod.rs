//! The directory in PostgreSQL: several servers may share it, and people may edit it with SQL.
//!
//! # Contract
//! * As [`Store`](super::Store).
//! * **It may be away at the start**: [`open`](PostgresStore::open) wants a database that fits, not one that is there.
//!   What is asked meanwhile is unavailable, and the schema is brought up when the database has come.
//! * **Every answer has a deadline**, ours beside the database's: a path that has died without a word ends there too.
//! * **Look-ups do not take the connections of those who change, list and import** (D15).
//! * **A statement that was caught by a deadlock, a restart or a lost connection is sent once more**, on a connection
//!   that has just answered (D12).
//!
//! # Not here
//! The tables ([`schema`]), what is told of changes ([`push`]).
//!
//! # Limits
//! [`Limits`]. A pooler that hands each transaction another connection loses notifications: the server itself, please.
//!
//! # Known faults
//! * The driver sets no TCP keepalive; a dead path is found by the deadlines and the heartbeat. The server is asked to
//!   probe from its side.

mod change;
mod error;
mod import;
mod look_up;
mod own;
mod payload;
mod place;
mod push;
mod row;
mod schema;
mod statements;

use std::{
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remuda_clock::{SharedClock, before};
use sqlx::{
    Connection as _, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use tokio::sync::{OnceCell, mpsc};

use super::{
    Answering, By, ChangeError, Changed, Deletion, Import, ImportError, Imported, Owner, Page, Pushed, Store,
    StoreError,
};
use crate::model::{Kind, Object};
use change::Change;
use error::store_error;
pub use schema::OpenError;
use statements::Wanted;

/// The store.
pub struct PostgresStore {
    look_ups: PgPool,
    /// For changes, listings and imports.
    changes: PgPool,
    options: PgConnectOptions,
    /// Filled when the schema is ours.
    schema: OnceCell<()>,
    clock: SharedClock,
    limits: Limits,
    loads: AtomicU64,
    own_imports: own::OwnImports,
    /// What tests let happen between LISTEN and flush.
    #[cfg(test)]
    between: push::Between,
}

/// How much, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections for look-ups.
    pub look_ups_max: u32,
    /// Connections for changes, listings and imports.
    pub changes_max: u32,
    /// Until there is a connection.
    pub connect_max: Duration,
    /// Until a look-up is answered.
    pub look_up_max: Duration,
    /// Until a statement of a change or an import is answered; the end of a large domain is one.
    pub change_max: Duration,
    /// Between two heartbeats of the push channel, and until one is heard.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            look_ups_max: 8,
            changes_max: 4,
            connect_max: Duration::from_secs(2),
            look_up_max: Duration::from_secs(5),
            change_max: Duration::from_secs(60),
            heartbeat: Duration::from_secs(5),
        }
    }
}

impl PostgresStore {
    /// Opens the database at `url` (`postgres://user@host/database`), or will as soon as it is there.
    ///
    /// # Errors
    /// The URL makes no sense; or the database is there and does not fit, e.g. is newer than this program.
    pub async fn open(url: &str, clock: SharedClock) -> Result<Self, OpenError> {
        Self::open_with(url, clock, Limits::default()).await
    }

    /// As [`open`](Self::open), with other limits.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(url: &str, clock: SharedClock, limits: Limits) -> Result<Self, OpenError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| OpenError::Url(error.to_string()))?;
        let options = options.application_name("remuda").options(SESSION);
        let (connect_max, look_up_max) = (limits.connect_max, limits.look_up_max);
        let store = PostgresStore {
            look_ups: pool(&options, &clock, limits.look_ups_max, (connect_max, look_up_max)),
            changes: pool(
                &options,
                &clock,
                limits.changes_max,
                (connect_max, limits.change_max),
            ),
            options,
            schema: OnceCell::new(),
            clock,
            limits,
            loads: AtomicU64::new(0),
            own_imports: own::OwnImports::default(),
            #[cfg(test)]
            between: push::Between::default(),
        };
        match store.within(look_up_max, store.bring_up()).await {
            Ok(()) | Err(OpenError::Store(StoreError::Unavailable(_))) => Ok(store),
            Err(error) => Err(error),
        }
    }

    /// Lets `future` run for `max` at most.
    async fn within<T, E: From<StoreError>>(
        &self,
        max: Duration,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let deadline = self.clock.now().monotonic + max;
        let answer = before(&*self.clock, deadline, future).await;
        answer.unwrap_or_else(|| Err(StoreError::Unavailable(format!("no answer within {max:?}")).into()))
    }

    /// Completes when the database's schema is known to be ours.
    async fn ready(&self) -> Result<(), StoreError> {
        self.bring_up().await.map_err(|error| match error {
            OpenError::Store(error) => error,
            error => StoreError::Query(error.to_string()),
        })
    }

    async fn bring_up(&self) -> Result<(), OpenError> {
        let bring_up = async || {
            let connection = self.changes.acquire().await;
            let mut connection = connection.map_err(|error| store_error(&error))?;
            schema::bring_up(&mut connection).await
        };
        self.schema.get_or_try_init(bring_up).await.copied()
    }

    /// A connection that has just answered: those that were lost in the pool are dropped.
    async fn sound(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut left = pool.options().get_max_connections();
        loop {
            let mut connection = pool.acquire().await?;
            match connection.ping().await {
                Ok(()) => return Ok(connection),
                Err(error) if left == 0 => return Err(error),
                Err(_) => connection.close_on_drop(),
            }
            left -= 1;
        }
    }

    async fn list(&self, kind: Kind, page: &Page) -> Result<Vec<Object>, StoreError> {
        self.ready().await?;
        let rows = async {
            let mut connection = self.sound(&self.changes).await?;
            sqlx::query(statements::of(kind).page)
                .bind(&page.after)
                .bind(i64::from(page.limit))
                .bind(&page.domain)
                .fetch_all(&mut *connection)
                .await
        };
        let rows = rows.await.map_err(|error| store_error(&error))?;
        rows.iter().map(|row| row::object(kind, row)).collect()
    }
}

impl Store for PostgresStore {
    fn load<'a>(&'a self, kind: Kind, by: By<'a>) -> Answering<'a, Result<Option<Object>, StoreError>> {
        let read = move |row: &PgRow| row::object(kind, row);
        Box::pin(self.within(
            self.limits.look_up_max,
            self.look_up(Wanted::Object(kind, by), read),
        ))
    }

    fn page<'a>(&'a self, kind: Kind, page: &'a Page) -> Answering<'a, Result<Vec<Object>, StoreError>> {
        Box::pin(self.within(self.limits.change_max, self.list(kind, page)))
    }

    fn domain_names(&self, max: usize) -> Answering<'_, Result<Vec<String>, StoreError>> {
        Box::pin(self.within(self.limits.look_up_max, self.names(max)))
    }

    fn whose<'a>(&'a self, address: &'a str) -> Answering<'a, Result<Owner, StoreError>> {
        let look_up = async {
            let owner = self.look_up(Wanted::Whose(address), row::whose).await?;
            Ok(owner.unwrap_or(Owner::NoDomain))
        };
        Box::pin(self.within(self.limits.look_up_max, look_up))
    }

    fn insert(&self, object: Object) -> Answering<'_, Result<Changed, ChangeError>> {
        Box::pin(self.change(Change::Insert(object)))
    }

    fn update(&self, object: Object, based_on: Option<i64>) -> Answering<'_, Result<Changed, ChangeError>> {
        Box::pin(self.change(Change::Update(object, based_on)))
    }

    fn delete<'a>(
        &'a self,
        kind: Kind,
        by: By<'a>,
        how: Deletion,
    ) -> Answering<'a, Result<Changed, ChangeError>> {
        Box::pin(self.change(Change::Delete(kind, by.into(), how)))
    }

    fn import(&self, objects: mpsc::Receiver<Import>) -> Answering<'_, Result<Imported, ImportError>> {
        Box::pin(self.import_all(objects))
    }

    fn watch(self: Arc<Self>, to: mpsc::Sender<Pushed>) -> Answering<'static, ()> {
        Box::pin(push::watch(self, to))
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        let options = &self.options;
        let (user, host) = (options.get_username(), options.get_host());
        let database = options.get_database().unwrap_or(user);
        match options.get_port() {
            5432 => format!("postgres://{user}@{host}/{database}"),
            port => format!("postgres://{user}@{host}:{port}/{database}"),
        }
    }
}

/// A pool whose connections are looked at when they have been idle, and when they come back. `times`: until there
/// is a connection, and until a statement is answered.
fn pool(options: &PgConnectOptions, clock: &SharedClock, max: u32, times: (Duration, Duration)) -> PgPool {
    let (connect_max, answer_max) = times;
    let options = options
        .clone()
        .options([("statement_timeout", answer_max.as_millis().to_string())]);
    let (at_take, at_return) = (clock.clone(), clock.clone());
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(connect_max)
        .test_before_acquire(false)
        .before_acquire(move |connection, usage| {
            let clock = at_take.clone();
            Box::pin(async move { Ok(usage.idle_for < TRUSTED || is_sound(&*clock, connection).await) })
        })
        // A connection that was dropped while it waited for an answer must not wait in the pool for ever.
        .after_release(move |connection, _| {
            let clock = at_return.clone();
            Box::pin(async move {
                match is_sound(&*clock, connection).await {
                    true => Ok(true),
                    false => Err(sqlx::Error::WorkerCrashed),
                }
            })
        })
        .connect_lazy_with(options)
}

async fn is_sound(clock: &dyn remuda_clock::Clock, connection: &mut sqlx::PgConnection) -> bool {
    let deadline = clock.now().monotonic + PING_MAX;
    matches!(before(clock, deadline, connection.ping()).await, Some(Ok(())))
}

/// A connection that has been idle for longer is asked whether it is still there.
const TRUSTED: Duration = Duration::from_secs(10);
const PING_MAX: Duration = Duration::from_secs(1);

/// Of every connection: the server looks after those whose other end has gone, and nobody waits long for a lock.
const SESSION: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("lock_timeout", "5s"),
];

#[cfg(test)]
mod tests;
