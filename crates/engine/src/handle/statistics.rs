//! The connection cache's counts and figures as the operator sees them.

use std::collections::BTreeMap;

use remuda_dispatch::view;

use super::Handle;
use crate::operations::{
    BREAKDOWN_MAX, Breakdown, BreakdownBy, CacheCounts, CacheStatistics, FiguresRow, HistogramShown,
    OperationError,
};

impl Handle {
    pub(super) async fn read_statistics(&self) -> Result<CacheStatistics, OperationError> {
        self.ask(|actor, _| CacheStatistics {
            since_start: counts(&actor.dispatch().statistics()),
            interval: counts(actor.dispatch().interval()),
            breakdown: None,
        })
        .await
    }

    pub(super) async fn read_breakdown(
        &self,
        by: BreakdownBy,
        rows_max: usize,
    ) -> Result<Breakdown, OperationError> {
        let rows_max = rows_max.min(BREAKDOWN_MAX);
        let table = self
            .ask(move |actor, _| actor.dispatch().breakdown(key(by), rows_max))
            .await?;
        Ok(breakdown(by, table))
    }
}

/// Every field has its place: a new one does not compile until somebody has decided.
fn counts(statistics: &view::CacheStatistics) -> CacheCounts {
    let view::CacheStatistics {
        destination_hits,
        destination_misses,
        address_hits,
        address_misses,
        max_destinations,
        max_addresses,
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
    CacheCounts {
        destination_hits: *destination_hits,
        destination_misses: *destination_misses,
        address_hits: *address_hits,
        address_misses: *address_misses,
        max_destinations: *max_destinations,
        max_addresses: *max_addresses,
        max_connections: *max_connections,
        handovers: *handovers,
        closed: by_name(statistics.closed()),
        unfit: by_name(named(unfit)),
        transactions: by_name(statistics.transactions()),
        ..of_usage(usage)
    }
}

fn of_usage(usage: &view::Usage) -> CacheCounts {
    let view::Usage {
        opened,
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
    CacheCounts {
        opened: *opened,
        dials_failed: by_name(named(dials_failed)),
        transactions_not_begun: *not_begun,
        deaths: by_name(named(deaths)),
        uses: histogram(uses, &view::USES_BOUNDS),
        idle_ms: histogram(idle_ms, &view::IDLE_MS_BOUNDS),
        round_trips_saved: *round_trips_saved,
        handshakes_saved: *handshakes_saved,
        ..CacheCounts::default()
    }
}

fn named<'a>(counts: &'a BTreeMap<&'static str, u64>) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    counts.iter().map(|(name, count)| (*name, *count))
}

fn by_name(counts: impl IntoIterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

fn histogram(histogram: &view::Histogram, bounds: &[u64]) -> HistogramShown {
    HistogramShown {
        bounds: bounds.to_vec(),
        counts: histogram.counts(bounds),
        count: histogram.count(),
        sum: histogram.sum(),
    }
}

/// The engine's word for what the machine tells figures apart by.
fn key(by: BreakdownBy) -> view::BreakdownBy {
    match by {
        BreakdownBy::Destination => view::BreakdownBy::Destination,
        BreakdownBy::Endpoint => view::BreakdownBy::Endpoint,
    }
}

fn breakdown(by: BreakdownBy, table: view::Breakdown) -> Breakdown {
    let view::Breakdown { rows, other, known } = table;
    let rows = rows.into_iter().map(|row| FiguresRow {
        busy: row.sessions.map(|(busy, _)| busy),
        parked: row.sessions.map(|(_, parked)| parked),
        ..figures(row.name, row.figures)
    });
    Breakdown {
        by,
        rows: rows.collect(),
        other: figures(String::new(), other),
        known: known as u64,
    }
}

fn figures(name: String, figures: view::Figures) -> FiguresRow {
    let uses = figures.uses();
    let view::Figures {
        hits,
        misses,
        handovers,
        again,
        dials,
        deaths,
        unfit,
    } = figures;
    FiguresRow {
        name,
        uses,
        hits,
        handovers,
        misses,
        again,
        dials,
        deaths,
        unfit,
        busy: None,
        parked: None,
    }
}
