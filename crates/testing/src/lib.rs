//! What tests of several crates need: peers of the test's own, and one way to wait.
//!
//! # Contract
//! * **Everything listens on loopback**, on a port that the system chose.
//! * **Everything ends with its value**: servers stop, processes are killed, directories go.
//! * **Only [`wait`] sleeps**, for something that happens outside the test's own runtime.
//!
//! # Not here
//! Helpers that only one crate uses: they live with it.

pub mod certificates;
pub mod clock;
pub mod dns;
pub mod dovecot;
pub mod exim;
mod namespace;
pub mod opensmtpd;
pub mod peer;
pub mod postfix;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod wait;

use std::{io, net::TcpListener};

/// A TCP port of 127.0.0.1 that was free just now. Somebody may take it before it is used; a server that
/// can bind port 0 itself should.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
