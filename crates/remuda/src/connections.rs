//! `remuda connections`: the outbound sessions, or the connection cache's statistics.
//!
//! # Contract
//! * **A column stands only where some session has something in it**, so that the table is no wider than it
//!   has to be.

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

/// A column: its head, and its cell for a session that has one.
type Column = (&'static str, fn(&Connection) -> Option<String>);

const COLUMNS: [Column; 13] = [
    ("STATE", |one| Some(state(one.state).to_owned())),
    ("DESTINATION", |one| Some(one.destination.clone())),
    ("SOURCE", |one| one.source.clone()),
    ("ENDPOINT", |one| Some(one.endpoint.clone())),
    ("HOST", |one| Some(one.host.clone())),
    ("USER", |one| one.user.clone()),
    ("TLS", |one| Some(one.tls.clone())),
    ("IN CLEAR", |one| one.clear.clone()),
    ("USES", |one| Some(one.uses.to_string())),
    ("AGE", |one| Some(length(one.age_seconds))),
    ("IDLE", |one| Some(length(one.idle_seconds))),
    ("TIME", |one| one.transaction_ms.map(|ms| format!("{ms:.0}ms"))),
    ("MESSAGE", |one| one.message.clone()),
];

fn sessions(connections: &[Connection]) -> String {
    if connections.is_empty() {
        return "no outbound session\n".to_owned();
    }
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|(_, cell)| connections.iter().any(|one| cell(one).is_some()))
        .collect();
    let head: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let row = |one: &Connection| {
        let cells = columns.iter().map(|(_, cell)| cell(one));
        cells.map(|cell| cell.unwrap_or("-".to_owned())).collect()
    };
    table(&head, &connections.iter().map(row).collect::<Vec<_>>())
}

fn state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Dialling => "dialling",
        ConnectionState::Busy => "busy",
        ConnectionState::Settling => "settling",
        ConnectionState::Parked => "parked",
        ConnectionState::Retiring => "retiring",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        Connection {
            session: 7,
            state: ConnectionState::Busy,
            destination: "a.test".into(),
            endpoint: "192.0.2.1:25".into(),
            host: "mx.a.test".into(),
            source: None,
            user: None,
            tls: "TLSv1.3".into(),
            clear: None,
            uses: 3,
            transactions_max: None,
            age_seconds: 2.0,
            idle_seconds: 0.0,
            transaction_ms: Some(41.6),
            message: Some("1M7Z3KQ0000".into()),
        }
    }

    #[test]
    fn a_busy_session_shows_its_message() {
        let text = sessions(&[connection()]);
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with("busy") && row.ends_with("42ms  1M7Z3KQ0000"),
            "{text}"
        );
    }

    #[test]
    fn a_column_stands_only_where_some_session_has_something_in_it() {
        let bare = Connection {
            transaction_ms: None,
            message: None,
            ..connection()
        };
        let text = sessions(std::slice::from_ref(&bare));
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let head = words("STATE DESTINATION ENDPOINT HOST TLS USES AGE IDLE");
        assert_eq!(words(text.lines().next().unwrap()), head);
        let full = Connection {
            source: Some("198.51.100.7".into()),
            user: Some("me".into()),
            tls: "none".into(),
            clear: Some("handshake failed".into()),
            ..connection()
        };
        let text = sessions(&[bare, full]);
        let lines: Vec<Vec<String>> = text.lines().map(words).collect();
        let expected = [
            "STATE DESTINATION SOURCE ENDPOINT HOST USER TLS IN CLEAR USES AGE IDLE TIME MESSAGE",
            "busy a.test - 192.0.2.1:25 mx.a.test - TLSv1.3 - 3 2.0s 0.0s - -",
            "busy a.test 198.51.100.7 192.0.2.1:25 mx.a.test me none handshake failed 3 2.0s 0.0s 42ms 1M7Z3KQ0000",
        ];
        assert_eq!(lines, expected.map(words));
    }
}
