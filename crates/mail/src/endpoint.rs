//! An endpoint: where a session connects to.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

/// One IP address and port that speaks SMTP. IPv4 and IPv6 addresses of one host are two endpoints (T58).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint(pub SocketAddr);

impl Endpoint {
    /// The socket address to connect to.
    pub fn socket_address(&self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
