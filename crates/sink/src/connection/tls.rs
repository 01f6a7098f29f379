//! The part of a conversation that is TLS.
//!
//! # Contract
//! * **Nothing that came before the handshake counts after it** (RFC 3207 §4.2).

use std::io;

use super::{Connection, Course};
use crate::violation::ViolationKind;

impl Connection {
    /// Sends the reply to STARTTLS; what the client has sent behind the command is lost with the old state.
    pub(super) async fn start_tls(&mut self) -> io::Result<Course> {
        self.wire.round_trip().await;
        if !self.wire.input.is_empty() || self.wire.try_read() > 0 {
            self.violate(ViolationKind::PipelinedTooFar, "behind STARTTLS");
            self.wire.input.clear();
        }
        self.send().await?;
        self.handshake().await?;
        Ok(Ok(()))
    }

    /// Takes part in a handshake and counts it.
    pub(super) async fn handshake(&mut self) -> io::Result<()> {
        let shared = self.seat.shared();
        let config = shared.tls.clone().ok_or(io::ErrorKind::Unsupported)?;
        let is_resumed = self.wire.handshake(config).await?;
        shared.counters.handshake(is_resumed);
        self.session.secured();
        Ok(())
    }
}
