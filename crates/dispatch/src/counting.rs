//! What is counted of sessions and transactions: where each event of a session's life meets the cache's counts.
//!
//! # Contract
//! * **Every transaction ordered is counted once**, by how its session was found, for its destination and its
//!   endpoint.
//! * **Every session that opened is counted once at its end**, with the transactions begun on it.

use remuda_connection_cache::{Death, End, Opening, Taken};
use remuda_mail::{DeliveryId, Facts, SessionId};

use crate::{
    Dispatch,
    command::{Found, RetireCause},
    event::{Answer, DialStep, Undecided},
    search::Considered,
    sessions::{Session, State},
};

impl Dispatch {
    /// A session is open.
    pub(crate) fn count_opened(&mut self, id: SessionId, facts: &Facts) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.opening = Opening::of(facts);
            self.cache.count_opened();
        }
    }

    /// A transaction is ordered on a session that was `found` so; None: its delivery has had it.
    pub(crate) fn count_order(&mut self, id: SessionId, found: Option<Found>) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let taken = match found {
            Some(Found::Destination | Found::Address) => Taken::Parked,
            Some(Found::Handover) => Taken::HandedOver,
            Some(Found::Miss) => Taken::Fresh,
            Some(Found::Off) => Taken::Uncached,
            None => Taken::Again,
        };
        let saves = match taken {
            Taken::Parked | Taken::HandedOver if session.begun > 0 => session.opening,
            _ => Opening::default(),
        };
        self.cache
            .count_taken(taken, &session.destination, session.endpoint, saves);
    }

    /// A transaction is answered: notes whether it was begun, and on a session that is gone, how it ended.
    pub(crate) fn count_answer(&mut self, id: SessionId, delivery: DeliveryId, answer: &Answer) {
        if !answer.begun {
            self.cache.count_not_begun();
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            if answer.cause == Undecided::Unsent
                && let Some(delivery) = self.deliveries.get_mut(&delivery)
            {
                delivery.search.note(Considered::Dead(id, session.endpoint));
            }
            session.begun += u32::from(answer.begun);
            let is_dead = matches!(answer.cause, Undecided::Unsent | Undecided::LostEarly);
            session.death = Some(answer.death.unwrap_or(Death::NoReply))
                .filter(|_| is_dead && answer.undecided > 0 && session.uses > 1);
        }
    }

    /// A session that was open has ended.
    pub(crate) fn count_end(&mut self, session: &Session, end: End) {
        self.cache
            .count_end(end, session.begun, &session.destination, session.endpoint);
    }

    /// Strikes a session that is gone after a transaction: found dead, or used up by it.
    pub(crate) fn bury_gone(&mut self, id: SessionId) {
        if let Some(session) = self.bury(id) {
            self.count_end(&session, session.death.map_or(End::Failed, End::Dead));
        }
    }

    /// An open session is retired.
    pub(crate) fn count_retired(&mut self, id: SessionId, cause: RetireCause) {
        if let Some(session) = self.sessions.get(&id) {
            let end = cause.leaving().map_or(End::NotParked, End::Left);
            self.cache
                .count_end(end, session.begun, &session.destination, session.endpoint);
        }
    }

    /// A dial has failed, and the delivery that waited for it notes so.
    pub(crate) fn count_dial_failed(&mut self, id: SessionId, step: DialStep) {
        self.cache.count_dial_failed(step.as_str());
        if let Some(session) = self.sessions.get(&id)
            && let State::Dialling(Some(owner)) = session.state
            && let Some(delivery) = self.deliveries.get_mut(&owner)
        {
            delivery.search.note(Considered::DialFailed(id, session.endpoint));
        }
    }
}

impl DialStep {
    /// All there are.
    pub const ALL: [DialStep; 3] = [DialStep::Connect, DialStep::Greeting, DialStep::Helo];

    /// The word for the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DialStep::Connect => "connect",
            DialStep::Greeting => "greeting",
            DialStep::Helo => "helo",
        }
    }
}
