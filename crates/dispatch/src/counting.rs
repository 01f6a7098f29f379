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
    event::{After, Answer, DialStep, Undecided},
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

    /// A delivery's transaction is ordered on a session that was `found` so; None: the delivery has had it.
    pub(crate) fn count_order(&mut self, id: SessionId, delivery: DeliveryId, found: Option<Found>) {
        let (Some(session), Some(delivery)) = (self.sessions.get(&id), self.deliveries.get_mut(&delivery))
        else {
            return;
        };
        delivery.is_again = found.is_none();
        let taken = match found {
            Some(Found::Destination | Found::Address) => Taken::Parked,
            Some(Found::Handover) => Taken::HandedOver,
            Some(Found::Miss) => Taken::Fresh,
            Some(Found::Off) => Taken::Uncached,
            None => Taken::Again,
        };
        if let Some(found) = found {
            delivery
                .search
                .note(Considered::Taken(id, session.endpoint, found));
        }
        self.cache
            .count_taken(taken, &delivery.entry.destination, session.endpoint);
    }

    /// A transaction is answered: what its reuse has saved, or that it was not begun; and how a session that
    /// is gone ended, which the first answer of those under way on it tells.
    pub(crate) fn count_answer(&mut self, id: SessionId, delivery: DeliveryId, answer: &Answer) {
        let (Some(session), Some(delivery)) =
            (self.sessions.get_mut(&id), self.deliveries.get_mut(&delivery))
        else {
            return;
        };
        let was_used = session.begun > 0;
        let was_kept = was_used || session.parked.is_some();
        match answer.begun {
            false => self.cache.count_not_begun(),
            true if was_used && !delivery.is_again => self.cache.count_saved(session.opening),
            true => {}
        }
        session.begun += u32::from(answer.begun);
        if answer.cause == Undecided::Unsent {
            delivery.search.note(Considered::Dead(id, session.endpoint));
        }
        if answer.session == After::Gone && session.end.is_none() {
            let is_dead = matches!(answer.cause, Undecided::Unsent | Undecided::LostEarly);
            session.end = Some(match answer.death.unwrap_or(Death::NoReply) {
                death if is_dead && answer.undecided > 0 && was_kept => End::Dead(death),
                _ => End::Failed,
            });
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
            self.count_end(&session, session.end.unwrap_or(End::Failed));
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
    pub const ALL: [DialStep; 6] = [
        DialStep::Source,
        DialStep::Connect,
        DialStep::Greeting,
        DialStep::Helo,
        DialStep::Tls,
        DialStep::Auth,
    ];

    /// The word for the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DialStep::Source => "source",
            DialStep::Connect => "connect",
            DialStep::Greeting => "greeting",
            DialStep::Helo => "helo",
            DialStep::Tls => "tls",
            DialStep::Auth => "auth",
        }
    }
}
