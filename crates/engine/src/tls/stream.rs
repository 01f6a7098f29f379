//! A connection under TLS, as sessions use it.
//!
//! # Contract
//! * **Session tickets and key updates are not data**: a stream on which only these have come is quiet.
//! * **Its end, an alert, or a single octet of data is not quiet**, and data is not lost by asking.

use std::{
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::Transport;

/// The stream.
pub(super) struct TlsStream(pub(super) tokio_rustls::client::TlsStream<Box<dyn Transport>>);

/// Octets taken from the system at once.
const TAKE_MAX: usize = 4096;

impl Transport for TlsStream {
    fn is_quiet(&mut self) -> bool {
        let (mut octets, mut length) = ([0; TAKE_MAX], 0);
        while self.is_nothing_for_us(&octets[..length]) {
            match self.0.get_mut().0.take_now(&mut octets) {
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                Ok(0) => return false,
                Ok(taken) => length = taken,
            }
        }
        false
    }

    fn take_now(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        // Quiet or not: what has come is with TLS now.
        let _ = self.is_quiet();
        self.0.get_mut().1.reader().read(octets)
    }
}

impl TlsStream {
    /// Gives what has come to TLS; answers whether there was nothing for us in it or before it.
    fn is_nothing_for_us(&mut self, mut octets: &[u8]) -> bool {
        let (_, session) = self.0.get_mut();
        loop {
            match session.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                _ => return false,
            }
            if octets.is_empty() {
                return true;
            }
            if !matches!(session.read_tls(&mut octets), Ok(1..)) {
                return false;
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
