//! What the operator and a reload change in the actor's memory, after the spool has changed.
//!
//! # Contract
//! * **The spool is changed first.** The actor hears of entries that are held, released, due or deleted
//!   already, and brings `dispatch` and its own memory in line.
//! * **An entry is counted out once**, whichever of the operator and its end is heard of first.
//! * **An entry in flight goes on**: its transaction ends, and then the operator's word holds. The answer
//!   says which these are. Its content can be read until then, also when it is deleted.
//!
//! # Not here
//! How mail that waits follows a changed route: `moving`.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use remuda_clock::{Now, Wall};
use remuda_dispatch::event::Event;
use remuda_mail::{Destination, Endpoint, EntryId, MessageId};
use remuda_spool::Changed;

use super::{Actor, Plan};
use crate::operations::Verb;

/// The operator's changes under way. The spool tells of a change after its commit, and what it changed may
/// have ended before the actor hears of it; it is not counted out a second time.
#[derive(Debug, Default)]
pub(super) struct Changes {
    under_way: usize,
    /// Entries that have left the count for good since the first of them began.
    ended: HashSet<EntryId>,
}

impl Changes {
    /// An entry has left the spool.
    pub(super) fn ended(&mut self, entry: EntryId) {
        if self.under_way > 0 {
            self.ended.insert(entry);
        }
    }

    fn has_ended(&self, entry: EntryId) -> bool {
        self.ended.contains(&entry)
    }
}

impl Actor {
    /// Takes in a change of the spool; returns the messages that are in flight and go on for now.
    pub fn changed(&mut self, verb: Verb, changed: &[Changed], now: Now) -> Vec<MessageId> {
        match verb {
            Verb::Hold | Verb::Delete => self.withdraw(verb, changed, now),
            Verb::Release | Verb::Retry => {
                self.waken(verb, changed, now);
                Vec::new()
            }
        }
    }

    fn withdraw(&mut self, verb: Verb, changed: &[Changed], now: Now) -> Vec<MessageId> {
        let (mut in_flight, flying) = (Vec::new(), self.in_flight());
        for change in changed {
            let (destination, entry) = (change.destination.clone(), change.entry);
            if self.is_out_of_count(entry) || self.changes.has_ended(entry) {
                continue;
            }
            if flying.contains(&entry) {
                in_flight.push(change.message);
            } else {
                self.entries.leave(entry, &destination);
            }
            let held = verb == Verb::Hold;
            if change.was == remuda_spool::State::Held {
                // It was counted as held; the count ends with it.
                let back = Event::Wakened {
                    destination: destination.clone(),
                    due: Wall::NEVER,
                    added: 1,
                    from_held: 1,
                    thaw: false,
                };
                self.handle(back, now);
            }
            self.withdraw_from(destination, entry, held, now);
        }
        in_flight.dedup();
        in_flight
    }

    fn waken(&mut self, verb: Verb, changed: &[Changed], now: Now) {
        let mut by_destination: BTreeMap<&Destination, (Wall, u64)> = BTreeMap::new();
        let flying = self.in_flight();
        for change in changed {
            if self.is_out_of_count(change.entry) || self.changes.has_ended(change.entry) {
                continue;
            }
            if verb == Verb::Release && flying.contains(&change.entry) {
                self.restore(change, now);
                continue;
            }
            let (due, added) = by_destination
                .entry(&change.destination)
                .or_insert((change.due, 0));
            *due = (*due).min(change.due);
            *added += u64::from(verb == Verb::Release);
        }
        for (destination, (due, added)) in by_destination {
            let destination = destination.clone();
            self.handle(
                Event::Wakened {
                    destination,
                    due,
                    added,
                    from_held: added,
                    thaw: true,
                },
                now,
            );
        }
    }

    /// A hold in flight is over.
    fn restore(&mut self, change: &Changed, now: Now) {
        let restored = Event::Restored {
            destination: change.destination.clone(),
            entry: change.entry,
            due: change.due,
        };
        self.handle(restored, now);
    }

    /// All entries in flight.
    pub(super) fn in_flight(&self) -> HashSet<EntryId> {
        let delivered = self.deliveries.values().map(|delivery| delivery.entry.id);
        delivered.chain(self.settling.iter().copied()).collect()
    }

    /// The operator begins to change the spool: what ends from now on may be in what is told of it.
    pub fn change_begins(&mut self) {
        self.changes.under_way += 1;
    }

    /// A change is over, however it ended.
    pub fn change_ended(&mut self, now: Now) {
        self.changes.under_way = self.changes.under_way.saturating_sub(1);
        if self.changes.under_way == 0 {
            self.changes.ended.clear();
        }
        self.look_at_notices_soon(now);
    }

    /// Every suspension ends.
    pub fn thaw_all(&mut self, now: Now) {
        let suspended = self
            .dispatch
            .destinations(now)
            .filter(|view| view.suspended.is_some());
        let suspended: Vec<Destination> = suspended.map(|view| view.destination).collect();
        for destination in suspended {
            self.thaw(destination, now);
        }
    }

    /// Suspensions end where the operator says so, also where nothing had to be changed in the spool.
    pub fn thaw(&mut self, destination: Destination, now: Now) {
        let due = now.wall;
        self.handle(
            Event::Wakened {
                destination,
                due,
                added: 0,
                from_held: 0,
                thaw: true,
            },
            now,
        );
    }

    /// Parked sessions that match are retired.
    pub fn retire_parked(&mut self, destination: Option<Destination>, endpoint: Option<Endpoint>, now: Now) {
        self.handle(
            Event::RetireParked {
                destination,
                endpoint,
            },
            now,
        );
    }

    /// What was learned of an endpoint is forgotten; answers of how many of our addresses it was.
    pub fn forget_host(&mut self, endpoint: Endpoint, now: Now) -> usize {
        let known = self.dispatch.hosts(now).into_iter();
        let known = known.filter(|view| view.way.endpoint == endpoint).count();
        if known > 0 {
            self.handle(Event::HostForgotten { endpoint }, now);
        }
        known
    }

    pub(super) fn replanned(&mut self, plan: Arc<Plan>, now: Now) {
        let seed = now.wall.0.unsigned_abs();
        let settings = Box::new(plan.settings.dispatch(seed));
        if !plan.clients.trusts_as(&self.plan.clients) {
            // What was verified by others is not verified.
            let (destination, endpoint) = (None, None);
            self.handle(
                Event::RetireParked {
                    destination,
                    endpoint,
                },
                now,
            );
        }
        self.plan = plan;
        self.reloads += 1;
        self.look_where_all_go(now);
        self.log_statistics(now);
        self.look_at_notices_soon(now);
        self.handle(Event::Reconfigured(settings), now);
    }

    /// Writes the connection cache's statistics to the log, if anything happened, and begins a new interval.
    pub fn log_statistics(&mut self, now: Now) {
        self.next_statistics = now.monotonic + self.plan.settings.status_update_time;
        let began = std::mem::replace(&mut self.statistics_since, now.wall);
        let counts = self.dispatch.take_interval();
        let percent = |hits: u64, misses: u64| (hits * 100).checked_div(hits + misses).unwrap_or(0);
        if counts.is_idle() {
            return;
        }
        let closed: u64 = counts.closed().iter().map(|(_, count)| count).sum();
        tracing::info!(
            target: "statistics",
            start = %crate::log::timestamp(began),
            destination_hits = counts.destination_hits,
            destination_misses = counts.destination_misses,
            destination_success_percent = percent(counts.destination_hits, counts.destination_misses),
            address_hits = counts.address_hits,
            address_misses = counts.address_misses,
            address_success_percent = percent(counts.address_hits, counts.address_misses),
            max_destinations = counts.max_destinations,
            max_addresses = counts.max_addresses,
            max_connections = counts.max_connections,
            handovers = counts.handovers,
            unfit = counts.unfit.values().sum::<u64>(),
            opened = counts.usage.opened,
            closed,
            dead = counts.closed_dead,
            round_trips_saved = counts.usage.round_trips_saved,
            handshakes_saved = counts.usage.handshakes_saved,
            "connection-cache-statistics"
        );
    }
}
