//! What the receiving side counts.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::authenticator::Login;
use crate::tls::{Problem, Secured};

/// The counters of contract.md that belong to receiving. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// `remuda_received_messages_total`: answered with 250.
    pub messages: Counter<u64, AtomicU64>,
    /// `remuda_received_bytes_total`: their content as stored.
    pub bytes: Counter<u64, AtomicU64>,
    /// `remuda_inbound_sessions`: open now.
    pub sessions: Gauge<i64, AtomicI64>,
    /// `remuda_refused_sessions_total`: 421 at connect.
    pub refused_sessions: Counter<u64, AtomicU64>,
    /// `remuda_refused_recipients_total`: 5xx at RCPT.
    pub refused_recipients: Counter<u64, AtomicU64>,
    /// `remuda_logins_total`.
    logins: Family<ByResult, Counter>,
    /// `remuda_inbound_tls_handshakes_total`.
    handshakes: Family<ByResult, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// How a login may end.
const LOGINS: [&str; 4] = ["accepted", "rejected", "unavailable", "too_many"];
/// How a handshake may end: `full` and `resumed` have succeeded.
const HANDSHAKES: [&str; 4] = ["full", "resumed", "failed", "timed_out"];

impl Default for Metrics {
    /// Every label value is there from the start.
    fn default() -> Self {
        let at_zero = |results: [&'static str; 4]| {
            let family = Family::<ByResult, Counter>::default();
            for result in results {
                drop(family.get_or_create(&ByResult { result }));
            }
            family
        };
        Metrics {
            messages: Counter::default(),
            bytes: Counter::default(),
            sessions: Gauge::default(),
            refused_sessions: Counter::default(),
            refused_recipients: Counter::default(),
            logins: at_zero(LOGINS),
            handshakes: at_zero(HANDSHAKES),
        }
    }
}

impl Metrics {
    /// Counts a login.
    pub(super) fn login(&self, login: &Login) {
        let [accepted, rejected, unavailable, too_many] = LOGINS;
        let result = match login {
            Login::Accepted(_) => accepted,
            Login::Rejected => rejected,
            Login::Unavailable => unavailable,
            Login::TooMany => too_many,
        };
        self.logins.get_or_create(&ByResult { result }).inc();
    }

    /// Counts a handshake.
    pub(super) fn handshake(&self, made: Result<&Secured, &Problem>) {
        let [full, resumed, failed, timed_out] = HANDSHAKES;
        let result = match made {
            Ok(secured) if secured.is_resumed => resumed,
            Ok(_) => full,
            Err(Problem::TimedOut) => timed_out,
            Err(_) => failed,
        };
        self.handshakes.get_or_create(&ByResult { result }).inc();
    }

    /// Makes them known under their names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "remuda_received_messages",
            "Messages accepted",
            self.messages.clone(),
        );
        registry.register(
            "remuda_received_bytes",
            "Octets of content accepted",
            self.bytes.clone(),
        );
        registry.register(
            "remuda_inbound_sessions",
            "Inbound sessions open",
            self.sessions.clone(),
        );
        registry.register(
            "remuda_refused_sessions",
            "Inbound connections refused",
            self.refused_sessions.clone(),
        );
        registry.register(
            "remuda_refused_recipients",
            "Recipients refused for good",
            self.refused_recipients.clone(),
        );
        registry.register(
            "remuda_logins",
            "Logins by what became of them",
            self.logins.clone(),
        );
        registry.register(
            "remuda_inbound_tls_handshakes",
            "TLS handshakes with clients",
            self.handshakes.clone(),
        );
    }
}
