//! What an engine is made with besides its configuration: the world that it talks to, and who knows the accounts.

use std::sync::Arc;

use remuda_directory::Directory;

use crate::{
    actor::Watch,
    local::{Mailboxes, Nobody},
    network::{Network, TcpNetwork},
    receive::Authenticator,
};

/// The parts that others may put in place of the engine's own.
pub struct Parts {
    /// Connects sessions.
    pub network: Arc<dyn Network>,
    /// Sees every decision.
    pub watch: Watch,
    /// Knows who has a mailbox here.
    pub mailboxes: Arc<dyn Mailboxes>,
    /// Knows who may log in; None: no listener may have `auth`.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Knows what addresses mean; None: the routes alone do.
    pub directory: Option<Directory>,
}

impl Parts {
    /// The real network, with everything that a directory knows.
    pub fn over(directory: Directory) -> Self {
        Parts {
            mailboxes: Arc::new(directory.clone()),
            authenticator: Some(Arc::new(directory.clone())),
            directory: Some(directory),
            ..Parts::default()
        }
    }
}

impl Default for Parts {
    /// The real network, no mailboxes but those of the roles, and nobody who logs in.
    fn default() -> Self {
        Parts {
            network: Arc::new(TcpNetwork),
            watch: Arc::new(|_, _| {}),
            mailboxes: Arc::new(Nobody),
            authenticator: None,
            directory: None,
        }
    }
}
