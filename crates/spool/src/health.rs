//! What admission needs to know of the spool.

use std::time::Duration;

/// The spool's state, as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// New messages can be stored.
    pub writable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Age of the oldest write that waits or is being committed.
    pub writer_delay: Duration,
    /// Octets that wait to be written.
    pub queued_bytes: u64,
    /// Octets free on the spool's file system; None when the system does not say.
    pub free_disk: Option<u64>,
    /// Octets of fresh content in memory.
    pub fresh_bytes: u64,
}

/// Whether writes work, as the writer last saw it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Condition {
    #[default]
    Writable,
    /// Deletions only, on what the reserve gave back.
    Full,
    /// Nothing can be written.
    Failing(crate::Error),
}

impl Condition {
    /// Why new messages cannot be stored.
    pub(crate) fn error(&self) -> Option<crate::Error> {
        match self {
            Condition::Writable => None,
            Condition::Full => Some(crate::Error::Full),
            Condition::Failing(error) => Some(error.clone()),
        }
    }
}
