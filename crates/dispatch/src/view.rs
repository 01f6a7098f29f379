//! What `dispatch` shows of itself: plain copies for the admin API, the log and tests.

use std::{sync::Arc, time::Duration};

use remuda_clock::Wall;
use remuda_mail::{Destination, Endpoint, SessionId};

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Being opened.
    Dialling,
    /// Carries a transaction.
    Busy,
    /// In the connection cache.
    Parked,
    /// Saying QUIT.
    Retiring,
}

/// One session.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionView {
    /// Its id.
    pub session: SessionId,
    /// What it does.
    pub state: SessionState,
    /// The destination it works for, or was last used for.
    pub destination: Destination,
    /// Where it is connected to.
    pub endpoint: Endpoint,
    /// The host's name.
    pub host: Arc<str>,
    /// Transactions begun on it.
    pub uses: u32,
    /// Since before connect.
    pub age: Duration,
    /// Since it was parked; zero while busy.
    pub idle: Duration,
}

/// One destination's summary.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationView {
    /// Which.
    pub destination: Destination,
    /// Entries waiting (in memory, in flight, or in the spool), without held ones.
    pub waiting: u64,
    /// Entries on hold.
    pub held: u64,
    /// Of the waiting: in memory.
    pub active: u64,
    /// Deliveries in hand.
    pub busy: u32,
    /// The concurrency window.
    pub window: u32,
    /// Suspended until, and why.
    pub suspended: Option<(Wall, String)>,
    /// The earliest due time of what lies in the spool only.
    pub due: Option<Wall>,
}

/// Counts of the connection cache since they were last taken, or since start (contract.md, Delivery log
/// and Metrics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Look-ups by destination that found a session.
    pub destination_hits: u64,
    /// … that found none.
    pub destination_misses: u64,
    /// Look-ups by address that found a session.
    pub address_hits: u64,
    /// … that found none.
    pub address_misses: u64,
    /// Most destinations with a binding at once.
    pub max_destinations: u64,
    /// Most endpoints with a parked session at once.
    pub max_addresses: u64,
    /// Most parked sessions at once.
    pub max_connections: u64,
    /// Sessions handed over without being parked.
    pub handovers: u64,
    /// Closed for having been idle.
    pub closed_idle: u64,
    /// … too old.
    pub closed_age: u64,
    /// … used too often.
    pub closed_count: u64,
    /// … to make room.
    pub closed_evicted: u64,
    /// … found dead.
    pub closed_dead: u64,
    /// … at reload, shutdown or on wish.
    pub closed_drained: u64,
    /// Refusals by `fitness`, by reason.
    pub unfit: std::collections::BTreeMap<&'static str, u64>,
}

/// Sizes and totals for the status page and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries in memory (waiting their turn or in flight).
    pub active: u64,
    /// Entries waiting in all, in memory or not.
    pub waiting: u64,
    /// Entries on hold.
    pub held: u64,
    /// Destinations with mail.
    pub destinations: u64,
    /// Sessions busy or being opened.
    pub busy_sessions: u64,
    /// Sessions parked.
    pub parked_sessions: u64,
}
