//! What sessions cost and carried, copied into the registry at a scrape.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::Counter, family::Family},
    registry::Registry,
};
use remuda_dispatch::{
    event::{Death, DialStep},
    view::{Histogram, IDLE_MS_BOUNDS, USES_BOUNDS, Usage},
};

use super::snapshot::set_counter;

/// The copies.
pub(super) struct CopiedUsage {
    dials_failed: Family<ByStep, Counter>,
    transactions: Family<ByFound, Counter>,
    not_begun: Counter,
    deaths: Family<ByDeath, Counter>,
    uses: CopiedHistogram,
    idle: CopiedHistogram,
    round_trips_saved: Counter,
    handshakes_saved: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStep {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFound {
    found: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDeath {
    cause: &'static str,
}

/// A histogram that is kept elsewhere.
#[derive(Clone, Debug)]
struct CopiedHistogram {
    copy: Arc<Mutex<Histogram>>,
    bounds: &'static [u64],
    /// What one of the unit shown is in the unit kept.
    unit: f64,
}

impl CopiedHistogram {
    fn new(bounds: &'static [u64], unit: f64) -> Self {
        CopiedHistogram {
            copy: Arc::default(),
            bounds,
            unit,
        }
    }

    fn take(&self, histogram: &Histogram) {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        copy.clone_from(histogram);
    }
}

impl EncodeMetric for CopiedHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let histogram = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |value: u64| value as f64 / self.unit;
        let bounds = self
            .bounds
            .iter()
            .map(|bound| shown(*bound))
            .chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts(self.bounds)).collect();
        encoder.encode_histogram::<NoLabelSet>(shown(histogram.sum()), histogram.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl CopiedUsage {
    pub(super) fn register(to: &mut Registry) -> Self {
        let copied = CopiedUsage {
            uses: CopiedHistogram::new(&USES_BOUNDS, 1.0),
            dials_failed: Family::default(),
            transactions: Family::default(),
            not_begun: Counter::default(),
            deaths: Family::default(),
            idle: CopiedHistogram::new(&IDLE_MS_BOUNDS, 1000.0),
            round_trips_saved: Counter::default(),
            handshakes_saved: Counter::default(),
        };
        copied.name_connections(to);
        copied.name_reuse(to);
        copied
    }

    fn name_connections(&self, to: &mut Registry) {
        to.register(
            "remuda_connection_uses",
            "Transactions of a session when it ends",
            self.uses.clone(),
        );
        to.register(
            "remuda_connections_failed",
            "Dials that failed, by step",
            self.dials_failed.clone(),
        );
    }

    fn name_reuse(&self, to: &mut Registry) {
        to.register(
            "remuda_connection_cache_transactions",
            "Transactions ordered, by how their session was found",
            self.transactions.clone(),
        );
        to.register(
            "remuda_connection_cache_transactions_not_begun",
            "Transactions ordered of which nothing was sent",
            self.not_begun.clone(),
        );
        to.register(
            "remuda_connection_cache_deaths",
            "Sessions found dead before use",
            self.deaths.clone(),
        );
        to.register(
            "remuda_connection_cache_idle_seconds",
            "Time that sessions lay idle before they were taken",
            self.idle.clone(),
        );
        to.register(
            "remuda_connection_cache_round_trips_saved",
            "Round trips that reuse has saved",
            self.round_trips_saved.clone(),
        );
        to.register(
            "remuda_connection_cache_handshakes_saved",
            "TLS handshakes that reuse has saved",
            self.handshakes_saved.clone(),
        );
    }

    /// Every field has its place here: a new one does not compile until somebody has decided.
    pub(super) fn take(&self, usage: &Usage, transactions: [(&'static str, u64); 6]) {
        let Usage {
            opened: _,
            dials_failed,
            fresh: _,
            uncached: _,
            again: _,
            not_begun,
            not_parked: _,
            worn: _,
            failed: _,
            deaths,
            uses,
            idle_ms,
            round_trips_saved,
            handshakes_saved,
        } = usage;
        for step in DialStep::ALL.map(DialStep::as_str) {
            let count = dials_failed.get(step).copied().unwrap_or(0);
            set_counter(&self.dials_failed.get_or_create(&ByStep { step }), count);
        }
        for cause in Death::ALL.map(Death::as_str) {
            let count = deaths.get(cause).copied().unwrap_or(0);
            set_counter(&self.deaths.get_or_create(&ByDeath { cause }), count);
        }
        for (found, count) in transactions {
            set_counter(&self.transactions.get_or_create(&ByFound { found }), count);
        }
        set_counter(&self.not_begun, *not_begun);
        set_counter(&self.round_trips_saved, *round_trips_saved);
        set_counter(&self.handshakes_saved, *handshakes_saved);
        self.uses.take(uses);
        self.idle.take(idle_ms);
    }
}
