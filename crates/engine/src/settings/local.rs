//! `[local]`: where mail for mailboxes here goes.

use std::sync::Arc;

use remuda_mail::{HopPolicy, HostPort, Protocol, SocketPath, TlsLevel};

pub use crate::local::{Template, TemplateError};

/// `local.delivery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalDelivery {
    /// `maildir:PATH`, relative to `data_dir`.
    Maildir(Template),
    /// `lmtp:…`: all but the postmaster's.
    Lmtp(LmtpServer),
}

/// Who takes mail by LMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LmtpServer {
    /// `lmtp:HOST:PORT`.
    Tcp(Arc<[HostPort]>),
    /// `lmtp:unix:/PATH`.
    Unix(SocketPath),
}

impl LocalDelivery {
    /// The LMTP server, if there is one.
    pub fn lmtp(&self) -> Option<&LmtpServer> {
        match self {
            LocalDelivery::Maildir(_) => None,
            LocalDelivery::Lmtp(server) => Some(server),
        }
    }
}

impl Default for LocalDelivery {
    fn default() -> Self {
        LocalDelivery::Maildir(Template::default())
    }
}

impl LmtpServer {
    /// How it is spoken to, whatever `[delivery.tls]` wants of the world: TLS where it is offered, but not on
    /// this machine's own sockets.
    pub fn policy(&self) -> HopPolicy {
        HopPolicy {
            protocol: Protocol::Lmtp,
            tls: Some(match self {
                LmtpServer::Tcp(_) => TlsLevel::May,
                LmtpServer::Unix(_) => TlsLevel::None,
            }),
            ..HopPolicy::default()
        }
    }
}
