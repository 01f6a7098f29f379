//! A listener that has a bounded number of connections.
//!
//! # Contract
//! * **A connection on which nothing moves for [`IDLE_MAX`] ends**: who takes all of them and says nothing keeps
//!   nobody out for ever.
//!
//! # Limits
//! [`CONNECTIONS_MAX`] at once; who comes beyond waits until one has ended.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use remuda_clock::{Monotonic, SharedClock, Timer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be silent: longer than the slowest answer takes.
pub const IDLE_MAX: Duration = Duration::from_secs(300);
/// After an accept that failed for want of something.
const PAUSE: Duration = Duration::from_secs(1);

/// Accepts while there is room.
pub struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    clock: SharedClock,
}

impl Bounded {
    /// Bounds `listener`.
    pub fn new(listener: TcpListener, clock: SharedClock) -> Self {
        Bounded {
            listener,
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            clock,
        }
    }
}

/// A connection that gives its room back when it ends, and ends when nothing moves on it.
pub struct Connection<S = TcpStream> {
    stream: S,
    clock: SharedClock,
    /// When an octet moved last.
    moved: Monotonic,
    patience: Timer,
    _room: Option<OwnedSemaphorePermit>,
}

impl<S: Unpin> Connection<S> {
    fn new(stream: S, clock: SharedClock, room: Option<OwnedSemaphorePermit>) -> Self {
        let moved = clock.now().monotonic;
        let patience = clock.sleep_until(moved + IDLE_MAX);
        Connection {
            stream,
            clock,
            moved,
            patience,
            _room: room,
        }
    }

    /// Passes on what came of moving octets; nothing for too long is an error.
    fn watched<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.moved = self.clock.now().monotonic;
            return moved;
        }
        while self.patience.as_mut().poll(cx).is_ready() {
            let until = self.moved + IDLE_MAX;
            if until <= self.clock.now().monotonic {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.patience = self.clock.sleep_until(until);
        }
        Poll::Pending
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed.
        let room = self.room.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, self.clock.clone(), room), address),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    self.clock.sleep_until(self.clock.now().monotonic + PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watched(cx, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.watched(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use remuda_clock::SystemClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_ends() {
        let clock: SharedClock = Arc::new(SystemClock::paused());
        let (mut client, server) = duplex(16);
        let mut connection = Connection::new(server, clock.clone(), None);
        let began = clock.now().monotonic;
        let mut octet = [0];
        for _ in 0..3 {
            clock.sleep_until(clock.now().monotonic + IDLE_MAX * 2 / 3).await;
            client.write_all(b"x").await.unwrap();
            connection.read_exact(&mut octet).await.unwrap();
        }
        let last = clock.now().monotonic;
        assert!(last.since(began) > IDLE_MAX, "what moves goes on");
        let silent = connection.read(&mut octet).await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        assert_eq!(clock.now().monotonic.since(last), IDLE_MAX);
    }

    /// The client reads nothing: what is written stays in the way.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_left() {
        let clock: SharedClock = Arc::new(SystemClock::paused());
        let (_client, server) = duplex(16);
        let mut connection = Connection::new(server, clock.clone(), None);
        let stuck = connection.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
    }
}
