//! What the cache is told to count, and its counts.

use remuda_mail::{Destination, Endpoint, SessionId};

use crate::{Accounts, ConnectionCache, End, IDLE_MS_BOUNDS, Opening, Statistics, Taken, USES_BOUNDS, Unfit};

/// The parked sessions that look-ups refused, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The first [`REFUSED_MAX`].
    pub sessions: Vec<(SessionId, Endpoint, Unfit)>,
    /// How many more there were.
    pub more: u32,
    /// The last one's reason.
    pub last: Option<Unfit>,
}

impl ConnectionCache {
    /// Counts a dial.
    pub fn count_dial(&mut self, destination: &Destination, endpoint: Endpoint) {
        self.accounts
            .count(destination, endpoint, |figures| figures.dials += 1);
    }

    /// Counts a dial that failed at `step`.
    pub fn count_dial_failed(&mut self, step: &'static str) {
        *self.interval.usage.dials_failed.entry(step).or_default() += 1;
    }

    /// Counts a session that is open.
    pub fn count_opened(&mut self) {
        self.interval.usage.opened += 1;
    }

    /// Counts a transaction that is ordered.
    pub fn count_taken(&mut self, taken: Taken, destination: &Destination, endpoint: Endpoint) {
        let usage = &mut self.interval.usage;
        match taken {
            // Counted where it was looked up.
            Taken::Parked => {}
            Taken::HandedOver => self.interval.handovers += 1,
            Taken::Fresh => usage.fresh += 1,
            Taken::Uncached => usage.uncached += 1,
            Taken::Again => usage.again += 1,
        }
        self.accounts
            .count(destination, endpoint, |figures| figures.count(taken));
    }

    /// Counts what a transaction on a session that was used before has saved.
    pub fn count_saved(&mut self, opening: Opening) {
        self.interval.usage.round_trips_saved += opening.round_trips;
        self.interval.usage.handshakes_saved += opening.handshakes;
    }

    /// Counts a transaction of which nothing was sent.
    pub fn count_not_begun(&mut self) {
        self.interval.usage.not_begun += 1;
    }

    /// Counts the end of a session that was open, parked before or not, after `uses` transactions.
    pub fn count_end(&mut self, end: End, uses: u32, destination: &Destination, endpoint: Endpoint) {
        let usage = &mut self.interval.usage;
        usage.uses.observe(u64::from(uses), &USES_BOUNDS);
        match end {
            End::Left(cause) => self.interval.count_leaving(cause),
            End::NotParked => usage.not_parked += 1,
            End::Failed => usage.failed += 1,
            End::Dead(death) => {
                *usage.deaths.entry(death.as_str()).or_default() += 1;
                self.interval.closed_dead += 1;
                self.accounts
                    .count(destination, endpoint, |figures| figures.deaths += 1);
            }
        }
    }

    /// Counts a session that was not fit for a delivery that it was offered to.
    pub fn count_unfit(&mut self, reason: Unfit, destination: &Destination, endpoint: Endpoint) {
        self.interval.count_unfit(reason);
        self.accounts
            .count(destination, endpoint, |figures| figures.unfit += 1);
    }

    /// What look-ups have refused since the last call.
    pub fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.refused)
    }

    /// The figures of destinations and endpoints since start.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// How many sessions to `endpoint` are parked.
    pub fn parked_at(&self, endpoint: Endpoint) -> usize {
        self.by_endpoint.get(&endpoint).map_or(0, |places| places.len())
    }

    /// The counts since start.
    pub fn statistics(&self) -> Statistics {
        let mut sum = self.before.clone();
        sum.add(&self.interval);
        sum
    }

    /// The counts of the interval that runs.
    pub fn interval(&self) -> &Statistics {
        &self.interval
    }

    /// The counts since this was last called.
    pub fn take_interval(&mut self) -> Statistics {
        let interval = std::mem::take(&mut self.interval);
        self.before.add(&interval);
        interval
    }

    /// A look-up refused a parked session.
    pub(crate) fn refuse(
        &mut self,
        session: SessionId,
        endpoint: Endpoint,
        reason: Unfit,
        destination: &Destination,
    ) {
        self.count_unfit(reason, destination, endpoint);
        let refused = &mut self.refused;
        refused.last = Some(reason);
        if refused.sessions.len() < REFUSED_MAX {
            refused.sessions.push((session, endpoint, reason));
        } else {
            refused.more += 1;
        }
    }

    /// A session is taken that lay idle for so long.
    pub(crate) fn count_idle(&mut self, idle: std::time::Duration) {
        let millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        self.interval.usage.idle_ms.observe(millis, &IDLE_MS_BOUNDS);
    }
}

/// Refused sessions that are named.
pub const REFUSED_MAX: usize = 8;
