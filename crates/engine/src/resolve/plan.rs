//! What may be done with DNS's answers: the pure part of resolving.
//!
//! # Contract
//! * **Cut before use.** At the best preference where we are an exchange ourselves, it and everything
//!   not better is no candidate.
//! * **Uncertainty never bounces.** Without a candidate, one exchange whose addresses could not be
//!   looked up makes the whole a deferral.
//! * **A plan with a gap is short-lived**, so that the missing exchange is asked for again soon.

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_dispatch::event::{Candidate, Resolution, Unresolved};
use remuda_mail::{Endpoint, EnhancedStatus, HopPolicy, Refusal};

use super::{
    NO_ANSWER,
    lookup::Answer,
    ours,
    own::{Class, Own},
};

/// A host that takes mail, with what is known of its addresses.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) preference: u16,
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// A route names it: its addresses are taken as they are.
    pub(super) literal: bool,
    pub(super) addresses: Answer<IpAddr>,
}

/// Everything that was found out about a destination.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) exchanges: Vec<Exchange>,
    /// How long the list of exchanges holds.
    pub(super) ttl: Duration,
    /// Our own name was cut from the list.
    pub(super) looped: bool,
    /// Why a part of the list is missing.
    pub(super) failed: Option<Refusal>,
}

/// What follows for the destination, and for how long.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) answer: Result<Vec<Candidate>, Refusal>,
    ttl: Duration,
}

impl Exchange {
    pub(super) fn new(preference: u16, host: Arc<str>, port: u16) -> Self {
        Exchange {
            preference,
            host,
            port,
            literal: false,
            addresses: Answer::Nothing(TTL_MAX),
        }
    }
}

impl Found {
    /// A list that only the configuration can change.
    pub(super) fn lasting(exchanges: Vec<Exchange>) -> Self {
        Found {
            exchanges,
            ttl: TTL_MAX,
            looped: false,
            failed: None,
        }
    }

    /// Takes over the conditions of another list.
    pub(super) fn narrow(&mut self, other: &Found) {
        self.ttl = self.ttl.min(other.ttl);
        self.looped |= other.looped;
    }

    /// Notes that a part of the list could not be had.
    pub(super) fn fail(&mut self, plan: Plan) {
        self.ttl = self.ttl.min(plan.ttl);
        self.failed = self.failed.take().or(plan.answer.err());
    }
}

impl Plan {
    /// No server, and why; a temporary reason for seconds.
    pub(super) fn refused(status: EnhancedStatus, reason: impl Into<String>) -> Self {
        Plan {
            answer: Err(ours(status, reason)),
            ttl: FAILURE_TTL,
        }
    }

    /// Servers that only the configuration can change.
    pub(super) fn lasting(candidates: Vec<Candidate>) -> Self {
        Plan {
            answer: Ok(candidates),
            ttl: TTL_MAX,
        }
    }

    /// The same for as long as its records live.
    pub(super) fn living(self, ttl: Duration) -> Self {
        Plan { ttl, ..self }
    }

    /// The plan of a route: its trouble is a configuration's and may be mended, so it only defers. That
    /// mail loops back is certain.
    pub(super) fn softened(mut self) -> Self {
        if let Err(refusal) = &mut self.answer
            && refusal.is_permanent()
            && refusal.status != LOOP
        {
            refusal.status = NO_ROUTE;
            self.ttl = FAILURE_TTL;
        }
        self
    }

    /// The answer to `dispatch` as of `now`, for hosts that are spoken to as `policy` says.
    pub(super) fn into_answer(self, now: Monotonic, policy: HopPolicy) -> Result<Resolution, Unresolved> {
        match self.answer {
            Ok(candidates) => Ok(Resolution {
                candidates,
                policy,
                valid_until: now + self.ttl.clamp(TTL_MIN, TTL_MAX),
            }),
            Err(refusal) => {
                let ttl_max = if refusal.is_permanent() {
                    NEGATIVE_TTL_MAX
                } else {
                    FAILURE_TTL
                };
                Err(Unresolved {
                    refusal,
                    valid_until: now + self.ttl.clamp(TTL_MIN, ttl_max),
                })
            }
        }
    }
}

/// RFC 5321 §5.1: drops our own name and what is not better; true when it was there. Keeps the best
/// [`EXCHANGES_MAX`].
pub(super) fn cut_own_name(mut records: Vec<(u16, Arc<str>)>, own: &Own) -> (Vec<(u16, Arc<str>)>, bool) {
    let cut = records
        .iter()
        .filter(|(_, host)| own.is_named(host))
        .map(|(preference, _)| *preference)
        .min();
    if let Some(cut) = cut {
        records.retain(|(preference, _)| *preference < cut);
    }
    records.sort();
    records.dedup_by(|later, kept| later.1 == kept.1);
    records.truncate(EXCHANGES_MAX);
    (records, cut.is_some())
}

/// One list from several, the outer preference first.
pub(super) fn flatten(mut ranked: Vec<(u16, Exchange)>) -> Vec<Exchange> {
    ranked.sort_by_key(|(outer, one)| (*outer, one.preference));
    let mut rank = 0;
    let mut last = None;
    let mut flat = Vec::with_capacity(ranked.len());
    for (outer, mut one) in ranked {
        let key = (outer, one.preference);
        if last.is_some_and(|last| last != key) {
            rank += 1;
        }
        last = Some(key);
        one.preference = rank;
        flat.push(one);
    }
    flat
}

/// The plan for an address literal.
pub(super) fn literal(ip: IpAddr, port: u16, own: &Own) -> Plan {
    let name = format!("[{ip}]");
    let mut exchange = Exchange::new(0, ip.to_string().into(), port);
    exchange.addresses = Answer::Found(vec![ip], TTL_MAX);
    decide(Found::lasting(vec![exchange]), &name, own)
}

/// The candidates, or why there are none. `name` is the destination, for the words.
pub(super) fn decide(mut found: Found, name: &str, own: &Own) -> Plan {
    found.exchanges.sort_by_key(|one| one.preference);
    let mut sieve = Sieve::default();
    for exchange in &found.exchanges {
        sieve.add(exchange, own);
    }
    let ttl = found.ttl.min(sieve.ttl);
    let mut candidates = sieve.candidates;
    if let Some(cut) = sieve.cut {
        candidates.retain(|one| one.preference < cut);
    }
    candidates.truncate(CANDIDATES_MAX);
    let failed = found.failed.or(sieve.failed.map(|why| ours(NO_ANSWER, why)));
    if !candidates.is_empty() {
        let ttl = if failed.is_some() { ttl.min(GAP_TTL) } else { ttl };
        return Plan {
            answer: Ok(candidates),
            ttl,
        };
    }
    if let Some(refusal) = failed {
        return Plan {
            answer: Err(refusal),
            ttl: FAILURE_TTL,
        };
    }
    let refusal = if found.looped || sieve.looped {
        ours(LOOP, format!("mail for {name} loops back to us"))
    } else {
        ours(NO_ADDRESS, format!("no host with a usable address for {name}"))
    };
    Plan {
        answer: Err(refusal),
        ttl,
    }
}

/// What remains of the exchanges, in their order.
struct Sieve {
    candidates: Vec<Candidate>,
    seen: HashSet<Endpoint>,
    /// From this preference on nothing counts.
    cut: Option<u16>,
    looped: bool,
    failed: Option<String>,
    ttl: Duration,
}

impl Default for Sieve {
    fn default() -> Self {
        Sieve {
            candidates: Vec::new(),
            seen: HashSet::new(),
            cut: None,
            looped: false,
            failed: None,
            ttl: TTL_MAX,
        }
    }
}

impl Sieve {
    fn add(&mut self, exchange: &Exchange, own: &Own) {
        if self.cut.is_some_and(|cut| exchange.preference >= cut) {
            return;
        }
        let (addresses, ttl) = match &exchange.addresses {
            Answer::Found(addresses, ttl) => (addresses.as_slice(), *ttl),
            Answer::Nothing(ttl) | Answer::NoName(ttl) => (&[][..], *ttl),
            Answer::Failed(why) => {
                let why = format!("looking up {}: {why}", exchange.host);
                self.failed.get_or_insert(why);
                return;
            }
        };
        self.ttl = self.ttl.min(ttl);
        for ip in addresses {
            self.add_address(exchange, ip.to_canonical(), own);
        }
    }

    fn add_address(&mut self, exchange: &Exchange, ip: IpAddr, own: &Own) {
        let class = if exchange.literal {
            Class::Usable
        } else {
            own.classify(ip, exchange.port)
        };
        match class {
            Class::Usable => {
                let endpoint = Endpoint::Tcp((ip, exchange.port).into());
                if self.seen.insert(endpoint) {
                    self.candidates.push(Candidate {
                        endpoint,
                        host: exchange.host.clone(),
                        preference: exchange.preference,
                    });
                }
            }
            Class::Ours => {
                self.looped = true;
                self.cut = Some(exchange.preference);
            }
            Class::Loopback => self.looped = true,
            Class::Unusable => {}
        }
    }
}

/// RFC 3463 X.4.6: routing loop detected.
pub(super) const LOOP: EnhancedStatus = EnhancedStatus::new(5, 4, 6);
/// RFC 3463 X.4.4: unable to route.
pub(super) const NO_ADDRESS: EnhancedStatus = EnhancedStatus::new(5, 4, 4);
/// The same when the configuration may be at fault.
const NO_ROUTE: EnhancedStatus = EnhancedStatus::new(4, 4, 4);

/// Exchanges looked up, best first.
pub(super) const EXCHANGES_MAX: usize = 16;
/// Addresses offered to `dispatch`, best first.
pub(super) const CANDIDATES_MAX: usize = 64;
/// No answer is asked for more often, whatever its records say.
const TTL_MIN: Duration = Duration::from_secs(5);
/// No answer is believed for longer.
pub(super) const TTL_MAX: Duration = Duration::from_secs(3600);
/// Nor that something does not exist.
pub(super) const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);
/// A failure to find out.
const FAILURE_TTL: Duration = Duration::from_secs(10);
/// Servers were found while others could not be looked up.
const GAP_TTL: Duration = Duration::from_secs(60);
