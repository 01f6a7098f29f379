//! What is ourselves: our name and the addresses that we listen on.
//!
//! # Contract
//! * **A listener's own address and port is always ourselves**, whatever the configuration allows.
//! * **Without `allow_loopback` every port counts** at an address that we listen on: what answers there
//!   on port 25 is us behind a redirection, or nobody we should mail.
//!
//! # Known faults
//! Behind address translation we do not know our public address; our name among the exchanges, and in
//! the end the count of Received fields, stop that loop.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use remuda_mail::Domain;

use crate::settings::Settings;

/// What an address is for us as a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A server.
    Usable,
    /// This machine, though no listener of ours: no server.
    Loopback,
    /// Ourselves.
    Ours,
    /// Nothing that one can connect to: unspecified, multicast, broadcast.
    Unusable,
}

/// Our name and our addresses.
#[derive(Debug)]
pub(super) struct Own {
    hostname: Option<Domain>,
    listeners: Vec<SocketAddr>,
    allow_loopback: bool,
}

impl Own {
    pub(super) fn new(settings: &Settings) -> Self {
        let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        Own {
            hostname: settings.hostname.parse().ok(),
            listeners: settings
                .listeners
                .iter()
                .map(|one| canonical(one.address))
                .collect(),
            allow_loopback: settings.delivery.allow_loopback,
        }
    }

    /// Answers whether an exchange has our name.
    pub(super) fn is_named(&self, host: &str) -> bool {
        self.hostname.as_ref().is_some_and(|own| own.as_str() == host)
    }

    /// What `ip` is when we would connect to `port` there. An IPv4-mapped address counts as IPv4.
    pub(super) fn classify(&self, ip: IpAddr, port: u16) -> Class {
        let ip = ip.to_canonical();
        let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
            Class::Unusable
        } else if self.listens(ip, Some(port)) {
            Class::Ours
        } else if self.allow_loopback {
            Class::Usable
        } else if ip.is_loopback() {
            Class::Loopback
        } else if self.listens(ip, None) {
            Class::Ours
        } else {
            Class::Usable
        }
    }

    fn listens(&self, ip: IpAddr, port: Option<u16>) -> bool {
        self.listeners
            .iter()
            .filter(|at| port.is_none_or(|port| at.port() == port))
            .any(|at| at.ip() == ip || (at.ip().is_unspecified() && is_of_this_machine(ip)))
    }
}

/// Only an address of this machine can be bound. Cheap: no packet is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Listener;

    fn own(listeners: &[&str], allow_loopback: bool) -> Own {
        let mut settings = Settings::defaults("mx.home.test");
        settings.listeners = listeners
            .iter()
            .map(|at| Listener::plain(at.parse().unwrap()))
            .collect();
        settings.delivery.allow_loopback = allow_loopback;
        Own::new(&settings)
    }

    #[test]
    fn addresses_are_classed() {
        let strict = own(&["127.0.0.1:2525", "192.0.2.1:25"], false);
        let loose = own(&["127.0.0.1:2525", "192.0.2.1:25"], true);
        for (ip, port, in_strict, in_loose) in [
            ("0.0.0.0", 25, Class::Unusable, Class::Unusable),
            ("::", 25, Class::Unusable, Class::Unusable),
            ("224.0.0.1", 25, Class::Unusable, Class::Unusable),
            ("ff02::1", 25, Class::Unusable, Class::Unusable),
            ("255.255.255.255", 25, Class::Unusable, Class::Unusable),
            ("127.0.0.1", 25, Class::Loopback, Class::Usable),
            ("::ffff:127.0.0.1", 25, Class::Loopback, Class::Usable),
            ("::1", 25, Class::Loopback, Class::Usable),
            ("127.0.0.1", 2525, Class::Ours, Class::Ours),
            ("192.0.2.1", 25, Class::Ours, Class::Ours),
            ("192.0.2.1", 2626, Class::Ours, Class::Usable),
            ("192.0.2.2", 25, Class::Usable, Class::Usable),
            ("2001:db8::1", 25, Class::Usable, Class::Usable),
        ] {
            let address = ip.parse().unwrap();
            assert_eq!(strict.classify(address, port), in_strict, "{ip}:{port}");
            assert_eq!(loose.classify(address, port), in_loose, "{ip}:{port} allowed");
        }
    }

    #[test]
    fn a_wildcard_listener_is_every_address_of_this_machine() {
        let wildcard = own(&["[::]:2525"], true);
        assert_eq!(wildcard.classify([127, 0, 0, 9].into(), 2525), Class::Ours);
        assert_eq!(wildcard.classify([127, 0, 0, 9].into(), 25), Class::Usable);
        assert_eq!(wildcard.classify([192, 0, 2, 77].into(), 2525), Class::Usable);
    }
}
