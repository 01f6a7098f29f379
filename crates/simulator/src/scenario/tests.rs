//! Scenarios are read strictly, and problems say where they are.

use super::*;

const SOUND: &str = "\
seed = 7
duration = '1h'
[[host]]
name = 'fast'
service = '50ms'
connect = '20ms'
session_limit = 5
[[host.phase]]
at = '10s'
state = 'never_greets'
[[domain]]
name = 'd'
count = 3
hosts = ['fast']
[mail]
messages = 1_000
size = '4KiB'
rate = 20.5
[policy]
sessions = 10
reuse_time_limit = '300s'
";

#[test]
fn a_file_is_read_with_all_its_keys() {
    let (scenario, plan) = Scenario::parse(SOUND).unwrap();
    assert_eq!(
        (scenario.seed, scenario.duration),
        (7, Some(Duration::from_secs(3600)))
    );
    assert_eq!(scenario.mail.arrival, Arrival::Rate(20.5));
    assert_eq!(scenario.hosts[0].session_limit, Some(5));
    assert_eq!(
        scenario.hosts[0].phases[0].get_ref().state,
        HostState::NeverGreets
    );
    assert_eq!(scenario.policy.sessions, Some(10));
    assert_eq!((plan.hosts.len(), plan.sites.len()), (1, 3));
}

#[test]
fn a_problem_names_line_and_key_and_what_would_be_right() {
    for (old, new, line, key, words) in WRONG {
        assert!(SOUND.contains(old), "{old}");
        let problem = Scenario::parse(&SOUND.replace(old, new)).unwrap_err();
        assert_eq!(
            (problem.line, problem.key.as_str()),
            (Some(line), key),
            "{new}: {problem}"
        );
        assert!(problem.message.contains(words), "{new}: {problem}");
        assert_eq!(problem.to_string(), format!("{line}: {key}: {}", problem.message));
    }
}

#[test]
fn a_name_is_given_once() {
    let twice = "[[host]]\nname = 'a'\nservice = '1ms'\n".repeat(2);
    let rest = "[[domain]]\nname = 'd'\nhosts = ['a']\n[mail]\nmessages = 1";
    let problem = Scenario::parse(&format!("{twice}{rest}")).unwrap_err();
    assert_eq!((problem.line, problem.key.as_str()), (Some(5), "host.name"));
}

/// What is put for what, the line and the key that are named, and words of the message.
const WRONG: [(&str, &str, usize, &str, &str); 18] = [
    ("seed = 7", "colour = 7", 1, "colour", "unknown field"),
    (
        "service = '50ms'",
        "service = 'fast'",
        5,
        "host.service",
        "\"exponential 50ms\"",
    ),
    ("service = '50ms'", "service = 5", 5, "host.service", "string"),
    (
        "session_limit = 5",
        "session_limit = 0",
        7,
        "host.session_limit",
        "1 to",
    ),
    (
        "state = 'never_greets'",
        "state = 'sleeps'",
        10,
        "host.phase.state",
        "never_greets",
    ),
    ("at = '10s'", "at = '0s'", 8, "host.phase.at", "order of time"),
    (
        "hosts = ['fast']",
        "hosts = ['slow']",
        14,
        "domain.hosts",
        "name of a [[host]]",
    ),
    (
        "hosts = ['fast']",
        "hosts = []",
        12,
        "domain.hosts",
        "name of a [[host]]",
    ),
    (
        "hosts = ['fast']",
        "hosts = ['fast']\nchoose = 2",
        12,
        "domain.choose",
        "at most",
    ),
    (
        "hosts = ['fast']",
        "hosts = ['fast']\npreference = [1, 2]",
        12,
        "domain.preference",
        "one number",
    ),
    ("name = 'd'", "name = 'a b'", 12, "domain.name", "letters"),
    ("messages = 1_000", "messages = 0", 16, "mail.messages", "1 to"),
    ("rate = 20.5", "rate = 0.0", 15, "mail", "0.001"),
    ("rate = 20.5", "rate = 20.5\nsenders = 3", 15, "mail", "not both"),
    ("size = '4KiB'", "size = 4", 17, "mail.size", "string"),
    (
        "sessions = 10",
        "sessions = 'x'",
        20,
        "policy.sessions",
        "without quotes",
    ),
    (
        "sessions = 10",
        "session = 10",
        20,
        "policy.session",
        "unknown field",
    ),
    ("[policy]", "[policy", 19, "syntax", ""),
];
