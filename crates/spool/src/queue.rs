//! The write queue: changes that wait for the writer.
//!
//! # Contract
//! * **Bounded in octets** for what can be refused; a settlement always finds room.
//! * **First come, first written.** A batch is what waits, up to [`BATCH_BYTES_MAX`] and
//!   [`BATCH_CHANGES_MAX`], so that no commit becomes long because the last one was.
//! * **One writer.** [`push`](WriteQueue::push) says when nobody is writing; who is told so starts one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use remuda_clock::Monotonic;
use remuda_mail::MessageId;
use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use crate::{Error, apply::Effects, files::ContentFile};

/// Octets of changes in one commit, about.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Changes in one commit.
const BATCH_CHANGES_MAX: usize = 512;

/// What kind of change this is; decides what becomes of it when the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new message: answered with the error, and refused while only deletions are possible.
    Store(MessageId),
    /// An operator's change: answered with the error.
    Change,
    /// Kept and tried again until it succeeds.
    Kept,
}

/// A change of rows. May be applied again after a commit that failed.
pub(crate) trait Job: Send {
    /// Does it, inside a transaction.
    fn apply(&mut self, db: &Connection, effects: &mut Effects) -> Result<(), Error>;

    /// Tells who waits for it.
    fn answer(self: Box<Self>, outcome: Result<(), Error>);
}

/// A change that waits.
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) job: Box<dyn Job>,
    pub(crate) bytes: u64,
    pub(crate) since: Monotonic,
    /// The content file that comes with it.
    pub(crate) file: Option<Arc<ContentFile>>,
    /// How often it failed alone, with a disk that takes other writes.
    pub(crate) failures: u32,
}

impl Request {
    /// Answers whether it brings a new message.
    pub(crate) fn is_store(&self) -> bool {
        matches!(self.kind, Kind::Store(_))
    }
}

/// A [`Job`] from a closure.
pub(crate) struct Call<F, T> {
    pub(crate) run: F,
    pub(crate) value: Option<T>,
    pub(crate) answer: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Job for Call<F, T>
where
    F: FnMut(&Connection, &mut Effects) -> Result<T, Error> + Send,
    T: Send,
{
    fn apply(&mut self, db: &Connection, effects: &mut Effects) -> Result<(), Error> {
        self.value = Some((self.run)(db, effects)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Error>) {
        let Call { value, answer, .. } = *self;
        // Who asked may have gone away; the change is made all the same.
        let _ = answer.send(outcome.and_then(|()| value.ok_or(Error::Closed)));
    }
}

/// The queue.
#[derive(Default)]
pub(crate) struct WriteQueue {
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Of these, how many somebody waits for.
    urgent: usize,
    /// Of what waits and of what is being committed.
    bytes: u64,
    /// The oldest change being committed, or kept.
    in_hand: Option<Monotonic>,
    is_running: bool,
    is_kicked: bool,
    is_closed: bool,
}

impl WriteQueue {
    /// Adds a change. Answers whether the caller is to start the writer.
    pub(crate) fn push(&self, request: Request, bytes_max: u64) -> Result<bool, Error> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Error::Closed);
        }
        let is_refusable = request.kind != Kind::Kept;
        // One that is larger than the bound may come alone.
        if is_refusable && state.bytes > 0 && state.bytes + request.bytes > bytes_max {
            return Err(Error::Overloaded);
        }
        state.bytes += request.bytes;
        state.urgent += usize::from(is_refusable);
        state.waiting.push_back(request);
        Ok(!std::mem::replace(&mut state.is_running, true))
    }

    /// Wants the writer to look at its condition though nothing waits. Answers as [`push`](Self::push).
    pub(crate) fn kick(&self) -> bool {
        let mut state = self.state();
        state.is_kicked = true;
        !std::mem::replace(&mut state.is_running, true)
    }

    /// The next batch; None when there is nothing to do, and then the writer must end.
    pub(crate) fn take_batch(&self) -> Option<Vec<Request>> {
        let mut state = self.state();
        let is_kicked = std::mem::take(&mut state.is_kicked);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_CHANGES_MAX
            && bytes < BATCH_BYTES_MAX
            && let Some(request) = state.waiting.pop_front()
        {
            bytes += request.bytes;
            state.urgent -= usize::from(request.kind != Kind::Kept);
            let since = state.in_hand.unwrap_or(request.since);
            state.in_hand = Some(since.min(request.since));
            batch.push(request);
        }
        if batch.is_empty() && !is_kicked {
            state.is_running = false;
            drop(state);
            self.idle.notify_waiters();
            return None;
        }
        Some(batch)
    }

    /// How many wait for the next commit; None when nothing is to be written, or at once.
    pub(crate) fn clients_waiting(&self) -> Option<usize> {
        let state = self.state();
        let hurries = state.waiting.is_empty() || state.is_kicked || state.is_closed;
        (!hurries).then_some(state.urgent)
    }

    /// A batch is done with; `kept` is the age of the oldest change that was kept.
    pub(crate) fn batch_ended(&self, kept: Option<Monotonic>) {
        self.state().in_hand = kept;
    }

    /// Changes were answered: their octets no longer count.
    pub(crate) fn release(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// The writer died of a panic.
    pub(crate) fn writer_gone(&self) {
        let mut state = self.state();
        state.is_running = false;
        state.in_hand = None;
        drop(state);
        self.idle.notify_waiters();
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Answers whether nothing waits and nobody writes.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        !state.is_running && state.waiting.is_empty()
    }

    /// Returns when the writer has ended.
    pub(crate) async fn drained(&self) {
        loop {
            let notified = self.idle.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            if self.is_idle() {
                return;
            }
            notified.await;
        }
    }

    /// Octets that wait, and since when the oldest change does.
    pub(crate) fn waiting(&self) -> (u64, Option<Monotonic>) {
        let state = self.state();
        let first = state.waiting.front().map(|request| request.since);
        // Between the last answer and the end of its batch nothing waits.
        let since = state.in_hand.or(first).filter(|_| state.bytes > 0);
        (state.bytes, since)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
