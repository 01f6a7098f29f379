//! A second dial when the first is late: the delivery need not wait for a host that hangs.
//!
//! ```text
//!   dial A ──connected──▶ …                          ready: A carries it
//!      │late                 │late
//!      └────────▶ dial B ◀───┘      whichever opens first; the other waits for mail, parked
//! ```
//!
//! # Contract
//! * **Late is relative**: without a TCP connection after [`CONNECT_MIN`] or twice what the endpoint usually takes;
//!   without a session after twice its usual time from there on, or [`GREETING_UNKNOWN`] while that is not known,
//!   because some receivers delay their greeting on purpose. Once that is known no second dial is made for it.
//! * **A trial is late sooner**: its message is somebody's.
//! * **Only to an equal endpoint with room** that is not slow, one such dial at a time to each, and at most one dial in ten, after
//!   the first few: it must not look like an attack when many hosts are slow.
//! * **The late dial goes on**: a session that comes of it serves who waits, or is parked.
//!
//! # Rejected
//! * Dialling two at once from the start (RFC 8305 for SMTP): twice the connections for nothing on good days.

use std::time::Duration;

use remuda_clock::Monotonic;
use remuda_mail::{DeliveryId, SessionId, Way};

use crate::{Dispatch, deliveries::Stage, sessions::State, settings::EndpointChoice};

/// How many second dials may be made: in tenths.
#[derive(Debug)]
pub(crate) struct Credit(u32);

impl Credit {
    pub(crate) fn new() -> Self {
        Credit(CREDIT_MAX)
    }

    pub(crate) fn earn(&mut self) {
        self.0 = (self.0 + 1).min(CREDIT_MAX);
    }

    fn spend(&mut self) {
        self.0 -= COST;
    }

    fn is_enough(&self) -> bool {
        self.0 >= COST
    }
}

impl Dispatch {
    /// A dial begins: it is late after some time.
    pub(crate) fn watch_dial(&mut self, dial: SessionId, way: Way) {
        let usual = self.hosts.get(way).and_then(|record| record.speed.connecting);
        let late = usual.map_or(CONNECT_MIN, |usual| (usual * 2).max(CONNECT_MIN));
        self.arm(dial, late);
    }

    /// A dial has connected: now it is late after another time.
    pub(crate) fn connected(&mut self, dial: SessionId) {
        let now = self.now.monotonic;
        let Some(session) = self.sessions.get_mut(&dial) else {
            return;
        };
        let (way, after) = (session.way(), now - session.dialled);
        if !matches!(session.state, State::Dialling(_)) || session.connected.is_some() {
            return;
        }
        session.connected = Some(now);
        let is_trial = match session.state {
            State::Dialling(Some(owner)) => {
                self.deliveries.get(&owner).is_some_and(|one| one.trial.is_some())
            }
            _ => false,
        };
        self.hosts.connected(way, after);
        self.disarm(dial);
        let usual = self.hosts.get(way).and_then(|record| record.speed.greeting);
        let late = match usual {
            Some(usual) => (usual * 2).max(CONNECT_MIN),
            None if is_trial || self.hosts.is_failing(way) => CONNECT_MIN * 2,
            None => GREETING_UNKNOWN,
        };
        self.arm(dial, late);
    }

    fn arm(&mut self, dial: SessionId, late: Duration) {
        let at = self.now.monotonic + late;
        if let Some(session) = self.sessions.get_mut(&dial) {
            session.late = Some(at);
            self.late.insert((at, dial));
        }
    }

    /// A dial has come to its end.
    pub(crate) fn disarm(&mut self, dial: SessionId) {
        if let Some(at) = self
            .sessions
            .get_mut(&dial)
            .and_then(|session| session.late.take())
        {
            self.late.remove(&(at, dial));
        }
    }

    /// Looks after the dials that are late now.
    pub(crate) fn look_after_late(&mut self, now: Monotonic) {
        while let Some((at, dial)) = self.late.first().copied() {
            if at > now {
                break;
            }
            self.disarm(dial);
            let Some(session) = self.sessions.get_mut(&dial) else {
                continue;
            };
            session.is_late = true;
            match session.state {
                State::Dialling(Some(owner)) => {
                    if let Some(delivery) = self.deliveries.get_mut(&owner) {
                        delivery.trial = None;
                    }
                    self.stagger(owner, dial);
                }
                _ => drop(self.late_orphans.insert(dial)),
            }
        }
    }

    /// Makes a second dial for a delivery, if there is a host for it.
    fn stagger(&mut self, id: DeliveryId, late: SessionId) {
        let is_adaptive = self.settings.endpoint_choice == EndpointChoice::Adaptive;
        if self.is_stopping || !is_adaptive || !self.stagger_credit.is_enough() {
            return;
        }
        let Some(way) = self.other_than(id, late) else {
            return;
        };
        self.stagger_credit.spend();
        self.orphan(late);
        if !self.has_session_left() {
            self.give_up(late);
        }
        let dial = self.dial_for(id, way);
        if let Some(session) = self.sessions.get_mut(&dial) {
            session.is_second = true;
        }
        if let Some(delivery) = self.deliveries.get_mut(&id)
            && let Stage::Waiting(wait) = &mut delivery.stage
        {
            wait.dial = Some(dial);
        }
    }

    /// The equal endpoint to which a delivery is dialled a second time.
    fn other_than(&self, id: DeliveryId, late: SessionId) -> Option<Way> {
        let now = self.now.monotonic;
        let late = self.sessions.get(&late)?.way();
        let wait = self.deliveries.get(&id)?.wait()?;
        let has_second = |way: Way| {
            let mut dials = self.sessions.values();
            dials.any(|one| one.is_second && one.way() == way && matches!(one.state, State::Dialling(_)))
        };
        let mut others: Vec<Way> = wait
            .at
            .iter()
            .copied()
            .filter(|way| *way != late && self.may_dial(*way) && !self.hosts.is_paused(*way, now))
            .filter(|way| !self.hosts.is_slow(*way))
            .filter(|way| !has_second(*way))
            .collect();
        // The line's order is random already.
        others.sort_by_key(|way| self.hosts.dials(*way));
        others.first().copied()
    }
}

/// A TCP connection takes no longer than that to most hosts on earth.
pub(crate) const CONNECT_MIN: Duration = Duration::from_millis(250);
/// A greeting is waited for so long where it is not known how long it takes.
pub(crate) const GREETING_UNKNOWN: Duration = Duration::from_secs(3);
/// Tenths of a dial that a second one costs, and that may be saved up.
const COST: u32 = 10;
const CREDIT_MAX: u32 = 100;
