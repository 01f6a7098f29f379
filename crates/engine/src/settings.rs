//! The engine's configuration: what `remuda.toml` says, checked and typed.
//!
//! The program reads the file (`remuda::config`), names line and key of what is wrong, and builds this.
//! Every field is a key of contract.md; defaults are there.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use remuda_mail::{Address, HostPort};

/// Everything that the engine is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `hostname`.
    pub hostname: Arc<str>,
    /// `data_dir`.
    pub data_dir: PathBuf,
    /// `postmaster`; None = the Maildir `mail/postmaster` under `data_dir`.
    pub postmaster: Option<Address>,
    /// `[[listener]]`.
    pub listeners: Vec<Listener>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[relay]`.
    pub relay: Relay,
    /// `[dns].servers`; empty = the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// `[[route]]`.
    pub routes: Vec<Route>,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[connection_cache]`.
    pub connection_cache: remuda_dispatch::settings::CacheSettings,
    /// `connection_cache.status_update_time`.
    pub status_update_time: Duration,
}

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `address`.
    pub address: SocketAddr,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `message_size`, octets.
    pub message_size: u64,
    /// `recipients_per_message`.
    pub recipients_per_message: usize,
    /// `sessions`: inbound in all.
    pub sessions: usize,
    /// `sessions_per_client`.
    pub sessions_per_client: usize,
    /// `queue_memory`, octets: bodies kept for the first attempt.
    pub queue_memory: u64,
    /// `active_messages`.
    pub active_messages: usize,
    /// `min_free_disk`, octets.
    pub min_free_disk: u64,
    /// `memory`, octets; None = half of the machine's or the cgroup's.
    pub memory: Option<u64>,
}

/// `[relay]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// `networks`: clients that may send anywhere.
    pub networks: Vec<Network>,
    /// `bare_newline`, for clients in `networks`.
    pub bare_newline: BareNewline,
}

/// A network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

/// What becomes of a bare CR or LF in content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// Stored as CRLF.
    Normalize,
    /// Refused after the real end of the data.
    Reject,
}

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `domain`.
    pub domain: RouteDomain,
    /// `hosts`, with `preference`.
    pub hosts: Arc<[HostPort]>,
    /// `mx`.
    pub mx: bool,
    /// `accept`: mail for this domain is taken from anyone.
    pub accept: bool,
}

/// Which domains a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteDomain {
    /// This one.
    Exact(remuda_mail::Domain),
    /// Names below this one (`.example.net`).
    Subdomains(remuda_mail::Domain),
    /// Everything else (`*`).
    Any,
}

/// `[delivery]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// `smtp_port`.
    pub smtp_port: u16,
    /// `initial_concurrency`.
    pub initial_concurrency: u32,
    /// `concurrency`.
    pub concurrency: u32,
    /// `sessions`.
    pub sessions: u32,
    /// `sessions_per_endpoint`.
    pub sessions_per_endpoint: u32,
    /// `recipients_per_transaction`.
    pub recipients_per_transaction: u32,
    /// `addresses_per_delivery`.
    pub addresses_per_delivery: u32,
    /// `delay_warning`; None = off.
    pub delay_warning: Option<Duration>,
    /// `allow_loopback`.
    pub allow_loopback: bool,
    /// `minimal_backoff`.
    pub minimal_backoff: Duration,
    /// `maximal_backoff`.
    pub maximal_backoff: Duration,
    /// `queue_lifetime`.
    pub queue_lifetime: Duration,
    /// `bounce_lifetime`.
    pub bounce_lifetime: Duration,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
    /// `helo_name`, or the hostname.
    pub helo_name: Arc<str>,
}

impl Network {
    /// Answers whether `ip` is in the network; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, ip: std::net::IpAddr) -> bool {
        use std::net::IpAddr;
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(net) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(net) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

impl Settings {
    /// Answers whether a client at `ip` may send anywhere.
    pub fn is_relay_client(&self, ip: std::net::IpAddr) -> bool {
        self.relay.networks.iter().any(|network| network.contains(ip))
    }

    /// What `dispatch` decides by.
    pub fn dispatch(&self, seed: u64) -> remuda_dispatch::settings::Settings {
        remuda_dispatch::settings::Settings {
            initial_concurrency: self.delivery.initial_concurrency,
            concurrency: self.delivery.concurrency,
            sessions: self.delivery.sessions,
            sessions_per_endpoint: self.delivery.sessions_per_endpoint,
            recipients_per_transaction: self.delivery.recipients_per_transaction,
            addresses_per_delivery: self.delivery.addresses_per_delivery,
            minimal_backoff: self.delivery.minimal_backoff,
            maximal_backoff: self.delivery.maximal_backoff,
            active_messages: self.limits.active_messages,
            helo_name: self.delivery.helo_name.clone(),
            cache: self.connection_cache.clone(),
            seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, prefix: u8) -> Network {
        Network {
            address: address.parse().unwrap(),
            prefix,
        }
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        for (net, ip, inside) in [
            (network("127.0.0.0", 8), "127.9.9.9", true),
            (network("127.0.0.0", 8), "128.0.0.1", false),
            (network("127.0.0.0", 8), "::ffff:127.0.0.1", true),
            (network("0.0.0.0", 0), "203.0.113.1", true),
            (network("0.0.0.0", 0), "::1", false),
            (network("::1", 128), "::1", true),
            (network("::1", 128), "::2", false),
            (network("2001:db8::", 32), "2001:db8:1::5", true),
        ] {
            assert_eq!(net.contains(ip.parse().unwrap()), inside, "{net:?} {ip}");
        }
    }
}
