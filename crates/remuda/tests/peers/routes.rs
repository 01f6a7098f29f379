//! Routes of the directory, by the built program: mail follows them and every change of them, through a password,
//! and never past one that a database that is away might have.

use std::{fs, net::TcpListener};

use remuda_sink::{Certificate, Listener, Received};
use remuda_testing::{
    peer::{Mode, Peer},
    postfix::Postfix,
    postgres::Postgres,
    wait::wait_until,
};

use crate::{
    home::{Home, Remuda},
    letters::{self, Letter},
    sink::{Sink, route},
};

/// Waits for nothing longer than it must.
const QUICK: &str = "[delivery]\nminimal_backoff = \"1s\"\nmaximal_backoff = \"1s\"\n";

/// Everybody's mail goes there unless something says otherwise.
fn with_smart_host(sink: &Sink, more: &str) -> (Home, Remuda) {
    let home = Home::new(&(sink.route("*") + more));
    let remuda = home.start();
    (home, remuda)
}

fn send(remuda: &Remuda, id: &str, domain: &str) {
    letters::send(remuda.smtp, &[Letter::new(id, domain, b"hello\r\n")]);
}

/// The ids of what has come, after so many messages.
fn came(sink: &Sink, messages: u64) -> Vec<String> {
    let mut ids: Vec<String> = sink
        .wait_for(messages)
        .into_iter()
        .filter_map(|one| one.id)
        .collect();
    ids.sort();
    ids
}

/// A port that nobody listens on.
fn nobody() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

fn add(remuda: &Remuda, domain: &str, sink: &Sink) {
    remuda.ask(&["route", "add", domain, &sink.address().to_string()]);
}

#[test]
fn mail_goes_by_the_routes_as_they_are_now_the_most_specific_first() {
    let (any, one, two) = (Sink::new(), Sink::new(), Sink::new());
    let (_home, mut remuda) = with_smart_host(&any, "");
    send(&remuda, "1", "r.test");
    assert_eq!(came(&any, 1), ["1"]);
    // Made: the next message goes there; by its suffix, by its name, and by neither.
    add(&remuda, ".r.test", &one);
    send(&remuda, "2", "a.r.test");
    send(&remuda, "3", "r.test");
    add(&remuda, "a.r.test", &two);
    send(&remuda, "4", "a.r.test");
    send(&remuda, "5", "b.a.r.test");
    assert_eq!(came(&one, 2), ["2", "5"]);
    assert_eq!(came(&two, 1), ["4"]);
    assert_eq!(came(&any, 2), ["1", "3"]);
    let shown = remuda.ask(&["resolve", "x@b.a.r.test"]);
    let way = format!(
        "deliver to x@b.a.r.test (elsewhere to {} by route .r.test)",
        one.address()
    );
    assert!(shown.contains(&way) && shown.contains("route  "), "{shown}");
    // Changed, taken out of use, renamed, removed.
    remuda.ask(&["route", "set", "a.r.test", &one.address().to_string()]);
    send(&remuda, "6", "a.r.test");
    assert_eq!(came(&one, 3), ["2", "5", "6"]);
    remuda.ask(&["route", "set", ".r.test", "--active", "false"]);
    send(&remuda, "7", "b.r.test");
    assert_eq!(came(&any, 3), ["1", "3", "7"]);
    remuda.ask(&["route", "rename", "a.r.test", "c.test"]);
    send(&remuda, "8", "a.r.test");
    send(&remuda, "9", "c.test");
    assert_eq!(came(&any, 4), ["1", "3", "7", "8"]);
    assert_eq!(came(&one, 4), ["2", "5", "6", "9"]);
    // Before every route of the configuration comes the directory's for everything.
    add(&remuda, "*", &two);
    send(&remuda, "a", "else.test");
    assert_eq!(came(&two, 2), ["4", "a"]);
    remuda.ask(&["route", "remove", "*"]);
    send(&remuda, "b", "else.test");
    assert_eq!(came(&any, 5), ["1", "3", "7", "8", "b"]);
    assert!(remuda.stop().success());
}

/// Its hosts speak for themselves, and who wrote it is no stranger to loopback.
#[test]
fn a_route_leads_to_a_real_postfix() {
    let postfix = Postfix::start(Mode::Keep, &[]).expect("the peer is there");
    let (_home, mut remuda) = with_smart_host(&Sink::new(), "");
    remuda.ask(&["route", "add", "example.test", &postfix.address().to_string()]);
    letters::send(remuda.smtp, &letters::every_form("example.test"));
    remuda.wait_until_empty();
    let log = remuda.log();
    let sent = log.lines().filter(|line| line.contains("status=sent"));
    let relay = format!("relay=127.0.0.1[127.0.0.1]:{}", postfix.address().port());
    assert!(
        sent.clone().count() > 0 && sent.clone().all(|line| line.contains(&relay)),
        "{log}"
    );
    assert!(remuda.stop().success());
}

/// One by SQL too.
#[test]
fn mail_that_waits_follows_its_route_with_its_next_attempt() {
    let (any, sink) = (nobody(), Sink::new());
    let home = Home::new(&(route("*", any) + QUICK));
    let mut remuda = home.start();
    for (id, domain) in [("1", "r.test"), ("2", "s.test")] {
        send(&remuda, id, domain);
    }
    wait_until("both wait", || {
        remuda.log().matches("status=deferred").count() >= 4
    });
    add(&remuda, "r.test", &sink);
    remuda.ask(&["queue", "retry", "--all"]);
    assert_eq!(came(&sink, 1), ["1"]);
    let to = sink.address();
    let sql = format!("INSERT INTO route (domain, hosts) VALUES ('s.test', '{to}');");
    let database = home.path("remuda-data/directory.db");
    let edited = std::process::Command::new(crate::home::tool("/usr/bin/sqlite3"))
        .args([database.as_os_str(), sql.as_ref()])
        .status();
    assert!(edited.expect("sqlite3 can be started").success());
    wait_until("the edit is heard of", || {
        remuda.ask(&["queue", "retry", "--all"]);
        sink.report().messages() >= 2
    });
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
}

#[test]
fn mail_that_waits_is_delivered_here_when_its_domain_becomes_ours() {
    let home = Home::new(&(route("*", nobody()) + QUICK));
    let mut remuda = home.start();
    send(&remuda, "1", "d.test");
    wait_until("it waits", || remuda.log().contains("status=deferred"));
    remuda.ask(&["domain", "add", "d.test"]);
    remuda.ask(&["account", "add", "one@d.test", "--no-password"]);
    remuda.ask(&["alias", "add", "two@d.test", "one@d.test"]);
    remuda.ask(&["queue", "retry", "--all"]);
    remuda.wait_until_empty();
    let new = fs::read_dir(home.path("remuda-data/mail/d.test/one/new")).expect("a Maildir");
    assert_eq!(new.count(), 1, "{}", remuda.log());
    assert!(!remuda.log().contains("status=bounced"), "{}", remuda.log());
    assert!(remuda.stop().success());
}

/// T56: what has shown the old password carries nothing of the new route.
#[test]
fn a_password_of_a_route_is_said_under_tls_and_its_change_holds_at_once() {
    let login = |text: &str| text.parse().expect("a login");
    let sink = Sink::with(Listener {
        tls: Some(Certificate::SelfSigned),
        auth: vec![login("me:first"), login("me:second")],
        ..Listener::default()
    });
    let cached = "[connection_cache]\ndestinations = [\"*\"]\nidle_time_limit = \"60s\"\n";
    let (home, mut remuda) = with_smart_host(&Sink::new(), &format!("{QUICK}{cached}"));
    let host = sink.address().to_string();
    let add = [
        "route",
        "add",
        "r.test",
        &host,
        "--username",
        "me",
        "--password-file",
        "-",
    ];
    remuda.with_secret(&home, &add, "wrong\n");
    send(&remuda, "1", "r.test");
    wait_until("it is refused", || remuda.log().contains("535 5.7.8"));
    assert!(!remuda.log().contains("wrong"), "{}", remuda.log());
    let set = ["route", "set", "r.test", "--password-file", "-"];
    remuda.with_secret(&home, &set, "first\n");
    remuda.ask(&["queue", "retry", "--all"]);
    remuda.wait_until_empty();
    send(&remuda, "2", "r.test");
    remuda.wait_until_empty();
    remuda.with_secret(&home, &set, "second\n");
    send(&remuda, "3", "r.test");
    let received = sink.wait_for(3);
    let of = |id: &str| -> &Received {
        let mut all = received.iter();
        all.find(|one| one.id.as_deref() == Some(id))
            .expect("it has come")
    };
    assert!(
        received
            .iter()
            .all(|one| one.tls && one.user.as_deref() == Some("me"))
    );
    assert_eq!(of("1").connection, of("2").connection, "the session is shared");
    assert_ne!(of("2").connection, of("3").connection);
    assert!(remuda.stop().success());
}

/// D4, D5, D7, D11.
#[test]
fn nothing_goes_past_a_route_that_a_database_that_is_away_might_have() {
    let mut postgres = Postgres::start().expect("a cluster");
    let database = postgres.database().expect("a database");
    let (dead, sink) = (nobody(), Sink::new());
    // No absence is remembered, so that everything is asked for.
    let uncached: String = ["domain", "domain_alias", "route"]
        .map(|kind| format!("[object_cache.{kind}]\nnegative_ttl = \"0s\"\n"))
        .concat();
    let url = format!("[directory]\nurl = \"{}\"\n", database.url);
    let home = Home::new(&format!("{}{QUICK}{url}{uncached}", route("*", dead)));
    let mut remuda = home.start();
    send(&remuda, "1", "r.test");
    wait_until("it waits", || remuda.log().contains("status=deferred"));
    postgres.kill();
    let reason = "cannot find out now where mail goes";
    wait_until("it waits for the database", || {
        remuda.ask(&["queue", "retry", "--all"]);
        remuda.log().contains(reason)
    });
    let said = remuda.log();
    let line = said.lines().find(|line| line.contains(reason)).expect("a line");
    assert!(
        line.contains("status=deferred") && line.contains("dsn=4.4.3"),
        "{line}"
    );
    postgres.start_again().expect("it starts again");
    wait_until("the database is found again", || {
        let to = sink.address().to_string();
        remuda.run(&["route", "add", "r.test", &to]).code == Some(0)
    });
    wait_until("it has come", || {
        remuda.ask(&["queue", "retry", "--all"]);
        sink.report().messages() == 1
    });
    remuda.wait_until_empty();
    assert!(!remuda.log().contains("status=bounced"), "{}", remuda.log());
    assert!(remuda.stop().success());
}

/// G16: what has been looked up is relayed without a query.
#[test]
fn warm_relay_through_a_route_costs_no_query() {
    let sink = Sink::new();
    let (_home, mut remuda) = with_smart_host(
        &Sink::new(),
        "[object_cache.route]\nnegative_ttl = \"60s\"\n[object_cache.domain_alias]\nnegative_ttl = \"60s\"\n",
    );
    add(&remuda, ".r.test", &sink);
    send(&remuda, "1", "a.r.test");
    sink.wait_for(1);
    let loads = |remuda: &Remuda| -> Vec<String> {
        let metrics = remuda.metrics();
        let loads = metrics
            .lines()
            .filter(|line| line.starts_with("remuda_object_cache_loads_total"));
        loads.map(str::to_owned).collect()
    };
    assert!(!loads(&remuda).is_empty());
    let mut sent = 1;
    // The database's own word of the new route comes once, and costs a look.
    wait_until("twenty messages go without a query", || {
        let before = loads(&remuda);
        let letters = (0..20).map(|n| Letter::new(&format!("{sent}-{n}"), "a.r.test", b"hello\r\n"));
        letters::send(remuda.smtp, &letters.collect::<Vec<_>>());
        sent += 20;
        sink.wait_for(sent);
        loads(&remuda) == before
    });
    assert!(remuda.stop().success());
}
