//! What is known of a destination beyond its queue: its servers, and how close together its mail comes.
//!
//! # Contract
//! * **Servers are asked for once at a time**, and again when the answer has run out or the configuration
//!   has changed.
//! * **The memory of close mail outlives the last message** by at least one idle limit, so that the next
//!   finds the parked session (T14).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_hosts::Rhythm;
use remuda_mail::{DeliveryId, Destination, Endpoint, Refusal, Way};

use crate::{
    candidates::Servers,
    ceilings::Ceiling,
    settings::{CacheSettings, Rule, Settings},
    sources::Whence,
};

/// A destination, as far as sessions for it are concerned.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) servers: Resolved,
    /// An answer is awaited.
    pub(crate) is_asked: bool,
    /// Which configuration the answer is for.
    pub(crate) epoch: u64,
    /// Deliveries that wait for a session without a dial of their own.
    pub(crate) starved: Vec<DeliveryId>,
    /// Deliveries that have lost their session and wait for a slot, first first.
    pub(crate) benched: VecDeque<DeliveryId>,
    /// Always cached.
    pub(crate) is_listed: bool,
    /// Where its mail comes from.
    pub(crate) whence: Whence,
    /// Its endpoints, and the names of the hosts that serve it best, as last known.
    pub(crate) endpoints: Arc<[Endpoint]>,
    pub(crate) best_hosts: Arc<[Arc<str>]>,
    /// The operator's rule for it.
    pub(crate) rule: Option<Arc<Rule>>,
    /// What the rule demands of its endpoints.
    pub(crate) ceiling: Option<Ceiling>,
    /// The ways for want of which it sleeps.
    pub(crate) asleep_at: Vec<Way>,
    /// Of its deliveries.
    rhythm: Rhythm,
    /// When to look whether it is of use no more.
    pub(crate) review: Monotonic,
}

/// What is known of a destination's servers.
#[derive(Clone, Debug)]
pub(crate) enum Resolved {
    /// Nothing.
    Unknown,
    /// These, until then.
    Known(Arc<Servers>, Monotonic),
    /// There will be none, until then.
    Never(Box<Refusal>, Monotonic),
}

impl Site {
    pub(crate) fn new(destination: &Destination, settings: &Settings, review: Monotonic) -> Self {
        Site {
            servers: Resolved::Unknown,
            is_asked: false,
            epoch: 0,
            starved: Vec::new(),
            benched: VecDeque::new(),
            is_listed: is_listed(destination, &settings.cache),
            whence: Whence::new(destination, &settings.sources),
            endpoints: Arc::default(),
            best_hosts: Arc::default(),
            rule: None,
            ceiling: None,
            asleep_at: Vec::new(),
            rhythm: Rhythm::default(),
            review,
        }
    }

    /// What is known of its servers now.
    pub(crate) fn resolved(&self, epoch: u64, now: Monotonic) -> Resolved {
        match &self.servers {
            Resolved::Known(_, until) | Resolved::Never(_, until) if self.epoch == epoch && *until > now => {
                self.servers.clone()
            }
            _ => Resolved::Unknown,
        }
    }

    /// A delivery starts.
    pub(crate) fn note_start(&mut self, now: Monotonic) {
        self.rhythm.note(now);
    }

    /// Answers whether more mail is likely within `idle_max` of now.
    pub(crate) fn is_likely(&self, now: Monotonic, idle_max: Duration) -> bool {
        self.rhythm.is_likely(now, idle_max)
    }

    /// Answers whether anything has started so lately that it is to be remembered.
    pub(crate) fn is_fresh(&self, now: Monotonic, keep: Duration) -> bool {
        self.rhythm.is_fresh(now, keep)
    }
}

/// Answers whether an operator wants a destination always cached: by its key, by a host of its route, or
/// all ("*").
pub(crate) fn is_listed(destination: &Destination, cache: &CacheSettings) -> bool {
    let listed = &cache.destinations;
    if listed.is_empty() {
        return false;
    }
    listed.contains("*") || hosts_of(destination).any(|name| listed.contains(name))
}

/// The names that an operator may call a destination by: its key, and each host of its route as written and
/// without its port.
pub(crate) fn hosts_of(destination: &Destination) -> impl Iterator<Item = &str> {
    let key = destination.as_str();
    // Behind the hosts stands what the route says of TLS and AUTH.
    let hosts = key.split_once(';').map_or(key, |(hosts, _)| hosts);
    let hosts = hosts.trim_start_matches("mx:").split(',').flat_map(|host| {
        let host = host.split_once('=').map_or(host, |(host, _)| host);
        let bare = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        [host, bare]
    });
    std::iter::once(key).chain(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_listed_by_domain_or_route_host() {
        let cache = |name: &str| CacheSettings {
            destinations: [name.to_owned()].into(),
            ..CacheSettings::default()
        };
        for (key, name, listed) in [
            ("a.test", "a.test", true),
            ("a.test", "b.test", false),
            ("b.test", "*", true),
            ("relay.test:587,192.0.2.1:2700", "relay.test", true),
            ("relay.test:587,192.0.2.1:2700", "192.0.2.1:2700", true),
            ("mx:relay.test=10", "relay.test", true),
            ("relay.test:587;tls=verify;user=a,b", "relay.test", true),
            ("relay.test:587;tls=verify;user=a,b", "b", false),
            ("[2001:db8::1]:25", "2001:db8::1", true),
            ("[2001:db8::1]:25", "2001:db8::2", false),
        ] {
            let destination = Destination::from_key(key);
            assert_eq!(is_listed(&destination, &cache(name)), listed, "{key} {name}");
        }
    }
}
