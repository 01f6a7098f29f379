//! The receiving side: listeners, sessions, admission, submission into the spool.
//!
//! ```text
//!  listener ─▶ accept ─▶ session task ⇄ smtp::server (what is said)
//!                          │  MAIL ─▶ admission     RCPT ─▶ Destinations     AUTH ─▶ logins ─▶ Authenticator
//!                          └─ content ─▶ header, trace ─▶ spool ─▶ commit ─▶ accepted(entries), 250
//! ```
//!
//! # Contract
//! * **250 means on disk**, and only then are the entries handed to `accepted`.
//! * **A reload drops no session**: settings are a snapshot, looked at again with each transaction. New handshakes
//!   have the certificates as they are at the reload; if one cannot be used, all stays as it was.
//! * **A stop finishes what is in hand**: nothing new is accepted, idle clients get 421, and
//!   [`Running::stop`] returns when the last session is over. The caller bounds that with
//!   [`Running::end`].
//!
//! # Not here
//! The protocol (`remuda_smtp::server`), routing (`route`), scheduling (`dispatch`).
//!
//! # Known faults
//! A reload does not change the listeners, but for their certificates. A session under TLS goes on under the one that
//! it began with.

mod accept;
mod authenticator;
mod header;
pub mod logins;
mod metrics;
mod offers;
mod recipient;
mod security;
mod session;
mod store;
mod stream;
mod submit;
#[cfg(test)]
mod tests;
mod trace;
mod transaction;
mod wire;

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use remuda_clock::SharedClock;
use remuda_mail::Address;
use remuda_spool::Queued;
use tokio::sync::watch;

pub use accept::{Bound, bind};
pub use authenticator::{Answering, Authenticator, Identity, Login, Owns};
pub use metrics::Metrics;
pub use store::Store;

use crate::{
    addressing::Addressing,
    admission::{Admission, Gauge},
    settings::Settings,
    tls::CertificateError,
};
use accept::Sessions;
use logins::Logins;
use offers::Offer;
use wire::Phase;

/// What takes the entries of a stored message.
pub type Accepted = Arc<dyn Fn(Vec<Queued>) + Send + Sync>;

/// Everything that a receiver needs.
pub struct Receiver<S> {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// Routing under that configuration.
    pub addressing: Addressing,
    /// The spool.
    pub store: S,
    /// The clock.
    pub clock: SharedClock,
    /// Knows what is left of the machine.
    pub gauge: Arc<Gauge>,
    /// Gets the entries of each message, behind its commit.
    pub accepted: Accepted,
    /// Counters.
    pub metrics: Metrics,
    /// Knows the accounts; None: no listener may offer logins.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// What to listen on.
    pub bound: Bound,
}

/// Why receiving cannot start or go on under new settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; change [[listener]] address, or stop what uses it")]
    Listen {
        /// Which.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A listener's certificate cannot be used.
    #[error("[[listener]] {address}: {error}")]
    Certificate {
        /// The listener's.
        address: String,
        /// Why.
        error: CertificateError,
    },
    /// Nobody knows the accounts of those who log in.
    #[error("[[listener]] {address}: auth = true needs the directory; set auth = false")]
    NoAuthenticator {
        /// The listener's.
        address: String,
    },
    /// The hostname cannot be part of an address.
    #[error("hostname {hostname:?} is no domain name; set hostname to the name of this machine")]
    Hostname {
        /// The name.
        hostname: String,
    },
}

/// A running receiver.
pub struct Running<S> {
    shared: Arc<Shared<S>>,
    addresses: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
}

/// What all sessions share.
struct Shared<S> {
    store: S,
    clock: SharedClock,
    gauge: Arc<Gauge>,
    accepted: Accepted,
    metrics: Metrics,
    snapshot: RwLock<Arc<Snapshot>>,
    sessions: Arc<Sessions>,
    logins: Logins,
}

/// The settings of the moment.
struct Snapshot {
    settings: Arc<Settings>,
    addressing: Addressing,
    /// One a listener.
    offers: Vec<Arc<Offer>>,
    /// `<postmaster>`, spelt out.
    postmaster: Address,
}

impl Snapshot {
    fn new(settings: Arc<Settings>, addressing: Addressing, offers: Vec<Arc<Offer>>) -> Result<Self, Error> {
        let postmaster = format!("postmaster@{}", settings.hostname);
        let postmaster = postmaster.parse().map_err(|_| Error::Hostname {
            hostname: settings.hostname.to_string(),
        })?;
        Ok(Snapshot {
            settings,
            addressing,
            offers,
            postmaster,
        })
    }

    /// What is offered at a listener.
    fn offer(&self, place: Option<usize>) -> Arc<Offer> {
        let offer = place.and_then(|place| self.offers.get(place)).cloned();
        offer.unwrap_or_else(|| Arc::new(Offer::plain()))
    }
}

impl<S> Shared<S> {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn admission(&self, snapshot: &Snapshot) -> Admission {
        self.gauge.admission(&snapshot.settings.limits)
    }
}

impl<S: Store> Receiver<S> {
    /// Begins to accept. Must be called within a runtime.
    ///
    /// # Errors
    /// Nothing is listening then.
    pub fn start(self) -> Result<Running<S>, Error> {
        let Receiver {
            settings,
            addressing,
            bound: Bound { sockets, offers },
            authenticator,
            ..
        } = self;
        if let (None, Some(listener)) = (
            &authenticator,
            settings.listeners.iter().find(|listener| listener.auth),
        ) {
            let address = listener.address.to_string();
            return Err(Error::NoAuthenticator { address });
        }
        let listeners = accept::watched(sockets)?;
        let addresses = listeners
            .iter()
            .filter_map(|listener| listener.socket.local_addr().ok())
            .collect();
        let (phase, watch) = watch::channel(Phase::Running);
        let shared = Arc::new(Shared {
            store: self.store,
            logins: Logins::new(authenticator, self.clock.clone()),
            clock: self.clock,
            gauge: self.gauge,
            accepted: self.accepted,
            metrics: self.metrics,
            snapshot: RwLock::new(Arc::new(Snapshot::new(settings, addressing, offers)?)),
            sessions: Arc::new(Sessions::default()),
        });
        for listener in listeners {
            tokio::spawn(accept::run(shared.clone(), listener, watch.clone()));
        }
        Ok(Running {
            shared,
            addresses,
            phase,
        })
    }
}

impl<S> Running<S> {
    /// The addresses listened on, ports included.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether mail is taken now, with the figures behind it.
    pub fn admission(&self) -> (Admission, crate::admission::Load) {
        self.shared.gauge.status(&self.shared.snapshot().settings.limits)
    }

    /// Sessions open now.
    pub fn sessions(&self) -> usize {
        self.shared.sessions.count()
    }

    /// Goes by other settings from the next transaction on, and by the certificates as they are in their files now.
    ///
    /// # Errors
    /// The settings cannot be used; the old ones stay.
    pub fn reload(&self, settings: Arc<Settings>, addressing: Addressing) -> Result<(), Error> {
        let old = self.shared.snapshot();
        let offers = offers::read(&settings.listeners, &self.shared.clock, &old.offers)?;
        let snapshot = Arc::new(Snapshot::new(settings, addressing, offers)?);
        *self
            .shared
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }

    /// Stops accepting and waits for the sessions to end, each after the transaction in hand.
    pub async fn stop(&self) {
        self.phase
            .send_modify(|phase| *phase = Phase::Stopping.max(*phase));
        self.shared.sessions.ended().await;
    }

    /// Ends all sessions where they stand. What has no 250 yet may be stored or not; its client sends it
    /// again.
    pub fn end(&self) {
        self.phase.send_modify(|phase| *phase = Phase::Ended);
    }
}
