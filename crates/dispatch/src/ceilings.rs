//! Limits of an endpoint's sessions that come from the rules of destinations that it serves.
//!
//! The sessions of an endpoint are those of all destinations together. A rule that allows one of them only two
//! is a wish of the receiver's, so it is kept by all: the lowest of the general limit and of the rules of the
//! destinations that are known to have the endpoint counts, for each source by itself. A rule can lower the general limit, not raise it.
//!
//! # Contract
//! * **Exact**: a limit holds from when a destination's servers are known until it is forgotten, its servers
//!   change or its rule goes.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use remuda_mail::{Endpoint, Way};

use crate::Dispatch;

/// What one destination demands of its endpoints.
pub(crate) type Ceiling = (Arc<[Endpoint]>, u32);

/// All demands: how many destinations demand which limit of an endpoint.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ceilings {
    at: HashMap<Endpoint, BTreeMap<u32, usize>>,
}

impl Ceilings {
    /// A destination demands that none of these has more than `limit` sessions.
    pub(crate) fn set(&mut self, endpoints: &[Endpoint], limit: u32) {
        for endpoint in endpoints {
            *self.at.entry(*endpoint).or_default().entry(limit).or_default() += 1;
        }
    }

    /// A destination demands it no more.
    fn unset(&mut self, endpoints: &[Endpoint], limit: u32) {
        for endpoint in endpoints {
            let Some(demands) = self.at.get_mut(endpoint) else {
                continue;
            };
            if let Some(count) = demands.get_mut(&limit) {
                *count -= 1;
                if *count == 0 {
                    demands.remove(&limit);
                }
            }
            if demands.is_empty() {
                self.at.remove(endpoint);
            }
        }
    }

    /// The lowest demand.
    pub(crate) fn of(&self, endpoint: Endpoint) -> Option<u32> {
        self.at.get(&endpoint)?.keys().next().copied()
    }

    /// How many sessions to an endpoint may be busy, where `general` is for all.
    pub(crate) fn sessions_max(&self, endpoint: Endpoint, general: u32) -> u32 {
        self.of(endpoint)
            .map_or(general, |limit| limit.min(general))
            .max(1)
    }
}

impl Dispatch {
    /// A demand has ended: there may be room for those who wait.
    pub(crate) fn lift(&mut self, ceiling: Option<Ceiling>) {
        let Some((endpoints, limit)) = ceiling else {
            return;
        };
        self.ceilings.unset(&endpoints, limit);
        for endpoint in endpoints.iter() {
            let ways: Vec<Way> = self.lines.ways_to(*endpoint).collect();
            self.freed.extend(ways);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_demand_counts_until_it_ends() {
        let endpoint = |n: u8| Endpoint::Tcp(([192, 0, 2, n], 25).into());
        let mut ceilings = Ceilings::default();
        ceilings.set(&[endpoint(1), endpoint(2)], 4);
        ceilings.set(&[endpoint(1)], 2);
        ceilings.set(&[endpoint(1)], 2);
        assert_eq!(
            (ceilings.of(endpoint(1)), ceilings.of(endpoint(2))),
            (Some(2), Some(4))
        );
        ceilings.unset(&[endpoint(1)], 2);
        assert_eq!(ceilings.of(endpoint(1)), Some(2));
        ceilings.unset(&[endpoint(1)], 2);
        assert_eq!(ceilings.of(endpoint(1)), Some(4));
        ceilings.unset(&[endpoint(1), endpoint(2)], 4);
        assert!(ceilings.at.is_empty(), "nothing is left behind");
    }
}
