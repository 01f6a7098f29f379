//! The directory in SQLite: a file of its own, the default.
//!
//! # Contract
//! * **Every call runs on a blocking thread**; a future that is dropped leaves its statement to end by itself.
//! * **Reads go on while somebody writes** (WAL); a change waits for the other's end, at most
//!   [`Timing::busy`].
//! * **Edits by others are told** within two polls ([`watch`]).
//!
//! # Not here
//! The tables and their triggers: `schema.sql`, explained in `docs/directory-schema.md`.
//!
//! # Limits
//! One file on a local disk; WAL does not work over network file systems. While an import runs, other changes wait
//! for it, at most [`Timing::statement`].

mod change;
mod connections;
mod import;
mod log;
mod own;
mod rows;
mod schema;
mod watch;
mod write;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remuda_clock::SharedClock;
use tokio::sync::mpsc;

use super::{
    Answering, By, ChangeError, Changed, Deletion, Import, ImportError, Imported, Owner, Page, Pushed, Store,
    StoreError,
};
use crate::model::{Kind, Object};
use connections::{Connections, Purpose};
pub use schema::OpenError;

/// How long the store waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For a lock of the file that another process has.
    pub busy: Duration,
    /// For a look-up to answer; for a change to get its turn.
    pub statement: Duration,
    /// Between two looks for edits by others.
    pub poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            busy: Duration::from_secs(5),
            statement: Duration::from_secs(5),
            poll: Duration::from_millis(250),
        }
    }
}

/// The directory in a file.
pub struct SqliteStore {
    all: Arc<Connections>,
    loads: Arc<AtomicU64>,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(path: PathBuf, clock: SharedClock) -> Result<Self, OpenError> {
        SqliteStore::open_with(path, clock, Timing::default()).await
    }

    /// As [`open`](Self::open), with other times.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_with(path: PathBuf, clock: SharedClock, timing: Timing) -> Result<Self, OpenError> {
        let preparing = path.clone();
        tokio::task::spawn_blocking(move || schema::prepare(&preparing, timing.busy))
            .await
            .unwrap_or_else(|error| {
                Err(OpenError::File {
                    path: path.clone(),
                    error: error.into(),
                })
            })?;
        Ok(SqliteStore {
            all: Arc::new(Connections::new(path, clock, timing)),
            loads: Arc::default(),
        })
    }
}

impl Store for SqliteStore {
    fn load<'a>(&'a self, kind: Kind, by: By<'a>) -> Answering<'a, Result<Option<Object>, StoreError>> {
        let (key, loads) = (Key::of(by), self.loads.clone());
        Box::pin(async move {
            self.all
                .read(Purpose::LookUp, move |db| {
                    loads.fetch_add(1, Ordering::Relaxed);
                    rows::load(db, kind, key.by())
                })
                .await?
        })
    }

    fn page<'a>(&'a self, kind: Kind, page: &'a Page) -> Answering<'a, Result<Vec<Object>, StoreError>> {
        let page = page.clone();
        Box::pin(async move {
            self.all
                .read(Purpose::Listing, move |db| rows::page(db, kind, &page))
                .await?
        })
    }

    fn domain_names(&self, max: usize) -> Answering<'_, Result<Vec<String>, StoreError>> {
        let loads = self.loads.clone();
        Box::pin(self.all.read(Purpose::LookUp, move |db| {
            loads.fetch_add(1, Ordering::Relaxed);
            rows::domain_names(db, max)
        }))
    }

    fn whose<'a>(&'a self, address: &'a str) -> Answering<'a, Result<Owner, StoreError>> {
        let (address, loads) = (address.to_owned(), self.loads.clone());
        Box::pin(async move {
            self.all
                .read(Purpose::LookUp, move |db| {
                    loads.fetch_add(1, Ordering::Relaxed);
                    rows::whose(db, &address)
                })
                .await?
        })
    }

    fn insert(&self, object: Object) -> Answering<'_, Result<Changed, ChangeError>> {
        Box::pin(self.all.write(move |db| change::insert(db, &object)))
    }

    fn update(&self, object: Object, based_on: Option<i64>) -> Answering<'_, Result<Changed, ChangeError>> {
        Box::pin(self.all.write(move |db| change::update(db, &object, based_on)))
    }

    fn delete<'a>(
        &'a self,
        kind: Kind,
        by: By<'a>,
        how: Deletion,
    ) -> Answering<'a, Result<Changed, ChangeError>> {
        let key = Key::of(by);
        Box::pin(self.all.write(move |db| change::delete(db, kind, key.by(), how)))
    }

    fn import(&self, objects: mpsc::Receiver<Import>) -> Answering<'_, Result<Imported, ImportError>> {
        let all = self.all.clone();
        Box::pin(
            self.all
                .write(move |db| import::import(db, objects, &all.own_imports)),
        )
    }

    fn watch(self: Arc<Self>, to: mpsc::Sender<Pushed>) -> Answering<'static, ()> {
        Box::pin(watch::watch(self.all.clone(), to))
    }

    fn is_polled(&self) -> bool {
        true
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        format!("sqlite:{}", self.all.path.display())
    }
}

/// A [`By`] that a blocking thread may keep.
enum Key {
    Id(i64),
    Name(String),
}

impl Key {
    fn of(by: By<'_>) -> Key {
        match by {
            By::Id(id) => Key::Id(id),
            By::Name(name) => Key::Name(name.to_owned()),
        }
    }

    fn by(&self) -> By<'_> {
        match self {
            Key::Id(id) => By::Id(*id),
            Key::Name(name) => By::Name(name),
        }
    }
}

#[cfg(test)]
mod tests;
