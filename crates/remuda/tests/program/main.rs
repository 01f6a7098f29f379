//! The built program, from the outside: exit codes, readiness, start-up errors, and a message's way through
//! sendmail, server and sink.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod directory;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use remuda_testing::{
    process::{Process, Signal},
    wait::wait_for,
};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_remuda");

fn remuda(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with a configuration.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(smtp: &str, admin: &str, more: &str) -> Place {
        let place = Place {
            directory: tempfile::tempdir().unwrap(),
        };
        place.configure(smtp, admin, more);
        place
    }

    fn configure(&self, smtp: &str, admin: &str, more: &str) {
        let data = self.data();
        let text = format!(
            "hostname = \"mx.test\"\ndata_dir = {data:?}\n[[listener]]\naddress = {smtp:?}\n[admin]\naddress = {admin:?}\n{more}"
        );
        fs::write(self.file(), text).unwrap();
    }

    fn file(&self) -> String {
        self.directory
            .path()
            .join("remuda.toml")
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn data(&self) -> String {
        self.directory.path().join("data").to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut words = arguments.to_vec();
        let file = self.file();
        words.splice(1..1, ["--config", &file]);
        remuda(&words)
    }

    fn serve(&self) -> Server {
        self.serve_in(Command::new(PROGRAM))
    }

    /// With what the command has been given before.
    fn serve_in(&self, mut command: Command) -> Server {
        command.args(["serve", "--config", &self.file()]);
        let process = Process::spawn(command).unwrap();
        let line = process.wait_for_line("remuda ready");
        let address = |key: &str| value_of(&line, key).parse().unwrap();
        Server {
            smtp: address("smtp="),
            admin: address("admin="),
            process,
        }
    }
}

struct Server {
    process: Process,
    smtp: SocketAddr,
    admin: SocketAddr,
}

/// The word behind `key` in a line.
fn value_of(line: &str, key: &str) -> String {
    let word = line.split(' ').find_map(|word| word.strip_prefix(key));
    word.unwrap_or_else(|| panic!("no {key} in {line}")).to_owned()
}

const ANY: &str = "127.0.0.1:0";

#[test]
fn exit_codes_tell_usage_configuration_and_reach_apart() {
    let place = Place::new(ANY, ANY, "[delivery]\nconcurency = 5\n");
    assert_eq!(code(&remuda(&["--help"])), 0);
    assert_eq!(code(&remuda(&["--version"])), 0);
    for usage in [
        &["bogus"][..],
        &["serve", "--no"],
        &["queue", "delete"],
        &["hosts", "--state", "slow", "forget", "192.0.2.1:25"],
        &["domain", "set", "a.test"],
        &["cache", "set", "account.ttl=5"],
        &["import", "a.xml"],
        &["sendmail", "-Z"],
        &[],
    ] {
        assert_eq!(code(&remuda(usage)), 64, "{usage:?}");
    }
    for command in [
        &["check"][..],
        &["serve"],
        &["queue", "list"],
        &["connections"],
        &["hosts"],
        &["domain", "list"],
        &["account", "--offline", "list"],
        &["cache", "status"],
        &["resolve", "a@b.test"],
        &["sendmail", "a@b.test"],
    ] {
        let output = place.command(command);
        assert_eq!(code(&output), 78, "{command:?}: {}", errors(&output));
        let expected = format!(
            "{}:8: delivery.concurency: unknown key; did you mean delivery.concurrency?\n",
            place.file()
        );
        assert_eq!(errors(&output), expected, "{command:?}");
    }
}

#[test]
fn what_is_made_before_the_first_start_is_there_after_it() {
    let place = Place::new(ANY, ANY, "");
    for command in [
        &["domain", "add", "d.test", "--offline"][..],
        &["alias", "add", "info@d.test", "a@else.test", "--offline"],
    ] {
        let made = place.command(command);
        assert_eq!(code(&made), 0, "{command:?}: {}", errors(&made));
    }
    let server = place.serve();
    let admin = format!("http://{}", server.admin);
    let shown = place.command(&["alias", "show", "info@d.test", "--admin", &admin]);
    assert_eq!(code(&shown), 0, "{}", errors(&shown));
}

#[test]
fn a_server_that_does_not_answer_is_one_line_that_says_how_to_start_one() {
    let closed = TcpListener::bind(ANY).unwrap().local_addr().unwrap().to_string();
    let place = Place::new(ANY, &closed, "");
    let token = Path::new(&place.data()).join("admin.token");
    // First as before any start: without a token.
    for has_token in [false, true] {
        if has_token {
            fs::create_dir(place.data()).unwrap();
            fs::write(&token, "0123456789abcdef").unwrap();
        }
        for command in [
            &["queue", "list"][..],
            &["queue", "retry", "--all"],
            &["connections"],
        ] {
            let away = place.command(command);
            let said = errors(&away);
            assert_eq!(
                (code(&away), said.lines().count()),
                (69, 1),
                "{command:?}: {said}"
            );
            let start = format!("start one with: remuda serve --config {}", place.file());
            assert!(
                said.contains(&format!("no server answers at http://{closed} (")),
                "{said}"
            );
            assert!(said.contains(&start), "{said}");
        }
    }
    // Who answers and has no use for us is no server that is away.
    let other = Place::new(ANY, ANY, "");
    let server = other.serve();
    let url = format!("http://{}", server.admin);
    let refused = remuda(&["queue", "--admin", &url, "--token-file", "/nowhere", "list"]);
    assert_eq!(code(&refused), 1, "{}", errors(&refused));
    assert!(errors(&refused).contains("/nowhere"), "{}", errors(&refused));
}

#[test]
fn a_warning_is_one_line_and_stops_nothing() {
    let place = Place::new(ANY, ANY, "[connection_cache]\nreuse_count_limit = 20\n");
    let warning = format!(
        "{}:8: connection_cache.reuse_count_limit: warning: a count sends ever more mail",
        place.file()
    );
    let checked = place.command(&["check"]);
    let said = String::from_utf8(checked.stdout.clone()).unwrap();
    assert_eq!(code(&checked), 0);
    assert!(said.starts_with(&warning) && said.ends_with(": ok\n"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    let process = Process::start(PROGRAM, ["serve", "--config", &place.file()]).unwrap();
    process.wait_for_line(&warning);
    process.wait_for_line("remuda ready");
}

#[test]
fn a_taken_port_or_a_data_directory_that_is_none_is_one_line_and_changes_nothing() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (smtp, admin) in [(address.as_str(), ANY), (ANY, address.as_str())] {
        let place = Place::new(smtp, admin, "");
        let output = place.command(&["serve"]);
        assert_eq!(
            (code(&output), errors(&output).lines().count()),
            (1, 1),
            "{}",
            errors(&output)
        );
        assert!(errors(&output).contains(&address), "{}", errors(&output));
        assert!(!Path::new(&place.data()).exists());
    }
    let place = Place::new(ANY, ANY, "");
    fs::write(place.data(), "a file").unwrap();
    let output = place.command(&["serve"]);
    assert_eq!(
        (code(&output), errors(&output).lines().count()),
        (78, 1),
        "{}",
        errors(&output)
    );
    assert_eq!(fs::read_to_string(place.data()).unwrap(), "a file");
}

#[test]
fn a_damaged_spool_is_one_line_and_stays_as_it_is() {
    let place = Place::new(ANY, ANY, "");
    fs::create_dir(place.data()).unwrap();
    let database = Path::new(&place.data()).join("spool.db");
    let damaged = b"this is no database at all, but it is long enough to be taken for one ".repeat(100);
    fs::write(&database, &damaged).unwrap();
    let output = place.command(&["serve"]);
    assert_eq!(
        (code(&output), errors(&output).lines().count()),
        (1, 1),
        "{}",
        errors(&output)
    );
    assert!(errors(&output).contains("spool"), "{}", errors(&output));
    assert_eq!(fs::read(&database).unwrap(), damaged);
}

#[test]
fn a_message_goes_from_sendmail_through_the_server_to_a_sink() {
    let mut sink = Process::start(
        PROGRAM,
        ["sink", "--listen", ANY, "--messages", "1", "--keep-digests"],
    )
    .unwrap();
    let sink_address = value_of(&sink.wait_for_line("sink ready"), "listen=");
    let route = format!("[[route]]\ndomain = \"*\"\nhosts = [{sink_address:?}]\n");
    let place = Place::new(ANY, ANY, &route);
    let mut server = place.serve();
    // The ports that the system chose, for the commands.
    place.configure(&server.smtp.to_string(), &server.admin.to_string(), &route);

    let mut sendmail = Command::new(PROGRAM)
        .args([
            "sendmail",
            "--config",
            &place.file(),
            "-t",
            "-oi",
            "-f",
            "me@b.test",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    sendmail
        .stdin
        .take()
        .unwrap()
        .write_all(b"To: You <you@d.test>\nSubject: x\n\n.\n..\nend\n")
        .unwrap();
    assert!(sendmail.wait().unwrap().success());

    let line = server.process.wait_for_line("delivery id=");
    assert!(
        line.contains(" from=<me@b.test> to=<you@d.test> relay=")
            && line.contains(" status=sent reply=\"250 "),
        "{line}"
    );
    assert_eq!(sink.wait().code(), Some(0));
    let report: String = sink.lines().into_iter().skip_while(|line| line != "{").collect();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["listeners"][0]["messages"], 1);
    assert_eq!(
        report["listeners"][0]["violations"].as_array().map(Vec::len),
        Some(0)
    );

    let statistics = place.command(&["connections", "--stats", "--json"]);
    assert_eq!(code(&statistics), 0, "{}", errors(&statistics));
    let statistics: Value = serde_json::from_slice(&statistics.stdout).unwrap();
    assert_eq!(statistics["since_start"]["destination_misses"], 1);
    let hosts = place.command(&["hosts"]);
    let shown = String::from_utf8(hosts.stdout).unwrap();
    assert!(
        shown.lines().nth(1).unwrap().starts_with(&sink_address),
        "{shown}"
    );
    let unknown = place.command(&["hosts", "forget", "[2001:db8::1]:25"]);
    assert_eq!(
        (code(&unknown), errors(&unknown)),
        (
            1,
            "remuda: nothing is remembered of [2001:db8::1]:25\n".to_owned()
        )
    );
    assert_eq!(server.process.terminate().code(), Some(0));
}

#[test]
fn the_queue_is_listed_held_released_and_deleted() {
    let closed = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let route = format!("[[route]]\ndomain = \"*\"\nhosts = [\"{closed}\"]\n");
    let place = Place::new(ANY, ANY, &route);
    let server = place.serve();
    place.configure(&server.smtp.to_string(), &server.admin.to_string(), &route);
    let to = server.smtp.to_string();
    assert_eq!(
        code(&remuda(&[
            "load",
            "--to",
            &to,
            "--messages",
            "2",
            "--rcpt",
            "a@d.test",
            "--from",
            ""
        ])),
        0
    );
    let list = || -> Value {
        let output = place.command(&["queue", "list", "--json"]);
        assert_eq!(code(&output), 0, "{}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let page = wait_for("both are deferred", || {
        let page = list();
        let entries = page["entries"].as_array().unwrap();
        (entries.len() == 2 && entries.iter().all(|entry| entry["status"] == "deferred")).then_some(page)
    });
    let id = page["entries"][0]["id"].as_str().unwrap().to_owned();
    let verb = |words: &[&str]| {
        let output = place.command(words);
        String::from_utf8(output.stdout.clone()).unwrap() + &errors(&output)
    };
    assert_eq!(verb(&["queue", "hold", &id]), "hold: 1\n");
    assert_eq!(list()["entries"][0]["status"], "held");
    assert!(verb(&["queue", "show", &id]).contains("Connection refused"));
    assert!(verb(&["queue", "summary"]).contains(&closed.to_string()));
    assert_eq!(verb(&["queue", "release", &id]), "release: 1\n");
    assert_eq!(
        verb(&["queue", "delete", "--destination", &closed.to_string()]),
        "delete: 2\n"
    );
    assert_eq!(list()["entries"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        verb(&["queue", "show", &id]),
        format!("remuda: no such message: {id}\n")
    );
}

#[test]
fn a_reload_keeps_what_is_wrong_out_and_connections_open() {
    let place = Place::new(ANY, ANY, "");
    let mut server = place.serve();
    let client = TcpStream::connect(server.smtp).unwrap();
    let mut replies = BufReader::new(client.try_clone().unwrap()).lines();
    assert!(replies.next().unwrap().unwrap().starts_with("220 "));
    place.configure(ANY, ANY, "[delivery]\nconcurrency = 0\n");
    server.process.signal(Signal::HUP);
    server
        .process
        .wait_for_line(":8: delivery.concurrency: 0 is not within 1 to 100000");
    server.process.wait_for_line("configuration kept");
    place.configure(
        ANY,
        ANY,
        "[delivery]\nconcurrency = 7\n[log]\nformat = \"json\"\n",
    );
    server.process.signal(Signal::HUP);
    server
        .process
        .wait_for_line("[admin] and [log] change with the next start");
    server.process.wait_for_line("configuration reloaded");
    (&client).write_all(b"NOOP\r\n").unwrap();
    assert!(replies.next().unwrap().unwrap().starts_with("250 "));
    assert_eq!(server.process.terminate().code(), Some(0));
    // An idle client is told why.
    assert!(replies.next().unwrap().unwrap().starts_with("421 "));
}

#[test]
fn a_second_signal_ends_at_once() {
    let sink = Process::start(
        PROGRAM,
        ["sink", "--listen", ANY, "--stall", "dot", "--no-chunking"],
    )
    .unwrap();
    let sink_address = value_of(&sink.wait_for_line("sink ready"), "listen=");
    let route = format!("[[route]]\ndomain = \"*\"\nhosts = [{sink_address:?}]\n");
    let place = Place::new(ANY, ANY, &route);
    let mut server = place.serve();
    place.configure(&server.smtp.to_string(), &server.admin.to_string(), &route);
    assert_eq!(code(&remuda(&["load", "--to", &server.smtp.to_string()])), 0);
    wait_for("the transaction has begun", || {
        let output = place.command(&["connections", "--json"]);
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("\"busy\"")
            .then_some(())
    });
    server.process.signal(Signal::TERM);
    server.process.wait_for_line("INFO stopping");
    assert_eq!(server.process.terminate().code(), Some(1));
    server.process.wait_for_line("ended by a second signal");
}

#[test]
fn sockets_of_a_service_manager_are_used_instead_of_the_configured() {
    use std::os::fd::AsRawFd;
    let place = Place::new("127.0.0.1:1", ANY, "");
    let given = TcpListener::bind(ANY).unwrap();
    let address = given.local_addr().unwrap();
    // The shell puts the socket where the protocol wants it, and says for which process it is.
    let script = format!(
        "exec 3<&{}; export LISTEN_FDS=1 LISTEN_PID=$$; exec {PROGRAM} serve --config {}",
        given.as_raw_fd(),
        place.file()
    );
    rustix::io::fcntl_setfd(&given, rustix::io::FdFlags::empty()).unwrap();
    let mut process = Process::start("/bin/bash", ["-c", &script]).unwrap();
    let line = process.wait_for_line("remuda ready");
    assert_eq!(value_of(&line, "smtp="), address.to_string());
    assert_eq!(process.terminate().code(), Some(0));
}
