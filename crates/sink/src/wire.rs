//! The stream of a connection with the input read so far and the flight it belongs to.
//!
//! # Contract
//! * **A flight begins with its first octet** and ends when the connection says so.
//! * **A round trip of zero costs nothing**: no clock is read and no timer made for it.
//!
//! # Limits
//! After the sink's last word the client has [`LINGER_MAX`] to close.

use std::{io, mem, sync::Arc, time::Duration};

use bytes::BytesMut;
use remuda_clock::{Monotonic, SharedClock, before};
use rustls::{HandshakeKind, ServerConfig};
use tokio::net::TcpStream;

use crate::stream::Stream;

/// How long the client may take to close after the sink's last word.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// How much is read at once: at first, and at most. It grows with a client that sends much.
const READ_SIZES: (usize, usize) = (4 * 1024, 64 * 1024);

/// A socket, its input, and the flight.
pub(crate) struct Wire {
    stream: Stream,
    clock: SharedClock,
    rtt: Duration,
    /// What has been read and not been consumed.
    pub input: BytesMut,
    /// How much the next read asks for.
    read_size: usize,
    /// The last read took all it could, so there may be more.
    was_read_full: bool,
    /// What has come since the last reply.
    pub flight: Flight,
}

/// What has come since the last reply.
#[derive(Default)]
pub(crate) struct Flight {
    /// When its first octet came.
    started: Option<Monotonic>,
    /// Some of it belongs to a transaction.
    pub is_transaction: bool,
}

impl Wire {
    pub fn new(stream: TcpStream, clock: SharedClock, rtt: Duration) -> Self {
        Wire {
            stream: Stream::Clear(stream),
            clock,
            rtt,
            input: BytesMut::new(),
            read_size: READ_SIZES.0,
            was_read_full: false,
            flight: Flight::default(),
        }
    }

    /// The clock that it waits by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Waits for what a new connection costs: a round trip to open it and one to greet.
    pub async fn accept(&self) {
        self.sleep(self.rtt * 2).await;
    }

    /// Waits until a reply to the flight may go out.
    pub async fn round_trip(&self) {
        if let Some(due) = self.due() {
            self.clock.sleep_until(due).await;
        }
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            self.clock
                .sleep_until(self.clock.now().monotonic + duration)
                .await;
        }
    }

    /// Reads more; 0 at the end of the stream.
    pub async fn read(&mut self) -> io::Result<usize> {
        let room = self.make_room();
        let read = self.stream.read(&mut self.input).await?;
        self.note_read(read, room);
        Ok(read)
    }

    /// Reads what is there already; errors are left to the next read.
    pub fn try_read(&mut self) -> usize {
        let room = self.make_room();
        let read = self.stream.try_read(&mut self.input).unwrap_or(0);
        self.note_read(read, room);
        read
    }

    /// Reads what still belongs to the flight: `None` when a reply may go out.
    pub async fn read_in_time(&mut self) -> io::Result<Option<usize>> {
        if self.was_read_full {
            let read = self.try_read();
            if read > 0 {
                return Ok(Some(read));
            }
        }
        let Some(due) = self.due() else {
            return Ok(None);
        };
        let clock = self.clock.clone();
        before(&*clock, due, self.read()).await.transpose()
    }

    /// Takes part in a TLS handshake, which is no flight; says whether it resumed an earlier session.
    pub async fn handshake(&mut self, config: Arc<ServerConfig>) -> io::Result<bool> {
        let kind = self.stream.handshake(config, &self.clock, self.rtt).await?;
        Ok(kind == HandshakeKind::Resumed)
    }

    /// Ends the flight; says whether it carried some of a transaction.
    pub fn end_flight(&mut self) -> bool {
        mem::take(&mut self.flight).is_transaction
    }

    /// Sends replies.
    pub async fn write(&mut self, replies: &[u8]) -> io::Result<()> {
        self.stream.write(replies).await
    }

    /// Reads to the end of the stream; says how many octets came.
    pub async fn drain(&mut self) -> io::Result<u64> {
        let mut scratch = BytesMut::new();
        let mut octets = 0;
        loop {
            scratch.clear();
            scratch.reserve(READ_SIZES.0);
            match self.stream.read(&mut scratch).await? {
                0 => return Ok(octets),
                read => octets += read as u64,
            }
        }
    }

    /// Closes the sink's side and waits for the client's, so that no reset overtakes the last reply;
    /// says how many octets still came.
    pub async fn linger(&mut self) -> u64 {
        let clock = self.clock.clone();
        let deadline = clock.now().monotonic + LINGER_MAX;
        let farewell = async {
            self.stream.shutdown().await?;
            self.drain().await
        };
        match before(&*clock, deadline, farewell).await {
            Some(Ok(octets)) => octets,
            // The client does not close, or is gone: either way nothing more can be seen.
            Some(Err(_)) | None => 0,
        }
    }

    /// Makes the end of the connection a reset.
    pub fn reset(&mut self) {
        self.stream.reset();
    }

    fn due(&self) -> Option<Monotonic> {
        if self.rtt.is_zero() {
            return None;
        }
        self.flight.started.map(|started| started + self.rtt)
    }

    fn make_room(&mut self) -> usize {
        self.input.reserve(self.read_size);
        self.input.capacity() - self.input.len()
    }

    fn note_read(&mut self, read: usize, room: usize) {
        self.was_read_full = read == room;
        if self.was_read_full {
            self.read_size = READ_SIZES.1.min(self.read_size * 2);
        }
        if read > 0 && self.flight.started.is_none() && !self.rtt.is_zero() {
            self.flight.started = Some(self.clock.now().monotonic);
        }
    }
}

/// Answers a connection that there is no room for.
pub(crate) async fn refuse(stream: TcpStream, clock: SharedClock, rtt: Duration) {
    let mut wire = Wire::new(stream, clock, rtt);
    wire.accept().await;
    // Nobody is left to be told of an error.
    if wire.write(b"421 4.7.0 too many connections\r\n").await.is_ok() {
        wire.linger().await;
    }
}
