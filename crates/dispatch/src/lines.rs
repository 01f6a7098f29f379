//! Lines: deliveries that wait for a session, in the order in which they began to.
//!
//! ```text
//!   by way W    waiting   a session that becomes free there goes to the first that it fits
//!               starved   of those: no dial is under way for them, W was full
//!   anywhere    starved   all sessions were in use
//! ```
//!
//! # Contract
//! * **First come, first served**: a ticket is kept until a session is found, however often a delivery
//!   moves between lines.
//! * **A delivery that leaves, leaves every line**; an empty line takes no memory.

use std::{collections::BTreeMap, ops::Bound};

use remuda_mail::{DeliveryId, Endpoint, Way};

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    at: BTreeMap<Way, Line>,
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

    /// A delivery waits at these ways; it lacks room at those that are `full`.
    pub(crate) fn join(&mut self, ticket: Ticket, delivery: DeliveryId, at: &[Way], full: &[Way]) {
        for way in at {
            let line = self.at.entry(*way).or_default();
            line.waiting.insert(ticket, delivery);
            if full.contains(way) {
                line.starved.insert(ticket, delivery);
            }
        }
    }

    /// A delivery lacks a session in all.
    pub(crate) fn starve(&mut self, ticket: Ticket, delivery: DeliveryId) {
        self.starved.insert(ticket, delivery);
    }

    pub(crate) fn leave(&mut self, ticket: Ticket, at: &[Way]) {
        for way in at {
            if let Some(line) = self.at.get_mut(way) {
                line.waiting.remove(&ticket);
                line.starved.remove(&ticket);
                if line.waiting.is_empty() {
                    self.at.remove(way);
                }
            }
        }
        self.starved.remove(&ticket);
    }

    /// Who waits for a session by this way, first first.
    pub(crate) fn waiting_at(&self, way: Way) -> impl Iterator<Item = (Ticket, DeliveryId)> {
        let waiting = self.at.get(&way).map(|line| &line.waiting);
        waiting.into_iter().flatten().map(|(ticket, id)| (*ticket, *id))
    }

    /// The first that lacks room on this way.
    pub(crate) fn starved_at(&self, way: Way) -> Option<(Ticket, DeliveryId)> {
        self.starved_behind(way, None)
    }

    /// The first behind `last` that lacks room on this way.
    pub(crate) fn starved_behind(&self, way: Way, last: Option<Ticket>) -> Option<(Ticket, DeliveryId)> {
        let starved = &self.at.get(&way)?.starved;
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut line = starved.range((behind, Bound::Unbounded));
        line.next().map(|(ticket, id)| (*ticket, *id))
    }

    /// Answers whether a ticket's delivery lacks room on this way.
    pub(crate) fn is_starved_at(&self, way: Way, ticket: Ticket) -> bool {
        self.at
            .get(&way)
            .is_some_and(|line| line.starved.contains_key(&ticket))
    }

    /// The first that lacks a session in all.
    pub(crate) fn starved(&self) -> Option<(Ticket, DeliveryId)> {
        self.starved.iter().next().map(|(ticket, id)| (*ticket, *id))
    }

    /// The first behind `last` that lacks a session in all.
    pub(crate) fn starved_after(&self, last: Option<Ticket>) -> Option<(Ticket, DeliveryId)> {
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut line = self.starved.range((behind, Bound::Unbounded));
        line.next().map(|(ticket, id)| (*ticket, *id))
    }

    /// The ways to an endpoint that somebody waits for, in order.
    pub(crate) fn ways_to(&self, endpoint: Endpoint) -> impl Iterator<Item = Way> + '_ {
        let ways = self.at.range(Way::from(endpoint)..).map(|(way, _)| *way);
        ways.take_while(move |way| way.endpoint == endpoint)
    }

    /// The ways that somebody waits for, in order.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way> + '_ {
        self.at.keys().copied()
    }
}
