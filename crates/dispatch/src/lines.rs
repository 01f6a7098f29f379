//! Lines: deliveries that wait for a session, in the order in which they began to.
//!
//! ```text
//!   at endpoint E   waiting   a session that becomes free at E goes to the first that it fits
//!                   starved   of those: no dial is under way for them, E was full
//!   anywhere        starved   all sessions were in use
//! ```
//!
//! # Contract
//! * **First come, first served**: a ticket is kept until a session is found, however often a delivery
//!   moves between lines.
//! * **A delivery that leaves, leaves every line**; an empty line takes no memory.

use std::collections::{BTreeMap, HashMap};

use remuda_mail::{DeliveryId, Endpoint};

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    at: HashMap<Endpoint, Line>,
    starved: BTreeMap<Ticket, DeliveryId>,
    ticket_next: u64,
}

/// A place in the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What a waiting delivery lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Nothing: a dial for it is under way.
    Nothing,
    /// Its endpoints have as many sessions as allowed.
    Endpoint,
    /// There are as many sessions as allowed in all.
    Session,
}

#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<Ticket, DeliveryId>,
    starved: BTreeMap<Ticket, DeliveryId>,
}

impl Lines {
    /// A new ticket, the last in every line.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.ticket_next += 1;
        Ticket(self.ticket_next)
    }

    pub(crate) fn join(&mut self, ticket: Ticket, delivery: DeliveryId, at: &[Endpoint], lack: Lack) {
        for endpoint in at {
            let line = self.at.entry(*endpoint).or_default();
            line.waiting.insert(ticket, delivery);
            if lack == Lack::Endpoint {
                line.starved.insert(ticket, delivery);
            }
        }
        if lack == Lack::Session {
            self.starved.insert(ticket, delivery);
        }
    }

    pub(crate) fn leave(&mut self, ticket: Ticket, at: &[Endpoint]) {
        for endpoint in at {
            if let Some(line) = self.at.get_mut(endpoint) {
                line.waiting.remove(&ticket);
                line.starved.remove(&ticket);
                if line.waiting.is_empty() {
                    self.at.remove(endpoint);
                }
            }
        }
        self.starved.remove(&ticket);
    }

    /// Who waits for a session at `endpoint`, first first.
    pub(crate) fn waiting_at(&self, endpoint: Endpoint) -> impl Iterator<Item = (Ticket, DeliveryId)> {
        let waiting = self.at.get(&endpoint).map(|line| &line.waiting);
        waiting.into_iter().flatten().map(|(ticket, id)| (*ticket, *id))
    }

    /// The first that lacks room at `endpoint`.
    pub(crate) fn starved_at(&self, endpoint: Endpoint) -> Option<(Ticket, DeliveryId)> {
        let starved = &self.at.get(&endpoint)?.starved;
        starved.iter().next().map(|(ticket, id)| (*ticket, *id))
    }

    /// The first that lacks a session in all.
    pub(crate) fn starved(&self) -> Option<(Ticket, DeliveryId)> {
        self.starved.iter().next().map(|(ticket, id)| (*ticket, *id))
    }

    /// The endpoints that somebody waits for, in no order.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.at.keys().copied()
    }
}
