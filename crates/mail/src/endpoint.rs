//! An endpoint: where a session connects to.
//!
//! # Contract
//! * **What is shown reads back**: [`Endpoint`] parses from what it prints.
//! * **An endpoint is cheap to pass on**, so a socket's path is kept in place; the system bounds its length.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// One IP address and port, or one socket path, that speaks SMTP or LMTP. IPv4 and IPv6 addresses of one host
/// are two endpoints (T58).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Endpoint {
    /// By TCP.
    Tcp(SocketAddr),
    /// On this machine.
    Unix(SocketPath),
}

impl Endpoint {
    /// The IP address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Tcp(address) => Some(address.ip()),
            Endpoint::Unix(_) => None,
        }
    }

    /// The TCP port, if it has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Endpoint::Tcp(address) => Some(address.port()),
            Endpoint::Unix(_) => None,
        }
    }
}

/// The absolute path of a Unix socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketPath {
    length: u8,
    /// UTF-8, then zeros.
    octets: [u8; SOCKET_PATH_LENGTH_MAX],
}

impl SocketPath {
    /// The path.
    pub fn as_str(&self) -> &str {
        let octets = &self.octets[..usize::from(self.length)];
        std::str::from_utf8(octets).expect("it was made of a text")
    }
}

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither an address nor a path.
    #[error("neither ADDRESS:PORT nor the absolute path of a socket")]
    Form,
    /// Longer than the system takes.
    #[error("the path of a socket has at most {SOCKET_PATH_LENGTH_MAX} octets")]
    TooLong,
}

impl FromStr for SocketPath {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if !text.starts_with('/') || text.chars().any(char::is_control) {
            return Err(EndpointError::Form);
        }
        let mut octets = [0; SOCKET_PATH_LENGTH_MAX];
        let place = octets.get_mut(..text.len()).ok_or(EndpointError::TooLong)?;
        place.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).map_err(|_| EndpointError::TooLong)?;
        Ok(SocketPath { length, octets })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.parse() {
            Ok(address) => Ok(Endpoint::Tcp(address)),
            Err(_) => text.parse().map(Endpoint::Unix),
        }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => fmt::Display::fmt(address, f),
            Endpoint::Unix(path) => f.write_str(path.as_str()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Octets of a socket's path: `sun_path` of unix(7) less its final NUL.
pub const SOCKET_PATH_LENGTH_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["192.0.2.1:25", "[2001:db8::1]:2525", "/run/dovecot/lmtp"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
            assert_eq!(Endpoint::try_from(String::from(endpoint)), Ok(endpoint));
        }
    }

    #[test]
    fn an_endpoint_is_cheap_to_pass_on() {
        fn is_copy<T: Copy>() {}
        is_copy::<Endpoint>();
        assert!(size_of::<Endpoint>() <= 112);
    }

    #[test]
    fn other_text_is_no_endpoint() {
        let longest = format!("/{}", "x".repeat(SOCKET_PATH_LENGTH_MAX - 1));
        assert!(longest.parse::<Endpoint>().is_ok());
        for (text, error) in [
            ("", EndpointError::Form),
            ("run/lmtp", EndpointError::Form),
            ("192.0.2.1", EndpointError::Form),
            ("/run/\0lmtp", EndpointError::Form),
            (&format!("{longest}x"), EndpointError::TooLong),
            (&format!("{longest}{longest}{longest}"), EndpointError::TooLong),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
