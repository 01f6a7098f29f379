//! `remuda connections`: the outbound sessions, or the connection cache's statistics.

mod statistics;

use remuda_engine::operations::{Connection, ConnectionState};

use crate::{
    cli::{ByArgument, ConnectionsArguments},
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
    let by = arguments.by.map(|by| match by {
        ByArgument::Destination => "destination".to_owned(),
        ByArgument::Endpoint => "endpoint".to_owned(),
    });
    let given = [
        ("destination", arguments.destination.clone()),
        ("endpoint", arguments.endpoint.clone()),
        ("by", by),
        ("limit", arguments.limit.map(|limit| limit.to_string())),
    ];
    let query: Vec<_> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let answer = client.ask(Method::Get, path, &query)?;
    match (arguments.server.json, arguments.stats) {
        (true, _) => print(&format!("{answer:#}\n")),
        (false, true) => print(&statistics::shown(&read(answer)?)),
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
        "MESSAGE",
    ];
    let rows: Vec<Vec<String>> = connections.iter().map(row).collect();
    if rows.is_empty() {
        "no outbound session\n".to_owned()
    } else {
        table(&head, &rows)
    }
}

fn row(connection: &Connection) -> Vec<String> {
    let state = match connection.state {
        ConnectionState::Dialling => "dialling",
        ConnectionState::Busy => "busy",
        ConnectionState::Settling => "settling",
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
        connection.message.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_session_shows_its_message() {
        let connection = Connection {
            session: 7,
            state: ConnectionState::Busy,
            destination: "a.test".into(),
            endpoint: "192.0.2.1:25".into(),
            host: "mx.a.test".into(),
            source: None,
            tls: "none".into(),
            uses: 3,
            transactions_max: None,
            age_seconds: 2.0,
            idle_seconds: 0.0,
            transaction_ms: Some(41.6),
            message: Some("1M7Z3KQ0000".into()),
        };
        let text = sessions(&[connection]);
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with("busy") && row.ends_with("42ms  1M7Z3KQ0000"),
            "{text}"
        );
    }
}
