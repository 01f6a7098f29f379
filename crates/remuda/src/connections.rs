//! `remuda connections`: the outbound sessions, or the connection cache's statistics.

use remuda_engine::operations::{CacheCounts, CacheStatistics, Connection, ConnectionState};

use crate::{
    cli::ConnectionsArguments,
    client::{Client, Method, read},
    exit::Failure,
    print,
    table::{length, table},
};

/// Prints what the arguments ask for.
///
/// # Errors
/// As [`Client::ask`].
pub fn run(arguments: &ConnectionsArguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.server)?;
    let path = if arguments.stats {
        "/api/v1/connection-cache"
    } else {
        "/api/v1/connections"
    };
    let given = [
        ("destination", &arguments.destination),
        ("endpoint", &arguments.endpoint),
    ];
    let query: Vec<_> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect();
    let answer = client.ask(Method::Get, path, &query)?;
    match (arguments.server.json, arguments.stats) {
        (true, _) => print(&format!("{answer:#}\n")),
        (false, true) => print(&statistics(&read(answer)?)),
        (false, false) => print(&sessions(&read::<Vec<Connection>>(answer)?)),
    }
}

fn sessions(connections: &[Connection]) -> String {
    let head = [
        "STATE",
        "DESTINATION",
        "ENDPOINT",
        "HOST",
        "TLS",
        "USES",
        "AGE",
        "IDLE",
        "TIME",
    ];
    let rows = connections.iter().map(|connection| {
        let state = match connection.state {
            ConnectionState::Dialling => "dialling",
            ConnectionState::Busy => "busy",
            ConnectionState::Parked => "parked",
            ConnectionState::Retiring => "retiring",
        };
        vec![
            state.to_owned(),
            connection.destination.clone(),
            connection.endpoint.clone(),
            connection.host.clone(),
            connection.tls.clone(),
            connection.uses.to_string(),
            length(connection.age_seconds),
            length(connection.idle_seconds),
            connection
                .transaction_ms
                .map_or("-".to_owned(), |ms| format!("{ms:.0}ms")),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        "no outbound session\n".to_owned()
    } else {
        table(&head, &rows)
    }
}

fn statistics(statistics: &CacheStatistics) -> String {
    let (start, interval) = (figures(&statistics.since_start), figures(&statistics.interval));
    let value_in = |figures: &[(String, String)], name: &str| {
        figures
            .iter()
            .find(|(other, _)| other == name)
            .map_or("0".to_owned(), |(_, value)| value.clone())
    };
    // What the interval has, the time since start has too.
    let rows = start
        .iter()
        .map(|(name, value)| vec![name.clone(), value.clone(), value_in(&interval, name)]);
    table(&["", "SINCE START", "INTERVAL"], &rows.collect::<Vec<_>>())
}

fn figures(counts: &CacheCounts) -> Vec<(String, String)> {
    let percent = |hits: u64, misses: u64| match (hits * 100).checked_div(hits + misses) {
        Some(percent) => format!("{percent}%"),
        None => "-".to_owned(),
    };
    let fixed = [
        ("destination hits", counts.destination_hits.to_string()),
        ("destination misses", counts.destination_misses.to_string()),
        (
            "destination success",
            percent(counts.destination_hits, counts.destination_misses),
        ),
        ("address hits", counts.address_hits.to_string()),
        ("address misses", counts.address_misses.to_string()),
        (
            "address success",
            percent(counts.address_hits, counts.address_misses),
        ),
        ("handovers", counts.handovers.to_string()),
        ("most destinations", counts.max_destinations.to_string()),
        ("most addresses", counts.max_addresses.to_string()),
        ("most connections", counts.max_connections.to_string()),
    ];
    let closed = counts
        .closed
        .iter()
        .map(|(cause, count)| (format!("closed: {cause}"), count.to_string()));
    let unfit = counts
        .unfit
        .iter()
        .map(|(reason, count)| (format!("unfit: {reason}"), count.to_string()));
    fixed
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(closed)
        .chain(unfit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_show_both_times_side_by_side() {
        let counts = |hits| CacheCounts {
            destination_hits: hits,
            destination_misses: 1,
            ..CacheCounts::default()
        };
        let mut shown = CacheStatistics {
            since_start: counts(9),
            interval: counts(3),
        };
        shown.since_start.closed.insert("idle".into(), 4);
        let text = statistics(&shown);
        for line in [
            "destination hits     9            3",
            "destination success  90%          75%",
            "closed: idle         4            0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
    }
}
