//! What `dispatch` shows of itself: plain copies for the admin API, the log and tests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::Wall;
pub use remuda_connection_cache::{
    Death, Figures, Histogram, IDLE_MS_BOUNDS, ROWS_MAX, Statistics as CacheStatistics, USES_BOUNDS, Usage,
};
use remuda_mail::{Destination, Endpoint, MessageId, SessionId, Tls};

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Being opened.
    Dialling,
    /// Carries a transaction.
    Busy,
    /// Free, and kept from its next message until the disk has taken what it delivered.
    Settling,
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
    /// The address of ours that it is bound to; `None`: the system chose.
    pub source: Option<IpAddr>,
    /// What protects it; None while it is being opened.
    pub tls: Option<Tls>,
    /// Transactions begun on it.
    pub uses: u32,
    /// Transactions that its endpoint takes on a session, where that was learned.
    pub transactions_max: Option<u32>,
    /// Since before connect.
    pub age: Duration,
    /// Since it was parked; zero while busy.
    pub idle: Duration,
    /// The message that it carries.
    pub message: Option<MessageId>,
    /// Smoothed time that a transaction with its endpoint waits for replies.
    pub transaction: Option<Duration>,
}

/// What figures are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakdownBy {
    /// Destination.
    Destination,
    /// Endpoint.
    Endpoint,
}

/// Figures by destination or by endpoint since start.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// The busiest, busiest first.
    pub rows: Vec<BreakdownRow>,
    /// All others together.
    pub other: Figures,
    /// How many are remembered one by one.
    pub known: usize,
}

/// One destination or endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakdownRow {
    /// Which.
    pub name: String,
    /// Since start.
    pub figures: Figures,
    /// Of an endpoint: sessions busy or being opened, and parked, now.
    pub sessions: Option<(u64, u64)>,
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
