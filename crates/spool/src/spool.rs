//! The spool as its users see it: opening, storing, reading, closing.

use std::{
    fs::File,
    future::Future,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use remuda_clock::{SharedClock, Wall};
use remuda_mail::{Destination, EntryId, MessageId};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use crate::{
    AgeRow, Backlog, Changed, Content, ContentReader, ContentWriter, Error, Filter, Heads, Health, Listed,
    Metrics, NewEntry, NewMessage, Notices, Queued, Selection, Settlement, Shown,
    admin::{STEP, Sweep, Verb},
    apply::{self, Effects},
    browse,
    checkpoint::Checkpointer,
    codec::{self, MessageRow, json},
    content::{Place, Source},
    files::Paths,
    fresh::Fresh,
    health::Condition,
    queue::{Call, Kind, Request, WriteQueue},
    read,
    readers::Readers,
    schema,
    settle::{self, SettleRow},
    writer::{self, Writer},
};

/// How a spool is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Directory of `spool.db`, the content files in `spool/`, `spool.lock` and `spool.reserve`.
    pub data_dir: PathBuf,
    /// Octets of fresh content kept in memory until the first attempt.
    pub queue_memory: u64,
    /// Octets that may wait for the writer.
    pub write_queue_max: u64,
}

impl Options {
    /// The defaults: 256 MiB of fresh content, 64 MiB waiting.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Options {
            data_dir: data_dir.into(),
            queue_memory: 256 << 20,
            write_queue_max: 64 << 20,
        }
    }
}

/// The durable store of messages. Clones are the same spool.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// What the spool's parts share.
pub(crate) struct Shared {
    pub(crate) paths: Arc<Paths>,
    pub(crate) clock: SharedClock,
    pub(crate) queue: WriteQueue,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) metrics: Metrics,
    write_queue_max: u64,
    condition: Mutex<Condition>,
    fresh: Mutex<Fresh>,
    last_id: AtomicU64,
    is_retry_set: AtomicBool,
    is_tidy_set: AtomicBool,
    lock: Mutex<Option<File>>,
}

/// After so long without a change the spool tidies up.
const TIDY_AFTER: Duration = Duration::from_secs(1);

mod verbs;

impl Spool {
    /// Opens the spool, or makes an empty one.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it; [`Error::Damaged`] and [`Error::Newer`] when what is
    /// there cannot be used, with nothing changed on disk; else what the file system said.
    pub fn open(options: Options, clock: SharedClock) -> Result<Spool, Error> {
        let paths = Arc::new(Paths::new(&options.data_dir));
        let lock = paths.lock()?;
        let db = schema::open(&paths)?;
        remove_orphans(&db, &paths)?;
        let condition = match paths.make_reserve() {
            Ok(()) => Condition::Writable,
            Err(Error::Full) => Condition::Full,
            Err(error) => return Err(error),
        };
        let last_id = youngest(&db)?;
        let shared = Shared {
            queue: WriteQueue::default(),
            writer: Mutex::new(Writer::new(db)),
            readers: Arc::new(Readers::new(paths.database.clone())),
            checkpointer: Checkpointer::new(paths.database.clone()),
            metrics: Metrics::new(),
            write_queue_max: options.write_queue_max,
            condition: Mutex::new(condition),
            fresh: Mutex::new(Fresh::new(options.queue_memory)),
            last_id: AtomicU64::new(last_id.unsigned_abs()),
            is_retry_set: AtomicBool::new(false),
            is_tidy_set: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
            paths,
            clock,
        };
        Ok(Spool {
            shared: Arc::new(shared),
        })
    }

    /// A queue id: above every id in the spool, growing, close to the time in microseconds.
    pub fn allocate_id(&self) -> MessageId {
        self.shared.allocate_id()
    }

    /// Begins to take the content of a message.
    pub fn writer(&self, id: MessageId) -> ContentWriter {
        ContentWriter::new(self.shared.paths.clone(), id)
    }

    /// Makes a message durable. Returns its entries after the commit.
    ///
    /// # Errors
    /// Nothing was accepted: [`Error::Full`], [`Error::ReadOnly`], [`Error::Overloaded`] and others.
    pub async fn store(&self, message: NewMessage<Content>) -> Result<Vec<Queued>, Error> {
        let id = message.id;
        let (row, queued) = codec::encode(message, || self.shared.allocate_id())?;
        let file = match &row.place {
            Place::File(file) => Some(file.clone()),
            Place::Memory(_) => None,
        };
        let request = Submission {
            kind: Kind::Store(id),
            bytes: row.bytes(),
            file,
        };
        let run = move |db: &Connection, effects: &mut Effects| apply::store(db, &row, effects);
        self.shared.submit(request, run).await?;
        Ok(queued)
    }

    /// Records what became of a delivery; it is in the queue when this returns, and in the next commit.
    /// Answers with the entries of the reports stored with it. An entry that is gone stays gone, without
    /// its reports; a held one stays held.
    ///
    /// # Errors
    /// The future fails only for a change that the database refuses for good, or when the spool closes:
    /// a failing disk is waited for.
    pub fn settle(
        &self,
        settlement: Settlement,
    ) -> impl Future<Output = Result<Vec<Queued>, Error>> + Send + 'static {
        let prepared = self.shared.encode_reports(settlement.reports);
        let waiting = prepared.map(|(reports, queued)| {
            let row = SettleRow {
                entry: settlement.entry,
                message: settlement.message,
                left: (!settlement.left.is_empty()).then(|| json(&settlement.left)),
                due: settlement.due,
                attempt: settlement.attempt.as_ref().map(json),
                reports,
            };
            let submission = Submission::kept(row.bytes());
            let run = move |db: &Connection, effects: &mut Effects| settle::settle(db, &row, effects);
            (self.shared.submit(submission, run), queued)
        });
        async move {
            let (committed, queued) = waiting?;
            Ok(if committed.await? { queued } else { Vec::new() })
        }
    }

    /// Moves the notice of an entry and stores the reports that the past one called for. Kept and tried
    /// again like a settlement.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn set_notice(
        &self,
        entry: EntryId,
        notice: Wall,
        reports: Vec<NewMessage<Bytes>>,
    ) -> Result<Vec<Queued>, Error> {
        let (rows, queued) = self.shared.encode_reports(reports)?;
        let bytes = 64 + rows.iter().map(MessageRow::bytes).sum::<u64>();
        let run = move |db: &Connection, effects: &mut Effects| {
            settle::set_notice(db, entry, notice, &rows, effects)
        };
        let was_there = self.shared.submit(Submission::kept(bytes), run).await?;
        Ok(if was_there { queued } else { Vec::new() })
    }

    /// The spool's state, for admission.
    pub fn health(&self) -> Health {
        let shared = &self.shared;
        let reason = shared.condition().error();
        let (queued_bytes, since) = shared.queue.waiting();
        let now = shared.clock.now().monotonic;
        Health {
            writable: reason.is_none() && !shared.queue.is_closed(),
            reason: reason.map(|error| error.to_string()),
            writer_delay: since.map_or(Duration::ZERO, |since| now.since(since)),
            queued_bytes,
            free_disk: rustix::fs::statvfs(&shared.paths.data_dir)
                .ok()
                .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            fresh_bytes: shared.fresh().bytes(),
        }
    }

    /// What it has counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Commits what waits, moves the log into the database, and gives the spool free. Settlements that a
    /// failing disk still holds up are given back with [`Error::Closed`].
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.queue.close();
        if shared.queue.kick() {
            shared.start_writer();
        }
        shared.queue.drained().await;
        shared.readers.close().await;
        let shared = shared.clone();
        // The runtime may be ending; then the log is read at the next start.
        let _ = tokio::task::spawn_blocking(move || shared.close()).await;
    }
}

/// What a change brings besides its rows.
pub(crate) struct Submission {
    kind: Kind,
    bytes: u64,
    file: Option<Arc<crate::files::ContentFile>>,
}

impl Submission {
    pub(crate) fn kept(bytes: u64) -> Self {
        Submission {
            kind: Kind::Kept,
            bytes,
            file: None,
        }
    }

    pub(crate) fn change() -> Self {
        Submission {
            kind: Kind::Change,
            bytes: 256,
            file: None,
        }
    }
}

impl Shared {
    fn allocate_id(&self) -> MessageId {
        let micros = self.clock.now().wall.0.max(0).unsigned_abs() * 1000;
        let next = |last: u64| Some(micros.max(last + 1));
        let last = self
            .last_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap_or_else(|last| last);
        MessageId(micros.max(last + 1))
    }

    fn encode_reports(
        &self,
        reports: Vec<NewMessage<Bytes>>,
    ) -> Result<(Vec<MessageRow>, Vec<Queued>), Error> {
        let (mut rows, mut queued) = (Vec::new(), Vec::new());
        for report in reports {
            let (row, entries) = codec::encode_report(report, || self.allocate_id())?;
            rows.push(row);
            queued.extend(entries);
        }
        Ok((rows, queued))
    }

    /// Puts a change into the queue at once; the future waits for its commit.
    pub(crate) fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        submission: Submission,
        run: impl FnMut(&Connection, &mut Effects) -> Result<T, Error> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            kind: submission.kind,
            job: Box::new(Call {
                run,
                value: None,
                answer,
            }),
            bytes: submission.bytes,
            since: self.clock.now().monotonic,
            file: submission.file,
            failures: 0,
        };
        let pushed = self.queue.push(request, self.write_queue_max);
        if matches!(pushed, Ok(true)) {
            self.start_writer();
        }
        async move {
            pushed?;
            answered.await.unwrap_or(Err(Error::Closed))
        }
    }

    fn start_writer(self: &Arc<Self>) {
        let shared = self.clone();
        tokio::task::spawn_blocking(move || writer::run(&shared));
    }

    /// Kicks the writer after a while. One timer at a time.
    pub(crate) fn retry_later(self: &Arc<Self>, after: Duration) {
        if self.queue.is_closed() || self.is_retry_set.swap(true, Ordering::AcqRel) {
            return;
        }
        let timer = self.clock.sleep_until(self.clock.now().monotonic + after);
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            timer.await;
            let Some(shared) = Weak::upgrade(&shared) else {
                return;
            };
            shared.is_retry_set.store(false, Ordering::Release);
            if shared.queue.kick() {
                shared.start_writer();
            }
        });
    }

    /// Tidies up when nothing was written for a while. One timer at a time.
    pub(crate) fn tidy_later(self: &Arc<Self>) {
        if self.queue.is_closed() || self.is_tidy_set.swap(true, Ordering::AcqRel) {
            return;
        }
        let timer = self.clock.sleep_until(self.clock.now().monotonic + TIDY_AFTER);
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            timer.await;
            let Some(shared) = Weak::upgrade(&shared) else {
                return;
            };
            shared.is_tidy_set.store(false, Ordering::Release);
            if shared.queue.is_idle() {
                tokio::task::spawn_blocking(move || shared.tidy());
            }
        });
    }

    /// Moves the log, gives free pages back, frees the page cache.
    fn tidy(self: &Arc<Self>) {
        let tidied = self
            .checkpointer
            .pass()
            .and_then(|_| self.writer().tidy(self).and_then(|()| self.checkpointer.pass()));
        if let Err(error) = tidied {
            self.checkpoint_failed(&error);
        }
    }

    /// Runs a checkpoint beside the commits, unless one runs.
    pub(crate) fn pass_beside(self: &Arc<Self>) {
        if self.checkpointer.begin() {
            let shared = self.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = shared.checkpointer.run_begun() {
                    shared.checkpoint_failed(&error);
                }
            });
        }
    }

    /// A full disk is met here first when the database has to grow: its reserve is freed for the rest.
    pub(crate) fn checkpoint_failed(self: &Arc<Self>, error: &Error) {
        tracing::warn!(%error, "the log could not be moved into the database");
        if matches!(error, Error::Full) {
            self.paths.free_reserve();
            self.set_condition(Condition::Full);
            self.retry_later(TIDY_AFTER);
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the condition and says so in the log, once a change.
    pub(crate) fn set_condition(&self, condition: Condition) {
        let mut held = self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        let (was, is) = (held.error(), condition.error());
        match (was, is) {
            (None, Some(error)) => tracing::error!(%error, "the spool takes no new messages"),
            (Some(_), None) => tracing::info!("the spool takes messages again"),
            _ => {}
        }
        *held = condition;
    }

    pub(crate) fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut writer = self.writer();
        if writer.kept() > 0 {
            tracing::error!(
                count = writer.kept(),
                "settlements were not written: their mail is tried again"
            );
        }
        if let Err(error) = self.checkpointer.truncate() {
            tracing::warn!(%error, "the log is left for the next start");
        }
        writer.close();
        self.checkpointer.close();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn remove_orphans(db: &Connection, paths: &Paths) -> Result<(), Error> {
    for message in paths.contents()? {
        if !apply::is_stored(db, message)? {
            tracing::info!(%message, "removing content that was never accepted");
            paths.remove_content(message);
        }
    }
    Ok(())
}

/// The largest id of a message or entry.
fn youngest(db: &Connection) -> Result<i64, Error> {
    let sql =
        "SELECT max(coalesce((SELECT max(id) FROM message), 0), coalesce((SELECT max(id) FROM entry), 0))";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests;
