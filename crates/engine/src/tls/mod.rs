//! TLS: to other servers one client configuration a policy, to clients one acceptor a listener; the handshake, and
//! what went wrong in words.
//!
//! ```text
//!   connection ─handshake─▶ any: whoever it is          (may, encrypt)
//!                      └──▶ trusted: chain, then name   (verify)
//! ```
//!
//! # Contract
//! * **Resumption works**: each kind has one configuration, with one memory of sessions, for all connections
//!   until a reload trusts others.
//! * **What was resumed is held to the same**: the name is checked after every handshake, against the
//!   certificate that the first one of the chain had shown.
//! * **A configuration that trusts anybody never serves `verify`**: the two share no memory.
//! * **Every problem of a certificate is said in plain words** ([`Problem`]).
//!
//! # Not here
//! When TLS is tried: `remuda_smtp::client`. What a session with it may carry: `remuda_connection_cache`.
//!
//! # Limits
//! [`RESUMPTIONS_MAX`] hosts are remembered for resumption, a kind.
//!
//! # Known faults
//! No revocation lists. A reload that trusts others retires what is parked; a session that is busy just then
//! serves on until it is too old (`connection_cache.reuse_time_limit`).

mod acceptor;
mod certificate;
mod problem;
mod stream;
mod trust;
mod verifier;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use remuda_clock::SharedClock;
use remuda_mail::{Authenticated, Endpoint, Names, Tls, TlsLevel, TlsPolicy, TlsProtocol};
use rustls::{
    ClientConfig, ProtocolVersion,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{ServerName, UnixTime},
    time_provider::TimeProvider,
};
use tokio_rustls::TlsConnector;

pub use self::{
    acceptor::{Acceptor, Secured},
    certificate::{CertificateError, Certified},
    problem::Problem,
    trust::TrustError,
};
use self::{
    stream::TlsStream,
    verifier::{Anybody, Trusted},
};
use crate::{network::Transport, settings};

/// Hosts whose sessions are remembered for resumption.
pub const RESUMPTIONS_MAX: usize = 4096;

/// The client's side of TLS, as one configuration of the engine has it.
pub struct Clients {
    /// For whom any certificate will do.
    any: TlsConnector,
    /// For whom the certificate must have a trusted issuer.
    trusted: TlsConnector,
    /// Stands for those who are trusted.
    trust: u64,
}

impl Clients {
    /// Reads the certificates of those whom `settings` trusts.
    ///
    /// # Errors
    /// `ca_file` cannot be used.
    pub fn new(settings: &settings::Tls, clock: &SharedClock) -> Result<Self, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = trust::roots(settings.ca_file.as_deref())?;
        let trust = trust::digest(&roots);
        let trusted = Trusted::new(roots, &provider);
        let any = Anybody::new(&provider);
        Ok(Clients {
            any: connector(Arc::new(any), provider.clone(), clock),
            trusted: connector(Arc::new(trusted), provider, clock),
            trust,
        })
    }

    /// Answers whether both trust the same issuers.
    pub fn trusts_as(&self, other: &Clients) -> bool {
        self.trust == other.trust
    }

    /// Makes the handshake on a connection to a host that is called `host`; whoever calls limits the time.
    ///
    /// # Errors
    /// The handshake failed, or the certificate is not one that `policy` is content with.
    pub async fn handshake(
        &self,
        transport: Box<dyn Transport>,
        policy: &TlsPolicy,
        host: &Arc<str>,
        endpoint: Endpoint,
    ) -> Result<(Box<dyn Transport>, Tls), Problem> {
        let is_verified = policy.level == TlsLevel::Verify;
        let wanted = policy.names_of(host);
        let connector = if is_verified { &self.trusted } else { &self.any };
        let name = called(wanted.first().filter(|_| is_verified).unwrap_or(host), endpoint);
        let connected = connector.connect(name, transport).await;
        let stream = connected.map_err(|error| Problem::of(&error))?;
        let (_, session) = stream.get_ref();
        let authenticated = if is_verified {
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            Authenticated::Names(proved(&wanted, certificate)?)
        } else {
            Authenticated::Nobody
        };
        let protocol = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsProtocol::Tls12,
            _ => TlsProtocol::Tls13,
        };
        let tls = Tls::Encrypted {
            protocol,
            authenticated,
        };
        Ok((Box::new(TlsStream(stream)), tls))
    }
}

/// Which of the wanted names a certificate is for.
fn proved(
    wanted: &Names,
    certificate: Option<&rustls::pki_types::CertificateDer<'_>>,
) -> Result<Names, Problem> {
    let mut mismatch = Problem::Nameless;
    let mut proved = Vec::new();
    if let Some(certificate) = certificate {
        for name in wanted.iter() {
            match verifier::check_name(certificate, name) {
                Ok(()) => proved.push(name.clone()),
                Err(problem) => mismatch = problem.wanting(wanted),
            }
        }
    }
    if proved.is_empty() {
        return Err(mismatch);
    }
    Ok(proved.into())
}

/// Whom the handshake calls; a host without a proper name by its address.
fn called(host: &str, endpoint: Endpoint) -> ServerName<'static> {
    ServerName::try_from(host.to_owned())
        .unwrap_or_else(|_| ServerName::IpAddress(endpoint.ip().unwrap_or(LOCAL).into()))
}

/// The address of what has none: a socket.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn connector(
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
    clock: &SharedClock,
) -> TlsConnector {
    let time = Arc::new(Time(clock.clone()));
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(RESUMPTIONS_MAX);
    Arc::new(config).into()
}

/// Our clock, as rustls asks it.
struct Time(SharedClock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().wall.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
