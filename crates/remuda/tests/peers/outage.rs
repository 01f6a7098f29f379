//! The directory's database fails while mail comes and people log in, in every way that a real one can: stopped,
//! killed, cut off; a file that is locked, moved away, replaced.
//!
//! A few seconds each in `make test`; a minute of outage, with more senders, with `REMUDA_SOAK` set. How long it
//! took to recover, how much memory was resident and how often the database was called are printed.
//!
//! # Contract
//! * As [`traffic`](crate::traffic): no 5xx for who is valid, no 250 for who is not, no mail lost or doubled.
//! * **All is well again by itself**, without a restart.
//! * **A database that is away is not called in a storm**: the calls are counted where it would take them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use remuda_sink::Listener;
use remuda_testing::{
    postgres::{Database, Postgres},
    proxy::Proxy,
};

use crate::{
    home::{Ended, Home, Remuda, tool},
    hosted::{NOBODY_RELAYS, bobs, with_bob},
    listeners::Files,
    sink::Sink,
    traffic::{Client, Sent, Traffic, everybody},
};

/// A server with everybody in its directory.
struct Scene {
    home: Home,
    remuda: Remuda,
    _files: Files,
}

/// How the database goes away and comes back.
struct Outage<F, M> {
    name: &'static str,
    fail: F,
    mend: M,
}

impl Scene {
    /// On a database; what is remembered of accounts is soon stale.
    fn new(database: &str) -> Scene {
        let files = Files::new();
        let sections = format!("{NOBODY_RELAYS}{BRIEF}[directory]\nurl = \"{database}\"\n");
        let text = files.configuration("starttls", &sections);
        let home = Home::with(&text.replacen("tls = ", "auth = true\ntls = ", 1));
        let remuda = with_bob(&home);
        let all = home.path("all.csv");
        fs::write(&all, everybody()).expect("a file");
        remuda.ask(&["import", &all.display().to_string()]);
        Scene {
            home,
            remuda,
            _files: files,
        }
    }

    /// Breaks and mends the database under load. `calls`: how often it has been called.
    fn suffer<F: FnOnce(), M: FnOnce()>(mut self, outage: Outage<F, M>, calls: impl Fn() -> u64) {
        let traffic = Traffic::start(self.remuda.smtp, senders());
        traffic.wait("all is well", 0, is_well);
        traffic.wait_for_login(" 235 ");
        let resident = self.resident();
        let (failed, mark, called) = (traffic.now(), traffic.mark(), calls());
        (outage.fail)();
        traffic.wait("the database is missed", mark, is_missed);
        traffic.wait_for_login(" 454 4.7.0 ");
        while traffic.now().since(failed) < outage_min() {
            let more = traffic.mark();
            traffic.wait("mail goes on", more, |sent| sent.len() >= 10);
        }
        let (resident_away, called_away) = (self.resident(), calls() - called);
        let away = traffic.now().since(failed);
        (outage.mend)();
        let (mended, mark) = (traffic.now(), traffic.mark());
        traffic.wait("all is well again", mark, is_well);
        traffic.wait_for_login(" 235 ");
        let recovered = traffic.recovered(mark).since(mended);
        let judged = traffic.stop();
        self.remuda.wait_until_empty();
        judged.assert_in_maildirs(&self.home);
        println!(
            "{}: {} transactions; away for {away:?}, called {called_away} times; recovered in {recovered:?}; \
             resident KiB {resident}, away {resident_away}, afterwards {}",
            outage.name,
            judged.len(),
            self.resident(),
        );
        assert!(
            resident_away.max(self.resident()) < resident + GROWTH_MAX,
            "memory is not flat"
        );
        let calls_max = CALLS_MAX + CALLS_A_SECOND_MAX * away.as_secs();
        assert!(called_away <= calls_max, "{called_away} calls in {away:?}");
        assert!(self.remuda.stop().success());
    }

    /// Its resident memory, KiB.
    fn resident(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.remuda.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.expect("a number of KiB").parse().expect("a number")
    }
}

/// The last ten came to what they should.
fn is_well(sent: &[&Sent]) -> bool {
    sent.len() >= 10 && sent.iter().rev().take(10).all(|one| one.is_right())
}

/// Who is valid, and who is unknown, has been put off, and who is remembered is taken all the same.
fn is_missed(sent: &[&Sent]) -> bool {
    sent.len() >= 60
        && sent.iter().any(|one| one.has_waited())
        && sent.iter().any(|one| one.knows_nothing())
        && sent.iter().rev().take(10).any(|one| one.is_taken())
}

fn is_soak() -> bool {
    std::env::var_os("REMUDA_SOAK").is_some()
}

fn senders() -> usize {
    if is_soak() { 8 } else { 4 }
}

/// How long the database is away at least.
fn outage_min() -> Duration {
    match is_soak() {
        true => Duration::from_secs(60),
        false => Duration::ZERO,
    }
}

/// A cluster, and one of its databases.
fn cluster() -> (Postgres, Database) {
    let postgres = Postgres::start().expect("a cluster");
    let database = postgres.database().expect("a database");
    (postgres, database)
}

/// The database behind a network.
fn through(postgres: &Postgres, database: &Database) -> (Proxy, String) {
    let proxy = Proxy::start(([127, 0, 0, 1], postgres.port()).into()).expect("a port");
    let server = format!("127.0.0.1:{}", postgres.port());
    let url = database.url.replace(&server, &proxy.address().to_string());
    (proxy, url)
}

/// D1–D5, D9–D11: connections stay open, and nobody answers.
#[test]
fn mail_goes_on_while_the_database_is_stopped_where_it_is() {
    let (postgres, database) = cluster();
    let (proxy, url) = through(&postgres, &database);
    let outage = Outage {
        name: "stopped",
        fail: || postgres.pause(),
        mend: || postgres.resume(),
    };
    Scene::new(&url).suffer(outage, || proxy.connections());
}

/// D1–D5, D9–D11: connections end, and new ones are refused by the system.
#[test]
fn mail_goes_on_while_the_database_is_killed_and_started_again() {
    let (postgres, database) = cluster();
    let postgres = std::cell::RefCell::new(postgres);
    let outage = Outage {
        name: "killed",
        fail: || postgres.borrow_mut().kill(),
        mend: || postgres.borrow_mut().start_again().expect("it starts again"),
    };
    // Who is refused by the system cannot be counted; the severed network counts.
    Scene::new(&database.url).suffer(outage, || 0);
}

/// D1–D5, D9–D11: packets vanish on the way.
#[test]
fn mail_goes_on_while_the_way_to_the_database_is_dead() {
    let (postgres, database) = cluster();
    let (proxy, url) = through(&postgres, &database);
    let outage = Outage {
        name: "stalled",
        fail: || proxy.stall(),
        mend: || proxy.resume(),
    };
    Scene::new(&url).suffer(outage, || proxy.connections());
}

/// D1–D5, D9–D11: connections end, and new ones do at once.
#[test]
fn mail_goes_on_while_the_way_to_the_database_is_cut() {
    let (postgres, database) = cluster();
    let (proxy, url) = through(&postgres, &database);
    let outage = Outage {
        name: "severed",
        fail: || proxy.sever(),
        mend: || proxy.resume(),
    };
    Scene::new(&url).suffer(outage, || proxy.connections());
}

/// E13, E14: the file is moved away, and another one takes its place.
#[test]
fn mail_goes_on_while_the_file_is_away() {
    let scene = Scene::new("sqlite:directory.db");
    let file = |name: &str| scene.home.path("remuda-data").join(name);
    let (place, copy, away) = (file("directory.db"), file("copy.db"), file("away.db"));
    sqlite3(&place, &format!("VACUUM INTO '{}'", copy.display()));
    let outage = Outage {
        name: "moved away",
        fail: || fs::rename(&place, &away).expect("it is moved"),
        mend: || fs::rename(&copy, &place).expect("it is moved"),
    };
    scene.suffer(outage, || 0);
}

/// E14: who reads does not wait for who writes, and a change waits for another's end.
#[test]
fn mail_goes_on_while_another_has_the_file_to_write() {
    let mut scene = Scene::new("sqlite:directory.db");
    let traffic = Traffic::start(scene.remuda.smtp, senders());
    traffic.wait("all is well", 0, is_well);
    let mut other = Command::new(tool("/usr/bin/sqlite3"))
        .arg(scene.home.path("remuda-data/directory.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3 can be started");
    let mut words = other.stdin.take().expect("its input");
    let mut said = BufReader::new(other.stdout.take().expect("its output"));
    writeln!(words, "BEGIN EXCLUSIVE; SELECT 'it is held';").expect("it reads");
    let mut line = String::new();
    said.read_line(&mut line).expect("text");
    assert_eq!(line.trim(), "it is held");

    let mark = traffic.mark();
    let add = |address: &str| -> Ended {
        let mut command = scene.home.command(["account", "add"]);
        command
            .arg(address)
            .args(["--admin", &format!("http://{}", scene.remuda.admin)]);
        command
            .arg("--token-file")
            .arg(scene.home.path("remuda-data/admin.token"));
        command.output().expect("the program can be started").into()
    };
    let refused = add("late@d.test");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("database"), "{refused:?}");
    traffic.wait("all goes on", mark, |sent| {
        sent.len() >= 60 && sent.iter().all(|one| one.is_right())
    });
    writeln!(words, "COMMIT;").expect("it reads");
    drop(words);
    assert!(other.wait().expect("it ends").success());
    let taken = add("late@d.test");
    assert_eq!(taken.code, Some(0), "{taken:?}");
    let judged = traffic.stop();
    scene.remuda.wait_until_empty();
    judged.assert_in_maildirs(&scene.home);
    assert!(scene.remuda.stop().success());
}

/// A report comes to its sender although nobody can say who that is when it is written.
#[test]
fn a_report_waits_for_the_database_whatever_its_address_is() {
    for sender in ["bob@d.test", "info@d.test", "bob@x.test"] {
        a_report_waits_for_the_database(sender);
    }
}

fn a_report_waits_for_the_database(sender: &str) {
    let sink = Sink::with(Listener {
        domains: vec!["else.test".to_owned()],
        ..Listener::default()
    });
    let sections =
        sink.route("outside.test") + BRIEF + "[object_cache.domain_alias]\nnegative_ttl = \"60s\"\n";
    let home = Home::new(&sections);
    let mut remuda = with_bob(&home);
    remuda.ask(&["alias", "add", "info@d.test", "bob@d.test"]);
    remuda.ask(&["domain-alias", "add", "x.test", "d.test"]);
    let begin = || {
        let mut client = Client::greeted(remuda.smtp);
        client.must(&format!("MAIL FROM:<{sender}>"), "250");
        client.must("RCPT TO:<x@outside.test>", "250");
        client
    };
    // From here on it is known that d.test is ours and outside.test is not, and nothing of Bob.
    begin().must("QUIT", "221");
    let file = |name: &str| home.path("remuda-data").join(name);
    fs::rename(file("directory.db"), file("away.db")).expect("it is moved");
    let mut client = begin();
    client.must("DATA", "354");
    client.must("Subject: hello\r\n\r\nhello\r\n.", "250");
    let put_off = remuda.process.wait_for_line(&format!("to=<{sender}>"));
    assert!(put_off.contains("status=deferred"), "{put_off}");
    fs::rename(file("away.db"), file("directory.db")).expect("it is moved");
    remuda.wait_until_empty();
    let mail = bobs(&home);
    assert_eq!(mail.len(), 1, "{}", remuda.log());
    assert!(mail[0].contains("x@outside.test"), "{mail:?}");
    assert!(remuda.stop().success());
}

fn sqlite3(file: &Path, statements: &str) {
    let mut command = Command::new(tool("/usr/bin/sqlite3"));
    let done: Ended = command
        .arg(file)
        .arg(statements)
        .output()
        .expect("sqlite3 can be started")
        .into();
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// What is remembered of accounts is stale after a second, and local mail is tried again soon.
const BRIEF: &str = "[object_cache.account]\nttl = \"1s\"\nnegative_ttl = \"1s\"\n\
                     [delivery]\nminimal_backoff = \"1s\"\nmaximal_backoff = \"2s\"\n";
/// How much resident memory may grow, KiB: the caches may fill.
const GROWTH_MAX: u64 = 64 * 1024;
/// How often a database may be called that is away: at first, and then each second.
const CALLS_MAX: u64 = 60;
const CALLS_A_SECOND_MAX: u64 = 5;
