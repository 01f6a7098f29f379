//! A client's stream with its buffers and its time limits.
//!
//! # Contract
//! * **No wait without a deadline**, and none that outlasts the end of the server.
//! * **An idle session is small**: buffers that a message made large are given back.
//! * **TLS begins on an empty input**: nothing that came in clear is read as if it had come under TLS.
//! * **A client sees the last reply**: a closing session reads on for a moment, since octets that lie
//!   unread would make the system reset the connection.

use std::{future::Future, io};

use bytes::BytesMut;
use remuda_clock::{Monotonic, SharedClock};
use remuda_smtp::deadlines::server::{FAREWELL, REPLY};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
};

use super::stream::Stream;
use crate::{
    tls::{Acceptor, Problem, Secured},
    watchdog::Watchdog,
};

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Yes.
    Running,
    /// Messages in hand are finished, idle clients sent away.
    Stopping,
    /// Everything ends at once.
    Ended,
}

/// What a wait for octets brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Some.
    Octets,
    /// The end of the stream, or its failure.
    End,
    /// Nothing in time.
    TimedOut,
    /// The server is stopping.
    Stopping,
}

/// The stream is of no more use.
#[derive(Debug)]
pub(super) struct Lost;

/// A stream, its buffers, its timer.
pub(super) struct Wire<Io> {
    io: Stream<Io>,
    pub input: BytesMut,
    pub output: BytesMut,
    clock: SharedClock,
    watchdog: Watchdog,
    phase: watch::Receiver<Phase>,
    /// The stop was heard of.
    is_stopping: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Wire<Io> {
    pub(super) fn new(io: Io, clock: SharedClock, phase: watch::Receiver<Phase>) -> Self {
        Wire {
            io: Stream::Clear(io),
            input: BytesMut::new(),
            output: BytesMut::new(),
            watchdog: Watchdog::new(clock.clone()),
            clock,
            phase,
            is_stopping: false,
        }
    }

    /// Answers whether the server is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Waits for octets, with room for `size` of them. A stop is reported once; an end at once as `End`.
    pub(super) async fn read(&mut self, size: usize, deadline: Monotonic) -> Heard {
        // An empty one is made anew rather than grown: growing copies what nobody reads again.
        if self.input.is_empty() && (self.input.capacity() > size || !self.input.try_reclaim(size)) {
            self.input = BytesMut::with_capacity(size);
        }
        self.input.reserve(size);
        loop {
            match *self.phase.borrow_and_update() {
                Phase::Running => {}
                Phase::Stopping if self.is_stopping => {}
                Phase::Stopping => {
                    self.is_stopping = true;
                    return Heard::Stopping;
                }
                Phase::Ended => return Heard::End,
            }
            tokio::select! {
                biased;
                read = self.io.read_buf(&mut self.input) => return match read {
                    Ok(0) | Err(_) => Heard::End,
                    Ok(_) => Heard::Octets,
                },
                () = self.watchdog.until(deadline) => return Heard::TimedOut,
                () = moved(&mut self.phase) => {}
            }
        }
    }

    /// Writes all replies that wait.
    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        if self.output.is_empty() {
            return Ok(());
        }
        let deadline = self.clock.now().monotonic + REPLY;
        let written = tokio::select! {
            biased;
            written = write(&mut self.io, &self.output) => written,
            () = self.watchdog.until(deadline) => return Err(Lost),
            () = stopped(&mut self.phase, Phase::Ended) => return Err(Lost),
        };
        self.output.clear();
        if self.output.capacity() > OUTPUT_KEPT_MAX {
            self.output = BytesMut::new();
        }
        written.map_err(|_| Lost)
    }

    /// Goes on under TLS. The replies are written; a handshake that has not ended in time, or at a stop, has failed.
    ///
    /// # Panics
    /// When there is input: the machine ends a session in which something follows STARTTLS.
    pub(super) async fn secure(
        &mut self,
        acceptor: &Acceptor,
        deadline: Monotonic,
    ) -> Result<Secured, Problem> {
        assert!(self.input.is_empty(), "nothing in clear counts under TLS");
        tokio::select! {
            biased;
            made = self.io.secure(acceptor) => made,
            () = self.watchdog.until(deadline) => Err(Problem::TimedOut),
            () = stopped(&mut self.phase, Phase::Stopping) => Err(Problem::Handshake("the server stops".to_owned())),
        }
    }

    /// Waits for something that is not the client's; the end of the server does not.
    pub(super) async fn unless_ended<T>(&mut self, something: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            biased;
            it = something => Ok(it),
            () = stopped(&mut self.phase, Phase::Ended) => Err(Lost),
        }
    }

    /// Lets the client wait until `time`.
    pub(super) async fn pause(&mut self, time: Monotonic) -> Result<(), Lost> {
        if time <= self.clock.now().monotonic {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.watchdog.until(time) => Ok(()),
            () = stopped(&mut self.phase, Phase::Ended) => Err(Lost),
        }
    }

    /// Writes what waits, and closes once the client has had time to read it.
    pub(super) async fn farewell(mut self) {
        let deadline = self.clock.now().monotonic + FAREWELL;
        let goodbye = async {
            write(&mut self.io, &self.output).await?;
            self.io.shutdown().await?;
            for _ in 0..LINGER_READS_MAX {
                self.input.clear();
                self.input.reserve(LINGER_READ_SIZE);
                if self.io.read_buf(&mut self.input).await? == 0 {
                    break;
                }
            }
            io::Result::Ok(())
        };
        tokio::select! {
            biased;
            // The client is gone already: nothing is lost.
            _ = goodbye => {}
            () = self.watchdog.until(deadline) => {}
        }
    }
}

async fn write(io: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> io::Result<()> {
    io.write_all(octets).await?;
    io.flush().await
}

/// Waits for the next phase; for ever when nobody is left to change it.
async fn moved(phase: &mut watch::Receiver<Phase>) {
    if phase.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the server has come to `end` or further.
async fn stopped(phase: &mut watch::Receiver<Phase>, end: Phase) {
    if phase.wait_for(|phase| *phase >= end).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Octets of reply buffer that an idle session keeps.
const OUTPUT_KEPT_MAX: usize = 4096;
/// Octets that a closing session reads at once, and how often.
const LINGER_READ_SIZE: usize = 4096;
const LINGER_READS_MAX: usize = 64;
