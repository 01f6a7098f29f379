//! Receivers that misbehave each in its own way, all at once and at full rate: what was sent has arrived or has
//! come back, and nothing is left of sessions, slots or descriptors.
//!
//! Some thousand messages in `make test`; thirty minutes with `REMUDA_SOAK` set.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use remuda_engine::settings::{Route, Settings};
use remuda_sink::{Listener, Running};

use crate::world::{World, message, receivers, route};

/// What each receiver does, and whether its content may come twice: it ends connections behind content that
/// it has taken, so that nobody can know.
fn receivers_of_all_kinds() -> Vec<(&'static str, bool, Listener)> {
    let replying = |rules: &[&str]| Listener {
        reply: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..Listener::default()
    };
    let dropping = |rules: &[&str]| Listener {
        drop: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..Listener::default()
    };
    let closing = |after: &str| Listener {
        close_after: Some(after.parse().unwrap()),
        ..Listener::default()
    };
    vec![
        ("friendly", false, Listener::default()),
        ("silent", true, closing("7:silent")),
        ("farewell", false, closing("5:421")),
        ("enough", false, closing("3:452")),
        ("full", false, replying(&["rcpt=452 4.2.2 mailbox full"])),
        ("unknown", false, replying(&["rcpt=550 5.1.1 no such user"])),
        ("unwilling", false, replying(&["mail##2+=451 4.3.0 not now"])),
        ("picky", false, replying(&["dot#1=554 5.7.1 not this"])),
        (
            "crowded",
            false,
            Listener {
                max_connections: Some(2),
                ..Listener::default()
            },
        ),
        (
            "limited",
            false,
            Listener {
                limits: Some("MAILMAX=4 RCPTMAX=1".parse().unwrap()),
                ..Listener::default()
            },
        ),
        (
            "deaf",
            true,
            dropping(&["mail##5", "rcpt##11", "dot##17", "mail##23", "connect##9"]),
        ),
        (
            "terse",
            false,
            Listener {
                pipelining: false,
                chunking: false,
                ..Listener::default()
            },
        ),
    ]
}

struct Stage {
    world: World,
    sinks: Running,
    kinds: Vec<(&'static str, bool)>,
}

impl Stage {
    async fn start() -> Stage {
        let all = receivers_of_all_kinds();
        let kinds: Vec<_> = all.iter().map(|(name, doubles, _)| (*name, *doubles)).collect();
        // The last one takes the reports.
        let listeners = all.into_iter().map(|(_, _, listener)| listener);
        let sinks = receivers(listeners.chain([Listener::default()]).collect()).await;
        let addresses = sinks.addresses();
        let mut routes: Vec<Route> = kinds
            .iter()
            .zip(addresses)
            .map(|((name, _), address)| route(&format!("{name}.test"), &[*address]))
            .collect();
        routes.extend(addresses.last().map(|address| route("home.test", &[*address])));
        let world = World::start_with(routes, impatient).await;
        Stage { world, sinks, kinds }
    }

    /// Sends `count` messages from number `first` on, in turn to each receiver.
    async fn send(&self, first: u64, count: u64) {
        let kinds = self.kinds.clone();
        let message = move |index: u64| {
            let number = first + index;
            let (name, _) = kinds[(number % kinds.len() as u64) as usize];
            // The number comes back in the report's recipient too.
            message("writer@home.test", &format!("u{number}@{name}.test"))
        };
        self.world.send_many(count, 20, message).await;
    }

    /// Checks that each of `count` messages has arrived or has come back.
    async fn assert_nothing_is_lost(self, count: u64) {
        self.world.empty().await;
        self.world.stop().await;
        let report = self.sinks.stop().await;
        let mut arrived: BTreeMap<String, u64> = BTreeMap::new();
        let mut returned: BTreeSet<String> = BTreeSet::new();
        for received in report.received() {
            if received.sender.is_empty() {
                let text =
                    String::from_utf8_lossy(received.content.as_deref().unwrap_or_default()).into_owned();
                let named = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; "));
                returned.extend(named.map(str::to_owned));
            } else {
                *arrived.entry(received.recipients[0].address.clone()).or_default() += 1;
            }
        }
        for number in 0..count {
            let (name, doubles) = self.kinds[(number % self.kinds.len() as u64) as usize];
            let recipient = format!("u{number}@{name}.test");
            let times = arrived.get(&recipient).copied().unwrap_or(0);
            let has_returned = returned.contains(&recipient);
            assert!(times > 0 || has_returned, "{recipient} is lost");
            assert!(doubles || times <= 1, "{recipient} has come {times} times");
            assert!(
                doubles || !(times > 0 && has_returned),
                "{recipient} has come and has come back"
            );
        }
        assert_eq!(report.violations().next(), None);
    }
}

/// Retries within a second, gives up within seconds.
fn impatient(settings: &mut Settings) {
    let delivery = &mut settings.delivery;
    delivery.minimal_backoff = Duration::from_millis(100);
    delivery.maximal_backoff = Duration::from_millis(500);
    delivery.queue_lifetime = Duration::from_secs(6);
    delivery.bounce_lifetime = Duration::from_secs(60);
    delivery.delay_warning = None;
}

/// Descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_receivers_that_misbehave_nothing_is_lost_and_nothing_leaks() {
    let soak = std::env::var_os("REMUDA_SOAK").is_some();
    let stage = Stage::start().await;
    let clock = stage.world.clock.clone();
    let began = clock.now().monotonic;
    let (mut sent, batch) = (0, 1200);
    let mut settled = None;
    loop {
        stage.send(sent, batch).await;
        sent += batch;
        if !soak {
            break;
        }
        stage.world.empty().await;
        let here = (descriptors(), resident());
        println!("{sent} sent, {} descriptors, {} MiB", here.0, here.1);
        let (first, _) = *settled.get_or_insert(here);
        // Parked sessions and readers come and go; a leak grows with every batch.
        assert!(
            here.0 <= first + 100,
            "descriptors leak: {first}, then {}",
            here.0
        );
        if clock.now().monotonic - began > Duration::from_secs(30 * 60) {
            break;
        }
    }
    stage.world.empty().await;
    let status = stage.world.operations().status().await.unwrap();
    assert_eq!(status.queue, Default::default());
    stage.assert_nothing_is_lost(sent).await;
}
