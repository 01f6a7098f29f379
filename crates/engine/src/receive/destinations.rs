//! Who may send to whom, and under which destination that is scheduled.
//!
//! # Contract
//! * **The postmaster is always accepted** (RFC 5321 §4.5.1).
//! * **At our own hostname nobody else has a mailbox**, whoever asks.
//! * **Elsewhere a client outside `relay.networks` reaches only routes with `accept = true`.**
//!
//! # Not here
//! Accounts and aliases (the directory, later).

use remuda_mail::{Address, Destination, NextHop};

use crate::route::Router;

/// What becomes of one RCPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken.
    Accepted,
    /// This client may not send there (554 5.7.1).
    NotRelayed,
    /// No such mailbox here (550 5.1.1).
    UnknownUser,
}

/// What the receiving side asks of routing.
pub trait Destinations: Send + Sync + 'static {
    /// Decides whether mail to `address` is taken from this client.
    fn accepts(&self, address: &Address, client_is_relay: bool) -> Verdict;

    /// The address that `address` stands for, when the configuration puts another in its place.
    fn redirect(&self, address: &Address) -> Option<Address>;

    /// Where mail to `address` is scheduled.
    fn destination(&self, address: &Address) -> Destination;
}

impl Destinations for Router {
    fn accepts(&self, address: &Address, client_is_relay: bool) -> Verdict {
        if !self.knows(address) {
            return Verdict::UnknownUser;
        }
        let is_ours = self.redirect(address).is_some()
            || matches!(self.route(address), NextHop::Local | NextHop::Postmaster);
        if is_ours || client_is_relay || self.accepts(address.domain()) {
            Verdict::Accepted
        } else {
            Verdict::NotRelayed
        }
    }

    fn redirect(&self, address: &Address) -> Option<Address> {
        Router::redirect(self, address).cloned()
    }

    fn destination(&self, address: &Address) -> Destination {
        self.route(address).destination()
    }
}
