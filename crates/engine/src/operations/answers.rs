//! The answers: structs whose field names are the JSON of the admin API.

use serde::{Deserialize, Serialize};

use super::EntryStatus;

/// How the server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// `hostname`.
    pub hostname: String,
    /// Since start.
    pub uptime_seconds: f64,
    /// Ready or stopping.
    pub state: ServiceState,
    /// Whether new mail is taken.
    pub admission: AdmissionStatus,
    /// Sizes of the queue.
    pub queue: QueueCounts,
    /// Open sessions.
    pub sessions: SessionCounts,
    /// Over the last minute.
    pub rates: Rates,
    /// The durable store.
    pub spool: SpoolStatus,
}

/// What the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// Takes and delivers mail.
    Ready,
    /// Finishes what is in hand.
    Stopping,
}

/// Whether new mail is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionStatus {
    /// `open`, `refuse-mail` (452 at MAIL) or `refuse-connect` (421 at connect).
    pub state: String,
    /// Why something is refused.
    pub reason: Option<String>,
}

/// Sizes of the queue, in entries: a message counts once for each of its destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// In memory: in flight or next in turn.
    pub active: u64,
    /// Waiting in the spool.
    pub deferred: u64,
    /// On hold.
    pub held: u64,
    /// Destinations with mail.
    pub destinations: u64,
}

/// Open sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Clients of ours.
    pub inbound: u64,
    /// Of `inbound` at most (`limits.sessions`).
    pub inbound_max: u64,
    /// Outbound: in a transaction or being opened.
    pub busy: u64,
    /// Of `busy` at most (`delivery.sessions`).
    pub busy_max: u64,
    /// Outbound: in the connection cache.
    pub parked: u64,
    /// Of `parked` at most (`connection_cache.connections`).
    pub parked_max: u64,
}

/// Over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Messages taken a second.
    pub received_per_second: f64,
    /// Recipients delivered a second.
    pub delivered_per_second: f64,
}

/// The durable store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// New messages can be stored.
    pub writable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Age of the oldest write that waits.
    pub writer_delay_ms: u64,
    /// Octets free on its file system, if known.
    pub free_disk: Option<u64>,
}

/// An outbound session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Number of the session, unique since start.
    pub session: u64,
    /// What it does.
    pub state: ConnectionState,
    /// The destination it works for or was last used for.
    pub destination: String,
    /// `ADDRESS:PORT`.
    pub endpoint: String,
    /// The host's name.
    pub host: String,
    /// The address of ours that it is bound to, when a `[[source]]` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The user name that it is logged in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The TLS version, or `none`.
    pub tls: String,
    /// Why it is in clear: `by policy`, `not offered`, `handshake failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<String>,
    /// Transactions begun on it.
    pub uses: u32,
    /// Transactions that its server takes on a session, where that was learned.
    #[serde(default)]
    pub transactions_max: Option<u32>,
    /// Since before connect.
    pub age_seconds: f64,
    /// Since it was parked; 0 while in use.
    pub idle_seconds: f64,
    /// Smoothed time that a transaction waits for replies, once known.
    #[serde(default)]
    pub transaction_ms: Option<f64>,
    /// The queue id of the message that it carries.
    #[serde(default)]
    pub message: Option<String>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Being opened.
    Dialling,
    /// In a transaction.
    Busy,
    /// Free, and kept from its next message until the disk has taken what it delivered.
    Settling,
    /// In the connection cache.
    Parked,
    /// Saying QUIT.
    Retiring,
}

/// What `DELETE /api/v1/connections` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredParked {
    /// Sessions that say QUIT now.
    pub retired: u64,
}

/// A page of the queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The entries, oldest first.
    pub entries: Vec<QueueEntry>,
    /// What to give as `after` for the next page; None = this was the last.
    pub next: Option<u64>,
}

/// A message's recipients for one destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// The queue id.
    pub id: String,
    /// Number of the entry, for `after`.
    pub entry: u64,
    /// Queued, deferred or held.
    pub status: EntryStatus,
    /// Where it is scheduled.
    pub destination: String,
    /// Empty for the null sender.
    pub sender: String,
    /// Recipients without a final outcome.
    pub recipients: Vec<String>,
    /// Octets of content.
    pub size: u64,
    /// When it came.
    pub arrived: i64,
    /// When it is given up.
    pub expires: i64,
    /// When it may be tried next.
    pub due: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// The last deferral, in words.
    pub reason: Option<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageShown {
    /// The queue id.
    pub id: String,
    /// Empty for the null sender.
    pub sender: String,
    /// Octets of content.
    pub size: u64,
    /// When it came.
    pub arrived: i64,
    /// When it is given up.
    pub expires: i64,
    /// The client's address; empty for reports of our own.
    pub client: String,
    /// What it said in HELO or EHLO.
    pub helo: String,
    /// How it came: `ESMTP`, `DSN`, …
    pub protocol: String,
    /// What is left of it, by destination.
    pub entries: Vec<EntryShown>,
}

/// One destination of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryShown {
    /// Number of the entry.
    pub entry: u64,
    /// Queued, deferred or held.
    pub status: EntryStatus,
    /// Where it is scheduled.
    pub destination: String,
    /// When it may be tried next.
    pub due: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// Recipients without a final outcome.
    pub recipients: Vec<RecipientShown>,
    /// The last attempts, oldest first.
    pub last_attempts: Vec<AttemptShown>,
}

/// A recipient without a final outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientShown {
    /// Who.
    pub address: String,
    /// The last deferral, in words.
    pub reason: Option<String>,
    /// A host may have accepted it already: a final reply was lost.
    #[serde(default)]
    pub may_be_duplicate: bool,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptShown {
    /// When it ended.
    pub at: i64,
    /// `host[address]:port` of the last host tried; empty when none was.
    pub relay: String,
    /// What came of it.
    pub result: String,
    /// What was considered on the way to its sessions, in order; bounded in number.
    #[serde(default)]
    pub considered: Vec<ConsideredShown>,
    /// How much more was considered.
    #[serde(default)]
    pub considered_more: u32,
}

/// One candidate for a session of an attempt, or what was done for want of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsideredShown {
    /// How it came to be considered: `destination`, `address`, `freed`; `dial`, `limit`, `cache`; or how the
    /// session taken was found, as in the delivery log.
    pub by: String,
    /// `ADDRESS:PORT`.
    pub endpoint: Option<String>,
    /// The session's number.
    pub session: Option<u64>,
    /// `none parked`, `unfit`, `full`, `dialled`, `joined`, `failed`, `taken`, `dead`, `off`.
    pub verdict: String,
    /// Why it was not fit.
    pub reason: Option<String>,
}

/// The queue by destination and age.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Upper ends of the age columns in minutes; one more column is older than the last.
    pub age_minutes: Vec<u64>,
    /// One row a destination, the fullest first; bounded in number.
    pub destinations: Vec<SummaryRow>,
}

/// A destination's mail by age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// Which.
    pub destination: String,
    /// Entries in all, held ones included.
    pub total: u64,
    /// Entries by age column.
    pub counts: Vec<u64>,
    /// Suspended until, while it is.
    #[serde(default)]
    pub suspended_until: Option<i64>,
    /// Why it is suspended.
    #[serde(default)]
    pub suspended_reason: Option<String>,
}

/// What a verb did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Entries changed.
    pub changed: u64,
    /// Messages of these that are in flight: their transaction is finished first, then the verb holds.
    pub in_flight: Vec<String>,
}
