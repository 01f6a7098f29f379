//! The wire: a connection that writes and reads replies, each within the time limit.
//!
//! # Contract
//! * **No wait without a deadline**, writes included.
//! * **Replies are read whole**: all lines of a reply are one [`Reply`].
//!
//! # Limits
//! A reply may have [`REPLY_MAX`] octets.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use bytes::{Buf, BytesMut};
use remuda_clock::{SharedClock, before};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The longest reply that is read.
const REPLY_MAX: usize = 64 * 1024;

/// A connection to the server.
pub(crate) struct Client {
    stream: TcpStream,
    clock: SharedClock,
    timeout: Duration,
    input: BytesMut,
}

/// A reply of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub code: u16,
    /// Without codes and line ends.
    pub lines: Vec<String>,
}

impl Reply {
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The last line.
    pub fn text(self) -> (u16, String) {
        (self.code, self.lines.into_iter().next_back().unwrap_or_default())
    }
}

/// Why the wire failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Lost,
    TimedOut,
    NoReply,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken::Lost
    }
}

impl Client {
    /// Connects to the first address that answers.
    pub async fn connect(
        addresses: &[SocketAddr],
        clock: SharedClock,
        timeout: Duration,
    ) -> Result<Self, Broken> {
        let stream = limited(&clock, timeout, TcpStream::connect(addresses)).await?;
        if stream.local_addr()? == stream.peer_addr()? {
            // Nobody listens, and the system happened to choose the very port that is dialled as ours:
            // TCP connects us to ourselves. Waiting for a greeting would be in vain.
            return Err(Broken::Lost);
        }
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            clock,
            timeout,
            input: BytesMut::with_capacity(4096),
        })
    }

    pub async fn write(&mut self, octets: &[u8]) -> Result<(), Broken> {
        limited(&self.clock, self.timeout, self.stream.write_all(octets)).await
    }

    /// The next reply.
    pub async fn reply(&mut self) -> Result<Reply, Broken> {
        loop {
            if let Some(reply) = take_reply(&mut self.input)? {
                return Ok(reply);
            }
            if self.input.len() > REPLY_MAX {
                return Err(Broken::NoReply);
            }
            if limited(&self.clock, self.timeout, self.stream.read_buf(&mut self.input)).await? == 0 {
                return Err(Broken::Lost);
            }
        }
    }
}

/// Lets an operation run for `timeout`.
async fn limited<T>(
    clock: &SharedClock,
    timeout: Duration,
    operation: impl Future<Output = io::Result<T>>,
) -> Result<T, Broken> {
    let deadline = clock.now().monotonic + timeout;
    let output = before(&**clock, deadline, operation)
        .await
        .ok_or(Broken::TimedOut)?;
    Ok(output?)
}

/// Takes a whole reply out of `input`, if there is one.
fn take_reply(input: &mut BytesMut) -> Result<Option<Reply>, Broken> {
    let mut lines = Vec::new();
    let mut from = 0;
    while let Some(end) = memchr::memchr(b'\n', &input[from..]) {
        let line = &input[from..from + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        from += end + 1;
        let (code, rest) = line.split_at_checked(3).ok_or(Broken::NoReply)?;
        let code: u16 = std::str::from_utf8(code)
            .ok()
            .and_then(|code| code.parse().ok())
            .ok_or(Broken::NoReply)?;
        let text = rest.get(1..).unwrap_or_default();
        lines.push(String::from_utf8_lossy(text).into_owned());
        if rest.first() != Some(&b'-') {
            input.advance(from);
            return Ok(Some(Reply { code, lines }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_whole() {
        let mut input = BytesMut::from("250-a\r\n250-b\r\n250 c\r\n354\r\n45");
        let reply = take_reply(&mut input).expect("a reply").expect("whole");
        assert_eq!((reply.code, reply.lines.join("|").as_str()), (250, "a|b|c"));
        assert_eq!(
            take_reply(&mut input).expect("a reply").map(|reply| reply.code),
            Some(354)
        );
        assert_eq!(take_reply(&mut input), Ok(None));
        assert_eq!(&input[..], b"45");
        assert_eq!(
            take_reply(&mut BytesMut::from("SSH-2.0-x\r\n")),
            Err(Broken::NoReply)
        );
    }
}
