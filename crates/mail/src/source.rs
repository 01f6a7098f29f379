//! Where we come from: the address that a connection leaves by, and the name that goes with it.
//!
//! A machine with several addresses spreads its mail over them, and a receiver judges each by itself: what is
//! remembered of an endpoint, and how many sessions it may have, belongs to a [`Way`] and not to the endpoint.
//!
//! # Contract
//! * **A source serves endpoints of its own family.** [`Sources::of`] answers for one endpoint; without a
//!   source of its family the system chooses the address.
//!
//! # Not here
//! Which source a destination has, and when it moves to another: `dispatch`.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::Endpoint;

/// One of our addresses, with the HELO name that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// What the connection is bound to.
    pub address: IpAddr,
    /// How we introduce ourselves from there.
    pub helo_name: Arc<str>,
}

/// The sources of one destination, one for each family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// For IPv4 endpoints.
    pub v4: Option<Arc<Source>>,
    /// For IPv6 endpoints.
    pub v6: Option<Arc<Source>>,
}

impl Sources {
    /// The source for an endpoint; `None`: the system chooses, or there is none to choose (a socket).
    pub fn of(&self, endpoint: Endpoint) -> Option<&Arc<Source>> {
        match endpoint.ip()? {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        }
    }

    /// The way to an endpoint.
    pub fn way_to(&self, endpoint: Endpoint) -> Way {
        Way {
            endpoint,
            source: self.of(endpoint).map(|source| source.address),
        }
    }
}

/// An endpoint as seen from one of our addresses: what limits and memory of receivers belong to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// Where to.
    pub endpoint: Endpoint,
    /// Whence; `None`: from the address that the system chooses.
    pub source: Option<IpAddr>,
}

impl From<Endpoint> for Way {
    /// From the address that the system chooses.
    fn from(endpoint: Endpoint) -> Self {
        Way {
            endpoint,
            source: None,
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Some(source) => write!(f, "{source}>{}", self.endpoint),
            None => fmt::Display::fmt(&self.endpoint, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_serves_endpoints_of_its_own_family() {
        let source = |address: &str| {
            Some(Arc::new(Source {
                address: address.parse().unwrap(),
                helo_name: "out.test".into(),
            }))
        };
        let (v4, v6) = (source("192.0.2.9"), source("2001:db8::9"));
        let endpoint = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        let (old, new) = (endpoint("192.0.2.1:25"), endpoint("[2001:db8::1]:25"));
        let both = Sources { v4: v4.clone(), v6 };
        let one = Sources { v4, v6: None };
        let whence = |sources: &Sources, to| sources.way_to(to).source.map(|ip| ip.to_string());
        assert_eq!(whence(&both, old).as_deref(), Some("192.0.2.9"));
        assert_eq!(whence(&both, new).as_deref(), Some("2001:db8::9"));
        assert_eq!(whence(&one, new), None, "the system chooses");
    }
}
