//! What an engine is made with besides its configuration: the world that it talks to, and who knows the accounts.

use std::{pin::Pin, sync::Arc};

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
    /// Knows who has a mailbox here; where there is a directory, it does.
    pub mailboxes: Arc<dyn Mailboxes>,
    /// Knows who may log in; None: no listener may have `auth`. Where there is a directory, it does.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Knows what addresses mean; None: the routes alone do.
    pub directory: Option<Opening>,
}

/// A directory that is opened when it is waited for: the engine does so once its ports and its data directory are
/// its own. The error says what to mend.
pub type Opening = Pin<Box<dyn Future<Output = Result<Directory, String>> + Send>>;

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
