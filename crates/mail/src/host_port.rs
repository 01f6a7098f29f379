//! A host to connect to, as an operator writes it: in a route, in `[local]`, in the directory.
//!
//! # Contract
//! * **What is shown reads back**, but for the preference, which stands beside the host.
//! * **Every spelling of one host is one value**: names in lower-case A-labels, addresses in their usual form.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Domain;

/// A host to connect to, as an operator wrote it in a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// A host name or an IP address.
    pub host: Arc<str>,
    /// TCP port; None = `delivery.smtp_port`.
    pub port: Option<u16>,
    /// Lower is tried first, as with MX.
    pub preference: u16,
}

/// Why a text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPortError {
    /// Neither a name nor an address, or brackets that do not hold an address.
    #[error("not a host; write one such as \"relay.example.net:587\", \"192.0.2.1\" or \"[2001:db8::1]:25\"")]
    Host,
    /// What stands behind the colon.
    #[error("the port is a number from 1 to 65535")]
    Port,
}

impl HostPort {
    /// The address, when the host was written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = split_port(text).ok_or(HostPortError::Host)?;
        let port = match port {
            None => None,
            Some(digits) => Some(port_number(digits).ok_or(HostPortError::Port)?),
        };
        let host = match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_string().into(),
            Err(_) if host.starts_with('[') => return Err(HostPortError::Host),
            Err(_) => {
                let domain: Domain = host.parse().map_err(|_| HostPortError::Host)?;
                domain.as_str().into()
            }
        };
        Ok(HostPort {
            host,
            port,
            preference: 0,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            _ => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.preference != 0 {
            write!(f, "={}", self.preference)?;
        }
        Ok(())
    }
}

/// Splits host from port; brackets around IPv6 go away.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) = rest.split_once(']')?;
        host.parse::<IpAddr>().ok()?;
        return match behind {
            "" => Some((host, None)),
            behind => Some((host, Some(behind.strip_prefix(':')?))),
        };
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

fn port_number(digits: &str) -> Option<u16> {
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_host_is_one_value_and_what_is_shown_reads_back() {
        for (text, host, port) in [
            ("192.0.2.1:2700", "192.0.2.1", Some(2700)),
            ("192.0.2.1", "192.0.2.1", None),
            ("[2001:db8::1]:25", "2001:db8::1", Some(25)),
            ("[2001:DB8::1]", "2001:db8::1", None),
            ("2001:db8::1", "2001:db8::1", None),
            ("Relay.Example.net:587", "relay.example.net", Some(587)),
            ("b\u{fc}cher.example", "xn--bcher-kva.example", None),
        ] {
            let read: HostPort = text.parse().unwrap();
            assert_eq!((read.host.as_ref(), read.port), (host, port), "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, error) in [
            ("", HostPortError::Host),
            (":25", HostPortError::Host),
            ("a.test:", HostPortError::Port),
            ("a.test:0", HostPortError::Port),
            ("a.test:65536", HostPortError::Port),
            ("a.test:+5", HostPortError::Port),
            ("[a.test]:25", HostPortError::Host),
            ("[::1", HostPortError::Host),
            ("[::1]25", HostPortError::Host),
            ("a b", HostPortError::Host),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(error), "{text}");
        }
    }
}
