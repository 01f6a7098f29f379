//! A destination's servers, and the order in which one delivery tries them.
//!
//! # Contract
//! * **Preference is absolute** among endpoints that are not paused; equal ones are tried in random order
//!   (reference §2.8).
//! * **A paused endpoint comes after all others**, and is still tried before the delivery gives up.
//! * **An endpoint is tried once**, at most `addresses_per_delivery` in all.

use std::sync::Arc;

use rand::{rngs::StdRng, seq::SliceRandom};
use remuda_clock::Monotonic;
use remuda_hosts::Hosts;
use remuda_mail::{
    CredentialsId, Endpoint, HopLogin, HopPolicy, Protocol, Sources, TlsLevel, TlsPolicy, Way,
};

use crate::event::Candidate;

/// A destination's servers as last resolved, best first.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    candidates: Vec<Candidate>,
    pub(crate) endpoints: Arc<[Endpoint]>,
    /// Their names, in the same order.
    pub(crate) hosts: Arc<[Arc<str>]>,
    /// What they speak.
    pub(crate) protocol: Protocol,
    /// What must protect sessions to them.
    pub(crate) tls: TlsPolicy,
    /// As whom to log in.
    pub(crate) login: Option<HopLogin>,
}

/// What one delivery has still to try.
#[derive(Debug, Default)]
pub(crate) struct Itinerary {
    servers: Arc<Servers>,
    /// Places in `servers`, in the order of trying but for pauses.
    remaining: Vec<usize>,
    tries_left: u32,
    is_begun: bool,
}

impl Servers {
    /// These candidates under a route's policy; `level`: how much TLS, if the route does not say, to hosts of
    /// these names.
    pub(crate) fn new(
        mut candidates: Vec<Candidate>,
        policy: HopPolicy,
        level: impl FnOnce(&[Arc<str>]) -> TlsLevel,
    ) -> Self {
        candidates.sort_by_key(|candidate| candidate.preference);
        let mut endpoints: Vec<Endpoint> = Vec::with_capacity(candidates.len());
        // One address under two names is one server; the better preference counts.
        candidates.retain(|candidate| {
            let is_new = !endpoints.contains(&candidate.endpoint);
            if is_new {
                endpoints.push(candidate.endpoint);
            }
            is_new
        });
        let HopPolicy {
            protocol,
            tls,
            tls_mode,
            tls_names,
            login,
        } = policy;
        Servers {
            protocol,
            hosts: candidates
                .iter()
                .map(|candidate| candidate.host.clone())
                .collect(),
            tls: TlsPolicy {
                level: tls.unwrap_or_else(|| level(&best_hosts(&candidates))),
                mode: tls_mode,
                names: tls_names,
            },
            candidates,
            endpoints: endpoints.into(),
            login,
        }
    }

    /// What sessions to them must have shown at AUTH.
    pub(crate) fn credentials(&self) -> Option<CredentialsId> {
        self.login.as_ref().map(|login| login.credentials)
    }

    /// The name of the host behind an endpoint.
    pub(crate) fn host(&self, endpoint: Endpoint) -> Option<Arc<str>> {
        self.of(endpoint).map(|candidate| candidate.host.clone())
    }

    /// Answers whether `endpoint` is among the best that are not paused.
    pub(crate) fn is_best(&self, endpoint: Endpoint, hosts: &Hosts, from: &Sources, now: Monotonic) -> bool {
        let mut open = self
            .candidates
            .iter()
            .filter(|c| !hosts.is_paused(from.way_to(c.endpoint), now));
        let best = open.next().or(self.candidates.first());
        let preference = self.of(endpoint).map(|candidate| candidate.preference);
        preference.is_some() && preference == best.map(|best| best.preference)
    }

    /// The ways to the endpoints of the same preference that are not paused, `endpoint`'s among them in any
    /// case; and whether none that is not paused is preferred to it, nor it itself paused.
    pub(crate) fn equals(
        &self,
        endpoint: Endpoint,
        hosts: &Hosts,
        from: &Sources,
        now: Monotonic,
    ) -> (Vec<Way>, bool) {
        let preference = self.of(endpoint).map(|candidate| candidate.preference);
        let alike = self
            .candidates
            .iter()
            .filter(|one| Some(one.preference) == preference);
        let is_open =
            |one: &&Candidate| one.endpoint == endpoint || !hosts.is_paused(from.way_to(one.endpoint), now);
        let ways = alike
            .filter(is_open)
            .map(|one| from.way_to(one.endpoint))
            .collect();
        (ways, self.is_best(endpoint, hosts, from, now))
    }

    /// The names of the hosts of the best preference.
    pub(crate) fn best_hosts(&self) -> Arc<[Arc<str>]> {
        best_hosts(&self.candidates)
    }

    fn of(&self, endpoint: Endpoint) -> Option<&Candidate> {
        self.candidates
            .iter()
            .find(|candidate| candidate.endpoint == endpoint)
    }
}

impl Itinerary {
    pub(crate) fn new(servers: Arc<Servers>, tries_max: u32, rng: &mut StdRng) -> Self {
        let mut remaining: Vec<usize> = (0..servers.candidates.len()).collect();
        if remaining.len() > 1 {
            remaining.shuffle(rng);
            remaining.sort_by_key(|place| servers.candidates[*place].preference);
        }
        Itinerary {
            servers,
            remaining,
            tries_left: tries_max.max(1),
            is_begun: false,
        }
    }

    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// The equally good endpoints to try now, in order; empty when there are no more.
    pub(crate) fn next(&self, hosts: &Hosts, from: &Sources, now: Monotonic) -> Vec<Endpoint> {
        if self.tries_left == 0 {
            return Vec::new();
        }
        let candidate = |place: &usize| &self.servers.candidates[*place];
        let is_paused = |place: &usize| hosts.is_paused(from.way_to(candidate(place).endpoint), now);
        let open = self.remaining.iter().find(|place| !is_paused(place));
        let Some(best) = open.or(self.remaining.first()) else {
            return Vec::new();
        };
        let (preference, paused) = (candidate(best).preference, open.is_none());
        self.remaining
            .iter()
            .filter(|place| candidate(place).preference == preference && is_paused(place) == paused)
            .map(|place| candidate(place).endpoint)
            .collect()
    }

    /// An endpoint has been tried.
    pub(crate) fn strike(&mut self, endpoint: Endpoint) {
        let servers = &self.servers;
        self.remaining
            .retain(|place| servers.candidates[*place].endpoint != endpoint);
        self.tries_left = self.tries_left.saturating_sub(1);
        self.is_begun = true;
    }

    /// Answers whether some host has been done with.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// No endpoint is of use.
    pub(crate) fn strike_all(&mut self) {
        self.remaining.clear();
    }

    /// Answers whether there is an endpoint left to try.
    pub(crate) fn has_any(&self) -> bool {
        self.tries_left > 0 && !self.remaining.is_empty()
    }

    /// Answers whether an endpoint has not been tried.
    pub(crate) fn has(&self, endpoint: Endpoint) -> bool {
        self.tries_left > 0
            && self
                .remaining
                .iter()
                .any(|place| self.servers.candidates[*place].endpoint == endpoint)
    }
}

/// The names of the hosts of the best preference; best candidates first.
fn best_hosts(candidates: &[Candidate]) -> Arc<[Arc<str>]> {
    let best = candidates.first().map(|first| first.preference);
    let hosts = candidates.iter().filter(|one| Some(one.preference) == best);
    hosts.map(|candidate| candidate.host.clone()).collect()
}
