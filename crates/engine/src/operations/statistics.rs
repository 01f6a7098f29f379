//! The answers about the connection cache: its counts, and the figures of destinations and endpoints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The connection cache's statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatistics {
    /// Since the server started.
    pub since_start: CacheCounts,
    /// Since the statistics were last logged.
    pub interval: CacheCounts,
    /// The figures by destination or by endpoint, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<Breakdown>,
}

/// Counts of the connection cache over some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheCounts {
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
    /// Sessions that ended, by cause: idle, age, count, evicted, dead, drained; not_parked, worn, failed of those
    /// that never came to be parked.
    pub closed: BTreeMap<String, u64>,
    /// Sessions refused for a delivery, by reason.
    pub unfit: BTreeMap<String, u64>,
    /// Sessions that were greeted and introduced themselves.
    pub opened: u64,
    /// Dials that failed, by step: connect, greeting, helo.
    pub dials_failed: BTreeMap<String, u64>,
    /// Transactions by how their session was found: destination, address, handover, miss, off; again: a further
    /// one of a delivery on its session.
    pub transactions: BTreeMap<String, u64>,
    /// Of these, the ones of which nothing was sent.
    pub transactions_not_begun: u64,
    /// Sessions found dead before use, by cause: fin, reset, data, no_reply.
    pub deaths: BTreeMap<String, u64>,
    /// Transactions of each session that has ended.
    pub uses: HistogramShown,
    /// Milliseconds that sessions lay idle before they were taken.
    pub idle_ms: HistogramShown,
    /// Round trips that reuse has saved.
    pub round_trips_saved: u64,
    /// TLS handshakes that reuse has saved.
    pub handshakes_saved: u64,
}

/// How often values fell where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramShown {
    /// Upper bounds, themselves included.
    pub bounds: Vec<u64>,
    /// Values under each bound and over the one before, and last those beyond.
    pub counts: Vec<u64>,
    /// How many values.
    pub count: u64,
    /// All values together.
    pub sum: u64,
}

/// What figures are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakdownBy {
    /// Destination.
    Destination,
    /// Endpoint.
    Endpoint,
}

/// Figures by destination or by endpoint since start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakdown {
    /// Which.
    pub by: BreakdownBy,
    /// The busiest, busiest first.
    pub rows: Vec<FiguresRow>,
    /// All others together, forgotten ones included, so that sums are right.
    pub other: FiguresRow,
    /// How many are remembered one by one.
    pub known: u64,
}

/// The figures of one destination or endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiguresRow {
    /// Which; empty of the others.
    pub name: String,
    /// Transactions.
    pub uses: u64,
    /// Of these: on a parked session.
    pub hits: u64,
    /// On a session that another delivery had just left.
    pub handovers: u64,
    /// On a new session.
    pub misses: u64,
    /// Further ones of a delivery on its session.
    pub again: u64,
    /// Sessions dialled.
    pub dials: u64,
    /// Sessions found dead before use.
    pub deaths: u64,
    /// Sessions refused as unfit.
    pub unfit: u64,
    /// Of an endpoint: sessions busy or being opened now.
    #[serde(default)]
    pub busy: Option<u64>,
    /// Of an endpoint: sessions parked now.
    #[serde(default)]
    pub parked: Option<u64>,
}
