//! Why the engine does not start, in words that say what to mend.

use std::io;

use crate::{receive, resolve::ResolverError, tls::TrustError};

/// Why the engine does not start, or keeps its old configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made or read.
    #[error("data_dir {path}: {error}; make it, or give its owner's rights to this user")]
    DataDir {
        /// Which.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The spool cannot be used.
    #[error("spool in {path}: {error}")]
    Spool {
        /// Where.
        path: String,
        /// Why.
        error: remuda_spool::Error,
    },
    /// The DNS servers cannot be used.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// A listener's address cannot be bound, or the hostname is none.
    #[error(transparent)]
    Receive(#[from] receive::Error),
    /// Those whom TLS is to trust cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The directory cannot be opened.
    #[error("directory: {0}")]
    Directory(String),
    /// The descriptor limit is too low for the sessions asked for.
    #[error("{0}")]
    Descriptors(String),
}
