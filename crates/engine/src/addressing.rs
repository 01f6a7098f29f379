//! Addressing: who gets mail to an address, and under which destination that is scheduled.
//!
//! ```text
//!   address ─▶ directory: ours? ─▶ accounts here, addresses elsewhere ─┐
//!                   │ not ours                                         ├─▶ route ─▶ destination
//!                   └─▶ relay allowed? route with accept? ─────────────┘
//! ```
//!
//! # Contract
//! * **The postmaster is always accepted** (RFC 5321 §4.5.1), at our hostname and at every domain of ours; an
//!   account or alias of that name comes first, and where the directory does not answer, the one of the
//!   configuration.
//! * **At our own hostname nobody else has a mailbox**, unless the directory has that domain.
//! * **Elsewhere a client that may not relay reaches only routes with `accept = true`.**
//! * **A directory that does not answer refuses nobody**, and takes nothing either: 451 (D4, D5). A report for an
//!   address in a domain of ours waits meanwhile.
//!
//! # Known faults
//! A report that was written while nobody could say that its address is an alias, or in a domain by another name,
//! comes to nobody afterwards.
//!
//! # Not here
//! What an address means in the directory (`remuda_directory::resolve`); next-hops ([`crate::route`]).

use std::{future::Future, pin::Pin, sync::Arc};

use remuda_directory::{
    Directory,
    found::Found,
    model,
    resolve::{From, Refusal, Resolution, Target, Verdict as Meaning},
};
use remuda_mail::{Address, Destination, NextHop};

use crate::route::{Router, is_role};

/// Finds recipients.
#[derive(Clone)]
pub struct Addressing {
    router: Arc<Router>,
    /// None: nothing but the configuration is known (relays without a directory, tests).
    directory: Option<Directory>,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// May send anywhere: by its network, or because it has logged in.
    pub may_relay: bool,
    /// Who sends.
    pub from: From,
    /// Recipients that the message may still come to.
    pub budget: usize,
}

/// What becomes of one RCPT.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// Taken or not.
    pub verdict: Verdict,
    /// The greatest message that the recipient's domain takes, octets.
    pub message_size: Option<u64>,
}

/// Whether a recipient is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// By these, at least one.
    Accepted(Vec<Addressed>),
    /// This client may not send there (554 5.7.1).
    NotRelayed,
    /// Nobody gets it.
    Refused(Refusal),
    /// The directory does not answer (451 4.3.0).
    Unavailable,
}

/// Somebody who gets the mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// Who.
    pub address: Address,
    /// Under which the mail is scheduled.
    pub destination: Destination,
}

/// An answer that may have to wait for the directory.
pub type Ruled<'a> = Pin<Box<dyn Future<Output = Ruling> + Send + 'a>>;

impl Addressing {
    /// Over a configuration's routes, and the directory.
    pub fn new(router: Arc<Router>, directory: Option<Directory>) -> Self {
        Addressing { router, directory }
    }

    /// Decides on a recipient.
    pub async fn resolve(&self, address: &Address, asking: &Asking) -> Ruling {
        let Some(directory) = &self.directory else {
            return self.by_configuration(address, asking.may_relay).into();
        };
        let resolution = directory.resolve(address, &asking.from, asking.budget).await;
        let message_size = resolution.message_size;
        let verdict = self.verdict(address, resolution, asking.may_relay);
        Ruling {
            verdict,
            message_size,
        }
    }

    fn verdict(&self, address: &Address, resolution: Resolution, may_relay: bool) -> Verdict {
        let is_ours = resolution.is_ours;
        match resolution.verdict {
            Meaning::Deliver(targets) if is_ours => {
                Verdict::Accepted(targets.into_iter().map(|target| self.addressed(target)).collect())
            }
            Meaning::Deliver(_) => self.by_configuration(address, may_relay),
            // No such account or alias: then the postmaster of the configuration.
            Meaning::Refused(Refusal::Unknown) if address.is_postmaster() => {
                Verdict::Accepted(vec![self.postmaster(address)])
            }
            Meaning::Unavailable(_) if is_role(address) && self.router.is_hostname(address.domain()) => {
                self.by_configuration(address, may_relay)
            }
            Meaning::Refused(refusal) => Verdict::Refused(refusal),
            Meaning::Unavailable(_) => Verdict::Unavailable,
        }
    }

    fn addressed(&self, target: Target) -> Addressed {
        match target {
            Target::Local(mailbox) => Addressed {
                address: mailbox.address().clone(),
                destination: NextHop::Local.destination(),
            },
            Target::Remote(address) => self.routed(address),
        }
    }

    /// Where the configuration sends an address.
    fn routed(&self, address: Address) -> Addressed {
        let address = self.router.redirect(&address).cloned().unwrap_or(address);
        Addressed {
            destination: self.router.route(&address).destination(),
            address,
        }
    }

    /// Who is the postmaster of a domain that has no account of that name.
    fn postmaster(&self, address: &Address) -> Addressed {
        match self.router.postmaster() {
            Some(to) => self.routed(to.clone()),
            None => Addressed {
                address: address.clone(),
                destination: self.router.postmaster_hop().destination(),
            },
        }
    }

    /// Decides by the routes alone.
    fn by_configuration(&self, address: &Address, may_relay: bool) -> Verdict {
        let router = &self.router;
        if !router.knows(address) {
            return Verdict::Refused(Refusal::Unknown);
        }
        let is_ours = router.redirect(address).is_some() || router.is_here(address);
        match is_ours || may_relay || router.accepts(address.domain()) {
            true => Verdict::Accepted(vec![self.routed(address.clone())]),
            false => Verdict::NotRelayed,
        }
    }

    /// Who gets a report: whom its sender's address means, as far as the directory knows.
    pub async fn report_to(&self, address: &Address) -> Vec<Addressed> {
        let asking = Asking {
            may_relay: true,
            budget: REPORT_RECIPIENTS_MAX,
            from: From::default(),
        };
        match self.resolve(address, &asking).await.verdict {
            Verdict::Accepted(to) => to,
            // Local delivery asks again at each attempt, and waits as long as nobody answers.
            Verdict::Unavailable if self.has_domain(address).await => vec![Addressed {
                address: address.clone(),
                destination: NextHop::Local.destination(),
            }],
            // Nobody would hear of it: it goes by the routes, and is settled there.
            Verdict::NotRelayed | Verdict::Refused(_) | Verdict::Unavailable => {
                vec![self.routed(address.clone())]
            }
        }
    }

    /// The greatest message that a sender's domain sends, octets.
    pub async fn message_size(&self, sender: &Address) -> Option<u64> {
        self.domain(sender).await?.message_size
    }

    /// Answers whether an address is in a domain of ours, under the domain's own name, as far as is known.
    async fn has_domain(&self, address: &Address) -> bool {
        self.domain(address).await.is_some()
    }

    async fn domain(&self, address: &Address) -> Option<Arc<model::Domain>> {
        // A domain is in normal form as it is read.
        let name = address.domain().as_str();
        let directory = self.directory.as_ref()?;
        if directory.is_elsewhere(name) {
            return None;
        }
        match directory.find::<model::Domain>(name).await {
            Found::Found(domain, _) => Some(domain),
            Found::NotFound(_) | Found::Unavailable(_) => None,
        }
    }
}

impl std::convert::From<Verdict> for Ruling {
    fn from(verdict: Verdict) -> Self {
        Ruling {
            verdict,
            message_size: None,
        }
    }
}

/// Whom a report may come to: its sender's address may be an alias of some.
const REPORT_RECIPIENTS_MAX: usize = 100;
