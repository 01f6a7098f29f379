//! A client's connection, in clear or under TLS: it changes in place, once.
//!
//! # Contract
//! * **What TLS has begun never goes on in clear**: a connection whose handshake failed is gone.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::tls::{Acceptor, Problem, Secured};

/// The connection.
pub(super) enum Stream<Io> {
    Clear(Io),
    Secured(Box<TlsStream<Io>>),
    /// Its handshake has not ended well, or not yet.
    Gone,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Stream<Io> {
    /// Makes the handshake; dropped before it is done, the connection is gone.
    pub(super) async fn secure(&mut self, acceptor: &Acceptor) -> Result<Secured, Problem> {
        let Stream::Clear(io) = std::mem::replace(self, Stream::Gone) else {
            return Err(Problem::Handshake("TLS is on already".to_owned()));
        };
        // Large, and over soon: not a part of every session.
        let (stream, secured) = Box::pin(acceptor.accept(io)).await?;
        *self = Stream::Secured(stream);
        Ok(secured)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(io) => Pin::new(io).poll_read(context, buffer),
            Stream::Secured(io) => Pin::new(io).poll_read(context, buffer),
            Stream::Gone => gone(),
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Clear(io) => Pin::new(io).poll_write(context, octets),
            Stream::Secured(io) => Pin::new(io).poll_write(context, octets),
            Stream::Gone => gone(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(io) => Pin::new(io).poll_flush(context),
            Stream::Secured(io) => Pin::new(io).poll_flush(context),
            Stream::Gone => gone(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Clear(io) => Pin::new(io).poll_shutdown(context),
            Stream::Secured(io) => Pin::new(io).poll_shutdown(context),
            Stream::Gone => gone(),
        }
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}
