//! What the receiving side counts.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The counters of contract.md that belong to receiving. Clones count together.
#[derive(Clone, Debug, Default)]
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
}

impl Metrics {
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
    }
}
