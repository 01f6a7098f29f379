//! The network as sessions use it: connecting, and the streams that come of it.
//!
//! # Contract
//! * **The shell's only way out.** Sessions connect through [`Network`], so that a test gives them streams
//!   in memory and moves time itself.
//! * **A TCP connection comes from its source**, when it has one; the system chooses its port when it is bound, so
//!   that one source has some 28,000 connections at most (`net.ipv4.ip_local_port_range`).
//! * **A stream can be asked without waiting whether it is quiet**, past any cached readiness.
//!
//! # Not here
//! Time limits: the session's. Name resolution: `resolve`. TLS: `tls`, another [`Transport`] over one of these.

use std::{
    future::Future,
    io,
    net::IpAddr,
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use remuda_mail::{Endpoint, Way};
use rustix::net::RecvFlags;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::{TcpSocket, TcpStream, UnixStream},
};

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Makes connections.
pub trait Network: Send + Sync + 'static {
    /// Connects to an endpoint from a source. The caller limits the time; dropping the future gives up.
    fn connect(&self, way: Way) -> Connecting;
}

/// A connected stream.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Answers whether nothing has come, the stream's end or failure included. It asks the system and
    /// not the runtime, which may not have heard of it yet; what has come may be lost by asking.
    fn is_quiet(&mut self) -> bool;

    /// Takes what has come, in the same way; 0 at the stream's end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has come; or the stream has failed.
    fn take_now(&mut self, octets: &mut [u8]) -> io::Result<usize>;
}

/// The real network.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNetwork;

impl Network for TcpNetwork {
    fn connect(&self, way: Way) -> Connecting {
        Box::pin(async move {
            let to = match way.endpoint {
                Endpoint::Tcp(to) => to,
                Endpoint::Unix(path) => {
                    let stream = UnixStream::connect(path.as_str()).await?;
                    return Ok(Box::new(stream) as Box<dyn Transport>);
                }
            };
            let stream = match way.source {
                None => TcpStream::connect(to).await?,
                Some(source) => {
                    let socket = match source {
                        IpAddr::V4(_) => TcpSocket::new_v4()?,
                        IpAddr::V6(_) => TcpSocket::new_v6()?,
                    };
                    socket.bind((source, 0).into())?;
                    socket.connect(to).await?
                }
            };
            // A flight is one write already; waiting for more would only delay it.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Transport>)
        })
    }
}

impl Transport for TcpStream {
    fn is_quiet(&mut self) -> bool {
        is_quiet(self)
    }

    fn take_now(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        take_now(self, octets)
    }
}

impl Transport for UnixStream {
    fn is_quiet(&mut self) -> bool {
        is_quiet(self)
    }

    fn take_now(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        take_now(self, octets)
    }
}

fn is_quiet(socket: &impl AsFd) -> bool {
    let mut octet = [0u8];
    let seen = rustix::net::recv(socket, &mut octet[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    seen.is_err_and(|error| error == rustix::io::Errno::AGAIN)
}

fn take_now(socket: &impl AsFd, octets: &mut [u8]) -> io::Result<usize> {
    let (taken, _) = rustix::net::recv(socket, octets, RecvFlags::DONTWAIT)?;
    Ok(taken)
}

impl Transport for DuplexStream {
    fn is_quiet(&mut self) -> bool {
        let mut octet = [0u8];
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(self).poll_read(&mut context, &mut ReadBuf::new(&mut octet));
        matches!(read, Poll::Pending)
    }

    fn take_now(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let mut context = Context::from_waker(Waker::noop());
        let mut buffer = ReadBuf::new(octets);
        match Pin::new(self).poll_read(&mut context, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt, duplex},
        net::{TcpListener, UnixListener},
    };

    use super::*;

    #[tokio::test]
    async fn a_duplex_stream_is_quiet_until_something_comes() {
        let (mut here, mut there) = duplex(64);
        assert!(here.is_quiet());
        there.write_all(b"x").await.unwrap();
        assert!(!here.is_quiet());
        let (mut here, there) = duplex(64);
        drop(there);
        assert!(!here.is_quiet());
    }

    #[tokio::test]
    async fn a_connection_comes_from_its_source() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        for source in [[127, 0, 0, 2], [127, 0, 0, 3]] {
            let source = Some(source.into());
            let _here = TcpNetwork.connect(Way { endpoint, source }).await.unwrap();
            let (_, client) = listener.accept().await.unwrap();
            assert_eq!(Some(client.ip()), source);
        }
        // RFC 5737: nobody has this address.
        let source = Some([192, 0, 2, 1].into());
        let refused = TcpNetwork.connect(Way { endpoint, source }).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn a_unix_socket_is_an_endpoint_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lmtp");
        let listener = UnixListener::bind(&path).unwrap();
        let endpoint: Endpoint = path.to_str().unwrap().parse().unwrap();
        let mut here = TcpNetwork.connect(endpoint.into()).await.unwrap();
        let (mut there, _) = listener.accept().await.unwrap();
        assert!(here.is_quiet());
        there.write_all(b"220 hi\r\n").await.unwrap();
        assert!(!here.is_quiet());
        let mut octets = [0; 20];
        assert_eq!(here.take_now(&mut octets).unwrap(), 8);
        drop(there);
        assert_eq!(here.take_now(&mut octets).unwrap(), 0, "its end");
        drop(listener);
        assert!(TcpNetwork.connect(endpoint.into()).await.is_err());
    }

    #[tokio::test]
    async fn a_socket_is_not_quiet_once_the_peer_has_gone_or_spoken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        for speaks in [false, true] {
            let mut here = TcpNetwork.connect(endpoint.into()).await.unwrap();
            let (mut there, _) = listener.accept().await.unwrap();
            assert!(here.is_quiet());
            if speaks {
                there.write_all(b"421 bye\r\n").await.unwrap();
            }
            drop(there);
            // The loopback delivers in the writer's system call, before the runtime hears of it.
            assert!(!here.is_quiet(), "speaks: {speaks}");
        }
    }
}
