//! What an engine is given beside its settings: the world that it talks to, and who knows the accounts.

use std::sync::Arc;

use remuda_directory::Directory;

use crate::{
    actor::Watch,
    network::{Network, TcpNetwork},
    receive::Authenticator,
};

/// The outside of an engine. The default is the real network, seen by nobody, without accounts.
pub struct Outside {
    /// Makes connections.
    pub network: Arc<dyn Network>,
    /// Is shown every decision.
    pub watch: Watch,
    /// Knows who may log in; None: no listener may have `auth`.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Knows what addresses mean; None: the routes alone do.
    pub directory: Option<Directory>,
}

impl Outside {
    /// The real network, with everything that a directory knows.
    pub fn over(directory: Directory) -> Self {
        Outside {
            authenticator: Some(Arc::new(directory.clone())),
            directory: Some(directory),
            ..Outside::default()
        }
    }
}

impl Default for Outside {
    fn default() -> Self {
        Outside {
            network: Arc::new(TcpNetwork),
            watch: Arc::new(|_, _| {}),
            authenticator: None,
            directory: None,
        }
    }
}
