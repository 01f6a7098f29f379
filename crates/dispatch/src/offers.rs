//! What becomes of a session that is free: who gets it next.
//!
//! # Contract
//! * **The next in turn gets it**: the first delivery in line for its endpoint that it fits, whosever it is;
//!   unless somebody whom it does not fit waits longer for room there, or for any session at all, who then
//!   gets its place.
//! * **Then the same destination's next message**, if nobody waits.
//! * **Then it is parked**, if the destination is always cached, has mail waiting, shares a gate with one
//!   that has, or it or its endpoint has lately had mail so
//!   close together that the next is likely within the idle limit; else it is retired.
//! * **A session whose deliveries are not committed waits for the disk**: at most `pipeline_depth` + 1 of
//!   them, those under way included, and no new one while the oldest of all is older than [`STALL`].

use std::time::Duration;

use remuda_connection_cache::{Unfit, fitness};
use remuda_mail::{DeliveryId, Destination, Facts, SessionId, Way};
use remuda_schedule::Entry;

use crate::{
    Dispatch,
    candidates::Itinerary,
    command::{Found, RetireCause},
    deliveries::Delivery,
    search::{By, Considered},
    sessions::State,
    sites::Resolved,
};

/// Who gets a free session.
enum Next {
    Waiting(DeliveryId),
    SameDestination,
    /// Somebody waits longer for its place.
    Another,
    Nobody,
}

impl Dispatch {
    /// A delivery is over and its session is free. Its slot of the window goes with it until its deliveries
    /// are committed.
    pub(crate) fn free(&mut self, id: SessionId, facts: Facts) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let unsettled_max = self.unsettled_max(&session.destination);
        if self.is_stopping || (session.unsettled < unsettled_max && !self.is_stalled()) {
            let destination = session.destination.clone();
            self.schedule.release(&destination);
            return self.offer(id, facts);
        }
        let until = self.now.monotonic + self.settings.cache.idle_time_limit;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = State::Lingering(until, Box::new(facts));
            self.lingering.insert((until, id));
        }
    }

    /// Deliveries of a lingering session are committed: it is free now, if that was enough.
    pub(crate) fn resume(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let (is_stalled, unsettled_max) = (self.is_stalled(), self.unsettled_max(&session.destination));
        if is_stalled || session.unsettled >= unsettled_max {
            return;
        }
        if let Some(facts) = self.stop_lingering(id) {
            self.offer(id, facts);
        }
    }

    /// Ends a lingering and releases the slot that went with it.
    pub(crate) fn stop_lingering(&mut self, id: SessionId) -> Option<Facts> {
        let session = self.sessions.get(&id)?;
        let State::Lingering(until, facts) = &session.state else {
            return None;
        };
        let (until, facts) = (*until, (**facts).clone());
        self.lingering.remove(&(until, id));
        let destination = session.destination.clone();
        self.schedule.release(&destination);
        Some(facts)
    }

    /// Gives a free session to who is next, or parks or retires it.
    pub(crate) fn offer(&mut self, id: SessionId, facts: Facts) {
        if let Err(cause) = self.may_go_on(id, &facts) {
            return self.retire(id, cause);
        }
        let fresh = facts.uses == 0;
        let next = self.next_for(id, &facts);
        let is_needed = matches!(next, Next::Another);
        match next {
            Next::Waiting(delivery) => {
                let found = if fresh { Found::Miss } else { Found::Handover };
                self.assign(delivery, id, found);
            }
            Next::SameDestination => self.start_on(id, fresh),
            Next::Another | Next::Nobody => {
                // Parked, it would count against what its endpoint lets in, for whom it does not fit too.
                let is_needed = is_needed && !self.hosts.has_room(facts.way(), self.now.monotonic);
                if !is_needed && (fresh || self.is_worth_parking(id)) {
                    self.park(id, facts);
                } else {
                    self.retire(id, RetireCause::NotParked);
                }
            }
        }
    }

    /// Answers whether a session may carry any further transaction.
    pub(crate) fn may_go_on(&self, id: SessionId, facts: &Facts) -> Result<(), RetireCause> {
        if self.is_stopping || !self.settings.is_ours(facts) {
            return Err(RetireCause::Drained);
        }
        let Some(session) = self.sessions.get(&id) else {
            return Err(RetireCause::NotParked);
        };
        let count_max = self.reuse_count_max(&session.destination);
        let limits = self.cache.limits();
        limits.check_counted(id, facts, count_max, self.now.monotonic)?;
        self.may_be_reused(facts)?;
        if self.caches(&session.destination) {
            Ok(())
        } else {
            Err(RetireCause::NotParked)
        }
    }

    fn next_for(&mut self, id: SessionId, facts: &Facts) -> Next {
        let starved = self.lines.starved();
        let here = self.first_fitting(id, facts);
        // Who waits for room at this endpoint and does not fit needs this session's place.
        let starved = starved
            .into_iter()
            .chain(self.lines.starved_at(facts.way()))
            .min();
        match (here, starved) {
            (Some((ticket, _)), Some((older, _))) if older < ticket => Next::Another,
            (Some((_, delivery)), _) => Next::Waiting(delivery),
            (None, Some(_)) => Next::Another,
            (None, None) if self.suits_next(id, facts) => Next::SameDestination,
            (None, None) => Next::Nobody,
        }
    }

    fn first_fitting(&mut self, id: SessionId, facts: &Facts) -> Option<(crate::lines::Ticket, DeliveryId)> {
        let mut unfit = Vec::new();
        let mut fitting = None;
        for (ticket, waiting) in self.lines.waiting_at(facts.way()).take(LOOK_AT_MAX) {
            let Some(delivery) = self.deliveries.get(&waiting).filter(|delivery| delivery.caches) else {
                continue;
            };
            match fitness(facts, &self.requirements(delivery), self.now.monotonic) {
                Ok(()) if !self.is_worth_to(facts.way(), delivery) => {}
                Ok(()) => {
                    fitting = Some((ticket, waiting));
                    break;
                }
                Err(reason) => unfit.push((waiting, reason)),
            }
        }
        for (waiting, reason) in unfit {
            self.refuse_freed(id, facts.endpoint, waiting, reason);
        }
        fitting
    }

    /// A freed session is not fit for a delivery in line.
    fn refuse_freed(&mut self, id: SessionId, at: remuda_mail::Endpoint, waiting: DeliveryId, reason: Unfit) {
        if let Some(delivery) = self.deliveries.get_mut(&waiting) {
            self.cache.count_unfit(reason, &delivery.entry.destination, at);
            delivery.unfit = Some(reason);
            delivery.search.note(Considered::Unfit(By::Freed, id, at, reason));
        }
    }

    /// Answers whether the session's own destination has a message next for which it is one of the best.
    fn suits_next(&self, id: SessionId, facts: &Facts) -> bool {
        let destination = self.sessions.get(&id).map(|session| &session.destination);
        destination.is_some_and(|destination| {
            let entry = self.schedule.peek(destination);
            entry.is_some_and(|entry| self.suits(destination, entry, facts))
        })
    }

    /// Answers whether an entry of a destination may go over a session that is one of its best.
    pub(crate) fn suits(&self, destination: &Destination, entry: &Entry, facts: &Facts) -> bool {
        let now = self.now.monotonic;
        let Some(site) = self.sites.get(destination) else {
            return false;
        };
        let Resolved::Known(servers, _) = site.resolved(self.epoch, now) else {
            return false;
        };
        let wanted = self.requirements_of(entry, &servers);
        let is_good = servers.is_best(facts.endpoint, &self.hosts, &wanted.sources, now)
            || self.cache.is_bound(destination, facts.endpoint, now);
        is_good && fitness(facts, &wanted, now).is_ok() && {
            let (equals, _) = servers.equals(facts.endpoint, &self.hosts, &wanted.sources, now);
            self.is_next_here(facts.way(), &equals)
        }
    }

    /// Answers whether a session by a way is good enough for a delivery in line.
    pub(crate) fn is_worth_to(&self, way: Way, delivery: &Delivery) -> bool {
        if delivery.trial.is_some_and(|trial| trial != way) {
            // It waits for the one that it is to try, until that is late.
            return false;
        }
        let at = delivery.wait().map(|wait| wait.at.as_slice()).unwrap_or_default();
        delivery.has_waited || self.is_worth(way, at)
    }

    /// Starts the destination's next delivery on its own session.
    fn start_on(&mut self, id: SessionId, is_fresh: bool) {
        let now = self.now.monotonic;
        let Some(destination) = self.sessions.get(&id).map(|session| session.destination.clone()) else {
            return;
        };
        let known = self.sites.get_mut(&destination).map(|site| {
            site.note_start(now);
            site.resolved(self.epoch, now)
        });
        if let Some(Resolved::Known(servers, _)) = known
            && let Some(entry) = self.schedule.start(&destination)
        {
            let tries_max = self.settings.addresses_per_delivery;
            let itinerary = Itinerary::new(servers, tries_max, &mut self.rng);
            let delivery = self.begin(entry, itinerary);
            let found = if is_fresh { Found::Miss } else { Found::Handover };
            self.assign(delivery, id, found);
        }
    }

    fn is_worth_parking(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(&id) else {
            return false;
        };
        let destination = &session.destination;
        let idle_max = self.settings.cache.idle_time_limit;
        let (site, now) = (self.sites.get(destination), self.now.monotonic);
        self.schedule.has_mail_due(destination)
            || self.schedule.is_gate_waited_at(destination)
            || self.lines.waiting_at(session.way()).next().is_some()
            || self.hosts.is_likely(session.way(), now, idle_max)
            || site.is_some_and(|site| site.is_listed || site.is_likely(now, idle_max))
    }

    /// Answers whether sessions for a destination are shared and kept at all.
    pub(crate) fn caches(&self, destination: &Destination) -> bool {
        self.settings.cache.on_demand || self.sites.get(destination).is_some_and(|site| site.is_listed)
    }

    /// Answers whether the disk does not take what was delivered: nothing new is begun.
    pub(crate) fn is_stalled(&self) -> bool {
        self.unsettled
            .first()
            .is_some_and(|(since, _)| self.now.monotonic - *since > STALL)
    }
}

/// Age of the oldest uncommitted delivery at which the disk counts as stalled.
const STALL: Duration = Duration::from_secs(1);

/// Deliveries in line that a session is held against; nearly always the first one fits.
pub(crate) const LOOK_AT_MAX: usize = 100;
