//! `remuda hosts`: what is remembered of hosts, and how to make it forgotten.

use remuda_engine::operations::{ForgottenHosts, Host, HostState, Hosts};
use remuda_mail::Endpoint;

use crate::{
    cli::{HostsAction, HostsArguments, StateArgument},
    client::{Client, Method, read},
    exit::{Exit, Failure},
    now_ms, print,
    table::{length, table},
};

/// Does what the arguments say.
///
/// # Errors
/// As [`Client::ask`]; a list's options beside `forget`.
pub fn run(arguments: &HostsArguments) -> Result<(), Failure> {
    let HostsArguments {
        server,
        state,
        limit,
        action,
    } = arguments;
    if action.is_some() && (state.is_some() || limit.is_some()) {
        let words = "--state and --limit are of the list, not of forget";
        return Err(Failure::new(Exit::Usage, words));
    }
    let client = Client::new(server)?;
    let (method, path, query) = match action {
        None => (Method::Get, "/api/v1/hosts".to_owned(), query(*state, *limit)),
        Some(HostsAction::Forget { endpoint }) => (Method::Delete, path_of(*endpoint), Vec::new()),
    };
    let answer = client.ask(method, &path, &query)?;
    match (server.json, action) {
        (true, _) => print(&format!("{answer:#}\n")),
        (false, Some(_)) => print(&format!(
            "forgotten: {}\n",
            read::<ForgottenHosts>(answer)?.forgotten
        )),
        (false, None) => print(&list(&read(answer)?, *state, now_ms())),
    }
}

fn query(state: Option<StateArgument>, limit: Option<usize>) -> Vec<(&'static str, String)> {
    let state = state.map(|given| wanted(given).as_str().to_owned());
    let given = [("state", state), ("limit", limit.map(|limit| limit.to_string()))];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn wanted(given: StateArgument) -> HostState {
    match given {
        StateArgument::Used => HostState::Used,
        StateArgument::Slow => HostState::Slow,
        StateArgument::Paused => HostState::Paused,
        StateArgument::Trial => HostState::Trial,
    }
}

/// The path of an endpoint; the brackets of an IPv6 address are none of a URL's, and a socket's path is one part.
fn path_of(endpoint: Endpoint) -> String {
    let mut escaped = String::new();
    for c in endpoint.to_string().chars() {
        match c {
            ':' | '.' | '-' | '_' => escaped.push(c),
            c if c.is_ascii_alphanumeric() => escaped.push(c),
            c => {
                let mut octets = [0; 4];
                for octet in c.encode_utf8(&mut octets).bytes() {
                    escaped.push_str(&format!("%{octet:02X}"));
                }
            }
        }
    }
    format!("/api/v1/hosts/{escaped}")
}

fn list(hosts: &Hosts, state: Option<StateArgument>, now: i64) -> String {
    let state = state.map(wanted);
    let matching = match state {
        None => hosts.known,
        Some(state) => hosts.states.get(&state).copied().unwrap_or(0),
    };
    if hosts.hosts.is_empty() {
        return match state {
            None => "nothing is remembered of any host\n".to_owned(),
            Some(state) => format!("no host is in state {} ({} known)\n", state.as_str(), hosts.known),
        };
    }
    let has_sources = hosts.hosts.iter().any(|host| host.source.is_some());
    let columns: Vec<Column> = COLUMNS
        .iter()
        .filter(|(name, _)| has_sources || *name != SOURCE)
        .copied()
        .collect();
    let head: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let row = |host| columns.iter().map(|(_, cell)| cell(host, now)).collect();
    let rows: Vec<Vec<String>> = hosts.hosts.iter().map(row).collect();
    let mut text = table(&head, &rows);
    let beyond = matching.saturating_sub(rows.len() as u64);
    if beyond > 0 {
        text.push_str(&format!("and {beyond} more: --limit {matching}\n"));
    }
    text
}

/// A column: its head, and its cell for a host at a time.
type Column = (&'static str, fn(&Host, i64) -> String);

const SOURCE: &str = "SOURCE";

const COLUMNS: [Column; 14] = [
    ("ENDPOINT", |host, _| host.endpoint.clone()),
    ("HOST", |host, _| known(host.host.clone())),
    (SOURCE, |host, _| known(host.source.clone())),
    ("STATE", |host, _| host.state.as_str().to_owned()),
    ("TIME", |host, _| millis(host.transaction_ms)),
    ("OPENING", |host, _| millis(host.opening_ms)),
    ("BUSY", |host, _| host.sessions.to_string()),
    ("PARKED", |host, _| host.parked.to_string()),
    ("CONN-MAX", |host, _| known(host.connections_max)),
    ("USES-MAX", |host, _| known(uses_max(host))),
    ("IDLE-MAX", |host, _| known(host.idle_max_seconds.map(length))),
    ("DEPTH", |host, _| host.depth.to_string()),
    ("NEXT", next),
    ("REASON", reason),
];

fn known(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn millis(ms: Option<f64>) -> String {
    known(ms.map(|ms| format!("{ms:.0}ms")))
}

/// A host whose sessions die when they are used again gets one transaction on each.
fn uses_max(host: &Host) -> Option<u32> {
    match host.bears_reuse {
        true => host.transactions_max,
        false => Some(1),
    }
}

/// In how long it is tried.
fn next(host: &Host, now: i64) -> String {
    match host.next_trial {
        Some(at) if at > now => length((at - now) as f64 / 1000.0),
        // Of a slow one no time is waited for when it has shown itself faster.
        None if host.state != HostState::Slow => "-".to_owned(),
        _ => "now".to_owned(),
    }
}

fn reason(host: &Host, _: i64) -> String {
    match (&host.reason, host.failures) {
        (Some(reason), _) => reason.clone(),
        (None, 0) => String::new(),
        (None, _) => "has failed; the next message tries it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn used(endpoint: &str) -> Host {
        Host {
            endpoint: endpoint.into(),
            host: Some("mx.a.test".into()),
            source: None,
            state: HostState::Used,
            reason: None,
            next_trial: None,
            transaction_ms: Some(41.6),
            opening_ms: Some(120.0),
            sessions: 2,
            parked: 1,
            connections_max: Some(10),
            transactions_max: None,
            idle_max_seconds: Some(1.5),
            bears_reuse: true,
            depth: 4,
            failures: 0,
        }
    }

    fn paused() -> Host {
        Host {
            host: None,
            state: HostState::Paused,
            reason: Some("Connection refused".into()),
            next_trial: Some(NOW + 8_400),
            transaction_ms: None,
            opening_ms: None,
            failures: 4,
            ..used("192.0.2.9:25")
        }
    }

    fn shown(hosts: Vec<Host>) -> Vec<Vec<String>> {
        let hosts = Hosts {
            known: hosts.len() as u64,
            states: [(HostState::Used, hosts.len() as u64)].into(),
            hosts,
        };
        let text = list(&hosts, None, NOW);
        let words = |line: &str| line.split("  ").map(str::trim).map(str::to_owned).collect();
        let cells = |line: &str| -> Vec<String> {
            let all: Vec<String> = words(line);
            all.into_iter().filter(|cell| !cell.is_empty()).collect()
        };
        text.lines().map(cells).collect()
    }

    #[test]
    fn a_host_shows_what_is_known_of_it() {
        let rows = shown(vec![used("192.0.2.1:25"), paused()]);
        assert_eq!(rows[0].len(), 13);
        assert_eq!(
            rows[1],
            [
                "192.0.2.1:25",
                "mx.a.test",
                "used",
                "42ms",
                "120ms",
                "2",
                "1",
                "10",
                "-",
                "1.5s",
                "4",
                "-"
            ]
        );
        assert_eq!(rows[2][1..5], ["-", "paused", "-", "-"]);
        assert_eq!(rows[2][11..], ["8.4s", "Connection refused"]);
    }

    #[test]
    fn our_address_is_shown_when_some_row_has_one() {
        let from = Host {
            source: Some("192.0.2.101".into()),
            ..used("192.0.2.2:25")
        };
        let rows = shown(vec![used("192.0.2.1:25"), from]);
        assert_eq!(
            (rows[0][2].as_str(), rows[1][2].as_str(), rows[2][2].as_str()),
            (SOURCE, "-", "192.0.2.101")
        );
    }

    #[test]
    fn a_host_that_bears_no_reuse_gets_one_transaction_a_session() {
        let barred = Host {
            bears_reuse: false,
            transactions_max: Some(20),
            ..used("192.0.2.1:25")
        };
        assert_eq!(
            (uses_max(&barred), uses_max(&used("192.0.2.1:25"))),
            (Some(1), None)
        );
    }

    #[test]
    fn a_trial_that_is_due_or_a_host_that_waits_for_mail_is_said() {
        let due = Host {
            next_trial: Some(NOW),
            reason: None,
            ..paused()
        };
        assert_eq!(
            (next(&due, NOW), next(&due, NOW - 90_000)),
            ("now".into(), "1m30s".into())
        );
        let faster = Host {
            state: HostState::Slow,
            next_trial: None,
            ..due.clone()
        };
        assert_eq!(next(&faster, NOW), "now");
        assert_eq!(reason(&due, NOW), "has failed; the next message tries it");
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let hosts = Hosts {
            known: 9,
            states: [(HostState::Used, 7), (HostState::Slow, 2)].into(),
            hosts: vec![used("192.0.2.1:25")],
        };
        let last = |state| {
            list(&hosts, state, NOW)
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(last(None), "and 8 more: --limit 9");
        assert_eq!(last(Some(StateArgument::Used)), "and 6 more: --limit 7");
        let none = Hosts {
            hosts: Vec::new(),
            ..hosts
        };
        assert_eq!(
            list(&none, Some(StateArgument::Paused), NOW),
            "no host is in state paused (9 known)\n"
        );
    }

    #[test]
    fn any_endpoint_is_one_part_of_a_path() {
        let endpoint = "[2001:db8::1]:25".parse().unwrap();
        assert_eq!(path_of(endpoint), "/api/v1/hosts/%5B2001:db8::1%5D:25");
        let socket = "/run/d/lmtp".parse().unwrap();
        assert_eq!(path_of(socket), "/api/v1/hosts/%2Frun%2Fd%2Flmtp");
        assert_eq!(
            query(Some(StateArgument::Slow), Some(5)),
            [("state", "slow".to_owned()), ("limit", "5".to_owned())]
        );
    }
}
