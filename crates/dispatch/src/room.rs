//! Whether there is room for another session: in all, by a way, and by what its endpoint lets in.
//!
//! # Contract
//! * **Limits hold for taking too**: a parked session counts once it is taken.
//! * **In a pause nothing is dialled beside open sessions**: those are waited for.
//! * **Whoever gives room says so**: it goes to those who wait, at the end of the event.

use remuda_mail::Way;

use crate::Dispatch;

impl Dispatch {
    /// Answers whether another session by this way may be busy.
    pub(crate) fn has_room(&self, way: Way) -> bool {
        let general = self.settings.sessions_per_endpoint;
        self.hosts.sessions(way) < self.ceilings.sessions_max(way.endpoint, general)
    }

    /// Answers whether another session by this way may be dialled.
    pub(crate) fn may_dial(&self, way: Way) -> bool {
        let now = self.now.monotonic;
        // In a pause the sessions that are open are waited for.
        let is_held_back = self.hosts.open(way) > 0 && self.hosts.is_paused(way, now);
        self.has_room(way) && self.hosts.has_room(way, now) && !is_held_back
    }

    /// Answers whether a delivery may find a session by this way: parked or by a dial.
    pub(crate) fn may_use(&self, way: Way) -> bool {
        self.may_dial(way) || (self.has_room(way) && self.cache.parked_at(way.endpoint) > 0)
    }

    /// Answers whether another session may be busy at all.
    pub(crate) fn has_session_left(&self) -> bool {
        self.busy < self.settings.sessions.max(1)
    }

    pub(crate) fn occupy(&mut self, way: Way) {
        self.busy += 1;
        self.hosts.add_session(way);
    }

    pub(crate) fn vacate(&mut self, way: Way) {
        self.busy -= 1;
        self.hosts.remove_session(way);
        self.freed.push(way);
    }

    /// Answers whether another session may be busy; if not, a late dial that nobody waits for gives way to one
    /// that may be found by these ways.
    pub(crate) fn finds_a_session_left(&mut self, at: &[Way]) -> bool {
        self.has_session_left() || (at.iter().any(|way| self.may_use(*way)) && self.give_up_an_orphan())
    }
}
