//! A connection's octets, in clear or under TLS.
//!
//! # Contract
//! * **A read that is given up loses nothing.**
//! * **Each flight of a handshake waits a round trip** from the first octet of what it answers.
//! * **What only TLS has to say goes out with the next reply**: session tickets cost no flight.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use remuda_clock::SharedClock;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The stream.
pub(crate) enum Stream {
    Clear(TcpStream),
    Tls(Box<Tls>),
    /// A handshake has failed.
    Gone,
}

/// TLS over a socket.
pub(crate) struct Tls {
    socket: TcpStream,
    session: ServerConnection,
    /// What has come and TLS has not seen.
    raw: BytesMut,
}

impl Stream {
    /// Reads more; 0 at the end of the stream.
    pub async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Stream::Clear(socket) => socket.read_buf(into).await,
            Stream::Tls(tls) => tls.read(into).await,
            Stream::Gone => Ok(0),
        }
    }

    /// Reads what is there already.
    pub fn try_read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Stream::Clear(socket) => socket.try_read_buf(into),
            Stream::Tls(tls) => tls.try_read(into),
            Stream::Gone => Ok(0),
        }
    }

    /// Sends all of it.
    pub async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Stream::Clear(socket) => socket.write_all(octets).await,
            Stream::Tls(tls) => tls.write(octets).await,
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Closes the sink's side.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Stream::Clear(socket) => socket.shutdown().await,
            Stream::Tls(tls) => {
                tls.session.send_close_notify();
                tls.flush().await?;
                tls.socket.shutdown().await
            }
            Stream::Gone => Ok(()),
        }
    }

    /// Makes the end of the connection a reset.
    pub fn reset(&mut self) {
        let socket = match self {
            Stream::Clear(socket) => socket,
            Stream::Tls(tls) => &tls.socket,
            Stream::Gone => return,
        };
        // When it fails the connection closes in an orderly way, which is all that is left.
        let _ = socket.set_zero_linger();
    }

    /// Takes part in a handshake; says how it went.
    pub async fn handshake(
        &mut self,
        config: Arc<ServerConfig>,
        clock: &SharedClock,
        rtt: Duration,
    ) -> io::Result<HandshakeKind> {
        let Stream::Clear(socket) = std::mem::replace(self, Stream::Gone) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        // Replies are small; a limit would only stop one halfway.
        session.set_buffer_limit(None);
        let raw = BytesMut::new();
        let mut tls = Box::new(Tls { socket, session, raw });
        tls.handshake(clock, rtt).await?;
        let kind = tls.session.handshake_kind().unwrap_or(HandshakeKind::Full);
        *self = Stream::Tls(tls);
        Ok(kind)
    }
}

impl Tls {
    async fn handshake(&mut self, clock: &SharedClock, rtt: Duration) -> io::Result<()> {
        let mut started = None;
        while self.session.is_handshaking() {
            if self.socket.read_buf(&mut self.raw).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !rtt.is_zero() && started.is_none() {
                started = Some(clock.now().monotonic);
            }
            if let Err(error) = self.feed() {
                // The client is told why, if it still listens.
                let _ = self.flush().await;
                return Err(error);
            }
            if self.session.is_handshaking() && self.session.wants_write() {
                if let Some(started) = started.take() {
                    clock.sleep_until(started + rtt).await;
                }
                self.flush().await?;
            }
        }
        // The last flight of TLS 1.2 is one that the client waits for.
        if self.session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2) {
            if let Some(started) = started {
                clock.sleep_until(started + rtt).await;
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            if let Some(read) = self.take(into)? {
                return Ok(read);
            }
            if self.socket.read_buf(&mut self.raw).await? == 0 {
                return Ok(0);
            }
        }
    }

    fn try_read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            if let Some(read) = self.take(into)? {
                return Ok(read);
            }
            if self.socket.try_read_buf(&mut self.raw)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Takes what there is for us; 0 at TLS's end, None when more must come first.
    fn take(&mut self, into: &mut BytesMut) -> io::Result<Option<usize>> {
        self.feed()?;
        let mut octets = [0; 16 * 1024];
        match self.session.reader().read(&mut octets) {
            Ok(read) => {
                into.extend_from_slice(&octets[..read]);
                Ok(Some(read))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives TLS what has come, as much as it takes.
    fn feed(&mut self) -> io::Result<()> {
        while !self.raw.is_empty() && self.session.wants_read() {
            let mut rest = &self.raw[..];
            let taken = self.session.read_tls(&mut rest)?;
            let _ = self.raw.split_to(taken);
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.session.writer().write_all(octets)?;
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut octets = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut octets)?;
        }
        self.socket.write_all(&octets).await
    }
}
