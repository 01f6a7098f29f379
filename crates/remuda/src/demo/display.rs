//! What the demo prints: an introduction, a line a second, and the table.
//!
//! # Contract
//! * **Every line is complete and written at once**, so that a pipe shows it when it is true.
//! * **Columns stay where they are** for all counts below a million.

use std::{io::Write, net::SocketAddr, path::Path};

use remuda_clock::SharedClock;

use super::{
    Shown,
    measure::{OPENING_TRIPS, Pass},
    world::{RECEIVERS, SITES, World, describe},
};

/// Where the demo is printed.
pub(super) struct Display<'a, W> {
    out: &'a mut W,
    clock: SharedClock,
}

impl<'a, W: Write> Display<'a, W> {
    /// A display on `out`.
    pub fn new(out: &'a mut W, clock: SharedClock) -> Self {
        Display { out, clock }
    }

    /// The clock of the demo.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Prints one line.
    pub fn line(&mut self, text: &str) -> std::io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Says what there is to see, and where to look further.
    pub fn introduce(&mut self, world: &World, admin: SocketAddr, token: &Path) -> std::io::Result<()> {
        self.line(&format!(
            "A small internet on loopback: {} domains on {RECEIVERS} receivers, a server, and senders.",
            SITES.len()
        ))?;
        for (number, address) in world.sinks().addresses().iter().enumerate() {
            self.line(&format!("  receiver {number}  {address}  {}", describe(number)))?;
        }
        self.line(&format!("  server      {}", world.address()))?;
        self.line(&format!("  admin API   http://{admin}/api/v1/status"))?;
        let server = format!("--admin http://{admin} --token-file {}", token.display());
        self.line(&format!("  look inside: remuda connections {server}"))?;
        self.line("")
    }

    /// Prints the names of the columns.
    pub fn head(&mut self) -> std::io::Result<()> {
        self.line(
            "seconds  arrived  connections  reused  same domain  same host  handed on  trips/msg  trips saved  p50 ms  p99 ms",
        )
    }

    /// Prints the counts as they are now.
    pub fn row(&mut self, pass: &Pass) -> std::io::Result<()> {
        self.line(&row(pass))
    }

    /// Prints both passes beside each other.
    pub fn table(&mut self, shown: &Shown) -> std::io::Result<()> {
        self.line(&table(&shown.with_reuse, &shown.without_reuse))
    }
}

fn row(pass: &Pass) -> String {
    format!(
        "{:>7.1}  {:>7}  {:>11}  {:>5.1}%  {:>11}  {:>9}  {:>9}  {:>9.2}  {:>11}  {:>6}  {:>6}",
        pass.elapsed.as_secs_f64(),
        pass.messages,
        pass.connections,
        pass.reused_percent(),
        pass.cache.by_destination,
        pass.cache.by_address,
        pass.cache.handed_on,
        pass.trips_per_message(),
        pass.cache.round_trips_saved,
        pass.latency_ms(50),
        pass.latency_ms(99),
    )
}

fn table(with: &Pass, without: &Pass) -> String {
    type Cell = fn(&Pass) -> String;
    let rows: [(&str, Cell); 13] = [
        ("messages", |pass| pass.messages.to_string()),
        ("connections", |pass| pass.connections.to_string()),
        ("messages per connection", |pass| {
            format!("{:.1}", pass.messages_per_connection())
        }),
        ("round trips per message*", |pass| {
            format!("{:.2}", pass.trips_per_message())
        }),
        ("reused, of 100 messages", |pass| {
            format!("{:.1}", pass.reused_percent())
        }),
        ("  found by domain", |pass| pass.cache.by_destination.to_string()),
        ("  found by address", |pass| pass.cache.by_address.to_string()),
        ("  handed on", |pass| pass.cache.handed_on.to_string()),
        ("hits, of 100 look-ups", |pass| {
            format!("{:.1}", pass.cache.hit_percent())
        }),
        ("round trips saved", |pass| {
            pass.cache.round_trips_saved.to_string()
        }),
        ("seconds", |pass| format!("{:.1}", pass.elapsed.as_secs_f64())),
        ("latency p50, ms", |pass| pass.latency_ms(50).to_string()),
        ("latency p99, ms", |pass| pass.latency_ms(99).to_string()),
    ];
    let mut text = format!("{:<26}{:>14}{:>16}\n", "", "with reuse", "without reuse");
    for (name, cell) in rows {
        text.push_str(&format!("{name:<26}{:>14}{:>16}\n", cell(with), cell(without)));
    }
    text.push_str(&format!(
        "* those of the transaction, and {OPENING_TRIPS} to open each connection (TCP, greeting, EHLO)\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_under_their_names() {
        let narrow = row(&Pass::default());
        let wide = row(&Pass {
            messages: 999_999,
            used_connections: 0,
            connections: 999_999,
            ..Pass::default()
        });
        assert_eq!(narrow.len(), wide.len(), "\n{narrow}\n{wide}");
        let mut out = Vec::new();
        Display::new(&mut out, remuda_clock::SystemClock::shared())
            .head()
            .unwrap();
        assert_eq!(out.len(), narrow.len() + 1);
    }

    #[test]
    fn the_table_has_both_passes_in_every_row() {
        let with = Pass {
            messages: 10,
            connections: 2,
            ..Pass::default()
        };
        let without = Pass {
            connections: 10,
            ..with.clone()
        };
        let text = table(&with, &without);
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace()
                .rev()
                .take(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(row("connections"), ["10", "2"]);
        assert_eq!(row("messages per connection"), ["1.0", "5.0"]);
        assert!(!text.contains('\u{1b}'));
    }
}
