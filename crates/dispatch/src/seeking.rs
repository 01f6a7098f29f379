//! How a delivery finds a session: the cache by destination, the cache by each of the best endpoints, a dial
//! under way that nobody waits for, a dial of its own; else it waits in line.
//!
//! # Contract
//! * **A delivery that waits is in the line of each endpoint that would do**, also while its dial is under
//!   way: a session that becomes free first wins, and the dial goes to whoever comes next.
//! * **Limits hold for taking too**: a parked session is busy once taken.

use remuda_mail::{DeliveryId, Destination, EntryId, Requirements, SessionId};

use crate::{
    Dispatch,
    command::{Command, Found},
    deliveries::{Delivery, Stage, Wait},
    lines::Lack,
    search::{By, Considered},
    sessions::State,
    sites::Site,
};

impl Dispatch {
    /// Finds a delivery a session or puts it in line; ends it if there is no host left to try.
    pub(crate) fn seek(&mut self, id: DeliveryId) {
        let now = self.now.monotonic;
        let Some(delivery) = self.deliveries.get(&id) else {
            return;
        };
        if !delivery.has_slot {
            return self.bench(id);
        }
        let at = match delivery.at {
            Some(endpoint) => vec![endpoint],
            None => delivery.itinerary.next(&self.hosts, now),
        };
        if at.is_empty() {
            let destination = delivery.entry.destination.clone();
            self.leave_lines(id);
            self.conclude(id, None);
            self.schedule.release(&destination);
            return;
        }
        if !self.has_session_left() {
            self.note(id, Considered::Full(None));
            return self.wait(id, at, Lack::Session, None);
        }
        if let Some((session, found)) = self.look_up(id, &at) {
            return self.assign(id, session, found);
        }
        let dial = self.dial_or_join(id, &at);
        let lack = if dial.is_some() {
            Lack::Nothing
        } else {
            Lack::Endpoint
        };
        self.wait(id, at, lack, dial);
    }

    /// Asks the cache by destination before the first host, then by each endpoint.
    fn look_up(&mut self, id: DeliveryId, at: &[remuda_mail::Endpoint]) -> Option<(SessionId, Found)> {
        let delivery = self.deliveries.get(&id)?;
        if !delivery.caches {
            self.note(id, Considered::Off);
            return None;
        }
        let now = self.now.monotonic;
        let wanted = self.requirements(delivery);
        let (hosts, max) = (&self.hosts, self.settings.sessions_per_endpoint.max(1));
        let has_room = |endpoint| hosts.sessions(endpoint) < max;
        if !delivery.itinerary.is_begun() && delivery.at.is_none() {
            let itinerary = &delivery.itinerary;
            let allowed = |endpoint| itinerary.has(endpoint) && has_room(endpoint);
            let found = self.cache.take_by_destination(&wanted, allowed, now);
            self.note_look_up(id, By::Destination, None, found.is_some());
            if let Some((session, _)) = found {
                return Some((session, Found::Destination));
            }
        }
        for endpoint in at.iter().copied() {
            if !self.has_room(endpoint) {
                self.note(id, Considered::Full(Some(endpoint)));
                continue;
            }
            let found = self.cache.take_by_endpoint(endpoint, &wanted, now);
            self.note_look_up(id, By::Address, Some(endpoint), found.is_some());
            if let Some((session, _)) = found {
                return Some((session, Found::Address));
            }
        }
        None
    }

    fn note(&mut self, id: DeliveryId, step: Considered) {
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.search.note(step);
        }
    }

    /// Keeps, for the log and for `queue show`, what the cache refused.
    fn note_look_up(&mut self, id: DeliveryId, by: By, at: Option<remuda_mail::Endpoint>, is_found: bool) {
        let refused = self.cache.take_refused();
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.unfit = refused.last.or(delivery.unfit);
            delivery.search.note_look_up(by, at, &refused, is_found);
        }
    }

    /// Finds a delivery a dial under way that nobody waits for, or orders one where there is room.
    fn dial_or_join(&mut self, id: DeliveryId, at: &[remuda_mail::Endpoint]) -> Option<SessionId> {
        let adopted = if self.deliveries[&id].caches {
            self.adopt(at, id)
        } else {
            None
        };
        let dial = adopted.or_else(|| {
            let room = at.iter().copied().find(|endpoint| self.has_room(*endpoint));
            room.map(|endpoint| self.dial(endpoint, id))
        });
        self.note_dial(id, at, dial, adopted.is_some());
        dial
    }

    /// Keeps which dial is waited for, or that there was no room for one.
    fn note_dial(
        &mut self,
        id: DeliveryId,
        at: &[remuda_mail::Endpoint],
        dial: Option<SessionId>,
        is_joined: bool,
    ) {
        let to = dial.and_then(|dial| Some((dial, self.sessions.get(&dial)?.endpoint)));
        match to {
            Some((dial, endpoint)) if is_joined => self.note(id, Considered::Joined(dial, endpoint)),
            Some((dial, endpoint)) => self.note(id, Considered::Dialled(dial, endpoint)),
            None => at
                .iter()
                .for_each(|endpoint| self.note(id, Considered::Full(Some(*endpoint)))),
        }
    }

    /// What a delivery demands of a session.
    pub(crate) fn requirements(&self, delivery: &Delivery) -> Requirements {
        Requirements {
            destination: delivery.entry.destination.clone(),
            endpoints: delivery.itinerary.servers().endpoints.clone(),
            helo_name: self.settings.helo_name.clone(),
            smtputf8: delivery.entry.smtputf8,
            size: delivery.entry.size,
            recipient_domain: delivery.entry.recipient_domain.clone(),
            fresh: delivery.wants_fresh,
        }
    }

    fn wait(&mut self, id: DeliveryId, at: Vec<remuda_mail::Endpoint>, lack: Lack, dial: Option<SessionId>) {
        let kept = self.leave_lines(id);
        let ticket = kept.unwrap_or_else(|| self.lines.ticket());
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        self.lines.join(ticket, id, &at, lack);
        if lack != Lack::Nothing
            && let Some(site) = self.sites.get_mut(&delivery.entry.destination)
        {
            site.starved.push(id);
            self.schedule.set_blocked(&delivery.entry.destination, true);
        }
        delivery.stage = Stage::Waiting(Wait {
            ticket,
            at,
            lack,
            dial,
        });
    }

    /// Takes a delivery out of all lines; a dial for it goes on for whoever comes. Returns its ticket.
    pub(crate) fn leave_lines(&mut self, id: DeliveryId) -> Option<crate::lines::Ticket> {
        let delivery = self.deliveries.get_mut(&id)?;
        delivery.wait()?;
        let Stage::Waiting(wait) = std::mem::replace(&mut delivery.stage, Stage::Seeking) else {
            return None;
        };
        let destination = delivery.entry.destination.clone();
        self.lines.leave(wait.ticket, &wait.at);
        if wait.lack != Lack::Nothing
            && let Some(site) = self.sites.get_mut(&destination)
        {
            site.starved.retain(|other| *other != id);
            self.schedule
                .set_blocked(&destination, site.is_asked || !site.starved.is_empty());
        }
        if let Some(dial) = wait.dial
            && self
                .sessions
                .get(&dial)
                .is_some_and(|session| matches!(session.state, State::Dialling(Some(owner)) if owner == id))
        {
            self.orphan(dial);
        }
        Some(wait.ticket)
    }

    /// Gives up what waits without a dial for a destination that is suspended now.
    pub(crate) fn abandon_starved(&mut self, destination: &Destination) {
        let waiting = |site: &Site| site.starved.iter().chain(&site.benched).copied().collect();
        let waiting: Vec<_> = self.sites.get(destination).map(waiting).unwrap_or_default();
        for id in waiting {
            // The feedback of one that is given up may have given up the others.
            let waits =
                |delivery: &Delivery| delivery.wait().is_some() || matches!(delivery.stage, Stage::Benched);
            if self.deliveries.get(&id).is_some_and(waits) {
                self.abandon(id);
            }
        }
    }

    /// Tells the shell which entries have left memory.
    pub(crate) fn unload(&mut self, entries: Vec<EntryId>) {
        self.out
            .extend(entries.into_iter().map(|entry| Command::Unload { entry }));
    }
}
