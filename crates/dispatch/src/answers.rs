//! What an answer to a dial or a transaction leads to.
//!
//! # Contract
//! * **A host that could not be used is followed by the next**, and at the last one what is left is deferred.
//! * **Recipients that a host deferred are tried at the next one** (T71).
//! * **What was not sent is sent again silently** (T30, T34), and what may have been accepted once a delivery
//!   at most (T35): see `retries`.
//! * **Only the site is blamed for the site's failures**: a transaction that a host answered is a success,
//!   whatever it said (T33), and a fault of ours is nobody's.

use remuda_mail::{Blame, DeliveryId, Endpoint, Facts, Failure, Scope, SessionId};

use crate::{
    Dispatch,
    command::{Flight, Found, RetireCause},
    deliveries::Stage,
    event::{After, Answer, DialStep, Undecided},
    following::FLIGHT_CONTENT_MAX,
    sessions::{State, Terms},
    verdicts::Next,
};

/// What is left of a session after an answer.
#[derive(Clone, Debug, PartialEq)]
enum Left {
    Free(Box<Facts>),
    /// Others are under way on it.
    Going,
    Gone,
}

impl Dispatch {
    /// A session is open.
    pub(crate) fn opened(&mut self, id: SessionId, facts: Facts) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let State::Dialling(owner) = session.state else {
            return;
        };
        session.state = State::Dialling(None);
        session.facts = Some(facts.clone());
        let (way, endpoint) = (session.way(), session.endpoint);
        self.count_opened(id, &facts);
        self.note_opened(id, way, &facts);
        self.credit_source(id);
        match owner {
            Some(delivery) if !self.is_stopping && self.may_carry(delivery, &facts) => {
                let caches = self
                    .deliveries
                    .get(&delivery)
                    .is_some_and(|delivery| delivery.caches);
                let found = if caches { Found::Miss } else { Found::Off };
                self.assign(delivery, id, found);
            }
            Some(delivery) => {
                self.retire(id, RetireCause::Drained);
                self.leave_lines(delivery);
                self.pass_over_unless_reloaded(delivery, endpoint, &facts);
                self.seek_or_stop(delivery);
            }
            None => {
                self.strike_orphan(way, id);
                self.offer(id, facts);
            }
        }
    }

    /// A dial has failed: the next host.
    pub(crate) fn dial_failed(&mut self, id: SessionId, step: DialStep, failure: Failure) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let State::Dialling(owner) = session.state else {
            // It was given up, and has failed before it heard of that.
            return self.ended(id);
        };
        let (way, endpoint, dialled) = (session.way(), session.endpoint, session.dialled);
        if self.is_for_room(way, step, &failure) {
            return self.turned_away(id, way, owner, step);
        }
        let has_another_source = self.blame_source(id, step, &failure);
        self.note_dial_failure(way, dialled, &failure);
        self.count_dial_failed(id, step);
        self.bury(id);
        let Some(owner) = owner else { return };
        self.leave_lines(owner);
        if !has_another_source && let Some(delivery) = self.deliveries.get_mut(&owner) {
            // What a policy demands, the next message of the destination will not get either.
            delivery.is_barred |= failure.blame == Blame::Policy;
            delivery.is_site_failing |= is_of_the_host(&failure) || delivery.is_barred;
            delivery.note_failure(failure);
            delivery.leave_host(endpoint);
        }
        self.seek_or_stop(owner);
    }

    /// A transaction or a local delivery is over.
    pub(crate) fn answered(&mut self, session: Option<SessionId>, id: DeliveryId, answer: Answer) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        delivery.unfinished = delivery.unfinished.saturating_sub(answer.finished);
        match (&delivery.stage, session) {
            (Stage::Local, None) => self.answered_locally(id, answer),
            (Stage::Transacting(of, _), Some(session)) if *of == session => {
                self.answered_by_host(id, session, answer);
            }
            _ => debug_assert!(false, "an answer to what was asked"),
        }
    }

    fn answered_locally(&mut self, id: DeliveryId, answer: Answer) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        delivery.is_answered = true;
        delivery.is_unasked = answer.cause == Undecided::Unasked;
        if let Undecided::Failed(failure) = answer.cause {
            delivery.note_failure(failure);
        }
        let destination = delivery.entry.destination.clone();
        self.conclude(id, None);
        self.schedule.release(&destination);
    }

    fn answered_by_host(&mut self, id: DeliveryId, session: SessionId, answer: Answer) {
        let Some(carrier) = self.sessions.get(&session) else {
            return;
        };
        if !matches!(carrier.state, State::Busy(owner) if owner == id) {
            return;
        }
        let (way, endpoint) = (carrier.way(), carrier.endpoint);
        let is_fresh = carrier.is_fresh();
        let is_small = self
            .deliveries
            .get(&id)
            .is_some_and(|one| one.entry.size <= FLIGHT_CONTENT_MAX);
        if answer.accepted {
            // Of a large one our transfer and its scanning are a part.
            self.hosts
                .accepted(way, Some(answer.waited).filter(|_| is_small), self.now.monotonic);
        } else if answer.begun {
            self.note_deferral(id, way);
        }
        self.note_break(way, &answer);
        self.take_lesson(session, &answer);
        self.count_answer(session, id, &answer);
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let next = delivery.judge(&answer, is_fresh);
        delivery.is_answered = true;
        delivery.is_unasked = answer.cause == Undecided::Unasked;
        let binds = delivery.use_binding_right(&answer);
        self.note_conduct(way, session, &answer);
        let left = self.take_after(session, answer.session, binds);
        let is_followed = left == Left::Going;
        self.hosts.answered(way, session, is_followed, self.now.monotonic);
        self.go_on(id, (session, endpoint), left, next);
    }

    /// Carries out what was decided, and lets go of the session where it is not needed again.
    fn go_on(&mut self, id: DeliveryId, on: (SessionId, Endpoint), left: Left, next: Next) {
        let (session, endpoint) = on;
        if left == Left::Going {
            self.pass_slot(id, session);
        }
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let next = delivery.turn_to(next, endpoint);
        let has_host = delivery.at.is_some() || delivery.itinerary.has_any();
        if next == Next::Done || !has_host {
            return self.end_on(id, session, left);
        }
        let may_stay = match &left {
            Left::Free(facts) => self.may_go_on(session, facts).is_ok(),
            Left::Going => self.may_go_behind_others(session),
            Left::Gone => false,
        };
        if next == Next::SameHost && may_stay {
            return self.transact_again(id, session);
        }
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.stage = Stage::Seeking;
        }
        // The delivery keeps its slot; the session is free for others.
        match left {
            Left::Free(facts) => self.offer(session, *facts),
            Left::Going => self.fill(session),
            Left::Gone => {}
        }
        self.seek_or_stop(id);
    }

    /// Nobody or no host is left: the delivery ends, and its session is free.
    fn end_on(&mut self, id: DeliveryId, session: SessionId, left: Left) {
        let Some(delivery) = self.deliveries.get(&id) else {
            return;
        };
        let (destination, has_slot) = (delivery.entry.destination.clone(), delivery.has_slot);
        self.conclude(id, Some(session));
        match left {
            Left::Free(facts) => {
                debug_assert!(has_slot, "the last on a session has its slot");
                self.free(session, *facts);
            }
            Left::Going | Left::Gone => {
                self.release_slot(&destination, has_slot);
                self.fill(session);
            }
        }
    }

    /// Brings a session up to date after a transaction.
    fn take_after(&mut self, id: SessionId, after: After, binds: bool) -> Left {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Left::Gone;
        };
        let next = session.behind.pop_front();
        if let Some(next) = next {
            session.state = State::Busy(next);
        }
        let left = match after {
            After::Gone if next.is_none() => {
                self.bury_gone(id);
                return Left::Gone;
            }
            After::Gone => {
                // Those behind are answered too; nothing more is sent on it.
                session.facts = None;
                return Left::Gone;
            }
            After::Free(mut facts) => {
                facts.uses = facts.uses.max(session.uses);
                session.uses = facts.uses;
                session.facts = Some((*facts).clone());
                // What was ordered to follow finds it free, and is under way all the same.
                if next.is_some() {
                    Left::Going
                } else {
                    Left::Free(facts)
                }
            }
            After::Going => Left::Going,
        };
        session.binds = binds;
        if binds {
            self.cache
                .bind(&session.destination, session.endpoint, self.now.monotonic);
        }
        left
    }

    /// Runs the next transaction of the same delivery on the same session.
    fn transact_again(&mut self, id: DeliveryId, session: SessionId) {
        let Some(delivery) = self.deliveries.get(&id) else {
            return;
        };
        let Stage::Transacting(_, found) = delivery.stage else {
            return;
        };
        let reply_within = self.reply_within_of(session);
        let Some(carrier) = self.sessions.get_mut(&session) else {
            return;
        };
        carrier.uses += 1;
        // The last on a session says whose slot goes with it.
        carrier.destination = delivery.entry.destination.clone();
        carrier.idle = std::time::Duration::ZERO;
        let is_behind = matches!(carrier.state, State::Busy(owner) if owner != id);
        if is_behind {
            carrier.behind.push_back(id);
        }
        let flight = match is_behind {
            true => Flight::Behind,
            false => self.flight(session, id),
        };
        let terms = Terms {
            flight,
            found,
            reply_within,
            is_again: true,
        };
        self.order(id, session, terms);
        self.fill(session);
    }

    pub(crate) fn seek_or_stop(&mut self, id: DeliveryId) {
        if self.is_stopping {
            self.abandon(id);
        } else {
            self.seek(id);
        }
    }
}

/// Answers whether a failure says that the host, or the way to it, does not work.
pub(crate) fn is_of_the_host(failure: &Failure) -> bool {
    failure.scope >= Scope::Session && matches!(failure.blame, Blame::Peer | Blame::Network)
}
