//! The octets and the time of a session: moves what the client machine gives and wants.
//!
//! # Contract
//! * **It reads while it writes**: two full buffers never face each other, and a negative reply stops what
//!   is not yet sent.
//! * **Every wait has the limit of its step**, inside a flight too: each reply has its own, from when the
//!   one before it came; a block of content has its own to be taken. A used session has less for its first
//!   reply, while nothing would be lost with it.
//! * **A failed write is not the end**: what the server said before is read and decides (T42).
//! * **A flight costs one write**, its replies as a rule one read.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use remuda_clock::{Monotonic, SharedClock};
use remuda_dispatch::event::Death;
use remuda_smtp::{
    client::{Client, Loss, Want},
    deadlines::client::limit,
};
use tokio::io::ReadBuf;

use crate::{network::Transport, watchdog::Watchdog};

/// Octets read at once.
const READ_MAX: usize = 4096;

/// A session's stream.
pub(super) struct Wire {
    transport: Box<dyn Transport>,
    clock: SharedClock,
    watchdog: Watchdog,
    /// Writing has failed; reading goes on.
    is_deaf: bool,
    needs_flush: bool,
    /// How reading found its end.
    ended: Option<Death>,
    /// Since when the step's limit counts.
    since: Monotonic,
    /// Until when waiting has been counted.
    counted: Monotonic,
    /// Time spent waiting for replies, not taken yet.
    waited: Duration,
    /// What a used session is granted for its first reply.
    pub(super) reply_within: Duration,
    /// How long after the last write or reply the stream was lost.
    lost_after: Option<Duration>,
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>, clock: SharedClock) -> Self {
        let now = clock.now().monotonic;
        Wire {
            transport,
            watchdog: Watchdog::new(clock.clone()),
            clock,
            is_deaf: false,
            needs_flush: false,
            ended: None,
            since: now,
            counted: now,
            waited: Duration::ZERO,
            reply_within: Duration::MAX,
            lost_after: None,
        }
    }

    /// Gives the stream up, to be another's below.
    pub(super) fn into_transport(self) -> Box<dyn Transport> {
        self.transport
    }

    /// The limit of the step at hand counts from now.
    pub(super) fn begins(&mut self) {
        self.since = self.clock.now().monotonic;
        self.counted = self.since;
    }

    /// Works until the machine wants content, a handshake or nothing, or has a result. May be dropped and
    /// called again.
    pub(super) async fn advance(&mut self, client: &mut Client) {
        while !client.has_result()
            && let Want::Reply(step) = client.want()
        {
            let answers = client.answers();
            let is_waiting = client.output().is_empty();
            let grants = match client.is_unproven() {
                true => limit(step).min(self.reply_within),
                false => limit(step),
            };
            if let Err(loss) = self.turn(client, self.since + grants).await {
                self.lost_after = Some(self.clock.now().monotonic - self.since);
                client.lost(&loss);
            }
            let now = self.clock.now().monotonic;
            let then = std::mem::replace(&mut self.counted, now);
            if is_waiting {
                self.waited += now - then;
            }
            if client.answers() != answers || (!is_waiting && client.output().is_empty()) {
                self.since = now;
            }
        }
    }

    /// Takes the time spent waiting for replies with nothing left to write.
    pub(super) fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Answers whether nothing has come and the stream stands.
    pub(super) fn is_quiet(&mut self) -> bool {
        !self.is_deaf && self.transport.is_quiet()
    }

    /// Gives the machine what has come already, if it can be had without waiting.
    pub(super) async fn read_pending(&mut self, client: &mut Client) {
        poll_fn(|context| {
            let _ = self.poll_read(client, context);
            Poll::Ready(())
        })
        .await;
    }

    /// How the stream ended; None while it stands.
    pub(super) fn ended(&self) -> Option<Death> {
        self.ended.or(self.is_deaf.then_some(Death::Reset))
    }

    /// Answers whether the stream was lost, and no later than `time` after the last write or reply.
    pub(super) fn was_lost_within(&self, time: Duration) -> bool {
        self.lost_after.is_some_and(|after| after <= time)
    }

    /// Completes when the stream ends or anything comes, which the machine is given; says which.
    pub(super) async fn disturbed(&mut self, client: &mut Client) -> Death {
        self.watchdog.rest();
        poll_fn(|context| self.poll_read(client, context).map(|_| ())).await;
        self.ended.unwrap_or(Death::Data)
    }

    /// One step of reading or writing.
    async fn turn(&mut self, client: &mut Client, deadline: Monotonic) -> Result<(), Loss> {
        poll_fn(|context| {
            let read = self.poll_read(client, context);
            if let Poll::Ready(Err(loss)) = read {
                return Poll::Ready(Err(loss));
            }
            let has_written = self.poll_write(client, context);
            if read.is_ready() || has_written {
                return Poll::Ready(Ok(()));
            }
            self.watchdog
                .poll(context, deadline)
                .map(|()| Err(Loss::TimedOut))
        })
        .await
    }

    fn poll_read(&mut self, client: &mut Client, context: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        let mut octets = [MaybeUninit::<u8>::uninit(); READ_MAX];
        let mut buffer = ReadBuf::uninit(&mut octets);
        match Pin::new(&mut *self.transport).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                client.receive(buffer.filled());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(ended) => {
                self.ended = Some(ended.err().map_or(Death::Fin, |error| end(&error)));
                Poll::Ready(Err(Loss::Closed))
            }
        }
    }

    /// Writes and flushes what there is; answers whether anything was written.
    fn poll_write(&mut self, client: &mut Client, context: &mut Context<'_>) -> bool {
        let mut has_written = false;
        if !self.is_deaf && !client.output().is_empty() {
            match Pin::new(&mut *self.transport).poll_write(context, client.output()) {
                Poll::Ready(Ok(length)) if length > 0 => {
                    client.wrote(length);
                    self.needs_flush = true;
                    has_written = true;
                }
                Poll::Ready(_) => self.is_deaf = true,
                Poll::Pending => {}
            }
        }
        if self.needs_flush && !self.is_deaf {
            match Pin::new(&mut *self.transport).poll_flush(context) {
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(_)) => self.is_deaf = true,
                Poll::Pending => {}
            }
        }
        has_written
    }
}

/// How a stream ended. A FIN without TLS's own farewell is a FIN all the same.
fn end(error: &io::Error) -> Death {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Death::Fin,
        _ => Death::Reset,
    }
}
