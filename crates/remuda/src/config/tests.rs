//! The configuration as a whole: every key, every mistake, every relation.

mod directory;
mod listeners;
mod local;
mod overrides;
mod warnings;

use std::time::Duration;

use remuda_engine::settings::{BareNewline, RouteDomain, Settings};

use remuda_mail::{TlsLevel, TlsMode};

use super::*;

fn problems(text: &str) -> Vec<String> {
    let list = parse(text, "mx.test").expect_err("the file is wrong");
    let shown = Problems {
        file: "f.toml".into(),
        list,
    }
    .to_string();
    shown.lines().map(str::to_owned).collect()
}

fn sound(text: &str) -> Config {
    parse(text, "mx.test").unwrap_or_else(|list| {
        panic!(
            "{}",
            Problems {
                file: "f.toml".into(),
                list
            }
        )
    })
}

#[test]
fn an_empty_file_is_the_embedded_default() {
    let config = sound("");
    let mut defaults = Settings::defaults("mx.test");
    defaults.listeners = config.settings.listeners.clone();
    assert_eq!(config.settings, defaults);
    assert_eq!(config.settings.listeners[0].address.to_string(), "127.0.0.1:2525");
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:8025");
    assert_eq!(config.admin.token_file, Path::new("./remuda-data/admin.token"));
    assert_eq!(config.log.format, LogFormat::Text);
}

const EVERY_KEY: &str = r#"
hostname = "MX.example.org"
data_dir = "/var/lib/remuda"
postmaster = "root@example.org"
[[listener]]
address = "127.0.0.1:2525"
[[listener]]
address = "[::1]:2525"
[limits]
message_size = "10MiB"
recipients_per_message = 100
sessions = 200
sessions_per_client = 20
queue_memory = "64MiB"
active_messages = 1000
min_free_disk = "1GiB"
memory = "512MiB"
[relay]
networks = ["10.0.0.0/8"]
bare_newline = "reject"
[dns]
servers = ["127.0.0.1:5353", "192.0.2.53"]
[[route]]
domain = "example.net"
hosts = ["192.0.2.1:2700", "[2001:db8::1]:25", "relay.example.net:587"]
preference = [10, 10, 20]
accept = true
[[route]]
domain = ".example.net"
hosts = ["example.com"]
mx = true
[[route]]
domain = "*"
hosts = ["smart.example"]
tls = "verify"
tls_mode = "implicit"
tls_names = ["smart.example", "192.0.2.1"]
[delivery]
smtp_port = 2500
initial_concurrency = 2
concurrency = 4
sessions = 50
sessions_per_endpoint = 6
recipients_per_transaction = 7
addresses_per_delivery = 3
pipeline_depth = 2
delay_warning = "0s"
allow_loopback = true
minimal_backoff = "250ms"
maximal_backoff = "2s"
queue_lifetime = "5m"
bounce_lifetime = "4h"
connect_timeout = "5s"
helo_name = "out.example.org"
[delivery.tls]
level = "encrypt"
[connection_cache]
on_demand = false
destinations = ["Example.net", "192.0.2.1:2700"]
idle_time_limit = "1s"
reuse_time_limit = "10s"
reuse_count_limit = 9
reuse_reply_timeout = "3s"
connections = 10
connections_per_endpoint = 5
status_update_time = "60s"
[admin]
address = "127.0.0.1:8026"
token_file = "/etc/remuda.token"
[log]
format = "json"
"#;

#[test]
fn every_key_of_the_contract_is_read() {
    let settings = sound(EVERY_KEY).settings;
    assert_eq!(
        (&*settings.hostname, settings.data_dir.to_str()),
        ("mx.example.org", Some("/var/lib/remuda"))
    );
    assert_eq!(
        settings.postmaster.as_ref().map(|p| p.as_str()),
        Some("root@example.org")
    );
    assert_eq!(settings.listeners.len(), 2);
    let limits = &settings.limits;
    assert_eq!(
        (limits.message_size, limits.queue_memory, limits.min_free_disk),
        (10 << 20, 64 << 20, 1 << 30)
    );
    assert_eq!(
        (
            limits.recipients_per_message,
            limits.sessions,
            limits.sessions_per_client
        ),
        (100, 200, 20)
    );
    assert_eq!((limits.active_messages, limits.memory), (1000, Some(512 << 20)));
    assert!(
        settings.is_relay_client([10, 1, 2, 3].into()) && !settings.is_relay_client([127, 0, 0, 1].into())
    );
    assert_eq!(settings.relay.bare_newline, BareNewline::Reject);
    assert_eq!(settings.dns_servers[1].to_string(), "192.0.2.53:53");
}

#[test]
fn every_key_of_delivery_and_its_cache_is_read() {
    let Config {
        settings,
        admin,
        log,
        session_lines,
        warnings,
        directory: _,
    } = sound(EVERY_KEY);
    let delivery = &settings.delivery;
    assert_eq!(
        (
            delivery.smtp_port,
            delivery.initial_concurrency,
            delivery.concurrency
        ),
        (2500, 2, 4)
    );
    assert_eq!((delivery.sessions, delivery.sessions_per_endpoint), (50, 6));
    assert_eq!(
        (
            delivery.recipients_per_transaction,
            delivery.addresses_per_delivery,
            delivery.pipeline_depth
        ),
        (7, 3, 2)
    );
    assert_eq!((delivery.delay_warning, delivery.allow_loopback), (None, true));
    assert_eq!(delivery.minimal_backoff, Duration::from_millis(250));
    assert_eq!(delivery.maximal_backoff, Duration::from_secs(2));
    assert_eq!(
        (delivery.queue_lifetime, delivery.bounce_lifetime),
        (Duration::from_secs(300), Duration::from_secs(14_400))
    );
    assert_eq!(
        (delivery.connect_timeout, &*delivery.helo_name),
        (Duration::from_secs(5), "out.example.org")
    );
    assert_eq!(
        (delivery.tls.level, &delivery.tls.ca_file),
        (TlsLevel::Encrypt, &None)
    );
    let cache = &settings.connection_cache;
    assert!(!cache.on_demand && cache.destinations.contains("example.net"));
    assert_eq!(
        (cache.idle_time_limit, cache.reuse_time_limit),
        (Duration::from_secs(1), Duration::from_secs(10))
    );
    assert_eq!(cache.reuse_reply_timeout, Duration::from_secs(3));
    assert_eq!(
        (
            cache.reuse_count_limit,
            cache.connections,
            cache.connections_per_endpoint
        ),
        (9, 10, 5)
    );
    assert_eq!(settings.status_update_time, Duration::from_secs(60));
    assert_eq!(
        (admin.address.port(), admin.token_file.to_str()),
        (8026, Some("/etc/remuda.token"))
    );
    assert_eq!(log.format, LogFormat::Json);
    assert_eq!(warnings[0].key, "connection_cache.reuse_count_limit");
    assert!(
        session_lines.inbound.is_some() && session_lines.outbound.is_some() && session_lines.parked.is_some()
    );
}

#[test]
fn routes_keep_their_hosts_and_preferences() {
    let routes = sound(EVERY_KEY).settings.routes;
    assert_eq!(
        routes[0].domain,
        RouteDomain::Exact("example.net".parse().unwrap())
    );
    assert_eq!(
        routes[1].domain,
        RouteDomain::Subdomains("example.net".parse().unwrap())
    );
    assert_eq!(routes[2].domain, RouteDomain::Any);
    let hosts: Vec<String> = routes[0].hosts.iter().map(ToString::to_string).collect();
    assert_eq!(
        hosts,
        [
            "192.0.2.1:2700=10",
            "[2001:db8::1]:25=10",
            "relay.example.net:587=20"
        ]
    );
    assert!(routes[0].accept && !routes[0].mx && routes[1].mx && !routes[1].accept);
}

#[test]
fn a_route_says_how_its_hosts_are_spoken_to() {
    let routes = sound(EVERY_KEY).settings.routes;
    assert_eq!(
        (routes[0].tls, routes[0].tls_mode, routes[0].tls_names.len()),
        (None, TlsMode::ByPort, 0)
    );
    assert_eq!(
        (routes[2].tls, routes[2].tls_mode),
        (Some(TlsLevel::Verify), TlsMode::Implicit)
    );
    assert_eq!(
        routes[2].tls_names,
        ["smart.example".into(), "192.0.2.1".into()].into()
    );
}

/// `{}` is a file that holds `content`.
fn with_file(text: &str, content: &str) -> Result<Config, Vec<Problem>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
    parse(&text.replace("{}", file.path().to_str().unwrap()), "mx.test")
}

const LOGIN: &str =
    "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\nusername = \"me\"\npassword_file = \"{}\"\n";

#[test]
fn a_password_is_the_first_line_of_its_file_and_shown_nowhere() {
    for content in ["hunter2", "hunter2\n", "hunter2\r\nnotes\n"] {
        let config = with_file(LOGIN, content).unwrap();
        let login = config.settings.routes[0].login.clone().unwrap();
        assert_eq!(&*login.credentials.username, "me");
        assert_eq!(login.credentials.password.reveal(), "hunter2");
        assert!(!login.in_clear);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
    for content in ["", "\nx", "hunter2\0", &"x".repeat(256)] {
        let problems = with_file(LOGIN, content).unwrap_err();
        assert_eq!(problems[0].key, "route.password_file");
        assert!(!format!("{problems:?}").contains("hunter2"));
    }
}

#[test]
fn one_user_of_the_same_hosts_has_one_password() {
    let twice = |first: &str, second: &str| {
        let other = LOGIN.replace('*', "b.test").replace("{}", second);
        with_file(&format!("{LOGIN}{other}"), first)
    };
    let mut same = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut same, b"one").unwrap();
    let path = same.path().to_str().unwrap();
    assert!(twice("one", path).is_ok());
    let problems = twice("two", path).unwrap_err();
    assert_eq!(problems[0].key, "route.password_file");
}

/// A wrong file, and what is said of it.
const WRONG: &[(&str, &str)] = &[
    (
        "hostname = 5",
        "f.toml:1: hostname: 5 is a number; write one such as \"mx.example.org\"",
    ),
    (
        "hostname = \"a b\"",
        "f.toml:1: hostname: \"a b\" is not a host name; write one such as \"mx.example.org\"",
    ),
    (
        "\ndata_dir = \"\"",
        "f.toml:2: data_dir: \"\" is not a path; write one such as \"./remuda-data\"",
    ),
    (
        "postmaster = \"root\"",
        "f.toml:1: postmaster: \"root\" is not an address (an address needs a local part, an @ and a domain)",
    ),
    (
        "hostnam = \"a\"",
        "f.toml:1: hostnam: unknown key; did you mean hostname?",
    ),
    (
        "concurrency = 5",
        "f.toml:1: concurrency: unknown key; it belongs in [delivery]",
    ),
    (
        "[delivery]\nhostname = \"a\"",
        "f.toml:2: delivery.hostname: unknown key; it belongs at the top of the file",
    ),
    (
        "[delivery]\nconcurency = 5",
        "f.toml:2: delivery.concurency: unknown key; did you mean delivery.concurrency?",
    ),
    (
        "[dns]\ncolour = 5",
        "f.toml:2: dns.colour: unknown key; known here: servers",
    ),
    (
        "[deliver]\nconcurrency = 5",
        "f.toml:1: deliver: unknown key; did you mean delivery?",
    ),
    (
        "[delivery.tls]\nlevel = \"always\"",
        "f.toml:2: delivery.tls.level: \"always\" is not known; write \"none\", \"may\", \"encrypt\" or \"verify\"",
    ),
    (
        "[delivery.tls]\ncolour = 5",
        "f.toml:2: delivery.tls.colour: unknown key; known here: ca_file, level",
    ),
    (
        "[delivery]\ntls = \"may\"",
        "f.toml:2: delivery.tls: \"may\" is a string; expected a section [delivery.tls]",
    ),
    (
        "[delivery.tls]\nca_file = \"/none\"",
        "f.toml:2: delivery.tls.ca_file: \"/none\" cannot be read",
    ),
    (
        "[delivery.tls]\nca_file = \"/dev/null\"",
        "f.toml:2: delivery.tls.ca_file: \"/dev/null\" holds no certificate",
    ),
    (
        "[[listener]]\naddress = \"127.0.0.1:25\"\ntls = \"always\"",
        "f.toml:3: listener.tls: \"always\" is not known; write \"none\", \"starttls\" or \"implicit\"",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\ntls = \"none\"\ntls_mode = \"implicit\"",
        "f.toml:5: route.tls_mode: contradicts tls = \"none\"; remove one of the two",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\ntls_mode = \"ssl\"",
        "f.toml:4: route.tls_mode: \"ssl\" is not known; write \"starttls\" or \"implicit\"",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\ntls = \"encrypt\"\ntls_names = [\"a.test\"]",
        "f.toml:5: route.tls_names: has an effect only with tls = \"verify\"",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\ntls_names = [\"a b\"]",
        "f.toml:4: route.tls_names: \"a b\" is not a host name; write one such as \"mx.example.org\"",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\nusername = \"me\"",
        "f.toml:4: route.username: needs a password_file, with the password in its first line",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\npassword_file = \"/none\"",
        "f.toml:4: route.password_file: \"/none\" cannot be read",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\nauth_in_clear = true",
        "f.toml:4: route.auth_in_clear: has an effect only with a username",
    ),
    (
        "[[route]]\ndomain = \"*\"\nhosts = [\"a.test\"]\npassword_file = \"/etc/hostname\"",
        "f.toml:4: route.password_file: needs a username",
    ),
    (
        "[directry]\nurl = \"sqlite:x\"",
        "f.toml:1: directry: unknown key; did you mean directory?",
    ),
    (
        "[[listener]]",
        "f.toml:1: listener.address: missing; write for example address = \"127.0.0.1:2525\"",
    ),
    (
        "[[listener]]\naddress = \"25\"",
        "f.toml:2: listener.address: \"25\" is not an address with a port",
    ),
    (
        "[listener]\naddress = \"127.0.0.1:25\"",
        "f.toml:1: listener: this is a section; write [[listener]]",
    ),
    (
        "[[listener]]\naddress = \"127.0.0.1:25\"\n[[listener]]\naddress = \"127.0.0.1:25\"",
        "f.toml:3: listener.address: 127.0.0.1:25 is listened on twice; remove one [[listener]]",
    ),
    (
        "limits = 5",
        "f.toml:1: limits: 5 is a number; expected a section [limits]",
    ),
    (
        "[limits]\nsessions = \"5\"",
        "f.toml:2: limits.sessions: \"5\" is a string; expected a whole number without quotes",
    ),
    (
        "[limits]\nsessions = 0",
        "f.toml:2: limits.sessions: 0 is not within 1 to 1000000",
    ),
    (
        "[limits]\nsessions = -1",
        "f.toml:2: limits.sessions: -1 is not within 1 to 1000000",
    ),
    (
        "[limits]\nsessions = 1.5",
        "f.toml:2: limits.sessions: 1.5 is a number; expected a whole number without quotes",
    ),
    (
        "[limits]\nsessions = 99999999999999999999",
        "f.toml:2: limits.sessions: 99999999999999999999 is not within",
    ),
    (
        "[limits]\nmessage_size = 50",
        "f.toml:2: limits.message_size: 50 is a number; write one such as \"64KiB\"",
    ),
    (
        "[limits]\nmessage_size = \"50MB\"",
        "f.toml:2: limits.message_size: \"50MB\" is not a size; write one such as \"64KiB\"",
    ),
    (
        "[limits]\nmessage_size = \"5B\"",
        "f.toml:2: limits.message_size: \"5B\" is too small; at least \"1KiB\"",
    ),
    (
        "[limits]\nmemory = \"1KiB\"",
        "f.toml:2: limits.memory: \"1KiB\" is too small; at least \"32MiB\"",
    ),
    (
        "[limits]\nactive_messages = 1",
        "f.toml:2: limits.active_messages: 1 is not within 20 to 10000000",
    ),
    (
        "[limits]\nsessions = 10\nsessions_per_client = 20",
        "f.toml:3: limits.sessions_per_client: 20 is more than limits.sessions = 10 (line 2); lower the first or raise the second",
    ),
    (
        "[relay]\nnetworks = \"10.0.0.0/8\"",
        "f.toml:2: relay.networks: \"10.0.0.0/8\" is a string; expected a list in brackets",
    ),
    (
        "[relay]\nnetworks = [\n\"10.0.0.0/8\",\n\"10.0.0.1/8\"]",
        "f.toml:4: relay.networks: \"10.0.0.1/8\" has bits set behind its prefix",
    ),
    (
        "[relay]\nbare_newline = \"keep\"",
        "f.toml:2: relay.bare_newline: \"keep\" is not known; write \"normalize\" or \"reject\"",
    ),
    (
        "[dns]\nservers = [\"ns.example\"]",
        "f.toml:2: dns.servers: \"ns.example\" is not an address",
    ),
    (
        "[dns]\nservers = [\"127.0.0.1:0\"]",
        "f.toml:2: dns.servers: \"127.0.0.1:0\" has no port",
    ),
    (
        "[[route]]\nhosts = [\"a.test\"]",
        "f.toml:1: route.domain: missing; write for example domain = \"example.net\"",
    ),
    (
        "[[route]]\ndomain = \"a.test\"",
        "f.toml:1: route.hosts: missing; write for example hosts = [\"relay.example.net:587\"]",
    ),
    (
        "[[route]]\ndomain = \"a.test\"\nhosts = []",
        "f.toml:3: route.hosts: no host",
    ),
    (
        "[[route]]\ndomain = \"a.test\"\nhosts = [\"b.test:x\"]",
        "f.toml:3: route.hosts: \"b.test:x\": the port is a number from 1 to 65535",
    ),
    (
        "[[route]]\ndomain = \"a..test\"\nhosts = [\"b.test\"]",
        "f.toml:2: route.domain: \"a..test\" is not a domain",
    ),
    (
        "[[route]]\ndomain = \"a.test\"\nhosts = [\"b.test\", \"c.test\"]\npreference = [1]",
        "f.toml:4: route.preference: 1 numbers for 2 hosts; write one for each host, in the same order",
    ),
    (
        "[[route]]\ndomain = \"a.test\"\nhosts = [\"192.0.2.1\"]\nmx = true",
        "f.toml:4: route.mx: 192.0.2.1 is an address and has no MX; write its name, or mx = false",
    ),
    (
        "[[route]]\ndomain = \"a.test\"\nhosts = [\"b.test\"]\n[[route]]\ndomain = \"A.test\"\nhosts = [\"c.test\"]",
        "f.toml:4: route.domain: \"a.test\" has a [[route]] already; put all hosts into one",
    ),
    (
        "[[route]]\ndomain = \"a.test\"\nhosts = [\"b.test\"]\naccept = \"yes\"",
        "f.toml:4: route.accept: \"yes\" is a string; expected true or false",
    ),
    (
        "[delivery]\nconnect_timeout = 30",
        "f.toml:2: delivery.connect_timeout: 30 is a number; write one such as \"250ms\"",
    ),
    (
        "[delivery]\nconnect_timeout = \"0s\"",
        "f.toml:2: delivery.connect_timeout: \"0s\" is too short; at least \"1ms\"",
    ),
    (
        "[delivery]\nsmtp_port = 65536",
        "f.toml:2: delivery.smtp_port: 65536 is not within 1 to 65535",
    ),
    (
        "[delivery]\nhelo_name = \"-\"",
        "f.toml:2: delivery.helo_name: \"-\" is not a host name",
    ),
    (
        "[delivery]\nminimal_backoff = \"10m\"\nmaximal_backoff = \"300s\"",
        "f.toml:2: delivery.minimal_backoff: \"10m\" is more than delivery.maximal_backoff = \"5m\" (line 3)",
    ),
    (
        "[delivery]\nconcurrency = 2\ninitial_concurrency = 3",
        "f.toml:3: delivery.initial_concurrency: 3 is more than delivery.concurrency = 2 (line 2)",
    ),
    (
        "[connection_cache]\nidle_time_limit = \"10s\"\nreuse_time_limit = \"5s\"",
        "f.toml:2: connection_cache.idle_time_limit: \"10s\" is more than connection_cache.reuse_time_limit = \"5s\" (line 3)",
    ),
    (
        "[connection_cache]\nreuse_reply_timeout = \"0s\"",
        "f.toml:2: connection_cache.reuse_reply_timeout: \"0s\" is too short; at least \"1ms\"",
    ),
    (
        "[connection_cache]\nconnections = 2\nconnections_per_endpoint = 5",
        "f.toml:3: connection_cache.connections_per_endpoint: 5 is more than connection_cache.connections = 2 (line 2)",
    ),
    (
        "[connection_cache]\ndestinations = [\"a b\"]",
        "f.toml:2: connection_cache.destinations: \"a b\" is not a host",
    ),
    (
        "[connection_cache]\non_demand = 1",
        "f.toml:2: connection_cache.on_demand: 1 is a number; expected true or false",
    ),
    (
        "[admin]\naddress = \"localhost\"",
        "f.toml:2: admin.address: \"localhost\" is not an address with a port",
    ),
    (
        "[admin]\naddress = \"127.0.0.1:2525\"",
        "f.toml:2: admin.address: 127.0.0.1:2525 is a [[listener]]'s address too",
    ),
    (
        "[log]\nformat = \"xml\"",
        "f.toml:2: log.format: \"xml\" is not known; write \"text\" or \"json\"",
    ),
    (
        "hostname = \"a\"\nhostname = \"b\"",
        "f.toml:2: syntax: duplicate key",
    ),
    ("[limits\nsessions = 5", "f.toml:1: syntax: "),
    ("hostname = mx.test", "f.toml:1: syntax: "),
];

#[test]
fn every_problem_names_file_line_key_and_what_would_be_right() {
    for (text, expected) in WRONG {
        let found = problems(text);
        assert!(
            found[0].starts_with(expected),
            "{text}\nexpected {expected}\n   found {}",
            found[0]
        );
    }
}

#[test]
fn every_wrong_file_has_just_its_one_problem() {
    for (text, _) in WRONG.iter().filter(|(_, expected)| !expected.contains("syntax")) {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
}

#[test]
fn all_problems_of_a_file_are_found_at_once_in_its_order() {
    let found = problems(
        "hostname = 1\n[delivery]\nsmtp_port = 0\ncolor = 1\n[limits]\nsessions = 0\n[[route]]\nmx = 5\n",
    );
    let places: Vec<&str> = found.iter().filter_map(|line| line.split(": ").nth(1)).collect();
    let expected = [
        "hostname",
        "delivery.smtp_port",
        "delivery.color",
        "limits.sessions",
        "route.domain",
        "route.hosts",
        "route.mx",
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_default_gives_way_to_what_the_file_says() {
    let lower =
        sound("[delivery]\nconcurrency = 3\nmaximal_backoff = \"10s\"\n[connection_cache]\nconnections = 4")
            .settings;
    assert_eq!(
        (lower.delivery.initial_concurrency, lower.delivery.concurrency),
        (3, 3)
    );
    assert_eq!(lower.delivery.minimal_backoff, Duration::from_secs(10));
    assert_eq!(lower.connection_cache.connections_per_endpoint, 4);
    let higher = sound("[delivery]\ninitial_concurrency = 50\nminimal_backoff = \"2h\"").settings;
    assert_eq!(
        (higher.delivery.initial_concurrency, higher.delivery.concurrency),
        (50, 50)
    );
    assert_eq!(higher.delivery.maximal_backoff, Duration::from_secs(7200));
}

#[test]
fn an_odd_system_name_asks_for_a_hostname() {
    let list = parse("", "my_host!").unwrap_err();
    assert_eq!((list[0].line, list[0].key.as_str()), (None, "hostname"));
    assert!(parse("hostname = \"a.test\"", "my_host!").is_ok());
}

#[test]
fn default_session_limits_are_derived_from_the_descriptors() {
    let mut config = sound("");
    assert_eq!(fit_descriptors(&mut config, 1 << 16), Ok(vec![]));
    let notes = fit_descriptors(&mut config, 1024).unwrap();
    assert_eq!(notes[0], "limits.sessions lowered from 1000 to 198");
    assert!(descriptors_needed(&config) <= 1024 * 9 / 10);
    assert_eq!(config.settings.delivery.sessions, 99);
}

#[test]
fn session_limits_of_the_file_are_kept_and_the_others_derived() {
    let mut config = sound("[limits]\nsessions = 300");
    fit_descriptors(&mut config, 1024).unwrap();
    assert_eq!(config.settings.limits.sessions, 300);
    assert!(descriptors_needed(&config) <= 1024 * 9 / 10);
}

#[test]
fn session_limits_that_cannot_fit_say_which_to_lower() {
    let mut config = sound("\n[limits]\nsessions = 5000");
    let problem = fit_descriptors(&mut config, 1024).unwrap_err();
    assert_eq!((problem.line, problem.key.as_str()), (Some(3), "limits.sessions"));
    assert!(
        problem.message.contains(
            "2 * limits.sessions + 2 * delivery.sessions + connection_cache.connections must be at most 793"
        ),
        "{}",
        problem.message
    );
    assert!(fit_descriptors(&mut sound(""), 150).is_err());
}

#[test]
fn an_unreadable_file_is_one_problem() {
    let directory = tempfile::tempdir().unwrap();
    let shown = Source::File(directory.path().join("none.toml"))
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        shown.contains("none.toml: file: cannot be read: No such file"),
        "{shown}"
    );
    std::fs::write(directory.path().join("binary.toml"), [0xff, 0xfe]).unwrap();
    assert!(Source::File(directory.path().join("binary.toml")).load().is_err());
}
