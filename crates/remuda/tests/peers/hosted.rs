//! Domains of ours: mail for accounts, aliases and lists by the built program, logins of accounts, and a database
//! that goes away.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
};

use remuda_testing::{postgres::Postgres, wait::wait_until};

use crate::{
    home::{Ended, Home, Remuda, tool},
    listeners::Files,
    sink::{Sink, text},
};

/// Strangers only: nobody may relay by his address.
pub const NOBODY_RELAYS: &str = "[relay]\nnetworks = []\n";

impl Remuda {
    /// A directory command with a secret on its standard input.
    pub fn with_secret(&self, home: &Home, arguments: &[&str], secret: &str) {
        let mut command = home.command([]);
        command
            .args(arguments)
            .args(["--admin", &format!("http://{}", self.admin)]);
        command
            .arg("--token-file")
            .arg(home.path("remuda-data/admin.token"));
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(secret.as_bytes()).expect("it reads");
        drop(input);
        assert!(child.wait().expect("it ends").success(), "{arguments:?}");
    }
}

/// Bob with the password `secret` in d.test.
pub fn with_bob(home: &Home) -> Remuda {
    let remuda = home.start();
    remuda.ask(&["domain", "add", "d.test"]);
    remuda.with_secret(
        home,
        &["account", "add", "bob@d.test", "--password-file", "-"],
        "secret\n",
    );
    remuda
}

fn send(server: SocketAddr, from: &str, to: &str, options: &[&str]) -> Ended {
    let sent = Command::new(tool("/usr/bin/swaks"))
        .args(["--server", &server.to_string(), "--from", from, "--to", to])
        .args(options)
        .output();
    sent.expect("swaks can be started").into()
}

fn assert_refused(sent: &Ended, reply: &str) {
    assert_ne!(sent.code, Some(0), "{sent:?}");
    assert!(sent.out.contains(reply), "{reply}: {sent:?}");
}

/// What lies in Bob's Maildir.
pub fn bobs(home: &Home) -> Vec<String> {
    let new = home.path("remuda-data/mail/d.test/bob/new");
    let Ok(files) = fs::read_dir(new) else {
        return Vec::new();
    };
    let read = |file: std::io::Result<fs::DirEntry>| fs::read_to_string(file.expect("a file").path());
    files.map(|file| read(file).expect("text")).collect()
}

#[test]
fn mail_for_what_the_directory_knows_lies_in_the_maildir() {
    let home = Home::new(NOBODY_RELAYS);
    let mut remuda = with_bob(&home);
    remuda.ask(&["domain-alias", "add", "old.test", "d.test"]);
    remuda.ask(&["alias", "add", "info@d.test", "bob@d.test"]);
    remuda.ask(&["list", "add", "all@d.test", "info@d.test", "bob@d.test"]);
    for to in [
        "bob@d.test",
        "Info+Sales@OLD.test",
        "all@d.test",
        "bob@d.test,all@d.test",
    ] {
        let sent = send(remuda.smtp, "a@outside.test", to, &[]);
        assert_eq!(sent.code, Some(0), "{to}: {sent:?}");
    }
    remuda.wait_until_empty();
    let mail = bobs(&home);
    assert_eq!(mail.len(), 4, "{mail:#?}");
    assert!(mail.iter().all(|one| one.contains("Delivered-To: bob@d.test\n")));
    assert!(
        mail.iter()
            .any(|one| one.contains("X-Original-To: Info+Sales@OLD.test\n"))
    );
    for (to, reply) in [
        ("gone@d.test", "550 5.1.1"),
        ("someone@elsewhere.test", "554 5.7.1"),
    ] {
        assert_refused(&send(remuda.smtp, "a@outside.test", to, &[]), reply);
    }
    // The postmaster needs no account.
    assert_eq!(
        send(remuda.smtp, "a@outside.test", "postmaster@d.test", &[]).code,
        Some(0)
    );
    remuda.ask(&["account", "set", "bob@d.test", "--active", "false"]);
    assert_refused(
        &send(remuda.smtp, "a@outside.test", "bob@d.test", &[]),
        "550 5.2.1",
    );
    assert!(remuda.stop().success());
}

#[test]
fn an_account_logs_in_and_sends_as_itself_only() {
    let (sink, files) = (Sink::new(), Files::new());
    let sections = sink.route("*") + NOBODY_RELAYS;
    let text_of = files.configuration("starttls", &sections);
    let home = Home::with(&text_of.replacen("tls = ", "auth = true\ntls = ", 1));
    let mut remuda = with_bob(&home);
    let login = |password: &'static str| {
        [
            "--tls",
            "--auth",
            "PLAIN",
            "--auth-user",
            "bob@d.test",
            "--auth-password",
            password,
        ]
    };
    let sent = send(remuda.smtp, "bob@d.test", "x@outside.test", &login("secret"));
    assert_eq!(sent.code, Some(0), "{sent:?}\n{}", remuda.log());
    let received = sink.wait_for(1);
    assert!(
        text(&received[0]).contains(" with ESMTPSA id "),
        "{}",
        text(&received[0])
    );
    let forged = send(remuda.smtp, "eve@d.test", "x@outside.test", &login("secret"));
    assert_refused(&forged, "553 5.7.1");
    assert_refused(
        &send(remuda.smtp, "bob@d.test", "x@outside.test", &login("wrong")),
        "535 5.7.8",
    );
    // Without a login he is a stranger.
    assert_refused(
        &send(remuda.smtp, "bob@d.test", "x@outside.test", &[]),
        "554 5.7.1",
    );
    remuda.with_secret(
        &home,
        &["account", "set", "bob@d.test", "--password-file", "-"],
        "other\n",
    );
    assert_refused(
        &send(remuda.smtp, "bob@d.test", "x@outside.test", &login("secret")),
        "535 5.7.8",
    );
    let sent = send(remuda.smtp, "bob@d.test", "x@outside.test", &login("other"));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(remuda.stop().success());
}

/// D1, D4, D5, D9, D11.
#[test]
fn a_database_that_is_away_refuses_nobody_and_is_found_again() {
    let mut postgres = Postgres::start().expect("a cluster");
    let database = postgres.database().expect("a database");
    let home = Home::new(&format!(
        "{NOBODY_RELAYS}[directory]\nurl = \"{}\"\n[object_cache.domain]\nnegative_ttl = \"1s\"\n",
        database.url
    ));
    let mut remuda = with_bob(&home);
    assert_eq!(
        send(remuda.smtp, "a@outside.test", "bob@d.test", &[]).code,
        Some(0)
    );
    postgres.kill();
    let eve = send(remuda.smtp, "a@outside.test", "eve@d.test", &[]);
    assert_refused(&eve, "451 4.3.0");
    // Which domains are ours at all is known for a second.
    wait_until("nobody knows that a domain is not ours", || {
        send(remuda.smtp, "a@outside.test", "someone@never-seen.test", &[])
            .out
            .contains("451 4.3.0")
    });
    assert_eq!(
        send(remuda.smtp, "a@outside.test", "bob@d.test", &[]).code,
        Some(0)
    );
    postgres.start_again().expect("it starts again");
    wait_until("the database is found again", || {
        send(remuda.smtp, "a@outside.test", "eve@d.test", &[])
            .out
            .contains("550 5.1.1")
    });
    remuda.wait_until_empty();
    assert_eq!(bobs(&home).len(), 2);
    assert!(remuda.stop().success());
}
