//! One `[[listener]]`: where clients come in, and what they are offered there.

use std::{net::SocketAddr, path::PathBuf};

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `address`.
    pub address: SocketAddr,
    /// `role`.
    pub role: Role,
    /// `tls`, `certificate` and `key`.
    pub tls: ListenerTls,
    /// `auth`: clients may log in, once TLS is on.
    pub auth: bool,
}

/// `role`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Mail of others for those whom we know (RFC 5321).
    #[default]
    Mx,
    /// Mail of those who have logged in, and of nobody else (RFC 6409).
    Submission,
}

/// `tls` of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListenerTls {
    /// Never.
    #[default]
    None,
    /// When the client asks for it (RFC 3207).
    StartTls(PemFiles),
    /// From the first octet (RFC 8314).
    Implicit(PemFiles),
}

/// `certificate` and `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFiles {
    /// The certificate, and behind it those of its issuers.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Listener {
    /// For anybody's mail, in clear.
    pub fn plain(address: SocketAddr) -> Self {
        Listener {
            address,
            role: Role::Mx,
            tls: ListenerTls::None,
            auth: false,
        }
    }

    /// Answers whether a reload may put `other` in this one's place: only the names of its files may differ.
    pub fn is_like(&self, other: &Listener) -> bool {
        let kind = |listener: &Listener| match listener.tls {
            ListenerTls::None => 0,
            ListenerTls::StartTls(_) => 1,
            ListenerTls::Implicit(_) => 2,
        };
        (self.address, self.role, self.auth, kind(self))
            == (other.address, other.role, other.auth, kind(other))
    }
}

impl ListenerTls {
    /// The files, where there is TLS.
    pub fn files(&self) -> Option<&PemFiles> {
        match self {
            ListenerTls::None => None,
            ListenerTls::StartTls(files) | ListenerTls::Implicit(files) => Some(files),
        }
    }
}
