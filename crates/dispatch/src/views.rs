//! How `dispatch` fills its [views](crate::view).

use remuda_clock::Now;
use remuda_connection_cache::Statistics;
use remuda_mail::{Destination, SessionId, Way};
use remuda_schedule::QueueView;

use crate::{
    Dispatch,
    sessions::{Session, State},
    view::{ConnectionView, DestinationView, SessionState, Totals},
};

impl Dispatch {
    /// All sessions, oldest first.
    pub fn connections(&self, now: Now) -> impl Iterator<Item = ConnectionView> + '_ {
        self.sessions
            .iter()
            .map(move |(id, session)| self.connection(*id, session, now))
    }

    /// All destinations that have mail or are remembered, in no order.
    pub fn destinations(&self, now: Now) -> impl Iterator<Item = DestinationView> + '_ {
        self.schedule.views().map(move |view| summary(&view, now))
    }

    /// One destination's summary.
    pub fn destination(&self, destination: &Destination, now: Now) -> Option<DestinationView> {
        self.schedule.view(destination).map(|view| summary(&view, now))
    }

    /// Transactions that an endpoint takes on a session, where that was learned. O(1).
    pub fn transactions_max(&self, way: Way, now: Now) -> Option<u32> {
        self.hosts.transactions_max(way, now.monotonic)
    }

    /// Sizes and totals. O(1).
    pub fn totals(&self) -> Totals {
        let sums = self.schedule.totals();
        Totals {
            active: sums.active,
            waiting: sums.waiting,
            held: sums.held,
            destinations: sums.destinations,
            busy_sessions: u64::from(self.busy),
            parked_sessions: self.cache.len() as u64,
        }
    }

    /// The counts of the connection cache since start.
    pub fn statistics(&self) -> Statistics {
        self.cache.statistics()
    }

    /// The counts of the connection cache since they were last taken.
    pub fn interval(&self) -> &Statistics {
        self.cache.interval()
    }

    /// The counts of the connection cache since this was last called.
    pub fn take_interval(&mut self) -> Statistics {
        self.cache.take_interval()
    }

    fn connection(&self, id: SessionId, session: &Session, now: Now) -> ConnectionView {
        let (state, idle_since) = match &session.state {
            State::Dialling(_) => (SessionState::Dialling, None),
            State::Busy(_) => (SessionState::Busy, None),
            State::Lingering(..) => (SessionState::Settling, None),
            State::Parked => {
                let since = self.cache.get(id).map(|parked| parked.since);
                (SessionState::Parked, since)
            }
            State::Retiring => (SessionState::Retiring, None),
        };
        ConnectionView {
            session: id,
            state,
            destination: session.destination.clone(),
            endpoint: session.endpoint,
            host: session.host.clone(),
            tls: session.tls.clone(),
            source: session.source,
            uses: session.uses,
            transactions_max: self.transactions_max(session.way(), now),
            age: now.monotonic - session.dialled,
            idle: idle_since.map(|since| now.monotonic - since).unwrap_or_default(),
            message: match session.state {
                State::Busy(delivery) => self.deliveries.get(&delivery).map(|busy| busy.entry.message),
                _ => None,
            },
            transaction: self.hosts.wait(session.way()),
        }
    }
}

fn summary(view: &QueueView<'_>, now: Now) -> DestinationView {
    DestinationView {
        destination: view.destination.clone(),
        waiting: view.waiting,
        held: view.held,
        active: view.active,
        busy: view.busy,
        window: view.window,
        suspended: view
            .suspended
            .map(|(until, reason)| (now.wall + (until - now.monotonic), reason.to_owned())),
        due: view.due,
    }
}
