//! TLS with clients: one server configuration a listener, and what a handshake came to.
//!
//! # Contract
//! * **TLS 1.2 and later only.** No client certificate is asked for.
//! * **Resumption works** by tickets, with keys that live as long as the certificate is the same.
//! * **What was agreed is known by the names that Postfix uses** in its logs and trace fields ([`Secured`]).
//!
//! # Not here
//! How long a handshake may take: `receive`.

use std::{fmt, sync::Arc};

use remuda_clock::SharedClock;
use remuda_mail::TlsProtocol;
use rustls::{
    CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
    crypto::aws_lc_rs::{self, Ticketer},
    sign::SingleCertAndKey,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Certified, Problem, Time};

/// The server's side of TLS, with one certificate.
pub struct Acceptor {
    certified: Certified,
    acceptor: TlsAcceptor,
}

/// What a client and we have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured {
    /// The version.
    pub protocol: TlsProtocol,
    /// The cipher suite, as OpenSSL calls it.
    pub cipher: &'static str,
    /// Bits of its key.
    pub bits: u16,
    /// How the key was agreed on, where a full handshake did that.
    pub key_exchange: Option<&'static str>,
    /// A former session was resumed.
    pub is_resumed: bool,
}

impl Acceptor {
    /// Presents this certificate.
    pub fn new(certified: Certified, clock: &SharedClock) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(Time(clock.clone())))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for the default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.key.clone())));
        match Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            // Without them every handshake is a full one.
            Err(error) => tracing::warn!(%error, "no session tickets"),
        }
        Acceptor {
            certified,
            acceptor: Arc::new(config).into(),
        }
    }

    /// Answers whether it presents this certificate.
    pub fn presents(&self, certified: &Certified) -> bool {
        self.certified.is_same(certified)
    }

    /// Makes the handshake; whoever calls limits the time.
    ///
    /// # Errors
    /// The client spoke no TLS, or we could not agree. It has been told by an alert.
    pub async fn accept<Io>(&self, io: Io) -> Result<(Box<TlsStream<Io>>, Secured), Problem>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let accepted = self.acceptor.accept(io).await;
        let stream = accepted.map_err(|error| Problem::of(&error))?;
        let secured = Secured::of(stream.get_ref().1);
        Ok((Box::new(stream), secured))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Secured {
    fn of(session: &ServerConnection) -> Self {
        let protocol = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsProtocol::Tls12,
            _ => TlsProtocol::Tls13,
        };
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        let (cipher, bits) = suite.map_or(("unknown", 0), named);
        Secured {
            protocol,
            cipher,
            bits,
            key_exchange: session
                .negotiated_key_exchange_group()
                .and_then(|group| group.name().as_str()),
            is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

/// The suites of the provider by their OpenSSL names, with the bits of their keys.
fn named(suite: CipherSuite) -> (&'static str, u16) {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-ECDSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-ECDSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-ECDSA-CHACHA20-POLY1305", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-RSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-RSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-RSA-CHACHA20-POLY1305", 256),
        other => (other.as_str().unwrap_or("unknown"), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_ours_has_its_openssl_name() {
        for suite in aws_lc_rs::ALL_CIPHER_SUITES {
            let (name, bits) = named(suite.suite());
            assert!(name != "unknown" && [128, 256].contains(&bits), "{suite:?}");
            assert!(!name.contains("WITH"), "{suite:?} is {name}");
        }
    }
}
