//! The connection as its transactions see it.
//!
//! # Contract
//! * **Health only gets worse.**

use super::{Health, Peer, Step, flight::Flight};

/// What a transaction acts on.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) peer: Peer,
    pub(super) flight: Flight,
    pub(super) health: Health,
    /// Ended by 421: what was not answered before is not done.
    pub(super) is_ended_by_farewell: bool,
    /// Ended by the server, on a session that had answered before: what may have been taken may go again.
    pub(super) may_resend: bool,
}

impl Line {
    /// A connection that has just been made: the greeting is awaited.
    pub(super) fn new(peer: Peer) -> Self {
        let mut flight = Flight::default();
        flight.expect(Step::Greeting);
        Line {
            peer,
            flight,
            health: Health::Sound,
            is_ended_by_farewell: false,
            may_resend: false,
        }
    }

    /// The session is to end by QUIT.
    pub(super) fn wear(&mut self) {
        self.health = self.health.max(Health::Worn);
    }

    /// The session is to be closed; nothing more goes out or is awaited.
    pub(super) fn end(&mut self) {
        self.health = Health::Broken;
        self.flight.clear();
    }

    /// As [`end`](Self::end), because the server said that it does nothing more.
    pub(super) fn end_by_farewell(&mut self) {
        self.is_ended_by_farewell = true;
        self.end();
    }
}
