//! An example of every answer, complete: optional fields are there.

use remuda_engine::operations::{
    AdmissionStatus, AttemptShown, Breakdown, BreakdownBy, CacheCounts, CacheStatistics, Changed, Connection,
    ConnectionState, ConsideredShown, EntryShown, EntryStatus, FiguresRow, ForgottenHosts, HistogramShown,
    Host, HostState, Hosts, MessageShown, Page, QueueCounts, QueueEntry, Rates, RecipientShown,
    RetiredParked, ServiceState, SessionCounts, SpoolStatus, Status, Summary, SummaryRow,
};
use serde::Serialize;
use serde_json::{Value, json};

/// All, by the name of their schema.
pub fn all() -> Vec<(&'static str, Value)> {
    let mut all = of_engine();
    all.extend(super::directory::samples());
    all
}

fn of_engine() -> Vec<(&'static str, Value)> {
    vec![
        ("Status", value(status())),
        (
            "Page",
            value(Page {
                entries: vec![entry()],
                next: Some(42),
            }),
        ),
        ("MessageShown", value(message())),
        ("Summary", value(summary())),
        (
            "Changed",
            value(Changed {
                changed: 3,
                in_flight: vec!["1M7Z3KQ0000".into()],
            }),
        ),
        ("Connections", value(vec![connection()])),
        ("RetiredParked", value(RetiredParked { retired: 2 })),
        ("Hosts", value(hosts())),
        ("ForgottenHosts", value(ForgottenHosts { forgotten: 1 })),
        (
            "CacheStatistics",
            value(CacheStatistics {
                since_start: counts(),
                interval: counts(),
                breakdown: Some(breakdown()),
            }),
        ),
    ]
}

/// A problem.
pub fn problem() -> Value {
    json!({
        "type": "about:blank", "title": "Conflict", "status": 409,
        "detail": "it has changed meanwhile: its version is 8",
        "field": "address", "line": 17, "version": 8,
    })
}

pub fn value(answer: impl Serialize) -> Value {
    // Plain structs with string keys always have a JSON form.
    serde_json::to_value(answer).unwrap_or_default()
}

const NOON: i64 = 1_795_000_000_000;

fn status() -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        hostname: "mx.example.org".into(),
        uptime_seconds: 3600.5,
        state: ServiceState::Ready,
        admission: AdmissionStatus {
            state: "refuse-mail".into(),
            reason: Some("disk nearly full".into()),
        },
        queue: QueueCounts {
            active: 10,
            deferred: 200,
            held: 1,
            destinations: 12,
        },
        sessions: SessionCounts {
            inbound: 4,
            inbound_max: 1000,
            busy: 9,
            busy_max: 500,
            parked: 17,
            parked_max: 1000,
        },
        rates: Rates {
            received_per_second: 12.5,
            delivered_per_second: 12.25,
        },
        spool: SpoolStatus {
            writable: false,
            reason: Some("no space left on device".into()),
            writer_delay_ms: 3,
            free_disk: Some(1 << 34),
        },
    }
}

fn entry() -> QueueEntry {
    QueueEntry {
        id: "1M7Z3KQ0000".into(),
        entry: 42,
        status: EntryStatus::Deferred,
        destination: "example.net".into(),
        sender: "alice@example.org".into(),
        recipients: vec!["bob@example.net".into()],
        size: 4096,
        arrived: NOON,
        expires: NOON + 432_000_000,
        due: NOON + 300_000,
        attempts: 1,
        reason: Some("450 4.2.1 busy".into()),
    }
}

fn message() -> MessageShown {
    MessageShown {
        id: "1M7Z3KQ0000".into(),
        sender: "alice@example.org".into(),
        size: 4096,
        arrived: NOON,
        expires: NOON + 432_000_000,
        client: "192.0.2.7".into(),
        helo: "client.example.org".into(),
        protocol: "ESMTP".into(),
        entries: vec![EntryShown {
            entry: 42,
            status: EntryStatus::Deferred,
            destination: "example.net".into(),
            due: NOON + 300_000,
            attempts: 1,
            recipients: vec![RecipientShown {
                address: "bob@example.net".into(),
                reason: Some("450 4.2.1 busy".into()),
                may_be_duplicate: true,
            }],
            last_attempts: vec![AttemptShown {
                at: NOON,
                relay: "mx.example.net[192.0.2.25]:25".into(),
                result: "deferred: 450 4.2.1 busy".into(),
                considered: vec![ConsideredShown {
                    by: "address".into(),
                    endpoint: Some("192.0.2.25:25".into()),
                    session: Some(7),
                    verdict: "unfit".into(),
                    reason: Some("size".into()),
                }],
                considered_more: 0,
            }],
        }],
    }
}

fn summary() -> Summary {
    Summary {
        age_minutes: vec![5, 10, 20, 40, 80, 160, 320, 640, 1280],
        destinations: vec![SummaryRow {
            destination: "example.net".into(),
            total: 3,
            counts: vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 0],
            suspended_until: Some(NOON + 60_000),
            suspended_reason: Some("connect to mx.example.net[192.0.2.25]:25: refused".into()),
        }],
    }
}

fn connection() -> Connection {
    Connection {
        session: 7,
        state: ConnectionState::Parked,
        destination: "example.net".into(),
        endpoint: "192.0.2.25:25".into(),
        host: "mx.example.net".into(),
        source: Some("198.51.100.7".into()),
        user: Some("me".into()),
        tls: "none".into(),
        clear: Some("not offered".into()),
        uses: 12,
        transactions_max: Some(20),
        age_seconds: 20.5,
        idle_seconds: 0.75,
        transaction_ms: Some(48.5),
        message: Some("1M7Z3KQ0000".into()),
    }
}

fn hosts() -> Hosts {
    let host = Host {
        endpoint: "192.0.2.25:25".into(),
        host: Some("mx.example.net".into()),
        source: Some("198.51.100.7".into()),
        state: HostState::Paused,
        reason: Some("connect to mx.example.net[192.0.2.25]:25: Connection refused".into()),
        next_trial: Some(NOON + 8_000),
        transaction_ms: Some(48.5),
        opening_ms: Some(102.5),
        sessions: 0,
        parked: 2,
        connections_max: Some(10),
        transactions_max: Some(20),
        idle_max_seconds: Some(1.5),
        bears_reuse: true,
        depth: 4,
        failures: 4,
    };
    Hosts {
        known: 1,
        states: HostState::ALL
            .map(|state| (state, u64::from(state == host.state)))
            .into(),
        hosts: vec![host],
    }
}

fn counts() -> CacheCounts {
    CacheCounts {
        destination_hits: 90,
        destination_misses: 10,
        address_hits: 5,
        address_misses: 5,
        max_destinations: 12,
        max_addresses: 8,
        max_connections: 17,
        handovers: 40,
        closed: [("idle".to_owned(), 9)].into(),
        unfit: [("size".to_owned(), 1)].into(),
        opened: 15,
        dials_failed: [("connect".to_owned(), 1)].into(),
        transactions: [("destination".to_owned(), 90), ("miss".to_owned(), 15)].into(),
        transactions_not_begun: 1,
        deaths: [("fin".to_owned(), 1)].into(),
        uses: histogram(),
        idle_ms: histogram(),
        round_trips_saved: 405,
        handshakes_saved: 0,
    }
}

fn histogram() -> HistogramShown {
    HistogramShown {
        bounds: vec![0, 1, 10],
        counts: vec![1, 2, 3, 4],
        count: 10,
        sum: 120,
    }
}

fn breakdown() -> Breakdown {
    let row = |name: &str| FiguresRow {
        name: name.into(),
        uses: 12,
        hits: 9,
        handovers: 1,
        misses: 2,
        again: 0,
        dials: 2,
        deaths: 0,
        unfit: 1,
        busy: Some(1),
        parked: Some(2),
    };
    Breakdown {
        by: BreakdownBy::Endpoint,
        rows: vec![row("192.0.2.25:25")],
        other: row(""),
        known: 1,
    }
}
