//! The answers about hosts: what is remembered of each endpoint, for each of our addresses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is remembered of hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hosts {
    /// How many are remembered in all.
    pub known: u64,
    /// How many of these are in each state.
    pub states: BTreeMap<HostState, u64>,
    /// Those that match: the ones in trouble first, then the busiest; bounded in number.
    pub hosts: Vec<Host>,
}

/// Which hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// In this state; None = any.
    pub state: Option<HostState>,
    /// How many at most; bounded by [`HOSTS_MAX`](super::HOSTS_MAX).
    pub limit: usize,
}

/// What state a host is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It has failed, and is not tried yet.
    Paused,
    /// A dial tries whether it is back.
    Trial,
    /// Others are more than twice as good: it gets a trial from time to time.
    Slow,
    /// It gets its share.
    Used,
}

impl HostState {
    /// All there are, those in trouble first.
    pub const ALL: [HostState; 4] = [
        HostState::Paused,
        HostState::Trial,
        HostState::Slow,
        HostState::Used,
    ];

    /// The word for people; the same as in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            HostState::Paused => "paused",
            HostState::Trial => "trial",
            HostState::Slow => "slow",
            HostState::Used => "used",
        }
    }
}

/// What is remembered of one endpoint, for one of our addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// `ADDRESS:PORT`.
    pub endpoint: String,
    /// The host's name, while there is a session to it.
    pub host: Option<String>,
    /// The address of ours, when a `[[source]]` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What state it is in.
    pub state: HostState,
    /// Why, in words.
    pub reason: Option<String>,
    /// When it is tried next, if it is paused or slow. A slow one only if mail goes elsewhere meanwhile; null when
    /// nothing else is waited for.
    pub next_trial: Option<i64>,
    /// Smoothed time that a transaction waits for replies, once known.
    pub transaction_ms: Option<f64>,
    /// Smoothed time from a dial to a session that is ready, once known.
    pub opening_ms: Option<f64>,
    /// Sessions busy or being opened.
    pub sessions: u32,
    /// Sessions parked.
    pub parked: u64,
    /// Connections that it allows at once, where that was learned.
    pub connections_max: Option<u32>,
    /// Transactions that it allows on a session, where that was learned.
    pub transactions_max: Option<u32>,
    /// How long it tolerates an idle session, where that was learned.
    pub idle_max_seconds: Option<f64>,
    /// Whether it bears that a session is used again.
    pub bears_reuse: bool,
    /// Messages that may be in flight on one session.
    pub depth: u32,
    /// Failures in a row: dials, and transactions broken off.
    pub failures: u32,
}

/// What `DELETE /api/v1/hosts/{endpoint}` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenHosts {
    /// Of how many of our addresses something was remembered.
    pub forgotten: u64,
}
