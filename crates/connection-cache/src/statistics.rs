//! What the cache counts: look-ups, peaks, refusals, and how sessions ended.
//!
//! # Contract
//! * **Taking an interval loses nothing**: the sum since start includes it.
//! * **Peaks start again with an interval**, as in the reference (§5.1).

use std::collections::BTreeMap;

use crate::{Leaving, Unfit, Usage, usage::add_each};

/// Counts of the connection cache over some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Look-ups by destination that found a session.
    pub destination_hits: u64,
    /// … that found none.
    pub destination_misses: u64,
    /// Look-ups by address that found a session.
    pub address_hits: u64,
    /// … that found none.
    pub address_misses: u64,
    /// Most destinations with a binding at once.
    pub max_destinations: u64,
    /// Most endpoints with a parked session at once.
    pub max_addresses: u64,
    /// Most parked sessions at once.
    pub max_connections: u64,
    /// Sessions handed over without being parked.
    pub handovers: u64,
    /// Closed for having been idle.
    pub closed_idle: u64,
    /// … too old.
    pub closed_age: u64,
    /// … used too often.
    pub closed_count: u64,
    /// … to make room.
    pub closed_evicted: u64,
    /// … found dead.
    pub closed_dead: u64,
    /// … at reload, shutdown or on wish.
    pub closed_drained: u64,
    /// Refusals by `fitness`, by reason.
    pub unfit: BTreeMap<&'static str, u64>,
    /// What sessions cost and carried.
    pub usage: Usage,
}

impl Statistics {
    /// Sessions ended, by cause: those of the reference, and those that never came to be parked.
    pub fn closed(&self) -> [(&'static str, u64); 9] {
        [
            ("idle", self.closed_idle),
            ("age", self.closed_age),
            ("count", self.closed_count),
            ("evicted", self.closed_evicted),
            ("dead", self.closed_dead),
            ("drained", self.closed_drained),
            ("not_parked", self.usage.not_parked),
            ("worn", self.usage.worn),
            ("failed", self.usage.failed),
        ]
    }

    /// Transactions ordered, by how their session was found: the words of `cache=` in the delivery log, and
    /// `again` for a further one of a delivery on the session that it has.
    pub fn transactions(&self) -> [(&'static str, u64); 6] {
        [
            ("destination", self.destination_hits),
            ("address", self.address_hits),
            ("handover", self.handovers),
            ("miss", self.usage.fresh),
            ("off", self.usage.uncached),
            ("again", self.usage.again),
        ]
    }

    /// Answers whether anything happened at all.
    pub fn is_idle(&self) -> bool {
        *self == Statistics::default()
    }

    pub(crate) fn count_unfit(&mut self, reason: Unfit) {
        *self.unfit.entry(reason.as_str()).or_default() += 1;
    }

    pub(crate) fn count_leaving(&mut self, cause: Leaving) {
        match cause {
            Leaving::Idle => self.closed_idle += 1,
            Leaving::Age => self.closed_age += 1,
            Leaving::Count => self.closed_count += 1,
            Leaving::Evicted => self.closed_evicted += 1,
            Leaving::Drained => self.closed_drained += 1,
            Leaving::Worn => self.usage.worn += 1,
        }
    }

    /// Adds what happened in `later`: sums of counts, the higher of peaks.
    pub(crate) fn add(&mut self, later: &Statistics) {
        let Statistics {
            destination_hits,
            destination_misses,
            address_hits,
            address_misses,
            max_destinations,
            max_addresses,
            max_connections,
            handovers,
            closed_idle,
            closed_age,
            closed_count,
            closed_evicted,
            closed_dead,
            closed_drained,
            unfit,
            usage,
        } = later;
        self.destination_hits += destination_hits;
        self.destination_misses += destination_misses;
        self.address_hits += address_hits;
        self.address_misses += address_misses;
        self.max_destinations = self.max_destinations.max(*max_destinations);
        self.max_addresses = self.max_addresses.max(*max_addresses);
        self.max_connections = self.max_connections.max(*max_connections);
        self.handovers += handovers;
        self.closed_idle += closed_idle;
        self.closed_age += closed_age;
        self.closed_count += closed_count;
        self.closed_evicted += closed_evicted;
        self.closed_dead += closed_dead;
        self.closed_drained += closed_drained;
        add_each(&mut self.unfit, unfit);
        self.usage.add(usage);
    }
}
