//! How a delivery finds a session: the cache by destination, the cache by each of the best endpoints, a dial
//! under way that nobody waits for, a dial of its own; else it waits in line.
//!
//! # Contract
//! * **A delivery that waits is in the line of each endpoint that would do**, also while its dial is under
//!   way: a session that becomes free first wins, and the dial goes to whoever comes next.
//! * **Limits hold for taking too**: a parked session is busy once taken.

use remuda_clock::Monotonic;
use remuda_mail::{DeliveryId, Destination, EntryId, Requirements, SessionId, Sources, Way};
use remuda_schedule::Entry;

use crate::{
    Dispatch,
    candidates::Servers,
    choice::Turn,
    command::{Command, Found},
    deliveries::{Delivery, Stage, Wait},
    lines::Lack,
    search::{By, Considered},
    sessions::State,
    sites::Site,
};

/// How a delivery is to wait.
struct Waiting {
    at: Vec<Way>,
    lack: Lack,
    dial: Option<SessionId>,
    hold: Option<Monotonic>,
}

impl Waiting {
    fn for_room(at: Vec<Way>, lack: Lack) -> Self {
        Waiting {
            at,
            lack,
            dial: None,
            hold: None,
        }
    }
}

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
        let from = self.sources_of(&delivery.entry.destination);
        let endpoints = match delivery.at {
            Some(endpoint) => vec![endpoint],
            None => delivery.itinerary.next(&self.hosts, &from, now),
        };
        let at: Vec<Way> = endpoints.into_iter().map(|to| from.way_to(to)).collect();
        if at.is_empty() {
            return self.end_without_host(id);
        }
        if self.is_dead_before_it_began(id, at[0]) {
            return self.abandon(id);
        }
        if !self.finds_a_session_left(&at) {
            self.note(id, Considered::Full(None));
            return self.wait(id, Waiting::for_room(at, Lack::Session));
        }
        match self.turn_of(id, &at) {
            Turn::To(ways) => self.go(id, at, &ways),
            Turn::Try(way) => self.go(id, at, &[way]),
            Turn::Hold(time) => {
                let hold = Some(self.hold_of(id, now + time));
                self.wait(
                    id,
                    Waiting {
                        hold,
                        ..Waiting::for_room(at, Lack::Endpoint)
                    },
                );
            }
        }
    }

    /// Answers whether all hosts of a delivery that has tried nothing yet are paused; its destination sleeps then.
    fn is_dead_before_it_began(&mut self, id: DeliveryId, first: Way) -> bool {
        let Some(delivery) = self.deliveries.get(&id) else {
            return false;
        };
        let is_new = !delivery.is_answered && !delivery.itinerary.is_begun() && delivery.at.is_none();
        let destination = delivery.entry.destination.clone();
        is_new && self.hosts.is_paused(first, self.now.monotonic) && self.sleep_if_known_dead(&destination)
    }

    /// Until when a delivery waits for a better host: the first time that was said.
    fn hold_of(&mut self, id: DeliveryId, until: Monotonic) -> Monotonic {
        let delivery = self.deliveries.get_mut(&id);
        delivery.map_or(until, |delivery| *delivery.holds_until.get_or_insert(until))
    }

    /// No host is left to try.
    fn end_without_host(&mut self, id: DeliveryId) {
        self.leave_lines(id);
        self.conclude(id, None);
        if let Some(delivery) = self.deliveries.get(&id) {
            let destination = delivery.entry.destination.clone();
            self.schedule.release(&destination);
        }
    }

    fn turn_of(&mut self, id: DeliveryId, at: &[Way]) -> Turn {
        let is_patient = self
            .deliveries
            .get(&id)
            .is_some_and(|delivery| !delivery.has_waited);
        let turn = self.turn_among(at, is_patient);
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.trial = match turn {
                Turn::Try(way) => Some(way),
                Turn::To(_) | Turn::Hold(_) => None,
            };
        }
        turn
    }

    /// Takes a delivery to one of these ways, the first if it can be; it waits for any of `at`.
    fn go(&mut self, id: DeliveryId, at: Vec<Way>, ways: &[Way]) {
        let is_chosen = self.weighs(&at);
        if let Some((session, found)) = self.look_up(id, ways, is_chosen) {
            return self.assign(id, session, found);
        }
        // Where what is parked does not fit and nothing more is let in, one that is not so good has to do.
        let dial = self.dial_or_join(id, ways).or_else(|| self.dial_or_join(id, &at));
        let lack = if dial.is_some() {
            Lack::Nothing
        } else {
            Lack::Endpoint
        };
        self.wait(
            id,
            Waiting {
                dial,
                ..Waiting::for_room(at, lack)
            },
        );
    }

    /// Asks the cache by destination before the first host, then by each endpoint.
    /// `is_chosen`: the first of them was, so the destination's other endpoints are not asked.
    fn look_up(&mut self, id: DeliveryId, at: &[Way], is_chosen: bool) -> Option<(SessionId, Found)> {
        let delivery = self.deliveries.get(&id)?;
        if !delivery.caches {
            self.note(id, Considered::Off);
            return None;
        }
        let now = self.now.monotonic;
        let wanted = self.requirements(delivery);
        let (hosts, ceilings) = (&self.hosts, &self.ceilings);
        let general = self.settings.sessions_per_endpoint;
        let from = &wanted.sources;
        let has_room = |to| hosts.sessions(from.way_to(to)) < ceilings.sessions_max(to, general);
        if !delivery.itinerary.is_begun() && delivery.at.is_none() {
            let itinerary = &delivery.itinerary;
            let chosen = at.first().filter(|_| is_chosen).map(|way| way.endpoint);
            let allowed = |endpoint| {
                chosen.is_none_or(|chosen| chosen == endpoint)
                    && itinerary.has(endpoint)
                    && has_room(endpoint)
            };
            let found = self.cache.take_by_destination(&wanted, allowed, now);
            self.note_look_up(id, By::Destination, None, found.is_some());
            if let Some((session, _)) = found {
                return Some((session, Found::Destination));
            }
        }
        for way in at {
            let endpoint = way.endpoint;
            if !self.has_room(*way) {
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

    pub(crate) fn note(&mut self, id: DeliveryId, step: Considered) {
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
    fn dial_or_join(&mut self, id: DeliveryId, at: &[Way]) -> Option<SessionId> {
        let adopted = if self.deliveries[&id].caches {
            self.adopt(at, id)
        } else {
            None
        };
        let dial = adopted.or_else(|| {
            let room = at.iter().copied().find(|way| self.may_dial(*way));
            room.map(|way| {
                self.stagger_credit.earn();
                self.dial_for(id, way)
            })
        });
        self.note_dial(id, at, dial, adopted.is_some());
        dial
    }

    /// Keeps which dial is joined, or that there was no room for one.
    fn note_dial(&mut self, id: DeliveryId, at: &[Way], dial: Option<SessionId>, is_joined: bool) {
        let to = dial.and_then(|dial| Some((dial, self.sessions.get(&dial)?.endpoint)));
        match to {
            Some((dial, endpoint)) if is_joined => self.note(id, Considered::Joined(dial, endpoint)),
            Some(_) => {}
            None => at
                .iter()
                .for_each(|way| self.note(id, Considered::Full(Some(way.endpoint)))),
        }
    }

    /// What a delivery demands of a session.
    pub(crate) fn requirements(&self, delivery: &Delivery) -> Requirements {
        Requirements {
            fresh: delivery.wants_fresh,
            ..self.requirements_of(&delivery.entry, delivery.itinerary.servers())
        }
    }

    /// What an entry demands of a session to one of these servers.
    pub(crate) fn requirements_of(&self, entry: &Entry, servers: &Servers) -> Requirements {
        Requirements {
            destination: entry.destination.clone(),
            protocol: servers.protocol,
            endpoints: servers.endpoints.clone(),
            hosts: servers.hosts.clone(),
            sources: self.sources_of(&entry.destination),
            helo_name: self.settings.helo_name.clone(),
            tls: servers.tls.clone(),
            credentials: servers.credentials(),
            smtputf8: entry.smtputf8,
            size: entry.size,
            reuse_count_max: self.reuse_count_max(&entry.destination),
            recipient_domain: entry.recipient_domain.clone(),
            fresh: false,
        }
    }

    /// Where a destination's mail comes from.
    pub(crate) fn sources_of(&self, destination: &Destination) -> Sources {
        let site = self.sites.get(destination);
        site.map(|site| site.whence.sources().clone()).unwrap_or_default()
    }

    fn wait(&mut self, id: DeliveryId, waiting: Waiting) {
        let Waiting { at, lack, dial, hold } = waiting;
        let kept = self.leave_lines(id);
        let ticket = kept.unwrap_or_else(|| self.lines.ticket());
        // Where there is room it has found nothing either, unless it holds out for a better host.
        let is_full = |way: &Way| lack == Lack::Endpoint && (hold.is_none() || !self.may_use(*way));
        let full: Vec<Way> = at.iter().copied().filter(is_full).collect();
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        self.lines.join(ticket, id, &at, &full);
        if lack == Lack::Session {
            self.lines.starve(ticket, id);
        }
        self.holds.extend(hold.map(|until| (until, id)));
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
            hold,
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
        if let Some(until) = wait.hold {
            self.holds.remove(&(until, id));
        }
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
            // One that has been answered before says so again when it is given up, and may have given up others.
            if self.deliveries.get(&id).is_some_and(Delivery::is_waiting) {
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
