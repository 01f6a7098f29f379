//! What an answer to a dial or a transaction leads to.
//!
//! # Contract
//! * **A host that could not be used is followed by the next**, and at the last one what is left is deferred.
//! * **Recipients that a host deferred are tried at the next one** (T71).
//! * **What was not sent is sent again silently**: a session dead before its first octet is not counted, one
//!   lost early allows one more try at once (T30, T34).
//! * **Only the site is blamed for the site's failures**: a transaction that a host answered is a success,
//!   whatever it said (T33), and a fault of ours is nobody's.

use remuda_mail::{Blame, DeliveryId, Endpoint, EnhancedStatus, Facts, Failure, Refusal, Scope, SessionId};

use crate::{
    Dispatch,
    command::{Command, Flight, Found, RetireCause},
    deliveries::{Delivery, Stage},
    event::{After, Answer, DialStep, Undecided},
    sessions::State,
};

/// What is left of a session after an answer.
#[derive(Clone, Debug, PartialEq)]
enum Left {
    Free(Box<Facts>),
    /// Others are under way on it.
    Going,
    Gone,
}

/// How a delivery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// With the undecided, on this host.
    SameHost,
    /// As if this session had not been.
    Again,
    /// As `Again`, and only with this host.
    AgainHere,
    /// With all that are left.
    Elsewhere,
    /// Nobody is left.
    Done,
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
            return;
        };
        let (way, endpoint) = (session.way(), session.endpoint);
        let has_another_source = self.blame_source(id, step, &failure);
        self.note_dial_failure(way, &failure);
        self.count_dial_failed(id, step);
        self.bury(id);
        let Some(owner) = owner else { return };
        self.leave_lines(owner);
        if !has_another_source && let Some(delivery) = self.deliveries.get_mut(&owner) {
            // What a policy demands, the next message of the destination will not get either.
            delivery.is_site_failing |= is_of_the_host(&failure) || failure.blame == Blame::Policy;
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
        let is_first_use = carrier.uses as usize <= 1 + carrier.behind.len();
        if answer.accepted {
            self.hosts.waited(way, answer.waited);
        }
        self.count_answer(session, id, &answer);
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let next = delivery.judge(&answer, is_first_use);
        delivery.is_answered = true;
        let binds = delivery.use_binding_right(&answer);
        self.note_conduct(way, session, &answer);
        let left = self.take_after(session, answer.session, binds);
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
            Left::Going => !self.is_stopping,
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
        let Some(carrier) = self.sessions.get_mut(&session) else {
            return;
        };
        carrier.uses += 1;
        // The last on a session says whose slot goes with it.
        carrier.destination = delivery.entry.destination.clone();
        let is_behind = matches!(carrier.state, State::Busy(owner) if owner != id);
        if is_behind {
            carrier.behind.push_back(id);
        }
        let flight = if is_behind {
            Flight::Behind
        } else {
            self.flight(session, id)
        };
        let Some(delivery) = self.deliveries.get(&id) else {
            return;
        };
        self.out.push(Command::Transact {
            session,
            delivery: id,
            entry: delivery.entry.id,
            recipients_max: self.settings.recipients_per_transaction.max(1),
            next_host: false,
            flight,
            found,
            unfit: delivery.unfit,
        });
        self.count_order(session, id, None);
        self.fill(session);
    }

    fn seek_or_stop(&mut self, id: DeliveryId) {
        if self.is_stopping {
            self.abandon(id);
        } else {
            self.seek(id);
        }
    }
}

impl Delivery {
    fn judge(&mut self, answer: &Answer, is_first_use: bool) -> Next {
        let has_progressed = answer.finished + answer.deferred > 0;
        if answer.undecided == 0 {
            self.is_served = true;
            if answer.cause == Undecided::PerhapsAccepted {
                self.itinerary.strike_all();
            }
            return if self.unfinished == 0 {
                Next::Done
            } else {
                Next::Elsewhere
            };
        }
        match &answer.cause {
            Undecided::NextTransaction if has_progressed => {
                self.is_served = true;
                Next::SameHost
            }
            // Alive after its first session had answered a dial: it was not the cache that deceived us.
            Undecided::Unsent if !is_first_use => Next::Again,
            Undecided::Unsent | Undecided::LostEarly if !self.is_resent => {
                self.is_resent = true;
                Next::AgainHere
            }
            Undecided::Failed(failure) => {
                self.is_site_failing |= is_of_the_host(failure);
                if failure.scope == Scope::Destination {
                    self.itinerary.strike_all();
                }
                self.note_failure(failure.clone());
                Next::Elsewhere
            }
            Undecided::Unsent | Undecided::LostEarly => {
                self.is_site_failing = true;
                self.refusal = Some(lost());
                Next::Elsewhere
            }
            Undecided::NextTransaction | Undecided::PerhapsAccepted => {
                self.refusal = Some(stuck());
                Next::Elsewhere
            }
        }
    }

    /// Takes the direction decided on; one that is withdrawn goes no further than this transaction.
    fn turn_to(&mut self, next: Next, endpoint: Endpoint) -> Next {
        if self.is_withdrawn && next != Next::Done {
            self.leave_host(endpoint);
            self.itinerary.strike_all();
            return Next::Elsewhere;
        }
        match next {
            Next::Done | Next::Again => {}
            Next::SameHost => {
                self.is_next_host = false;
                self.at = Some(endpoint);
            }
            Next::AgainHere => self.at = Some(endpoint),
            Next::Elsewhere => self.leave_host(endpoint),
        }
        next
    }

    /// The first session that did not fail as a host may be filed under the destination, and no later one.
    fn use_binding_right(&mut self, answer: &Answer) -> bool {
        let is_failing = answer.undecided > 0
            && match &answer.cause {
                Undecided::NextTransaction | Undecided::PerhapsAccepted => false,
                Undecided::Unsent | Undecided::LostEarly => true,
                Undecided::Failed(failure) => is_of_the_host(failure),
            };
        if is_failing {
            return false;
        }
        std::mem::take(&mut self.may_bind)
    }

    /// Keeps the reason for recipients who are told nothing themselves. One that is for good counts only
    /// when no host failed for now: another try may find that host in order.
    pub(crate) fn note_failure(&mut self, failure: Failure) {
        let has_hope = self
            .refusal
            .as_ref()
            .is_some_and(|refusal| !refusal.is_permanent());
        if !(has_hope && failure.refusal.is_permanent()) {
            self.refusal = Some(failure.refusal);
        }
    }
}

/// Answers whether a failure says that the host, or the way to it, does not work.
pub(crate) fn is_of_the_host(failure: &Failure) -> bool {
    failure.scope >= Scope::Session && matches!(failure.blame, Blame::Peer | Blame::Network)
}

fn lost() -> Refusal {
    Refusal::ours(
        EnhancedStatus::new(4, 4, 2),
        "lost connection before any reply, twice",
    )
}

fn stuck() -> Refusal {
    Refusal::ours(
        EnhancedStatus::new(4, 5, 0),
        "the host took none of the recipients that were left",
    )
}
