//! Where routing sends a recipient: the next-hop, and the destination it is scheduled under.
//!
//! A destination is the recipient's domain when its MX decides, else the route's host list as written:
//! all domains of one smart host are one destination and share transactions.
//!
//! # Contract
//! * **A destination's text is its key** everywhere: in the spool, the schedule, the cache, the API.
//! * **A destination says nothing about how to reach it**: [`NextHop`] does, and a reload may change it.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Domain;

/// The key under which deliveries are scheduled and sessions are found. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Destination(Arc<str>);

impl Destination {
    /// The destination with this key, as read back from the spool or given by an operator.
    pub fn from_key(key: &str) -> Self {
        Destination(key.into())
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

impl HostPort {
    /// The address, when the host was written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Where routing sends a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The domain's MX (or, without one, its addresses) decides (RFC 5321 §5.1).
    Mx(Domain),
    /// A route's hosts; `look_up_mx`: their MX instead of their addresses.
    Hosts {
        /// In the order of the configuration.
        hosts: Arc<[HostPort]>,
        /// The route says `mx = true`.
        look_up_mx: bool,
    },
    /// An address literal (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// This machine: the postmaster's Maildir.
    Local,
}

impl NextHop {
    /// The key to schedule under.
    pub fn destination(&self) -> Destination {
        match self {
            NextHop::Mx(domain) => Destination::from_key(domain.as_str()),
            NextHop::Literal(ip) => Destination::from_key(&format!("[{ip}]")),
            NextHop::Local => Destination::from_key("local"),
            NextHop::Hosts { hosts, look_up_mx } => {
                let list = hosts
                    .iter()
                    .map(HostPort::to_string)
                    .collect::<Vec<_>>()
                    .join(",");
                Destination::from_key(&if *look_up_mx { format!("mx:{list}") } else { list })
            }
        }
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

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_domains_of_one_smart_host_are_one_destination() {
        let host = HostPort {
            host: "2001:db8::1".into(),
            port: Some(2700),
            preference: 0,
        };
        let hop = NextHop::Hosts {
            hosts: [host.clone()].into(),
            look_up_mx: false,
        };
        assert_eq!(hop.destination().as_str(), "[2001:db8::1]:2700");
        let by_mx = NextHop::Hosts {
            hosts: [host].into(),
            look_up_mx: true,
        };
        assert_ne!(by_mx.destination(), hop.destination());
    }
}
