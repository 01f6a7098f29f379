//! Dials: what a session is opened for, and who gets it when its delivery has found another.
//!
//! # Contract
//! * **A dial is not wasted**: when its delivery has found another session it goes on for whoever comes, and is
//!   adopted only by a delivery whose own dial would bring the same.
//! * **A late dial that nobody waits for gives way** when all sessions are in use and somebody needs one.
//! * **A failed handshake is remembered while the session is opened**, and excuses `may` alone.

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use remuda_mail::{
    DeliveryId, Destination, Endpoint, HopLogin, Protocol, SessionId, TlsLevel, TlsPolicy, Way,
};

use crate::{
    Dispatch,
    candidates::Servers,
    command::{Command, RetireCause, Security},
    sessions::{Session, State},
};

/// What a dial is to bring, as far as it decides for whom else it would do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    protocol: Protocol,
    tls: TlsPolicy,
    login: Option<HopLogin>,
    /// The host as it is called, where that matters.
    host: Option<Arc<str>>,
}

impl Wanted {
    fn new(servers: &Servers, endpoint: Endpoint) -> Self {
        let is_named = servers.tls.level == TlsLevel::Verify && servers.tls.names.is_empty();
        Wanted {
            protocol: servers.protocol,
            tls: servers.tls.clone(),
            login: servers.login.clone(),
            host: servers.host(endpoint).filter(|_| is_named),
        }
    }
}

impl Dispatch {
    /// Orders a session to be opened for a delivery.
    pub(crate) fn dial(&mut self, way: Way, delivery: DeliveryId) -> SessionId {
        let Way { endpoint, source } = way;
        let id = SessionId(self.session_next);
        self.session_next += 1;
        let (servers, destination) = self.dialled_for(delivery);
        let host = servers.host(endpoint);
        let host = host.unwrap_or_else(|| endpoint.to_string().into());
        self.out.push(Command::Dial {
            session: id,
            endpoint,
            protocol: servers.protocol,
            host: host.clone(),
            source,
            helo_name: self.helo_name(source),
            destination: destination.clone(),
            security: self.security(&servers, way),
        });
        self.hosts.dialled(way, id, self.now.monotonic);
        self.cache.count_dial(&destination, endpoint);
        self.occupy(way);
        let wanted = Wanted::new(&servers, endpoint);
        let mut session = Session::dialled(way, (host, destination), wanted, self.now.monotonic);
        session.state = State::Dialling(Some(delivery));
        self.sessions.insert(id, session);
        self.watch_dial(id, way);
        id
    }

    /// The servers that a delivery dials, and for whom.
    fn dialled_for(&self, delivery: DeliveryId) -> (Arc<Servers>, Destination) {
        match self.deliveries.get(&delivery) {
            Some(delivery) => (
                delivery.itinerary.servers().clone(),
                delivery.entry.destination.clone(),
            ),
            None => (Arc::default(), Destination::from_key("")),
        }
    }

    /// What a session by this way must have.
    fn security(&self, servers: &Servers, way: Way) -> Security {
        // The memory has to last until the session is open.
        let then = self.now.monotonic + OPENING_MAX;
        let failed = self.hosts.handshake_failed(way, then);
        let is_excused = servers.tls.level == TlsLevel::May && !servers.tls.is_implicit(way.endpoint);
        Security {
            tls: servers.tls.clone(),
            failed_handshake: failed.filter(|_| is_excused),
            login: servers.login.clone(),
        }
    }

    /// A dial's delivery has found another session: the dial goes on for whoever comes.
    pub(crate) fn orphan(&mut self, dial: SessionId) {
        if let Some(session) = self.sessions.get_mut(&dial) {
            if session.is_late {
                self.late_orphans.insert(dial);
            }
            session.state = State::Dialling(None);
            self.orphans.entry(session.way()).or_default().push_back(dial);
        }
    }

    /// Gives up the oldest late dial that nobody waits for, because somebody needs a session; answers whether
    /// there was one.
    pub(crate) fn give_up_an_orphan(&mut self) -> bool {
        // Ids are given in the order of dialling.
        let oldest = self.late_orphans.first().copied();
        oldest.is_some_and(|dial| self.give_up(dial))
    }

    /// Ends a dial under way.
    pub(crate) fn give_up(&mut self, dial: SessionId) -> bool {
        let Some(session) = self.sessions.get(&dial) else {
            return false;
        };
        let (way, age) = (session.way(), self.now.monotonic - session.dialled);
        self.hosts.not_opened(way, age, self.now.monotonic);
        self.strike_orphan(way, dial);
        self.disarm(dial);
        if let Some(session) = self.sessions.get_mut(&dial) {
            session.state = State::Retiring;
        }
        self.hosts.undialled(way);
        self.rouse(way);
        self.vacate(way);
        self.cache.count_dial_failed("given_up");
        let cause = RetireCause::NotParked;
        self.out.push(Command::Retire { session: dial, cause });
        true
    }

    /// Finds a dial that nobody waits for, by one of these ways, for a delivery: one that brings what the
    /// delivery's own would.
    pub(crate) fn adopt(&mut self, ways: &[Way], delivery: DeliveryId) -> Option<SessionId> {
        let servers = self.deliveries.get(&delivery)?.itinerary.servers();
        let found = ways.iter().find_map(|way| {
            let wanted = Wanted::new(servers, way.endpoint);
            let mut dials = self.orphans.get(way)?.iter();
            let dial = dials.find(|dial| {
                let session = self.sessions.get(dial);
                session.is_some_and(|session| session.wanted == wanted && !session.is_late)
            })?;
            Some((*way, *dial))
        });
        let (way, dial) = found?;
        self.strike_orphan(way, dial);
        self.sessions.get_mut(&dial)?.state = State::Dialling(Some(delivery));
        Some(dial)
    }

    pub(crate) fn strike_orphan(&mut self, way: Way, dial: SessionId) {
        self.late_orphans.remove(&dial);
        if let Some(dials) = self.orphans.get_mut(&way) {
            dials.retain(|other| *other != dial);
            if dials.is_empty() {
                self.orphans.remove(&way);
            }
        }
    }

    /// How we introduce ourselves from there.
    fn helo_name(&self, source: Option<IpAddr>) -> Arc<str> {
        let sources = &self.settings.sources;
        let ours = sources.iter().find(|ours| Some(ours.address) == source);
        ours.map_or(&self.settings.helo_name, |ours| &ours.helo_name)
            .clone()
    }
}

/// For a session to be opened; nearly none takes that long.
const OPENING_MAX: Duration = Duration::from_secs(300);

/// Dials that nobody waits for, oldest first.
pub(crate) type Orphans = hashbrown::HashMap<Way, VecDeque<SessionId>>;
