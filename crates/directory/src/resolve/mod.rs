//! Resolution: what a recipient's address means (reference §3.2, with the changes of §3.6).
//!
//! ```text
//!  address ─▶ domain? ─▶ other name of a domain? ─▶ not ours: as it is
//!               │                │
//!               ▼                ▼
//!         the exact address, then the one before the separator:
//!         account ─▶ here, and its forward      alias ─▶ its targets      list ─▶ may he? ─▶ its members
//!               └─ none of them ─▶ catch-all ─▶ unknown
//! ```
//!
//! # Contract
//! * **Each address is entered once**, however often it is named, and no more than [`ADDRESSES_MAX`] are named in all.
//! * **What the database does not say is not decided**: one look-up unavailable, and the answer is.
//! * **A stale object refuses nobody**, nor does what it leads to: then the answer is unavailable. A list is not
//!   expanded from stale memory.
//! * **Who is remembered to have an address has it** while the database does not say whether somebody else does: an
//!   address is one thing.
//! * **Who is disabled gets nothing**, and nothing falls through to the catch-all (G2).
//! * **Who may not send to a list in it may not send at all** (G8).
//! * **Unknown and disabled targets are left out** as long as anybody is left.
//! * **The clock is read once**, and again after each wait: what lies in memory is looked up as of one instant.
//!
//! # Not here
//! Relay rules (`engine`): whether the address is ours at all is answered, no more.

mod ask;
mod permission;
mod route;
mod seen;
mod walk;

pub use route::Routing;
pub(crate) use walk::{Stop, Walk, before_separator};

use std::{collections::HashSet, fmt};

use remuda_mail::{Address, Domain};

use crate::{
    directory::Directory,
    found::{Cause, Origin},
    model::{Kind, Mailbox},
};

/// Who sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct From {
    /// MAIL FROM; None: `<>`.
    pub sender: Option<Address>,
    /// Who has logged in.
    pub login: Option<Mailbox>,
}

/// What an address means.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// What becomes of mail to it.
    pub verdict: Verdict,
    /// Its domain is kept here, so that anybody may write to it.
    pub is_ours: bool,
    /// The least of the message limits of the domain that it is in, octets.
    pub message_size: Option<u64>,
}

/// What becomes of mail to an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes to these, each once, at least one.
    Deliver(Vec<Target>),
    /// Not at all.
    Refused(Refusal),
    /// Nobody knows now.
    Unavailable(Cause),
}

/// Somebody who gets the mail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An account here.
    Local(Mailbox),
    /// Elsewhere, as the address was written.
    Remote(Address),
}

impl Target {
    /// The address.
    pub fn address(&self) -> &Address {
        match self {
            Target::Local(mailbox) => mailbox.address(),
            Target::Remote(address) => address,
        }
    }
}

/// Why nobody gets the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is no such address.
    Unknown,
    /// It is out of use, or its domain is.
    Disabled,
    /// This sender may not send to the list.
    NotAllowed,
    /// Only who has logged in may send to the list.
    LoginNeeded,
    /// Aliases or forwards name each other in a circle.
    Loop,
    /// More than [`ADDRESSES_MAX`].
    TooMany,
}

impl Refusal {
    /// The reply to RCPT: code, enhanced status, text (contract.md, "SMTP replies").
    pub fn reply(self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::Unknown => (550, "5.1.1", "No such user here"),
            Refusal::Disabled => (550, "5.2.1", "Mailbox disabled"),
            Refusal::NotAllowed => (550, "5.7.1", "You may not send to this list"),
            Refusal::LoginNeeded => (550, "5.7.1", "Log in to send to this list"),
            Refusal::Loop => (550, "5.4.6", "Aliases loop"),
            Refusal::TooMany => (452, "4.5.3", "Too many recipients"),
        }
    }

    /// The word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Unknown => "unknown",
            Refusal::Disabled => "disabled",
            Refusal::NotAllowed => "not_allowed",
            Refusal::LoginNeeded => "login_needed",
            Refusal::Loop => "loop",
            Refusal::TooMany => "too_many",
        }
    }
}

/// One step of a resolution, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was asked for.
    pub kind: Kind,
    /// By this name.
    pub name: String,
    /// What came of it.
    pub found: StepFound,
    /// Microseconds that it took.
    pub micros: u64,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFound {
    /// There is one; whether it is in use.
    Yes(Origin, bool),
    /// There is none.
    No(Origin),
    /// Nobody knows.
    Unavailable(Cause),
}

impl fmt::Display for StepFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepFound::Yes(_, true) => f.write_str("found"),
            StepFound::Yes(_, false) => f.write_str("found, disabled"),
            StepFound::No(_) => f.write_str("none"),
            StepFound::Unavailable(cause) => f.write_str(cause.as_str()),
        }
    }
}

impl Directory {
    /// Finds what an address means. `budget`: addresses that the message may still come to.
    pub async fn resolve(&self, address: &Address, from: &From, budget: usize) -> Resolution {
        walk::Walk::new(self, from, budget).resolve(address).await
    }

    /// As [`resolve`](Self::resolve), from the database itself: for mail that would bounce by what is remembered.
    /// What it finds is what later look-ups find.
    pub async fn resolve_anew(&self, address: &Address, from: &From, budget: usize) -> Resolution {
        walk::Walk::new(self, from, budget)
            .past_the_cache()
            .resolve(address)
            .await
    }

    /// As [`resolve`](Self::resolve), with every step, and with the routes of those who are elsewhere: of
    /// [`ROUTES_SHOWN_MAX`] domains.
    pub async fn explain(&self, address: &Address, from: &From) -> Explained {
        let mut walk = walk::Walk::new(self, from, ADDRESSES_MAX);
        walk.record();
        let resolution = walk.resolve(address).await;
        let mut routes = Vec::new();
        if let Verdict::Deliver(targets) = &resolution.verdict {
            let mut known = HashSet::new();
            for target in targets {
                let Target::Remote(address) = target else { continue };
                let domain = address.domain();
                if known.len() < ROUTES_SHOWN_MAX && known.insert(domain) {
                    routes.push((domain.clone(), walk.route(domain).await));
                }
            }
        }
        Explained {
            resolution,
            routes,
            steps: walk.steps(),
        }
    }
}

/// What an address means, and how that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// What it means.
    pub resolution: Resolution,
    /// The routes of domains elsewhere, in the order of the targets.
    pub routes: Vec<(Domain, Routing)>,
    /// Every look-up, in order.
    pub steps: Vec<Step>,
}

/// Domains whose routes are shown.
pub const ROUTES_SHOWN_MAX: usize = 10;

/// Addresses that a message may come to in all (G11).
pub const ADDRESSES_MAX: usize = 50_000;
