//! Addressing: who gets mail to an address, and under which destination that is scheduled.
//!
//! ```text
//!   address ─▶ directory: ours? ─▶ accounts here, addresses elsewhere ─┐
//!                   │ not ours                                         ├─▶ hop ─▶ destination
//!                   └─▶ relay allowed? [[route]] with accept? ─────────┘
//! ```
//!
//! # Contract
//! * **The postmaster is always accepted** (RFC 5321 §4.5.1), at our hostname and at every domain of ours; an
//!   account or alias of that name comes first, and where the directory does not answer, the one of the
//!   configuration.
//! * **At our own hostname nobody else has a mailbox**, unless the directory has that domain.
//! * **Elsewhere a client that may not relay reaches only `[[route]]`s with `accept = true`**; a route of the
//!   directory says where mail goes, and not who may send it.
//! * **A directory that does not answer refuses nobody**, and takes nothing either: 451 (D4, D5). A report waits
//!   meanwhile, and comes to whom its address means once that is known.
//!
//! # Not here
//! What an address means in the directory (`remuda_directory::resolve`); the routes of the configuration
//! ([`crate::route`]).

mod heading;
mod hop;

use std::sync::Arc;

use remuda_directory::{
    Directory,
    found::Found,
    model,
    resolve::{From, Refusal, Resolution, Target, Verdict as Meaning},
};
use remuda_mail::{Address, Destination, NextHop};

pub use self::{
    heading::{Heading, SecondLook, To, at_once, reroutes},
    hop::{Hop, Unroutable},
};
use crate::route::Router;

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
    /// The directory does not answer (451 4.3.0), or has a route that cannot be used.
    Unavailable(Unroutable),
}

/// Somebody who gets the mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// Who.
    pub address: Address,
    /// Under which the mail is scheduled.
    pub destination: Destination,
    /// How that is reached.
    pub hop: Hop,
}

impl Addressed {
    fn new(address: Address, hop: Hop) -> Self {
        Addressed {
            address,
            destination: hop.next.destination(),
            hop,
        }
    }

    /// In a mailbox here.
    fn here(address: Address) -> Self {
        Addressed::new(address, NextHop::Local.into())
    }

    fn is_here(&self) -> bool {
        matches!(self.hop.next, NextHop::Local | NextHop::Postmaster)
    }
}

impl Addressing {
    /// Over a configuration's routes, and the directory.
    pub fn new(router: Arc<Router>, directory: Option<Directory>) -> Self {
        Addressing { router, directory }
    }

    /// The same, with another directory.
    pub fn with(self, directory: Option<Directory>) -> Self {
        Addressing { directory, ..self }
    }

    /// Answers whether there is more than the configuration.
    pub fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// Decides on a recipient.
    pub async fn resolve(&self, address: &Address, asking: &Asking) -> Ruling {
        let Some(directory) = &self.directory else {
            return self.by_routes(address, asking.may_relay).await.into();
        };
        let resolution = directory.resolve(address, &asking.from, asking.budget).await;
        self.rule(address, resolution, asking.may_relay).await
    }

    /// As [`resolve`](Self::resolve), by what the database itself says.
    async fn resolve_anew(&self, address: &Address, asking: &Asking) -> Ruling {
        let Some(directory) = &self.directory else {
            return self.by_routes(address, asking.may_relay).await.into();
        };
        let resolution = directory.resolve_anew(address, &asking.from, asking.budget).await;
        self.rule(address, resolution, asking.may_relay).await
    }

    async fn rule(&self, address: &Address, resolution: Resolution, may_relay: bool) -> Ruling {
        let message_size = resolution.message_size;
        let verdict = self.verdict(address, resolution, may_relay).await;
        Ruling {
            verdict,
            message_size,
        }
    }

    async fn verdict(&self, address: &Address, resolution: Resolution, may_relay: bool) -> Verdict {
        let is_ours = resolution.is_ours;
        match resolution.verdict {
            Meaning::Deliver(targets) if is_ours => self.addressed(targets).await,
            Meaning::Deliver(_) => self.by_routes(address, may_relay).await,
            // No such account or alias: then the postmaster of the configuration.
            Meaning::Refused(Refusal::Unknown) if address.is_postmaster() => {
                Verdict::Accepted(vec![self.postmaster(address).await])
            }
            Meaning::Unavailable(_) if self.router.is_role_here(address) => {
                self.by_routes(address, may_relay).await
            }
            Meaning::Refused(refusal) => Verdict::Refused(refusal),
            Meaning::Unavailable(cause) => Verdict::Unavailable(cause.into()),
        }
    }

    async fn addressed(&self, targets: Vec<Target>) -> Verdict {
        let mut all = Vec::with_capacity(targets.len());
        for target in targets {
            match target {
                Target::Local(mailbox) => all.push(Addressed::here(mailbox.address().clone())),
                Target::Remote(address) => match self.routed(&address).await {
                    Ok(addressed) => all.push(addressed),
                    Err(why) => return Verdict::Unavailable(why),
                },
            }
        }
        Verdict::Accepted(all)
    }

    /// Where the routes send an address.
    async fn routed(&self, address: &Address) -> Result<Addressed, Unroutable> {
        let address = self.router.redirect(address).unwrap_or(address);
        let hop = self.hop(address).await?;
        Ok(Addressed::new(address.clone(), hop))
    }

    /// Under which destination mail to an address is scheduled that is not in a domain of ours.
    ///
    /// # Errors
    /// Nobody knows now.
    pub async fn destination(&self, address: &Address) -> Result<Destination, Unroutable> {
        Ok(self.routed(address).await?.destination)
    }

    /// Where the configuration alone sends an address.
    fn configured(&self, address: &Address) -> Addressed {
        let address = self.router.redirect(address).unwrap_or(address);
        Addressed::new(address.clone(), self.router.route(address).into())
    }

    /// Who is the postmaster of a domain that has no account of that name. He is always somewhere: what the
    /// directory does not say now is asked again when the mail goes.
    async fn postmaster(&self, address: &Address) -> Addressed {
        match self.router.postmaster() {
            Some(to) => {
                let routed = self.routed(to).await;
                routed.unwrap_or_else(|_| self.configured(to))
            }
            None => Addressed::new(address.clone(), self.router.postmaster_hop().into()),
        }
    }

    /// Decides by the routes alone.
    async fn by_routes(&self, address: &Address, may_relay: bool) -> Verdict {
        let (router, domain) = (&self.router, address.domain());
        let is_role_here = router.is_role_here(address);
        let may_send = is_role_here || may_relay || router.accepts(domain);
        let is_hostname = router.is_hostname(domain);
        if !may_send && !is_hostname {
            return Verdict::NotRelayed;
        }
        match self.routed(address).await {
            Ok(addressed) if is_hostname && !is_role_here && addressed.is_here() => {
                Verdict::Refused(Refusal::Unknown)
            }
            Ok(_) if !may_send => Verdict::NotRelayed,
            Ok(addressed) => Verdict::Accepted(vec![addressed]),
            Err(_) if is_role_here => Verdict::Accepted(vec![self.configured(address)]),
            Err(why) => Verdict::Unavailable(why),
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
            Verdict::Unavailable(_) if self.has_domain(address).await => {
                vec![Addressed::here(address.clone())]
            }
            // Nobody would hear of it: it goes by the routes, and is settled there.
            Verdict::NotRelayed | Verdict::Refused(_) | Verdict::Unavailable(_) => {
                vec![self.configured(address)]
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

#[cfg(test)]
mod tests;
