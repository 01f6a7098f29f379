//! What is shown of the connection cache: counts that equal the receivers' own, what each session does, what
//! each attempt considered.

use std::{collections::BTreeMap, time::Duration};

use remuda_engine::{
    operations::{
        Breakdown, BreakdownBy, CacheCounts, ConnectionFilter, ConnectionState, EntryStatus, FiguresRow, Verb,
    },
    settings::{Route, Settings},
};
use remuda_mail::TlsLevel;
use remuda_sink::{Certificate, Listener, Report};

use crate::{
    gate::Gate,
    logged::Logged,
    world::{Message, World, arrived, message, receiver, receivers, replying, route},
};

const MESSAGES: u64 = 300;

impl World {
    async fn counts(&self) -> CacheCounts {
        self.operations().cache_statistics().await.unwrap().since_start
    }

    /// Waits until every outbound session has ended.
    async fn alone(&self) {
        self.until("every session has ended", async || {
            let filter = ConnectionFilter::default();
            self.operations().connections(filter).await.unwrap().is_empty()
        })
        .await;
    }

    /// `remuda_transaction_flights_total`.
    async fn flights(&self) -> u64 {
        let text = self.operations().metrics_text().await.unwrap();
        let mut lines = text.lines();
        let number = lines.find_map(|line| line.strip_prefix("remuda_transaction_flights_total "));
        number.unwrap().parse().unwrap()
    }

    async fn breakdown(&self, by: BreakdownBy, rows_max: usize) -> Breakdown {
        self.operations().cache_breakdown(by, rows_max).await.unwrap()
    }
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}

/// Connections by their transactions, over all receivers.
fn transactions(report: &Report) -> BTreeMap<u64, u64> {
    let mut all = BTreeMap::new();
    for listener in &report.listeners {
        for (transactions, connections) in &listener.transactions_per_connection {
            *all.entry(*transactions).or_default() += connections;
        }
    }
    all
}

/// Flights as all receivers have seen them.
fn flights_at(report: &Report) -> u64 {
    report.listeners.iter().map(|listener| listener.flights).sum()
}

/// The same counted under `bounds`.
fn under(bounds: &[u64], exact: &BTreeMap<u64, u64>) -> Vec<u64> {
    let mut counts = vec![0; bounds.len() + 1];
    for (value, count) in exact {
        let place = bounds.iter().position(|bound| value <= bound);
        counts[place.unwrap_or(bounds.len())] += count;
    }
    counts
}

/// Messages to one, two or five recipients of a dozen domains.
fn mixed(index: u64) -> Message {
    let recipients = [1, 2, 5][index as usize % 3];
    let domain = index % 12;
    Message {
        recipients: (0..recipients)
            .map(|n| format!("r{index}.{n}@d{domain}.test"))
            .collect(),
        ..message("a@source.test", "")
    }
}

fn brief(settings: &mut Settings) {
    settings.connection_cache.idle_time_limit = Duration::from_millis(300);
    settings.delivery.recipients_per_transaction = 2;
}

/// As `brief`, and each message waits for the reply to the one before it.
fn one_by_one(settings: &mut Settings) {
    brief(settings);
    settings.delivery.pipeline_depth = 1;
}

/// A dozen domains share three receivers, in all ways that there are.
async fn at_three_receivers(change: fn(&mut Settings)) -> (remuda_sink::Running, World) {
    let plain = Listener {
        pipelining: false,
        ..Listener::default()
    };
    let choosy = replying(&["rcpt#2=550 5.1.1 no such user", "dot##5=554 5.6.0 not this"]);
    let sinks = receivers(vec![Listener::default(), plain, choosy]).await;
    let at = sinks.addresses();
    let sets: [&[usize]; 6] = [&[0], &[1], &[2], &[0, 1], &[1, 2], &[2, 0, 1]];
    let mut routes = vec![route("source.test", &at[..1])];
    for domain in 0..12 {
        let hosts: Vec<_> = sets[domain % 6].iter().map(|host| at[*host]).collect();
        routes.push(route(&format!("d{domain}.test"), &hosts));
    }
    let world = World::start_with(routes, change).await;
    (sinks, world)
}

/// Issue 3, "What must be seen" 6.
#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_the_receivers_own() {
    let (sinks, world) = at_three_receivers(brief).await;
    world.send_many(MESSAGES, 10, mixed).await;
    world.empty().await;
    world.alone().await;
    let (counts, report) = (world.counts().await, sinks.report());
    let exact = transactions(&report);
    let connections: u64 = report.listeners.iter().map(|listener| listener.connections).sum();
    assert_eq!(counts.opened, connections);
    assert_eq!(counts.uses.counts, under(&counts.uses.bounds, &exact));
    let begun: u64 = exact.iter().map(|(uses, connections)| uses * connections).sum();
    assert_eq!((counts.uses.count, counts.uses.sum), (connections, begun));
    assert_eq!(total(&counts.transactions), begun + counts.transactions_not_begun);
    assert_eq!(total(&counts.closed), connections, "{:?}", counts.closed);
    assert_eq!(
        counts.destination_hits + counts.address_hits,
        counts.idle_ms.count,
        "every hit has an idle time"
    );
    let used = connections - exact.get(&0).copied().unwrap_or(0);
    let reused = begun - counts.transactions["again"] - used;
    assert_eq!(
        (counts.round_trips_saved, counts.handshakes_saved),
        (3 * reused, 0)
    );
    assert!(reused > 0 && counts.transactions["again"] > 0, "{counts:?}");

    // A message may cross the reply to the one before it on the way: two flights there, and one here.
    let flights = world.flights().await;
    assert!(
        (1..=flights_at(&report)).contains(&flights),
        "{flights}: {report:?}"
    );
    let text = world.operations().metrics_text().await.unwrap();
    let mut lines = vec![
        format!("remuda_connections_opened_total{{tls=\"none\"}} {connections}"),
        format!("remuda_connection_uses_count {connections}"),
        format!("remuda_connection_uses_sum {begun}.0"),
        format!(
            "remuda_connection_cache_handovers_total {}",
            counts.transactions["handover"]
        ),
        format!(
            "remuda_connection_cache_round_trips_saved_total {}",
            counts.round_trips_saved
        ),
    ];
    for (cause, count) in &counts.closed {
        lines.push(format!(
            "remuda_connection_cache_closed_total{{cause=\"{cause}\"}} {count}"
        ));
    }
    for line in lines {
        assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
    }
}

/// Issue 3, "What must be seen" 6: where nothing is sent behind what is not answered, both see the same flights.
#[tokio::test(flavor = "multi_thread")]
async fn flights_equal_the_receivers_own_one_by_one() {
    let (sinks, world) = at_three_receivers(one_by_one).await;
    world.send_many(MESSAGES, 10, mixed).await;
    world.empty().await;
    world.alone().await;
    assert_eq!(world.flights().await, flights_at(&sinks.report()));
}

/// STARTTLS, its handshake and the second EHLO are saved too.
#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_reuse_saves_are_counted() {
    let sink = receiver(Listener {
        tls: Some(Certificate::SelfSigned),
        ..Listener::default()
    })
    .await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], brief).await;
    world
        .send_many(60, 6, |_| message("a@source.test", "b@dest.test"))
        .await;
    arrived(&sink, 60).await;
    world.empty().await;
    world.alone().await;
    let (counts, report) = (world.counts().await, sink.report());
    let sink = &report.listeners[0];
    assert_eq!(counts.opened, sink.connections);
    assert_eq!(sink.tls_handshakes, sink.connections);
    let used: u64 = transactions(&report)
        .iter()
        .filter_map(|(uses, connections)| (*uses > 0).then_some(*connections))
        .sum();
    let reused = 60 - used;
    assert!(reused > 0, "{counts:?}");
    assert_eq!(
        (counts.round_trips_saved, counts.handshakes_saved),
        (6 * reused, reused)
    );
    let text = world.operations().metrics_text().await.unwrap();
    for line in [
        format!(
            "remuda_connections_opened_total{{tls=\"TLSv1.3\"}} {}",
            sink.connections
        ),
        format!("remuda_connection_cache_handshakes_saved_total {reused}"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_destinations_and_endpoints_add_up() {
    let (sinks, world) = at_three_receivers(brief).await;
    world.send_many(MESSAGES, 10, mixed).await;
    world.empty().await;
    world.alone().await;
    let (counts, report) = (world.counts().await, sinks.report());
    let sum = |table: &Breakdown, of: fn(&FiguresRow) -> u64| -> u64 {
        table.rows.iter().chain([&table.other]).map(of).sum()
    };
    for (by, rows_max) in [
        (BreakdownBy::Destination, 100),
        (BreakdownBy::Destination, 3),
        (BreakdownBy::Endpoint, 100),
        (BreakdownBy::Endpoint, 1),
    ] {
        let table = world.breakdown(by, rows_max).await;
        assert!(table.rows.len() <= rows_max);
        assert_eq!(sum(&table, |row| row.uses), total(&counts.transactions));
        assert_eq!(
            sum(&table, |row| row.hits),
            counts.destination_hits + counts.address_hits
        );
        assert_eq!(sum(&table, |row| row.handovers), counts.handovers);
        assert_eq!(sum(&table, |row| row.again), counts.transactions["again"]);
        assert_eq!(
            sum(&table, |row| row.dials),
            counts.opened + total(&counts.dials_failed)
        );
        assert_eq!(sum(&table, |row| row.unfit), total(&counts.unfit));
    }
    let table = world.breakdown(BreakdownBy::Endpoint, 100).await;
    assert_eq!(table.rows.len(), 3);
    for listener in &report.listeners {
        let row = table
            .rows
            .iter()
            .find(|row| row.name == listener.address.to_string());
        let row = row.unwrap();
        let of = &listener.transactions_per_connection;
        let transactions: u64 = of.iter().map(|(uses, connections)| uses * connections).sum();
        assert_eq!((row.uses, row.dials), (transactions, listener.connections));
        assert_eq!((row.busy, row.parked), (Some(0), Some(0)));
    }
}

/// T84.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_found_dead_are_counted_by_cause() {
    let sink = receiver(Listener {
        close_after: Some("3:silent".parse().unwrap()),
        ..Listener::default()
    })
    .await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        brief(settings);
        settings.delivery.minimal_backoff = Duration::from_millis(50);
        settings.delivery.maximal_backoff = Duration::from_millis(200);
    })
    .await;
    world
        .send_many(60, 4, |_| message("a@source.test", "b@dest.test"))
        .await;
    arrived(&sink, 60).await;
    world.empty().await;
    world.alone().await;
    let (counts, report) = (world.counts().await, sink.report());
    assert_eq!(counts.opened, report.listeners[0].connections);
    assert_eq!(total(&counts.closed), counts.opened);
    assert!(counts.closed["dead"] > 0, "{:?}", counts.closed);
    assert_eq!(total(&counts.deaths), counts.closed["dead"]);
    // What was begun on a session that was dead by then is all that the receiver has not seen.
    let seen: u64 = transactions(&report)
        .iter()
        .map(|(uses, count)| uses * count)
        .sum();
    assert!(
        (seen..=seen + counts.closed["dead"]).contains(&counts.uses.sum),
        "{seen}: {counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_greetings_are_counted_by_step() {
    let sink = receiver(replying(&["connect##1=421 4.3.2 too busy"])).await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        brief(settings);
        settings.delivery.minimal_backoff = Duration::from_millis(50);
    })
    .await;
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sink, 1).await;
    world.empty().await;
    world.alone().await;
    let (counts, report) = (world.counts().await, sink.report());
    assert_eq!(counts.dials_failed["greeting"], 1);
    assert_eq!(counts.opened + 1, report.listeners[0].connections);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_session_names_its_message_and_a_parked_one_is_retired_on_wish() {
    let gate = &mut Gate::start().await;
    let sink = receiver(Listener::default()).await;
    let routes = vec![
        route("held.test", &[gate.address]),
        route("dest.test", &[sink.address()]),
    ];
    let world = World::start_with(routes, |settings| {
        settings.connection_cache.destinations.insert("*".into());
        settings.connection_cache.idle_time_limit = Duration::from_secs(60);
    })
    .await;
    world.send(message("a@source.test", "b@held.test")).await;
    gate.holds_one().await;
    let id = world.queue().await[0].id.clone();
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sink, 1).await;
    let all = async || {
        let filter = ConnectionFilter::default();
        world.operations().connections(filter).await.unwrap()
    };
    world
        .until("one is busy and one parked", async || {
            let states: Vec<_> = all().await.iter().map(|shown| shown.state).collect();
            states == [ConnectionState::Busy, ConnectionState::Parked]
        })
        .await;
    let shown = all().await;
    assert_eq!(
        (shown[0].message.as_deref(), shown[0].uses),
        (Some(id.as_str()), 1)
    );
    assert_eq!(shown[1].message, None);
    assert!(shown[1].transaction_ms.is_some());
    for (endpoint, retired) in [(gate.address, 0), (sink.address(), 1)] {
        let filter = ConnectionFilter {
            endpoint: Some(remuda_mail::Endpoint::Tcp(endpoint)),
            destination: None,
        };
        assert_eq!(
            world.operations().retire_parked(filter).await.unwrap().retired,
            retired
        );
    }
    gate.reply("250 2.0.0 ok");
    world.empty().await;
    assert_eq!(world.counts().await.closed["drained"], 1);
}

/// The verdicts of the only deferred message, each with how it came to be considered.
async fn considered(world: &World) -> Vec<(String, String)> {
    let entry = world.waiting_as(EntryStatus::Deferred).await;
    let shown = world.show(&entry.id).await;
    let attempt = shown.entries[0].last_attempts.last().unwrap();
    let considered = attempt.considered.iter();
    considered
        .map(|one| (one.by.clone(), one.verdict.clone()))
        .collect()
}

fn pairs(words: &[(&str, &str)]) -> Vec<(String, String)> {
    words
        .iter()
        .map(|(by, verdict)| ((*by).to_owned(), (*verdict).to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_message_shows_what_each_attempt_considered() {
    let sink = receiver(replying(&["rcpt##2=450 4.2.1 busy"])).await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        settings.connection_cache.destinations.insert("*".into());
        settings.connection_cache.idle_time_limit = Duration::from_secs(60);
    })
    .await;
    world.send(message("a@source.test", "b@dest.test")).await;
    arrived(&sink, 1).await;
    world.empty().await;
    world.send(message("a@source.test", "c@dest.test")).await;
    assert_eq!(considered(&world).await, pairs(&[("destination", "taken")]));

    let sink = receiver(replying(&["rcpt##1=450 4.2.1 busy"])).await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        settings.connection_cache.on_demand = false;
    })
    .await;
    world.send(message("a@source.test", "b@dest.test")).await;
    assert_eq!(
        considered(&world).await,
        pairs(&[("cache", "off"), ("dial", "dialled"), ("off", "taken")])
    );

    let port = remuda_testing::free_port().unwrap();
    let world = World::start(vec![route("dest.test", &[([127, 0, 0, 1], port).into()])]).await;
    world.send(message("a@source.test", "b@dest.test")).await;
    assert_eq!(
        considered(&world).await,
        pairs(&[
            ("destination", "none parked"),
            ("address", "none parked"),
            ("dial", "dialled"),
            ("dial", "failed"),
        ])
    );
}

/// contract.md, "Delivery log": also where no session was got, and why the last endpoint was dialled.
#[tokio::test]
async fn cache_stands_wherever_a_session_was_looked_for() {
    let sink = receiver(Listener::default()).await;
    let dead = ([127, 0, 0, 1], remuda_testing::free_port().unwrap()).into();
    let secret = Route {
        tls: Some(TlsLevel::Encrypt),
        ..route("secret.test", &[sink.address()])
    };
    let routes = vec![
        route("dead.test", &[dead]),
        route("dest.test", &[sink.address()]),
        secret,
    ];
    let (logged, _guard) = Logged::here("status=");
    for on_demand in [true, false] {
        let world = World::start_with(routes.clone(), |settings| {
            settings.connection_cache.on_demand = on_demand;
            if on_demand {
                settings.connection_cache.destinations.insert("*".into());
            }
            settings.connection_cache.idle_time_limit = Duration::from_secs(60);
        })
        .await;
        world.send(message("a@source.test", "b@dest.test")).await;
        world.empty().await;
        for domain in ["dead.test", "secret.test"] {
            world.send(message("a@source.test", &format!("b@{domain}"))).await;
            let entry = world.waiting_as(EntryStatus::Deferred).await;
            world.change(Verb::Delete, &entry.id).await;
            world.empty().await;
        }
    }
    let lines = logged.lines();
    let found = [
        " cache=\"miss\" choice=\"only\"",
        " cache=\"miss\" choice=\"only\"",
        " cache=\"miss\" choice=\"only\" unfit=\"tls\"",
        " cache=\"off\" choice=\"only\"",
        " cache=\"off\" choice=\"only\"",
        " cache=\"off\" choice=\"only\"",
    ];
    assert_eq!(lines.len(), found.len(), "{lines:#?}");
    for (line, end) in lines.iter().zip(found) {
        assert!(line.ends_with(end), "{end} is not the end of {line}");
    }
}

/// T83: a reload and a stop write what has happened since the last line, an idle interval nothing.
#[tokio::test]
async fn statistics_are_logged_when_something_happened() {
    let (logged, _guard) = Logged::here("connection-cache-statistics");
    let sink = receiver(Listener::default()).await;
    let world = World::start_with(vec![route("dest.test", &[sink.address()])], |settings| {
        brief(settings);
        settings.connection_cache.destinations.insert("*".into());
    })
    .await;
    for _ in 0..3 {
        world.send(message("a@source.test", "b@dest.test")).await;
        world.empty().await;
    }
    world.alone().await;
    assert_eq!(logged.lines().len(), 0);
    for _ in 0..2 {
        world.engine.reload(world.settings.clone()).await.unwrap();
        world.counts().await;
        assert_eq!(logged.lines().len(), 1, "an idle interval writes nothing");
    }
    let counts = world.counts().await;
    let (hits, misses) = (counts.destination_hits, counts.destination_misses);
    let words = format!(
        "destination_hits={hits} destination_misses={misses} destination_success_percent={} address_hits=",
        hits * 100 / (hits + misses)
    );
    assert!(
        logged.lines()[0].contains(&words),
        "{words} not in {:?}",
        logged.lines()
    );
    world.send(message("a@source.test", "b@dest.test")).await;
    world.empty().await;
    world.stop().await;
    assert_eq!(logged.lines().len(), 2);
}
