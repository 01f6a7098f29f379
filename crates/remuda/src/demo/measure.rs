//! What a pass came to: the receivers' counts, the Maildirs', and what the caches say of themselves.
//!
//! # Contract
//! * **Counts are the receivers'**, who share no code with the server.
//! * **Latency is the user's**: from handing a message to the server to its arrival at the receiver, queue
//!   and disk included.

use std::time::Duration;

use remuda_clock::Wall;
use remuda_directory::control::CacheStatus;
use remuda_sink::Report;

use super::{home, mail::sent_at, world::World};

/// The counts of a pass, while it runs or at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// Messages that have arrived.
    pub messages: u64,
    /// Messages in the Maildirs of the hosted domain, those of the change apart.
    pub kept: u64,
    /// Connections opened for them.
    pub connections: u64,
    /// Of these, the ones that have carried a message.
    pub used_connections: u64,
    /// Round trips inside transactions.
    pub flights: u64,
    /// Connections that the server left without QUIT.
    pub closed_without_quit: u64,
    /// Breaches of the protocol that the receivers saw.
    pub violations: u64,
    /// Since its beginning.
    pub elapsed: Duration,
    /// From sending to arrival, in milliseconds, ascending.
    pub latencies_ms: Vec<u64>,
    /// How the cache found sessions.
    pub cache: Cache,
    /// How the object cache found domains, accounts, aliases and lists.
    pub objects: Vec<Objects>,
}

/// How objects of one kind were found.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// As in `remuda cache status`.
    pub kind: &'static str,
    /// Since the beginning.
    pub look_ups: u64,
    /// Statements sent to the database for them.
    pub queries: u64,
    /// Of a hundred look-ups, how many cost no query.
    pub from_memory_percent: f64,
    /// hMailServer's rate: an object found nowhere is no miss.
    pub hit_percent: u8,
}

impl Objects {
    /// The kinds that were asked for.
    fn of(status: &CacheStatus) -> Vec<Self> {
        let kinds = status.types.iter().map(|(kind, one)| Objects {
            kind: kind.as_str(),
            look_ups: one.lookups.values().sum(),
            queries: one.loads,
            from_memory_percent: 100.0 * one.without_query,
            hit_percent: one.hit_rate,
        });
        kinds.filter(|kind| kind.look_ups > 0).collect()
    }
}

/// How sessions were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Parked ones, by the message's domain.
    pub by_destination: u64,
    /// Parked ones, by one of its receivers' addresses.
    pub by_address: u64,
    /// Handed on from one message to the next without being parked.
    pub handed_on: u64,
    /// Look-ups that found nothing parked that fits, by domain and by address.
    pub misses: u64,
    /// Round trips that were not needed, because the session was open.
    pub round_trips_saved: u64,
    /// Sessions that were found dead.
    pub dead: u64,
}

impl Cache {
    /// Of a hundred look-ups, how many found a parked session.
    pub fn hit_percent(&self) -> f64 {
        let hits = self.by_destination + self.by_address;
        ratio(100 * hits, hits + self.misses)
    }
}

impl Pass {
    /// Reads the counts.
    pub(super) async fn measure(world: &World, elapsed: Duration) -> anyhow::Result<Self> {
        let counts = world.operations().cache_statistics().await?.since_start;
        let cache = Cache {
            by_destination: counts.destination_hits,
            by_address: counts.address_hits,
            handed_on: counts.handovers,
            misses: counts.destination_misses + counts.address_misses,
            round_trips_saved: counts.round_trips_saved,
            dead: counts.deaths.values().sum(),
        };
        Ok(Pass {
            elapsed,
            cache,
            kept: home::kept(world.data_dir())?,
            objects: Objects::of(&world.directory().cache_status()),
            ..Pass::of(&world.sinks().report())
        })
    }

    /// What the receivers have seen.
    fn of(report: &Report) -> Self {
        let mut pass = Pass::default();
        for listener in &report.listeners {
            let unused = listener.transactions_per_connection.get(&0);
            pass.messages += listener.messages;
            pass.connections += listener.connections;
            pass.used_connections += listener.connections - unused.copied().unwrap_or_default();
            pass.flights += listener.flights;
            pass.closed_without_quit += listener.closed_without_quit;
            pass.violations += listener.violation_counts.values().sum::<u64>();
        }
        let latency = |received: &remuda_sink::Received| {
            let sent = sent_at(received.id.as_deref()?)?;
            u64::try_from(Wall(received.received_at).since(sent).as_millis()).ok()
        };
        pass.latencies_ms = report.received().filter_map(latency).collect();
        pass.latencies_ms.sort_unstable();
        pass
    }

    /// Of a hundred messages, how many went over a connection that was there already.
    pub fn reused_percent(&self) -> f64 {
        ratio(
            100 * self.messages.saturating_sub(self.used_connections),
            self.messages,
        )
    }

    /// How many messages a connection carried.
    pub fn messages_per_connection(&self) -> f64 {
        ratio(self.messages, self.connections)
    }

    /// Round trips for each message: those of its transaction, and its share of those that opened
    /// connections.
    pub fn trips_per_message(&self) -> f64 {
        ratio(self.flights + OPENING_TRIPS * self.connections, self.messages)
    }

    /// The latency that so many of a hundred messages do not exceed, in milliseconds.
    pub fn latency_ms(&self, of_hundred: usize) -> u64 {
        let rank = (self.latencies_ms.len() * of_hundred).div_ceil(100);
        let at = rank.saturating_sub(1);
        self.latencies_ms.get(at).copied().unwrap_or_default()
    }
}

/// TCP, greeting, EHLO.
pub(super) const OPENING_TRIPS: u64 = 3;

/// 0 of nothing.
fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_measured_per_message() {
        let pass = Pass {
            messages: 100,
            connections: 10,
            used_connections: 8,
            flights: 200,
            latencies_ms: (1..=100).collect(),
            ..Pass::default()
        };
        assert_eq!(pass.reused_percent(), 92.0);
        assert_eq!(pass.messages_per_connection(), 10.0);
        assert_eq!(pass.trips_per_message(), 2.3);
        assert_eq!((pass.latency_ms(50), pass.latency_ms(99)), (50, 99));
    }

    #[test]
    fn hits_are_told_of_a_hundred_look_ups() {
        let cache = Cache {
            by_destination: 2,
            by_address: 1,
            misses: 1,
            ..Cache::default()
        };
        assert_eq!(cache.hit_percent(), 75.0);
        assert_eq!(Cache::default().hit_percent(), 0.0);
    }

    #[test]
    fn before_the_first_message_everything_is_zero() {
        let pass = Pass::default();
        assert_eq!(
            (
                pass.reused_percent(),
                pass.trips_per_message(),
                pass.latency_ms(99)
            ),
            (0.0, 0.0, 0)
        );
    }
}
