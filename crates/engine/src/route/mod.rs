//! Routing: which next-hop a recipient goes to.
//!
//! A pure function of the configuration. What the next-hop's servers are is asked of DNS later
//! ([`crate::resolve`]), so a route can be computed at any time and again after every reload.
//!
//! # Contract
//! * **The most specific route wins**: the domain itself, then the longest `.suffix`, then `*`.
//! * **Without a route the domain decides**: an address literal is itself, anything else its MX.
//! * **A route without hosts** takes its domain out of the less specific ones: its MX decides.
//! * **Mail for our own hostname stays here**, whatever `.suffix` or `*` say; only a route for exactly
//!   that name takes it away. The postmaster's stays even then.
//! * **The postmaster's mail goes where `postmaster` says**, once: an address that is the postmaster
//!   here again means the Maildir, which stays when other local mail goes by LMTP.
//!
//! # Not here
//! Whether a client may send at all (`receive`). Accounts and aliases, and routes of the directory, which come first
//! (`addressing`).

use std::{collections::HashMap, sync::Arc};

use remuda_mail::{Address, Domain, HopPolicy, NextHop};

use crate::settings::{Route, RouteDomain, Settings};

/// The routes of one configuration, ready for look-ups.
#[derive(Debug)]
pub struct Router {
    exact: HashMap<Domain, Known>,
    below: HashMap<Domain, Known>,
    any: Option<Known>,
    hostname: Option<Domain>,
    postmaster: Option<Address>,
    is_local_by_lmtp: bool,
}

/// A route with what it says about TLS and AUTH.
#[derive(Debug)]
struct Known {
    route: Route,
    policy: Arc<HopPolicy>,
}

impl Router {
    /// Reads the routes of `settings`. Of two routes for one domain the first counts.
    pub fn new(settings: &Settings) -> Self {
        let hostname: Option<Domain> = settings.hostname.parse().ok();
        let mut router = Router {
            exact: HashMap::new(),
            below: HashMap::new(),
            any: None,
            postmaster: settings.postmaster.clone(),
            hostname,
            is_local_by_lmtp: settings.local.lmtp().is_some(),
        };
        for route in &settings.routes {
            router.add(route.clone());
        }
        if router
            .postmaster
            .as_ref()
            .is_some_and(|to| router.is_role_here(to))
        {
            router.postmaster = None;
        }
        router
    }

    fn add(&mut self, route: Route) {
        let (domain, policy) = (route.domain.clone(), Arc::new(route.policy()));
        let route = Known { route, policy };
        match domain {
            RouteDomain::Exact(domain) => {
                self.exact.entry(domain).or_insert(route);
            }
            RouteDomain::Subdomains(parent) => {
                self.below.entry(parent).or_insert(route);
            }
            RouteDomain::Any => {
                self.any.get_or_insert(route);
            }
        }
    }

    /// Where a recipient's mail goes. A postmaster that has not been [redirected](Router::redirect)
    /// yet is routed as the address that it stands for.
    pub fn route(&self, address: &Address) -> NextHop {
        if self.is_role_here(address) {
            return match &self.postmaster {
                Some(to) => self.route_domain(to.domain()),
                None => self.postmaster_hop(),
            };
        }
        self.route_domain(address.domain())
    }

    /// The address that a postmaster here stands for, when the configuration names one: the recipient
    /// to store instead of `address`.
    pub fn redirect(&self, address: &Address) -> Option<&Address> {
        self.postmaster.as_ref().filter(|_| self.is_role_here(address))
    }

    /// The address of `postmaster`, unless it is the postmaster here again.
    pub fn postmaster(&self) -> Option<&Address> {
        self.postmaster.as_ref()
    }

    /// Where the postmaster's mail goes when it stays here.
    pub fn postmaster_hop(&self) -> NextHop {
        match self.is_local_by_lmtp {
            true => NextHop::Postmaster,
            false => NextHop::Local,
        }
    }

    /// Answers whether mail for `domain` is taken from anyone: its route says `accept = true`.
    pub fn accepts(&self, domain: &Domain) -> bool {
        self.route_for(domain).is_some_and(|known| known.route.accept)
    }

    fn route_domain(&self, domain: &Domain) -> NextHop {
        if self.is_hostname(domain) && !self.exact.contains_key(domain) {
            return NextHop::Local;
        }
        match self.route_for(domain) {
            Some(Known { route, policy }) if !route.hosts.is_empty() => NextHop::Hosts {
                hosts: route.hosts.clone(),
                look_up_mx: route.mx,
                policy: policy.clone(),
            },
            _ => direct(domain),
        }
    }

    fn route_for(&self, domain: &Domain) -> Option<&Known> {
        self.exact
            .get(domain)
            .or_else(|| self.route_below(domain))
            .or(self.any.as_ref())
    }

    /// The route of the nearest parent. One look-up a label, at most 127.
    fn route_below(&self, domain: &Domain) -> Option<&Known> {
        if self.below.is_empty() || domain.literal().is_some() {
            return None;
        }
        let mut rest = domain.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            let found = parent.parse().ok().and_then(|key: Domain| self.below.get(&key));
            if found.is_some() {
                return found;
            }
            rest = parent;
        }
        None
    }

    /// Answers whether this is our own name.
    pub fn is_hostname(&self, domain: &Domain) -> bool {
        self.hostname.as_ref() == Some(domain)
    }

    /// Answers whether this is one of the roles of this host.
    pub fn is_role_here(&self, address: &Address) -> bool {
        is_role(address) && self.is_hostname(address.domain())
    }
}

/// Where mail for a domain goes that no route is for: to its MX, or to the address that it is.
pub fn direct(domain: &Domain) -> NextHop {
    match domain.literal() {
        Some(ip) => NextHop::Literal(ip),
        None => NextHop::Mx(domain.clone()),
    }
}

/// Answers whether the local part is one that every mail system has: postmaster (RFC 5321 §4.5.1), and
/// MAILER-DAEMON, which our reports come from and some answer to.
pub fn is_role(address: &Address) -> bool {
    address.is_postmaster() || address.local_part().eq_ignore_ascii_case("mailer-daemon")
}

#[cfg(test)]
mod tests;
