//! Figures for each destination and each endpoint, bounded in number.
//!
//! # Contract
//! * **Sums stay right**: what leaves a ledger is folded into its `other`, so that all rows and `other` add up
//!   to the totals of the [`Statistics`](crate::Statistics) since start.
//! * **Both ledgers agree**: everything counted is counted in each of them once.
//! * **The least recently used row leaves**, at [`ROWS_MAX`].

use std::{collections::VecDeque, hash::Hash};

use hashbrown::HashMap;
use remuda_mail::{Destination, Endpoint};

use crate::Taken;

/// What happened with one destination or one endpoint since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Transactions on a parked session.
    pub hits: u64,
    /// … on a new one, caching off included.
    pub misses: u64,
    /// … on one that another delivery had just left.
    pub handovers: u64,
    /// Further transactions of a delivery on its session.
    pub again: u64,
    /// Sessions dialled.
    pub dials: u64,
    /// Sessions found dead before use.
    pub deaths: u64,
    /// Sessions refused as unfit.
    pub unfit: u64,
}

impl Figures {
    /// Transactions in all.
    pub fn uses(&self) -> u64 {
        self.hits + self.misses + self.handovers + self.again
    }

    pub(crate) fn count(&mut self, taken: Taken) {
        match taken {
            Taken::Parked => self.hits += 1,
            Taken::Fresh | Taken::Uncached => self.misses += 1,
            Taken::HandedOver => self.handovers += 1,
            Taken::Again => self.again += 1,
        }
    }

    /// Adds those of another.
    pub fn add(&mut self, more: &Figures) {
        let Figures {
            hits,
            misses,
            handovers,
            again,
            dials,
            deaths,
            unfit,
        } = more;
        self.hits += hits;
        self.misses += misses;
        self.handovers += handovers;
        self.again += again;
        self.dials += dials;
        self.deaths += deaths;
        self.unfit += unfit;
    }
}

/// The figures of all destinations and all endpoints.
#[derive(Debug)]
pub struct Accounts {
    /// By destination.
    pub destinations: Ledger<Destination>,
    /// By endpoint.
    pub endpoints: Ledger<Endpoint>,
}

impl Accounts {
    /// Empty ledgers with room for `rows_max` rows each.
    pub fn new(rows_max: usize) -> Self {
        Accounts {
            destinations: Ledger::new(rows_max),
            endpoints: Ledger::new(rows_max),
        }
    }

    /// Counts in both ledgers. O(1), now and then O(n).
    pub fn count(&mut self, destination: &Destination, endpoint: Endpoint, change: impl Fn(&mut Figures)) {
        self.destinations.count(destination, &change);
        self.endpoints.count(&endpoint, &change);
    }
}

/// The figures of one kind of thing.
#[derive(Debug)]
pub struct Ledger<K> {
    rows: HashMap<K, Row>,
    /// Uses, oldest first. Only the last one of a row counts: whose row has been used since is passed over.
    uses: VecDeque<(u64, K)>,
    use_next: u64,
    rows_max: usize,
    other: Figures,
}

#[derive(Debug, Default)]
struct Row {
    figures: Figures,
    last_use: u64,
}

impl<K: Clone + Eq + Hash> Ledger<K> {
    fn new(rows_max: usize) -> Self {
        Ledger {
            rows: HashMap::new(),
            uses: VecDeque::new(),
            use_next: 0,
            rows_max: rows_max.max(1),
            other: Figures::default(),
        }
    }

    /// All rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&K, &Figures)> {
        self.rows.iter().map(|(key, row)| (key, &row.figures))
    }

    /// What is known of one.
    pub fn get(&self, key: &K) -> Option<&Figures> {
        self.rows.get(key).map(|row| &row.figures)
    }

    /// Those that had to leave, together.
    pub fn other(&self) -> &Figures {
        &self.other
    }

    /// Everything. O(n).
    pub fn total(&self) -> Figures {
        let mut total = self.other;
        self.rows().for_each(|(_, figures)| total.add(figures));
        total
    }

    fn count(&mut self, key: &K, change: impl Fn(&mut Figures)) {
        self.use_next += 1;
        let last_use = self.use_next;
        let row = self.rows.entry(key.clone()).or_default();
        row.last_use = last_use;
        change(&mut row.figures);
        self.uses.push_back((last_use, key.clone()));
        if self.rows.len() > self.rows_max {
            self.drop_oldest();
        }
        if self.uses.len() >= USES_PER_ROW * self.rows_max {
            let rows = &self.rows;
            self.uses
                .retain(|(at, key)| rows.get(key).is_some_and(|row| row.last_use == *at));
        }
    }

    fn drop_oldest(&mut self) {
        while let Some((at, key)) = self.uses.pop_front() {
            if self.rows.get(&key).is_some_and(|row| row.last_use == at) {
                if let Some(row) = self.rows.remove(&key) {
                    self.other.add(&row.figures);
                }
                return;
            }
        }
    }
}

/// How often the uses of all rows may be kept before those that no longer count are taken out: O(1) for each.
const USES_PER_ROW: usize = 4;
/// Rows of a ledger.
pub const ROWS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{destination, endpoint};

    #[test]
    fn the_least_recently_used_row_leaves() {
        let mut accounts = Accounts::new(2);
        for name in ["a.test", "b.test", "a.test", "c.test"] {
            accounts.count(&destination(name), endpoint(1), |figures| figures.dials += 1);
        }
        let ledger = &accounts.destinations;
        assert_eq!(ledger.get(&destination("a.test")).map(|row| row.dials), Some(2));
        assert_eq!(ledger.get(&destination("b.test")), None);
        assert_eq!((ledger.other().dials, ledger.total().dials), (1, 4));
    }

    proptest! {
        #[test]
        fn sums_stay_right_and_ledgers_agree(
            rows_max in 1..6usize,
            steps in prop::collection::vec((0..12u8, 1..9u8, 0..7u8), 0..200),
        ) {
            let mut accounts = Accounts::new(rows_max);
            let mut total = Figures::default();
            for (name, host, what) in steps {
                let change = |figures: &mut Figures| match what {
                    0 => figures.count(Taken::Parked),
                    1 => figures.count(Taken::Fresh),
                    2 => figures.count(Taken::HandedOver),
                    3 => figures.count(Taken::Again),
                    4 => figures.dials += 1,
                    5 => figures.deaths += 1,
                    _ => figures.unfit += 1,
                };
                change(&mut total);
                accounts.count(&destination(&format!("d{name}.test")), endpoint(host), change);
                prop_assert_eq!(accounts.destinations.total(), total);
                prop_assert_eq!(accounts.endpoints.total(), total);
                prop_assert!(accounts.destinations.rows().count() <= rows_max);
                prop_assert!(accounts.endpoints.rows().count() <= rows_max);
            }
        }
    }
}
