//! What the engine counts, under the public names, in one registry.
//!
//! Events are counted where they happen; what the pure machines count themselves (the connection cache, the
//! queue's sizes) is copied in when somebody scrapes.
//!
//! # Contract
//! * **Names, labels and units are public**: they are those of the documentation, and change with a note in
//!   the change log.
//! * **Every label value that can occur is there from the start**, at zero, so that a rate over it works.
//! * **Counting never waits** for a scrape longer than one atomic or one short lock.
//!
//! # Not here
//! The HTTP endpoint (`remuda_admin`). Counters of receiving and of the spool are theirs, and are registered
//! here by [`Metrics::register`].

mod hosts;
mod rate;
mod snapshot;
mod usage;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use remuda_dispatch::{choice::Choice, event::Undecided};
use remuda_mail::{Outcome, TlsProtocol};
use remuda_spool::Spool;

pub(crate) use hosts::SHOWN_MAX as HOSTS_SHOWN_MAX;
pub use rate::Rate;
pub use snapshot::Snapshot;

use self::snapshot::Copied;
use crate::session::order::Transacted;

/// The counters of the engine.
pub struct Metrics {
    deliveries: Family<ByStatus, Counter>,
    delivery_delay: Histogram,
    possible_duplicates: Family<ByStatus, Counter>,
    transactions: Family<ByResult, Counter>,
    flights: Counter,
    opened: Family<ByTls, Counter>,
    choices: Family<ByChoice, Counter>,
    copied: Copied,
    registry: Mutex<Registry>,
}

/// How a transaction ended, for `remuda_transactions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionResult {
    /// The content got 2xx.
    Accepted,
    /// The server answered, and took nothing.
    Refused,
    /// It ended without an answer for everybody: connection lost, time-out, breach of protocol.
    Interrupted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByChoice {
    choice: &'static str,
}

impl From<Choice> for ByChoice {
    fn from(choice: Choice) -> Self {
        ByChoice {
            choice: choice.as_str(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTls {
    tls: &'static str,
}

impl ByTls {
    fn of(tls: Option<TlsProtocol>) -> Self {
        ByTls {
            tls: tls.map_or("none", TlsProtocol::as_str),
        }
    }
}

impl Metrics {
    /// The engine's counters, with the spool's beside them.
    pub fn new(spool: &Spool) -> Self {
        let metrics = Metrics::without_spool();
        metrics.register(|registry| spool.metrics().register(registry));
        metrics
    }

    /// The engine's counters alone.
    pub fn without_spool() -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics {
            deliveries: Family::default(),
            delivery_delay: Histogram::new(DELAY_BUCKETS),
            possible_duplicates: Family::default(),
            transactions: Family::default(),
            flights: Counter::default(),
            opened: Family::default(),
            choices: Family::default(),
            copied: Copied::register(&mut registry),
            registry: Mutex::default(),
        };
        metrics.name(&mut registry);
        metrics.begin_at_zero();
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }

    fn name(&self, to: &mut Registry) {
        to.register(
            "remuda_deliveries",
            "Recipients by the end of an attempt",
            self.deliveries.clone(),
        );
        to.register(
            "remuda_delivery_delay_seconds",
            "Time from arrival to delivery",
            self.delivery_delay.clone(),
        );
        to.register(
            "remuda_possible_duplicates",
            "Recipients that a host may have accepted before its final reply was lost",
            self.possible_duplicates.clone(),
        );
        to.register(
            "remuda_transactions",
            "Outbound SMTP transactions",
            self.transactions.clone(),
        );
        to.register(
            "remuda_transaction_flights",
            "Round trips of outbound transactions",
            self.flights.clone(),
        );
        to.register(
            "remuda_connections_opened",
            "Outbound sessions opened",
            self.opened.clone(),
        );
        to.register(
            "remuda_choices",
            "Transactions ordered, by why they went to their host",
            self.choices.clone(),
        );
    }

    fn begin_at_zero(&self) {
        for status in ["sent", "deferred", "bounced"] {
            drop(self.deliveries.get_or_create(&ByStatus { status }));
            drop(self.possible_duplicates.get_or_create(&ByStatus { status }));
        }
        for result in [
            TransactionResult::Accepted,
            TransactionResult::Refused,
            TransactionResult::Interrupted,
        ] {
            drop(self.transactions.get_or_create(&ByResult {
                result: result.as_str(),
            }));
        }
        for tls in [None, Some(TlsProtocol::Tls12), Some(TlsProtocol::Tls13)] {
            drop(self.opened.get_or_create(&ByTls::of(tls)));
        }
        for choice in Choice::ALL {
            drop(self.choices.get_or_create(&choice.into()));
        }
    }

    /// Lets another part name its counters.
    pub fn register(&self, name: impl FnOnce(&mut Registry)) {
        name(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts a recipient's outcome; `delay` is since the message came.
    pub fn delivery(&self, outcome: &Outcome, delay: Duration) {
        let status = status(outcome);
        if status == "sent" {
            self.delivery_delay.observe(delay.as_secs_f64());
        }
        self.deliveries.get_or_create(&ByStatus { status }).inc();
    }

    /// Counts a recipient whose message may have been accepted before, by the end of the attempt.
    pub fn possible_duplicate(&self, outcome: &Outcome) {
        let status = status(outcome);
        self.possible_duplicates.get_or_create(&ByStatus { status }).inc();
    }

    /// Counts a transaction by how it ended.
    pub fn transaction(&self, transacted: &Transacted) {
        let result = TransactionResult::of(transacted.accepted, &transacted.cause);
        self.transactions
            .get_or_create(&ByResult {
                result: result.as_str(),
            })
            .inc();
    }

    /// Counts round trips of transactions.
    pub fn flights(&self, count: u64) {
        self.flights.inc_by(count);
    }

    /// Counts a session that has been greeted and has introduced itself.
    pub fn connection_opened(&self, tls: Option<TlsProtocol>) {
        self.opened.get_or_create(&ByTls::of(tls)).inc();
    }

    /// Counts a transaction that is ordered by why it goes to its host.
    pub fn choice(&self, choice: Choice) {
        self.choices.get_or_create(&choice.into()).inc();
    }

    /// Recipients delivered since start.
    pub fn delivered(&self) -> u64 {
        self.deliveries.get_or_create(&ByStatus { status: "sent" }).get()
    }

    /// Everything in Prometheus' text format, with `snapshot` copied in.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        self.copied.take(snapshot);
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string fails only when a counter's own encoding does; what there is stays readable.
        if encode(&mut text, &registry).is_err() {
            tracing::error!("metrics could not be encoded");
        }
        text
    }
}

/// The label's value for an outcome.
fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "sent",
        Outcome::Deferred(_) => "deferred",
        Outcome::Bounced(_) => "bounced",
    }
}

impl TransactionResult {
    /// From what the session's task reports.
    pub fn of(accepted: bool, cause: &Undecided) -> Self {
        match (accepted, cause) {
            (true, _) => TransactionResult::Accepted,
            (false, Undecided::NextTransaction) => TransactionResult::Refused,
            (
                false,
                Undecided::Unsent
                | Undecided::LostEarly
                | Undecided::Limited(_)
                | Undecided::NoRoom
                | Undecided::Failed(_)
                | Undecided::Unasked
                | Undecided::PerhapsAccepted,
            ) => TransactionResult::Interrupted,
        }
    }

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            TransactionResult::Accepted => "accepted",
            TransactionResult::Refused => "refused",
            TransactionResult::Interrupted => "interrupted",
        }
    }
}

/// Seconds: from a local hop to days in the queue.
const DELAY_BUCKETS: [f64; 14] = [
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_600.0, 14_400.0, 86_400.0,
];

#[cfg(test)]
mod tests {
    use remuda_dispatch::view::{CacheStatistics, IDLE_MS_BOUNDS, Totals, USES_BOUNDS, Usage};
    use remuda_mail::{EnhancedStatus, Refusal};

    use super::*;

    fn usage() -> Usage {
        let mut usage = Usage {
            fresh: 8,
            deaths: [("fin", 2)].into(),
            dials_failed: [("helo", 1)].into(),
            round_trips_saved: 30,
            ..Usage::default()
        };
        for millis in [0, 20, 40_000] {
            usage.idle_ms.observe(millis, &IDLE_MS_BOUNDS);
        }
        usage.uses.observe(3, &USES_BOUNDS);
        usage
    }

    fn snapshot() -> Snapshot {
        let statistics = CacheStatistics {
            destination_hits: 7,
            address_misses: 3,
            handovers: 2,
            closed_idle: 4,
            max_connections: 9,
            unfit: [("size", 5)].into(),
            usage: usage(),
            ..CacheStatistics::default()
        };
        let totals = Totals {
            active: 3,
            waiting: 10,
            held: 1,
            parked_sessions: 6,
            ..Totals::default()
        };
        Snapshot {
            totals,
            statistics,
            ..Snapshot::default()
        }
    }

    #[test]
    fn every_public_name_is_there_from_the_start() {
        let text = Metrics::without_spool().text(&Snapshot::default());
        for line in [
            "remuda_deliveries_total{status=\"bounced\"} 0",
            "remuda_delivery_delay_seconds_count 0",
            "remuda_transactions_total{result=\"refused\"} 0",
            "remuda_transaction_flights_total 0",
            "remuda_connections_opened_total{tls=\"none\"} 0",
            "remuda_connections_opened_total{tls=\"TLSv1.2\"} 0",
            "remuda_connection_uses_count 0",
            "remuda_queue_messages{state=\"held\"} 0",
            "remuda_connection_cache_lookups_total{by=\"address\",result=\"miss\"} 0",
            "remuda_connection_cache_handovers_total 0",
            "remuda_connection_cache_closed_total{cause=\"dead\"} 0",
            "remuda_connection_cache_connections 0",
            "remuda_connection_cache_peak_connections 0",
            "remuda_connection_cache_closed_total{cause=\"not_parked\"} 0",
            "remuda_connection_cache_transactions_total{found=\"handover\"} 0",
            "remuda_connection_cache_deaths_total{cause=\"no_reply\"} 0",
            "remuda_connection_cache_idle_seconds_bucket{le=\"+Inf\"} 0",
            "remuda_connection_cache_round_trips_saved_total 0",
            "remuda_connections_failed_total{step=\"greeting\"} 0",
            "remuda_choices_total{choice=\"fallback\"} 0",
            "remuda_hosts{state=\"paused\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
        }
    }

    #[test]
    fn a_scrape_copies_what_the_machines_count() {
        let metrics = Metrics::without_spool();
        for _ in 0..2 {
            let text = metrics.text(&snapshot());
            for line in [
                "remuda_queue_messages{state=\"active\"} 3",
                "remuda_queue_messages{state=\"deferred\"} 7",
                "remuda_queue_messages{state=\"held\"} 1",
                "remuda_connection_cache_lookups_total{by=\"destination\",result=\"hit\"} 7",
                "remuda_connection_cache_lookups_total{by=\"address\",result=\"miss\"} 3",
                "remuda_connection_cache_handovers_total 2",
                "remuda_connection_cache_unfit_total{reason=\"size\"} 5",
                "remuda_connection_cache_unfit_total{reason=\"smtputf8\"} 0",
                "remuda_connection_cache_transactions_total{found=\"miss\"} 8",
                "remuda_connection_cache_deaths_total{cause=\"fin\"} 2",
                "remuda_connections_failed_total{step=\"helo\"} 1",
                "remuda_connection_cache_round_trips_saved_total 30",
                "remuda_connection_cache_idle_seconds_sum 40.02",
                "remuda_connection_uses_sum 3.0",
                "remuda_connection_uses_bucket{le=\"3.0\"} 1",
                "remuda_connection_cache_idle_seconds_bucket{le=\"0.01\"} 1",
                "remuda_connection_cache_idle_seconds_bucket{le=\"30.0\"} 2",
                "remuda_connection_cache_idle_seconds_bucket{le=\"+Inf\"} 3",
                "remuda_connection_cache_closed_total{cause=\"idle\"} 4",
                "remuda_connection_cache_connections 6",
                "remuda_connection_cache_peak_connections 9",
            ] {
                assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
            }
        }
    }

    #[test]
    fn events_are_counted_once() {
        let metrics = Metrics::without_spool();
        let refusal = Refusal::ours(EnhancedStatus::new(4, 2, 0), "busy");
        metrics.delivery(&Outcome::Deferred(refusal), Duration::from_secs(1));
        metrics.flights(2);
        metrics.connection_opened(None);
        metrics.connection_opened(Some(TlsProtocol::Tls13));
        metrics.choice(Choice::Better);
        let text = metrics.text(&Snapshot::default());
        for line in [
            "remuda_deliveries_total{status=\"deferred\"} 1",
            "remuda_delivery_delay_seconds_count 0",
            "remuda_transaction_flights_total 2",
            "remuda_connections_opened_total{tls=\"none\"} 1",
            "remuda_connections_opened_total{tls=\"TLSv1.3\"} 1",
            "remuda_choices_total{choice=\"better\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
        }
        assert_eq!(metrics.delivered(), 0);
    }

    #[test]
    fn a_transaction_is_accepted_refused_or_interrupted() {
        for (accepted, cause, result) in [
            (true, Undecided::NextTransaction, TransactionResult::Accepted),
            (true, Undecided::LostEarly, TransactionResult::Accepted),
            (false, Undecided::NextTransaction, TransactionResult::Refused),
            (false, Undecided::Unsent, TransactionResult::Interrupted),
        ] {
            assert_eq!(TransactionResult::of(accepted, &cause), result);
        }
    }
}
