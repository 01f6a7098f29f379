//! Sessions, from their dial to their end: who has each, and how many there are.
//!
//! ```text
//!              ┌────────────── taken ──────────────┐
//!   Dialling ─▶ Busy ─▶ free ─▶ Lingering | Parked ─┘      every state but the first may go on to
//!       └─▶ failed                                        Retiring ─▶ ended
//! ```
//!
//! # Contract
//! * **One owner**: a dial of a delivery or of nobody, a delivery, the connection cache, or the shell that
//!   says QUIT. The state says which, and every change of it is here.
//! * **Counted from dial to rest.** Dialling, busy and lingering sessions count against `sessions` and
//!   `sessions_per_endpoint`; parked and retiring ones do not.
//! * **No session leaks**: each is in one state until the shell reports its end.

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::Monotonic;
use remuda_connection_cache::{Death, End, Leaving, Opening, Parked};
use remuda_mail::{DeliveryId, Destination, Endpoint, Facts, SessionId, Tls, Way};

use crate::{
    Dispatch,
    choice::Choice,
    command::{Command, Flight, Found, RetireCause},
    deliveries::Stage,
    dials::Wanted,
    following::FLIGHT_CONTENT_MAX,
    lessons::Ended,
};

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    /// The address of ours that it is bound to.
    pub(crate) source: Option<IpAddr>,
    pub(crate) host: Arc<str>,
    /// Whom it works for or worked for last.
    pub(crate) destination: Destination,
    pub(crate) state: State,
    /// What it was dialled to have.
    pub(crate) wanted: Wanted,
    /// What it has of TLS, once it is open.
    pub(crate) tls: Option<Tls>,
    /// From before its dial.
    pub(crate) dialled: Monotonic,
    /// When it had a TCP connection.
    pub(crate) connected: Option<Monotonic>,
    /// When its dial is late, while a delivery waits for it.
    pub(crate) late: Option<Monotonic>,
    /// It was late.
    pub(crate) is_late: bool,
    /// It was dialled because another was late.
    pub(crate) is_second: bool,
    /// Transactions begun on it.
    pub(crate) uses: u32,
    /// When it was last parked, if it ever was.
    pub(crate) parked: Option<Monotonic>,
    /// How long it had been parked before its present use.
    pub(crate) idle: Duration,
    /// Of these, the ones that were begun in truth.
    pub(crate) begun: u32,
    /// What opening it cost.
    pub(crate) opening: Opening,
    /// How it ended, once a transaction has found it gone.
    pub(crate) end: Option<End>,
    /// What it has proved, as of its last answer.
    pub(crate) facts: Option<Facts>,
    /// Deliveries under way behind the one that has it.
    pub(crate) behind: VecDeque<DeliveryId>,
    /// What is under way went out whole.
    pub(crate) is_flying: bool,
    /// Its deliveries whose outcomes are not committed.
    pub(crate) unsettled: u32,
    /// Its last delivery may file it under its destination.
    pub(crate) binds: bool,
}

/// Who has a session.
#[derive(Debug)]
pub(crate) enum State {
    /// The shell, opening it for a delivery that still waits, or for whoever comes.
    Dialling(Option<DeliveryId>),
    /// A delivery: the one whose answer is next.
    Busy(DeliveryId),
    /// Nobody, until deliveries of it are committed; it keeps a slot of its destination's window.
    Lingering(Monotonic, Box<Facts>),
    /// The connection cache.
    Parked,
    /// The shell, ending it.
    Retiring,
}

/// How a transaction is ordered.
pub(crate) struct Terms {
    pub(crate) flight: Flight,
    pub(crate) found: Found,
    pub(crate) reply_within: Duration,
    /// The delivery has had the session already.
    pub(crate) is_again: bool,
}

impl Session {
    /// A session that is being opened for a delivery.
    pub(crate) fn dialled(
        way: Way,
        (host, destination): (Arc<str>, Destination),
        wanted: Wanted,
        now: Monotonic,
    ) -> Self {
        Session {
            endpoint: way.endpoint,
            source: way.source,
            host,
            destination,
            state: State::Dialling(None),
            wanted,
            tls: None,
            dialled: now,
            connected: None,
            late: None,
            is_late: false,
            is_second: false,
            uses: 0,
            parked: None,
            idle: Duration::ZERO,
            begun: 0,
            opening: Opening::default(),
            end: None,
            facts: None,
            behind: VecDeque::new(),
            is_flying: false,
            unsettled: 0,
            binds: false,
        }
    }

    /// Between which addresses it is.
    pub(crate) fn way(&self) -> Way {
        Way {
            endpoint: self.endpoint,
            source: self.source,
        }
    }

    /// Answers whether it counts against the limits.
    pub(crate) fn is_counted(&self) -> bool {
        match self.state {
            State::Dialling(_) | State::Busy(_) | State::Lingering(..) => true,
            State::Parked | State::Retiring => false,
        }
    }

    /// A delivery takes it.
    fn begin_use(&mut self, delivery: DeliveryId, destination: Destination, now: Monotonic) {
        self.idle = match (&self.state, self.parked) {
            (State::Parked, Some(since)) => now - since,
            _ => Duration::ZERO,
        };
        self.destination = destination;
        self.uses += 1;
        self.state = State::Busy(delivery);
    }

    /// Answers whether its present use is the first since its dial.
    pub(crate) fn is_fresh(&self) -> bool {
        self.uses as usize <= 1 + self.behind.len() && self.parked.is_none()
    }
}

impl Dispatch {
    /// Gives a session that is free, fresh or just taken from the cache to a delivery.
    pub(crate) fn assign(&mut self, id: DeliveryId, session: SessionId, found: Found) {
        self.leave_lines(id);
        let reply_within = self.reply_within_of(session);
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let Some(taken) = self.sessions.get_mut(&session) else {
            return;
        };
        delivery.stage = Stage::Transacting(session, found);
        let was_counted = taken.is_counted();
        let way = taken.way();
        taken.begin_use(id, delivery.entry.destination.clone(), self.now.monotonic);
        let flight = self.flight(session, id);
        let terms = Terms {
            flight,
            found,
            reply_within,
            is_again: false,
        };
        if !was_counted {
            self.occupy(way);
        }
        self.order(id, session, terms);
        self.fill(session);
    }

    /// Orders a transaction of a delivery on its session.
    pub(crate) fn order(&mut self, id: DeliveryId, session: SessionId, terms: Terms) {
        let way = self.sessions.get(&session).map(Session::way);
        let choice = way.map_or(Choice::Only, |way| self.say_choice(id, way));
        let (Some(delivery), Some(carrier)) = (self.deliveries.get(&id), self.sessions.get(&session)) else {
            return;
        };
        self.out.push(Command::Transact {
            session,
            delivery: id,
            entry: delivery.entry.id,
            recipients_max: self.settings.recipients_per_transaction.max(1),
            next_host: delivery.is_next_host,
            flight: terms.flight,
            choice,
            found: terms.found,
            reply_within: terms.reply_within,
            unfit: delivery.unfit,
        });
        let (way, now) = (carrier.way(), self.now.monotonic);
        let is_small = delivery.entry.size <= FLIGHT_CONTENT_MAX;
        self.hosts.began(way, session, is_small, now);
        if !terms.is_again {
            self.hosts.came(way, now);
        }
        self.count_order(session, id, (!terms.is_again).then_some(terms.found));
    }

    /// Parks a session that is free, or retires it if it may not stay.
    pub(crate) fn park(&mut self, id: SessionId, facts: Facts) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let (endpoint, destination, binds) = (session.endpoint, session.destination.clone(), session.binds);
        session.state = State::Parked;
        let way = session.way();
        let now = self.now.monotonic;
        session.parked = Some(now);
        self.vacate(way);
        let parked = Parked {
            facts,
            destination: destination.clone(),
            since: now,
            reuse_count_max: self.own_reuse_count_max(&destination),
        };
        let gone = self.cache.park_as(id, parked);
        if let Some(idle_max) = self.hosts.idle_max(way, now) {
            self.cache.shorten_idle(id, idle_max);
        }
        if gone.is_none_or(|(gone, _)| gone != id) {
            if binds {
                self.cache.bind(&destination, endpoint, now);
            }
            self.out.push(Command::Watch { session: id });
        }
        if let Some((gone, cause)) = gone {
            self.retire(gone, cause.into());
        }
    }

    /// Orders a session to be ended.
    pub(crate) fn retire(&mut self, id: SessionId, cause: RetireCause) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let (was_counted, way) = (session.is_counted(), session.way());
        session.state = State::Retiring;
        self.out.push(Command::Retire { session: id, cause });
        if was_counted {
            self.vacate(way);
        }
        self.count_retired(id, cause);
    }

    /// Retires what has left the cache.
    pub(crate) fn retire_all(&mut self, gone: Vec<(SessionId, Leaving)>) {
        for (session, cause) in gone {
            self.retire(session, cause.into());
        }
    }

    /// Strikes a session that is no more.
    pub(crate) fn bury(&mut self, id: SessionId) -> Option<Session> {
        self.disarm(id);
        let session = self.sessions.remove(&id)?;
        if session.is_counted() {
            self.vacate(session.way());
        }
        self.leave_host_books(id, &session);
        if let State::Dialling(None) = session.state {
            self.strike_orphan(session.way(), id);
        }
        Some(session)
    }

    /// A parked session ended by itself. Taken or retired in the meantime, it is answered for elsewhere.
    pub(crate) fn died(&mut self, id: SessionId, cause: Death, limit_met: Option<u32>) {
        if let Some(parked) = self.cache.remove(id)
            && let Some(session) = self.bury(id)
        {
            self.count_end(&session, End::Dead(cause));
            let ended = Ended {
                way: session.way(),
                opened: session.dialled,
                limit_met,
            };
            self.take_lesson_of_death(ended, self.now.monotonic - parked.since);
        }
    }

    /// The shell has ended a session.
    pub(crate) fn ended(&mut self, id: SessionId) {
        let is_retiring = |session: &Session| matches!(session.state, State::Retiring);
        if self.sessions.get(&id).is_some_and(is_retiring) {
            self.bury(id);
        }
    }
}
