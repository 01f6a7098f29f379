//! What the demo prints: an introduction, a line a second, and the table.
//!
//! # Contract
//! * **Every line is complete and written at once**, so that a pipe shows it when it is true.
//! * **Columns stay where they are** for all counts below a million.

use std::{io::Write, net::SocketAddr, path::Path};

use remuda_clock::SharedClock;

use super::{
    Shown,
    change::Change,
    home,
    measure::{OPENING_TRIPS, Objects, Pass},
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
        let (accounts, aliases, lists) = home::COUNTS;
        self.line(&format!(
            "  server      {}, hosts {}: {accounts} accounts, {aliases} aliases, {lists} list",
            world.address(),
            home::DOMAIN
        ))?;
        self.line(&format!("  admin API   http://{admin}/api/v1/status"))?;
        let server = format!("--admin http://{admin} --token-file {}", token.display());
        self.line(&format!("  look inside: remuda connections {server}"))?;
        self.line(&format!("               remuda cache status {server}"))?;
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

    /// Prints what of the directory was answered from memory.
    pub fn objects(&mut self, pass: &Pass) -> std::io::Result<()> {
        self.line(&objects_row(pass))
    }

    /// Prints what a change has done.
    pub fn change(&mut self, change: &Change) -> std::io::Result<()> {
        self.line(&changed(change))
    }

    /// Prints both passes beside each other, and what the object cache came to.
    pub fn table(&mut self, shown: &Shown) -> std::io::Result<()> {
        self.line(&table(&shown.with_reuse, &shown.without_reuse))?;
        self.line(&objects_table(&shown.with_reuse.objects))
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
    let rows: [(&str, Cell); 14] = [
        ("messages", |pass| pass.messages.to_string()),
        ("and in Maildirs here", |pass| pass.kept.to_string()),
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

fn objects_row(pass: &Pass) -> String {
    let kinds = pass.objects.iter();
    let rates = kinds.map(|one| format!("{} {:.1}%", one.kind, one.from_memory_percent));
    format!(
        "         {:>7} in Maildirs here; from memory: {}",
        pass.kept,
        rates.collect::<Vec<_>>().join("  ")
    )
}

fn objects_table(kinds: &[Objects]) -> String {
    let mut text = format!(
        "{:<26}{:>10}{:>10}{:>14}{:>10}\n",
        "object cache", "look-ups", "queries", "from memory", "hit rate"
    );
    for one in kinds {
        text.push_str(&format!(
            "{:<26}{:>10}{:>10}{:>13.1}%{:>9}%\n",
            one.kind, one.look_ups, one.queries, one.from_memory_percent, one.hit_percent
        ));
    }
    text
}

fn changed(change: &Change) -> String {
    let (desk, ann, bob) = (home::DESK, home::ANN, home::BOB);
    let next = match (change.before, change.behind) {
        ((1, 0), (1, 1)) => format!("the next message to {desk} is in {bob}'s Maildir"),
        (before, behind) => {
            format!("Maildirs of {ann} and {bob}: {before:?}, then {behind:?}; this is a defect")
        }
    };
    format!("         {desk} was {ann}'s; PATCH /api/v1/aliases/{desk} gave it to {bob}: {next}")
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

    #[test]
    fn the_object_cache_has_a_row_for_each_kind() {
        let kinds = ["domain", "account"].map(|kind| Objects {
            kind,
            look_ups: 200,
            queries: 3,
            from_memory_percent: 98.5,
            hit_percent: 98,
        });
        let text = objects_table(&kinds);
        let cells: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["account", "200", "3", "98.5%", "98%"]);
        let pass = Pass {
            objects: kinds.to_vec(),
            kept: 7,
            ..Pass::default()
        };
        assert_eq!(
            objects_row(&pass),
            "               7 in Maildirs here; from memory: domain 98.5%  account 98.5%"
        );
    }

    #[test]
    fn a_change_that_is_not_seen_is_told() {
        let seen = Change {
            before: (1, 0),
            behind: (1, 1),
        };
        assert!(changed(&seen).ends_with("is in bob's Maildir"));
        let stale = Change {
            behind: (2, 0),
            ..seen
        };
        assert!(changed(&stale).ends_with("this is a defect"));
    }
}
