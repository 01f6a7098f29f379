//! The writer: puts what waits into one commit, again and again, and gets over a failing disk.
//!
//! It runs on a blocking thread while there is work and ends when there is none, so that paused time waits
//! for commits and for nothing else.
//!
//! ```text
//!              commit failed: no space          commit failed otherwise
//!   Full ◀──────────────────────── Writable ────────────────────────▶ Failing
//!    │  stores refused, reserve freed  ▲ ▲   database closed             │
//!    └───── reserve could be made ─────┘ └── reopened, one probe written ┘
//! ```
//!
//! Both ways back are tried with each new change and once a second.
//!
//! # Contract
//! * **One bad change fails alone.** When a change fails for reasons of its own, the batch is done again
//!   with a savepoint around each.
//! * **A settlement is kept until it is written.** Only one that fails [`FAILURES_MAX`] times alone, on a
//!   disk that takes other writes, is given back with its error.
//! * **No ghosts.** After a failing sync nobody knows whether the commit is on disk; the next successful
//!   transaction removes what was refused from it.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use remuda_clock::Monotonic;
use rusqlite::Connection;

use crate::{
    Error,
    apply::Effects,
    checkpoint::{Log, Need},
    error::Reach,
    health::Condition,
    queue::{Kind, Request},
    schema::{self, Role},
    shared::Shared,
    transaction::{Ghosts, Written, apply_each, apply_fast, in_transaction},
};

/// How often a change may fail alone before it is given up.
const FAILURES_MAX: u32 = 3;
/// When a failing disk is tried again though nobody asks.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the writer keeps between batches.
#[derive(Default)]
pub(crate) struct Writer {
    /// None after a failure.
    db: Option<Connection>,
    /// Settlements that a failed commit held.
    kept: VecDeque<Request>,
    /// Kept settlements failed although the disk took other writes: one of them may be bad.
    is_kept_suspect: bool,
    ghosts: Ghosts,
}

impl Writer {
    pub(crate) fn new(db: Connection) -> Self {
        Writer {
            db: Some(db),
            ..Writer::default()
        }
    }

    /// Settlements that still wait for the disk.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Closes the database; whoever waits for a kept settlement learns that the spool is closed.
    pub(crate) fn close(&mut self) {
        self.kept.clear();
        self.db = None;
    }

    /// Frees the page cache and gives free pages back to the file system while nobody waits.
    pub(crate) fn tidy(&mut self, shared: &Shared) -> Result<(), Error> {
        let Some(db) = &self.db else { return Ok(()) };
        let ask = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
        while shared.queue.is_idle() {
            let (free, pages) = (ask("freelist_count")?, ask("page_count")?);
            // Some are kept: the next messages want them.
            if free < FREE_PAGES_KEPT || free < pages / 4 {
                break;
            }
            let mut step = db.prepare_cached("PRAGMA incremental_vacuum(64)")?;
            let mut rows = step.query([])?;
            while rows.next()?.is_some() {}
        }
        db.execute_batch("PRAGMA shrink_memory")?;
        Ok(())
    }

    fn write(&mut self, shared: &Arc<Shared>, batch: Vec<Request>) {
        if let Err(error) = self.recover(shared) {
            return self.refuse(shared, batch, &error);
        }
        if let Err(error) = self.write_kept(shared) {
            return self.failed(shared, batch, error);
        }
        let batch = self.refuse_stores_when_full(shared, batch);
        if !batch.is_empty() {
            self.write_batch(shared, batch);
        }
    }

    fn write_batch(&mut self, shared: &Arc<Shared>, mut batch: Vec<Request>) {
        match self.transact(shared, &mut batch) {
            Ok((outcomes, effects)) => finish(shared, batch, outcomes, effects),
            Err(Error::Full) => {
                self.set_full(shared, &batch);
                let mut rest = self.refuse_stores_when_full(shared, batch);
                match self.transact(shared, &mut rest) {
                    Ok((outcomes, effects)) => finish(shared, rest, outcomes, effects),
                    Err(error) => self.failed(shared, rest, error),
                }
            }
            Err(error) => self.failed(shared, batch, error),
        }
    }

    /// Writes what earlier commits could not, all at once and, if that fails, one by one.
    fn write_kept(&mut self, shared: &Arc<Shared>) -> Result<(), Error> {
        if !self.is_kept_suspect && !self.kept.is_empty() {
            let mut batch: Vec<Request> = self.kept.drain(..).collect();
            match self.transact(shared, &mut batch) {
                Ok((outcomes, effects)) => finish(shared, batch, outcomes, effects),
                Err(error) => {
                    self.is_kept_suspect = true;
                    self.kept.extend(batch);
                    return Err(error);
                }
            }
        }
        while let Some(request) = self.kept.pop_front() {
            let mut alone = vec![request];
            match self.transact(shared, &mut alone) {
                Ok((outcomes, effects)) => finish(shared, alone, outcomes, effects),
                Err(error) => {
                    self.failed_alone(shared, alone, &error);
                    return Err(error);
                }
            }
        }
        self.is_kept_suspect = false;
        Ok(())
    }

    fn failed_alone(&mut self, shared: &Shared, alone: Vec<Request>, error: &Error) {
        for mut request in alone {
            request.failures += 1;
            if request.failures < FAILURES_MAX {
                self.kept.push_back(request);
            } else {
                tracing::error!(%error, "a change cannot be written though the disk takes others; given up");
                answer(shared, request, Err(error.clone()));
            }
        }
    }

    /// Runs a batch in one transaction: fast first, then with a savepoint around each change.
    fn transact(&mut self, shared: &Shared, batch: &mut [Request]) -> Written {
        if batch.is_empty() {
            return Ok((Vec::new(), Effects::default()));
        }
        let Some(db) = &self.db else {
            return Err(Error::Closed);
        };
        let started = shared.clock.now().monotonic;
        let written = match in_transaction(db, &self.ghosts, batch, &shared.claims, apply_fast) {
            Err(error) if error.reach() == Reach::Change => {
                in_transaction(db, &self.ghosts, batch, &shared.claims, apply_each)
            }
            other => other,
        };
        if let Ok((_, effects)) = &written {
            self.ghosts = Ghosts::default();
            let metrics = &shared.metrics;
            metrics.commits.inc();
            metrics.commit_messages.observe(effects.messages as f64);
            let took = shared.clock.now().monotonic.since(started);
            metrics.commit_seconds.observe(took.as_secs_f64());
        }
        written
    }

    /// Opens the database again after a failure, checks it and writes once.
    fn recover(&mut self, shared: &Shared) -> Result<(), Error> {
        if self.db.is_none() {
            shared.readers.renew();
            shared.checkpointer.close();
            let db = schema::connect(&shared.paths.database, Role::Writer)?;
            let version = schema::version(&db)?;
            in_transaction(&db, &self.ghosts, &mut [], &shared.claims, |db, _, _| {
                // The same value again: it is written all the same.
                db.execute_batch(&format!("PRAGMA user_version = {version}"))?;
                Ok(Vec::new())
            })?;
            self.ghosts = Ghosts::default();
            self.db = Some(db);
            shared.set_condition(Condition::Full);
        }
        if shared.condition().error().is_some() && shared.paths.make_reserve().is_ok() {
            shared.set_condition(Condition::Writable);
        }
        Ok(())
    }

    /// The disk failed under a batch: closes the database and keeps what must not be lost.
    fn failed(&mut self, shared: &Arc<Shared>, batch: Vec<Request>, error: Error) {
        self.note_ghosts(&batch);
        self.db = None;
        if matches!(error, Error::Full) {
            shared.paths.free_reserve();
        }
        self.refuse(shared, batch, &error);
    }

    fn refuse(&mut self, shared: &Arc<Shared>, batch: Vec<Request>, error: &Error) {
        shared.set_condition(Condition::Failing(error.clone()));
        for request in batch {
            match request.kind {
                Kind::Kept => self.kept.push_back(request),
                Kind::Store(_) | Kind::Change => answer(shared, request, Err(error.clone())),
            }
        }
    }

    fn set_full(&mut self, shared: &Shared, batch: &[Request]) {
        self.note_ghosts(batch);
        shared.paths.free_reserve();
        shared.set_condition(Condition::Full);
        if let Err(error) = shared.checkpointer.pass() {
            tracing::warn!(%error, "the log cannot be moved on a full disk");
        }
    }

    fn refuse_stores_when_full(&mut self, shared: &Shared, batch: Vec<Request>) -> Vec<Request> {
        let Some(error) = shared.condition().error() else {
            return batch;
        };
        let (stores, rest) = batch.into_iter().partition::<Vec<_>, _>(Request::is_store);
        for request in stores {
            answer(shared, request, Err(error.clone()));
        }
        rest
    }

    fn note_ghosts(&mut self, batch: &[Request]) {
        for request in batch {
            if let Kind::Store(message) = request.kind {
                self.ghosts.messages.push(message);
                self.ghosts.files.extend(request.file.clone());
            }
        }
    }
}

/// Free pages that are not given back: 8 MiB.
const FREE_PAGES_KEPT: i64 = 1024;

/// Writes until nothing waits. Runs on a blocking thread, one at a time.
pub(crate) fn run(shared: &Arc<Shared>) {
    let _panic = OnPanic(shared);
    let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        shared.await_turn();
        let Some(batch) = shared.queue.take_batch() else {
            break;
        };
        let stores = batch.iter().filter(|request| request.is_store()).count();
        let bytes = batch.iter().map(|request| request.bytes).sum();
        shared.pace.begins(stores, bytes, shared.clock.now().monotonic);
        writer.write(shared, batch);
        shared.queue.batch_ended(oldest(&writer.kept));
        after_commit(shared, &mut writer);
    }
    drop(writer);
    if shared.condition().error().is_some() {
        shared.retry_later(RETRY_AFTER);
    } else {
        shared.tidy_later();
    }
}

fn oldest(kept: &VecDeque<Request>) -> Option<Monotonic> {
    kept.iter().map(|request| request.since).min()
}

/// Starts a checkpoint when the log wants one.
fn after_commit(shared: &Arc<Shared>, writer: &mut Writer) {
    let Some(db) = &writer.db else { return };
    let need = match Log::of(db) {
        Ok(log) => log.need(),
        Err(error) => {
            tracing::warn!(%error, "the log's length cannot be read");
            Need::None
        }
    };
    let done = match need {
        Need::None => Ok(()),
        Need::Pass => {
            shared.pass_beside();
            Ok(())
        }
        Need::LastPass => shared.checkpointer.pass().map(drop),
    };
    if let Err(error) = done {
        shared.checkpoint_failed(&error);
    }
}

/// Does what follows a commit, then answers.
fn finish(shared: &Shared, batch: Vec<Request>, outcomes: Vec<Result<(), Error>>, effects: Effects) {
    for file in &effects.files {
        file.keep();
    }
    {
        let mut fresh = shared.fresh();
        for (message, content) in effects.fresh {
            fresh.insert(message, content);
        }
        for message in effects.tried {
            fresh.remove(message);
        }
    }
    for (request, outcome) in batch.into_iter().zip(outcomes) {
        answer(shared, request, outcome);
    }
    for message in effects.unlink {
        if !shared.claims.keeps_file(message) {
            shared.paths.remove_content(message);
        }
    }
}

fn answer(shared: &Shared, request: Request, outcome: Result<(), Error>) {
    shared.queue.release(request.bytes);
    request.job.answer(outcome);
}

/// Lets the next change start a new writer when this one panics.
struct OnPanic<'a>(&'a Shared);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.writer_gone();
        }
    }
}
