//! Connections that read.
//!
//! # Contract
//! * **Bounded**: at most [`READERS_MAX`] reads at a time; further ones wait their turn.
//! * **A read ends before its call returns**: no transaction stays open between two calls.
//! * **A connection that met an error is not used again.**

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{
    Error,
    content::blocking,
    schema::{self, Role},
};

/// Reads at a time.
const READERS_MAX: usize = 3;

/// The connections.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    turns: Semaphore,
    idle: Mutex<Vec<(u64, Connection)>>,
    /// Connections of an older one are not used again.
    generation: AtomicU64,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Readers {
            path,
            turns: Semaphore::new(READERS_MAX),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// Closes what is idle, and what is in use when it comes back.
    pub(crate) fn renew(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.idle().clear();
    }

    /// Reads no more: waits for the reads in hand; whoever comes later gets [`Error::Closed`].
    pub(crate) async fn close(&self) {
        // All turns at once; an error says that it was closed before.
        let turns = self.turns.acquire_many(READERS_MAX as u32).await;
        self.turns.close();
        drop(turns);
        self.renew();
    }

    /// Runs `work` on a connection, on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        self: &std::sync::Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = self.clone();
        let _turn = self.turns.acquire().await.map_err(|_| Error::Closed)?;
        blocking(move || readers.run(work)).await
    }

    fn run<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        let generation = self.generation.load(Ordering::Relaxed);
        let found = self.idle().pop();
        let mut db = match found {
            Some((made, db)) if made == generation => db,
            _ => schema::connect(&self.path, Role::Reader)?,
        };
        let value = work(&mut db)?;
        if self.generation.load(Ordering::Relaxed) == generation {
            self.idle().push((generation, db));
        }
        Ok(value)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
