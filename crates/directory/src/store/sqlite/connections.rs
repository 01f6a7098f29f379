//! Connections to the file: one that writes, a few that read.
//!
//! # Contract
//! * **One writer at a time**, also among processes: a change begins by taking the file's write lock.
//! * **Bounded**: at most [`READERS_MAX`] look-ups and [`LISTERS_MAX`] listings at a time; further ones wait their turn,
//!   each for their own (D15).
//! * **A connection that met an error is not used again.** A read is then tried once more on a new one (D12),
//!   but for one that has waited already.
//! * **Only the file that lies in the place is read and written**: where there is none, the directory is unavailable.
//! * **Another file that has taken the place is opened without what was left beside the old one**: its log would be
//!   written over the new file.
//! * **Nothing waits for ever**: the file's locks [`Timing::busy`](super::Timing), a whole read
//!   [`Timing::statement`](super::Timing).

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use remuda_clock::{SharedClock, before};
use rusqlite::{Connection, ErrorCode, InterruptHandle};
use tokio::sync::Semaphore;

use super::{
    Timing,
    own::OwnImports,
    schema::{self, FileId},
};
use crate::store::{ChangeError, StoreError};

/// Look-ups at a time.
pub(super) const READERS_MAX: usize = 4;
/// Listings at a time: people look while all look-ups hang.
const LISTERS_MAX: usize = 2;

/// What a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Mail waits for it.
    LookUp,
    /// Somebody looks.
    Listing,
}

/// The connections of one store.
pub(super) struct Connections {
    pub(super) path: PathBuf,
    pub(super) clock: SharedClock,
    pub(super) timing: Timing,
    look_ups: Arc<Semaphore>,
    listings: Arc<Semaphore>,
    idle: Mutex<Vec<(u64, Connection)>>,
    writer: Arc<tokio::sync::Mutex<Option<(u64, Connection)>>>,
    place: Mutex<Place>,
    /// Connections of an older one are not used again: another file lies there now.
    generation: AtomicU64,
    pub(super) own_imports: OwnImports,
}

impl Connections {
    pub(super) fn new(path: PathBuf, clock: SharedClock, timing: Timing) -> Self {
        Connections {
            path,
            clock,
            timing,
            look_ups: Arc::new(Semaphore::new(READERS_MAX)),
            listings: Arc::new(Semaphore::new(LISTERS_MAX)),
            idle: Mutex::default(),
            writer: Arc::default(),
            place: Mutex::default(),
            generation: AtomicU64::new(0),
            own_imports: OwnImports::default(),
        }
    }

    /// Runs a read on a connection of its own.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        purpose: Purpose,
        work: impl Fn(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let deadline = self.clock.now().monotonic + self.timing.statement;
        let reading = Arc::new(Reading::default());
        let (all, own) = (self.clone(), reading.clone());
        let turns = match purpose {
            Purpose::LookUp => self.look_ups.clone(),
            Purpose::Listing => self.listings.clone(),
        };
        let answering = async move {
            let turn = turns.acquire_owned().await;
            let answering = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                all.try_twice(&own, work)
            });
            answering.await.unwrap_or_else(|e| Err(gone(&e)))
        };
        match before(&*self.clock, deadline, answering).await {
            Some(answer) => answer,
            None => {
                reading.end();
                Err(StoreError::Unavailable(format!(
                    "no answer within {:?}",
                    self.timing.statement
                )))
            }
        }
    }

    /// Runs a change on the writer, after those that came before. `work` makes its own transaction.
    pub(super) async fn write<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Reach + Send + 'static,
    {
        let deadline = self.clock.now().monotonic + self.timing.statement;
        let Some(mut writer) = before(&*self.clock, deadline, self.writer.clone().lock_owned()).await else {
            return Err(E::from(StoreError::Unavailable(
                "another change is still being made".into(),
            )));
        };
        let all = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let was = writer.take();
            let (generation, mut db) = all.current(was)?;
            let answer = work(&mut db);
            if answer.as_ref().map_or_else(|e| !e.is_the_databases(), |_| true) && db.is_autocommit() {
                *writer = Some((generation, db));
            }
            answer
        });
        writing.await.unwrap_or_else(|e| Err(E::from(gone(&e))))
    }

    /// A new connection to the file that lies there now; it must be there. When that is another one than before, all
    /// older connections are given up.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let mut place = lock(&self.place);
        let found = self.file()?;
        if place.file.is_some_and(|file| file != found) {
            self.generation.fetch_add(1, Ordering::AcqRel);
            lock(&self.idle).clear();
            schema::remove_log(&self.path, place.log);
            place.log = None;
        }
        place.file = Some(found);
        let db = schema::connect(&self.path, self.timing.busy).map_err(failure)?;
        place.log = schema::file(&schema::log_of(&self.path)).ok();
        Ok(db)
    }

    /// Which file lies there now.
    pub(super) fn file(&self) -> Result<FileId, StoreError> {
        schema::file(&self.path)
            .map_err(|error| StoreError::Unavailable(format!("{}: {error}", self.path.display())))
    }

    /// A connection that waits for work, as a test may put it there.
    #[cfg(test)]
    pub(super) fn put(&self, db: Connection) {
        lock(&self.idle).push((self.generation.load(Ordering::Acquire), db));
    }

    /// The connection, if it is to the file that lies there, or a new one. A connection to a file that has been
    /// moved away would go on with that one, unnoticed.
    fn current(&self, found: Option<(u64, Connection)>) -> Result<(u64, Connection), StoreError> {
        let generation = self.generation.load(Ordering::Acquire);
        let lies_there = Some(self.file()?);
        let is_ours = lock(&self.place).file == lies_there;
        match found {
            Some((made, db)) if is_ours && made == generation => Ok((made, db)),
            _ => {
                let db = self.connect()?;
                Ok((self.generation.load(Ordering::Acquire), db))
            }
        }
    }

    fn try_twice<T>(
        &self,
        reading: &Reading,
        work: impl Fn(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let found = lock(&self.idle).pop();
        let (generation, mut db) = self.current(found)?;
        reading.begin(&db)?;
        let mut answer = work(&mut db);
        if answer.as_ref().is_err_and(|error| !has_waited(error)) {
            db = self.connect()?;
            reading.begin(&db)?;
            answer = work(&mut db);
        }
        reading.done();
        if answer.is_ok() && self.generation.load(Ordering::Acquire) == generation {
            lock(&self.idle).push((generation, db));
        }
        answer.map_err(failure)
    }
}

/// A read that may be ended from outside.
#[derive(Default)]
struct Reading(Mutex<Ending>);

#[derive(Default)]
struct Ending {
    is_late: bool,
    running: Option<InterruptHandle>,
}

impl Reading {
    /// Says on which connection it runs.
    fn begin(&self, db: &Connection) -> Result<(), StoreError> {
        let mut ending = lock(&self.0);
        if ending.is_late {
            return Err(StoreError::Unavailable("its turn came too late".into()));
        }
        ending.running = Some(db.get_interrupt_handle());
        Ok(())
    }

    /// The connection will be another's: nobody may interrupt it any more.
    fn done(&self) {
        lock(&self.0).running = None;
    }

    fn end(&self) {
        let mut ending = lock(&self.0);
        ending.is_late = true;
        if let Some(running) = ending.running.take() {
            running.interrupt();
        }
    }
}

/// What was opened.
#[derive(Default)]
struct Place {
    file: Option<FileId>,
    /// Its write-ahead log.
    log: Option<FileId>,
}

/// Whose fault an error is.
pub(super) trait Reach {
    /// The database's, and not that of what was asked.
    fn is_the_databases(&self) -> bool;
}

impl Reach for ChangeError {
    fn is_the_databases(&self) -> bool {
        matches!(self, ChangeError::Store(_) | ChangeError::Unknown { .. })
    }
}

impl Reach for StoreError {
    fn is_the_databases(&self) -> bool {
        true
    }
}

/// What a failure of SQLite means.
pub(super) fn failure(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::Unknown
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::ApiMisuse
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::TooBig,
        )
        | None => StoreError::Query(text),
        Some(_) => StoreError::Unavailable(text),
    }
}

/// Answers whether a failed read has used up its time.
fn has_waited(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::OperationInterrupted)
    )
}

fn gone(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(format!("it was given up: {error}"))
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
