//! What the spool's parts share, and the timers between them.
//!
//! # Contract
//! * **One writer, one retry timer, one timer to tidy up**, however many ask for them.
//! * **Timers keep nothing alive**: a dropped spool gives its lock free though a timer runs.

use std::{
    fs::File,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use bytes::Bytes;
use remuda_clock::{Monotonic, SharedClock};
use remuda_mail::MessageId;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{
    Error, Metrics, NewMessage, Queued,
    apply::{self, Effects},
    checkpoint::Checkpointer,
    claims::Claims,
    codec::{self, MessageRow},
    files::{ContentFile, Paths},
    fresh::Fresh,
    health::Condition,
    pace::Pace,
    queue::{Call, Kind, Request, WriteQueue},
    readers::Readers,
    schema,
    spool::Options,
    writer::{self, Writer},
};

/// What the spool's parts share.
pub(crate) struct Shared {
    pub(crate) paths: Arc<Paths>,
    pub(crate) clock: SharedClock,
    pub(crate) queue: WriteQueue,
    pub(crate) pace: Pace,
    pub(crate) writer: Mutex<Writer>,
    /// The writer's thread while it waits for its turn.
    parked: Mutex<Option<Thread>>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) metrics: Metrics,
    pub(crate) claims: Arc<Claims>,
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

/// What a change brings besides its rows.
pub(crate) struct Submission {
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    pub(crate) file: Option<Arc<ContentFile>>,
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
    /// See [`Spool::open`](crate::Spool::open).
    pub(crate) fn open(options: Options, clock: SharedClock) -> Result<Shared, Error> {
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
        Ok(Shared {
            queue: WriteQueue::default(),
            pace: Pace::default(),
            parked: Mutex::new(None),
            writer: Mutex::new(Writer::new(db)),
            readers: Arc::new(Readers::new(paths.database.clone())),
            checkpointer: Checkpointer::new(paths.database.clone()),
            metrics: Metrics::new(),
            claims: Arc::default(),
            write_queue_max: options.write_queue_max,
            condition: Mutex::new(condition),
            fresh: Mutex::new(Fresh::new(options.queue_memory)),
            last_id: AtomicU64::new(last_id.unsigned_abs()),
            is_retry_set: AtomicBool::new(false),
            is_tidy_set: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
            paths,
            clock,
        })
    }

    pub(crate) fn allocate_id(&self) -> MessageId {
        let micros = self.clock.now().wall.0.max(0).unsigned_abs() * 1000;
        let next = |last: u64| Some(micros.max(last + 1));
        let last = self
            .last_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap_or_else(|last| last);
        MessageId(micros.max(last + 1))
    }

    pub(crate) fn encode_reports(
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
        match pushed {
            Ok(true) => self.start_writer(),
            Ok(false) => self.wake_writer(),
            Err(_) => {}
        }
        async move {
            pushed?;
            answered.await.unwrap_or(Err(Error::Closed))
        }
    }

    pub(crate) fn start_writer(self: &Arc<Self>) {
        let shared = self.clone();
        tokio::task::spawn_blocking(move || writer::run(&shared));
    }

    /// Blocks the writer until the next commit may begin.
    pub(crate) fn await_turn(&self) {
        if self.turn().is_some() {
            *self.parked() = Some(thread::current());
            // Again: who came in between found nobody to wake.
            if let Some(at) = self.turn() {
                self.clock.park_until(at);
            }
            *self.parked() = None;
        }
    }

    /// Wakes a writer that waits for company which is not to be expected.
    fn wake_writer(&self) {
        if let Some(writer) = &*self.parked()
            && self.turn().is_none()
        {
            writer.unpark();
        }
    }

    /// When the next commit may begin, if that is not now.
    fn turn(&self) -> Option<Monotonic> {
        let waiting = self.queue.clients_waiting()?;
        self.pace.wait_until(waiting, self.clock.monotonic())
    }

    fn parked(&self) -> MutexGuard<'_, Option<Thread>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(crate) fn tidy(self: &Arc<Self>) {
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
        if matches!(error, Error::Closed) {
            return;
        }
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

    pub(crate) fn close(&self) {
        let mut writer = self.writer();
        if writer.kept() > 0 {
            tracing::error!(
                count = writer.kept(),
                "settlements were not written: their mail is tried again"
            );
        }
        if let Err(error) = self.checkpointer.end() {
            tracing::warn!(%error, "the log is left for the next start");
        }
        writer.close();
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
pub(crate) fn youngest(db: &Connection) -> Result<i64, Error> {
    let sql =
        "SELECT max(coalesce((SELECT max(id) FROM message), 0), coalesce((SELECT max(id) FROM entry), 0))";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}
