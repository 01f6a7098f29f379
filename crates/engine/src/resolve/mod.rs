//! Resolving: which servers a next-hop has now (RFC 5321 §5.1).
//!
//! Three steps: `lookup` asks DNS, `plan` decides what of the answers may be used, `cache` keeps
//! the decision for as long as the records live. Only the first touches the network.
//!
//! # Contract
//! * **An answer is usable.** Addresses are never empty, ours, or (without `allow_loopback`) loopback;
//!   only what a route names literally is taken as it is.
//! * **We do not mail ourselves.** Where our own name or address stands among the exchanges, it is cut
//!   with everything that is not better; what remains empty "loops back to us" (5.4.6).
//! * **Only knowledge bounces.** A domain that does not exist (5.1.2), has no address (5.4.4) or takes
//!   no mail (5.1.10) is permanent; silence and server failures defer (4.4.3). A route's host that
//!   cannot be found defers too (4.4.4): it is the configuration that errs.
//! * **Every question ends**: at the latest after [`Times::resolve`].
//! * **Answers are kept** for the records' time to live within bounds, failures for seconds.
//!
//! # Not here
//! Which of equally preferred addresses comes first and how many are tried (`dispatch`).
//!
//! # Limits
//! `plan::EXCHANGES_MAX` exchanges and `plan::CANDIDATES_MAX` addresses a destination, best first;
//! `cache::PLANS_MAX` destinations kept; `lookup::QUERIES_MAX` questions at a time.

mod cache;
mod lookup;
mod own;
mod plan;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remuda_clock::{SharedClock, before};
use remuda_dispatch::event::{Candidate, Resolution, Unresolved};
use remuda_mail::{Domain, Endpoint, EnhancedStatus, HostPort, NextHop, Refusal};
use tokio::task::JoinSet;

use self::{
    cache::Cache,
    lookup::{Answer, Lookups},
    own::Own,
    plan::{Exchange, Found, Plan},
};
use crate::settings::{LmtpServer, Settings};

/// The name servers could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the resolver: {0}")]
pub struct ResolverError(String);

/// How long questions may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// One query to one name server.
    pub query: Duration,
    /// Everything that one destination needs.
    pub resolve: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            query: Duration::from_secs(5),
            resolve: Duration::from_secs(40),
        }
    }
}

/// Finds the servers of next-hops. One for the engine; a reload makes a new one.
pub struct Resolver {
    lookups: Lookups,
    own: Arc<Own>,
    /// Where local mail goes, unless it is kept in Maildirs.
    lmtp: Option<LmtpServer>,
    hostname: Arc<str>,
    smtp_port: u16,
    times: Times,
    clock: SharedClock,
    cache: Mutex<Cache>,
}

impl Resolver {
    /// A resolver over `dns_servers`, or the system's name servers when there are none.
    ///
    /// # Errors
    /// When the name servers cannot be set up.
    pub fn new(settings: &Settings, clock: SharedClock) -> Result<Self, ResolverError> {
        Self::with_times(settings, clock, Times::default())
    }

    /// A resolver with other time limits.
    ///
    /// # Errors
    /// When the name servers cannot be set up.
    pub fn with_times(settings: &Settings, clock: SharedClock, times: Times) -> Result<Self, ResolverError> {
        Ok(Resolver {
            lookups: Lookups::new(&settings.dns_servers, times.query)?,
            own: Arc::new(Own::new(settings)),
            lmtp: settings.local.lmtp().cloned(),
            hostname: settings.hostname.clone(),
            smtp_port: settings.delivery.smtp_port,
            times,
            clock,
            cache: Mutex::new(Cache::default()),
        })
    }

    /// The servers of `hop`, from DNS or from what is remembered of it.
    ///
    /// # Errors
    /// When there are none: for good, or for now.
    pub async fn resolve(&self, hop: &NextHop) -> Result<Resolution, Unresolved> {
        let destination = hop.destination();
        let policy = match (hop, &self.lmtp) {
            (NextHop::Local, Some(server)) => server.policy(),
            _ => hop.policy(),
        };
        let now = self.clock.now().monotonic;
        if let Some(known) = self.cached().get(&destination, now) {
            // The password of its route may be another by now; the destination is the same.
            return known.map(|known| Resolution { policy, ..known });
        }
        let plan = self.plan(hop).await;
        let now = self.clock.now().monotonic;
        let answer = plan.into_answer(now, policy);
        self.cached().insert(destination, answer.clone(), now);
        answer
    }

    /// Makes the next question about any destination go to DNS.
    pub fn forget(&self) {
        *self.cached() = Cache::default();
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn plan(&self, hop: &NextHop) -> Plan {
        let deadline = self.clock.now().monotonic + self.times.resolve;
        let asked = async {
            match hop {
                NextHop::Mx(domain) => self.plan_domain(domain).await,
                NextHop::Hosts {
                    hosts, look_up_mx, ..
                } => self.plan_route(hosts, *look_up_mx).await,
                NextHop::Literal(ip) => plan::literal(*ip, self.smtp_port, &self.own),
                NextHop::Local => self.plan_lmtp().await,
                NextHop::Postmaster => Plan::refused(LOCAL, "a Maildir has no address to look up"),
            }
        };
        before(&*self.clock, deadline, asked).await.unwrap_or_else(|| {
            let destination = hop.destination();
            Plan::refused(NO_ANSWER, format!("DNS took too long over {destination}"))
        })
    }

    async fn plan_domain(&self, domain: &Domain) -> Plan {
        match self.exchanges(domain, self.smtp_port).await {
            Ok(found) => plan::decide(found, domain.as_str(), &self.own),
            Err(plan) => plan,
        }
    }

    /// The LMTP server, taken as it is named.
    async fn plan_lmtp(&self) -> Plan {
        match &self.lmtp {
            None => Plan::refused(LOCAL, "a Maildir has no address to look up"),
            Some(LmtpServer::Tcp(hosts)) => self.plan_route(hosts, false).await,
            Some(LmtpServer::Unix(path)) => Plan::lasting(vec![Candidate {
                endpoint: Endpoint::Unix(*path),
                host: self.hostname.clone(),
                preference: 0,
            }]),
        }
    }

    /// A route's hosts; all trouble with their names is ours to mend, so nothing bounces for it.
    async fn plan_route(&self, hosts: &[HostPort], look_up_mx: bool) -> Plan {
        let name = NextHop::Hosts {
            hosts: hosts.into(),
            look_up_mx,
            policy: Arc::default(),
        }
        .destination();
        let found = if look_up_mx {
            self.exchanges_of_all(hosts).await
        } else {
            let named = hosts.iter().map(|host| self.named(host)).collect();
            Found::lasting(self.fill(named).await)
        };
        plan::decide(found, name.as_str(), &self.own).softened()
    }

    /// The exchanges of every host of a route with `mx = true`, ordered by the route's preference first.
    async fn exchanges_of_all(&self, hosts: &[HostPort]) -> Found {
        let mut all = Found::lasting(Vec::new());
        let mut ranked = Vec::new();
        for host in hosts {
            let port = host.port.unwrap_or(self.smtp_port);
            let found = match (host.ip(), host.host.parse::<Domain>()) {
                (Some(_), _) => Ok(Found::lasting(self.fill(vec![self.named(host)]).await)),
                (None, Ok(domain)) => self.exchanges(&domain, port).await,
                (None, Err(_)) => Err(Plan::refused(plan::NO_ADDRESS, "no host name")),
            };
            match found {
                Ok(found) => {
                    all.narrow(&found);
                    ranked.extend(found.exchanges.into_iter().map(|one| (host.preference, one)));
                }
                Err(plan) => all.fail(plan),
            }
        }
        all.exchanges = plan::flatten(ranked);
        all
    }

    /// The exchanges of a domain with their addresses, or the plan that follows without them.
    async fn exchanges(&self, domain: &Domain, port: u16) -> Result<Found, Plan> {
        let (mut records, ttl) = match self.lookups.mx(domain).await {
            Answer::Found(records, ttl) => (records, ttl),
            // RFC 5321 §5.1: without MX the domain is its own exchange with preference 0.
            Answer::Nothing(ttl) => (vec![(0, domain.as_str().into())], ttl),
            Answer::NoName(ttl) => {
                return Err(Plan::refused(NO_DOMAIN, format!("domain {domain} does not exist")).living(ttl));
            }
            Answer::Failed(why) => {
                return Err(Plan::refused(
                    NO_ANSWER,
                    format!("looking up MX of {domain}: {why}"),
                ));
            }
        };
        // RFC 7505 §3: one MX with the root as exchange.
        if records.iter().all(|(_, host)| host.is_empty()) {
            let text = format!("{domain} accepts no mail (null MX, 556 {NULL_MX})");
            return Err(Plan::refused(NULL_MX, text).living(ttl));
        }
        records.retain(|(_, host)| !host.is_empty());
        let (records, looped) = plan::cut_own_name(records, &self.own);
        let exchanges = records
            .into_iter()
            .map(|(preference, host)| Exchange::new(preference, host, port))
            .collect();
        Ok(Found {
            exchanges: self.fill(exchanges).await,
            ttl,
            looped,
            failed: None,
        })
    }

    fn named(&self, host: &HostPort) -> Exchange {
        let port = host.port.unwrap_or(self.smtp_port);
        let mut exchange = Exchange::new(host.preference, host.host.clone(), port);
        exchange.literal = true;
        exchange
    }

    /// Looks up the addresses of all exchanges at once.
    async fn fill(&self, exchanges: Vec<Exchange>) -> Vec<Exchange> {
        let mut running = JoinSet::new();
        for (index, mut exchange) in exchanges.into_iter().enumerate() {
            let lookups = self.lookups.clone();
            running.spawn(async move {
                exchange.addresses = match exchange.host.parse::<IpAddr>() {
                    Ok(ip) if exchange.literal => Answer::Found(vec![ip], plan::TTL_MAX),
                    _ => lookups.addresses(&exchange.host).await,
                };
                (index, exchange)
            });
        }
        let mut filled = running.join_all().await;
        filled.sort_by_key(|(index, _)| *index);
        filled.into_iter().map(|(_, exchange)| exchange).collect()
    }
}

fn ours(status: EnhancedStatus, reason: impl Into<String>) -> Refusal {
    Refusal::ours(status, reason)
}

/// RFC 3463 X.1.2: bad destination system address.
const NO_DOMAIN: EnhancedStatus = EnhancedStatus::new(5, 1, 2);
/// RFC 7505 §4.2.
const NULL_MX: EnhancedStatus = EnhancedStatus::new(5, 1, 10);
/// RFC 3463 X.4.3: directory server failure.
const NO_ANSWER: EnhancedStatus = EnhancedStatus::new(4, 4, 3);
/// Nobody should ask; a defect of ours, so nothing bounces.
const LOCAL: EnhancedStatus = EnhancedStatus::new(4, 3, 0);

#[cfg(test)]
mod tests;
