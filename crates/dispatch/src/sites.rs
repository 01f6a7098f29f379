//! What is known of a destination beyond its queue: its servers, and how close together its mail comes.
//!
//! # Contract
//! * **Servers are asked for once at a time**, and again when the answer has run out or the configuration
//!   has changed.
//! * **The memory of close mail outlives the last message** by at least one idle limit, so that the next
//!   finds the parked session (T14).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_mail::{DeliveryId, Destination, Endpoint, Refusal};

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
    last_start: Option<Monotonic>,
    /// Between starts, smoothed.
    gap: Option<Duration>,
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
            last_start: None,
            gap: None,
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

    /// A delivery starts. A short gap tells at once that mail comes close together; a long one is half
    /// believed.
    pub(crate) fn note_start(&mut self, now: Monotonic) {
        if let Some(last) = self.last_start {
            let new = now - last;
            self.gap = Some(match self.gap {
                Some(old) if old < new => (old + new) / 2,
                _ => new,
            });
        }
        self.last_start = Some(now);
    }

    /// Answers whether more mail is likely within `idle_max` of now.
    pub(crate) fn is_likely(&self, now: Monotonic, idle_max: Duration) -> bool {
        self.gap.is_some_and(|gap| gap <= idle_max)
            && self
                .last_start
                .is_some_and(|last| now - last <= idle_max.max(LIKELY_MIN))
    }

    /// Answers whether anything has started so lately that it is to be remembered.
    pub(crate) fn is_fresh(&self, now: Monotonic, keep: Duration) -> bool {
        self.last_start.is_some_and(|last| now - last < keep)
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
    let hosts = key.trim_start_matches("mx:").split(',').flat_map(|host| {
        let host = host.split_once('=').map_or(host, |(host, _)| host);
        let bare = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        [host, bare]
    });
    std::iter::once(key).chain(hosts)
}

/// A transaction may take longer than the idle limit; its start still counts as lately.
const LIKELY_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let destination = Destination::from_key("a.test");
        Site::new(&destination, &Settings::default(), Monotonic::ZERO)
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    const IDLE: Duration = Duration::from_secs(2);

    #[test]
    fn one_message_says_nothing_about_the_next() {
        let mut site = site();
        site.note_start(at(0));
        assert!(!site.is_likely(at(1), IDLE));
    }

    #[test]
    fn close_mail_makes_the_next_likely_until_gaps_grow() {
        let mut site = site();
        for millis in [0, 1000, 2000] {
            site.note_start(at(millis));
        }
        assert!(site.is_likely(at(2500), IDLE));
        site.note_start(at(60_000));
        assert!(!site.is_likely(at(60_000), IDLE), "after a long silence");
        site.note_start(at(60_500));
        assert!(
            site.is_likely(at(60_600), IDLE),
            "at once when it comes close again"
        );
    }

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
            ("[2001:db8::1]:25", "2001:db8::1", true),
            ("[2001:db8::1]:25", "2001:db8::2", false),
        ] {
            let destination = Destination::from_key(key);
            assert_eq!(is_listed(&destination, &cache(name)), listed, "{key} {name}");
        }
    }
}
