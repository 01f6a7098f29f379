//! What an operator may ask of the running engine, and the answers, as plain data.
//!
//! The admin API and the program speak to the engine through [`Operations`] only; the field names here are
//! the field names of its JSON.
//!
//! # Contract
//! * **Names are public.** A field is renamed or removed only with a note in the change log; fields are added.
//! * **Units are in the names**: `…_seconds`, `…_ms`, octets where nothing is said. Times of day are
//!   milliseconds since 1970-01-01 UTC.
//! * **Nothing waits for the network**: an answer comes from memory, or from the spool's indexes.
//!
//! # Not here
//! HTTP, tokens, the OpenAPI description (`remuda_admin`).
//!
//! # Limits
//! A page of the queue has at most [`PAGE_MAX`] entries, a list of hosts [`HOSTS_MAX`] rows.

mod answers;
mod hosts;
mod statistics;

use std::{future::Future, pin::Pin};

use remuda_mail::{Address, Destination, Endpoint, EntryId, MessageId};
use serde::{Deserialize, Serialize};

pub use answers::{
    AdmissionStatus, AttemptShown, Changed, Connection, ConnectionState, ConsideredShown, EntryShown,
    MessageShown, Page, QueueCounts, QueueEntry, Rates, RecipientShown, RetiredParked, ServiceState,
    SessionCounts, SpoolStatus, Status, Summary, SummaryRow,
};

pub use hosts::{ForgottenHosts, Host, HostFilter, HostState, Hosts};
pub use statistics::{Breakdown, BreakdownBy, CacheCounts, CacheStatistics, FiguresRow, HistogramShown};

/// Entries on a page at most, whatever is asked for.
pub const PAGE_MAX: usize = 10_000;
/// Entries on a page when nothing is asked for.
pub const PAGE_DEFAULT: usize = 100;
/// Rows of a breakdown at most: as many as are remembered.
pub const BREAKDOWN_MAX: usize = remuda_dispatch::view::ROWS_MAX;

/// Hosts in an answer when nothing is asked for.
pub const HOSTS_DEFAULT: usize = 1000;
/// Hosts in an answer at most: more than are remembered without a session.
pub const HOSTS_MAX: usize = 20_000;

/// An answer that comes later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why an operation did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// There is no such message.
    #[error("no such message: {0}")]
    NoSuchMessage(MessageId),
    /// Nothing is remembered of such a host.
    #[error("nothing is remembered of {0}")]
    NoSuchHost(Endpoint),
    /// What was typed names several destinations.
    #[error("{typed} names several destinations: {}", .several.iter().map(Destination::as_str).collect::<Vec<_>>().join(" and "))]
    Ambiguous {
        /// As it came.
        typed: Destination,
        /// Their keys.
        several: Vec<Destination>,
    },
    /// The spool cannot be read or written now.
    #[error("the spool is not available: {0}")]
    Spool(String),
    /// Nobody knows now where mail goes.
    #[error("{0}")]
    Unroutable(String),
    /// The engine is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// What an operator may ask.
pub trait Operations: Send + Sync + 'static {
    /// How the server is.
    fn status(&self) -> Pending<'_, Result<Status, OperationError>>;

    /// Sessions that match, parked and in use.
    fn connections(&self, filter: ConnectionFilter) -> Pending<'_, Result<Vec<Connection>, OperationError>>;

    /// Says QUIT on parked sessions that match; answers how many.
    fn retire_parked(&self, filter: ConnectionFilter) -> Pending<'_, Result<RetiredParked, OperationError>>;

    /// The connection cache's statistics.
    fn cache_statistics(&self) -> Pending<'_, Result<CacheStatistics, OperationError>>;

    /// The figures by destination or by endpoint, `rows_max` of them one by one.
    fn cache_breakdown(
        &self,
        by: BreakdownBy,
        rows_max: usize,
    ) -> Pending<'_, Result<Breakdown, OperationError>>;

    /// What is remembered of the hosts that match, those in trouble first.
    fn hosts(&self, filter: HostFilter) -> Pending<'_, Result<Hosts, OperationError>>;

    /// Forgets what was learned of an endpoint, from whichever of our addresses.
    fn forget_host(&self, endpoint: Endpoint) -> Pending<'_, Result<ForgottenHosts, OperationError>>;

    /// A page of the queue.
    fn queue_list(&self, filter: QueueFilter) -> Pending<'_, Result<Page, OperationError>>;

    /// One message with its attempts.
    fn queue_show(&self, id: MessageId) -> Pending<'_, Result<MessageShown, OperationError>>;

    /// The queue by destination and age.
    fn queue_summary(&self) -> Pending<'_, Result<Summary, OperationError>>;

    /// Changes what is selected. A message in flight is finished first, and named in the answer.
    fn queue_change(&self, verb: Verb, selection: Selection) -> Pending<'_, Result<Changed, OperationError>>;

    /// Where mail to an address goes that is not in a domain of ours: its destination's key, by the routes of the
    /// directory and of the configuration, else by its domain.
    fn next_hop(&self, address: Address) -> Pending<'_, Result<String, OperationError>>;

    /// Everything counted, in Prometheus' text format.
    fn metrics_text(&self) -> Pending<'_, Result<String, OperationError>>;
}

/// Which sessions; None = any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// For this destination.
    pub destination: Option<Destination>,
    /// To this endpoint.
    pub endpoint: Option<Endpoint>,
}

/// Which entries of the queue; None = any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// For this destination.
    pub destination: Option<Destination>,
    /// From this sender; empty = the null sender.
    pub sender: Option<String>,
    /// In this state.
    pub status: Option<EntryStatus>,
    /// How many at most; bounded by [`PAGE_MAX`].
    pub limit: usize,
    /// Only behind this entry.
    pub after: Option<EntryId>,
}

/// The state of an entry as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryStatus {
    /// Not tried yet.
    Queued,
    /// Tried, and waiting for its next attempt.
    Deferred,
    /// On hold.
    Held,
}

/// What to do with entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Try now, also where the destination is suspended. Held entries stay held.
    Retry,
    /// Keep until released.
    Hold,
    /// End the hold.
    Release,
    /// Remove, without a report.
    Delete,
}

/// Which entries to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of a message.
    Message(MessageId),
    /// All of a destination.
    Destination(Destination),
    /// The whole queue.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_public() {
        let counts = serde_json::to_value(QueueCounts::default()).unwrap();
        assert_eq!(
            counts,
            serde_json::json!({"active": 0, "deferred": 0, "held": 0, "destinations": 0})
        );
        assert_eq!(serde_json::to_value(Verb::Retry).unwrap(), "retry");
        assert_eq!(serde_json::to_value(EntryStatus::Held).unwrap(), "held");
        assert_eq!(serde_json::to_value(ServiceState::Ready).unwrap(), "ready");
        assert_eq!(serde_json::to_value(ConnectionState::Parked).unwrap(), "parked");
        assert_eq!(serde_json::to_value(HostState::Paused).unwrap(), "paused");
    }
}
