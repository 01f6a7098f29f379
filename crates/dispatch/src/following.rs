//! Messages behind messages: which transaction may go out before those under way are answered.
//!
//! ```text
//!   session   MAIL RCPT BDAT…  RSET MAIL RCPT BDAT…  RSET …      one flight, up to the depth
//!             holder of a slot  rider                 rider
//! ```
//!
//! # Contract
//! * **Only while no further session may be opened** for the mail that waits: a session of its own is faster.
//! * **Up to the depth that the endpoint has earned** ([`Hosts::depth`](remuda_hosts::Hosts::depth)), never
//!   past a transaction limit or the session's age, nor more than `pipeline_depth` + 1 with those that wait
//!   for their commit.
//! * **As deep as each destination's rule allows**, that of the message before and that of the one behind; and
//!   as fast as its gate allows, at which nobody else may wait.
//! * **Who waits at the endpoint comes first**, then the destination's own next message. That one rides: the
//!   window counts sessions, so it takes no slot.
//! * **A message that is sent a second time is alone in its flight.**
//! * **Whom we have shown credentials gets content unasked only once it has refused a recipient in order.**
//! * **A slot stays with the session** while riders are on it; who leaves it without one waits on the bench
//!   until the window has room.

use remuda_connection_cache::fitness;
use remuda_mail::{DeliveryId, Destination, Facts, SessionId, Way};

use crate::{
    Dispatch,
    candidates::Itinerary,
    command::{Flight, Found},
    deliveries::Stage,
    event::{After, Answer},
    offers::LOOK_AT_MAX,
    sessions::{State, Terms},
    sites::Resolved,
};

/// Octets of content that may go out with its commands.
pub(crate) const FLIGHT_CONTENT_MAX: u64 = 64 << 10;

/// A session idle for longer may have been closed by its server: the content waits for a reply first.
const WARM_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// Who goes behind.
enum Behind {
    Waiting(DeliveryId),
    Rider(Destination),
}

impl Dispatch {
    /// What may go out at once of a delivery's transaction on a session.
    pub(crate) fn flight(&mut self, id: SessionId, delivery: DeliveryId) -> Flight {
        let now = self.now.monotonic;
        let (Some(session), Some(delivery)) = (self.sessions.get_mut(&id), self.deliveries.get(&delivery))
        else {
            return Flight::Split;
        };
        let may_fly = session.facts.as_ref().is_some_and(|facts| {
            let is_warm = facts.uses == 0 || now - facts.last_used <= WARM_MAX;
            let is_private = facts.credentials.is_some();
            is_warm
                && delivery.entry.size <= FLIGHT_CONTENT_MAX
                && self.hosts.may_fly(session.way(), is_private, now)
        });
        session.is_flying = may_fly && !delivery.is_resent && !delivery.is_repeated;
        if may_fly { Flight::Whole } else { Flight::Split }
    }

    /// Sends behind what is under way on a session as much as may be.
    pub(crate) fn fill(&mut self, id: SessionId) {
        while let Some(facts) = self.may_follow(id) {
            match self.next_behind(id, &facts) {
                Some(Behind::Waiting(delivery)) => {
                    self.leave_lines(delivery);
                    self.assign_behind(delivery, id);
                }
                Some(Behind::Rider(destination)) => self.ride(&destination, id),
                None => return,
            }
        }
    }

    /// The facts of a session on which another transaction may go out now.
    fn may_follow(&self, id: SessionId) -> Option<Facts> {
        let now = self.now.monotonic;
        let session = self.sessions.get(&id)?;
        if !matches!(session.state, State::Busy(_)) || !session.is_flying {
            return None;
        }
        let facts = session.facts.as_ref()?;
        let under_way = 1 + u32::try_from(session.behind.len()).unwrap_or(u32::MAX);
        let depth_max = self.pipeline_depth(&session.destination);
        let depth = self.hosts.depth(session.way(), depth_max, now);
        let offers = &facts.capabilities;
        // Which domains those under way bring is known only when they are answered.
        let is_able = offers.pipelining && offers.chunking && offers.limits.rcpt_domain_max.is_none();
        let is_within = under_way < depth
            && session.unsettled + under_way < self.unsettled_max(&session.destination)
            && offers.limits.mail_max.is_none_or(|max| session.uses < max);
        if !is_able || !is_within || self.is_stalled() {
            return None;
        }
        let facts = Facts {
            uses: session.uses,
            ..facts.clone()
        };
        self.may_go_on(id, &facts).ok().map(|()| facts)
    }

    fn next_behind(&self, id: SessionId, facts: &Facts) -> Option<Behind> {
        let session = self.sessions.get(&id)?;
        let under_way = 1 + u32::try_from(session.behind.len()).unwrap_or(u32::MAX);
        let mut line = self.lines.waiting_at(facts.way()).take(LOOK_AT_MAX);
        let waiting = line.find(|(_, waiting)| self.may_go_behind(*waiting, facts, under_way));
        if let Some((_, waiting)) = waiting {
            return Some(Behind::Waiting(waiting));
        }
        let destination = &session.destination;
        let may_open =
            !self.schedule.is_full(destination) && self.may_dial(facts.way()) && self.has_session_left();
        if may_open {
            return None;
        }
        let entry = self.schedule.peek_rider(destination)?;
        let suits = entry.size <= FLIGHT_CONTENT_MAX && self.suits(destination, entry, facts);
        suits.then(|| Behind::Rider(destination.clone()))
    }

    /// Answers whether a delivery in line, for which no session can be opened, may go behind others.
    fn may_go_behind(&self, id: DeliveryId, facts: &Facts, under_way: u32) -> bool {
        self.deliveries.get(&id).is_some_and(|delivery| {
            let is_starved = delivery.wait().is_some_and(|wait| wait.dial.is_none());
            is_starved
                && delivery.caches
                && !delivery.is_resent
                && under_way < self.pipeline_depth(&delivery.entry.destination)
                && delivery.entry.size <= FLIGHT_CONTENT_MAX
                && fitness(facts, &self.requirements(delivery), self.now.monotonic).is_ok()
                && self.is_worth_to(facts.way(), delivery)
        })
    }

    /// Starts the destination's next message on its session.
    fn ride(&mut self, destination: &Destination, session: SessionId) {
        let now = self.now.monotonic;
        let known = self.sites.get_mut(destination).map(|site| {
            site.note_start(now);
            site.resolved(self.epoch, now)
        });
        if let Some(Resolved::Known(servers, _)) = known
            && let Some(entry) = self.schedule.ride(destination)
        {
            let tries_max = self.settings.addresses_per_delivery;
            let itinerary = Itinerary::new(servers, tries_max, &mut self.rng);
            let id = self.begin(entry, itinerary);
            if let Some(delivery) = self.deliveries.get_mut(&id) {
                delivery.has_slot = false;
            }
            self.assign_behind(id, session);
        }
    }

    fn assign_behind(&mut self, id: DeliveryId, session: SessionId) {
        let (Some(delivery), Some(carrier)) = (self.deliveries.get_mut(&id), self.sessions.get_mut(&session))
        else {
            return;
        };
        delivery.stage = Stage::Transacting(session, Found::Handover);
        carrier.destination = delivery.entry.destination.clone();
        carrier.uses += 1;
        carrier.behind.push_back(id);
        let terms = Terms {
            flight: Flight::Behind,
            found: Found::Handover,
            reply_within: std::time::Duration::MAX,
            is_again: false,
        };
        self.order(id, session, terms);
    }

    /// A delivery on a session that goes on is answered: its slot stays with those that ride there.
    pub(crate) fn pass_slot(&mut self, id: DeliveryId, session: SessionId) {
        let (Some(delivery), Some(carrier)) = (self.deliveries.get(&id), self.sessions.get(&session)) else {
            return;
        };
        if !delivery.has_slot {
            return;
        }
        let destination = &delivery.entry.destination;
        let under_way = match carrier.state {
            State::Busy(first) => Some(first),
            _ => None,
        };
        let rider = under_way
            .into_iter()
            .chain(carrier.behind.iter().copied())
            .find(|rider| {
                let rider = self.deliveries.get(rider);
                rider.is_some_and(|rider| !rider.has_slot && rider.entry.destination == *destination)
            });
        if let Some(rider) = rider {
            for (id, has_slot) in [(id, false), (rider, true)] {
                if let Some(delivery) = self.deliveries.get_mut(&id) {
                    delivery.has_slot = has_slot;
                }
            }
        }
    }

    /// What an answer shows of its host.
    pub(crate) fn note_conduct(&mut self, way: Way, session: SessionId, answer: &Answer) {
        let is_gone = answer.session == After::Gone;
        let had_others = self
            .sessions
            .get(&session)
            .is_some_and(|session| !session.behind.is_empty());
        if answer.conduct.is_disorderly {
            self.hosts.surprised(way, self.now.monotonic);
        } else if is_gone && had_others {
            self.hosts.stumbled(way);
        } else if answer.undecided == 0 {
            self.hosts
                .answered_in_order(way, answer.conduct.has_refused_recipient);
        }
    }

    /// A delivery is over, or goes back: the slot that it had is free.
    pub(crate) fn release_slot(&mut self, destination: &Destination, has_slot: bool) {
        if has_slot {
            self.schedule.release(destination);
        }
    }

    /// A delivery without slot seeks a session: it waits for a slot first.
    pub(crate) fn bench(&mut self, id: DeliveryId) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        delivery.stage = Stage::Benched;
        let destination = delivery.entry.destination.clone();
        self.site(&destination).benched.push_back(id);
        self.schedule.bench(&destination);
        if self.schedule.is_suspended(&destination) {
            self.abandon(id);
        }
    }

    /// The destination's turn has come: the delivery that waited longest for a slot takes it.
    pub(crate) fn next_benched(&mut self, destination: &Destination) -> Option<DeliveryId> {
        let id = self.sites.get(destination)?.benched.front().copied()?;
        self.leave_bench(id);
        Some(id)
    }

    /// Takes a delivery off the bench, with a slot.
    pub(crate) fn leave_bench(&mut self, id: DeliveryId) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        if !matches!(delivery.stage, Stage::Benched) {
            return;
        }
        delivery.stage = Stage::Seeking;
        delivery.has_slot = true;
        let destination = delivery.entry.destination.clone();
        if let Some(site) = self.sites.get_mut(&destination) {
            site.benched.retain(|other| *other != id);
        }
        self.schedule.sit(&destination);
    }

    /// Deliveries of one session that may be under way or wait for their commit at once.
    pub(crate) fn unsettled_max(&self, destination: &Destination) -> u32 {
        self.pipeline_depth(destination) + 1
    }
}
