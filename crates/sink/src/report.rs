//! The report: what each listener has seen, as JSON.
//!
//! # Contract
//! * **A message whose 2xx has been sent is in the report**: it is counted before the reply is written.
//! * **Counts are complete**, whatever is kept of the details.
//! * **Digests cost nothing unless asked for**, and neither do arrivals.
//!
//! # Limits
//! At most [`VIOLATIONS_KEPT_MAX`] violations of a listener are kept with their lines; all are counted.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::violation::{Violation, ViolationKind};

/// Violations that a listener keeps with their lines.
pub const VIOLATIONS_KEPT_MAX: usize = 100;

/// What the whole sink has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One for each listener, in the order of the configuration.
    pub listeners: Vec<ListenerReport>,
}

impl Report {
    /// Messages accepted by all listeners.
    pub fn messages(&self) -> u64 {
        self.listeners.iter().map(|listener| listener.messages).sum()
    }

    /// Every kept message of every listener.
    pub fn received(&self) -> impl Iterator<Item = &Received> {
        self.listeners.iter().flat_map(|listener| &listener.received)
    }

    /// Every kept violation of every listener.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.listeners.iter().flat_map(|listener| &listener.violations)
    }

    /// Writes the report as JSON to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        std::fs::write(path, json)
    }
}

/// What one listener has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections served (those refused with 421 for their number are not among them).
    pub connections: u64,
    /// The most connections served at the same time.
    pub max_connections: u64,
    /// Connections served, by the client's address.
    #[serde(default)]
    pub clients: BTreeMap<IpAddr, u64>,
    /// Connections that got 421 because there were too many.
    pub refused_connections: u64,
    /// Connections that the client ended without QUIT.
    pub closed_without_quit: u64,
    /// TLS handshakes that succeeded, resumed ones included.
    #[serde(default)]
    pub tls_handshakes: u64,
    /// Those of them that resumed an earlier session.
    #[serde(default)]
    pub tls_resumed: u64,
    /// Messages accepted (2xx at their end).
    pub messages: u64,
    /// Recipients of these messages.
    pub recipients: u64,
    /// Octets of their content.
    pub bytes: u64,
    /// How many connections had this many transactions (MAIL to final reply).
    pub transactions_per_connection: BTreeMap<u64, u64>,
    /// Flights that carried any part of a transaction, RSET included.
    pub flights: u64,
    /// Their number per accepted message; 0 without messages.
    pub flights_per_message: f64,
    /// How often each protocol error of the client was seen.
    pub violation_counts: BTreeMap<ViolationKind, u64>,
    /// The first protocol errors of the client.
    pub violations: Vec<Violation>,
    /// The accepted messages, when digests are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received: Vec<Received>,
    /// The connections that came, when digests are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<Arrival>,
}

impl ListenerReport {
    /// Nothing seen yet at `address`.
    fn new(address: SocketAddr) -> Self {
        ListenerReport {
            address,
            connections: 0,
            max_connections: 0,
            clients: BTreeMap::new(),
            refused_connections: 0,
            closed_without_quit: 0,
            tls_handshakes: 0,
            tls_resumed: 0,
            messages: 0,
            recipients: 0,
            bytes: 0,
            transactions_per_connection: BTreeMap::new(),
            flights: 0,
            flights_per_message: 0.0,
            violation_counts: BTreeMap::new(),
            violations: Vec::new(),
            received: Vec::new(),
            arrivals: Vec::new(),
        }
    }
}

/// A connection that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When: milliseconds since 1970.
    pub at: i64,
    /// It got 421 because there were too many.
    pub refused: bool,
}

/// An accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The connection of the listener, from 1.
    pub connection: u64,
    /// The transaction of the connection, from 1.
    pub transaction: u64,
    /// It came over TLS.
    #[serde(default)]
    pub tls: bool,
    /// Who had logged in.
    #[serde(default)]
    pub user: Option<String>,
    /// The sender as MAIL has it; empty for `<>`.
    pub sender: String,
    /// The parameters of MAIL as written.
    pub parameters: String,
    /// The recipients accepted, in order.
    pub recipients: Vec<ReceivedRecipient>,
    /// The value of the header field X-Remuda-Test, else of Message-ID.
    pub id: Option<String>,
    /// Octets of the content.
    pub bytes: u64,
    /// SHA-256 of the whole content, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of the content from the first header field that is not Received or Return-Path.
    pub sha256_without_trace: String,
    /// When it was accepted: milliseconds since 1970.
    #[serde(default)]
    pub received_at: i64,
    /// The content, when contents are kept; not in the JSON.
    #[serde(skip)]
    pub content: Option<Vec<u8>>,
}

/// A recipient of an accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedRecipient {
    /// The address as RCPT has it.
    pub address: String,
    /// The parameters of RCPT as written.
    pub parameters: String,
}

/// A message that is about to be answered with 2xx.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub recipients: u64,
    pub bytes: u64,
    /// Only when digests are kept.
    pub received: Option<Received>,
}

/// The counters of a listener, shared by its connections.
#[derive(Debug)]
pub(crate) struct Counters {
    report: Mutex<Live>,
}

/// The report in the making.
#[derive(Debug)]
struct Live {
    report: ListenerReport,
    open: u64,
}

impl Counters {
    pub fn new(address: SocketAddr) -> Self {
        Counters {
            report: Mutex::new(Live {
                report: ListenerReport::new(address),
                open: 0,
            }),
        }
    }

    /// The report as of now.
    pub fn snapshot(&self) -> ListenerReport {
        let mut report = self.lock().report.clone();
        if report.messages > 0 {
            report.flights_per_message = report.flights as f64 / report.messages as f64;
        }
        report
    }

    /// Counts a connection and numbers it, or refuses it when `max` are open already; `at`: when it came, if
    /// that is kept.
    pub fn open(&self, max: Option<usize>, at: Option<i64>) -> Option<u64> {
        let mut live = self.lock();
        let refused = max.is_some_and(|max| live.open >= max as u64);
        live.report.arrivals.extend(at.map(|at| Arrival { at, refused }));
        if refused {
            live.report.refused_connections += 1;
            return None;
        }
        live.open += 1;
        live.report.connections += 1;
        live.report.max_connections = live.report.max_connections.max(live.open);
        *live.report.transactions_per_connection.entry(0).or_default() += 1;
        Some(live.report.connections)
    }

    /// Notes where a connection came from.
    pub fn came_from(&self, client: IpAddr) {
        *self.lock().report.clients.entry(client).or_default() += 1;
    }

    /// Counts the end of a connection.
    pub fn close(&self) {
        let mut live = self.lock();
        live.open = live.open.saturating_sub(1);
    }

    /// Counts a connection that the client left without QUIT.
    pub fn left_without_quit(&self) {
        self.lock().report.closed_without_quit += 1;
    }

    /// Counts a handshake.
    pub fn handshake(&self, is_resumed: bool) {
        let report = &mut self.lock().report;
        report.tls_handshakes += 1;
        report.tls_resumed += u64::from(is_resumed);
    }

    /// Counts a transaction, the connection's `number`-th, and the message if it was accepted.
    pub fn transaction(&self, number: u64, accepted: Option<Accepted>) {
        let report = &mut self.lock().report;
        let histogram = &mut report.transactions_per_connection;
        if let Some(connections) = histogram.get_mut(&(number - 1)) {
            *connections -= 1;
            if *connections == 0 {
                histogram.remove(&(number - 1));
            }
        }
        *histogram.entry(number).or_default() += 1;
        if let Some(accepted) = accepted {
            report.messages += 1;
            report.recipients += accepted.recipients;
            report.bytes += accepted.bytes;
            report.received.extend(accepted.received);
        }
    }

    /// Counts a flight.
    pub fn flight(&self) {
        self.lock().report.flights += 1;
    }

    /// Counts a violation and keeps it while there is room.
    pub fn violation(&self, violation: Violation) {
        let report = &mut self.lock().report;
        *report.violation_counts.entry(violation.kind).or_default() += 1;
        if report.violations.len() < VIOLATIONS_KEPT_MAX {
            report.violations.push(violation);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        Counters::new(SocketAddr::from(([127, 0, 0, 1], 25)))
    }

    #[test]
    fn the_histogram_moves_a_connection_up() {
        let counters = counters();
        counters.open(None, None);
        counters.open(None, None);
        counters.came_from([127, 0, 0, 2].into());
        counters.transaction(1, None);
        counters.transaction(2, None);
        let histogram = counters.snapshot().transactions_per_connection;
        assert_eq!(histogram, BTreeMap::from([(0, 1), (2, 1)]));
    }

    #[test]
    fn arrivals_are_kept_when_asked_for() {
        let counters = counters();
        counters.open(Some(1), None);
        counters.open(Some(1), Some(7));
        counters.close();
        counters.open(Some(1), Some(9));
        let came = counters.snapshot().arrivals;
        let came: Vec<_> = came.iter().map(|came| (came.at, came.refused)).collect();
        assert_eq!(came, [(7, true), (9, false)]);
    }

    #[test]
    fn every_violation_is_counted_and_a_bounded_number_kept() {
        let counters = counters();
        for _ in 0..VIOLATIONS_KEPT_MAX + 5 {
            counters.violation(Violation {
                kind: ViolationKind::BadSyntax,
                connection: 1,
                lines: Vec::new(),
            });
        }
        let report = counters.snapshot();
        assert_eq!(report.violations.len(), VIOLATIONS_KEPT_MAX);
        assert_eq!(report.violation_counts[&ViolationKind::BadSyntax], 105);
    }

    #[test]
    fn a_report_survives_json() {
        let report = Report {
            listeners: vec![counters().snapshot()],
        };
        let json = serde_json::to_string(&report).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Report>(&json).expect("its own JSON"),
            report
        );
    }
}
