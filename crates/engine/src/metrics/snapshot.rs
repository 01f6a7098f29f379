//! Counts that the pure machines keep themselves, copied into the registry at a scrape.

use std::sync::atomic::Ordering;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use remuda_connection_cache::Unfit;
use remuda_dispatch::view::{CacheStatistics, HostView, Totals};

use super::{hosts::CopiedHosts, usage::CopiedUsage};

/// The machines' counts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Of the queue and the sessions.
    pub totals: Totals,
    /// Of the connection cache, since start.
    pub statistics: CacheStatistics,
    /// What is remembered of hosts.
    pub hosts: Vec<HostView>,
    /// The endpoints that most mail went to, busiest first.
    pub busiest: Vec<String>,
}

/// The copies.
pub(super) struct Copied {
    queue: Family<ByState, Gauge>,
    lookups: Family<ByLookup, Counter>,
    handovers: Counter,
    unfit: Family<ByReason, Counter>,
    closed: Family<ByCause, Counter>,
    connections: Gauge,
    peak_connections: Gauge,
    usage: CopiedUsage,
    hosts: CopiedHosts,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLookup {
    by: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCause {
    cause: &'static str,
}

impl Copied {
    pub(super) fn register(to: &mut Registry) -> Self {
        let copied = Copied {
            queue: Family::default(),
            lookups: Family::default(),
            handovers: Counter::default(),
            unfit: Family::default(),
            closed: Family::default(),
            connections: Gauge::default(),
            peak_connections: Gauge::default(),
            usage: CopiedUsage::register(to),
            hosts: CopiedHosts::register(to),
        };
        copied.name(to);
        copied
    }

    fn name(&self, to: &mut Registry) {
        let mut name = Named {
            to,
            prefix: "remuda_connection_cache_",
        };
        name.register(
            "lookups",
            "Look-ups in the connection cache",
            self.lookups.clone(),
        );
        name.register(
            "handovers",
            "Sessions handed over without being parked",
            self.handovers.clone(),
        );
        name.register("unfit", "Sessions refused for a delivery", self.unfit.clone());
        name.register("closed", "Sessions that ended", self.closed.clone());
        name.register("connections", "Sessions parked now", self.connections.clone());
        name.register(
            "peak_connections",
            "Most sessions parked at once",
            self.peak_connections.clone(),
        );
        to.register(
            "remuda_queue_messages",
            "Messages by destination in the queue",
            self.queue.clone(),
        );
    }

    pub(super) fn take(&self, snapshot: &Snapshot) {
        let Totals {
            active,
            waiting,
            held,
            parked_sessions,
            ..
        } = snapshot.totals;
        let states = [
            ("active", active),
            ("deferred", waiting.saturating_sub(active)),
            ("held", held),
        ];
        for (state, count) in states {
            set_gauge(&self.queue.get_or_create(&ByState { state }), count);
        }
        set_gauge(&self.connections, parked_sessions);
        self.take_statistics(&snapshot.statistics);
        self.hosts.take(&snapshot.hosts, &snapshot.busiest);
    }

    /// Every field has its place here: a new one does not compile until somebody has decided.
    fn take_statistics(&self, statistics: &CacheStatistics) {
        let CacheStatistics {
            destination_hits,
            destination_misses,
            address_hits,
            address_misses,
            max_destinations: _,
            max_addresses: _,
            max_connections,
            handovers,
            closed_idle: _,
            closed_age: _,
            closed_count: _,
            closed_evicted: _,
            closed_dead: _,
            closed_drained: _,
            unfit,
            usage,
        } = statistics;
        for (by, result, count) in [
            ("destination", "hit", destination_hits),
            ("destination", "miss", destination_misses),
            ("address", "hit", address_hits),
            ("address", "miss", address_misses),
        ] {
            set_counter(&self.lookups.get_or_create(&ByLookup { by, result }), *count);
        }
        for (cause, count) in statistics.closed() {
            set_counter(&self.closed.get_or_create(&ByCause { cause }), count);
        }
        for reason in Unfit::all().map(Unfit::as_str) {
            let count = unfit.get(reason).copied().unwrap_or(0);
            set_counter(&self.unfit.get_or_create(&ByReason { reason }), count);
        }
        set_counter(&self.handovers, *handovers);
        self.usage.take(usage, statistics.transactions());
        set_gauge(&self.peak_connections, *max_connections);
    }
}

/// Registers under a common prefix.
struct Named<'r> {
    to: &'r mut Registry,
    prefix: &'static str,
}

impl Named<'_> {
    fn register(&mut self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        self.to.register(format!("{}{name}", self.prefix), help, metric);
    }
}

/// A copy of a count that is kept elsewhere and never goes down.
pub(super) fn set_counter(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}

fn set_gauge(gauge: &Gauge, count: u64) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}
