//! The figures of destinations or endpoints as a table: the busiest first, the others in one row.
//!
//! # Contract
//! * **Sums stay right**: the rows shown and `other` are everything since start.

use remuda_connection_cache::{Figures, Ledger};
use remuda_mail::{Endpoint, Way};

use crate::{
    Dispatch,
    view::{Breakdown, BreakdownBy, BreakdownRow},
};

impl Dispatch {
    /// The figures by destination or by endpoint, at most `rows_max` rows. O(n log n) over all rows kept.
    pub fn breakdown(&self, by: BreakdownBy, rows_max: usize) -> Breakdown {
        let accounts = self.cache.accounts();
        match by {
            BreakdownBy::Destination => table(&accounts.destinations, rows_max, |_| None),
            BreakdownBy::Endpoint => table(&accounts.endpoints, rows_max, |endpoint| {
                Some(self.sessions_at(*endpoint))
            }),
        }
    }

    /// Sessions to an endpoint: busy or being opened (from the sources of today), and parked.
    fn sessions_at(&self, endpoint: Endpoint) -> (u64, u64) {
        let sources = self.settings.sources.iter().map(|source| Some(source.address));
        let ways = sources.chain([None]).map(|source| Way { endpoint, source });
        let busy = ways.map(|way| u64::from(self.hosts.sessions(way))).sum();
        (busy, self.cache.parked_at(endpoint) as u64)
    }
}

fn table<K: Clone + Eq + std::hash::Hash + ToString>(
    ledger: &Ledger<K>,
    rows_max: usize,
    sessions: impl Fn(&K) -> Option<(u64, u64)>,
) -> Breakdown {
    let mut rows: Vec<BreakdownRow> = ledger
        .rows()
        .map(|(key, figures)| BreakdownRow {
            name: key.to_string(),
            figures: *figures,
            sessions: sessions(key),
        })
        .collect();
    rows.sort_by(|a, b| {
        let by_use = b.figures.uses().cmp(&a.figures.uses());
        by_use.then_with(|| a.name.cmp(&b.name))
    });
    let known = rows.len();
    let beyond = rows.split_off(rows_max.min(known));
    let mut other: Figures = *ledger.other();
    beyond.iter().for_each(|row| other.add(&row.figures));
    Breakdown { rows, other, known }
}
