//! The spool as its users see it: opening, storing, reading, closing.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use remuda_clock::{SharedClock, Wall};
use remuda_mail::{EntryId, MessageId};
use rusqlite::Connection;

use crate::{
    Content, ContentWriter, Error, Expected, Health, Metrics, NewMessage, Queued, Settlement,
    apply::{self, Effects},
    codec::{self, MessageRow, json},
    content::Place,
    queue::Kind,
    settle::{self, SettleRow},
    shared::{Shared, Submission},
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

mod verbs;

impl Spool {
    /// Opens the spool, or makes an empty one.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it; [`Error::Damaged`] and [`Error::Newer`] when what is
    /// there cannot be used, with nothing changed on disk; else what the file system said.
    pub fn open(options: Options, clock: SharedClock) -> Result<Spool, Error> {
        let shared = Arc::new(Shared::open(options, clock)?);
        Ok(Spool { shared })
    }

    /// A queue id: above every id in the spool, growing, close to the time in microseconds.
    pub fn allocate_id(&self) -> MessageId {
        self.shared.allocate_id()
    }

    /// A client gave MAIL: its message is to be expected while this is held.
    pub fn expect(&self) -> Expected {
        self.shared.pace.expect()
    }

    /// Begins to take the content of a message, which was expected or not.
    pub fn writer(&self, id: MessageId, expected: Option<Expected>) -> ContentWriter {
        ContentWriter::new(self.shared.paths.clone(), id, expected)
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
    /// again like a settlement; in the queue when this returns, so that a later change comes after it.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn set_notice(
        &self,
        entry: EntryId,
        notice: Wall,
        reports: Vec<NewMessage<Bytes>>,
    ) -> impl Future<Output = Result<Vec<Queued>, Error>> + Send + 'static {
        let prepared = self.shared.encode_reports(reports);
        let waiting = prepared.map(|(rows, queued)| {
            let bytes = 64 + rows.iter().map(MessageRow::bytes).sum::<u64>();
            let run = move |db: &Connection, effects: &mut Effects| {
                settle::set_notice(db, entry, notice, &rows, effects)
            };
            (self.shared.submit(Submission::kept(bytes), run), queued)
        });
        async move {
            let (committed, queued) = waiting?;
            Ok(if committed.await? { queued } else { Vec::new() })
        }
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

#[cfg(test)]
mod tests;
