//! Idle time that an endpoint is known to tolerate, where that is less than the limit.
//!
//! # Contract
//! * **It only shortens**: no session lies idle longer than the limit, or lives longer.

use std::time::Duration;

use remuda_mail::SessionId;

use crate::{ConnectionCache, Leaving};

impl ConnectionCache {
    /// Ends a parked session's idle time after `idle_max`, because its endpoint tolerates no more.
    pub fn shorten_idle(&mut self, session: SessionId, idle_max: Duration) {
        let Some(kept) = self.sessions.get_mut(&session) else {
            return;
        };
        kept.idle_max = Some(idle_max);
        let ends = kept.parked.since + idle_max;
        if ends < kept.deadline {
            self.deadlines.remove(&(kept.deadline, session));
            kept.deadline = ends;
            kept.why = Leaving::Idle;
            self.deadlines.insert((ends, session));
        }
    }
}
