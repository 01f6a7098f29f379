//! What the cache answers, and what it is told.

use std::{sync::Arc, time::Duration};

use crate::ticket::Ticket;

/// The answer to a look-up.
#[derive(Debug)]
pub enum LookUp<V> {
    /// The object. Whoever gets `refresh` loads it in the background; nobody waits for that.
    Hit {
        /// The object.
        value: Arc<V>,
        /// At the first look-up after 80 % of its life.
        refresh: Option<Ticket>,
    },
    /// Known not to exist.
    Absent,
    /// The caller waits, and loads: as a task of its own, which then calls [`finish`](crate::Cache::finish).
    Load(Ticket),
    /// The caller waits for another's load.
    Joined,
    /// The cache is off: the caller loads for itself. Nothing is shared or kept, and nobody was taken as
    /// waiting.
    Bypass(Ticket),
    /// A load of this key has just failed and is not tried yet. A value that is past its time, but within the
    /// window for failures, may be used as [`Answer::Stale`] may.
    Failing(Option<Arc<V>>),
    /// Too many loads are under way.
    Crowded,
}

/// What a load came to.
#[derive(Debug)]
pub enum Loaded<V> {
    /// The row.
    Found(Arc<V>),
    /// The database has said that there is no such row.
    NotFound,
    /// Everything else: no connection, a time-out, half an answer.
    Failed,
}

/// What a load gives to those who waited.
#[derive(Debug)]
pub struct Finished<V, W> {
    /// Whom to answer: first who began the load, then the others in turn. None for a refresh that nobody
    /// joined, and past a cache that is off.
    pub waiters: Vec<W>,
    /// With what.
    pub answer: Answer<V>,
}

/// The answer to those who waited.
///
/// There is no stale absence: where a load failed, that there *was* no such row refuses nobody (D6), so it is
/// [`Answer::Unavailable`] like everything else that is not known.
#[derive(Debug)]
pub enum Answer<V> {
    /// The object.
    Found(Arc<V>),
    /// There is none.
    NotFound,
    /// The load failed; the object as it was, no older than its TTL and the window for failures. It may
    /// accept, it never refuses for good.
    Stale(Arc<V>),
    /// The load failed, and nothing is known.
    Unavailable,
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        match self {
            Answer::Found(value) => Answer::Found(Arc::clone(value)),
            Answer::NotFound => Answer::NotFound,
            Answer::Stale(value) => Answer::Stale(Arc::clone(value)),
            Answer::Unavailable => Answer::Unavailable,
        }
    }
}

impl<V> From<Loaded<V>> for Answer<V> {
    /// The answer where nothing is known but what the load came to.
    fn from(loaded: Loaded<V>) -> Self {
        match loaded {
            Loaded::Found(value) => Answer::Found(value),
            Loaded::NotFound => Answer::NotFound,
            Loaded::Failed => Answer::Unavailable,
        }
    }
}

/// What lies under a key, for people.
#[derive(Debug)]
pub struct Peeked<V> {
    /// The object; `None`: known not to exist.
    pub value: Option<Arc<V>>,
    /// Since its load was sent.
    pub age: Duration,
    /// Until it is used no longer; zero when it is past its time.
    pub expires_in: Duration,
    /// The row's version.
    pub version: Option<i64>,
    /// Octets that it is counted with.
    pub weight: u64,
    /// Whether a refresh brought it, and not a load that somebody waited for.
    pub is_refreshed: bool,
}
