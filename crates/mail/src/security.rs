//! What protects a conversation: what a session has of it, and what a next-hop wants of one.
//!
//! # Contract
//! * **A secret is never shown**: [`Secret`] has no text but for whoever asks for it by name.
//! * **Levels are ordered** by what they demand: none, may, encrypt, verify.

use std::{fmt, sync::Arc, time::Duration};

use remuda_clock::Monotonic;

use crate::{Endpoint, Protocol};

/// Names of hosts, shared.
pub type Names = Arc<[Arc<str>]>;

/// How much TLS a next-hop is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsLevel {
    /// None.
    None,
    /// Where the host offers it and it works.
    #[default]
    May,
    /// Always; with whom does not matter.
    Encrypt,
    /// Always, and with the right host.
    Verify,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// With the connection on port 465, else by STARTTLS.
    #[default]
    ByPort,
    /// By STARTTLS.
    StartTls,
    /// With the connection (RFC 8314).
    Implicit,
}

/// What is demanded of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsPolicy {
    /// How much.
    pub level: TlsLevel,
    /// How it begins.
    pub mode: TlsMode,
    /// For `verify`: who must be there, one of these. Empty: the host, as routing or its MX names it.
    pub names: Names,
}

impl TlsPolicy {
    /// Answers whether a connection to `endpoint` begins with TLS.
    pub fn is_implicit(&self, endpoint: Endpoint) -> bool {
        let is_wanted = match self.mode {
            TlsMode::ByPort => endpoint.port() == Some(IMPLICIT_TLS_PORT),
            TlsMode::StartTls => false,
            TlsMode::Implicit => true,
        };
        is_wanted && self.level != TlsLevel::None
    }

    /// Who must be at a host that is called `host`.
    pub fn names_of(&self, host: &Arc<str>) -> Names {
        if self.names.is_empty() {
            [host.clone()].into()
        } else {
            self.names.clone()
        }
    }
}

/// What a session has of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// None, and why.
    Clear(Clear),
    /// A handshake has succeeded.
    Encrypted {
        /// The version.
        protocol: TlsProtocol,
        /// Who is on the other side.
        authenticated: Authenticated,
    },
}

/// Why a session is in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clear {
    /// Nobody asked for more.
    ByPolicy,
    /// The host does not offer STARTTLS, or does not take it.
    NotOffered,
    /// A handshake with this endpoint failed at that time.
    HandshakeFailed(Monotonic),
}

/// The version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsProtocol {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Who is on the other side of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authenticated {
    /// Anybody.
    Nobody,
    /// A host with a trusted certificate for each of these names.
    Names(Names),
}

impl Tls {
    /// The version, if there is one.
    pub fn protocol(&self) -> Option<TlsProtocol> {
        match self {
            Tls::Clear(_) => None,
            Tls::Encrypted { protocol, .. } => Some(*protocol),
        }
    }
}

impl TlsProtocol {
    /// As logs and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsProtocol::Tls12 => "TLSv1.2",
            TlsProtocol::Tls13 => "TLSv1.3",
        }
    }
}

/// Which credentials a session has shown. Equal credentials have equal ids, others have others; only the
/// shell knows what is behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialsId(pub u64);

/// What we say at AUTH.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Who.
    pub username: Arc<str>,
    /// The proof.
    pub password: Secret,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: &str) -> Self {
        Secret(text.into())
    }

    /// The text, to be given to nobody but the peer that it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a route wants its hosts to be spoken to. The default leaves all to `[delivery]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HopPolicy {
    /// What they speak; no route says so, only `[local]`.
    pub protocol: Protocol,
    /// `tls`; None: what holds for the destination.
    pub tls: Option<TlsLevel>,
    /// `tls_mode`.
    pub tls_mode: TlsMode,
    /// `tls_names`.
    pub tls_names: Names,
    /// `username`.
    pub login: Option<HopLogin>,
}

/// How a route's hosts are logged in to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HopLogin {
    /// Who, for the key of the destination.
    pub username: Arc<str>,
    /// What is said.
    pub credentials: CredentialsId,
    /// `auth_in_clear`: also without TLS.
    pub in_clear: bool,
    /// The route of the directory that says so: two of them may name one user with different passwords, each
    /// of which may change by itself. None: `[[route]]`s, which may not.
    pub route: Option<Arc<str>>,
}

impl fmt::Display for HopPolicy {
    /// What distinguishes it from the default, as the end of a destination's key: `;tls=verify;user=me`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol == Protocol::Lmtp {
            f.write_str(";lmtp")?;
        }
        if let Some(level) = self.tls {
            write!(f, ";tls={}", level.as_str())?;
        }
        match self.tls_mode {
            TlsMode::ByPort => {}
            TlsMode::StartTls => f.write_str(";mode=starttls")?,
            TlsMode::Implicit => f.write_str(";mode=implicit")?,
        }
        for name in self.tls_names.iter() {
            write!(f, ";name={name}")?;
        }
        if let Some(login) = &self.login {
            if login.in_clear {
                f.write_str(";auth=clear")?;
            }
            if let Some(route) = &login.route {
                write!(f, ";route={route}")?;
            }
            // Last: it may hold anything.
            write!(f, ";user={}", login.username)?;
        }
        Ok(())
    }
}

impl TlsLevel {
    /// As the configuration names it.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsLevel::None => "none",
            TlsLevel::May => "may",
            TlsLevel::Encrypt => "encrypt",
            TlsLevel::Verify => "verify",
        }
    }
}

/// Where a connection begins with TLS (RFC 8314 §3.3).
pub const IMPLICIT_TLS_PORT: u16 = 465;

/// How long a failed handshake lets `may` be served in clear.
pub const HANDSHAKE_MEMORY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let credentials = Credentials {
            username: "me".into(),
            password: Secret::new("hunter2"),
        };
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(credentials.password.reveal(), "hunter2");
    }

    #[test]
    fn levels_are_ordered() {
        let levels = [TlsLevel::None, TlsLevel::May, TlsLevel::Encrypt, TlsLevel::Verify];
        assert!(levels.is_sorted());
    }

    #[test]
    fn tls_begins_with_the_connection_on_port_465_or_on_wish() {
        let at = |port| Endpoint::Tcp(([192, 0, 2, 1], port).into());
        for (level, mode, port, is_implicit) in [
            (TlsLevel::May, TlsMode::ByPort, 465, true),
            (TlsLevel::May, TlsMode::ByPort, 25, false),
            (TlsLevel::May, TlsMode::StartTls, 465, false),
            (TlsLevel::Verify, TlsMode::Implicit, 2465, true),
            (TlsLevel::None, TlsMode::ByPort, 465, false),
        ] {
            let policy = TlsPolicy {
                level,
                mode,
                names: Names::default(),
            };
            assert_eq!(policy.is_implicit(at(port)), is_implicit, "{policy:?} {port}");
        }
    }
}
