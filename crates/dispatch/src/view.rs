//! What `dispatch` shows of itself: plain copies for the admin API, the log and tests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use remuda_clock::Wall;
pub use remuda_connection_cache::{
    Death, Figures, Histogram, IDLE_MS_BOUNDS, ROWS_MAX, Statistics as CacheStatistics, USES_BOUNDS, Usage,
};
use remuda_mail::{Destination, Endpoint, MessageId, SessionId, Tls, Way};

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

/// What state an endpoint is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostState {
    /// It gets its share.
    Used,
    /// Others are more than twice as good: it gets a trial from time to time.
    Slow,
    /// It has failed, and is not tried yet.
    Paused,
    /// A dial tries whether it is back.
    Trial,
}

impl HostState {
    /// All there are.
    pub const ALL: [HostState; 4] = [
        HostState::Used,
        HostState::Slow,
        HostState::Paused,
        HostState::Trial,
    ];

    /// The word for people and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            HostState::Used => "used",
            HostState::Slow => "slow",
            HostState::Paused => "paused",
            HostState::Trial => "trial",
        }
    }
}

/// What is remembered of one endpoint, for one of our addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    /// Where, and from where.
    pub way: Way,
    /// Its name, where a session to it is known.
    pub host: Option<Arc<str>>,
    /// What state it is in.
    pub state: HostState,
    /// Why, in words; empty where there is nothing to say.
    pub reason: String,
    /// When it is tried again, if it is paused or slow.
    pub next_trial: Option<Wall>,
    /// Smoothed time that a transaction waits for replies.
    pub transaction: Option<Duration>,
    /// Smoothed time from a dial to a session.
    pub opening: Option<Duration>,
    /// Sessions busy or being opened.
    pub sessions: u32,
    /// Sessions parked.
    pub parked: usize,
    /// Connections that it allows, where that was learned.
    pub connections_max: Option<u32>,
    /// Transactions that it allows on a session, where that was learned.
    pub transactions_max: Option<u32>,
    /// How long it tolerates a session to lie idle, where that was learned.
    pub idle_max: Option<Duration>,
    /// Whether it bears that a session is used again.
    pub bears_reuse: bool,
    /// Transactions that may be under way on one session.
    pub depth: u32,
    /// Dials that failed since the last that did not.
    pub failures: u32,
}
