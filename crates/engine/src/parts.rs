//! What an engine is made with besides its configuration.

use std::sync::Arc;

use crate::{
    actor::Watch,
    local::{Mailboxes, Nobody},
    network::{Network, TcpNetwork},
};

/// The parts that others may put in place of the engine's own.
pub struct Parts {
    /// Connects sessions.
    pub network: Arc<dyn Network>,
    /// Knows who has a mailbox here.
    pub mailboxes: Arc<dyn Mailboxes>,
    /// Sees every decision.
    pub watch: Watch,
}

impl Default for Parts {
    /// The real network, and no mailboxes but those of the roles.
    fn default() -> Self {
        Parts {
            network: Arc::new(TcpNetwork),
            mailboxes: Arc::new(Nobody),
            watch: Arc::new(|_, _| {}),
        }
    }
}
